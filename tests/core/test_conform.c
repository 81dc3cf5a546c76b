/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What Ray Serve's own tests demand of composition, where no test of a part of the runtime says just that; the
 *         numbers are docs/conformance.md's.
 * Method  One small application a test, on two workers; the census is zero behind each.
 */
#include "tests/core/graph.h"

#include <pthread.h>

static pinion_runtime *rt;

/* ---- building (A) --------------------------------------------------------------------------- */

static pinion_node *
build_two(pinion_app *app, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(app, &graph_worker, PINION_ARGS((int64_t)10));
	return pinion_bind(app, &graph_worker, PINION_ARGS((int64_t)20));
}

static void
behaviour_5_two_of_a_kind_have_names_of_their_own(void **state)
{
	pinion_handle ingress, first, second;

	(void)state;
	assert_int_equal(pinion_run(rt, build_two, &ingress), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker", &first), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker#2", &second), 0);
	assert_int_equal(graph_i64(pinion_call(first, PINION_ARGS((int64_t)1))), 11);
	assert_int_equal(graph_i64(pinion_call(second, PINION_ARGS((int64_t)1))), 21);
}

struct shape {
	int32_t width, height;
};

static int
every_kind(void *replica, pinion_init *init)
{
	const struct shape *shape =
	    pinion_init_struct_at(init, 6, sizeof *shape, _Alignof(struct shape));
	pinion_bytes bytes = pinion_init_bytes(init, 5);

	*(bool *)replica = pinion_init_bool(init, 0) && pinion_init_i64(init, 1) == -5 &&
	    pinion_init_u64(init, 2) == UINT64_MAX && pinion_init_f64(init, 3) == 0.5 &&
	    pinion_str_is(pinion_init_str(init, 4), "text") && bytes.len == 3 &&
	    memcmp(bytes.data, "\0\1\2", 3) == 0 && shape != NULL && shape->width == 3 &&
	    shape->height == 4;
	return 0;
}

static int
were_right(void *replica, pinion_request *req)
{
	return pinion_reply(req, (int64_t) * (bool *)replica);
}

static const pinion_deployment constructed = {
	.name = "Constructed",
	.replica_size = sizeof(bool),
	.init = every_kind,
	.init_params =
	    PINION_PARAMS(PINION_BOOL("b"), PINION_I64("i"), PINION_U64("u"), PINION_F64("f"),
		PINION_STR("s"), PINION_BYTES("y"), PINION_STRUCT("shape", struct shape)),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, were_right, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_constructed(pinion_app *app, const pinion_config *config)
{
	const struct shape shape = { 3, 4 };

	(void)config;
	return pinion_bind(app, &constructed,
	    PINION_ARGS((bool)true, -5, UINT64_MAX, 0.5, "text", ((pinion_bytes){ "\0\1\2", 3 }),
		PINION_STRUCT_OF(shape)));
}

static void
behaviour_6_constructors_take_every_kind(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_constructed, &handle), 0);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS())), 1);
}

/* ---- unary calls (B) ------------------------------------------------------------------------ */

static pinion_handle
run_one(void)
{
	pinion_handle handle;

	assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
	return handle;
}

static void
behaviour_15_and_16_a_result_is_read_again_and_again(void **state)
{
	pinion_handle which = pinion_method_of(run_one(), "which");
	pinion_response r = pinion_call(which, PINION_ARGS());
	int64_t first, again;

	(void)state;
	assert_int_equal(pinion_result(r, &first), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinion_result(r, &again), 0);
		assert_int_equal(again, first);
	}
	pinion_release(r);
	/* It counts its calls: this is the second. */
	assert_int_equal(graph_i64(pinion_call(which, PINION_ARGS())), first + 1);
}

static void
behaviour_20_an_unknown_method_fails_in_the_response(void **state)
{
	pinion_response r =
	    pinion_call(pinion_method_of(run_one(), "no_such"), PINION_ARGS((int64_t)1));
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EINVAL);
	e = pinion_response_error(r);
	assert_non_null(
	    strstr(e.text.data, "Worker has no method \"no_such\"; it has: __call__, sum"));
	pinion_release(r);
}

