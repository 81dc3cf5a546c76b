/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/arena.h - a port's payload arena: blocks of power-of-two sizes, given out and taken back by the
 * port's thread alone.
 *
 *   |<- committed, carved into blocks ->|<- committed ->|<------ never touched yet ------>|
 *   +----+----+---------+---------------+---------------+---------------------------------+
 *   | 64 | 64 |   128   |      256      |               |                                 |
 *   +----+----+---------+---------------+---------------+---------------------------------+
 *                                       ^ used          ^ committed                       ^ size
 *
 * Why       A large argument or result is written once, where it will be read. Blocks name themselves by
 *           offset, so that another process can find them; who owns which block, and all lists, are in
 *           the owner's private memory, so that nobody else can spoil them.
 * Method    Free blocks lie on one stack a size; a request takes from its stack, else splits a larger
 *           block, else carves fresh memory. Buddies are joined only when its owner asks for that, after
 *           all else failed, so that the same sizes over and over cost a push and a pop.
 * Threads   The owner's only.
 * Progress  arena_take and arena_give are a few instructions while the stacks serve; a split is bounded
 *           by the number of sizes; joining walks the arena once.
 * Memory    Fresh memory is committed in steps of ARENA_STEP as it is taken into use: a system call a
 *           step, none after the largest use has been seen.
 */
#ifndef PINION_SHM_ARENA_H
#define PINION_SHM_ARENA_H

#include <stdbool.h>

#include "shm/segment.h"

enum {
	ARENA_GRANULE = 64,  /* smallest block, and the unit of offsets */
	ARENA_CLASSES = 27,  /* 64 bytes << 26: 4 GiB */
	ARENA_STEP = 1 << 18 /* bytes committed at once */
};

struct arena {
	struct segment *segment;
	size_t base; /* of the arena in the segment */
	size_t size; /* bytes, a power of two */
	size_t used; /* carved so far */
	size_t committed;
	uint32_t *next; /* a granule each: the next free block of its stack */
	uint8_t *tag;   /* a granule each: enum arena_tag of a block's first */
	uint32_t heads[ARENA_CLASSES];
	uint32_t blocks; /* given out now */
	bool loose;      /* something was given back since buddies were joined */
};

/* size: a power of two, at least ARENA_STEP. Private tables are mapped here. 0, -EINVAL or -ENOMEM. */
int pinioni_arena_init(struct arena *a, struct segment *segment, size_t base, size_t size)
    __attribute__((warn_unused_result));
void pinioni_arena_deinit(struct arena *a);

int pinioni_arena_take_slow(struct arena *a, size_t bytes, uint32_t *at)
    __attribute__((warn_unused_result));
/* As arena_take; joins free buddies when there is no room otherwise, which looks at every block. */
int pinioni_arena_take_joined(struct arena *a, size_t bytes, uint32_t *at)
    __attribute__((warn_unused_result));

/* How many bytes the block at `at` really has; 0: no block begins there. */
size_t pinioni_arena_block_size(const struct arena *a, uint32_t at);

/* Marks and unmarks a block as built by the user. unloan: false if it was no loan. */
void pinioni_arena_loan(struct arena *a, uint32_t at);
bool pinioni_arena_unloan(struct arena *a, uint32_t at);

/* Joins free buddies; after it a request fails only if its size is not to be had. */
void pinioni_arena_join(struct arena *a);

#define ARENA_NONE UINT32_MAX

/* A block's first granule says what it is; the others say 0. */
enum arena_tag {
	ARENA_INSIDE = 0,
	ARENA_TAKEN = 0x40, /* | class */
	ARENA_LOANED = 0x80,
	ARENA_FREE = 0xc0,
	ARENA_STATE = 0xc0,
	ARENA_CLASS = 0x1f,
};

static inline unsigned
arena_class(size_t bytes)
{
	return bytes <= ARENA_GRANULE ? 0
				      : 64 - (unsigned)__builtin_clzll((bytes - 1) / ARENA_GRANULE);
}

/* A block of at least `bytes`, as its offset in granules. -EMSGSIZE: larger than the whole arena.
 * -ENOBUFS: no room now, or not side by side. */
static inline int
arena_take(struct arena *a, size_t bytes, uint32_t *at)
{
	unsigned class = arena_class(bytes);

	if (class >= ARENA_CLASSES || a->heads[class] == ARENA_NONE)
		return pinioni_arena_take_slow(a, bytes, at);
	*at = a->heads[class];
	a->heads[class] = a->next[*at];
	a->tag[*at] = (uint8_t)(ARENA_TAKEN | class);
	a->blocks++;
	return 0;
}

static inline void
arena_give(struct arena *a, uint32_t at)
{
	unsigned class = a->tag[at] & ARENA_CLASS;

	assert((a->tag[at] & ARENA_STATE) == ARENA_TAKEN ||
	    (a->tag[at] & ARENA_STATE) == ARENA_LOANED);
	a->tag[at] = (uint8_t)(ARENA_FREE | class);
	a->next[at] = a->heads[class];
	a->heads[class] = at;
	a->blocks--;
	a->loose = true;
}

/* The loaned block that begins at `p` and has so many bytes: an argument built there need not be copied. */
static inline bool
arena_find_loan(const struct arena *a, const void *p, size_t bytes, uint32_t *at)
{
	/* Wraps for what lies before the arena. */
	uintptr_t offset = (uintptr_t)p - ((uintptr_t)a->segment->base + a->base);

	if (offset >= a->used || offset % ARENA_GRANULE != 0)
		return false;
	*at = (uint32_t)(offset / ARENA_GRANULE);
	return (a->tag[*at] & ARENA_STATE) == ARENA_LOANED &&
	    bytes <= (size_t)ARENA_GRANULE << (a->tag[*at] & ARENA_CLASS);
}

static inline void *
arena_at(const struct arena *a, uint32_t at)
{
	return a->segment->base + a->base + (size_t)at * ARENA_GRANULE;
}

#endif
