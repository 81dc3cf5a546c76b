/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/burial.c - see core/guest.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/guest.h"
#include "core/host.h"
#include "core/worker.h"
#include "shm/futex.h"
#include "shm/slot.h"

enum burial_stage {
	BURIAL_LANES,
	BURIAL_ASKS,
	BURIAL_HEARS,
	BURIAL_WAITS,
	BURIAL_ENDS
};

/* What one worker says in a round. */
struct burial_look {
	struct control letter;
	const pinion_port *port;
	uint32_t left;
	uint64_t tails[WORKERS_MAX]; /* next ticket of its lane to each worker */
};

struct burial {
	pinion_port *port;
	enum burial_stage stage;
	struct burial_look looks[]; /* one a worker, of the last round */
};

struct retired_guest {
	struct retired retired;
	pinion_port *port;
};

/* ---- what a worker does ----------------------------------------------------------------------- */

static uint32_t
count_outboxes(const struct worker *w, unsigned port)
{
	uint32_t count = 0;

	for (unsigned to = 0; to < w->runtime->worker_count; to++) {
		const struct outbox *box = &w->outboxes[to];

		for (uint32_t i = box->first; i != box->end; i++)
			count += box->messages[i & (box->room - 1)].port == port;
	}
	return count;
}

static void
look(struct worker *w, void *arg)
{
	struct burial_look *l = arg;

	l->left = pinioni_cancel_port(w, l->port) + count_outboxes(w, l->port->index);
	for (unsigned to = 0; to < w->runtime->worker_count; to++)
		l->tails[to] = w->port->tx[to].tail;
}

/* ---- rounds ----------------------------------------------------------------------------------- */

static void
ask(struct burial *b)
{
	struct pinion_runtime *rt = b->port->runtime;

	for (unsigned i = 0; i < rt->own_count; i++) {
		b->looks[i] = (struct burial_look){ .port = b->port };
		b->looks[i].letter = (struct control){ .run = look, .arg = &b->looks[i] };
		pinioni_worker_control_send(runtime_own(rt, i), &b->looks[i].letter);
	}
}

static bool
is_answered(const struct burial *b)
{
	for (unsigned i = 0; i < b->port->runtime->own_count; i++)
		if (!control_is_done(&b->looks[i].letter))
			return false;
	return true;
}

static bool
is_empty(const struct burial *b)
{
	for (unsigned i = 0; i < b->port->runtime->own_count; i++)
		if (b->looks[i].left != 0)
			return false;
	return true;
}

/* What each worker had written when it looked, the others have taken since: it was dropped, if it named the port. */
static bool
is_taken(const struct burial *b)
{
	const struct pinion_runtime *rt = b->port->runtime;

	for (unsigned from = 0; from < rt->own_count; from++)
		for (unsigned to = 0; to < rt->worker_count; to++) {
			const struct lane_head *head =
			    lane_memory_head(&runtime_own(rt, from)->port->lanes, to);
			/* relaxed: it only grows, and the grace period orders what is done then. */
			uint64_t taken = atomic_load_explicit(&head->taken, memory_order_relaxed);

			if ((int64_t)(taken - b->looks[from].tails[to]) < 0)
				return false;
		}
	return true;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void
unmap(struct pinion_runtime *rt, struct retired *retired)
{
	struct retired_guest *r = caa_container_of(retired, struct retired_guest, retired);

	(void)rt;
	pinioni_port_destroy(r->port);
	free(r);
}

/* False: no memory, or somebody still reads a result of it. */
static bool
retire(pinion_port *port)
{
	struct pinion_runtime *rt = port->runtime;
	struct retired_guest *r;

	/* relaxed: nobody finds the port any more, so that there are ever fewer. */
	if (atomic_load_explicit(&port->visitors, memory_order_relaxed) != 0)
		return false;
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return false;
	*r = (struct retired_guest){ .retired = { .runtime = rt, .free = unmap }, .port = port };
	(void)pthread_mutex_lock(&rt->lock);
	pinioni_hosts_forget(rt, port);
	rt->port_count--;
	/* relaxed: the number is free, for another, who takes it under the lock. Before the grace period begins, or it would not
	 * cover those who find the port here. */
	atomic_store_explicit(&rt->buried[port->index], NULL, memory_order_relaxed);
	(void)pthread_mutex_unlock(&rt->lock);
	pinioni_retire(&rt->reclaimer, &r->retired);
	return true;
}

/* Of a call that nobody will answer, although somebody waits for its result: by a reference, which is no request. */
static void
answer_watched(pinion_port *port)
{
	struct pinion_runtime *rt = port->runtime;
	bool any = false;

	for (uint32_t i = 0; i < port->memory.slot_count; i++) {
		struct slot *slot = &port->memory.slots[i];
		/* relaxed: who waits has set it, and nobody else writes there now. */
		uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

		if ((word & (SLOT_DONE | SLOT_FOREIGN)) != SLOT_FOREIGN)
			continue;
		slot->status = -EOWNERDEAD;
		slot->length = 0;
		(void)slot_complete(slot, slot_word_generation(word), PINION_KIND_NONE);
		pinioni_futex_wake((const _Atomic uint32_t *)(const void *)&slot->word);
		any = true;
	}
	for (unsigned i = 0; any && i < rt->worker_count; i++)
		pinioni_worker_ring(rt, i);
}

static bool
remove_lanes(pinion_port *port)
{
	struct pinion_runtime *rt = port->runtime;
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	err = pinioni_lanes_remove(rt, port);
	(void)pthread_mutex_unlock(&rt->lock);
	return err == 0; /* else it is tried again */
}

struct burial *
pinioni_guest_bury(pinion_port *port)
{
	struct pinion_runtime *rt = port->runtime;
	size_t looks = rt->own_count * sizeof(struct burial_look);
	struct burial *b = calloc(1, sizeof *b + looks);

	if (b == NULL)
		return NULL;
	b->port = port;
	(void)pthread_mutex_lock(&rt->lock);
	/* relaxed: whoever looks here has used the port before. */
	atomic_store_explicit(&rt->buried[port->index], port, memory_order_relaxed);
	/* O: whoever misses it there finds it here (tests/models/detach.pml). */
	atomic_store_explicit(&rt->ports[port->index], NULL, memory_order_release);
	pinioni_hosts_bury(rt, port);
	(void)pthread_mutex_unlock(&rt->lock);
	return b;
}

bool
pinioni_burial_turn(struct burial *b)
{
	switch (b->stage) {
	case BURIAL_LANES:
		if (remove_lanes(b->port))
			b->stage = BURIAL_ASKS;
		return false;
	case BURIAL_ASKS:
		ask(b);
		b->stage = BURIAL_HEARS;
		return false;
	case BURIAL_HEARS:
		if (is_answered(b))
			b->stage = is_empty(b) ? BURIAL_WAITS : BURIAL_ASKS;
		return false;
	case BURIAL_WAITS:
		if (is_taken(b))
			b->stage = BURIAL_ENDS;
		return false;
	case BURIAL_ENDS:
		break;
	}
	return true;
}

bool
pinioni_burial_end(struct burial *b)
{
	if (!pinioni_hosts_have_buried(b->port->runtime, b->port))
		return false;
	if (b->port->runtime->attached == NULL)
		answer_watched(b->port); /* once for all */
	if (!retire(b->port))
		return false;
	free(b);
	return true;
}