static void
behaviour_27_errors_keep_code_place_and_text(void **state)
{
	pinion_response r =
	    pinion_call(pinion_method_of(run_one(), "broken"), PINION_ARGS((int64_t)7));
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EDOM);
	e = pinion_response_error(r);
	assert_int_equal(e.code, -EDOM);
	assert_int_equal(e.origin, PINION_ORIGIN_HANDLER);
	assert_true(pinion_str_is(e.deployment, "Worker"));
	assert_true(pinion_str_is(e.method, "broken"));
	assert_true(pinion_str_is(e.text, "broken by 7"));
	pinion_release(r);
}

/* Three that end only when all three have begun. */
static int
meet(void *replica, pinion_request *req)
{
	static _Atomic int here;
	int err = 0;

	(void)replica;
	atomic_fetch_add(&here, 1);
	while (err == 0 && atomic_load(&here) < 3)
		err = pinion_sleep(req, 1000);
	return err != 0 ? err : pinion_reply(req, (int64_t)atomic_load(&here));
}

static const pinion_deployment meeting = {
	.name = "Meeting",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, meet, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_meeting(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &meeting, PINION_ARGS());
}

static void
behaviour_28_calls_of_one_caller_run_at_once(void **state)
{
	pinion_response r[3];
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_meeting, &handle), 0);
	for (int i = 0; i < 3; i++)
		r[i] = pinion_call(handle, PINION_ARGS());
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), 3);
}

/* ---- chaining (C) --------------------------------------------------------------------------- */

static int
subtract(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) - pinion_arg_i64(req, 1));
}

static const pinion_deployment subtracting = {
	.name = "Minus",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, subtract,
	    .params = PINION_PARAMS(PINION_I64("from"), PINION_I64("less")),
	    .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_minus(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &subtracting, PINION_ARGS());
}

static void
behaviour_30_and_31_responses_are_values_in_their_place(void **state)
{
	pinion_handle minus;
	pinion_response ten, three;

	(void)state;
	assert_int_equal(pinion_run(rt, build_minus, &minus), 0);
	ten = pinion_call(minus, PINION_ARGS(12, 2));
	three = pinion_call(minus, PINION_ARGS(3, 0));
	assert_int_equal(graph_i64(pinion_call(minus, PINION_ARGS(ten, three))), 7);
	assert_int_equal(graph_i64(pinion_call(minus, PINION_ARGS(1, three))), -2);
	assert_int_equal(graph_i64(pinion_call(minus, PINION_ARGS(ten, 1))), 9);
	assert_int_equal(graph_i64(pinion_call(minus,
			     PINION_ARGS(PINION_NAMED("less", ten), PINION_NAMED("from", three)))),
	    -7);
	assert_int_equal(
	    graph_i64(pinion_call(minus, PINION_ARGS(100, PINION_NAMED("less", ten)))), 90);
	pinion_release(ten);
	pinion_release(three);
}

static void
behaviour_34_results_of_a_chain_in_any_order(void **state)
{
	pinion_handle add = run_one();
	pinion_response r[4];

	(void)state;
	for (int turn = 0; turn < 8; turn++) {
		r[0] = pinion_call(add, PINION_ARGS((int64_t)0));
		for (int i = 1; i < 4; i++)
			r[i] = pinion_call(add, PINION_ARGS(r[i - 1]));
		for (int i = 0; i < 4; i++) {
			int at = (i * (turn % 2 == 0 ? 1 : 3) + turn / 2) % 4;
			int64_t x;

			assert_int_equal(pinion_result(r[at], &x), 0);
			assert_int_equal(x, at + 1);
		}
		for (int i = 0; i < 4; i++)
			pinion_release(r[i]);
	}
}

/* The first waits for its token; what waits for it has no place in the only replica. */
static void
behaviour_35_and_36_a_stuck_stage_holds_up_nobody(void **state)
{
	pinion_handle one, many;
	pinion_response stuck, behind[3];

	(void)state;
	one = run_one(); /* runs one request at a time */
	assert_int_equal(pinion_run(rt, graph_build_workers, &many, .name = "many"), 0);
	atomic_store(&graph_deferred, 0);
	stuck = pinion_call(pinion_method_of(many, "defer"), PINION_ARGS());
	for (int i = 0; i < 3; i++)
		behind[i] = pinion_call(one, PINION_ARGS(stuck));
	for (int64_t i = 0; i < 100; i++) {
		pinion_response first = pinion_call(many, PINION_ARGS(i));

		assert_int_equal(graph_i64(pinion_call(one, PINION_ARGS(first))), i + 2);
		pinion_release(first);
	}
	while (atomic_load(&graph_deferred) == 0)
		continue;
	assert_int_equal(pinion_token_reply(graph_token, (int64_t)41), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(behind[i]), 42);
	pinion_release(stuck);
}

