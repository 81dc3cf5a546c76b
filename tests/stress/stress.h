/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/stress.h - what all parts of pinion-stress know: settings, progress, how to give up.
 *
 * Threads   settings and runtime are written before the threads that read them start; the counters are
 *           relaxed: for people and for the watchdog.
 */
#ifndef PINION_STRESS_STRESS_H
#define PINION_STRESS_STRESS_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <pinion/pinion.h>

enum {
	CALLERS_MAX = 32,
	WINDOW_MAX = 4, /* graphs that one caller has in flight */
	STUCK_S = 20,   /* without progress: a report, and exit 2 */
	EXIT_WRONG = 1,
	EXIT_STUCK = 2
};

struct settings {
	double seconds;
	uint64_t seed;
	int workers, lane_cells, slots, callers, max_ongoing, replicas;
	int stop_every; /* ms; 0: only at the end */
	const char *idle;
	bool driven, quiet, is_seeded;
};

extern struct settings settings;
extern pinion_runtime *runtime;
extern _Atomic bool over;         /* no new graphs */
extern _Atomic bool helpers_over; /* no caller is left */
extern _Atomic bool ended;        /* all is */
extern _Atomic bool
    stopping; /* pinion_stop is under way: -ECANCELED and -ESTALE are right answers */
extern _Atomic uint64_t graphs_done, calls_made, results_read, graphs_refused, posts_sent;

/* A wrong answer: says so with the seed, and ends the process with EXIT_WRONG. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* options.c */
void options_read(int argc, char **argv);
/* leftover.c: what the process has besides; then what is there now that was not. */
struct leftover {
	unsigned threads, descriptors, mappings;
};
struct leftover leftover_look(void);
void leftover_check(struct leftover before);
/* watch.c */
void *watch_main(void *unused);

static inline uint64_t
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: any state will do, and each seed gives another sequence. */
static inline uint64_t
draw(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline unsigned
below(uint64_t *state, unsigned limit)
{
	return (unsigned)(draw(state) % limit);
}

static inline bool
one_in(uint64_t *state, unsigned n)
{
	return below(state, n) == 0;
}

static inline void
count(_Atomic uint64_t *counter)
{
	/* relaxed: a number for people. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline uint64_t
counted(_Atomic uint64_t *counter)
{
	/* relaxed: as above. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline bool
is_set(_Atomic bool *flag)
{
	/* relaxed: nothing is read because of it. */
	return atomic_load_explicit(flag, memory_order_relaxed);
}

#endif
