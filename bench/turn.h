/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/turn.h - one turn of one system: warm-up, blocks of back-to-back calls, single calls.
 *
 *   probe | warm-up | 16 blocks of 64 calls | 256 single calls | probe | the next system's turn ...
 *
 * Why       Systems are compared by turns that alternate, so that drift hits all alike. A probe before and
 *           after a turn says where the two cpus were meanwhile.
 */
#ifndef PINION_BENCH_TURN_H
#define PINION_BENCH_TURN_H

#include <stdbool.h>

#include "bench/ticks.h"

enum {
	BLOCK_CALLS = 64,
	TURN_WARM = 256, /* calls; the first ones wake who sleeps */
	TURN_BLOCKS = 16,
	TURN_SINGLES = 256,
	TURN_CALLS = TURN_WARM + TURN_BLOCKS * BLOCK_CALLS + TURN_SINGLES,
};

/* In ticks. */
struct turn {
	int64_t block[TURN_BLOCKS]; /* all calls of it */
	uint64_t single[TURN_SINGLES];
	unsigned blocks, singles;
	unsigned wrong; /* answers */
};

/* Makes one call and checks its answer; i counts up. */
typedef bool turn_call(void *arg, uint64_t i);

/* Times the calls on the calling thread, which may be a handler's. */
static inline void
turn_drive(struct turn *t, turn_call *call, void *arg)
{
	uint64_t i = 0;

	*t = (struct turn){ .blocks = TURN_BLOCKS, .singles = TURN_SINGLES };
	while (i < TURN_WARM)
		t->wrong += !call(arg, i++);
	for (unsigned b = 0; b < TURN_BLOCKS; b++) {
		uint64_t start = ticks_now();

		for (unsigned k = 0; k < BLOCK_CALLS; k++)
			t->wrong += !call(arg, i++);
		t->block[b] = (int64_t)(ticks_now() - start);
	}
	for (unsigned s = 0; s < TURN_SINGLES; s++) {
		uint64_t start = ticks_now();

		t->wrong += !call(arg, i++);
		t->single[s] = ticks_now() - start;
	}
}

#endif
