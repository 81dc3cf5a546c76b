/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A caller-driven runtime starts no thread, runs chains, diamonds and sleepers on the one that drives
 *         it, lives in the caller's time, and may be driven by several threads in turn.
 * Method  /proc/self/task for the threads; a clock that the test moves by hand.
 */
#include "tests/core/graph.h"

#include <dirent.h>
#include <pthread.h>

static pinion_runtime *rt;
static pinion_handle relay, worker;
static _Atomic uint64_t virtual_ns;

static uint64_t
virtual_now(void *arg)
{
	(void)arg;
	return atomic_load(&virtual_ns);
}

static unsigned
count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		count++;
	closedir(d);
	return count - 2; /* . and .. */
}

static unsigned threads_before;

static int
start(void **state)
{
	(void)state;
	threads_before = count_threads();
	atomic_store(&virtual_ns, 1);
	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN,
		.clock = (pinion_clock){ .now = virtual_now }) != 0 ||
	    pinion_run(rt, graph_build, &relay) != 0)
		return -1;
	return pinion_run(rt, graph_build_workers, &worker, .name = "workers");
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
chains_and_diamonds_run_on_the_one_thread(void **state)
{
	pinion_handle diamond = pinion_method_of(relay, "diamond");
	pinion_handle late = pinion_method_of(relay, "late");

	(void)state;
	for (int64_t i = 0; i < (int64_t)scaled(20000); i++) {
		pinion_response a = pinion_call(worker, PINION_ARGS(i));
		pinion_response b = pinion_call(worker, PINION_ARGS(a));

		pinion_release(a);
		assert_int_equal(graph_i64(b), i + 2);
		assert_int_equal(graph_i64(pinion_call(diamond, PINION_ARGS(i))), 2 * i + 4);
		assert_int_equal(graph_i64(pinion_call(late, PINION_ARGS(i))), i + 2);
		assert_int_equal(graph_i64(pinion_call(relay, PINION_ARGS(i))), i + 2);
	}
	assert_int_equal(count_threads(), threads_before);
	graph_assert_clean(rt, 1);
}

static void
sleepers_wake_when_the_callers_clock_says_so(void **state)
{
	pinion_handle nap = pinion_method_of(worker, "nap");
	pinion_response r[10];
	int64_t x;

	(void)state;
	for (int64_t i = 0; i < 10; i++)
		r[i] = pinion_call(nap, PINION_ARGS((i + 1) * INT64_C(3600000000000))); /* hours */
	while (pinion_work(rt) != 0)
		continue;
	for (int64_t i = 0; i < 10; i++) {
		assert_int_equal(pinion_result_within(r[i], 0, &x), -EAGAIN);
		atomic_fetch_add(&virtual_ns, UINT64_C(3600000000000));
		while (pinion_work(rt) != 0)
			continue;
		assert_int_equal(pinion_result_within(r[i], 0, &x), 0);
		pinion_release(r[i]);
	}
	assert_int_equal(count_threads(), threads_before);
	graph_assert_clean(rt, 1);
}

static void
with_nothing_to_do_a_turn_says_so(void **state)
{
	pinion_response r = pinion_call(worker, PINION_ARGS(1));

	(void)state;
	assert_true(pinion_work(rt) > 0);
	while (pinion_work(rt) != 0)
		continue;
	assert_int_equal(graph_i64(r), 2);
}

static void *
call_many(void *arg)
{
	intptr_t wrong = 0;

	(void)arg;
	for (int64_t i = 0; i < (int64_t)scaled(2000); i++) {
		pinion_response a = pinion_call(relay, PINION_ARGS(i));
		pinion_response b = pinion_call(worker, PINION_ARGS(a));
		int64_t x = 0;

		wrong += pinion_result(b, &x) != 0 || x != i + 3;
		pinion_release(a);
		pinion_release(b);
	}
	return (void *)wrong;
}

static void
edge_A_another_thread_may_drive(void **state)
{
	pthread_t t[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, call_many, NULL), 0);
	for (int i = 0; i < 3; i++) {
		void *wrong;

		pthread_join(t[i], &wrong);
		assert_null(wrong);
	}
	graph_assert_clean(rt, 0);
}

static void
a_runtime_with_threads_is_not_driven(void **state)
{
	pinion_runtime *other;

	(void)state;
	assert_int_equal(pinion_start(&other, .workers = 1), 0);
	assert_int_equal(pinion_work(other), -EINVAL);
	pinion_stop(other);
}

/* ---- clocks --------------------------------------------------------------------------------- */

static void
both_clocks_go_forward_together(void **state)
{
	pinion_clock tsc = pinion_clock_tsc(), monotonic = pinion_clock_monotonic();
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t before = monotonic.now(monotonic.arg);
		uint64_t now = tsc.now(tsc.arg);
		uint64_t after = monotonic.now(monotonic.arg);

		/* They agree at the start and are a few parts in a hundred thousand apart. */
		assert_true(now + 1000000 > before && now < after + 1000000);
		assert_true(now >= last);
		last = now;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    chains_and_diamonds_run_on_the_one_thread, start, stop),
		cmocka_unit_test_setup_teardown(
		    sleepers_wake_when_the_callers_clock_says_so, start, stop),
		cmocka_unit_test_setup_teardown(with_nothing_to_do_a_turn_says_so, start, stop),
		cmocka_unit_test_setup_teardown(edge_A_another_thread_may_drive, start, stop),
		cmocka_unit_test(a_runtime_with_threads_is_not_driven),
		cmocka_unit_test(both_clocks_go_forward_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
