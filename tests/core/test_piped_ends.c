/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A stream that is a call's argument ends for both when either ends, however, and nothing of it is left.
 * Method  Readers that read no more, close, are canceled, never start; what the producer ended with is looked at. The
 *         census is zero behind every test.
 */
#include <sched.h>

#include "tests/core/piped.h"

static void
await_end(int64_t with)
{
	while (atomic_load(&ended) == 0)
		(void)sched_yield(); /* cannot fail on Linux */
	assert_int_equal(atomic_load(&ended), with);
}

static pinion_node *
build_bounded(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &reading, PINION_ARGS(), .name = "Bounded",
	    .max_ongoing_requests = 1, .max_queued_requests = 1);
}

/* A stream without an end whose producer has begun: one that had not would never begin, and say nothing. */
static pinion_stream
endless(int worker)
{
	pinion_stream s = numbers(worker, INT64_MAX);
	int64_t x;

	assert_int_equal(pinion_next(s, &x), 1);
	return s;
}

/* Both a producer that yields on, and one that sleeps. */
static void
who_reads_no_more_ends_the_producer(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		pinion_stream s = numbers(from, INT64_MAX);

		atomic_store(&ended, 0);
		assert_int_equal(
		    graph_i64(pinion_call(method(0, "some"), PINION_ARGS(s, (int64_t)100))),
		    sum_below(100));
		await_end(-ECANCELED);
		pinion_stream_close(s);
		s = pinion_call_stream(pinion_method_of(producer[from], "hesitate"), PINION_ARGS());
		atomic_store(&ended, 0);
		assert_int_equal(
		    graph_i64(pinion_call(method(0, "some"), PINION_ARGS(s, (int64_t)1))), 7);
		await_end(-ECANCELED);
		pinion_stream_close(s);
	}
}

static void
it_may_be_closed_or_canceled_where_it_is_read(void **state)
{
	pinion_stream s = endless(1);

	(void)state;
	atomic_store(&ended, 0);
	assert_int_equal(
	    graph_i64(pinion_call(method(0, "close_at_once"), PINION_ARGS(s))), -ESTALE);
	await_end(-ECANCELED);
	pinion_stream_close(s);
	s = numbers(1, INT64_MAX);
	assert_int_equal(
	    graph_i64(pinion_call(method(0, "cancel_it"), PINION_ARGS(s))), -ECANCELED);
	pinion_stream_close(s);
	s = numbers(1, 10);
	atomic_store(&told, 0);
	assert_int_equal(graph_i64(pinion_call(method(0, "read_after_reply"), PINION_ARGS(s))), 1);
	while (atomic_load(&told) != -ESTALE)
		(void)sched_yield(); /* cannot fail on Linux */
	pinion_stream_close(s);
}

/* Canceled in the queue, or refused at its door: the producer must not wait for ever. */
static void
a_reader_that_never_starts_ends_the_producer(void **state)
{
	pinion_handle bounded;
	pinion_response busy, queued, refused;
	pinion_stream a = endless(1), b = endless(1);

	(void)state;
	assert_int_equal(pinion_run(rt, build_bounded, &bounded, .name = "bounded"), 0);
	atomic_store(&told, 0);
	busy = pinion_call(pinion_method_of(bounded, "fill"), PINION_ARGS());
	while (atomic_load(&told) != 2)
		(void)sched_yield(); /* cannot fail on Linux */
	queued = pinion_call(bounded, PINION_ARGS(a));
	atomic_store(&ended, 0);
	refused = pinion_call(bounded, PINION_ARGS(b));
	assert_int_equal(
	    pinion_result_into(refused, (pinion_into){ .kind = PINION_KIND_NONE }), -ENOBUFS);
	await_end(-ECANCELED);
	atomic_store(&ended, 0);
	pinion_cancel(queued);
	assert_int_equal(
	    pinion_result_into(queued, (pinion_into){ .kind = PINION_KIND_NONE }), -ECANCELED);
	await_end(-ECANCELED);
	pinion_cancel(busy);
	assert_int_equal(
	    pinion_result_into(busy, (pinion_into){ .kind = PINION_KIND_NONE }), -ECANCELED);
	pinion_release(busy);
	pinion_release(queued);
	pinion_release(refused);
	pinion_stream_close(a);
	pinion_stream_close(b);
}

/* The reader is told, although the producer is not. */
static void
a_stream_whose_time_is_over_ends_for_its_reader(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pinion_stream s = pinion_call_stream(
		    pinion_method_of(producer[1], "be_deaf"), PINION_ARGS(), .timeout_ns = 1000000);
		pinion_response r = pinion_call(method(0, "explain"), PINION_ARGS(s));
		pinion_str text;

		assert_int_equal(pinion_result(r, &text), 0);
		assert_true(strncmp(text.data, "0 items, -110 -110: ", 20) == 0);
		atomic_store(&is_free, true);
		pinion_release(r);
		pinion_stream_close(s);
		(void)graph_i64(pinion_call(method(1, "echo"), PINION_ARGS((int64_t)0)));
		atomic_store(&is_free, false);
	}
}

/* Whatever ends first, and however: all is given back. */
static void
many_are_abandoned_anywhere(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (uint64_t i = 0; i < scaled(20000); i++) {
		pinion_stream s;
		pinion_response r;
		int64_t x;
		unsigned how;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		how = (unsigned)(random >> 33);
		s = pinion_call_stream(producer[how & 1],
		    PINION_ARGS((how & 2) != 0 ? INT64_MAX : (int64_t)(how >> 8 & 63)),
		    .window = 1 << (how >> 14 & 5));
		for (unsigned k = 0; k < (how >> 2 & 3); k++)
			if (pinion_next(s, &x) < 0)
				fail();
		r = pinion_call(
		    method((int)(how >> 4 & 1), "some"), PINION_ARGS(s, (int64_t)(how >> 20 & 63)));
		if ((how & 32) != 0)
			pinion_stream_close(s);
		if ((how & 64) != 0)
			pinion_cancel(r);
		if ((how & 128) != 0)
			(void)!pinion_result(r, &x); /* may be anything */
		pinion_release(r);
		if ((how & 32) == 0)
			pinion_stream_close(s);
	}
}

static void
stop_ends_those_that_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pinion_runtime *other;
		pinion_stream s;
		pinion_response r;

		assert_int_equal(
		    pinion_start(&other, .workers = 1 + i % 2, .drain_ns = 1 + i * 100000), 0);
		assert_int_equal(run_app(other), 0);
		s = i % 3 == 0 ? numbers(i % 2, INT64_MAX)
			       : pinion_call_stream(
				     pinion_method_of(producer[i % 2], "hesitate"), PINION_ARGS());
		r = pinion_call(reader[0], PINION_ARGS(s));
		pinion_stop(other);
		pinion_release(r);
		pinion_stream_close(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_reads_no_more_ends_the_producer),
		TEST(it_may_be_closed_or_canceled_where_it_is_read),
		TEST(a_reader_that_never_starts_ends_the_producer),
		TEST(a_stream_whose_time_is_over_ends_for_its_reader),
		TEST(many_are_abandoned_anywhere),
		cmocka_unit_test(stop_ends_those_that_wait),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
