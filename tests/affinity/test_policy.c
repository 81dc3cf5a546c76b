/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A thread's real-time policy is seen, and the gap is what the two settings leave.
 * Method  A child takes the policy, where it may; the settings lie in a folder of the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "affinity/policy.h"

enum {
	SKIPPED = 77
};

static char folder[] = "/tmp/pinion-policy-XXXXXX";

static void
path_of(char path[64], const char *name)
{
	(void)snprintf(path, 64, "%s/%s", folder, name);
}

/* text NULL: there is no such setting. */
static void
set(const char *name, const char *text)
{
	char path[64];
	FILE *f;

	path_of(path, name);
	(void)remove(path); /* it may not be there */
	if (text == NULL)
		return;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	set("sched_rt_period_us", NULL);
	set("sched_rt_runtime_us", NULL);
	return rmdir(folder);
}

/* In a child, with that policy: is it seen so? */
static void
expect(int policy, const char *name, long gap_us, long period_us)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct sched_param priority = { .sched_priority = 1 };
		struct policy seen;

		if (sched_setscheduler(0, policy, &priority) != 0)
			_exit(SKIPPED);
		pinioni_policy_look(folder, &seen);
		_exit(seen.name != NULL && strcmp(seen.name, name) == 0 && seen.gap_us == gap_us &&
			    seen.period_us == period_us
			? 0
			: 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
an_ordinary_thread_has_none(void **state)
{
	struct policy seen;

	(void)state;
	pinioni_policy_look(folder, &seen);
	assert_null(seen.name);
	assert_int_equal(seen.gap_us, 0);
}

static void
the_gap_is_what_the_settings_leave_of_a_period(void **state)
{
	(void)state;
	set("sched_rt_period_us", "500000\n");
	set("sched_rt_runtime_us", "480000\n");
	expect(SCHED_FIFO, "SCHED_FIFO", 20000, 500000);
	expect(SCHED_RR, "SCHED_RR", 20000, 500000);
	expect(SCHED_FIFO | SCHED_RESET_ON_FORK, "SCHED_FIFO", 20000, 500000);
}

static void
without_a_limit_there_is_no_gap(void **state)
{
	(void)state;
	set("sched_rt_period_us", "1000000\n");
	set("sched_rt_runtime_us", "-1\n");
	expect(SCHED_FIFO, "SCHED_FIFO", 0, 1000000);
	set("sched_rt_runtime_us", "1000000\n");
	expect(SCHED_FIFO, "SCHED_FIFO", 0, 1000000);
}

static void
settings_that_cannot_be_read_count_as_the_kernels_own(void **state)
{
	(void)state;
	set("sched_rt_period_us", NULL);
	set("sched_rt_runtime_us", "none\n");
	expect(SCHED_FIFO, "SCHED_FIFO", 50000, 1000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_thread_has_none),
		cmocka_unit_test(the_gap_is_what_the_settings_leave_of_a_period),
		cmocka_unit_test(without_a_limit_there_is_no_gap),
		cmocka_unit_test(settings_that_cannot_be_read_count_as_the_kernels_own),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
