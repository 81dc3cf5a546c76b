/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/memory.c - jemalloc when the program has it, else power-of-two blocks from mappings.
 */
#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "affinity/bind.h"
#include "shm/segment.h"

#define WEAK __attribute__((weak))

extern void *mallocx(size_t size, int flags) WEAK;
extern void sdallocx(void *p, size_t size, int flags) WEAK;
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) WEAK;

/* As jemalloc documents them. */
enum {
	FLAG_ZERO = 0x40,
	FLAG_NO_TCACHE = 1 << 8, /* MALLOCX_TCACHE_NONE: few threads share an arena of ours */
	FLAG_ARENA_SHIFT = 20
};

/* ---- jemalloc ------------------------------------------------------------------------------- */

static void *
alloc_on_node(struct extent_hooks *hooks, void *at, size_t size, size_t align, bool *zero,
    bool *commit, unsigned arena)
{
	struct heap *h = (struct heap *)(void *)((char *)hooks - offsetof(struct heap, hooks));
	void *p = h->hooks_before->alloc(h->hooks_before, at, size, align, zero, commit, arena);

	/* Refused: it is where it is first touched. */
	if (p != NULL)
		(void)!pinioni_memory_bind(p, size, h->node);
	return p;
}

/* An arena that cannot be told where to get its memory has it where it is first touched. */
static void
set_hooks(struct heap *h)
{
	struct extent_hooks *hooks = &h->hooks;
	size_t size = sizeof hooks;
	char name[48];

	(void)snprintf(name, sizeof name, "arena.%u.extent_hooks", h->arena);
	if (mallctl(name, &h->hooks_before, &size, NULL, 0) != 0)
		return;
	h->hooks = *h->hooks_before;
	h->hooks.alloc = alloc_on_node;
	(void)mallctl(name, NULL, NULL, &hooks, sizeof hooks);
}

void
pinioni_heap_init(struct heap *h, int node)
{
	size_t size = sizeof h->arena;

	*h = (struct heap){ .flags = -1, .node = node };
	(void)pthread_mutex_init(&h->lock, NULL); /* cannot fail with default attributes */
	if (mallocx == NULL || sdallocx == NULL || mallctl == NULL ||
	    mallctl("arenas.create", &h->arena, &size, NULL, 0) != 0)
		return;
	h->flags = FLAG_NO_TCACHE | (int)((h->arena + 1) << FLAG_ARENA_SHIFT);
	if (node >= 0)
		set_hooks(h);
}

/* No thread has a cache of it (FLAG_NO_TCACHE), nor was bound to it: the arena may go, and its number
 * be used again; jemalloc has some four thousand of them. What stays are 2 MiB of addresses. */
static void
destroy_arena(const struct heap *h)
{
	char name[32];

	(void)snprintf(name, sizeof name, "arena.%u.destroy", h->arena);
	(void)mallctl(name, NULL, NULL, NULL, 0); /* refused: its pages are jemalloc's to reuse */
}

/* ---- chunks --------------------------------------------------------------------------------- */

/* Chunks begin with the pointer to the next and their size. */
struct chunk {
	struct chunk *next;
	size_t size;
};

void
pinioni_heap_deinit(struct heap *h)
{
	struct chunk *c = h->chunks;

	if (heap_is_jemalloc(h))
		destroy_arena(h);
	while (c != NULL) {
		struct chunk *next = c->next;

		(void)munmap(c, c->size); /* our own mapping: cannot fail */
		c = next;
	}
	(void)pthread_mutex_destroy(&h->lock);
	h->chunks = NULL;
}

static unsigned
class_of(size_t size)
{
	return size <= 64 ? 0 : 58 - (unsigned)__builtin_clzll(size - 1);
}

static bool
grow(struct heap *h, size_t size)
{
	size_t all = size + 4096 > HEAP_CHUNK ? size + 4096 : HEAP_CHUNK;
	struct chunk *c =
	    mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return false;
	/* Refused: it is where it is first touched. */
	(void)!pinioni_memory_bind(c, all, h->node);
	*c = (struct chunk){ .next = h->chunks, .size = all };
	h->chunks = c;
	h->next = (unsigned char *)c + 4096;
	h->left = all - 4096;
	return true;
}

static void *
take_block(struct heap *h, unsigned class)
{
	size_t size = (size_t)64 << class;
	size_t align = size < 4096 ? size : 4096;
	void *p = h->free[class];
	size_t skip;

	if (p != NULL) {
		memcpy(&h->free[class], p, sizeof(void *));
		return p;
	}
	skip = (align - (uintptr_t)h->next % align) % align;
	if (h->left < skip + size) {
		if (!grow(h, size))
			return NULL;
		skip = 0;
	}
	p = h->next + skip;
	h->next += skip + size;
	h->left -= skip + size;
	return p;
}

void *
pinioni_heap_take(struct heap *h, size_t size)
{
	unsigned class = class_of(size);
	void *p;

	if (class >= HEAP_CLASSES)
		return NULL;
	if (h->flags >= 0)
		return mallocx(
		    (size_t)64 << class, h->flags | FLAG_ZERO | (class < 6 ? 6 + (int)class : 12));
	(void)pthread_mutex_lock(&h->lock);
	p = take_block(h, class);
	(void)pthread_mutex_unlock(&h->lock);
	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void
pinioni_heap_give(struct heap *h, void *p, size_t size)
{
	unsigned class = class_of(size);

	if (p == NULL)
		return;
	if (h->flags >= 0) {
		sdallocx(p, (size_t)64 << class, h->flags | (class < 6 ? 6 + (int)class : 12));
		return;
	}
	(void)pthread_mutex_lock(&h->lock);
	memcpy(p, &h->free[class], sizeof(void *));
	h->free[class] = p;
	(void)pthread_mutex_unlock(&h->lock);
}

void *
pinioni_lines_take(size_t size)
{
	size_t whole = segment_round_up(size, PINION_LINE);
	void *p = aligned_alloc(PINION_LINE, whole);

	return p == NULL ? NULL : memset(p, 0, whole);
}
