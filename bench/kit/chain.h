/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/chain.h - calls whose argument is the response of the one before, and the same called one by one.
 *
 *   at once      call, call, call ... read the last result, release all
 *   one by one   call, read, release, call with what was read ...
 *
 * Threads   The port's; or without one, in a handler.
 */
#ifndef PINION_BENCH_KIT_CHAIN_H
#define PINION_BENCH_KIT_CHAIN_H

#include <stdbool.h>

#include <pinion/pinion.h>

enum {
	CHAIN_STAGES_MAX = 8,
	CHAIN_HANDLES_MAX = 3
};

/* Stages answer with one more than they are given, as RIG_NUMBER. */
struct chain {
	unsigned stages;
	pinion_port *port; /* NULL: the caller is a handler */
	pinion_handle to[CHAIN_HANDLES_MAX];
	unsigned handles; /* that stages are called by in turn: stage 0 by the first */
};

/* Both are a turn_call of a struct chain. */
bool pinioni_chain_at_once(void *chain, uint64_t i);
bool pinioni_chain_one_by_one(void *chain, uint64_t i);

#endif
