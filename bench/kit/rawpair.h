/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rawpair.h - the lines of a call without the model: a message there, a result back.
 *
 *   near  cell[n] := 56 bytes, then its ticket; polls result    far  polls cell[n], copies it,
 *                                                                    result := 16 bytes, then its word
 *
 * Why       The floor's lines hold one word. What a call adds to it is partly the price of lines that hold a
 *           message, and partly the model: this tells them apart. Written and completed as the runtime does:
 *           by short stores and a release, and by an exchange.
 * Threads   One near and one far thread at a time.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   X  ticket, word   send -> poll   the message, the result
 */
#ifndef PINION_BENCH_KIT_RAWPAIR_H
#define PINION_BENCH_KIT_RAWPAIR_H

#include <string.h>

#include "bench/kit/pingpong.h"

enum {
	RAWPAIR_CELLS = 1024 /* as many as a lane has */
};

struct rawpair {
	struct rawpair_cell {
		alignas(64) _Atomic uint64_t ticket; /* W near  R far   edge X */
		uint64_t message[7];
	} cells[RAWPAIR_CELLS];
	struct rawpair_result {
		alignas(128) _Atomic uint64_t word; /* W far  R near   edge X */
		uint64_t status, length, value;
	} result;
	struct pingpong pace; /* of its polls */
};

/* Near: n counts up from 1. */
static inline bool
rawpair_call(struct rawpair *p, uint64_t n)
{
	struct rawpair_cell *cell = &p->cells[n % RAWPAIR_CELLS];

	cell->message[0] = n << 16;
	cell->message[1] = 1;
	cell->message[2] = 8;
	cell->message[3] = n;
	/* X */
	atomic_store_explicit(&cell->ticket, n, memory_order_release);
	return pingpong_poll(&p->pace, &p->result.word, n) && p->result.value == n + 1;
}

/* Far: answers 1, 2, ... count. */
static inline bool
rawpair_answer(struct rawpair *p, uint64_t count)
{
	for (uint64_t n = 1; n <= count; n++) {
		struct rawpair_cell *cell = &p->cells[n % RAWPAIR_CELLS];
		uint64_t message[7];

		if (!pingpong_poll(&p->pace, &cell->ticket, n))
			return false;
		memcpy(message, cell->message, sizeof message);
		p->result.status = 0;
		p->result.length = message[2];
		p->result.value = message[3] + 1;
		/* X */
		(void)atomic_exchange_explicit(&p->result.word, n, memory_order_release);
	}
	return true;
}

/* Before either side begins. */
static inline void
rawpair_reset(struct rawpair *p, struct poll_steps steps)
{
	p->pace.steps = steps;
	for (unsigned i = 0; i < RAWPAIR_CELLS; i++) {
		/* relaxed: the far side is started by a call made after this. */
		atomic_store_explicit(&p->cells[i].ticket, 0, memory_order_relaxed);
	}
	/* relaxed: as above. */
	atomic_store_explicit(&p->result.word, 0, memory_order_relaxed);
}

#endif
