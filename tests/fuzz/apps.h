/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/apps.h - applications with parameters, results and items of every kind.
 *
 * Each is one deployment whose PINION_CALL does what its name says. Those with one parameter "x" answer with it.
 */
#ifndef PINION_TESTS_FUZZ_APPS_H
#define PINION_TESTS_FUZZ_APPS_H

#include <pinion/pinion.h>

enum {
	FUZZ_CALLS = 11,  /* applications, the first of all */
	FUZZ_STREAMS = 3, /* behind them: those that stream */
	FUZZ_APPS = FUZZ_CALLS + FUZZ_STREAMS,
	FUZZ_RESULT_MAX = 8192 /* bytes */
};

/* Runs all in this order, each at "/" and its name. */
void fuzz_apps_run(pinion_runtime *rt, pinion_handle handles[FUZZ_APPS]);

#endif
