/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/timer.c - the heap of a worker's timers.
 */
#include "core/timer.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/memory.h"

enum {
	FIRST_ROOM = 64
};

static void
put(struct timers *h, uint32_t i, struct timer *t)
{
	h->list[i] = t;
	t->place = i + 1;
}

static void
swap(struct timers *h, uint32_t i, uint32_t k)
{
	struct timer *t = h->list[i];

	put(h, i, h->list[k]);
	put(h, k, t);
}

static void
sift_down(struct timers *h, uint32_t i)
{
	for (;;) {
		uint32_t least = i;

		for (uint32_t child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < h->count && h->list[child]->at < h->list[least]->at)
				least = child;
		if (least == i)
			return;
		swap(h, i, least);
		i = least;
	}
}

static void
sift_up(struct timers *h, uint32_t i)
{
	for (; i > 0 && h->list[i]->at < h->list[(i - 1) / 2]->at; i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
}

static bool
grow(struct timers *h, struct heap *heap)
{
	uint32_t room = h->room == 0 ? FIRST_ROOM : h->room * 2;
	struct timer **fresh = pinioni_heap_take(heap, room * sizeof *fresh);

	if (fresh == NULL)
		return false;
	if (h->list != NULL) {
		memcpy(fresh, h->list, h->count * sizeof *fresh);
		pinioni_heap_give(heap, h->list, h->room * sizeof *fresh);
	}
	h->list = fresh;
	h->room = room;
	return true;
}

int
pinioni_timers_add(struct timers *h, struct heap *heap, struct timer *t)
{
	if (h->count == h->room && !grow(h, heap))
		return -ENOMEM;
	put(h, h->count, t);
	sift_up(h, h->count++);
	return 0;
}

void
pinioni_timers_drop(struct timers *h, struct timer *t)
{
	uint32_t i = t->place;

	if (i-- == 0)
		return;
	t->place = 0;
	if (i == --h->count)
		return;
	put(h, i, h->list[h->count]);
	sift_up(h, i);
	sift_down(h, i);
}

__attribute__((noinline)) unsigned
pinioni_timers_run(struct timers *h, struct worker *w, uint64_t now)
{
	unsigned due = 0;

	while (h->count != 0 && h->list[0]->at <= now) {
		struct timer *t = h->list[0];

		pinioni_timers_drop(h, t);
		t->due(w, t);
		due++;
	}
	return due;
}

void
pinioni_timers_free(struct timers *h, struct heap *heap)
{
	pinioni_heap_give(heap, h->list, h->room * sizeof(struct timer *));
}
