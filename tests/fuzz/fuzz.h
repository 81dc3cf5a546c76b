/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz.h - what a target is: bytes go in, and nothing may break.
 *
 *   libFuzzer's main (preset fuzz) --.
 *                                    +--> LLVMFuzzerTestOneInput --> the real code, and checks of what it did
 *   replay.c's main (all others) ----'
 *
 * Threads   The main one alone calls it.
 */
#ifndef PINION_TESTS_FUZZ_FUZZ_H
#define PINION_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* data: borrowed. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds after every input. If it does not, the input is kept as one that crashed. */
static inline void
fuzz_check(bool holds, const char *what, const char *seen)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz: %s: '%s'\n", what, seen);
	abort();
}

#endif
