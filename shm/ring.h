/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/ring.h - the items of one stream: from the replica that yields them to whoever reads.
 *
 *   | taken, closed, hungry | starved, window, stride | item 0 | item 1 | ... | item window - 1 |
 *     written by              written by                item n lies in place n % window and is there when
 *     the reader              the producer              its sequence word is n + 1
 *
 * Why       As in a lane, an item that is a scalar is one line, and its own word says that it is there. The
 *           reader says in batches what it has taken, so that the producer is `window` ahead at most.
 * Threads   ring_tx belongs to the producer's worker, ring_rx to the reader: the thread that called, the
 *           calling handler's, or whose argument the stream is. ring_close: the reader and the ring's owner.
 * Progress  All calls are wait-free. Who finds no item or no room waits elsewhere: core/stream.c.
 * Memory    In the block of the caller's arena that its call reserved; given back when the call is DONE. The
 *           producer checks window and stride against the block's size and keeps them privately.
 * Death     A producer killed before W: the item was not yielded. A reader killed: the owner closes.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   W  item.sequence  put -> peek       the item may be read
 *   J  ring.taken     settle -> claim   the items below may be written over
 */
#ifndef PINION_SHM_RING_H
#define PINION_SHM_RING_H

#include <stdbool.h>

#include "shm/format.h"
#include "shm/once.h"

enum {
	RING_WINDOW_MAX = 65536
};

/* The producer's end, private to its worker. */
struct ring_tx {
	struct ring *ring;
	uint32_t mask; /* window - 1 */
	uint32_t stride;
	uint64_t next;  /* number of the next item */
	uint64_t taken; /* of these, as last seen */
};

/* The reader's end, private to it. */
struct ring_rx {
	struct ring *ring;
	uint32_t mask;
	uint32_t stride;
	uint64_t next;
	uint64_t settled; /* what ring.taken says */
	bool
	    holds; /* the next one was read, and is looked at until the one after it is asked for */
};

/* Bytes from one item to the next, of values of at most so many. */
static inline uint64_t
ring_stride(uint64_t most)
{
	uint64_t bytes = offsetof(struct ring_item, bytes) + most;

	return (bytes + CELL_SIZE - 1) / CELL_SIZE * CELL_SIZE;
}

static inline uint64_t
ring_size(uint32_t window, uint64_t stride)
{
	return sizeof(struct ring) + window * stride;
}

static inline struct ring_item *
ring_item_at(struct ring *ring, uint64_t n, uint32_t mask, uint32_t stride)
{
	return (struct ring_item *)(void *)((unsigned char *)(ring + 1) + (n & mask) * stride);
}

/* Owner, before anybody else knows of it. window: a power of two. It has no deadline. */
static inline void
ring_init(struct ring *ring, uint32_t window, uint32_t stride)
{
	/* relaxed, here and below: published with the call's message. */
	atomic_store_explicit(&ring->taken, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->closed, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->hungry, 0, memory_order_relaxed);
	atomic_store_explicit(&ring->starved, 0, memory_order_relaxed);
	ring->window = window;
	ring->deadline = 0;
	ring->stride = stride;
	for (uint32_t i = 0; i < window; i++) {
		struct ring_item *item = ring_item_at(ring, i, window - 1, stride);

		/* relaxed: as above. */
		atomic_store_explicit(&item->sequence, 0, memory_order_relaxed);
	}
}

/* bytes: of the block it lies in. False: what it says of itself does not fit there. */
static inline bool
ring_shape(const struct ring *ring, uint64_t bytes, uint32_t *window, uint32_t *stride)
{
	if (bytes < sizeof *ring)
		return false;
	*window = once_u32(&ring->window);
	*stride = once_u32(&ring->stride);
	return *window != 0 && (*window & (*window - 1)) == 0 && *window <= RING_WINDOW_MAX &&
	    *stride >= CELL_SIZE && *stride % CELL_SIZE == 0 &&
	    ring_size(*window, *stride) <= bytes;
}

/* ---- producer ------------------------------------------------------------------------------- */

static inline bool
ring_tx_init(struct ring_tx *tx, struct ring *ring, uint64_t bytes)
{
	uint32_t window, stride;

	if (!ring_shape(ring, bytes, &window, &stride))
		return false;
	*tx = (struct ring_tx){ .ring = ring, .mask = window - 1, .stride = stride };
	return true;
}

/* Most bytes of one value. */
static inline uint32_t
ring_tx_most(const struct ring_tx *tx)
{
	return tx->stride - (uint32_t)offsetof(struct ring_item, bytes);
}

