/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Who has nothing to do sleeps; no message and no wake-up is lost at the border, and none needed the
 *         sleep's time limit.
 * Method  Calls that come just when the other side is about to sleep, by pauses of random length around the
 *         time it spins; counters of sleeps and of rescues. Idleness is counted in wake-ups and processor time,
 *         which the process itself has used, not in how long anything took.
 */
#include "tests/core/graph.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

#include "core/clock.h"

static pinion_runtime *rt;
static pinion_handle worker;

static int
start(void **state)
{
	if (pinion_start(&rt, .workers = 1, .idle = *state) != 0)
		return -1;
	return pinion_run(rt, graph_build_workers, &worker);
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
spin_for(uint64_t ticks)
{
	uint64_t start_ticks = clock_ticks();

	while (clock_ticks() - start_ticks < ticks)
		continue;
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

static void
a_million_races_of_sleep_and_wake_lose_nothing(void **state)
{
	uint64_t us = pinioni_clock_ticks_us(), random = seed() | 1, n = scaled(1000000);
	pinion_worker_status before, after;
	pinion_port_status port;

	(void)state;
	look(&before);
	for (uint64_t i = 0; i < n; i++) {
		spin_for(next_random(&random) % (14 * us)); /* the worker sleeps after 10 us */
		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS((int64_t)i))), i + 1);
	}
	look(&after);
	assert_true(after.sleeps - before.sleeps > n / 100);
	assert_int_equal(after.rescued, 0);
	pinion_port_look(pinion_port_mine(rt), &port);
	assert_int_equal(port.rescued, 0);
	print_message("%llu calls, the worker slept %llu times\n", (unsigned long long)n,
	    (unsigned long long)(after.sleeps - before.sleeps));
}

/* The caller sleeps, and is woken by a worker's answer. */
static void
a_caller_that_sleeps_is_woken(void **state)
{
	pinion_handle nap = pinion_method_of(worker, "nap");
	uint64_t random = seed() | 1, n = scaled(20000);
	pinion_port_status port;
	pinion_worker_status w;

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		int64_t ns = (int64_t)(next_random(&random) % 30000); /* it sleeps after 10 us */

		assert_int_equal(graph_i64(pinion_call(nap, PINION_ARGS(ns))), ns);
	}
	pinion_port_look(pinion_port_mine(rt), &port);
	look(&w);
	print_message("%llu naps, the caller slept %llu times\n", (unsigned long long)n,
	    (unsigned long long)port.sleeps);
	assert_true(port.sleeps > n / 100);
	assert_int_equal(port.rescued, 0);
	assert_int_equal(w.rescued, 0);
	graph_assert_clean(rt, 1);
}

static uint64_t
used_us(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* A fifth of a percent of one core is 2000 microseconds a second. */
static void
without_traffic_a_runtime_uses_next_to_nothing(void **state)
{
	uint64_t start_ns, used, us;

	(void)state;
	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
	start_ns = clock_monotonic_ns();
	used = used_us();
	assert_int_equal(poll(NULL, 0, 3000), 0);
	used = used_us() - used;
	us = (clock_monotonic_ns() - start_ns) / 1000;
	print_message("idle: %.3f %% of a core\n", 100.0 * (double)used / (double)us);
	if (scaled(1000) == 1000) /* sanitizers have threads of their own */
		assert_true(used * 1000 < us * 2);
}

int
main(void)
{
	static char adaptive[] = "adaptive", yield[] = "yield";
	struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(
		    a_million_races_of_sleep_and_wake_lose_nothing, start, stop, adaptive),
		cmocka_unit_test_prestate_setup_teardown(
		    a_caller_that_sleeps_is_woken, start, stop, adaptive),
		cmocka_unit_test_prestate_setup_teardown(
		    without_traffic_a_runtime_uses_next_to_nothing, start, stop, adaptive),
		cmocka_unit_test_prestate_setup_teardown(
		    without_traffic_a_runtime_uses_next_to_nothing, start, stop, yield),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
