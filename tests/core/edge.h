/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/core/edge.h - what the tests of core's edges share.
 *
 * Method  Two threads share nothing but the edge under test: the flags between them are relaxed, what they
 *         watch is static or the runtime's own, and nobody takes a lock in between. So weakening either
 *         half is a data race that ThreadSanitizer sees (tests/weaken.sh); without it, values are compared.
 */
#ifndef PINION_TESTS_CORE_EDGE_H
#define PINION_TESTS_CORE_EDGE_H

#include "tests/core/graph.h"

#include <pthread.h>
#include <sched.h>

#include "core/runtime.h"

/* Order nothing, on purpose. */
static inline void
set_flag(_Atomic uint64_t *flag, uint64_t value)
{
	atomic_store_explicit(flag, value, memory_order_relaxed);
}

static inline uint64_t
flag(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint64_t
await_flag(_Atomic uint64_t *word)
{
	uint64_t value;

	while ((value = flag(word)) == 0)
		(void)sched_yield(); /* cannot fail on Linux */
	return value;
}

static inline pinion_runtime *
start(int workers, const char *idle)
{
	pinion_runtime *rt;
	pinion_diag diag;

	assert_int_equal(
	    pinion_start(&rt, .workers = workers, .idle = idle, .no_pin = true, .diag = &diag), 0);
	return rt;
}

/* A task. */
static inline int
answer_one(pinion_request *req)
{
	return pinion_reply(req, (int64_t)1);
}

#endif
