/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/peers/queue.h - two queues as a peer: requests in one, answers in the other, both sides poll.
 *
 *   near  push --there--> pop  far  push --back--> pop  near
 *
 * Why       Queues differ in their push and pop and in little else. A file that has these gets the rest here;
 *           the far loop takes them as parameters that the compiler knows, so it has no call in it.
 * Pace      The floor's and the runtime's (kit/polls.h). Some queues are quicker when polled tightly; a peer has the
 *           pace that is its best.
 *
 * For C and C++.
 */
#ifndef PINION_BENCH_PEERS_QUEUE_H
#define PINION_BENCH_PEERS_QUEUE_H

#include "bench/peers/peer.h"

/* False: full, empty. */
typedef bool queue_push(void *queue, const uint64_t *message, uint32_t bytes);
typedef bool queue_pop(void *queue, uint64_t *message, uint32_t bytes);

/* A step is made behind looks whose number has none of these bits. */
enum queue_pace {
	QUEUE_PACED = 0,
	QUEUE_TIGHT = 63
};

/* What a peer's start hands out begins with this. */
struct queue_pair {
	void *there, *back;
	queue_push *push;
	queue_pop *pop;
	uint32_t bytes;
	enum queue_pace pace;
	struct poll_steps steps;
	uint64_t limit;
};

static inline bool
queue_push_wait(const struct queue_pair *p, void *queue, const uint64_t *message, queue_push *push)
{
	struct polling polling;
	uint64_t start;
	uint32_t looks = 0;

	if (push(queue, message, p->bytes))
		return true;
	polling = polling_begin(p->steps);
	start = polling.now;
	while (!push(queue, message, p->bytes))
		if ((looks++ & p->pace) == 0 && polling_step(&polling) - start > p->limit)
			return false;
	return true;
}

static inline bool
queue_pop_wait(const struct queue_pair *p, void *queue, uint64_t *message, queue_pop *pop)
{
	struct polling polling;
	uint64_t start;
	uint32_t looks = 0;

	if (pop(queue, message, p->bytes))
		return true;
	polling = polling_begin(p->steps);
	start = polling.now;
	while (!pop(queue, message, p->bytes))
		if ((looks++ & p->pace) == 0 && polling_step(&polling) - start > p->limit)
			return false;
	return true;
}

static inline bool
queue_send(void *pair, const uint64_t *request)
{
	const struct queue_pair *p = (const struct queue_pair *)pair;

	return queue_push_wait(p, p->there, request, p->push);
}

static inline bool
queue_receive(void *pair, uint64_t *answer)
{
	const struct queue_pair *p = (const struct queue_pair *)pair;

	return queue_pop_wait(p, p->back, answer, p->pop);
}

/* push, pop: the pair's, named once more. */
static inline void
queue_serve(const struct queue_pair *p, uint64_t count, queue_push *push, queue_pop *pop)
{
	uint64_t message[PEER_WORDS_MAX] = { 0 };

	while (count-- != 0) {
		if (!queue_pop_wait(p, p->there, message, pop))
			return;
		message[0]++;
		if (!queue_push_wait(p, p->back, message, push))
			return;
	}
}

#endif
