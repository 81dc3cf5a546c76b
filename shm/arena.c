/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/arena.c - the slow half of shm/arena.h: splitting, carving, joining.
 */
#include "shm/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static_assert(ARENA_CLASSES <= ARENA_CLASS + 1, "a class fits its tag");

static size_t
granules(const struct arena *a)
{
	return a->size / ARENA_GRANULE;
}

static size_t
tables_size(const struct arena *a)
{
	return granules(a) * (sizeof *a->next + sizeof *a->tag);
}

int
pinioni_arena_init(struct arena *a, struct segment *segment, size_t base, size_t size)
{
	void *tables;

	if (size < ARENA_STEP || (size & (size - 1)) != 0 || arena_class(size) >= ARENA_CLASSES)
		return -EINVAL;
	*a = (struct arena){ .segment = segment, .base = base, .size = size };
	for (unsigned i = 0; i < ARENA_CLASSES; i++)
		a->heads[i] = ARENA_NONE;
	tables =
	    mmap(NULL, tables_size(a), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (tables == MAP_FAILED)
		return -ENOMEM;
	a->next = tables;
	a->tag = (uint8_t *)(a->next + granules(a));
	return 0;
}

void
pinioni_arena_deinit(struct arena *a)
{
	if (a->next != NULL)
		(void)munmap(a->next, tables_size(a)); /* our own mapping: cannot fail */
	a->next = NULL;
}

static void
push_free(struct arena *a, uint32_t at, unsigned class)
{
	a->tag[at] = (uint8_t)(ARENA_FREE | class);
	a->next[at] = a->heads[class];
	a->heads[class] = at;
}

/* Halves the smallest free block larger than `class` until one of that class is on its stack. */
static bool
split_for(struct arena *a, unsigned class)
{
	unsigned from = class + 1;

	while (from < ARENA_CLASSES && a->heads[from] == ARENA_NONE)
		from++;
	if (from == ARENA_CLASSES)
		return false;
	for (; from > class; from--) {
		uint32_t at = a->heads[from];

		a->heads[from] = a->next[at];
		push_free(a, at + (UINT32_C(1) << (from - 1)), from - 1);
		push_free(a, at, from - 1);
	}
	return true;
}

/* Carves a block of `class` from untouched memory; what alignment skips becomes free blocks. */
static int
carve_for(struct arena *a, unsigned class)
{
	size_t bytes = (size_t)ARENA_GRANULE << class;
	size_t start = segment_round_up(a->used, bytes);
	size_t end = start + bytes;

	if (end > a->size)
		return -ENOBUFS;
	if (end > a->committed) {
		size_t to = segment_round_up(end, ARENA_STEP);
		int err =
		    pinioni_segment_commit(a->segment, a->base + a->committed, to - a->committed);

		if (err != 0)
			return err;
		a->committed = to;
	}
	while (a->used < start) { /* the largest block that is aligned here: at most one a class */
		uint32_t at = (uint32_t)(a->used / ARENA_GRANULE);
		unsigned skipped = (unsigned)__builtin_ctz(at);

		push_free(a, at, skipped);
		a->used += (size_t)ARENA_GRANULE << skipped;
	}
	a->used = end;
	push_free(a, (uint32_t)(start / ARENA_GRANULE), class);
	return 0;
}

/* Puts a block of `class` on its stack. */
static int
find_for(struct arena *a, unsigned class)
{
	if (a->heads[class] != ARENA_NONE || split_for(a, class))
		return 0;
	return carve_for(a, class);
}

int
pinioni_arena_take_slow(struct arena *a, size_t bytes, uint32_t *at)
{
	if (bytes > a->size)
		return -EMSGSIZE;
	return find_for(a, arena_class(bytes)) != 0 ? -ENOBUFS : arena_take(a, bytes, at);
}

int
pinioni_arena_take_joined(struct arena *a, size_t bytes, uint32_t *at)
{
	int err = arena_take(a, bytes, at);

	if (err != -ENOBUFS || !a->loose)
		return err;
	pinioni_arena_join(a);
	return arena_take(a, bytes, at);
}

/* Makes of what is free behind the last block given out untouched memory again: a block larger than
 * that end can then be carved across it. It stays committed. */
static void
trim(struct arena *a)
{
	uint32_t end = (uint32_t)(a->used / ARENA_GRANULE), keep = 0;

	for (uint32_t at = 0; at < end;) {
		bool is_free = (a->tag[at] & ARENA_STATE) == ARENA_FREE;

		at += UINT32_C(1) << (a->tag[at] & ARENA_CLASS);
		if (!is_free)
			keep = at;
	}
	for (uint32_t at = keep, next; at < end; at = next) {
		next = at + (UINT32_C(1) << (a->tag[at] & ARENA_CLASS));
		a->tag[at] = ARENA_INSIDE;
	}
	a->used = (size_t)keep * ARENA_GRANULE;
}

void
pinioni_arena_join(struct arena *a)
{
	uint32_t end = (uint32_t)(a->used / ARENA_GRANULE);

	/* Joined in place by tags, smallest class first; the stacks are built again afterwards. */
	for (unsigned class = 0; class + 1 < ARENA_CLASSES; class ++) {
		uint32_t step = UINT32_C(1) << class;

		for (uint32_t at = 0; end - at >= 2 * step && at < end; at += 2 * step)
			if (a->tag[at] == (ARENA_FREE | class) &&
			    a->tag[at + step] == (ARENA_FREE | class)) {
				a->tag[at] = (uint8_t)(ARENA_FREE | (class + 1));
				a->tag[at + step] = ARENA_INSIDE;
			}
	}
	trim(a);
	a->loose = false;
	end = (uint32_t)(a->used / ARENA_GRANULE);
	for (unsigned class = 0; class < ARENA_CLASSES; class ++)
		a->heads[class] = ARENA_NONE;
	for (uint32_t at = 0; at < end; at += UINT32_C(1) << (a->tag[at] & ARENA_CLASS))
		if ((a->tag[at] & ARENA_STATE) == ARENA_FREE)
			push_free(a, at, a->tag[at] & ARENA_CLASS);
}

size_t
pinioni_arena_block_size(const struct arena *a, uint32_t at)
{
	if (at >= a->used / ARENA_GRANULE || a->tag[at] == ARENA_INSIDE)
		return 0;
	return (size_t)ARENA_GRANULE << (a->tag[at] & ARENA_CLASS);
}

void
pinioni_arena_loan(struct arena *a, uint32_t at)
{
	assert((a->tag[at] & ARENA_STATE) == ARENA_TAKEN);
	a->tag[at] = (uint8_t)(ARENA_LOANED | (a->tag[at] & ARENA_CLASS));
}

bool
pinioni_arena_unloan(struct arena *a, uint32_t at)
{
	if (at >= granules(a) || (a->tag[at] & ARENA_STATE) != ARENA_LOANED)
		return false;
	a->tag[at] = (uint8_t)(ARENA_TAKEN | (a->tag[at] & ARENA_CLASS));
	return true;
}
