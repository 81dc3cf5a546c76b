/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A stream that is a call's argument is read by that call's handler, item by item, past the caller: from where
 *         the caller had come to, to its end or its error.
 * Method  Producers and readers on the same and on different workers; the caller only builds. The census is zero behind
 *         every test.
 */
#include "tests/core/piped.h"

static void
assert_text(pinion_response r, const char *text)
{
	pinion_str got;

	assert_int_equal(pinion_result(r, &got), 0);
	if (!pinion_str_is(got, text))
		print_message("%.*s\n", PINION_STR_FMT(got));
	assert_true(pinion_str_is(got, text));
	pinion_release(r);
}

/* The reader gets what is yielded, whoever runs where; the caller only waits for its answer. */
static void
behaviour_38_a_stream_is_an_argument(void **state)
{
	int64_t n = (int64_t)scaled(200000);

	(void)state;
	for (int from = 0; from < 2; from++)
		for (int to = 0; to < 2; to++) {
			pinion_stream s = numbers(from, n);
			pinion_stream none = numbers(from, 0);

			assert_int_equal(
			    graph_i64(pinion_call(reader[to], PINION_ARGS(s))), sum_below(n));
			assert_int_equal(graph_i64(pinion_call(reader[to], PINION_ARGS(none))), 0);
			pinion_stream_close(s);
			pinion_stream_close(none);
		}
}

static void
behaviour_39_a_task_takes_a_stream(void **state)
{
	pinion_stream s = numbers(1, 1000);

	(void)state;
	assert_int_equal(graph_i64(pinion_task(rt, sum_task, PINION_ARGS(s))), sum_below(1000));
	pinion_stream_close(s);
	assert_int_equal(
	    graph_i64(pinion_call(method(0, "ask_a_task"), PINION_ARGS((int64_t)1000))),
	    sum_below(1000));
}

static void
stages_are_joined_by_streams(void **state)
{
	pinion_stream a = numbers(0, 5000);
	pinion_stream b = pinion_call_stream(method(1, "twice"), PINION_ARGS(a));
	pinion_stream c = pinion_call_stream(method(0, "twice"), PINION_ARGS(b));
	pinion_response r = pinion_call(method(1, "some"), PINION_ARGS(c, (int64_t)5000));

	(void)state;
	pinion_stream_close(a); /* nothing ends by it */
	pinion_stream_close(b);
	pinion_stream_close(c);
	assert_int_equal(graph_i64(r), 4 * sum_below(5000));
}

static void
texts_and_several_at_once(void **state)
{
	pinion_stream s =
	    pinion_call_stream(pinion_method_of(producer[1], "spell"), PINION_ARGS((int64_t)2700));
	pinion_stream a = numbers(0, 100), b = numbers(1, 100);

	(void)state;
	assert_int_equal(
	    graph_i64(pinion_call(method(0, "lengths"), PINION_ARGS(s))), 100 * sum_below(27));
	assert_int_equal(graph_i64(pinion_call(method(0, "dot"), PINION_ARGS(a, b))), 328350);
	pinion_stream_close(s);
	pinion_stream_close(a);
	pinion_stream_close(b);
}

static void
what_the_caller_has_read_is_not_read_again(void **state)
{
	pinion_stream s = pinion_call_stream(producer[1], PINION_ARGS((int64_t)100), .window = 4);
	int64_t x;

	(void)state;
	for (int64_t i = 0; i < 10; i++)
		assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(
	    graph_i64(pinion_call(reader[0], PINION_ARGS(s))), sum_below(100) - sum_below(10));
	assert_int_equal(pinion_next(s, &x), -EINVAL);
	pinion_stream_close(s);
}

static void
an_error_comes_after_the_items(void **state)
{
	pinion_stream s = pinion_call_stream(
	    pinion_method_of(producer[1], "fail_after"), PINION_ARGS((int64_t)40));

	(void)state;
	assert_text(pinion_call(method(0, "explain"), PINION_ARGS(s)),
	    "40 items, -33 -33: B.fail_after: after 40");
	pinion_stream_close(s);
}

