/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cancel_many.c - ending many requests at once: what a replica runs, what names a port that is buried, all.
 *
 * They are looked for in the pool, one look at each: nobody keeps lists of them for that.
 */
#include "core/cancel.h"

#include <errno.h>

#include "core/batch.h"
#include "core/custody.h"
#include "core/guest.h"
#include "core/record.h"
#include "core/runtime.h"

/* Whether it can be ended here and now; then its token is taken. Suspended handlers end themselves. */
static bool
take_to_end(struct pinion_request *r)
{
	if (r->state == REQUEST_QUEUED || r->state == REQUEST_WAITING ||
	    r->state == REQUEST_GATHERED || r->state == REQUEST_RELAYING)
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

void
pinioni_cancel_unlist_relay(struct worker *w, const struct pinion_request *r)
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
	else if (r->state == REQUEST_GATHERED)
		pinioni_batch_drop(r);
	else if (r->state == REQUEST_RELAYING)
		pinioni_cancel_unlist_relay(w, r);
}

/* One look at each; an end may make others endable. False: there was none. */
static bool
end_some(struct worker *w)
{
	bool any = false;

	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (!take_to_end(r))
			continue;
		unlist(w, r);
		pinioni_request_fail(
		    r, -ECANCELED, PINION_ORIGIN_RUNTIME, "the runtime stopped before it ended");
		any = true;
	}
	return any;
}

void
pinioni_cancel_replica(struct worker *w, const struct replica *replica)
{
	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (r->state != REQUEST_FREE && r->state != REQUEST_PLACEHOLDER &&
		    r->replica == replica && r->counted)
			pinioni_cancel_end(r, REQUEST_CANCELED);
	}
}

/* A call of a port that nobody has any more, or whose arguments lie there, or that came from its lanes. */
static bool
names_port(const struct pinion_request *r, const pinion_port *port)
{
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count;

	if (r->state == REQUEST_PLACEHOLDER)
		return r->message.port == port->index; /* it has nothing else */
	if (r->port == port ||
	    (r->lane >= port->rx && r->lane < port->rx + port->runtime->worker_count))
		return true;
	if (r->message.refs == 0)
		return false;
	count = pinioni_record_refs(r->worker->runtime, &r->message, r->method, refs);
	for (unsigned i = 0; i < count; i++)
		if (refs[i].port == port->index)
			return true;
	return false;
}

/* Ends it, if its handler does not run. */
static void
end_now(struct worker *w, struct pinion_request *r, const pinion_port *port)
{
	if (r->state == REQUEST_PLACEHOLDER && r->dependents == NULL) {
		pinioni_worker_drop_placeholder(w, r);
	} else if (r->state == REQUEST_WAITING && r->port != port) {
		unlist(w, r);
		pinioni_request_fail(r, -EOWNERDEAD, PINION_ORIGIN_RUNTIME,
		    "the process whose result it waits for has gone");
	} else if (r->port != port && r->port != NULL) {
		return; /* somebody else's: it ends as it does */
	} else if (take_to_end(r)) {
		unlist(w, r);
		pinioni_request_fail(r, -ECANCELED, PINION_ORIGIN_RUNTIME, "its caller has gone");
	} else {
		pinioni_cancel_end(r, REQUEST_CANCELED);
	}
}

uint32_t
pinioni_cancel_port(struct worker *w, const pinion_port *port)
{
	uint32_t left = 0;

	custody_settle(w);
	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (r->state == REQUEST_FREE || !names_port(r, port))
			continue;
		left++;
		end_now(w, r, port);
	}
	return left;
}

void
pinioni_guests_count(struct worker *w, uint32_t counts[PORTS_MAX])
{
	for (uint32_t i = 0; i < pinioni_worker_pool_size(w); i++) {
		const struct pinion_request *r = pinioni_worker_request_at(w, i);

		if (r->state != REQUEST_FREE && r->message.port < PORTS_MAX)
			counts[r->message.port]++;
	}
}

void
pinioni_cancel_all(struct worker *w)
{
	w->unusual += !w->canceling;
	w->canceling = true;
	while (end_some(w))
		continue;
	end_placeholders(w);
}
