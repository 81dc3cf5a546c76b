/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/chance.h - numbers at random, the same ones for the same seed.
 */
#ifndef PINION_BENCH_KIT_CHANCE_H
#define PINION_BENCH_KIT_CHANCE_H

#include <math.h>
#include <stdint.h>

/* splitmix64: above 0, up to 1. */
static inline double
chance_uniform(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return (double)((x >> 11) + 1) * 0x1p-53;
}

static inline double
chance_exponential(uint64_t *state, double mean)
{
	return -mean * log(chance_uniform(state));
}

#endif
