/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/pin_linux.c - sched_setaffinity and thread names.
 */
#include "affinity/pin.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
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
