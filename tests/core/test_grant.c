/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What the kernel refuses is in the log, once a runtime, and calls go on working; what it grants
 *         of what was asked for by name is there too.
 * Method  Each start in a child: with a filter that refuses one system call, or on a machine of two nodes
 *         that hwloc is told of and the kernel does not have. The log lies in shared memory.
 */
#include "tests/core/graph.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "affinity/policy.h"

enum {
	SKIPPED = 77,
	LINES_MAX = 32
};

struct log {
	pthread_mutex_t lock;
	unsigned count;
	char lines[LINES_MAX][256];
	char placement[512];
	pinion_worker_status workers[2];
};

static struct log *heard; /* W child's threads under its lock; R parent, after the child's end */

static void
keep_line(void *arg, const char *line)
{
	struct log *l = arg;

	(void)pthread_mutex_lock(&l->lock);
	if (l->count < LINES_MAX)
		(void)snprintf(l->lines[l->count++], sizeof l->lines[0], "%s", line);
	(void)pthread_mutex_unlock(&l->lock);
}

/* 0, SKIPPED, or what went wrong. In a child: no assertion. */
static int
call_once(pinion_start_options options)
{
	pinion_runtime *rt;
	pinion_handle handle;
	int64_t answer = 0;
	int err;

	options.runtime = &rt;
	options.size_ = sizeof options;
	options.log = keep_line;
	options.log_arg = heard;
	options.poll = "clock"; /* of which the log says nothing */
	options.slots = 64;
	options.arena_bytes = 1 << 20;
	if (pinion_start_with(&options) != 0)
		return 2;
	if (pinion_run(rt, graph_build_single, &handle) != 0)
		return 3;
	err = pinion_result(pinion_call(handle, PINION_ARGS(1)), &answer);
	(void)snprintf(heard->placement, sizeof heard->placement, "%s", pinion_placement(rt));
	for (unsigned i = 0; i < 2; i++)
		(void)pinion_worker_look(rt, i, &heard->workers[i]);
	pinion_stop(rt);
	return err != 0 ? 4 : answer != 2 ? 5 : 0;
}

static void
in_child(int (*run)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(run());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	for (unsigned i = 0; i < heard->count; i++)
		print_message("log: %s\n", heard->lines[i]);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* From now on, in this child, that system call fails with EPERM. */
static bool
refuse(unsigned number)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof rules / sizeof rules[0], .filter = rules };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static unsigned
lines_with(const char *part)
{
	unsigned count = 0;

	for (unsigned i = 0; i < heard->count; i++)
		count += strstr(heard->lines[i], part) != NULL;
	return count;
}

static int
start_log(void **state)
{
	pthread_mutexattr_t shared;

	(void)state;
	heard =
	    mmap(NULL, sizeof *heard, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (heard == MAP_FAILED)
		return -1;
	(void)pthread_mutexattr_init(&shared);
	(void)pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	return pthread_mutex_init(&heard->lock, &shared);
}

static int
end_log(void **state)
{
	(void)state;
	return munmap(heard, sizeof *heard);
}

/* ---- what is said --------------------------------------------------------------------------- */

static bool
has_two_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET(0, &set) &&
	    CPU_ISSET(1, &set);
}

static int
start_plain(void)
{
	return call_once((pinion_start_options){ .workers = 1 });
}

static void
nothing_is_said_when_nothing_is_refused(void **state)
{
	(void)state;
	in_child(start_plain);
	assert_int_equal(heard->count, 0);
	assert_non_null(strstr(heard->placement, "1 worker on "));
}

static int
start_without_pinning(void)
{
	if (!has_two_cpus() || !refuse(SYS_sched_setaffinity))
		return SKIPPED;
	return call_once((pinion_start_options){ .workers = 2 });
}

static void
pinning_that_is_refused_is_said_once(void **state)
{
	(void)state;
	in_child(start_without_pinning);
	assert_int_equal(heard->count, 1);
	assert_int_equal(lines_with("pinning: "), 1);
	assert_int_equal(lines_with(strerror(EPERM)), 1);
	assert_int_equal(heard->workers[0].cpu, -1);
}

static int
start_without_wish_to_pin(void)
{
	if (!refuse(SYS_sched_setaffinity))
		return SKIPPED;
	return call_once((pinion_start_options){ .workers = 1, .no_pin = true });
}

static void
who_does_not_want_to_pin_is_told_nothing(void **state)
{
	(void)state;
	in_child(start_without_wish_to_pin);
	assert_int_equal(heard->count, 0);
	assert_non_null(strstr(heard->placement, "not pinned"));
}

static int
start_with_huge_pages(void)
{
	return call_once((pinion_start_options){ .workers = 2, .huge_pages = true });
}

