/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rawlane.h - two lanes without the model, many messages under way at once: the baseline of rates.
 *
 *   near  there[n] := message, then its ticket ... takes back[n]
 *   far   takes there[n], copies it               back[n] := answer, then its ticket
 *
 * Why       rawpair.h has one call under way, and so measures lines that cross. With many under way the
 *           crossings overlap: what is left is writing and reading cells, 64 bytes each as a lane's and a slot's.
 *           One message at a time, without batches, as calls are.
 * Answers   Are sent by a store, which leaves many lines on their way at once; or by an exchange, as the runtime
 *           completes a slot: each then waits for its line, and the rate is a quarter from 16 outstanding on
 *           (129 and 31 M/s), although with one under way it is the same.
 * Bound     A cell is written again when the message before it has been answered: RAWLANE_CELLS outstanding at
 *           most, and no head to publish.
 * Threads   One near and one far thread at a time. A poll that does not find its cell at once is paced as
 *           pingpong's.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   W  ticket   send -> take   the message, the answer
 */
#ifndef PINION_BENCH_KIT_RAWLANE_H
#define PINION_BENCH_KIT_RAWLANE_H

#include <string.h>

#include "bench/kit/pingpong.h"

enum {
	RAWLANE_CELLS = 1024 /* as many as a lane has */
};

struct rawlane {
	struct rawlane_cell {
		alignas(64) _Atomic uint64_t ticket; /* W sender  R taker   edge W */
		uint64_t words[7];                   /* W sender  R taker, after edge W */
	} cells[RAWLANE_CELLS];
};

struct rawlanes {
	struct rawlane there, back;
	struct pingpong pace; /* of their polls */
	bool by_exchange;     /* how far answers; frozen while both run */
};

static inline bool
rawlane_wait(const struct rawlanes *p, const struct rawlane_cell *cell, uint64_t n)
{
	/* W */
	return atomic_load_explicit(&cell->ticket, memory_order_acquire) == n ||
	    pingpong_poll(&p->pace, &cell->ticket, n);
}

/* Near: n counts up from 1. */
static inline void
rawlane_send(struct rawlanes *p, uint64_t n)
{
	struct rawlane_cell *cell = &p->there.cells[n % RAWLANE_CELLS];

	cell->words[0] = n << 16;
	cell->words[1] = 1;
	cell->words[2] = 8;
	cell->words[3] = n;
	/* W */
	atomic_store_explicit(&cell->ticket, n, memory_order_release);
}

/* Near: the answer to message n, sent before. False: none, or a wrong one. */
static inline bool
rawlane_take(struct rawlanes *p, uint64_t n)
{
	struct rawlane_cell *cell = &p->back.cells[n % RAWLANE_CELLS];

	return rawlane_wait(p, cell, n) && cell->words[0] == 0 && cell->words[2] == n + 1;
}

/* Far: answers 1, 2, ... count. */
static inline bool
rawlane_answer(struct rawlanes *p, uint64_t count)
{
	for (uint64_t n = 1; n <= count; n++) {
		struct rawlane_cell *cell = &p->there.cells[n % RAWLANE_CELLS];
		struct rawlane_cell *answer = &p->back.cells[n % RAWLANE_CELLS];
		uint64_t words[7];

		if (!rawlane_wait(p, cell, n))
			return false;
		memcpy(words, cell->words, sizeof words);
		answer->words[0] = 0;
		answer->words[1] = words[2];
		answer->words[2] = words[3] + 1;
		/* W, either way */
		if (p->by_exchange)
			(void)atomic_exchange_explicit(&answer->ticket, n, memory_order_release);
		else
			atomic_store_explicit(&answer->ticket, n, memory_order_release);
	}
	return true;
}

/* Before either side begins. limit: ticks that a poll waits at most. */
static inline void
rawlane_reset(struct rawlanes *p, bool by_exchange, uint64_t limit)
{
	p->by_exchange = by_exchange;
	p->pace.pace = PACED;
	p->pace.limit = limit;
	for (unsigned i = 0; i < RAWLANE_CELLS; i++) {
		/* relaxed twice: the far side is started by a call made after this. */
		atomic_store_explicit(&p->there.cells[i].ticket, 0, memory_order_relaxed);
		atomic_store_explicit(&p->back.cells[i].ticket, 0, memory_order_relaxed);
	}
}

#endif
