/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk - DPDK's rte_ring, for one producer and consumer and for many.
 *
 * Method    A ring of elements, so that messages lie in the ring itself; of the caller's memory (rte_ring_init),
 *           so that it takes no environment, no huge pages and no thread of DPDK's. Elements of more than 8 bytes
 *           are copied by what it has for larger ones ("zc"), which one producer and one consumer can use: its own
 *           copy goes by 4 bytes.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#include "bench/peers/queue.h"

enum {
	RING_ALIGN = 128
};

struct started {
	struct queue_pair pair;
	struct rte_ring *rings[2];
};

static bool
push_one(void *queue, const uint64_t *message, uint32_t bytes)
{
	struct rte_ring_zc_data at;

	if (bytes == 8)
		return rte_ring_sp_enqueue_elem(queue, (void *)(uintptr_t)message, 8) ==
		    0; /* only read */
	if (rte_ring_enqueue_zc_bulk_elem_start(queue, bytes, 1, &at, NULL) == 0)
		return false;
	memcpy(at.ptr1, message, bytes);
	rte_ring_enqueue_zc_elem_finish(queue, 1);
	return true;
}

static bool
pop_one(void *queue, uint64_t *message, uint32_t bytes)
{
	struct rte_ring_zc_data at;

	if (bytes == 8)
		return rte_ring_sc_dequeue_elem(queue, message, 8) == 0;
	if (rte_ring_dequeue_zc_bulk_elem_start(queue, bytes, 1, &at, NULL) == 0)
		return false;
	memcpy(message, at.ptr1, bytes);
	rte_ring_dequeue_zc_elem_finish(queue, 1);
	return true;
}

static bool
push_many(void *queue, const uint64_t *message, uint32_t bytes)
{
	return rte_ring_mp_enqueue_elem(queue, (void *)(uintptr_t)message, bytes) ==
	    0; /* only read */
}

static bool
pop_many(void *queue, uint64_t *message, uint32_t bytes)
{
	return rte_ring_mc_dequeue_elem(queue, message, bytes) == 0;
}

/* NULL: no memory. */
static struct rte_ring *
ring_new(uint32_t bytes, unsigned flags)
{
	size_t size = (size_t)rte_ring_get_memsize_elem(bytes, PEER_ROOM); /* of a power of two */
	struct rte_ring *r;

	size = (size + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1);
	r = aligned_alloc(RING_ALIGN, size);
	if (r == NULL)
		return NULL;
	memset(r, 0, size); /* touches each page */
	if (rte_ring_init(r, "peer", PEER_ROOM, flags) == 0)
		return r;
	free(r);
	return NULL;
}

static void
stop(void *started)
{
	struct started *s = started;

	free(s->rings[0]);
	free(s->rings[1]);
	free(s);
}

static void *
start(const struct peer_setup *setup, unsigned flags, enum queue_pace pace, queue_push *push,
    queue_pop *pop)
{
	struct started *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->rings[0] = ring_new(setup->bytes, flags);
	s->rings[1] = ring_new(setup->bytes, flags);
	s->pair = (struct queue_pair){ s->rings[0], s->rings[1], push, pop, setup->bytes, pace,
		setup->steps, setup->limit };
	if (s->rings[0] != NULL && s->rings[1] != NULL)
		return s;
	stop(s);
	return NULL;
}

static void *
start_one(const struct peer_setup *setup)
{
	return start(setup, RING_F_SP_ENQ | RING_F_SC_DEQ, QUEUE_PACED, push_one, pop_one);
}

static void *
start_many(const struct peer_setup *setup)
{
	return start(setup, 0, QUEUE_TIGHT, push_many, pop_many);
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

const struct peer pinioni_peers_dpdk[] = {
	{ .name = "rte_ring SP/SC",
	    .window = PEER_WINDOW,
	    .start = start_one,
	    .stop = stop,
	    .send = queue_send,
	    .receive = queue_receive,
	    .serve = serve_one },
	{ .name = "rte_ring MP/MC",
	    .window = PEER_WINDOW,
	    .start = start_many,
	    .stop = stop,
	    .send = queue_send,
	    .receive = queue_receive,
	    .serve = serve_many },
	{ 0 },
};
