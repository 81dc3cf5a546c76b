/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ck - Concurrency Kit's ck_ring, for one producer and consumer and for many.
 *
 * Method    Messages lie in the ring itself, as in the rings of structures that CK_RING_PROTOTYPE makes: a ring
 *           of pointers has one more line to fetch. What that macro expands to is called here, with a size
 *           instead of a type; the compiler knows the size of 8, as it would a type's.
 */
#include <ck_ring.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/queue.h"

struct ring {
	alignas(128) struct ck_ring ring;
	alignas(128) uint64_t cells[PEER_ROOM * PEER_WORDS_MAX];
};

struct started {
	struct queue_pair pair;
	struct ring there, back;
};

static bool
push_one(void *queue, const uint64_t *message, uint32_t bytes)
{
	struct ring *r = queue;

	return bytes == 8 ? _ck_ring_enqueue_sp(&r->ring, r->cells, message, 8, NULL)
			  : _ck_ring_enqueue_sp(&r->ring, r->cells, message, bytes, NULL);
}

static bool
pop_one(void *queue, uint64_t *message, uint32_t bytes)
{
	struct ring *r = queue;

	return bytes == 8 ? _ck_ring_dequeue_sc(&r->ring, r->cells, message, 8)
			  : _ck_ring_dequeue_sc(&r->ring, r->cells, message, bytes);
}

static bool
push_many(void *queue, const uint64_t *message, uint32_t bytes)
{
	struct ring *r = queue;

	return bytes == 8 ? _ck_ring_enqueue_mp(&r->ring, r->cells, message, 8, NULL)
			  : _ck_ring_enqueue_mp(&r->ring, r->cells, message, bytes, NULL);
}

static bool
pop_many(void *queue, uint64_t *message, uint32_t bytes)
{
	struct ring *r = queue;

	return bytes == 8 ? _ck_ring_dequeue_mc(&r->ring, r->cells, message, 8)
			  : _ck_ring_dequeue_mc(&r->ring, r->cells, message, bytes);
}

static void *
start(const struct peer_setup *setup, queue_push *push, queue_pop *pop)
{
	struct started *s = aligned_alloc(alignof(struct started), sizeof *s);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s); /* touches each page */
	s->pair = (struct queue_pair){ &s->there, &s->back, push, pop, setup->bytes, QUEUE_PACED,
		setup->steps, setup->limit };
	ck_ring_init(&s->there.ring, PEER_ROOM);
	ck_ring_init(&s->back.ring, PEER_ROOM);
	return s;
}

static void *
start_one(const struct peer_setup *setup)
{
	return start(setup, push_one, pop_one);
}

static void *
start_many(const struct peer_setup *setup)
{
	return start(setup, push_many, pop_many);
}

static void
serve_one(void *started, uint64_t count)
{
	queue_serve(started, count, push_one, pop_one);
}

static void
serve_many(void *started, uint64_t count)
{
	queue_serve(started, count, push_many, pop_many);
}

const struct peer pinioni_peers_ck[] = {
	{ .name = "ck_ring SPSC",
	    .window = PEER_WINDOW,
	    .start = start_one,
	    .stop = free,
	    .send = queue_send,
	    .receive = queue_receive,
	    .serve = serve_one },
	{ .name = "ck_ring MPMC",
	    .window = PEER_WINDOW,
	    .start = start_many,
	    .stop = free,
	    .send = queue_send,
	    .receive = queue_receive,
	    .serve = serve_many },
	{ 0 },
};