static void
behaviour_40_upstreams_error_is_the_dependents(void **state)
{
	pinion_handle one = run_one(), which = pinion_method_of(one, "which");
	int64_t before = graph_i64(pinion_call(which, PINION_ARGS())), x;
	pinion_response broken =
	    pinion_call(pinion_method_of(one, "broken"), PINION_ARGS((int64_t)3));
	pinion_response first = pinion_call(one, PINION_ARGS(broken));
	pinion_response second = pinion_call(one, PINION_ARGS(first));
	pinion_error e;

	(void)state;
	assert_int_equal(pinion_result(second, &x), -EDOM);
	e = pinion_response_error(second);
	assert_int_equal(e.origin, PINION_ORIGIN_UPSTREAM);
	assert_true(pinion_str_is(e.deployment, "Worker"));
	assert_true(pinion_str_is(e.method, "broken"));
	assert_true(pinion_str_is(e.text, "broken by 3"));
	/* Neither ran: calls are counted. */
	assert_int_equal(graph_i64(pinion_call(which, PINION_ARGS())), before + 1);
	pinion_release(broken);
	pinion_release(first);
	pinion_release(second);
}

/* ---- routing (G) ---------------------------------------------------------------------------- */

static int
do_nothing(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	return 0;
}

static const pinion_deployment busy_kind = {
	.name = "Busy",
	.reconfigure = do_nothing,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, graph_nap,
	    .params = PINION_PARAMS(PINION_I64("ns")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_busy(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &busy_kind, PINION_ARGS(), .user_config = "a");
}

static _Atomic int changed;

/* Its only replica begins nothing until what it runs has ended, which it does not in this time. */
static void *
change_it(void *arg)
{
	(void)arg;
	atomic_store(
	    &changed, pinion_reconfigure(rt, "Busy", .user_config = "b", .timeout_ns = 50000000));
	return NULL;
}

static void
behaviour_86_one_without_a_replica_holds_up_no_other(void **state)
{
	pinion_handle busy, others;
	pinion_response nap, waits;
	pthread_t thread;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_run(rt, build_busy, &busy), 0);
	assert_int_equal(pinion_run(rt, graph_build_workers, &others, .name = "others"), 0);
	nap = pinion_call(busy, PINION_ARGS(INT64_MAX / 4));
	while (atomic_load(&graph_running) == 0)
		continue;
	atomic_store(&changed, 1);
	assert_int_equal(pthread_create(&thread, NULL, change_it, NULL), 0);
	waits = pinion_call(busy, PINION_ARGS((int64_t)0));
	for (int64_t i = 0; i < 100 || atomic_load(&changed) == 1; i++)
		assert_int_equal(graph_i64(pinion_call(others, PINION_ARGS(i))), i + 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&changed), -ETIMEDOUT);
	pinion_cancel(nap);
	assert_int_equal(pinion_result(nap, &x), -ECANCELED);
	assert_int_equal(graph_i64(waits), 0);
	pinion_release(nap);
}

/* ---- start and stop ------------------------------------------------------------------------- */

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2);
}

static int
stop(void **state)
{
	pinion_census c;

	(void)state;
	(void)pinion_port_mine(rt);
	do
		pinion_census_take(rt, &c); /* those of threads that ended go in their own time */
	while (c.ports != 1 || c.custody != 0);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_5_two_of_a_kind_have_names_of_their_own),
		TEST(behaviour_6_constructors_take_every_kind),
		TEST(behaviour_15_and_16_a_result_is_read_again_and_again),
		TEST(behaviour_20_an_unknown_method_fails_in_the_response),
		TEST(behaviour_27_errors_keep_code_place_and_text),
		TEST(behaviour_28_calls_of_one_caller_run_at_once),
		TEST(behaviour_30_and_31_responses_are_values_in_their_place),
		TEST(behaviour_34_results_of_a_chain_in_any_order),
		TEST(behaviour_35_and_36_a_stuck_stage_holds_up_nobody),
		TEST(behaviour_40_upstreams_error_is_the_dependents),
		TEST(behaviour_86_one_without_a_replica_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
