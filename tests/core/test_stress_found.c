/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What pinion-stress has found stays found: one test for each fault, as small as it can be.
 * Method  The small application of graph.h, or one bound here; values and the census are checked.
 */
#include "core/runtime.h"
#include "tests/core/graph.h"

#include <pthread.h>

static pinion_runtime *rt;

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static pinion_handle
start(int workers, pinion_builder *build)
{
	pinion_handle h;
	pinion_diag diag;

	assert_int_equal(pinion_start(&rt, .workers = workers, .diag = &diag), 0);
	assert_int_equal(pinion_run(rt, build, &h, .diag = &diag), 0);
	return h;
}

static void
a_wait_for_any_of_several_names_one_that_is_there(void **state)
{
	pinion_handle worker = start(1, graph_build_workers);
	pinion_response r[3];

	(void)state;
	r[0] = pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS(20000000));
	r[1] = pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS(30000000));
	assert_int_equal(pinion_wait_any(r, 2, 0), -EAGAIN);
	r[2] = pinion_call(worker, PINION_ARGS(1));
	assert_int_equal(pinion_wait_any(r, 3, -1), 2);
	assert_int_equal(graph_i64(r[2]), 2);
	assert_int_equal(pinion_wait_any(r, 2, -1), 0);
	assert_int_equal(graph_i64(r[0]), 20000000);
	assert_int_equal(graph_i64(r[1]), 30000000);
}

static void
a_tagged_call_given_back_is_not_harvested(void **state)
{
	pinion_handle worker = start(1, graph_build_workers);
	pinion_port *port = pinion_port_mine(rt);
	pinion_finished done[4];

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		pinion_response r = pinion_call_tagged(port, worker, PINION_ARGS(1), 7);
		pinion_response s = pinion_call_tagged(port, worker, PINION_ARGS(2), 8);

		pinion_release(r);
		assert_int_equal(pinion_result(s, &(int64_t){ 0 }), 0);
		while (pinion_harvest(port, done, 1) == 0)
			continue;
		assert_int_equal(done[0].tag, 8);
		pinion_release(s);
		r = pinion_call_tagged(port, worker, PINION_ARGS(3), 9);
		s = pinion_call_tagged(port, worker, PINION_ARGS(3), 10);
		while (pinion_harvest(port, done, 1) == 0)
			continue;
		assert_true(done[0].tag == 9);
		assert_int_equal(graph_i64(s), 4); /* in the list, and given back */
		assert_int_equal(graph_i64(r), 4);
		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(4))), 5);
		assert_int_equal(pinion_harvest(port, done, 4), 0);
	}
	graph_assert_clean(rt, 1);
}

static void
a_reference_to_a_fault_gives_the_fault_after_a_large_result(void **state)
{
	pinion_handle worker = start(1, graph_build_workers);
	pinion_response r = pinion_call(pinion_method_of(worker, "fill"), PINION_ARGS(5000));
	pinion_bytes bytes;
	uint32_t slot = r.slot;
	pinion_ref ref;

	(void)state;
	assert_int_equal(pinion_result(r, &bytes), 0);
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "broken"), PINION_ARGS(1));
	assert_int_equal(r.slot, slot);
	ref = pinion_response_ref(r);
	assert_int_equal(pinion_ref_get(ref, &(int64_t){ 0 }), -EDOM);
	pinion_release(r);
}

/* A join follows its first argument to the worker that it was handed to, finds it done there, and has to
 * wait for the next one, which is at home elsewhere. */
static void
what_followed_one_argument_does_not_wait_there_for_another(void **state)
{
	pinion_handle relay = start(2, graph_build), worker;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_workers, &worker, .name = "workers"), 0);
	for (int64_t i = 0; i < (int64_t)scaled(20000); i++) {
		pinion_response a = pinion_call(pinion_method_of(relay, "forward"), PINION_ARGS(i));
		pinion_response b = pinion_call(pinion_method_of(relay, "late"), PINION_ARGS(i));
		pinion_response c = pinion_call(worker, PINION_ARGS(b));
		pinion_response d = pinion_call(pinion_method_of(relay, "diamond"), PINION_ARGS(i));
		pinion_response sum =
		    pinion_call(pinion_method_of(worker, "sum"), PINION_ARGS(a, c));
		pinion_response all =
		    pinion_call(pinion_method_of(worker, "sum"), PINION_ARGS(sum, d));
		int64_t x;

		assert_int_equal(pinion_result_within(all, 5000000000, &x), 0);
		assert_int_equal(x, (i + 1) + (i + 3) + (2 * i + 4));
		pinion_release(a);
		pinion_release(b);
		pinion_release(c);
		pinion_release(d);
		pinion_release(sum);
		pinion_release(all);
	}
	graph_assert_clean(rt, 1);
}

static pinion_token tokens[8];
static unsigned token_count;

static int
take_token(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_defer(req, &tokens[token_count++]);
}

