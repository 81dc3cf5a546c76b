/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pace.h - what a waiting side does between two looks, and the trial that chooses it at start.
 *
 *   near (starts the runtime)      far (worker 0)          both, without a word about it
 *     ping := n        -------->     looks for n             TRIAL_TRIPS at one pace, then the next pace;
 *     looks for n      <--------     pong := n               after the last pace, on another pair of lines
 *
 * Why       A look that comes too soon takes the line back while its writer still wants it: the pace moves
 *           a round trip by a quarter, and which one is best differs by processor. So it is tried. A near
 *           tie keeps the clock's, which was measured along whole calls (docs/design/performance.md).
 * Homes     Where in the shared cache a line has its home makes a sixth: each pace is tried on each pair, and
 *           its median batch counts.
 * Threads   A pacing is its thread's. A trial has one near and one far thread; near keeps off far's cpu
 *           meanwhile: the kernel likes to wake it there, where neither hears of the other in time.
 * Progress  A step is wait-free. Each side of a trial ends by the clock, whatever the other does.
 * Memory    A trial is the near side's, and outlives the far one.
 */
#ifndef PINION_CORE_PACE_H
#define PINION_CORE_PACE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "core/limits.h"
#include "shm/line.h"

enum pace {
	PACE_CLOCK,
	PACE_2_CLOCKS,
	PACE_PAUSE,
	PACE_2_PAUSES,
	PACE_4_PAUSES,
	PACE_TIGHT,
	PACES,
	PACE_AUTO = PACES /* as an option: one of them */
};

extern const struct pace_steps {
	const char *name;
	uint32_t pauses; /* none, if it reads the clock */
	uint32_t reads;  /* of the clock; 2 at most */
} pinioni_paces[PACES];

/* One wait. */
struct pacing {
	uint32_t pauses, reads; /* of its pace */
	uint32_t looks;
	uint64_t now; /* ticks; PACE_LOOKS looks old at most */
};

static inline struct pacing
pacing_begin(enum pace pace)
{
	const struct pace_steps *steps = &pinioni_paces[pace];

	return (
	    struct pacing){ .pauses = steps->pauses, .reads = steps->reads, .now = clock_ticks() };
}

static inline void
pace_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__("isb"); /* no result: never left out; `yield` takes no time on most */
#endif
}

/* Between two looks. Returns p->now, for the time limits. Written for the clock: with a loop over no pauses before
 * it, a call was a tenth slower (docs/design/performance.md). */
static inline uint64_t
pace_step(struct pacing *p)
{
	if (p->reads != 0) {
		p->now = clock_ticks();
		if (p->reads > 1)
			p->now = clock_ticks();
		return p->now;
	}
	for (uint32_t i = 0; i < p->pauses; i++)
		pace_pause();
	if (++p->looks % PACE_LOOKS == 0)
		p->now = clock_ticks();
	return p->now;
}

/* ---- the trial ------------------------------------------------------------------------------ */

struct pace_trial {
	struct trial_lines {
		alignas(PINION_LINE) _Atomic uint64_t ping; /* W near  R far */
		alignas(PINION_LINE) _Atomic uint64_t pong; /* W far  R near */
	} homes[TRIAL_HOMES];
	alignas(PINION_LINE) _Atomic uint32_t far_cpu; /* W far, when it begins: 1 more  R near */
	uint64_t limit_ticks;                          /* for either side; frozen */
};

/* Near. ticks: of TRIAL_TRIPS at each pace. False: the far side answered too little to tell. */
bool pinioni_pace_try(struct pace_trial *trial, uint64_t ticks[PACES])
    __attribute__((warn_unused_result));
/* Far. */
void pinioni_pace_answer(struct pace_trial *trial);
/* The quickest, if it takes less than four fifths of the clock's time; else the clock's. */
enum pace pinioni_pace_choose(const uint64_t ticks[PACES]);

#endif
