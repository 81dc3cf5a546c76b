/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/turn.h - one turn of one system: warm-up, blocks of back-to-back calls, single calls.
 *
 *   probe | warm-up | 16 blocks of 64 calls | 1,024 single calls | probe | the next system's turn ...
 *
 * Why       Systems are compared by turns that alternate, so that drift hits all alike. A probe before and
 *           after a turn says where the two cpus were meanwhile.
 */
#ifndef PINION_BENCH_KIT_TURN_H
#define PINION_BENCH_KIT_TURN_H

#include <stdbool.h>

#include "bench/kit/ticks.h"

enum {
	TURN_BLOCKS_MAX = 16,
	TURN_SINGLES_MAX = 1024 /* enough for a p99.9 of each turn */
};

struct turn_size {
	unsigned warm; /* calls; the first ones wake who sleeps */
	unsigned blocks;
	unsigned block_calls;
	unsigned singles;
};

/* What a system's turn is cut to. */
enum system_pace {
	CALLS_NS,   /* some hundred a call: blocks of 64 */
	CALLS_US,   /* microseconds */
	CALLS_SLOW, /* tens of them */
	CALLS_PIPED, /* tens of ns, many under way: blocks of so many that filling up does not show */
	CALLS_CROWD,     /* the same, by threads that take turns on a cpu: blocks of many turns */
	CALLS_PIPED_SLOW /* many under way, tens of us each at most: blocks of several windows */
};

/* Times in ticks. */
struct turn {
	struct turn_size size;
	int64_t block[TURN_BLOCKS_MAX]; /* all calls of it */
	uint64_t single[TURN_SINGLES_MAX];
	unsigned wrong; /* answers */
};

/* Makes one call and checks its answer; i counts up from 0 in each turn. */
typedef bool turn_call(void *arg, uint64_t i);

static inline uint64_t
turn_calls(const struct turn_size *s)
{
	return s->warm + s->blocks * s->block_calls + s->singles;
}

/* Times the calls on the calling thread, which may be a handler's. */
static inline void
turn_drive(struct turn *t, turn_call *call, void *arg)
{
	const struct turn_size size = t->size;
	uint64_t i = 0;

	t->wrong = 0;
	while (i < size.warm)
		t->wrong += !call(arg, i++);
	for (unsigned b = 0; b < size.blocks; b++) {
		uint64_t start = ticks_now();

		for (unsigned k = 0; k < size.block_calls; k++)
			t->wrong += !call(arg, i++);
		t->block[b] = (int64_t)(ticks_now() - start);
	}
	for (unsigned s = 0; s < size.singles; s++) {
		uint64_t start = ticks_now();

		t->wrong += !call(arg, i++);
		t->single[s] = ticks_now() - start;
	}
}

/* As turn_call, but it says itself how long it took: not from its beginning to its end. */
typedef bool turn_timed(void *arg, uint64_t i, uint64_t *ticks);

/* For calls that need something made ready first. */
static inline void
turn_drive_timed(struct turn *t, turn_timed *call, void *arg)
{
	const struct turn_size size = t->size;
	uint64_t i = 0, ticks;

	t->wrong = 0;
	while (i < size.warm)
		t->wrong += !call(arg, i++, &ticks);
	for (unsigned b = 0; b < size.blocks; b++) {
		t->block[b] = 0;
		for (unsigned k = 0; k < size.block_calls; k++) {
			t->wrong += !call(arg, i++, &ticks);
			t->block[b] += (int64_t)ticks;
		}
	}
	for (unsigned s = 0; s < size.singles; s++)
		t->wrong += !call(arg, i++, &t->single[s]);
}

#endif
