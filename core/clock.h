/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/clock.h - the two clocks: ticks to pace polls and stamp completions, and the user's nanoseconds.
 *
 * Why       Replays run in virtual time, so every time that a user can see comes from the clock he gave.
 *           Ticks are only ever compared with ticks: they pace spinning and order completions.
 * Progress  wait-free, no system call.
 */
#ifndef PINION_CORE_CLOCK_H
#define PINION_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "core/pinion.h"

static inline uint64_t
clock_monotonic_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t
clock_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return clock_monotonic_ns();
#endif
}

static inline uint64_t
clock_now(const pinion_clock *clock)
{
	return clock->now(clock->arg);
}

/* ns = start_ns + ((ticks - start) * scale >> 32); scale 0: the kernel's steady clock. The same in every process. */
struct clock_scale {
	uint64_t start, start_ns, scale;
};
/* Of a clock that is time. */
struct clock_scale pinioni_clock_scale(const pinion_clock *clock);
/* Lent for as long as the clock is read. */
pinion_clock pinioni_clock_scaled(const struct clock_scale *scale);

/* One of those above, which go on by themselves; a user's own may stand still. */
bool pinioni_clock_is_time(const pinion_clock *clock);
/* now, or the kernel's steady clock when the user gave none. */
pinion_clock pinioni_clock_of(pinion_clock given);

/* How many ticks a microsecond has; measured once, over a fifth of a millisecond. */
uint64_t pinioni_clock_ticks_us(void);

#endif
