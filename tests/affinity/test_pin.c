/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A thread that keeps off a cpu is elsewhere meanwhile, and may run where it could before; where it
 *         can be nowhere else it runs all the same.
 * Method  The masks of this thread, on the cpus that it may use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>

#include "affinity/pin.h"

static cpu_set_t before;

static int
remember_cpus(void **state)
{
	(void)state;
	return sched_getaffinity(0, sizeof before, &before);
}

static int
use_all_cpus(void **state)
{
	(void)state;
	return sched_setaffinity(0, sizeof before, &before);
}

static void
look(void *seen)
{
	(void)sched_getaffinity(0, sizeof(cpu_set_t), seen); /* compared afterwards */
}

static void
a_thread_keeps_off_a_cpu_only_meanwhile(void **state)
{
	int cpu = pinioni_thread_cpu();
	cpu_set_t meanwhile, others = before, after;

	(void)state;
	CPU_CLR((size_t)cpu, &others);
	if (CPU_COUNT(&others) == 0)
		skip();
	pinioni_thread_off_cpu(cpu, look, &meanwhile);
	look(&after);
	assert_true(CPU_EQUAL(&meanwhile, &others));
	assert_true(CPU_EQUAL(&after, &before));
}

static void
a_thread_with_one_cpu_stays_there(void **state)
{
	int cpu = pinioni_thread_cpu();
	cpu_set_t one, meanwhile, after;

	(void)state;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	assert_int_equal(pinioni_thread_pin(cpu), 0);
	pinioni_thread_off_cpu(cpu, look, &meanwhile);
	look(&after);
	assert_true(CPU_EQUAL(&meanwhile, &one));
	assert_true(CPU_EQUAL(&after, &one));
	assert_int_equal(pinioni_thread_cpu(), cpu);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_thread_keeps_off_a_cpu_only_meanwhile, remember_cpus, use_all_cpus),
		cmocka_unit_test_setup_teardown(
		    a_thread_with_one_cpu_stays_there, remember_cpus, use_all_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
