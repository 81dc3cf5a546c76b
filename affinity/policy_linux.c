/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/policy_linux.c - affinity/policy.h by sched_getscheduler and /proc.
 */
#include "affinity/policy.h"

#include <sched.h>
#include <stdio.h>

enum {
	PERIOD_US = 1000000, /* the kernel's defaults */
	RUNTIME_US = 950000
};

static long
read_setting(const char *folder, const char *name, long otherwise)
{
	char path[256];
	FILE *f;
	long value;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name); /* cut short: not found */
	f = fopen(path, "r");
	if (f == NULL)
		return otherwise;
	if (fscanf(f, "%ld", &value) != 1)
		value = otherwise;
	(void)fclose(f); /* read only */
	return value;
}

static const char *
policy_name(int policy)
{
	switch (policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_FIFO:
		return "SCHED_FIFO";
	case SCHED_RR:
		return "SCHED_RR";
	default:
		return NULL;
	}
}

void
pinioni_policy_look(const char *limits, struct policy *policy)
{
	int now = sched_getscheduler(0);
	long runtime;

	*policy = (struct policy){ .name = now < 0 ? NULL : policy_name(now) };
	if (policy->name == NULL)
		return;
	policy->period_us = read_setting(limits, "sched_rt_period_us", PERIOD_US);
	runtime = read_setting(limits, "sched_rt_runtime_us", RUNTIME_US);
	/* -1: all of it is theirs. */
	if (runtime >= 0 && runtime < policy->period_us)
		policy->gap_us = policy->period_us - runtime;
}
