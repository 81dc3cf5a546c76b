/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/polls.h - what lies between two looks at a line: the same in all that is compared.
 *
 *   look | reads of the clock, or pauses, or nothing | look | ...
 *
 * Why       A look that comes too soon takes the line back while its writer still wants it. The runtime tries some
 *           paces when it starts and takes one (docs/design/performance.md); a floor at another pace would be
 *           another floor.
 * Step      That of core/pace.h, look for look; this one is for C++ too.
 * Threads   A polling is its thread's.
 *
 * For C and C++.
 */
#ifndef PINION_BENCH_KIT_POLLS_H
#define PINION_BENCH_KIT_POLLS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/kit/ticks.h"

enum {
	POLLS_NAME_ROOM = 24,
	POLLS_LOOKS =
	    16 /* to the next look at the clock, at a pace that reads none: as the runtime's */
};

struct poll_steps {
	uint32_t pauses; /* none, if it reads the clock */
	uint32_t reads;  /* of the clock; 2 at most */
};

struct polls {
	char
	    name[POLLS_NAME_ROOM]; /* as the runtime says it, and is told it: "clock", "2 pauses" */
	struct poll_steps steps;
};

/* One wait. */
struct polling {
	struct poll_steps steps;
	uint32_t looks;
	uint64_t now; /* ticks; POLLS_LOOKS looks old at most */
};

static inline void
poll_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__("isb"); /* as the runtime's */
#endif
}

static inline struct polling
polling_begin(struct poll_steps steps)
{
	struct polling w = { steps, 0, ticks_now() };

	return w;
}

/* Between two looks. Returns w->now, for time limits. */
static inline uint64_t
polling_step(struct polling *w)
{
	if (w->steps.reads != 0) {
		w->now = ticks_now();
		if (w->steps.reads > 1)
			w->now = ticks_now();
		return w->now;
	}
	for (uint32_t i = 0; i < w->steps.pauses; i++)
		poll_pause();
	if (++w->looks % POLLS_LOOKS == 0)
		w->now = ticks_now();
	return w->now;
}

#ifdef __cplusplus
extern "C" {
#endif

/* told: a pace's name; "auto" or NULL: what a runtime chooses that is started for this, and stopped. Both cpus are
 * allowed. False: there is none, and why was said, by the program `bench`. */
bool pinioni_polls_choose(struct polls *p, const char *bench, const char *told)
    __attribute__((warn_unused_result));

#ifdef __cplusplus
}
#endif

#endif
