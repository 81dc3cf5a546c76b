/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cancel.c - ending everything that a worker has, for stop.
 */
#include <errno.h>

#include "core/request.h"
#include "core/worker.h"

/* Can it be ended here and now? Suspended handlers end themselves. */
static bool
is_endable(struct pinion_request *r)
{
	if (r->state == REQUEST_QUEUED || r->state == REQUEST_WAITING ||
	    r->state == REQUEST_RELAYING)
		return true;
	/* relaxed: whoever takes the token to zero sends an answer. */
	return r->state == REQUEST_DEFERRED &&
	    atomic_exchange_explicit(&r->token, 0, memory_order_relaxed) != 0;
}

static void
end_placeholders(struct worker *w)
{
	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (r->state == REQUEST_PLACEHOLDER && r->dependents == NULL)
			pinioni_worker_drop_placeholder(w, r);
	}
}

/* Out of the list of whatever it waits for. */
static void
unlist_waiting(struct worker *w, const struct pinion_request *r)
{
	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *o = pinioni_worker_request_at(w, i);

		for (struct pinion_request **at = &o->dependents; *at != NULL; at = &(*at)->next)
			if (*at == r) {
				*at = r->next;
				if (*at == NULL)
					o->dependents_end = at;
				return;
			}
	}
}

/* Out of the list of what is answered with some result. */
static void
unlist_relay(struct worker *w, const struct pinion_request *r)
{
	for (uint32_t i = 0; i < w->port->memory.slot_count; i++)
		for (struct pinion_request **at = &w->port->notes[i].relay; *at != NULL;
		     at = &(*at)->next)
			if (*at == r) {
				*at = r->next;
				w->port->notes[i].pinned--;
				return;
			}
}

/* Takes it out of whatever list it is on. */
static void
unlist(struct worker *w, struct pinion_request *r)
{
	if (r->state == REQUEST_QUEUED)
		pinioni_worker_unqueue(w, r);
	else if (r->state == REQUEST_WAITING)
		unlist_waiting(w, r);
	else if (r->state == REQUEST_RELAYING)
		unlist_relay(w, r);
}

/* One look at each; an end may make others endable. False: there was none. */
static bool
end_some(struct worker *w)
{
	bool any = false;

	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (!is_endable(r))
			continue;
		unlist(w, r);
		pinioni_request_fail(
		    r, -ECANCELED, PINION_ORIGIN_RUNTIME, "the runtime stopped before it ended");
		any = true;
	}
	return any;
}

void
pinioni_request_cancel_all(struct worker *w)
{
	w->canceling = true;
	while (end_some(w))
		continue;
	end_placeholders(w);
}
