/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/ticks.h - the clock that blocks and single calls are timed with.
 *
 * Why       clock_gettime costs half a call. A tick steps by 10 ns on some machines, so ratios come from
 *           blocks of calls, and what reading it costs is measured and printed.
 */
#ifndef PINION_BENCH_KIT_TICKS_H
#define PINION_BENCH_KIT_TICKS_H

#include <stdint.h>
#include <time.h>

struct ticks_scale {
	double per_ns;
	double step_ns; /* between two readings that differ */
	double
	    empty_ns; /* mean of a single call's timing around nothing: the step hides the median */
};

static inline uint64_t
ticks_monotonic_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t
ticks_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return ticks_monotonic_ns();
#endif
}

/* Measures this machine's, in about 50 ms. */
struct ticks_scale pinioni_ticks_measure(void);

#endif
