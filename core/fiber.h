/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/fiber.h - a stack to run on, and the switch from one to another.
 *
 *   guard page | stack, grows down <----- | top      mapped as one piece, kept in a worker's pool
 *
 * Why       A handler that waits gives its worker back without giving up its stack.
 * Threads   A fiber is its worker's: it runs where the worker does, on one thread at a time. Where the caller
 *           drives that may be another thread after each suspension.
 * Progress  A switch is some twenty instructions and no system call. Boost.Context does it; the
 *           sanitizers are told of it here.
 * Memory    Mapped by fiber_create, unmapped by fiber_destroy; a fiber may be destroyed while it is
 *           switched away from: what is on its stack is forgotten.
 */
#ifndef PINION_CORE_FIBER_H
#define PINION_CORE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/pinion.h"
#include "core/timer.h"

struct fiber {
	void *context;       /* where it was switched away from */
	unsigned char *base; /* of the mapping, guard page first; NULL: a thread's own stack */
	size_t size;         /* of the mapping */
	struct fiber *next;  /* in a pool or a queue */
	void (*run)(void *arg);
	void *arg;
	bool queued;        /* to be resumed */
	struct timer timer; /* when it is to go on, while it sleeps or waits within a time */
	/* What it waits for, and its place among those that wait. */
	const pinion_response *responses;
	unsigned response_count;
	struct fiber *awaiting_next, **awaiting_at;
	const void *stack_bottom;
	size_t stack_size;
	void *sanitizer; /* its own idea of this fiber */
};

/* stack_size: bytes, rounded up to pages. 0 or -ENOMEM. run never returns. */
int pinioni_fiber_create(struct fiber *f, size_t stack_size, void (*run)(void *arg), void *arg)
    __attribute__((warn_unused_result));
void pinioni_fiber_destroy(struct fiber *f);

/* Makes `f` stand for the stack this thread is on. */
void pinioni_fiber_adopt(struct fiber *f);

/* Returns when somebody switches back to `from`. */
void pinioni_fiber_switch(struct fiber *from, struct fiber *to);

#endif
