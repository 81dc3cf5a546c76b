/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Hours of calls, chains and streams, while processes are killed and stopped, and clients come and go, change nothing: what is
 *         taken is given back, answers are right.
 * Method  Two minutes, or PINION_TEST_SOAK_S seconds; PINION_TEST_DIVISOR shortens it. What the process has is compared with what it
 *         had; memory with that of a quarter of the time.
 */
#include "tests/attach/belongings.h"
#include "tests/attach/hosted_load.h"

#include <time.h>

enum {
	CALLERS = 2,
	CLIENTS = 2,
	FAULT_EVERY = 40, /* calls of the test's own between two of them */
	SOAK_S = 120,
	DRIFT_KB =
	    2048 /* what an allocator keeps; a request leaked a fault is ten times that in an hour */
};

static const char *const deployments[] = { "one", "two", "there" };

static double
seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
duration(void)
{
	const char *said = getenv("PINION_TEST_SOAK_S");

	return said != NULL ? atof(said) : SOAK_S * (double)scaled(1000) / 1000;
}

static void
call_some(void)
{
	for (int k = 0; k < FAULT_EVERY; k++)
		(void)number(pinion_call(handle_of("here", "work"), PINION_ARGS(INT64_C(-1), 0)));
}

static void
replace(pid_t *client)
{
	assert_int_equal(kill(*client, SIGKILL), 0);
	assert_int_equal(guest_wait(*client), -SIGKILL);
	*client = guest_start("client", own_name);
}

static void
make_fault(uint64_t turn, pid_t clients[CLIENTS])
{
	pid_t victim = turn % 5 == 4 ? 0 : victim_of(deployments[turn % 3]);

	if (victim == 0) {
		replace(&clients[turn / 5 % CLIENTS]);
	} else if (turn % 2 == 0) {
		(void)kill(victim, SIGKILL);
	} else {
		(void)kill(victim, SIGSTOP);
		call_some();
		(void)kill(victim, SIGCONT);
	}
}

static void
await_same(struct belongings before)
{
	for (unsigned i = 0; i < 3; i++)
		while (victim_of(deployments[i]) == 0)
			continue;
	while (!is_same(before, belongings()))
		(void)sched_yield(); /* when what was killed last is buried */
}

static void
nothing_changes(void **state)
{
	double start = seconds(), time = duration(), shown = start;
	pthread_t threads[CALLERS + 1];
	struct belongings before;
	pid_t clients[CLIENTS];
	uint64_t faults = 0;
	long memory = 0;

	(void)state;
	call_some();
	before = belongings();
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_on, rt), 0);
	assert_int_equal(pthread_create(&threads[CALLERS], NULL, stream_on, rt), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = guest_start("client", own_name);
	for (; seconds() - start < time; faults++) {
		make_fault(faults, clients);
		call_some();
		if (memory == 0 && seconds() - start > time / 4)
			memory = resident();
		if (seconds() - shown > 30) {
			shown = seconds();
			print_message("%.0f s: %llu faults, %llu answers\n", shown - start,
			    (unsigned long long)faults, (unsigned long long)atomic_load(&right));
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(kill(clients[i], SIGKILL), 0);
		assert_int_equal(guest_wait(clients[i]), -SIGKILL);
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < CALLERS + 1; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_nothing_left();
	await_same(before);
	print_message(
	    "%.0f s, %llu faults: %llu answers, %llu ended with their process, %ld kB more\n", time,
	    (unsigned long long)faults, (unsigned long long)atomic_load(&right),
	    (unsigned long long)atomic_load(&dead), resident() - memory);
	if (scaled(1000) == 1000) /* sanitizers keep what was given back */
		assert_true(resident() - memory < DRIFT_KB);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_changes, hosted_start, hosted_stop),
	};
	static const struct role roles[] = { { "client", hosted_play_client }, { NULL, NULL } };
	int code;

	if (argc == 6)
		return hosted_serve(argv);
	code = guest_main(argc, argv, roles);
	return code >= 0 ? code : cmocka_run_group_tests(tests, hosted_make, hosted_remove);
}
