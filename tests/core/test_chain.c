/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A request travels to its arguments: one result feeds several, results are awaited in any order, a
 *         stuck stage holds up nobody else's, no message goes back to the caller in between, and no lane is
 *         too short.
 * Method  Two workers; stages that the test ends itself; counters of the board.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle worker;

static pinion_node *
build_two(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .num_replicas = 2);
}

static int
start_with(int lane_cells)
{
	pinion_diag diag;

	if (pinion_start(&rt, .workers = 2, .lane_cells = lane_cells, .diag = &diag) == 0 &&
	    pinion_run(rt, build_two, &worker, .diag = &diag) == 0)
		return 0;
	print_message("%s\n", diag.text);
	return -1;
}

static int
start(void **state)
{
	(void)state;
	return start_with(0);
}

static int
start_short(void **state)
{
	(void)state;
	return start_with(2);
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Its answer waits for graph_token. */
static pinion_response
stuck(pinion_token *token)
{
	pinion_response r;

	atomic_store(&graph_deferred, 0);
	r = pinion_call(pinion_method_of(worker, "defer"), PINION_ARGS());
	while (atomic_load(&graph_deferred) == 0)
		continue;
	*token = graph_token;
	return r;
}

static void
one_unfinished_response_feeds_several_awaited_in_any_order(void **state)
{
	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(2000); i++) {
		pinion_token token;
		pinion_response top = stuck(&token), d[8];

		for (int k = 0; k < 8; k++)
			d[k] = pinion_call(worker, PINION_ARGS(k < 4 ? top : d[k - 4]));
		assert_int_equal(pinion_token_reply(token, i), 0);
		for (int k = 0; k < 8; k++) {
			int at =
			    (k * 5 + (int)i) % 8; /* 5 and 8 have no common factor: each once */

			assert_int_equal(graph_i64(d[at]), i + (at < 4 ? 1 : 2));
		}
		assert_int_equal(graph_i64(top), i);
	}
	graph_assert_clean(rt, 1);
}

static void
a_stuck_first_stage_does_not_hold_up_another_request(void **state)
{
	pinion_token token;
	pinion_response top = stuck(&token);
	pinion_response after = pinion_call(worker, PINION_ARGS(top));
	pinion_response last = pinion_call(worker, PINION_ARGS(after));
	int64_t x;

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(1000); i++) {
		pinion_response a = pinion_call(worker, PINION_ARGS(i));
		pinion_response b = pinion_call(worker, PINION_ARGS(a));

		pinion_release(a);
		assert_int_equal(graph_i64(b), i + 2);
	}
	assert_int_equal(pinion_result_within(last, 0, &x), -EAGAIN);
	assert_int_equal(pinion_token_reply(token, (int64_t)10), 0);
	assert_int_equal(graph_i64(last), 12);
	assert_int_equal(graph_i64(after), 11);
	assert_int_equal(graph_i64(top), 10);
	graph_assert_clean(rt, 1);
}

static void
several_unresolved_arguments_are_collected(void **state)
{
	pinion_handle sum = pinion_method_of(worker, "sum");

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(2000); i++) {
		pinion_token ta, tb;
		pinion_response a = stuck(&ta), b = stuck(&tb);
		pinion_response both = pinion_call(sum, PINION_ARGS(a, b));
		pinion_response twice = pinion_call(sum, PINION_ARGS(both, both));

		assert_int_equal(pinion_token_reply(i % 2 == 0 ? tb : ta, i), 0);
		assert_int_equal(pinion_token_reply(i % 2 == 0 ? ta : tb, i), 0);
		assert_int_equal(graph_i64(twice), 4 * i);
		pinion_release(a);
		pinion_release(b);
		pinion_release(both);
	}
	graph_assert_clean(rt, 1);
}

static int
sum_eight(pinion_request *req)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < 8; i++)
		sum += pinion_arg_i64(req, i);
	return pinion_reply(req, sum);
}

static void
eight_unresolved_arguments_are_the_most(void **state)
{
	pinion_response r[9], all;

	(void)state;
	for (int64_t k = 0; k < 9; k++)
		r[k] = pinion_call(worker, PINION_ARGS(k));
	all =
	    pinion_task(rt, sum_eight, PINION_ARGS(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]));
	assert_int_equal(graph_i64(all), 36);
	all = pinion_task(
	    rt, sum_eight, PINION_ARGS(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]));
	assert_int_equal(pinion_result(all, &(int64_t){ 0 }), -E2BIG);
	pinion_release(all);
	for (int k = 0; k < 9; k++)
		pinion_release(r[k]);
	graph_assert_clean(rt, 1);
}

