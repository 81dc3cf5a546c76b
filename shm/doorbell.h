/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/doorbell.h - a worker with many lanes polls a few; who pushes into another says so.
 *
 *   dozing (W worker)                            rung (W all, who add bits; the worker takes them)
 *     bit set: this port's lane is not polled      bit set: something was pushed there
 *
 *   worker                                       port's thread
 *     dozing |= bit    the lane is left alone      push
 *                                                  dozing & bit? rung |= bit
 *     rung != 0?       take the bits, look there
 *     dozing &= ~bit   polled again
 *
 * Why       A look at a lane costs 3 ns and a line of the cache: with 64 idle lanes a turn is three times a
 *           call. `dozing` seldom changes, so that everybody reads it from its own cache; only a push into
 *           a lane that dozes moves a line more.
 * Hints     A bit may be missed: its writer read `dozing` from before, or the worker took it before the push
 *           could be seen. So the worker also looks at its dozing lanes one by one, one a turn, and at
 *           all of them before it sleeps; a missed bit costs as many turns as there are lanes, never a
 *           message. Hence relaxed throughout.
 * Progress  wait-free.
 * Death     A dead port's bits say nothing that is not looked at in its lane.
 */
#ifndef PINION_SHM_DOORBELL_H
#define PINION_SHM_DOORBELL_H

#include <stdbool.h>

#include "shm/format.h"

/* Port's thread, behind a push. */
static inline bool
doorbell_is_wanted(const struct board_worker *w, unsigned port)
{
	/* relaxed: a hint. */
	uint64_t word = atomic_load_explicit(&w->dozing[port / 64], memory_order_relaxed);

	return (word >> port % 64 & 1) != 0;
}

static inline void
doorbell_ring(struct worker_doors *doors, unsigned port)
{
	uint64_t bit = UINT64_C(1) << port % 64;

	/* relaxed: a hint. */
	(void)atomic_fetch_or_explicit(&doors->rung[port / 64], bit, memory_order_relaxed);
}

/* Worker: whoever pushes there is to ring, or not. */
static inline void
doorbell_doze(struct board_worker *w, unsigned port, bool dozes)
{
	_Atomic uint64_t *word = &w->dozing[port / 64];
	uint64_t bit = UINT64_C(1) << port % 64;
	/* relaxed twice: a hint, with one writer. */
	uint64_t now = atomic_load_explicit(word, memory_order_relaxed);

	if (((now & bit) != 0) != dozes)
		atomic_store_explicit(word, now ^ bit, memory_order_relaxed);
}

/* Worker: the ports that rang since, 64 from `word` times 64 on. */
static inline uint64_t
doorbell_take(struct worker_doors *doors, unsigned word)
{
	/* relaxed twice: hints. */
	if (atomic_load_explicit(&doors->rung[word], memory_order_relaxed) == 0)
		return 0;
	return atomic_exchange_explicit(&doors->rung[word], 0, memory_order_relaxed);
}

#endif
