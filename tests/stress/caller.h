/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/caller.h - one thread that makes graphs of calls and checks every answer.
 */
#ifndef PINION_STRESS_CALLER_H
#define PINION_STRESS_CALLER_H

#include "graph.h"

struct flight {
	struct graph g;
	pinion_response r[NODES_MAX];
	bool is_open[NODES_MAX];   /* not yet released */
	bool is_tagged[NODES_MAX]; /* not yet harvested */
	bool is_wanted[NODES_MAX]; /* its answer is checked */
	bool is_dead;              /* the runtime stopped while it was sent */
	bool is_refused;           /* no room somewhere: no answer to check */
	uint64_t number;
};

struct caller {
	unsigned index;
	uint64_t state; /* of its random numbers */
	uint64_t number;
	bool may_leave; /* ends with calls outstanding */
	pinion_port *port;
	struct flight flights[WINDOW_MAX];
	unsigned count;
	_Atomic unsigned shapes; /* a bit for each in flight, for the watchdog */
	_Atomic int at;          /* the node that it waits for, for the watchdog */
};

extern struct caller callers[CALLERS_MAX];

/* Runs until `over`, or for so many graphs when `limit` is not 0. */
void caller_run(struct caller *c, uint64_t limit);
void *caller_main(void *caller);
/* A thread that does what a caller asks: reads a reference, or calls with it. */
void *lender_main(void *unused);
/* Threads that come, call, and leave with calls outstanding. */
void *churn_main(void *unused);
void *answerer_main(void *unused);

#endif
