/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Calls, chains, forwards, tasks, references and deferred answers give the right results, in every
 *         mode of idling, and nothing is held afterwards.
 * Method  One small application (graph.h) on two workers; each test checks values and the census.
 */
#include "tests/core/graph.h"

#include <pthread.h>

static pinion_runtime *rt;
static pinion_handle relay, worker;
static int workers;

static int
start(void **state)
{
	const char *idle = *state;
	pinion_diag diag;

	/* One worker that spins, for this test spins too, and there may be just two cores. */
	workers = strcmp(idle, "spin") == 0 ? 1 : 2;
	assert_int_equal(pinion_start(&rt, .workers = workers, .idle = idle, .diag = &diag), 0);
	assert_int_equal(pinion_run(rt, graph_build, &relay, .diag = &diag), 0);
	assert_int_equal(
	    pinion_run(rt, graph_build_workers, &worker, .name = "workers", .diag = &diag), 0);
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
behaviour_1_a_call_answers(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(20000); i++)
		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(i))), i + 1);
	graph_assert_clean(rt, 1);
}

static void
behaviour_2_and_18_a_handler_waits_for_its_child(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(5000); i++)
		assert_int_equal(graph_i64(pinion_call(relay, PINION_ARGS(i))), i + 2);
	graph_assert_clean(rt, 1);
}

static void
a_chain_completes_while_its_caller_does_nothing(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(5000); i++) {
		pinion_response a = pinion_call(worker, PINION_ARGS(i));
		pinion_response b = pinion_call(worker, PINION_ARGS(a));
		pinion_response c = pinion_call(worker, PINION_ARGS(b));
		pinion_response d = pinion_call(worker, PINION_ARGS(c));

		pinion_release(a);
		pinion_release(c);
		assert_int_equal(graph_i64(d), i + 4);
		assert_int_equal(graph_i64(b), i + 2);
	}
	graph_assert_clean(rt, 1);
}

static void
behaviour_33_and_42_a_diamond_joins_its_legs(void **state)
{
	pinion_handle minus = pinion_method_of(worker, "minus");
	pinion_handle inner = pinion_method_of(relay, "diamond");

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(20000); i++) {
		pinion_response top = pinion_call(worker, PINION_ARGS(i));
		pinion_response left = pinion_call(worker, PINION_ARGS(top));
		pinion_response middle = pinion_call(worker, PINION_ARGS(top));
		pinion_response right = pinion_call(worker, PINION_ARGS(middle));
		pinion_response both = pinion_call(minus, PINION_ARGS(left, right));

		pinion_release(top);
		pinion_release(left);
		pinion_release(middle);
		pinion_release(right);
		assert_int_equal(graph_i64(both), -1);
		assert_int_equal(graph_i64(pinion_call(inner, PINION_ARGS(i))), 2 * i + 4);
	}
	graph_assert_clean(rt, 1);
}

static void
a_forward_answers_our_caller_and_dependents_follow(void **state)
{
	pinion_handle forward = pinion_method_of(relay, "forward");
	pinion_handle late = pinion_method_of(relay, "late");

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(5000); i++) {
		pinion_response a = pinion_call(forward, PINION_ARGS(i));
		pinion_response b = pinion_call(late, PINION_ARGS(a));
		pinion_response c = pinion_call(worker, PINION_ARGS(b));

		pinion_release(a);
		pinion_release(b);
		assert_int_equal(graph_i64(c), i + 4);
	}
	graph_assert_clean(rt, 1);
}

static int
add_task(pinion_request *req)
{
	return pinion_reply(req, pinion_arg_i64(req, 0) + pinion_arg_i64(req, 1));
}

static void
behaviour_9_and_39_a_task_takes_results_and_plain_values(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(3000); i++) {
		pinion_response a = pinion_call(worker, PINION_ARGS(i));
		pinion_response b = pinion_task(rt, add_task, PINION_ARGS(a, 10));

		pinion_release(a);
		assert_int_equal(graph_i64(b), i + 11);
	}
	graph_assert_clean(rt, 1);
}

static void *
read_reference(void *arg)
{
	const pinion_ref *ref = arg;
	int64_t x = 0;

	return (void *)(intptr_t)(pinion_ref_get(*ref, &x) == 0 ? x : -1);
}

static void
a_reference_is_read_by_another_thread(void **state)
{
	pinion_handle nap = pinion_method_of(worker, "nap");

	(void)state;
	for (unsigned i = 0; i < scaled(100); i++) {
		pinion_response r = pinion_call(nap, PINION_ARGS(100000));
		pinion_ref ref = pinion_response_ref(r);
		pthread_t t;
		void *x;

		assert_int_equal(pthread_create(&t, NULL, read_reference, &ref), 0);
		pthread_join(t, &x);
		assert_int_equal((intptr_t)x, 100000);
		pinion_release(r);
		assert_int_equal(pinion_ref_get(ref, &(int64_t){ 0 }), -ESTALE);
	}
}

static void
a_deferred_request_is_answered_from_another_thread(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(2000); i++) {
		pinion_response r, after;

		atomic_store(&graph_deferred, 0);
		r = pinion_call(pinion_method_of(worker, "defer"), PINION_ARGS());
		after = pinion_call(worker, PINION_ARGS(r));
		while (atomic_load(&graph_deferred) == 0)
			continue;
		assert_int_equal(pinion_token_reply(graph_token, i), 0);
		assert_int_equal(pinion_token_reply(graph_token, i), -EALREADY);
		assert_int_equal(graph_i64(after), i + 1);
		pinion_release(r);
	}
	graph_assert_clean(rt, 1);
}