static void
it_is_forwarded(void **state)
{
	pinion_stream s = numbers(1, 1000);

	(void)state;
	assert_int_equal(
	    graph_i64(pinion_call(method(0, "hand_on"), PINION_ARGS(s))), sum_below(1000));
	pinion_stream_close(s);
	assert_int_equal(graph_i64(pinion_call(method(0, "hand_over"), PINION_ARGS((int64_t)1000))),
	    sum_below(1000));
}

/* The call with a stream does not wait for it, nor for what the stream waits for. */
static void
its_producer_may_start_later(void **state)
{
	pinion_response nap = pinion_call(method(0, "echo"), PINION_ARGS((int64_t)300));
	pinion_stream s = pinion_call_stream(producer[1], PINION_ARGS(nap));

	(void)state;
	assert_int_equal(graph_i64(pinion_call(reader[0], PINION_ARGS(s))), sum_below(300));
	pinion_stream_close(s);
	pinion_release(nap);
}

static void
a_wait_may_end(void **state)
{
	pinion_stream s =
	    pinion_call_stream(pinion_method_of(producer[1], "hesitate"), PINION_ARGS());

	(void)state;
	assert_int_equal(graph_i64(pinion_call(method(0, "impatient"), PINION_ARGS(s))), -EAGAIN);
	pinion_stream_close(s);
}

static void
each_of_a_batch_has_its_own(void **state)
{
	pinion_stream s[4];
	pinion_response r[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		s[i] = numbers(i % 2, 100 * (i + 1));
		r[i] = pinion_call(method(0, "sum_each"), PINION_ARGS(s[i]));
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(graph_i64(r[i]), sum_below(100 * (i + 1)));
		pinion_stream_close(s[i]);
	}
}

static void
look(pinion_worker_status *sum)
{
	pinion_worker_status s;

	*sum = (pinion_worker_status){ .cpu = 0 };
	for (unsigned i = 0; i < pinion_worker_look(rt, 0, NULL); i++) {
		(void)pinion_worker_look(rt, i, &s);
		sum->sleeps += s.sleeps;
		sum->rescued += s.rescued;
	}
}

/* Nobody counts on the sleep's time limit: not for an item, without which no other is made, not for the end. */
static void
a_reader_that_sleeps_is_woken(void **state)
{
	pinion_worker_status sum = { .cpu = 0 };

	(void)state;
	for (uint64_t i = 0; i < scaled(1000); i++) {
		pinion_stream lagging = pinion_call_stream(pinion_method_of(producer[1], "lag"),
		    PINION_ARGS((int64_t)(i % 6)), .window = 1);

		assert_int_equal(graph_i64(pinion_call(reader[0], PINION_ARGS(lagging))),
		    sum_below((int64_t)(i % 6)));
		pinion_stream_close(lagging);
		look(&sum);
		assert_int_equal(sum.rescued, 0);
	}
	print_message("the workers slept %llu times\n", (unsigned long long)sum.sleeps);
}

static void
a_driver_needs_no_thread(void **state)
{
	pinion_runtime *driven;
	pinion_stream s;

	(void)state;
	assert_int_equal(pinion_start(&driven, .workers = PINION_CALLER_DRIVEN), 0);
	assert_int_equal(run_app(driven), 0);
	s = numbers(0, 1000);
	assert_int_equal(graph_i64(pinion_call(reader[0], PINION_ARGS(s))), sum_below(1000));
	pinion_stream_close(s);
	pinion_stop(driven);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_38_a_stream_is_an_argument),
		TEST(behaviour_39_a_task_takes_a_stream),
		TEST(stages_are_joined_by_streams),
		TEST(texts_and_several_at_once),
		TEST(what_the_caller_has_read_is_not_read_again),
		TEST(an_error_comes_after_the_items),
		TEST(it_is_forwarded),
		TEST(its_producer_may_start_later),
		TEST(a_wait_may_end),
		TEST(each_of_a_batch_has_its_own),
		TEST(a_reader_that_sleeps_is_woken),
		cmocka_unit_test(a_driver_needs_no_thread),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
