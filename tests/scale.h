/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/scale.h - how often a test repeats, and with which seed.
 *
 * PINION_TEST_DIVISOR divides all counts (20 under sanitizers, 1 in release); PINION_TEST_SEED repeats
 * a run. Both are printed where they matter.
 */
#ifndef PINION_TESTS_SCALE_H
#define PINION_TESTS_SCALE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t
scaled(uint64_t full)
{
	const char *text = getenv("PINION_TEST_DIVISOR");
	uint64_t divisor = text == NULL ? 1 : strtoull(text, NULL, 10);
	uint64_t count = divisor == 0 ? full : full / divisor;

	return count == 0 ? 1 : count;
}

static inline uint64_t
seed(void)
{
	const char *text = getenv("PINION_TEST_SEED");
	uint64_t value = text == NULL ? (uint64_t)time(NULL) : strtoull(text, NULL, 10);

	printf("PINION_TEST_SEED=%llu\n", (unsigned long long)value);
	return value;
}

/* xorshift64*: good enough to vary a test, the same everywhere. state: not 0. */
static inline uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

#endif
