/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/custody.h - what a worker knows of calls it has or had: who waits for them, where they went.
 *
 *   custody[port][slot] --> here: the request, or a placeholder --> dependents, in order
 *                       --> gone: to that worker, handed on so often
 *
 * Threads   The worker's own.
 */
#ifndef PINION_CORE_CUSTODY_H
#define PINION_CORE_CUSTODY_H

#include "core/worker.h"

static inline void
dependents_attach(struct pinion_request *to, struct pinion_request *r)
{
	r->state = REQUEST_WAITING;
	r->next = NULL;
	*to->dependents_end = r;
	to->dependents_end = &r->next;
}

static inline struct pinion_request *
dependents_detach(struct pinion_request *from)
{
	struct pinion_request *list = from->dependents;

	from->dependents = NULL;
	from->dependents_end = &from->dependents;
	return list;
}

static inline void
dependents_move(struct pinion_request *from, struct pinion_request *to)
{
	if (from->dependents == NULL)
		return;
	*to->dependents_end = from->dependents;
	to->dependents_end = from->dependents_end;
	(void)dependents_detach(from);
}

enum {
	FOLLOWS_NONE = -1
};

/* argument: the index of the one it follows to that worker. */
static inline uint8_t
follow_flags(uint8_t flags, int argument)
{
	unsigned rest = flags & (MESSAGE_STAMP | MESSAGE_GIVEN);

	return (uint8_t)(argument < 0
		? rest
		: rest | MESSAGE_FOLLOW | (unsigned)argument << MESSAGE_FOLLOWED_SHIFT);
}

/* What is here stands for {port, slot} from now on, with all that waited for it. */
static inline bool
custody_take(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);

	if (e == NULL)
		return false;
	if (e->generation == request_generation(r) && e->here != NULL) {
		dependents_move(e->here, r);
		if (e->here->state == REQUEST_PLACEHOLDER) {
			w->placeholders--;
			worker_give_request(w, e->here);
		}
	} else {
		w->custody_count++;
	}
	*e = (struct custody_entry){ .generation = request_generation(r), .here = r };
	r->custody = e;
	return true;
}

/* Nothing stands for {port, slot} here any more; where it went, when it went. */
static inline void
custody_leave(struct worker *w, const struct pinion_request *r, unsigned trail, unsigned worker)
{
	struct custody_entry *e = r->custody;

	if (e == NULL || e->here != r)
		return;
	w->custody_count--;
	e->here = NULL;
	e->trail = trail;
	e->worker = worker;
}

#endif
