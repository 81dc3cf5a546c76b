/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/pingpong.h - two cache lines between two threads: the floor, and the probe for where they run.
 *
 *   near  ping := n, polls pong        far  polls ping, pong := n + 1
 *
 * Why       Nothing that crosses cores and comes back is quicker. Polls are paced as the runtime's (polls.h), or
 *           as whoever measures wants them.
 * Lines     Where in the shared cache a line has its home makes a round trip a sixth quicker or slower, so
 *           another two lines are taken every PINGPONG_STAY pings, and a median is one over homes. A probe is to
 *           compare with itself: it stays on the first two.
 * Threads   One near and one far thread at a time.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   Y  ping, pong   send -> poll   the number itself
 */
#ifndef PINION_BENCH_KIT_PINGPONG_H
#define PINION_BENCH_KIT_PINGPONG_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/kit/polls.h"

enum {
	PINGPONG_PAIRS = 16,
	PINGPONG_STAY = 64
};

struct pingpong {
	struct pingpong_lines {
		alignas(128) _Atomic uint64_t ping; /* W near  R far */
		alignas(128) _Atomic uint64_t pong; /* W far   R near */
	} pairs[PINGPONG_PAIRS];
	alignas(128) uint64_t limit; /* ticks that a poll waits at most; frozen */
	struct poll_steps steps;     /* frozen while both run */
	bool stays;                  /* on the first pair */
};

static inline struct pingpong_lines *
pingpong_lines(struct pingpong *p, uint64_t n)
{
	return &p->pairs[p->stays ? 0 : n / PINGPONG_STAY % PINGPONG_PAIRS];
}

/* False: the other side did not answer in time. */
static inline bool
pingpong_poll(const struct pingpong *p, const _Atomic uint64_t *line, uint64_t wanted)
{
	struct polling polling = polling_begin(p->steps);
	const uint64_t start = polling.now;

	/* Y */
	while (atomic_load_explicit(line, memory_order_acquire) != wanted)
		if (polling_step(&polling) - start > p->limit)
			return false;
	return true;
}

/* Near. */
static inline bool
pingpong_ping(struct pingpong *p, uint64_t n)
{
	struct pingpong_lines *lines = pingpong_lines(p, n);

	/* Y */
	atomic_store_explicit(&lines->ping, n, memory_order_release);
	return pingpong_poll(p, &lines->pong, n + 1);
}

/* Far: answers 1, 2, ... count. */
static inline bool
pingpong_answer(struct pingpong *p, uint64_t count)
{
	for (uint64_t n = 1; n <= count; n++) {
		struct pingpong_lines *lines = pingpong_lines(p, n);

		if (!pingpong_poll(p, &lines->ping, n))
			return false;
		/* Y */
		atomic_store_explicit(&lines->pong, n + 1, memory_order_release);
	}
	return true;
}

/* Before either side begins. */
static inline void
pingpong_reset(struct pingpong *p, struct poll_steps steps, bool stays)
{
	p->steps = steps;
	p->stays = stays;
	for (unsigned i = 0; i < PINGPONG_PAIRS; i++) {
		/* relaxed twice: the far side is started by a call made after this. */
		atomic_store_explicit(&p->pairs[i].ping, 0, memory_order_relaxed);
		atomic_store_explicit(&p->pairs[i].pong, 0, memory_order_relaxed);
	}
}

#endif
