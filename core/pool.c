/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pool.c - what a worker keeps: requests, custody entries, queues, outboxes.
 */
#include "core/worker.h"

#include <errno.h>
#include <string.h>

#include "core/call.h"
#include "core/custody.h"
#include "core/journal.h"
#include "core/runtime.h"
#include "core/thread.h"

enum {
	OUTBOX_FIRST = 64
};

/* What a host's controller reads when it has died. */
static void *
take_kept(struct worker *w, size_t size)
{
	return w->journal != NULL ? pinioni_journal_take(w->journal, size)
				  : pinioni_heap_take(w->heap, size);
}

static void
give_kept(struct worker *w, void *at, size_t size)
{
	if (w->journal == NULL)
		pinioni_heap_give(w->heap, at, size);
}

/* ---- requests ------------------------------------------------------------------------------- */

int
pinioni_worker_make_pool(struct worker *w)
{
	w->chunks = take_kept(w, REQUEST_CHUNKS_MAX * sizeof(void *));
	return w->chunks == NULL ? -ENOMEM : 0;
}

bool
pinioni_worker_grow_pool(struct worker *w)
{
	struct pinion_request *chunk;

	if (w->chunk_count == REQUEST_CHUNKS_MAX)
		return false;
	chunk = take_kept(w, REQUEST_CHUNK * sizeof *chunk);
	if (chunk == NULL)
		return false;
	for (uint32_t i = 0; i < REQUEST_CHUNK; i++) {
		chunk[i].worker = w;
		chunk[i].index = w->chunk_count * REQUEST_CHUNK + i;
		chunk[i].state = REQUEST_FREE;
		chunk[i].dependents_end = &chunk[i].dependents;
		chunk[i].owned = SLOT_NONE;
		chunk[i].next = w->pool;
		w->pool = &chunk[i];
	}
	/* relaxed: a token for one of them is handed on later, by means that order it. */
	atomic_store_explicit(&w->chunks[w->chunk_count], chunk, memory_order_relaxed);
	w->chunk_count++;
	return true;
}

uint32_t
pinioni_worker_pool_size(const struct worker *w)
{
	return w->chunk_count * REQUEST_CHUNK;
}

struct pinion_request *
pinioni_worker_request_at(struct worker *w, uint32_t index)
{
	struct pinion_request *chunk;

	if (index / REQUEST_CHUNK >= REQUEST_CHUNKS_MAX)
		return NULL;
	/* relaxed: as when it was made; a number that somebody made up finds NULL, or a request without token. */
	chunk = atomic_load_explicit(&w->chunks[index / REQUEST_CHUNK], memory_order_relaxed);
	return chunk == NULL ? NULL : &chunk[index % REQUEST_CHUNK];
}

uint32_t
pinioni_worker_requests(struct worker *w)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++)
		taken += pinioni_worker_request_at(w, i)->state != REQUEST_FREE;
	return taken;
}

/* ---- custody -------------------------------------------------------------------------------- */

struct custody_entry *
pinioni_worker_custody_make(struct worker *w, unsigned port)
{
	w->custody[port] =
	    pinioni_heap_take(w->heap, w->runtime->slots * sizeof(struct custody_entry));
	return w->custody[port];
}

__attribute__((noinline)) void
pinioni_custody_write(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);

	r->custody = e;
	if (e->here == NULL) {
		w->custody_count++;
	} else if (e->generation == request_generation(r)) {
		dependents_move(e->here, r);
		r->depth |= e->here->depth & REQUEST_ENDING;
		if (e->here->state == REQUEST_PLACEHOLDER) {
			w->placeholders--;
			worker_give_request(w, e->here);
		}
	}
	*e = (struct custody_entry){ .generation = request_generation(r), .here = r };
}

void
pinioni_worker_drop_placeholder(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);

	if (e != NULL && e->here == r) {
		e->here = NULL;
		w->custody_count--;
	}
	w->placeholders--;
	worker_give_request(w, r);
}

/* ---- the queue ------------------------------------------------------------------------------ */

void
pinioni_worker_unqueue(struct worker *w, struct pinion_request *r)
{
	if (!pinioni_queue_remove(&w->queue, r) && pinioni_queue_remove(&r->replica->waiting, r)) {
		r->parked = PARKED_NOT;
		w->parked--;
	}
}

void
pinioni_worker_park(struct worker *w, struct pinion_request *r)
{
	struct replica *replica = r->replica;

	queue_push_any(&replica->waiting, r);
	r->parked = PARKED;
	w->parked++;
	if (!replica->is_crowded) {
		replica->is_crowded = true;
		replica->crowded_next = w->crowded;
		w->crowded = replica;
	}
}

enum {
	ENDED_KEPT = 64 /* that is not worth a look at all that wait */
};

