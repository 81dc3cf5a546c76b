/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What waits for a call is found when that call ends, whatever way the call took: the request that is in
 *         custody and not written there yet is written before anybody looks.
 * Method  One worker, driven, and few turns: what is not found is put right when idle turns are counted, far
 *         later.
 */
#include "tests/core/graph.h"

enum {
	TURNS = 20,
	STAGES = 8
};

static pinion_runtime *rt;
static pinion_handle relay;
static pinion_token token;

static int
add_one(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static int
put_off(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_defer(req, &token);
}

static int
keep_handle(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static int
hand_on(void *replica, pinion_request *req)
{
	return pinion_forward(req, *(pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));
}

/* What it hands on waits for a call of its own. */
static int
hand_on_later(void *replica, pinion_request *req)
{
	pinion_handle to = *(pinion_handle *)replica;
	pinion_response first = pinion_call(to, PINION_ARGS(pinion_arg_i64(req, 0)));

	return pinion_forward(req, to, PINION_ARGS(first));
}

/* Waits for the last of some stages on its own worker. */
static int
wait_for_chain(void *replica, pinion_request *req)
{
	pinion_handle to = *(pinion_handle *)replica;
	pinion_response r[STAGES];
	int64_t x = 0;
	int err;

	r[0] = pinion_call(to, PINION_ARGS(pinion_arg_i64(req, 0)));
	for (unsigned k = 1; k < STAGES; k++)
		r[k] = pinion_call(to, PINION_ARGS(r[k - 1]));
	err = pinion_result(r[STAGES - 1], &x);
	/* From the middle, both ends, and the rest when it returns. */
	pinion_release(r[STAGES / 2]);
	pinion_release(r[0]);
	pinion_release(r[STAGES - 1]);
	pinion_release(r[1]);
	return err != 0 ? err : pinion_reply(req, x);
}

#define ONE_I64 .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64

static const pinion_deployment adder = {
	.name = "Adder",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, add_one, ONE_I64)),
};

static const pinion_deployment relayer = {
	.name = "Relay",
	.replica_size = sizeof(pinion_handle),
	.init = keep_handle,
	.init_params = PINION_PARAMS(PINION_HANDLE("to")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hand_on, ONE_I64),
	    PINION_METHOD("later", hand_on_later, ONE_I64),
	    PINION_METHOD("chain", wait_for_chain, ONE_I64),
	    PINION_METHOD("put_off", put_off, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("add_one", add_one, ONE_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &relayer, PINION_ARGS(pinion_bind(app, &adder, PINION_ARGS())));
}

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = PINION_CALLER_DRIVEN) != 0 ||
		pinion_run(rt, build, &relay) != 0
	    ? -1
	    : 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Its result is there within a few turns; both are given back, and nothing is left. */
static void
assert_follows(pinion_response first, pinion_response behind, int64_t wanted)
{
	pinion_census c;
	int64_t x = 0;
	int err = -EAGAIN;

	for (unsigned i = 0; i < TURNS && err == -EAGAIN; i++) {
		(void)pinion_work(rt);
		err = pinion_result_within(behind, 0, &x);
	}
	assert_int_equal(err, 0);
	assert_int_equal(x, wanted);
	pinion_release(first);
	pinion_release(behind);
	pinion_census_take(rt, &c);
	assert_int_equal(c.custody, 0);
}

static void
a_dependent_of_a_deferred_call_goes_on(void **state)
{
	pinion_response first = pinion_call(pinion_method_of(relay, "put_off"), PINION_ARGS());
	pinion_response behind;

	(void)state;
	(void)pinion_work(rt); /* it is there, alone */
	behind = pinion_call(pinion_method_of(relay, "add_one"), PINION_ARGS(first));
	(void)pinion_work(rt); /* it waits */
	assert_int_equal(pinion_token_reply(token, (int64_t)5), 0);
	assert_follows(first, behind, 6);
}

static void
a_dependent_of_a_forwarded_call_goes_on(void **state)
{
	pinion_response first = pinion_call(relay, PINION_ARGS((int64_t)1));

	(void)state;
	assert_follows(
	    first, pinion_call(pinion_method_of(relay, "add_one"), PINION_ARGS(first)), 3);
}

static void
a_dependent_of_what_is_forwarded_to_wait_goes_on(void **state)
{
	pinion_response first =
	    pinion_call(pinion_method_of(relay, "later"), PINION_ARGS((int64_t)1));

	(void)state;
	assert_follows(
	    first, pinion_call(pinion_method_of(relay, "add_one"), PINION_ARGS(first)), 4);
}

/* Each stage is found as what the one behind it waits for: none of them needs a fiber. */
static void
a_chain_on_one_worker_runs_on_the_stack_of_whoever_waits(void **state)
{
	pinion_worker_status before, after;
	pinion_response r;

	(void)state;
	assert_int_equal(pinion_worker_look(rt, 0, &before), 1);
	r = pinion_call(pinion_method_of(relay, "chain"), PINION_ARGS((int64_t)1));
	assert_int_equal(graph_i64(r), 1 + STAGES);
	graph_assert_clean(rt, 1);
	assert_int_equal(pinion_worker_look(rt, 0, &after), 1);
	assert_int_equal(after.suspended, before.suspended);
	assert_int_equal(after.local, before.local + STAGES);
	assert_int_equal(after.started, before.started + STAGES + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_dependent_of_a_deferred_call_goes_on, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_dependent_of_a_forwarded_call_goes_on, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_dependent_of_what_is_forwarded_to_wait_goes_on, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_chain_on_one_worker_runs_on_the_stack_of_whoever_waits, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
