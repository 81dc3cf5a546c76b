/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cancel.c - ending everything that a worker has, for stop.
 */
#include <errno.h>

#include "core/request.h"
#include "core/worker.h"

/* Something that can be ended here and now; suspended handlers end themselves. */
static struct pinion_request *
find_endable(struct worker *w)
{
	for (struct pinion_request *r = w->all; r != NULL; r = r->all_next) {
		if (r->answered)
			continue; /* its handler is still inside */
		if (r->state == REQUEST_QUEUED || r->state == REQUEST_WAITING ||
		    r->state == REQUEST_RELAYING)
			return r;
		/* relaxed: whoever takes the token to zero sends an answer. */
		if (r->state == REQUEST_DEFERRED &&
		    atomic_exchange_explicit(&r->token, 0, memory_order_relaxed) != 0)
			return r;
	}
	return NULL;
}

static void
end_placeholders(struct worker *w)
{
	for (struct pinion_request *r = w->all, *next; r != NULL; r = next) {
		next = r->all_next;
		if (r->state == REQUEST_PLACEHOLDER && r->dependents == NULL)
			pinioni_worker_drop_placeholder(w, r);
	}
}

/* Takes it out of whatever list it is on. */
static void
unlist(struct worker *w, struct pinion_request *r)
{
	if (r->state == REQUEST_QUEUED)
		pinioni_worker_unqueue(w, r);
	else if (r->state == REQUEST_WAITING)
		for (struct pinion_request *o = w->all; o != NULL; o = o->all_next)
			for (struct pinion_request **at = &o->dependents; *at != NULL;
			     at = &(*at)->next)
				if (*at == r) {
					*at = r->next;
					if (*at == NULL)
						o->dependents_end = at;
					return;
				}
	if (r->state == REQUEST_RELAYING)
		for (uint32_t i = 0; i < w->port->memory.slot_count; i++)
			if (w->port->notes[i].relay == r)
				w->port->notes[i].relay = NULL;
}

void
pinioni_request_cancel_all(struct worker *w)
{
	struct pinion_request *r;

	w->canceling = true;
	while ((r = find_endable(w)) != NULL) {
		unlist(w, r);
		pinioni_request_fail(
		    r, -ECANCELED, PINION_ORIGIN_RUNTIME, "the runtime stopped before it ended");
	}
	end_placeholders(w);
}