void
pinioni_worker_park_ended(struct worker *w, struct pinion_request *r)
{
	struct replica *replica = r->replica;
	struct pinion_request *next;

	if (r->parked != PARKED)
		return; /* its turn has come meanwhile */
	r->parked = PARKED_ENDED;
	if (++replica->waiting_ended < ENDED_KEPT ||
	    replica->waiting_ended < replica->waiting.count / 2)
		return;
	w->parked -= replica->waiting_ended;
	replica->waiting_ended = 0;
	for (r = pinioni_queue_take_ended(&replica->waiting); r != NULL; r = next) {
		next = r->next;
		r->parked = PARKED_NOT;
		r->inside = false;
		pinioni_request_end(r);
	}
}

struct pinion_request *
pinioni_worker_take_parked(struct worker *w, struct replica *replica)
{
	struct pinion_request *r = queue_pop(&replica->waiting);

	w->parked--;
	replica->waiting_ended -= r->parked == PARKED_ENDED;
	r->parked = PARKED_NOT;
	return r;
}

void
pinioni_worker_unpark(struct worker *w, struct replica *replica)
{
	/* To the head: what came later for the same replica waits behind it. */
	queue_push_front(&w->queue, pinioni_worker_take_parked(w, replica));
}

void
pinioni_worker_unpark_all(struct worker *w, struct replica *replica)
{
	for (struct pinion_request *r = replica->waiting.head; r != NULL; r = r->next)
		r->parked = PARKED_NOT;
	replica->waiting_ended = 0;
	w->parked -= replica->waiting.count;
	pinioni_queue_splice_front(&w->queue, &replica->waiting);
}

/* ---- outboxes ------------------------------------------------------------------------------- */

/* Whoever reads it when we have died finds the room before the messages: both change with one pointer. */
static bool
grow_outbox(struct worker *w, struct outbox *o)
{
	uint32_t room = o->room == 0 ? OUTBOX_FIRST : o->room * 2;
	struct message *old = o->messages, *fresh = take_kept(w, (room + 1) * sizeof *fresh);
	uint64_t said = room;

	if (fresh == NULL)
		return false;
	memcpy(fresh++, &said, sizeof said);
	for (uint32_t i = o->first; i != o->end; i++)
		fresh[i & (room - 1)] = old[i & (o->room - 1)];
	request_stored();
	o->messages = fresh;
	if (old != NULL)
		give_kept(w, old - 1, (o->room + 1) * sizeof *fresh);
	o->room = room;
	return true;
}

bool
pinioni_worker_send(struct worker *w, unsigned to, const struct message *m)
{
	if (to != w->index)
		return pinioni_worker_post(w, to, m);
	board_count(w->line, COUNT_SENT, 1);
	pinioni_request_accept(w, m);
	return true;
}

bool
pinioni_worker_post(struct worker *w, unsigned to, const struct message *m)
{
	struct outbox *o = &w->outboxes[to];

	board_count(w->line, COUNT_SENT, 1);
	if (outbox_count(o) == 0 && pinioni_port_push(w->port, to, m) == 0)
		return true;
	/* Bounded by the slots outstanding: this is a machine without memory. */
	if (outbox_count(o) == o->room && !grow_outbox(w, o))
		return pinioni_request_reject(w, m);
	o->messages[o->end & (o->room - 1)] = *m;
	request_stored();
	o->end++;
	w->outbox_messages++;
	return true;
}

void
pinioni_worker_flush(struct worker *w)
{
	for (unsigned i = 0; i < w->runtime->worker_count && w->outbox_messages != 0; i++) {
		struct outbox *o = &w->outboxes[i];

		while (outbox_count(o) != 0 &&
		    pinioni_port_push(w->port, i, &o->messages[o->first & (o->room - 1)]) == 0) {
			o->first++;
			w->outbox_messages--;
			w->work++;
		}
	}
}

static void
free_outbox(struct worker *w, struct outbox *o)
{
	if (o->messages != NULL)
		give_kept(w, o->messages - 1, (o->room + 1) * sizeof *o->messages);
}

void
pinioni_worker_free_pool(struct worker *w)
{
	struct heap *heap = w->heap;

	for (unsigned i = 0; i < WORKERS_MAX; i++)
		free_outbox(w, &w->outboxes[i]);
	for (unsigned i = 0; i < PORTS_MAX; i++)
		pinioni_heap_give(
		    heap, w->custody[i], w->runtime->slots * sizeof(struct custody_entry));
	for (uint32_t i = 0; i < w->chunk_count; i++) {
		/* relaxed: no other thread is left. */
		give_kept(w, atomic_load_explicit(&w->chunks[i], memory_order_relaxed),
		    REQUEST_CHUNK * sizeof(struct pinion_request));
	}
	give_kept(w, w->chunks, REQUEST_CHUNKS_MAX * sizeof(void *));
}
