/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/policy.h - whether a thread runs under a real-time policy, and what the kernel keeps back from it.
 *
 *   sched_rt_period_us   |<------------------- 1000 ms ------------------>|
 *   sched_rt_runtime_us  |  real-time threads run, all of 950 ms  |  gap  |
 *
 * Why       A real-time thread that polls is stopped for the gap of every period, so that others can run:
 *           a latency of 50 ms that nobody who asked for real time expects.
 * Threads   Any; of the calling one.
 */
#ifndef PINION_AFFINITY_POLICY_H
#define PINION_AFFINITY_POLICY_H

#define POLICY_LIMITS "/proc/sys/kernel"

struct policy {
	const char *name; /* "SCHED_FIFO", "SCHED_RR"; NULL: not a real-time policy */
	long gap_us;      /* of each period; 0: nothing is kept back */
	long period_us;
};

/* limits: the folder of the two settings; one that cannot be read counts as the kernel's default. */
void pinioni_policy_look(const char *limits, struct policy *policy);

#endif
