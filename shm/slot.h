/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/slot.h - where one call's result is or will be; a future without a heap.
 *
 *   word = kind 8 | generation 48 | flags 8
 *
 *   {g-1, DONE} -- owner submits call g: no store at all ---------------------------------+
 *       | owner wants to be told:        {g, TELL}     somebody else waits: {g, FOREIGN}   |
 *       | (compare-exchange from what was read, in a loop; both may be set)                |
 *       v                                                                                  v
 *   callee writes the result, then exchanges the word with {g, DONE}; the old flags say who to tell:
 *       TELL      set the slot's bit in the owner's ready bitmap and ring its bell if it sleeps
 *       FOREIGN   wake whoever waits on the word itself, and ring all workers
 *       ENDED     keep that flag: a kept result's last reference was given back before it was there
 *
 * Threads   owner: slot_poll, slot_ask, slot_retire. callee, one at a time: slot_write, slot_complete.
 *           anybody with a reference: slot_watch, slot_copy, slot_end.
 * Progress  wait-free: a compare-exchange that has failed SLOT_ROUNDS times is not tried again. Each word changes a few times
 *           in a call; one that changes more often is written by a process that keeps no rules.
 * Memory    in the owner's port segment; only the owner decides that a slot is used again.
 * Death     a slot is reused only after DONE of its last generation, so a late or dead callee never
 *           hits a newer call; what it left half-written is behind a word that is not DONE.
 * Stale     a slot whose reference left its owner is retired ({g+1, DONE}) before it is reused, so
 *           that slot_copy finds the word changed and says -ESTALE.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   D  word   complete -> poll, watch   status, length, bytes, payload and fault may be read
 *   V  bytes  write -> copy             bytes newer than the copied word mean a newer word
 *   Z  word   end -> ended              the last reader has read: the slot may be written again
 */
#ifndef PINION_SHM_SLOT_H
#define PINION_SHM_SLOT_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shm/format.h"
#include "shm/once.h"

enum slot_flag {
	SLOT_DONE = 1,
	SLOT_TELL = 2,
	SLOT_FOREIGN = 4,
	SLOT_ENDED = 8,
};

enum {
	SLOT_ROUNDS = 64
};

static inline uint64_t
slot_word(uint64_t generation, unsigned flags)
{
	return (generation & GENERATION_MASK) << 8 | flags;
}

static inline uint64_t
slot_word_generation(uint64_t word)
{
	return word >> 8 & GENERATION_MASK;
}

static inline unsigned
slot_word_kind(uint64_t word)
{
	return (unsigned)(word >> 56);
}

static inline bool
slot_word_is_done(uint64_t word, uint64_t generation)
{
	return (word & (GENERATION_MASK << 8 | SLOT_DONE)) == slot_word(generation, SLOT_DONE);
}

/* Pending: call g was submitted over {g-1, DONE}, or somebody already waits for it. */
static inline bool
slot_word_is_pending(uint64_t word, uint64_t generation)
{
	uint64_t at = slot_word_generation(word);

	return (word & SLOT_DONE) != 0 ? at == ((generation - 1) & GENERATION_MASK)
				       : at == generation;
}

/* Owner. True: the result may be read. */
static inline bool
slot_poll(const struct slot *s, uint64_t generation)
{
	/* D */
	return slot_word_is_done(atomic_load_explicit(&s->word, memory_order_acquire), generation);
}

/* Of a slot seen DONE: what its callee wrote, if nobody else did. */
static inline int
slot_status(const struct slot *s)
{
	return (int32_t)once_u32(&s->status);
}

static inline uint32_t
slot_length(const struct slot *s)
{
	return once_u32(&s->length);
}

enum slot_state {
	SLOT_IS_PENDING,
	SLOT_IS_DONE,
	SLOT_IS_STALE,
};

static inline enum slot_state
slot_word_state(uint64_t word, uint64_t generation)
{
	if (slot_word_is_done(word, generation))
		return SLOT_IS_DONE;
	return slot_word_is_pending(word, generation) ? SLOT_IS_PENDING : SLOT_IS_STALE;
}

/* Anybody. */
static inline enum slot_state
slot_look(const struct slot *s, uint64_t generation)
{
	/* D */
	return slot_word_state(atomic_load_explicit(&s->word, memory_order_acquire), generation);
}

/* Sets `flag` while call g is pending; SLOT_IS_PENDING means it will be served by the completion. */
static inline enum slot_state
slot_flag_while_pending(struct slot *s, uint64_t generation, unsigned flag)
{
	for (unsigned round = 0; round < SLOT_ROUNDS; round++) {
		/* D: if it is done already, the caller goes on to read the result. */
		uint64_t seen = atomic_load_explicit(&s->word, memory_order_acquire);
		unsigned flags = (seen & SLOT_DONE) != 0 ? 0 : (unsigned)(seen & 0xff);

		if (!slot_word_is_pending(seen, generation))
			return slot_word_state(seen, generation);
		/* relaxed twice: asking publishes nothing, and a failure looks again. */
		if ((flags & flag) != 0 ||
		    atomic_compare_exchange_weak_explicit(&s->word, &seen,
			slot_word(generation, flags | flag), memory_order_relaxed,
			memory_order_relaxed))
			return SLOT_IS_PENDING;
	}
	return SLOT_IS_STALE;
}

/* Owner: tell me, by bitmap and bell. */
static inline enum slot_state
slot_ask(struct slot *s, uint64_t generation)
{
	return slot_flag_while_pending(s, generation, SLOT_TELL);
}

/* Not the owner: wake me on the word. */
static inline enum slot_state
slot_watch(struct slot *s, uint64_t generation)
{
	return slot_flag_while_pending(s, generation, SLOT_FOREIGN);
}

