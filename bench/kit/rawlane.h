/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rawlane.h - two of the runtime's lanes without the model, many messages under way at once: the baseline of
 * rates.
 *
 *   near  pushes message n to `there` ... takes answer n from `back`
 *   far   takes it, copies it             pushes the answer
 *
 * Why       rawpair.h has one call under way, and so measures lines that cross. With many under way the
 *           crossings overlap: what is left is writing and reading cells. It is shm/lane.h itself, so that a
 *           better lane raises the bar too. One message at a time, as calls are.
 * Settling  What was taken is said when nothing more is there, as a worker does at the end of a turn, and every
 *           quarter of a lane at the latest.
 * Threads   One near and one far thread at a time, each with ends on lines of its own.
 */
#ifndef PINION_BENCH_KIT_RAWLANE_H
#define PINION_BENCH_KIT_RAWLANE_H

#include <string.h>

#include "bench/kit/pingpong.h"
#include "shm/lane.h"

enum {
	RAWLANE_CELLS = 1024 /* as many as a lane has */
};

struct rawlane {
	alignas(64) struct cell cells[RAWLANE_CELLS];
	struct lane_head head;
};

/* What one side has. */
struct rawlane_ends {
	alignas(64) struct lane_tx tx;
	struct lane_rx rx;
};

struct rawlanes {
	struct rawlane there, back;
	struct rawlane_ends near, far;
	struct pingpong pace; /* of their polls */
};

/* The next message, copied out. False: none came. */
static inline bool
rawlane_receive(struct rawlanes *p, struct rawlane_ends *ends, struct message *copy)
{
	struct lane_rx *rx = &ends->rx;

	if (lane_peek(rx) == NULL) {
		lane_settle(rx);
		/* P, as lane_peek's */
		if (!pingpong_poll(
			&p->pace, &rx->cells[rx->next & rx->mask].sequence, rx->next + 1))
			return false;
	}
	lane_take(rx, copy);
	if (rx->next - rx->settled >= RAWLANE_CELLS / 4)
		lane_settle(rx);
	return true;
}

/* False: there is no room. */
static inline bool
rawlane_push(struct rawlane_ends *ends, uint64_t call, uint64_t value)
{
	struct message *m = lane_claim(&ends->tx);

	if (m == NULL)
		return false;
	m->call = call;
	m->slot = m->port = 0;
	m->length = sizeof value;
	memcpy(m->record, &value, sizeof value);
	lane_publish(&ends->tx);
	return true;
}

/* Near: n counts up from 1. False: as many are under way as there are cells, and it is not sent. */
static inline bool
rawlane_send(struct rawlanes *p, uint64_t n)
{
	return rawlane_push(&p->near, n, n);
}

static inline uint64_t
rawlane_value(const struct message *m)
{
	uint64_t value;

	memcpy(&value, m->record, sizeof value);
	return value;
}

/* Near: the answer to message n, sent before. False: none, or a wrong one. */
static inline bool
rawlane_take(struct rawlanes *p, uint64_t n)
{
	struct message m;

	return rawlane_receive(p, &p->near, &m) && m.call == n && rawlane_value(&m) == n + 1;
}

/* Far: answers 1, 2, ... count. False: a message did not come, or its answer has no room. */
static inline bool
rawlane_answer(struct rawlanes *p, uint64_t count)
{
	struct message m;

	while (count-- != 0)
		if (!rawlane_receive(p, &p->far, &m) ||
		    !rawlane_push(&p->far, m.call, rawlane_value(&m) + 1))
			return false;
	return true;
}

static inline void
rawlane_open(struct rawlane *lane, struct lane_tx *tx, struct lane_rx *rx)
{
	lane_init(lane->cells, RAWLANE_CELLS, &lane->head, 0);
	lane_tx_init(tx, lane->cells, RAWLANE_CELLS, &lane->head, 0);
	lane_rx_init(rx, lane->cells, RAWLANE_CELLS, &lane->head, 0);
}

/* Before either side begins: the far side is started by a call made after this. steps: between two looks at a cell
 * that does not come; limit: ticks that a poll waits at most. */
static inline void
rawlane_reset(struct rawlanes *p, struct poll_steps steps, uint64_t limit)
{
	p->pace.steps = steps;
	p->pace.limit = limit;
	rawlane_open(&p->there, &p->near.tx, &p->far.rx);
	rawlane_open(&p->back, &p->far.tx, &p->near.rx);
}

#endif