static const pinion_deployment deferring = {
	.name = "Deferring",
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, take_token, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_deferring(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &deferring, PINION_ARGS());
}

static void
the_driver_answers_more_tokens_than_its_lane_has_cells(void **state)
{
	pinion_handle h;
	pinion_response r[8];

	(void)state;
	token_count = 0;
	assert_int_equal(pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .lane_cells = 2), 0);
	assert_int_equal(pinion_run(rt, build_deferring, &h), 0);
	for (unsigned i = 0; i < 8; i++) {
		r[i] = pinion_call(h, PINION_ARGS());
		while (token_count == i)
			assert_true(pinion_work(rt) >= 0);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pinion_token_reply(tokens[i], (int64_t)i), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(graph_i64(r[i]), i);
	graph_assert_clean(rt, 1);
}

static unsigned
count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned lines = 0;

	assert_non_null(f);
	for (int c; (c = fgetc(f)) != EOF;)
		lines += c == '\n';
	(void)fclose(f); /* read only */
	return lines;
}

/* A runtime's threads are joined, or their stacks would stay. A stack or two are the C library's to keep. */
static void
runtimes_that_come_and_go_leave_no_mapping(void **state)
{
	unsigned before = 0;

	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		pinion_handle worker = start(2, graph_build_workers);

		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
		pinion_stop(rt);
		if (i == 3)
			before = count_mappings();
	}
	assert_in_range(count_mappings(), 0, before + 10);
}

/* ---- stop ------------------------------------------------------------------------------------ */

static _Atomic int holds, held;

/* Keeps its worker busy until `holds` is 0. */
static int
hold(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_store(&held, 1);
	while (atomic_load(&holds) != 0)
		continue;
	return pinion_reply(req, (int64_t)1);
}

/* Answers with a call to itself, `n` deep. */
static int
nest(void *replica, pinion_request *req)
{
	pinion_handle me = pinion_arg_handle(req, 0);
	int64_t n = pinion_arg_i64(req, 1);

	(void)replica;
	if (n == 0)
		return pinion_reply(req, (int64_t)7);
	return pinion_reply_response(
	    req, pinion_call(pinion_method_of(me, "nest"), PINION_ARGS(me, n - 1)));
}

/* Has given its answer away and goes on for a while. */
static int
linger(void *replica, pinion_request *req)
{
	pinion_handle me = pinion_arg_handle(req, 0);
	int err =
	    pinion_reply_response(req, pinion_call(pinion_method_of(me, "never"), PINION_ARGS()));

	(void)replica;
	return err != 0 ? err : pinion_sleep(req, 100000000);
}

static int
never(void *replica, pinion_request *req)
{
	pinion_token token;

	(void)replica;
	return pinion_defer(req, &token);
}

static pinion_token kept_tokens[900];
static _Atomic uint32_t kept_count;

static int
keep_token(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &kept_tokens[pinion_arg_i64(req, 0)]);

	(void)replica;
	atomic_fetch_add(&kept_count, 1);
	return err;
}

/* 1: a child that takes 50 ms is not there within one. */
static int
impatient(void *replica, pinion_request *req)
{
	pinion_handle me = pinion_arg_handle(req, 0);
	pinion_response r = pinion_call(pinion_method_of(me, "nap"), PINION_ARGS());
	int64_t x;
	int err = pinion_result_within(r, 1000000, &x);

	(void)replica;
	return pinion_reply(req, (int64_t)(err == -EAGAIN));
}

static int
nap(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, 50000000);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

/* Declares a text and answers with a number. */
static int
mistaken(void *replica, pinion_request *req)
{
	pinion_handle me = pinion_arg_handle(req, 0);

	(void)replica;
	return pinion_reply_response(
	    req, pinion_call(pinion_method_of(me, "nest"), PINION_ARGS(me, 0)));
}