static void
count_messages(uint64_t *sent, uint64_t *rings)
{
	pinion_worker_status s;

	*sent = *rings = 0;
	for (unsigned i = 0; i < 2; i++) {
		(void)pinion_worker_look(rt, i, &s);
		*sent += s.sent;
		*rings += s.rings;
	}
}

/* A stage costs at most one message from worker to worker; the caller gets none, and is not rung. */
static void
no_message_goes_back_to_the_caller_between_the_stages(void **state)
{
	enum {
		STAGES = 8
	};
	uint64_t sent, rings, sent_before, rings_before;
	pinion_token token;
	pinion_response r[STAGES];

	(void)state;
	r[0] = stuck(&token);
	count_messages(&sent_before, &rings_before);
	for (int k = 1; k < STAGES; k++)
		r[k] = pinion_call(worker, PINION_ARGS(r[k - 1]));
	/* A reference is looked at without asking to be told: nothing but the chain itself moves. */
	assert_int_equal(pinion_token_reply(token, (int64_t)0), 0);
	while (pinion_result_within(r[STAGES - 1], 0, &(int64_t){ 0 }) == -EAGAIN)
		continue;
	count_messages(&sent, &rings);
	assert_in_range(
	    sent - sent_before, 0, 2 * (STAGES - 1)); /* to the argument, to the target */
	for (int k = STAGES; k-- > 0;)
		assert_int_equal(graph_i64(r[k]), k);
	graph_assert_clean(rt, 1);
}

static void
a_diamond_gives_the_right_sum_a_million_times(void **state)
{
	enum {
		DEPTH = 64
	};
	pinion_handle sum = pinion_method_of(worker, "sum");
	pinion_response both[DEPTH];

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(1000000); i++) {
		pinion_response top, left, right;
		int at = (int)(i % DEPTH);

		if (i >= DEPTH)
			assert_int_equal(graph_i64(both[at]), 2 * (i - DEPTH) + 4);
		top = pinion_call(worker, PINION_ARGS(i));
		left = pinion_call(worker, PINION_ARGS(top));
		right = pinion_call(worker, PINION_ARGS(top));
		both[at] = pinion_call(sum, PINION_ARGS(left, right));
		assert_int_equal(pinion_response_error(both[at]).code, 0);
		pinion_release(top);
		pinion_release(left);
		pinion_release(right);
	}
	for (int64_t i = (int64_t)scaled(1000000), last = i < DEPTH ? 0 : i - DEPTH; last < i;
	     last++)
		assert_int_equal(graph_i64(both[last % DEPTH]), 2 * last + 4);
	graph_assert_clean(rt, 1);
}

/* Each handler makes a chain that goes to the other worker and back, through lanes of two messages. */
static void
lanes_of_two_cells_exchange_a_million_chains(void **state)
{
	enum {
		DEPTH = 32
	};
	pinion_handle relay;
	pinion_response r[DEPTH];
	int64_t n = (int64_t)scaled(333334), sent = 0,
		done = 0; /* three dependents each: a million */

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build, &relay, .name = "relay"), 0);
	relay = pinion_method_of(relay, "diamond");
	while (done < n) {
		while (sent < n && sent - done < DEPTH) {
			pinion_response x = pinion_call(relay, PINION_ARGS(sent));

			if (pinion_response_error(x).code ==
			    -ENOBUFS) { /* the lane is full for now */
				pinion_release(x);
				if (sent == done)
					continue;
				break;
			}
			r[sent++ % DEPTH] = x;
		}
		assert_int_equal(graph_i64(r[done % DEPTH]), 2 * done + 4);
		done++;
	}
	graph_assert_clean(rt, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    one_unfinished_response_feeds_several_awaited_in_any_order, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_stuck_first_stage_does_not_hold_up_another_request, start, stop),
		cmocka_unit_test_setup_teardown(
		    several_unresolved_arguments_are_collected, start, stop),
		cmocka_unit_test_setup_teardown(
		    eight_unresolved_arguments_are_the_most, start, stop),
		cmocka_unit_test_setup_teardown(
		    no_message_goes_back_to_the_caller_between_the_stages, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_diamond_gives_the_right_sum_a_million_times, start, stop),
		cmocka_unit_test_setup_teardown(
		    lanes_of_two_cells_exchange_a_million_chains, start_short, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
