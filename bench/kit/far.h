/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/far.h - a thread on the far cpu that runs what it is given: the other side of floors, probes, peers.
 *
 *   near   far_begin(fn) ... its half of the work ... far_end
 *   far         fn                                     sleeps
 *
 * Why       Between two turns nobody polls: what is measured next has the cpu.
 * Threads   One near thread at a time.
 */
#ifndef PINION_BENCH_KIT_FAR_H
#define PINION_BENCH_KIT_FAR_H

#include <pthread.h>
#include <stdbool.h>

typedef void far_work(void *arg);

struct far {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	far_work *work; /* NULL: none */
	void *arg;
	bool leave;
	int cpu;
};

/* 0 or -errno. */
int pinioni_far_start(struct far *f, int cpu) __attribute__((warn_unused_result));
void pinioni_far_stop(struct far *f);
/* Runs it there; returns at once. The one before has ended. */
void pinioni_far_begin(struct far *f, far_work *work, void *arg);
/* Returns when it has returned. */
void pinioni_far_end(struct far *f);

#endif
