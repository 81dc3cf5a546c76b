/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/custody.h - what a worker knows of calls it has or had: who waits for them, where they went.
 *
 *   custody[port][slot] --> here: the request, or a placeholder --> dependents, in order
 *                       --> gone: to that worker, handed on so often
 *
 * Lazy      The latest request is remembered and not written down before somebody looks: most calls end before.
 * Threads   The worker's own.
 */
#ifndef PINION_CORE_CUSTODY_H
#define PINION_CORE_CUSTODY_H

#include "core/runtime.h"

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

/* Dependents are about to be routed. One may end on its way, and then its own are: they are added, and whoever began routes
 * all of them, one after the other, or a chain would end on one stack. True: that is us, by pinioni_request_reroute. */
static inline bool
reroute_begin(struct worker *w)
{
	if (w->rerouted_end != NULL)
		return false;
	w->rerouted_end = &w->rerouted;
	return true;
}

/* After those that are there; it was begun. */
static inline void
reroute_add(struct worker *w, struct pinion_request *r)
{
	r->next = NULL;
	*w->rerouted_end = r;
	w->rerouted_end = &r->next;
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

/* Into its entry, which there is, with all that waited for it. Not inline: most calls end before, and would save its
 * registers for nothing. */
void pinioni_custody_write(struct worker *w, struct pinion_request *r);

/* Before anybody looks an entry up. */
static inline void
custody_settle(struct worker *w)
{
	struct pinion_request *r = w->latest;

	if (r == NULL)
		return;
	w->latest = NULL;
	pinioni_custody_write(w, r);
}

static inline bool
custody_has(const struct worker *w, const struct pinion_request *r)
{
	return w->latest == r || (r->custody != NULL && r->custody->here == r);
}

/* What is here stands for {port, slot} from now on. False: no memory, or no such slot. */
__attribute__((always_inline)) static inline bool
custody_take(struct worker *w, struct pinion_request *r)
{
	if (worker_custody(w, r->message.port, r->message.slot) == NULL)
		return false;
	custody_settle(w);
	w->latest = r;
	if (w->placeholders != 0)
		custody_settle(w); /* one of them may wait for it */
	return true;
}

/* Nothing stands for {port, slot} here any more; where it went, when it went. */
static inline void
custody_leave(struct worker *w, const struct pinion_request *r, unsigned trail, unsigned worker)
{
	struct custody_entry *e = r->custody;

	if (w->latest == r) {
		w->latest = NULL;
		return;
	}
	if (e == NULL || e->here != r)
		return;
	w->custody_count--;
	e->here = NULL;
	e->trail = trail;
	e->worker = worker;
}

/* Around changes of its message: whoever reads this when we have died finds it as it was. The state that it had. */
static inline uint8_t
request_rewrite(const struct worker *w, struct pinion_request *r)
{
	uint8_t state = r->state;

	if (w->journal == NULL)
		return state;
	r->before = r->message;
	request_stored();
	r->state = REQUEST_REWRITTEN;
	request_stored();
	return state;
}

static inline void
request_rewritten(struct pinion_request *r, uint8_t state)
{
	request_stored();
	r->state = state;
}

/* Before it is sent: whoever reads this when we have died finds out whether it was. */
static inline void
request_mark_sent(struct worker *w, struct pinion_request *r, unsigned to, enum request_state state)
{
	r->sent_to = (uint16_t)to;
	r->sent_ticket = w->port->tx[to].tail;
	request_stored();
	r->state = (uint8_t)state;
}

/* A call that this worker makes, and has now: to one of its own replicas, or of an argument that is here. The message
 * is right. all_here: its arguments. The replica has no rules. */
__attribute__((always_inline)) static inline void
request_start(struct pinion_request *r, pinion_port *port, const struct method *method,
    uint32_t replica, uint64_t depth, bool all_here)
{
	const struct replica_table *table = registry_replicas(&port->runtime->registry);

	r->port = port;
	r->method = method;
	r->replica = table->replicas[replica];
	r->depth = (uint32_t)depth;
	r->is_plain = true;
	if (!all_here) {
		r->state = REQUEST_QUEUED;
		pinioni_request_route(r);
	} else if (custody_take(r->worker, r))
		worker_enqueue(r->worker, r);
	else
		pinioni_request_fail_custody(r);
}

#endif
