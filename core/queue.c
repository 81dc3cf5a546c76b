/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/queue.c - what is seldom done to a queue.
 */
#include "core/queue.h"

static void
insert(struct request_queue *q, struct pinion_request **at, struct pinion_request *r)
{
	r->next = *at;
	*at = r;
	if (r->next == NULL)
		q->end = &r->next;
	q->count++;
}

void
pinioni_queue_push_urgent(struct request_queue *q, struct pinion_request *r)
{
	struct pinion_request *overtaken = *q->urgent_end;

	if (overtaken != NULL && q->overtakes++ == URGENT_IN_ROW) {
		q->overtakes = 1;
		q->urgent_end = &overtaken->next;
	}
	insert(q, q->urgent_end, r);
	q->urgent_end = &r->next;
}

void
pinioni_queue_splice_front(struct request_queue *q, struct request_queue *from)
{
	if (from->head == NULL)
		return;
	if (from->urgent_end != &from->head)
		q->urgent_end = from->urgent_end;
	else
		q->urgent_end = &q->head;
	*from->end = q->head;
	if (q->head == NULL)
		q->end = from->end;
	q->head = from->head;
	q->count += from->count;
	queue_init(from);
}

static struct pinion_request *
take_out(struct request_queue *q, struct pinion_request **at)
{
	struct pinion_request *r = *at;

	*at = r->next;
	if (q->end == &r->next)
		q->end = at;
	if (q->urgent_end == &r->next)
		q->urgent_end = at;
	q->count--;
	return r;
}

bool
pinioni_queue_remove(struct request_queue *q, struct pinion_request *r)
{
	for (struct pinion_request **at = &q->head; *at != NULL; at = &(*at)->next)
		if (*at == r) {
			(void)take_out(q, at); /* that one */
			return true;
		}
	return false;
}

struct pinion_request *
pinioni_queue_take_ended(struct request_queue *q)
{
	struct pinion_request *list = NULL;

	for (struct pinion_request **at = &q->head; *at != NULL;)
		if ((*at)->parked == PARKED_ENDED) {
			struct pinion_request *r = take_out(q, at);

			r->next = list;
			list = r;
		} else {
			at = &(*at)->next;
		}
	return list;
}
