/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/lane.h - a one-way ring of 64-byte messages from one port to one worker.
 *
 *              head (published in batches)      tail (the producer's secret)
 *                |                                |
 *   +------+------+------+------+------+------+------+------+
 *   | free | 41   | 42   | 43   |      ...     | 47   | free |   cell i % size holds ticket i when
 *   +------+------+------+------+------+------+------+------+   its sequence word is i + 1
 *
 * Why       One message is one cache line, and its own sequence word says that it is there: a push
 *           moves one line, and the consumer polls the line it will read anyway.
 * Threads   lane_tx belongs to the port's thread, lane_rx to the worker; two types, so that a call
 *           from the wrong side does not compile.
 * Progress  All calls are wait-free and never enter the kernel.
 * Memory    Cells and head lie in the port's lane segment and are trusted by nobody: tickets are
 *           masked with a private mask, messages are copied out before they are looked at.
 * Tickets   Start at a number of the port's choosing, so that the next cells of many idle lanes do not
 *           fall into one set of the poller's cache. 64 bits never wrap.
 * Death     Producer killed before P: the message was never pushed. Consumer killed: head says what it
 *           had taken at least; what lies above may have been taken too.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   P  cell.sequence  publish -> peek   the consumer may read the cell, and all the message refers to
 *   C  head.taken     settle -> claim   the producer may overwrite the cells below head
 */
#ifndef PINION_SHM_LANE_H
#define PINION_SHM_LANE_H

#include <stdbool.h>
#include <string.h>

#include "shm/format.h"

enum {
	LANE_AHEAD = 4 /* cells that the consumer fetches ahead */
};

/* The producer's end, private to its thread. */
struct lane_tx {
	struct cell *cells;
	const struct lane_head *head;
	uint64_t mask; /* cells - 1 */
	uint64_t tail; /* next ticket */
	uint64_t head_seen;
};

/* The consumer's end, private to its thread. */
struct lane_rx {
	struct cell *cells;
	struct lane_head *head;
	uint64_t mask;
	uint64_t next;    /* ticket of the next message */
	uint64_t settled; /* what head says */
	uint32_t guarded; /* another process writes there: its port and one. 0: our own */
	bool careful;     /* each message is looked at before it is taken, */
	uint16_t port;    /* which is then set: whose lane it is */
};

static inline void
lane_tx_init(struct lane_tx *tx, struct cell *cells, uint64_t count, const struct lane_head *head,
    uint64_t first)
{
	assert(count != 0 && (count & (count - 1)) == 0);
	*tx = (struct lane_tx){
		.cells = cells, .head = head, .mask = count - 1, .tail = first, .head_seen = first
	};
}

static inline void
lane_rx_init(
    struct lane_rx *rx, struct cell *cells, uint64_t count, struct lane_head *head, uint64_t first)
{
	assert(count != 0 && (count & (count - 1)) == 0);
	*rx = (struct lane_rx){
		.cells = cells, .head = head, .mask = count - 1, .next = first, .settled = first
	};
}

/* Before either side is told of the lane: head starts at the first ticket, no cell looks full. */
static inline void
lane_init(struct cell *cells, uint64_t count, struct lane_head *head, uint64_t first)
{
	for (uint64_t i = 0; i < count; i++) {
		/* relaxed: published with the whole lane. */
		atomic_store_explicit(&cells[i].sequence, 0, memory_order_relaxed);
	}
	/* relaxed: published with the whole lane. */
	atomic_store_explicit(&head->taken, first, memory_order_relaxed);
}

/* The cell to fill, or NULL when the lane is full: back-pressure, not an error. */
static inline struct message *
lane_claim(struct lane_tx *tx)
{
	if (tx->tail - tx->head_seen > tx->mask) {
		/* C: the consumer has copied every cell below this head. */
		tx->head_seen = atomic_load_explicit(&tx->head->taken, memory_order_acquire);
		if (tx->tail - tx->head_seen > tx->mask)
			return NULL;
	}
	return &tx->cells[tx->tail & tx->mask].message;
}

/* What was claimed and filled becomes visible. */
static inline void
lane_publish(struct lane_tx *tx)
{
	struct cell *cell = &tx->cells[tx->tail & tx->mask];

	tx->tail++;
	/* P: publishes the message just written. */
	atomic_store_explicit(&cell->sequence, tx->tail, memory_order_release);
}

/* True: nothing pushed is waiting to be taken. */
static inline bool
lane_tx_is_empty(const struct lane_tx *tx)
{
	/* C */
	return atomic_load_explicit(&tx->head->taken, memory_order_acquire) == tx->tail;
}

/* The next message where it lies, or NULL. Another process may still be writing it: copy, then look. */
static inline const struct message *
lane_peek(const struct lane_rx *rx)
{
	const struct cell *cell = &rx->cells[rx->next & rx->mask];

	/* P: the message under this ticket is complete. */
	if (atomic_load_explicit(&cell->sequence, memory_order_acquire) != rx->next + 1)
		return NULL;
	return &cell->message;
}

/* After lane_peek: copied, and still there. Word by word, which the compiler is not to join: two lanes whose cells are
 * read 16 bytes at once carry half as many messages (docs/design/performance.md). */
static inline void
lane_copy(const struct lane_rx *rx, struct message *copy)
{
	const struct message *from = &rx->cells[rx->next & rx->mask].message;

	for (size_t at = 0; at < sizeof *copy; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, (const unsigned char *)from + at, sizeof word);
		__asm__("" : "+r"(word));
		memcpy((unsigned char *)copy + at, &word, sizeof word);
	}
}

/* The cell is done with. */
static inline void
lane_skip(struct lane_rx *rx)
{
	/* A crossing ahead of its turn, if it has been written; else it is in the cache already. */
	__builtin_prefetch(&rx->cells[(rx->next + LANE_AHEAD) & rx->mask]);
	rx->next++;
}

/* Both. */
static inline void
lane_take(struct lane_rx *rx, struct message *copy)
{
	lane_copy(rx, copy);
	lane_skip(rx);
}

/* Publishes what was taken; the producer may write there again. */
static inline void
lane_settle(struct lane_rx *rx)
{
	if (rx->settled != rx->next) {
		rx->settled = rx->next;
		/* C: our copies are made. */
		atomic_store_explicit(&rx->head->taken, rx->next, memory_order_release);
	}
}

#endif
