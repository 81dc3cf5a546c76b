/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/queue.h - requests in line: a worker's that may start, a replica's that wait for it to have less to do.
 *
 *   head -> urgent -> urgent -> others, as they came
 *                          ^                       ^
 *                          urgent_end              end
 *
 * Why       One list, so that whoever takes the first need not know of urgency; who is urgent is put further ahead.
 * Progress  Of URGENT_IN_ROW urgent ones that are put ahead of somebody, the next waits behind one of the others: so
 *           others have a ninth of the starts, whatever comes.
 * Threads   The worker's only.
 */
#ifndef PINION_CORE_QUEUE_H
#define PINION_CORE_QUEUE_H

#include "core/request.h"

/* Behind those that are urgent, and in its turn before others. */
void pinioni_queue_push_urgent(struct request_queue *q, struct pinion_request *r);
/* All of `from`, in order, before what is in `q`. */
void pinioni_queue_splice_front(struct request_queue *q, struct request_queue *from);
/* Takes out those that are PARKED_ENDED; their list. */
struct pinion_request *pinioni_queue_take_ended(struct request_queue *q);
/* False: it is not there. */
bool pinioni_queue_remove(struct request_queue *q, struct pinion_request *r);

static inline void
queue_init(struct request_queue *q)
{
	*q = (struct request_queue){ .end = &q->head, .urgent_end = &q->head };
}

static inline bool
request_is_urgent(const struct pinion_request *r)
{
	return (r->depth & REQUEST_URGENT) != 0;
}

static inline void
queue_push(struct request_queue *q, struct pinion_request *r)
{
	r->next = NULL;
	*q->end = r;
	q->end = &r->next;
	q->count++;
}

/* Whatever it is. */
static inline void
queue_push_any(struct request_queue *q, struct pinion_request *r)
{
	if (request_is_urgent(r))
		pinioni_queue_push_urgent(q, r);
	else
		queue_push(q, r);
}

/* It was taken out, or has waited for long. */
static inline void
queue_push_front(struct request_queue *q, struct pinion_request *r)
{
	r->next = q->head;
	if (q->head == NULL)
		q->end = &r->next;
	if (q->urgent_end == &q->head && request_is_urgent(r))
		q->urgent_end = &r->next;
	q->head = r;
	q->count++;
}

/* The first, of a queue that is not empty. */
static inline struct pinion_request *
queue_pop(struct request_queue *q)
{
	struct pinion_request *r = q->head;

	q->head = r->next;
	if (q->urgent_end == &r->next)
		q->urgent_end = &q->head;
	if (q->head == NULL)
		q->end = &q->head;
	q->count--;
	return r;
}

#endif
