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
#include <sched.h>
#include <sys/resource.h>

#include "core/runtime.h"

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

/* Else a worker and a caller yield long before they sleep. */
static void
skip_without_two_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) < 2)
		skip();
}

static void
a_million_races_of_sleep_and_wake_lose_nothing(void **state)
{
	uint64_t us = pinioni_clock_ticks_us(), random = seed() | 1, n = scaled(1000000);
	pinion_worker_status before, after;
	pinion_port_status port;

	(void)state;
	skip_without_two_cpus();
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
	skip_without_two_cpus();
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

static void
who_waits_looks_then_yields_then_sleeps(void **state)
{
	static struct pinion_runtime patient = { .spin_ticks = 10, .sleep_ticks = 20 };

	(void)state;
	assert_int_equal(runtime_wait_step(&patient, 9), WAIT_LOOK);
	assert_int_equal(runtime_wait_step(&patient, 10), WAIT_YIELD);
	assert_int_equal(runtime_wait_step(&patient, 19), WAIT_YIELD);
	assert_int_equal(runtime_wait_step(&patient, 20), WAIT_SLEEP);
}

static void
assert_mode(int workers, const char *idle, enum board_mode mode)
{
	uint64_t us;

	assert_int_equal(pinion_start(&rt, .workers = workers, .idle = idle), 0);
	us = rt->ticks_us;
	assert_int_equal(rt->mode, mode);
	assert_int_equal(rt->spin_ticks,
	    mode == BOARD_SPIN        ? UINT64_MAX
		: mode == BOARD_YIELD ? YIELD_US * us
				      : SPIN_US * us);
	assert_int_equal(rt->sleep_ticks, mode == BOARD_YIELD ? YIELD_MAX_US * us : rt->spin_ticks);
	pinion_stop(rt);
}

static void
adaptive_yields_when_workers_and_a_caller_outnumber_the_cpus(void **state)
{
	cpu_set_t before, two;

	(void)state;
	skip_without_two_cpus();
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	CPU_ZERO(&two);
	for (size_t cpu = 0; CPU_COUNT(&two) < 2; cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &two);
	assert_int_equal(sched_setaffinity(0, sizeof two, &two), 0);
	assert_mode(1, NULL, BOARD_ADAPTIVE);
	assert_mode(1, "adaptive", BOARD_ADAPTIVE);
	assert_mode(2, NULL, BOARD_YIELD);
	assert_mode(2, "adaptive", BOARD_YIELD);
	assert_mode(3, "adaptive", BOARD_YIELD);
	assert_mode(1, "yield", BOARD_YIELD);
	assert_mode(1, "spin", BOARD_SPIN);
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int
main(void)
{
	static char adaptive[] = "adaptive", yield[] = "yield";
	struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_looks_then_yields_then_sleeps),
		cmocka_unit_test(adaptive_yields_when_workers_and_a_caller_outnumber_the_cpus),
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
