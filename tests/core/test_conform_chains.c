/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What Ray Serve's own tests demand of chained calls, where no test of a part of the runtime says just that; the
 *         numbers are docs/conformance.md's.
 * Method  As test_conform.c.
 */
#include "tests/core/graph.h"

#include <sched.h>

static pinion_runtime *rt;

static pinion_handle
run_one(void)
{
	pinion_handle handle;

	assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
	return handle;
}

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

/* Through both applications, and back to the first. */
static int
cross(void *replica, pinion_request *req)
{
	pinion_runtime *own = pinion_request_runtime(req);
	pinion_handle one, two;
	pinion_response first;
	int err = pinion_handle_find(own, "one", "Worker", &one);

	(void)replica;
	if (err == 0)
		err = pinion_handle_find(own, "two", "Worker", &two);
	if (err != 0)
		return err;
	first = pinion_call(one, PINION_ARGS(pinion_arg_i64(req, 0)));
	return pinion_forward(req, one, PINION_ARGS(pinion_call(two, PINION_ARGS(first))));
}

static const pinion_deployment crossing = {
	.name = "Crossing",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, cross,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_crossing(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &crossing, PINION_ARGS());
}

static void
behaviour_32_chains_cross_applications(void **state)
{
	pinion_handle one, two, cross_both;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_single, &one, .name = "one"), 0);
	assert_int_equal(pinion_run(rt, graph_build_workers, &two, .name = "two"), 0);
	assert_int_equal(pinion_run(rt, build_crossing, &cross_both, .name = "both"), 0);
	for (int64_t i = 0; i < 100; i++) {
		pinion_response first = pinion_call(one, PINION_ARGS(i));
		pinion_response second = pinion_call(two, PINION_ARGS(first));

		assert_int_equal(graph_i64(pinion_call(one, PINION_ARGS(second))), i + 3);
		pinion_release(first);
		pinion_release(second);
		assert_int_equal(graph_i64(pinion_call(cross_both, PINION_ARGS(i))), i + 3);
	}
}

/* It is surely not there when they are called, nor when it is given back. */
static void
behaviour_33_one_response_feeds_several(void **state)
{
	pinion_handle many;
	pinion_response shared, fed[5];
	int64_t x;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_workers, &many), 0);
	for (int round = 0; round < 20; round++) {
		atomic_store(&graph_deferred, 0);
		shared = pinion_call(pinion_method_of(many, "defer"), PINION_ARGS());
		for (int i = 0; i < 5; i++)
			fed[i] = pinion_call(many, PINION_ARGS(shared));
		pinion_release(shared);
		while (atomic_load(&graph_deferred) == 0)
			(void)sched_yield();
		for (int i = 0; i < 5; i++)
			assert_int_equal(pinion_result_within(fed[i], 0, &x), -EAGAIN);
		assert_int_equal(pinion_token_reply(graph_token, (int64_t)41), 0);
		for (int i = 0; i < 5; i++)
			assert_int_equal(graph_i64(fed[i]), 42);
	}
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

/* More in all than the arena has room for. */
static void
behaviour_43_a_reference_pins_no_memory(void **state)
{
	pinion_handle fill = pinion_method_of(run_one(), "fill");

	(void)state;
	for (int i = 0; i < 100; i++) {
		pinion_response r = pinion_call(fill, PINION_ARGS((int64_t)1 << 20));
		pinion_ref ref = pinion_response_ref(r);
		pinion_bytes bytes;

		assert_int_equal(pinion_ref_get(ref, &bytes), 0);
		assert_int_equal(bytes.len, 1 << 20);
		pinion_release(r);
		assert_int_equal(pinion_ref_get(ref, &bytes), -ESTALE);
		graph_assert_clean(rt, 1);
	}
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
	(void)state;
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_30_and_31_responses_are_values_in_their_place),
		TEST(behaviour_32_chains_cross_applications),
		TEST(behaviour_33_one_response_feeds_several),
		TEST(behaviour_34_results_of_a_chain_in_any_order),
		TEST(behaviour_35_and_36_a_stuck_stage_holds_up_nobody),
		TEST(behaviour_40_upstreams_error_is_the_dependents),
		TEST(behaviour_43_a_reference_pins_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