/* The item to fill, or NULL: the reader is `window` behind. */
static inline struct ring_item *
ring_claim(struct ring_tx *tx)
{
	if (tx->next - tx->taken > tx->mask) {
		/* J: the reader is done with all below. */
		tx->taken = atomic_load_explicit(&tx->ring->taken, memory_order_acquire);
		if (tx->next - tx->taken > tx->mask)
			return NULL;
	}
	return ring_item_at(tx->ring, tx->next, tx->mask, tx->stride);
}

/* What was claimed and filled may be read. */
static inline void
ring_put(struct ring_tx *tx)
{
	struct ring_item *item = ring_item_at(tx->ring, tx->next, tx->mask, tx->stride);

	tx->next++;
	/* W: publishes the value just written. */
	atomic_store_explicit(&item->sequence, tx->next, memory_order_release);
}

static inline bool
ring_is_closed(const struct ring_tx *tx)
{
	/* relaxed: nothing hangs on it but to go on in vain. */
	return atomic_load_explicit(&tx->ring->closed, memory_order_relaxed) != 0;
}

/* Waits for room from now on, on that worker, or no longer (-1). Ordered by the caller, who then looks again. */
static inline void
ring_starve(struct ring_tx *tx, int worker)
{
	/* relaxed: the caller's fence orders it. */
	atomic_store_explicit(&tx->ring->starved, (uint32_t)(worker + 1), memory_order_relaxed);
}

/* The worker on which the reader waits for an item, -1: it does not, or elsewhere. The item was put, and ordered. */
static inline int
ring_hungry(const struct ring *ring)
{
	/* relaxed: the caller's fence orders it. Less one as unsigned: another process may have written it. */
	return (int)(atomic_load_explicit(&ring->hungry, memory_order_relaxed) - 1);
}

/* ---- reader --------------------------------------------------------------------------------- */

static inline void
ring_rx_init(struct ring_rx *rx, struct ring *ring, uint32_t window, uint32_t stride)
{
	*rx = (struct ring_rx){ .ring = ring, .mask = window - 1, .stride = stride };
}

/* Behind a reader that has settled what it took, and reads no more. False: as ring_shape. */
static inline bool
ring_rx_open(struct ring_rx *rx, struct ring *ring, uint64_t bytes)
{
	uint32_t window, stride;

	if (!ring_shape(ring, bytes, &window, &stride))
		return false;
	ring_rx_init(rx, ring, window, stride);
	/* relaxed: who read before us stored it, and then sent the message that made us the reader. */
	rx->next = rx->settled = atomic_load_explicit(&ring->taken, memory_order_relaxed);
	return true;
}

/* Waits for an item from now on, on that worker, or no longer (-1). Ordered by the caller, who then looks again. */
static inline void
ring_hunger(struct ring *ring, int worker)
{
	/* relaxed: the caller's fence orders it. */
	atomic_store_explicit(&ring->hungry, (uint32_t)(worker + 1), memory_order_relaxed);
}

/* The next item where it lies, or NULL. */
static inline const struct ring_item *
ring_peek(const struct ring_rx *rx)
{
	const struct ring_item *item = ring_item_at(rx->ring, rx->next, rx->mask, rx->stride);

	/* W: the item of that number is complete. */
	if (atomic_load_explicit(&item->sequence, memory_order_acquire) != rx->next + 1)
		return NULL;
	return item;
}

/* What was read and is still held was the last one's: it is done with. */
static inline void
ring_pass_held(struct ring_rx *rx)
{
	rx->next += rx->holds;
	rx->holds = false;
}

/* What was taken and not yet said is a half of the window at least. */
static inline bool
ring_is_due(const struct ring_rx *rx)
{
	return (rx->next - rx->settled) * 2 > rx->mask;
}

/* Says what was taken. False: it was said before. */
static inline bool
ring_settle(struct ring_rx *rx)
{
	if (rx->settled == rx->next)
		return false;
	rx->settled = rx->next;
	/* J: our looks are over. */
	atomic_store_explicit(&rx->ring->taken, rx->next, memory_order_release);
	return true;
}

/* The producer's next look says so. */
static inline void
ring_close(struct ring *ring)
{
	/* relaxed: see ring_is_closed. */
	atomic_store_explicit(&ring->closed, 1, memory_order_relaxed);
}

/* The worker on which the producer waits for room, -1: it does not. What it waits for was stored, and ordered. */
static inline int
ring_starved(const struct ring *ring)
{
	/* relaxed: the caller's fence orders it. Unsigned: as in ring_hungry. */
	return (int)(atomic_load_explicit(&ring->starved, memory_order_relaxed) - 1);
}

#endif
