/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/pin_linux.c - sched_setaffinity and thread names.
 */
#include "affinity/pin.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

int
pinioni_thread_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

void
pinioni_thread_off_cpu(int cpu, void (*run)(void *arg), void *arg)
{
	cpu_set_t before, others;
	bool moved;

	assert(cpu >= 0);
	CPU_ZERO(&before);
	(void)sched_getaffinity(0, sizeof before, &before); /* if refused: none, so not moved */
	others = before;
	CPU_CLR((size_t)cpu, &others);
	moved = sched_setaffinity(0, sizeof others, &others) == 0; /* refused for no cpu at all */
	run(arg);
	if (moved)
		(void)sched_setaffinity(0, sizeof before, &before); /* was so before */
}

int
pinioni_thread_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : cpu;
}

unsigned
pinioni_cpus_allowed(int *cpus, unsigned max)
{
	cpu_set_t set;
	unsigned count = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return 0;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set)) {
			if (count < max)
				cpus[count] = (int)cpu;
			count++;
		}
	return count;
}

void
pinioni_thread_name(const char *name)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%s", name);  /* a name cut short is fine */
	(void)pthread_setname_np(pthread_self(), text); /* only for people */
}
