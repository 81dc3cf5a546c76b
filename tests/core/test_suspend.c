/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A handler that waits gives its worker back: its replica serves others meanwhile, ten thousand may wait
 *         at once and end in any order, and waiting too deep is an error, not a hang.
 * Method  One worker. Handlers wait for deferred requests, which the test answers in the order it likes.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle waiter;

enum {
	MANY = 10000
};

static pinion_token tokens[MANY];
static _Atomic uint32_t token_count;

static int
defer_numbered(void *replica, pinion_request *req)
{
	(void)replica;
	int err = pinion_defer(req, &tokens[pinion_arg_i64(req, 0)]);

	atomic_fetch_add(&token_count, 1);
	return err;
}

/* Waits for a child that ends when the test says so. */
static int
wait_for_child(void *replica, pinion_request *req)
{
	int64_t i = pinion_arg_i64(req, 0), x;
	pinion_response r = pinion_call(*(const pinion_handle *)replica, PINION_ARGS(i));
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x + 1);
}

static int
answer_now(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)7);
}

/* A call that calls itself. */
static int
descend(void *replica, pinion_request *req)
{
	pinion_handle self = pinion_arg_handle(req, 0);
	int64_t left = pinion_arg_i64(req, 1), x = 0;
	int err = 0;

	(void)replica;
	if (left > 0) {
		pinion_response r = pinion_call(self, PINION_ARGS(self, left - 1));

		err = pinion_result(r, &x);
	}
	return err != 0 ? err : pinion_reply(req, x + 1);
}

static const pinion_deployment child = {
	.name = "Child",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, defer_numbered,
	    .params = PINION_PARAMS(PINION_I64("i")), .returns = PINION_RETURNS_I64)),
};

static int
parent_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment parent = {
	.name = "Parent",
	.replica_size = sizeof(pinion_handle),
	.init = parent_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("child")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, wait_for_child, .params = PINION_PARAMS(PINION_I64("i")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("now", answer_now, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("descend", descend,
		.params = PINION_PARAMS(PINION_HANDLE("self"), PINION_I64("left")),
		.returns = PINION_RETURNS_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *c = pinion_bind(app, &child, PINION_ARGS(), .max_ongoing_requests = MANY);

	(void)config;
	return pinion_bind(app, &parent, PINION_ARGS(c), .max_ongoing_requests = MANY);
}

static int
start(void **state)
{
	pinion_diag diag;

	(void)state;
	atomic_store(&token_count, 0);
	if (pinion_start(&rt, .workers = 1, .slots = 2 * MANY, .lane_cells = 2048,
		.stack_size = 32 << 10, .diag = &diag) != 0 ||
	    pinion_run(rt, build, &waiter, .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
wait_for_tokens(uint32_t count)
{
	while (atomic_load(&token_count) != count)
		continue;
}

static void
a_replica_serves_others_while_a_handler_waits(void **state)
{
	pinion_response r = pinion_call(waiter, PINION_ARGS(0));

	(void)state;
	wait_for_tokens(1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(waiter, "now"), PINION_ARGS())), 7);
	assert_int_equal(pinion_token_reply(tokens[0], 41), 0);
	assert_int_equal(graph_i64(r), 42);
	graph_assert_clean(rt, 1);
}

/* In a random order, a full lane's worth at a time. */
static void
ten_thousand_wait_at_once_and_end_in_any_order(void **state)
{
	static pinion_response r[MANY];
	static uint32_t order[MANY];
	uint32_t many = (uint32_t)scaled(MANY);
	uint64_t random = seed() | 1;
	pinion_worker_status s;

	(void)state;
	for (uint32_t i = 0; i < many; i++) {
		order[i] = i;
		if (i % 1024 == 1023)
			wait_for_tokens(i);
		r[i] = pinion_call(waiter, PINION_ARGS((int64_t)i));
	}
	wait_for_tokens(many);
	(void)pinion_worker_look(rt, 0, &s);
	assert_true(s.suspended >= many);
	for (uint32_t i = many; i-- > 1;) {
		uint32_t k = (uint32_t)(next_random(&random) % (i + 1)), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	for (uint32_t i = 0; i < many; i++)
		assert_int_equal(pinion_token_reply(tokens[order[i]], (int64_t)order[i]), 0);
	for (uint32_t i = 0; i < many; i++)
		assert_int_equal(
		    graph_i64(r[order[many - 1 - i]]), (int64_t)order[many - 1 - i] + 1);
	graph_assert_clean(rt, 1);
}

static void
thousands_sleep_and_wake_each_in_its_time(void **state)
{
	uint32_t many = (uint32_t)scaled(2000);
	static pinion_response r[2000];
	pinion_handle worker, nap;
	uint64_t random = seed() | 1;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_workers, &worker, .name = "naps"), 0);
	nap = pinion_method_of(worker, "nap");
	for (uint32_t i = 0; i < many; i++)
		r[i] = pinion_call(nap, PINION_ARGS((int64_t)(next_random(&random) % 3000000)));
	for (uint32_t i = many; i-- > 0;)
		assert_true(graph_i64(r[i]) < 3000000);
	graph_assert_clean(rt, 1);
}

static void
behaviour_18_waiting_too_deep_is_refused(void **state)
{
	pinion_handle down = pinion_method_of(waiter, "descend");
	pinion_response r = pinion_call(down, PINION_ARGS(down, 1000));
	int64_t x;

	(void)state;
	assert_int_equal(graph_i64(pinion_call(down, PINION_ARGS(down, 100))), 101);
	assert_int_equal(pinion_result(r, &x), -EDEADLK);
	pinion_release(r);
	graph_assert_clean(rt, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_replica_serves_others_while_a_handler_waits, start, stop),
		cmocka_unit_test_setup_teardown(
		    ten_thousand_wait_at_once_and_end_in_any_order, start, stop),
		cmocka_unit_test_setup_teardown(
		    thousands_sleep_and_wake_each_in_its_time, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_18_waiting_too_deep_is_refused, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