static const pinion_deployment stubborn = {
	.name = "Stubborn",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hold, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("nest", nest,
		.params = PINION_PARAMS(PINION_HANDLE("me"), PINION_I64("n")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("linger", linger, .params = PINION_PARAMS(PINION_HANDLE("me")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("impatient", impatient, .params = PINION_PARAMS(PINION_HANDLE("me")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("nap", nap, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("mistaken", mistaken, .params = PINION_PARAMS(PINION_HANDLE("me")),
		.returns = PINION_RETURNS_STR),
	    PINION_METHOD("keep_token", keep_token, .params = PINION_PARAMS(PINION_I64("i")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("never", never, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_stubborn(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &stubborn, PINION_ARGS(), .max_ongoing_requests = 1000);
}

static void *
let_go(void *unused)
{
	(void)unused;
	while (runtime_phase(rt) < RUNTIME_CANCELING)
		continue; /* ended by the stop, which waits for the handler then */
	atomic_store(&holds, 0);
	return NULL;
}

static void
a_stop_cancels_a_full_lane_without_a_deep_stack(void **state)
{
	enum {
		CALLS = 2000
	};
	static pinion_response r[CALLS];
	pinion_handle h;
	pthread_t t;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 1, .slots = 2 * CALLS, .lane_cells = 2048,
			     .drain_ns = 1000000),
	    0);
	assert_int_equal(pinion_run(rt, build_stubborn, &h), 0);
	atomic_store(&held, 0);
	atomic_store(&holds, 1);
	r[0] = pinion_call(h, PINION_ARGS());
	while (atomic_load(&held) == 0)
		continue;
	for (unsigned i = 1; i < CALLS; i++)
		r[i] = pinion_call(h, PINION_ARGS());
	assert_int_equal(pthread_create(&t, NULL, let_go, NULL), 0);
	pinion_stop(rt);
	pthread_join(t, NULL);
	for (unsigned i = 0; i < CALLS; i++)
		assert_int_equal(pinion_result_within(r[i], 0, &x), -ESTALE);
}

static void
answers_that_are_calls_nest_without_a_deep_stack(void **state)
{
	pinion_handle h = start(1, build_stubborn);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(h, "nest"), PINION_ARGS(h, 190))), 7);
	graph_assert_clean(rt, 1);
}

/* Each completes a request, which looks behind in its lane, where the next answer lies. */
static void
answers_in_one_lane_do_not_nest(void **state)
{
	enum {
		CALLS = sizeof kept_tokens / sizeof kept_tokens[0]
	};
	static pinion_response r[CALLS];
	pinion_handle h = start(1, build_stubborn);
	pinion_response holding;

	(void)state;
	atomic_store(&kept_count, 0);
	atomic_store(&held, 0);
	atomic_store(&holds, 1);
	for (int64_t i = 0; i < CALLS; i++)
		r[i] = pinion_call(pinion_method_of(h, "keep_token"), PINION_ARGS(i));
	while (atomic_load(&kept_count) < CALLS)
		continue;
	holding = pinion_call(h, PINION_ARGS());
	while (atomic_load(&held) == 0)
		continue;
	for (int64_t i = 0; i < CALLS; i++)
		assert_int_equal(pinion_token_reply(kept_tokens[i], i), 0);
	atomic_store(&holds, 0);
	assert_int_equal(graph_i64(holding), 1);
	for (int64_t i = 0; i < CALLS; i++)
		assert_int_equal(graph_i64(r[i]), i);
	graph_assert_clean(rt, 1);
}

static void
a_stop_ends_a_handler_that_gave_its_answer_away(void **state)
{
	pinion_handle h;
	pinion_response r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 1, .drain_ns = 1000000), 0);
	assert_int_equal(pinion_run(rt, build_stubborn, &h), 0);
	r = pinion_call(pinion_method_of(h, "linger"), PINION_ARGS(h));
	assert_int_equal(pinion_result_within(r, 5000000, &x), -EAGAIN);
	pinion_stop(rt);
}

static void
a_wait_in_a_handler_ends_in_time_though_its_child_is_local(void **state)
{
	pinion_handle h = start(1, build_stubborn);

	(void)state;
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(h, "impatient"), PINION_ARGS(h))), 1);
}

static void
an_answer_by_a_response_of_another_kind_is_refused(void **state)
{
	pinion_handle h = start(1, build_stubborn);
	pinion_response r = pinion_call(pinion_method_of(h, "mistaken"), PINION_ARGS(h));
	pinion_str text;
	pinion_error e;

	(void)state;
	assert_int_equal(pinion_result(r, &text), -EINVAL);
	e = pinion_response_error(r);
	assert_int_equal(e.code, -EINVAL);
	assert_int_equal(e.origin, PINION_ORIGIN_HANDLER);
	assert_non_null(strstr(e.text.data, "Stubborn.mistaken declares to return"));
	pinion_release(r);
	graph_assert_clean(rt, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_wait_for_any_of_several_names_one_that_is_there, stop),
		cmocka_unit_test_teardown(a_tagged_call_given_back_is_not_harvested, stop),
		cmocka_unit_test_teardown(
		    a_reference_to_a_fault_gives_the_fault_after_a_large_result, stop),
		cmocka_unit_test_teardown(
		    what_followed_one_argument_does_not_wait_there_for_another, stop),
		cmocka_unit_test_teardown(
		    the_driver_answers_more_tokens_than_its_lane_has_cells, stop),
		cmocka_unit_test(a_stop_cancels_a_full_lane_without_a_deep_stack),
		cmocka_unit_test_teardown(answers_that_are_calls_nest_without_a_deep_stack, stop),
		cmocka_unit_test_teardown(answers_in_one_lane_do_not_nest, stop),
		cmocka_unit_test(a_stop_ends_a_handler_that_gave_its_answer_away),
		cmocka_unit_test_teardown(
		    a_wait_in_a_handler_ends_in_time_though_its_child_is_local, stop),
		cmocka_unit_test_teardown(an_answer_by_a_response_of_another_kind_is_refused, stop),
		cmocka_unit_test(runtimes_that_come_and_go_leave_no_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
