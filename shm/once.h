/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/once.h - reading what another process may write at any time: each word is loaded once, and is ours then; writing what it may read.
 *
 * Why       A value that was checked and is read again is another value. Nothing keeps a compiler from reading a plain field
 *           again where it needs it. All the same such fields are plain in shm/format.h: whoever keeps the rules has frozen
 *           them by an edge, and TSan sees it when that is missing.
 * Threads   Any. Progress: wait-free.
 */
#ifndef PINION_SHM_ONCE_H
#define PINION_SHM_ONCE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whatever the type is that it was written as. */
typedef _Atomic uint64_t once_word __attribute__((may_alias));
typedef _Atomic uint32_t once_half __attribute__((may_alias));

static inline uint32_t
once_u32(const void *field)
{
	/* relaxed: the edge that publishes the field was passed. */
	return atomic_load_explicit((const once_half *)field, memory_order_relaxed);
}

static inline uint64_t
once_u64(const void *field)
{
	/* relaxed: as above. */
	return atomic_load_explicit((const once_word *)field, memory_order_relaxed);
}

/* Of several words they may be of several writes: what they say together is checked on the copy. from: aligned to 8. */
static inline void
once_copy(void *to, const void *from, size_t bytes)
{
	assert(bytes % sizeof(uint64_t) == 0);
	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		uint64_t word = once_u64((const unsigned char *)from + at);

		memcpy((unsigned char *)to + at, &word, sizeof word);
	}
}

/* The other way round: what another thread may be reading, because the slot's owner, another process, has ended it itself. */
static inline void
once_put_u32(void *field, uint32_t value)
{
	/* relaxed: published after it, by an edge. */
	atomic_store_explicit((once_half *)field, value, memory_order_relaxed);
}

/* Whole words. to: aligned to 8. */
static inline void
once_put(void *to, const void *from, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, (const unsigned char *)from + at, sizeof word);
		/* relaxed: as above. */
		atomic_store_explicit(
		    (once_word *)(void *)((unsigned char *)to + at), word, memory_order_relaxed);
	}
}

#endif