static void
the_log_says_what_pages_there_are(void **state)
{
	(void)state;
	in_child(start_with_huge_pages);
	/* One line, or a second when the reserved ones were not enough for all ports. */
	assert_in_range(lines_with("huge pages: "), 1, 2);
	assert_int_equal(lines_with("huge pages: "), heard->count);
}

static int
start_prefaulted(void)
{
	return call_once((pinion_start_options){ .workers = 2, .prefault = true });
}

static void
the_log_says_that_memory_is_touched(void **state)
{
	(void)state;
	in_child(start_prefaulted);
	assert_in_range(lines_with("prefault: "), 1, 2);
	assert_int_equal(lines_with("prefault: "), heard->count);
}

static int
start_without_locking(void)
{
	/* Sanitizers make mlock do nothing. */
	if (!refuse(SYS_mlock) || mlock(heard, 1) == 0)
		return SKIPPED;
	return start_prefaulted();
}

static void
locking_that_is_refused_is_said_once(void **state)
{
	(void)state;
	in_child(start_without_locking);
	assert_int_equal(heard->count, 1);
	assert_int_equal(lines_with("mlock refused (Operation not permitted)"), 1);
}

static int
start_in_real_time(void)
{
	struct sched_param priority = { .sched_priority = 1 };
	struct policy policy;

	if (sched_setscheduler(0, SCHED_RR, &priority) != 0)
		return SKIPPED;
	pinioni_policy_look(POLICY_LIMITS, &policy);
	return policy.gap_us == 0 ? SKIPPED : call_once((pinion_start_options){ .workers = 2 });
}

static void
what_real_time_makes_of_polling_is_said_once(void **state)
{
	(void)state;
	in_child(start_in_real_time);
	assert_int_equal(heard->count, 1);
	assert_int_equal(lines_with("real time: a worker polls under SCHED_RR: "), 1);
}

/* The caller alone: its thread gets the policy when the workers run. */
static int
start_before_real_time(void)
{
	struct sched_param priority = { .sched_priority = 1 };
	struct policy policy;
	pinion_runtime *rt;
	pinion_port *port;
	int err;

	if (pinion_start(&rt, .workers = 1, .poll = "clock", .log = keep_line, .log_arg = heard) !=
	    0)
		return 2;
	if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0)
		return SKIPPED;
	pinioni_policy_look(POLICY_LIMITS, &policy);
	err = pinion_port_open(rt, &port);
	if (err == 0)
		pinion_port_close(port);
	pinion_stop(rt);
	return err != 0 ? 3 : policy.gap_us == 0 ? SKIPPED : 0;
}

static void
a_caller_in_real_time_is_told_too(void **state)
{
	(void)state;
	in_child(start_before_real_time);
	assert_int_equal(heard->count, 1);
	assert_int_equal(lines_with("real time: a caller polls under SCHED_FIFO: "), 1);
}

/* ---- two nodes ------------------------------------------------------------------------------ */

static int
start_on_two_nodes(void)
{
	if (!has_two_cpus())
		return SKIPPED;
	/* The second has a number that no kernel gives. */
	if (setenv("HWLOC_SYNTHETIC", "node:2(indexes=0,900) core:1 pu:1", 1) != 0 ||
	    setenv("HWLOC_THISSYSTEM", "1", 1) != 0)
		return 6;
	return call_once((pinion_start_options){ .workers = 2 });
}

static void
memory_that_cannot_be_bound_is_said_once_and_used(void **state)
{
	cpu_set_t set;

	(void)state;
	if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 2)
		skip(); /* the machine made up would not be this one's size */
	in_child(start_on_two_nodes);
	assert_non_null(strstr(heard->placement, "2 nodes"));
	assert_int_equal(heard->count, 1);
	assert_int_equal(lines_with("memory: binding to node 900 is refused"), 1);
	assert_int_equal(heard->workers[0].node, 900);
	assert_int_equal(heard->workers[1].node, 0);
}

static int
start_on_two_nodes_untold(void)
{
	return refuse(SYS_move_pages) ? start_on_two_nodes() : SKIPPED;
}

static void
a_kernel_that_does_not_tell_harms_nothing(void **state)
{
	cpu_set_t set;

	(void)state;
	if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != 2)
		skip();
	in_child(start_on_two_nodes_untold);
	assert_in_range(lines_with("memory: "), 1, 2);
	assert_int_equal(lines_with("memory: "), heard->count);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    nothing_is_said_when_nothing_is_refused, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    pinning_that_is_refused_is_said_once, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    who_does_not_want_to_pin_is_told_nothing, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    the_log_says_what_pages_there_are, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    the_log_says_that_memory_is_touched, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    locking_that_is_refused_is_said_once, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    what_real_time_makes_of_polling_is_said_once, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    a_caller_in_real_time_is_told_too, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    memory_that_cannot_be_bound_is_said_once_and_used, start_log, end_log),
		cmocka_unit_test_setup_teardown(
		    a_kernel_that_does_not_tell_harms_nothing, start_log, end_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
