/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/placement.h - which worker runs on which cpu, and which is kept for callers.
 *
 *   4 cores of 2 cpus, in the machine's order     seats, taken from the left, callers' from the right
 *
 *   core   0     1     2     3                    1 2 3 | 0 | 5 6 7 | 4
 *   cpu    0,4   1,5   2,6   3,7                  cores   |  siblings
 *          callers                                        callers' core, when there are more workers
 *
 * Why       A worker that spins wants a core for itself: a busy sibling halves it. Callers, who are no
 *           threads of ours, want the same; they get the first core, which the kernel uses most anyway.
 *           Workers with neighbouring numbers sit under one L3. A worker's seat does not depend on how
 *           many others there are.
 * Threads   Any: a pure function.
 */
#ifndef PINION_AFFINITY_PLACEMENT_H
#define PINION_AFFINITY_PLACEMENT_H

#include "affinity/topology.h"

enum {
	PLACEMENT_WORKERS_MAX = 64,
	PLACEMENT_TEXT = 2560, /* a line of up to 33 bytes a worker, and what comes before */
	CPU_ANY = -1
};

struct placement {
	unsigned worker_count;
	unsigned cpu_count;  /* that may be used */
	unsigned node_count; /* of these */
	int callers_cpu;     /* CPU_ANY: none is left for them */
	bool shares_cpus;    /* more workers than cpus: the kernel places them */
	bool shares_cores;   /* some run on siblings */
	struct {
		int cpu;  /* CPU_ANY: where the kernel puts it */
		int node; /* NODE_UNKNOWN */
	} workers[PLACEMENT_WORKERS_MAX];
	char text[PLACEMENT_TEXT]; /* all of this, for people */
};

/* workers: how many, at most PLACEMENT_WORKERS_MAX; 0: one on each core but the callers', at least one.
 * pin: false leaves them where the kernel puts them. */
void pinioni_placement_plan(
    const struct topology *t, unsigned workers, bool pin, struct placement *plan);

#endif
