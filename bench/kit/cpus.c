/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/cpus.c - choosing and pinning.
 */
#include "bench/kit/cpus.h"

#include <sched.h>
#include <stddef.h>
#include <stdio.h>

bool
pinioni_cpus_choose(int cpus[CPUS])
{
	cpu_set_t allowed;
	unsigned count = 0;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return false;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < CPUS; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[count++] = (int)cpu;
	return count == CPUS && pinioni_cpus_free(cpus);
}

bool
pinioni_cpus_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

bool
pinioni_cpus_free(const int cpus[CPUS])
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned i = 0; i < CPUS; i++)
		CPU_SET((size_t)cpus[i], &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

uint64_t
pinioni_cpus_waited(void)
{
	FILE *f = fopen("/proc/thread-self/schedstat", "r");
	unsigned long long ran, waited = 0;

	if (f == NULL || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f != NULL)
		(void)fclose(f); /* read only */
	return waited;
}
