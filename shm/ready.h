/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/ready.h - a set of slot numbers: which of the results I asked about are there.
 *
 *   summary   bit w: word w may have bits           words   bit b of word w: slot 64 w + b
 *
 * Why       A port's owner that waits for many results looks at one summary word a turn, not at every slot.
 * Threads   ready_set: any callee. ready_take: the owner.
 * Progress  wait-free.
 * Memory    in the owner's port segment; a bit is a hint, the slot's word is the truth, so a stray bit
 *           costs one look.
 * Death     A callee killed between its completion and the bit: the owner reads all slots it asked about
 *           when it learns of the death.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   R  words     set -> take   the slot's word says DONE to whoever took its bit
 *   U  summary   set -> take   the bit behind a summary bit is there to be taken
 */
#ifndef PINION_SHM_READY_H
#define PINION_SHM_READY_H

#include <stdbool.h>

#include "shm/format.h"

enum {
	READY_SUMMARIES = (SLOT_COUNT_MAX + 64 * 64) / (64 * 64)
};

struct ready_set {
	_Atomic uint64_t summary[READY_SUMMARIES];
	alignas(PINION_LINE) _Atomic uint64_t words[];
};

static inline size_t
ready_size(uint32_t slots)
{
	return offsetof(struct ready_set, words) + (slots + 63) / 64 * sizeof(uint64_t);
}

static inline void
ready_add(struct ready_set *r, uint32_t slot)
{
	uint32_t word = slot / 64;

	/* R: the completion came before. */
	atomic_fetch_or_explicit(&r->words[word], UINT64_C(1) << slot % 64, memory_order_release);
	/* U: the word's bit came before. */
	atomic_fetch_or_explicit(
	    &r->summary[word / 64], UINT64_C(1) << word % 64, memory_order_release);
}

/* Calls done(arg, slot) for each slot in the set and empties it. Returns how many there were. */
static inline unsigned
ready_drain(struct ready_set *r, uint32_t slots, void (*done)(void *arg, uint32_t slot), void *arg)
{
	unsigned count = 0;

	for (uint32_t s = 0; s * 64 * 64 < slots; s++) {
		uint64_t words = 0;

		/* relaxed: only a reason to take. */
		if (atomic_load_explicit(&r->summary[s], memory_order_relaxed) != 0) {
			/* U */
			words = atomic_exchange_explicit(&r->summary[s], 0, memory_order_acquire);
		}
		for (; words != 0; words &= words - 1) {
			uint32_t word = s * 64 + (uint32_t)__builtin_ctzll(words);
			/* R */
			uint64_t bits = word * 64 < slots
			    ? atomic_exchange_explicit(&r->words[word], 0, memory_order_acquire)
			    : 0;

			for (; bits != 0; bits &= bits - 1, count++)
				done(arg, word * 64 + (uint32_t)__builtin_ctzll(bits));
		}
	}
	return count;
}

/* Anything in it? */
static inline bool
ready_is_empty(const struct ready_set *r, uint32_t slots)
{
	for (uint32_t s = 0; s * 64 * 64 < slots; s++) {
		/* relaxed: the caller ordered its look (shm/bell.h), and takes before it reads. */
		if (atomic_load_explicit(&r->summary[s], memory_order_relaxed) != 0)
			return false;
	}
	return true;
}

#endif