static void
behaviour_41_a_large_result_is_read_where_it_was_written(void **state)
{
	(void)state;
	for (unsigned i = 0; i < scaled(200); i++) {
		pinion_response big =
		    pinion_call(pinion_method_of(worker, "fill"), PINION_ARGS(1 << 20));
		pinion_response at =
		    pinion_call(pinion_method_of(worker, "in_place"), PINION_ARGS(big));

		pinion_release(big);
		assert_int_equal(graph_i64(at), 1);
	}
	graph_assert_clean(rt, 1);
}

static void
a_loaned_argument_is_read_where_it_was_built(void **state)
{
	pinion_port *port = pinion_port_mine(rt);
	void *loan = pinion_loan(port, 1 << 20);

	(void)state;
	assert_non_null(loan);
	memcpy(loan, &loan, sizeof loan);
	pinion_bytes b = { loan, 1 << 20 };
	pinion_response r = pinion_call(pinion_method_of(worker, "in_place"), PINION_ARGS(b));

	pinion_loan_end(port, loan);
	assert_int_equal(graph_i64(r), 1);
	graph_assert_clean(rt, 1);
}

static void
texts_of_every_length_come_back(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t n = 0; n < sizeof text; n++) {
		pinion_str s = { text, n }, back;
		pinion_response r = pinion_call(
		    pinion_method_of(worker, "echo"), PINION_ARGS(PINION_NAMED("text", s)));

		assert_int_equal(pinion_result(r, &back), 0);
		assert_int_equal(back.len, n);
		assert_memory_equal(back.data, text, n);
		pinion_release(r);
	}
	graph_assert_clean(rt, 1);
}

static void
calls_reach_every_replica(void **state)
{
	unsigned seen[2] = { 0 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		int64_t x =
		    graph_i64(pinion_call(pinion_method_of(worker, "which"), PINION_ARGS()));

		assert_in_range(x / 1000000, 0, workers - 1);
		seen[x / 1000000]++;
		assert_in_range(x % 1000000, 1, 100); /* a hundred each of three */
	}
	assert_true(seen[0] != 0 && (seen[1] != 0 || workers == 1));
}

static void
tagged_calls_are_harvested_once_each(void **state)
{
	pinion_port *port = pinion_port_mine(rt);
	pinion_finished done[16];
	unsigned char seen[64];

	(void)state;
	for (unsigned round = 0; round < scaled(500); round++) {
		unsigned left = sizeof seen;

		memset(seen, 0, sizeof seen);
		for (uint64_t i = 0; i < sizeof seen; i++)
			assert_int_not_equal(
			    pinion_call_tagged(port, worker, PINION_ARGS((int64_t)i), i).slot,
			    UINT32_MAX);
		while (left != 0) {
			unsigned n = pinion_harvest(port, done, 16);

			for (unsigned i = 0; i < n; i++) {
				assert_int_equal(seen[done[i].tag]++, 0);
				assert_int_equal(
				    graph_i64(done[i].response), (int64_t)done[i].tag + 1);
			}
			left -= n;
		}
	}
	graph_assert_clean(rt, 1);
}

static void
posts_run_without_an_answer(void **state)
{
	pinion_census c;

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(pinion_post(worker, PINION_ARGS(i)), 0);
	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
	do /* nobody is told when a post has ended */
		pinion_census_take(rt, &c);
	while (c.requests != 0);
	graph_assert_clean(rt, 1);
}

static int
run_mode(const char *idle)
{
	static char mode[16];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaviour_1_a_call_answers),
		cmocka_unit_test(behaviour_2_and_18_a_handler_waits_for_its_child),
		cmocka_unit_test(a_chain_completes_while_its_caller_does_nothing),
		cmocka_unit_test(behaviour_33_and_42_a_diamond_joins_its_legs),
		cmocka_unit_test(a_forward_answers_our_caller_and_dependents_follow),
		cmocka_unit_test(behaviour_9_and_39_a_task_takes_results_and_plain_values),
		cmocka_unit_test(a_reference_is_read_by_another_thread),
		cmocka_unit_test(a_deferred_request_is_answered_from_another_thread),
		cmocka_unit_test(behaviour_41_a_large_result_is_read_where_it_was_written),
		cmocka_unit_test(a_loaned_argument_is_read_where_it_was_built),
		cmocka_unit_test(texts_of_every_length_come_back),
		cmocka_unit_test(calls_reach_every_replica),
		cmocka_unit_test(tagged_calls_are_harvested_once_each),
		cmocka_unit_test(posts_run_without_an_answer),
	};
	struct CMUnitTest with_mode[sizeof tests / sizeof tests[0]];

	(void)snprintf(mode, sizeof mode, "%s", idle);
	memcpy(with_mode, tests, sizeof tests);
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		with_mode[i].setup_func = start;
		with_mode[i].teardown_func = stop;
		with_mode[i].initial_state = mode;
	}
	return cmocka_run_group_tests_name(idle, with_mode, NULL, NULL);
}

int
main(void)
{
	return run_mode("adaptive") + run_mode("yield") + run_mode("spin");
}
