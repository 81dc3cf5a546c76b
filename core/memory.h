/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/memory.h - memory for replicas, requests and handlers: one jemalloc arena a NUMA node.
 *
 *   worker on node 0 --> heap: arena, or chunks ---.
 *   worker on node 0 --'                           +--> mapped, bound to node 0
 *   worker on node 1 --> heap ------------------------> mapped, bound to node 1
 *
 * Why       A worker's private memory belongs on its own node, and must not contend with the program's
 *           malloc. jemalloc is referred to weakly: a program that does not link it keeps its own
 *           allocator, and this falls back to blocks of power-of-two sizes cut from mappings.
 * Threads   Any; the fallback takes a lock, jemalloc mostly not.
 * Memory    A block goes back to the heap it came from. What was not given back ends with the heap.
 */
#ifndef PINION_CORE_MEMORY_H
#define PINION_CORE_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HEAP_CLASSES = 24, /* 64 bytes << 23: 512 MiB */
	HEAP_CHUNK = 1 << 20,
	HEAP_ANY_NODE = -1
};

/* As jemalloc documents it (extent_hooks_t): where an arena gets its memory. */
struct extent_hooks {
	void *(*alloc)(struct extent_hooks *hooks, void *at, size_t size, size_t align, bool *zero,
	    bool *commit, unsigned arena);
	bool (*others[8])(void); /* only copied */
};

struct heap {
	int node;
	int flags; /* for mallocx; -1: fallback */
	unsigned arena;
	struct extent_hooks hooks;
	struct extent_hooks *hooks_before;
	pthread_mutex_t lock;
	void *free[HEAP_CLASSES];
	void *chunks;
	unsigned char *next;
	size_t left;
};

/* node: where its memory is to lie; a refusal harms nothing. HEAP_ANY_NODE: where it is first touched. */
void pinioni_heap_init(struct heap *h, int node);
/* No block of it may be used any more. */
void pinioni_heap_deinit(struct heap *h);

/* Zeroed, aligned to the power of two above the size, at most a page. NULL: none left. */
void *pinioni_heap_take(struct heap *h, size_t size);
void pinioni_heap_give(struct heap *h, void *p, size_t size);

/* Zeroed, on lines of its own: what one thread writes in a call must not lie beside what another reads.
 * NULL: none left. To be freed by free. */
void *pinioni_lines_take(size_t size);

/* Is jemalloc behind it? */
static inline bool
heap_is_jemalloc(const struct heap *h)
{
	return h->flags >= 0;
}

#endif
