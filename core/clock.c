/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/clock.c - the default clock, and the length of a tick.
 */
#include "core/clock.h"

#include <pthread.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static uint64_t
monotonic(void *arg)
{
	(void)arg;
	return clock_monotonic_ns();
}

pinion_clock
pinion_clock_monotonic(void)
{
	return (pinion_clock){ .now = monotonic };
}

#if defined(__x86_64__)

__extension__ typedef unsigned __int128 wide;

/* Written once, before it is used. */
static struct clock_scale tsc;
static pthread_once_t tsc_once = PTHREAD_ONCE_INIT;

static uint64_t
tsc_now(void *arg)
{
	const struct clock_scale *t = arg;

	return t->start_ns + (uint64_t)((wide)(clock_ticks() - t->start) * t->scale >> 32);
}

/* Leaf 0x80000007, edx bit 8: it runs at one rate in every state of the processor. */
static bool
tsc_is_steady(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
}

/* Over a hundredth of a second, which is exact to a few parts in a million. */
static void
tsc_measure(void)
{
	uint64_t ns;

	if (!tsc_is_steady())
		return;
	tsc.start_ns = clock_monotonic_ns();
	tsc.start = clock_ticks();
	while ((ns = clock_monotonic_ns() - tsc.start_ns) < 10000000)
		continue;
	tsc.scale = (uint64_t)(((wide)ns << 32) / (clock_ticks() - tsc.start));
}

pinion_clock
pinion_clock_tsc(void)
{
	(void)pthread_once(&tsc_once, tsc_measure); /* cannot fail */
	return tsc.scale == 0 ? pinion_clock_monotonic()
			      : (pinion_clock){ .now = tsc_now, .arg = &tsc };
}

static bool
is_tsc(const pinion_clock *clock)
{
	return clock->now == tsc_now;
}

struct clock_scale
pinioni_clock_scale(const pinion_clock *clock)
{
	return is_tsc(clock) ? *(const struct clock_scale *)clock->arg
			     : (struct clock_scale){ .scale = 0 };
}

pinion_clock
pinioni_clock_scaled(const struct clock_scale *scale)
{
	/* Only read. */
	return scale->scale == 0
	    ? pinion_clock_monotonic()
	    : (pinion_clock){ .now = tsc_now, .arg = (void *)(uintptr_t)scale };
}

#else

pinion_clock
pinion_clock_tsc(void)
{
	return pinion_clock_monotonic();
}

static bool
is_tsc(const pinion_clock *clock)
{
	(void)clock;
	return false;
}

struct clock_scale
pinioni_clock_scale(const pinion_clock *clock)
{
	(void)clock;
	return (struct clock_scale){ .scale = 0 };
}

pinion_clock
pinioni_clock_scaled(const struct clock_scale *scale)
{
	(void)scale;
	return pinion_clock_monotonic();
}

#endif

bool
pinioni_clock_is_time(const pinion_clock *clock)
{
	return clock->now == pinion_clock_monotonic().now || is_tsc(clock);
}

pinion_clock
pinioni_clock_of(pinion_clock given)
{
	return given.now != NULL ? given : pinion_clock_monotonic();
}

uint64_t
pinioni_clock_ticks_us(void)
{
	uint64_t start_ns = clock_monotonic_ns();
	uint64_t start = clock_ticks();
	uint64_t ns;

	while ((ns = clock_monotonic_ns() - start_ns) < 200000)
		continue;
	return (clock_ticks() - start) * 1000 / ns + 1;
}