/* Callee, before slot_complete. */
static inline void
slot_write_word(struct slot *s, unsigned i, uint64_t word)
{
	/* V */
	atomic_store_explicit(&s->bytes[i], word, memory_order_release);
}

/* The same of bytes. length <= SLOT_BYTES. */
static inline void
slot_write(struct slot *s, const void *bytes, uint32_t length)
{
	uint32_t whole = length / 8, rest = length % 8;

	for (uint32_t i = 0; i < whole; i++) {
		uint64_t word;

		memcpy(&word, (const char *)bytes + (size_t)i * 8, sizeof word);
		slot_write_word(s, i, word);
	}
	if (rest != 0) {
		uint64_t word = 0;

		memcpy(&word, (const char *)bytes + (size_t)whole * 8, rest);
		slot_write_word(s, whole, word);
	}
}

/* Callee, its last touch. Returns the flags that were set for this call: who wants to be told. */
static inline unsigned
slot_complete(struct slot *s, uint64_t generation, unsigned kind)
{
	uint64_t done = slot_word(generation, SLOT_DONE) | (uint64_t)kind << 56;
	/* D */
	uint64_t old = atomic_exchange_explicit(&s->word, done, memory_order_release);
	unsigned flags = slot_word_generation(old) == (generation & GENERATION_MASK)
	    ? (unsigned)(old & 0xff)
	    : 0;

	if ((flags & SLOT_ENDED) != 0) {
		uint64_t now = done;

		/* relaxed twice: only the owner acts on it, after it has seen DONE. A failure means that
		 * it is set already, or that the slot was retired: a plain OR would mark a newer call. */
		(void)atomic_compare_exchange_strong_explicit(
		    &s->word, &now, done | SLOT_ENDED, memory_order_relaxed, memory_order_relaxed);
	}
	return flags & ~(unsigned)SLOT_DONE;
}

/* Callee, of something other than the end, behind a fence: who asked to be told. They have to ask again. */
static inline unsigned
slot_take_asked(struct slot *s, uint64_t generation)
{
	/* relaxed: the caller's fence orders it, and a failure looks again. */
	uint64_t seen = atomic_load_explicit(&s->word, memory_order_relaxed);

	for (unsigned round = 0; round < SLOT_ROUNDS; round++) {
		unsigned asked = (unsigned)(seen & (SLOT_TELL | SLOT_FOREIGN));

		if (asked == 0 || (seen & SLOT_DONE) != 0 ||
		    slot_word_generation(seen) != (generation & GENERATION_MASK))
			return 0;
		/* relaxed twice: as above. */
		if (atomic_compare_exchange_weak_explicit(&s->word, &seen, seen & ~(uint64_t)asked,
			memory_order_relaxed, memory_order_relaxed))
			return asked;
	}
	return 0;
}

/* Callee and owner on one thread, of a slot that nobody else knows: the same without an exchange. */
static inline unsigned
slot_complete_own(struct slot *s, uint64_t generation, unsigned kind)
{
	/* relaxed: only this thread writes it. */
	uint64_t old = atomic_load_explicit(&s->word, memory_order_relaxed);

	/* D: for a reference that is given away later. */
	atomic_store_explicit(&s->word, slot_word(generation, SLOT_DONE) | (uint64_t)kind << 56,
	    memory_order_release);
	return slot_word_generation(old) == (generation & GENERATION_MASK)
	    ? (unsigned)(old & 0xff) & ~(unsigned)SLOT_DONE
	    : 0;
}

/* Anybody: the last reference to a kept result is given back. False: it was stale. */
static inline bool
slot_end(struct slot *s, uint64_t generation)
{
	/* relaxed: looked at again by the exchange. */
	uint64_t seen = atomic_load_explicit(&s->word, memory_order_relaxed);

	for (unsigned round = 0; round < SLOT_ROUNDS; round++) {
		bool done = slot_word_is_done(seen, generation);
		uint64_t next = seen | SLOT_ENDED;

		if (!done && !slot_word_is_pending(seen, generation))
			return false;
		if (!done)
			next = slot_word(generation,
			    ((seen & SLOT_DONE) != 0 ? 0 : (unsigned)(seen & 0xff)) | SLOT_ENDED);
		/* Z; relaxed on failure: it looks again. */
		if (atomic_compare_exchange_weak_explicit(
			&s->word, &seen, next, memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Owner, of a kept slot that is DONE: its last reference was given back. */
static inline bool
slot_is_ended(const struct slot *s)
{
	/* Z */
	return (atomic_load_explicit(&s->word, memory_order_acquire) & SLOT_ENDED) != 0;
}

/* Owner, of a slot that is DONE and whose reference left its thread: makes every copy of it stale. */
static inline void
slot_retire(struct slot *s, uint64_t generation)
{
	/* relaxed: whoever writes the slot next was sent there by a later message. */
	atomic_store_explicit(&s->word, slot_word(generation + 1, SLOT_DONE), memory_order_relaxed);
}

/*
 * Not the owner, of a slot seen DONE: copies a short result. False: it was retired meanwhile, and
 * what was copied is nothing.
 */
static inline bool
slot_copy(const struct slot *s, uint64_t generation, void *to, uint32_t length)
{
	for (uint32_t at = 0; at < length; at += 8) {
		/* V */
		uint64_t word = atomic_load_explicit(&s->bytes[at / 8], memory_order_acquire);

		memcpy((char *)to + at, &word, length - at < 8 ? length - at : 8);
	}
	/* relaxed: V has ordered it after the bytes. */
	return slot_word_is_done(atomic_load_explicit(&s->word, memory_order_relaxed), generation);
}

#endif
