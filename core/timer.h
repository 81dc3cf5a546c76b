/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/timer.h - what a worker does at a time: a heap of those who wait for one, the earliest first.
 *
 * Why       The clock is read only when there are any.
 * Threads   The worker's own.
 * Memory    A timer lies in whatever waits (a fiber, a request), and knows its place in the heap.
 */
#ifndef PINION_CORE_TIMER_H
#define PINION_CORE_TIMER_H

#include <stdint.h>

struct worker;
struct heap;

struct timer {
	uint64_t at;    /* ns, by the runtime's clock */
	uint32_t place; /* in the heap, and one; 0: it is in none */
	void (*due)(struct worker *w, struct timer *t);
};

struct timers {
	struct timer **list;
	uint32_t count, room;
};

/* t->at and t->due are set; it is in no heap. -ENOMEM. */
int pinioni_timers_add(struct timers *timers, struct heap *heap, struct timer *t)
    __attribute__((warn_unused_result));
/* Takes it out, if it is in. */
void pinioni_timers_drop(struct timers *timers, struct timer *t);
/* Each whose time has come is taken out, and is due. Their number. */
unsigned pinioni_timers_run(struct timers *timers, struct worker *w, uint64_t now);
void pinioni_timers_free(struct timers *timers, struct heap *heap);

#endif
