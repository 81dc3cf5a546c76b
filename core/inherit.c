/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/inherit.c - see core/inherit.h.
 */
#include "core/inherit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/custody.h"
#include "core/guard.h"
#include "core/host.h"
#include "core/record.h"

/* ---- redirecting ------------------------------------------------------------------------------ */

/* Locked. */
static bool
serves(const struct pinion_runtime *rt, const struct replica *r)
{
	const struct host *h;

	if (r->worker->index < rt->host_first)
		return true;
	h = &rt->hosts[r->worker->index - rt->host_first];
	return h->replica == r && h->state == HOST_SERVING;
}

/* One that serves in its place; NULL: none does, or it is to be that one. Locked. */
static const struct replica *
sibling_of(const struct pinion_runtime *rt, const struct replica *r, const struct message *m)
{
	const struct deployment *d = r->deployment;

	if (d->rules.routing == ROUTE_BY_KEY || (m->function & MESSAGE_FIXED) != 0 ||
	    (m->call & 0xff) >= HOPS_MAX)
		return NULL;
	for (uint32_t i = 1; i < d->own_count; i++) {
		const struct replica *sibling = d->own[(r->number + i) % d->own_count];

		if (serves(rt, sibling))
			return sibling;
	}
	return NULL;
}

/* Why a call for that host is not answered; false: it will be, by who comes in its place. Locked. */
static bool
will_not_be(const struct pinion_runtime *rt, const struct host *h, char text[FAULT_TEXT])
{
	if (h->state == HOST_FAILED) {
		memcpy(text, h->text, FAULT_TEXT);
		return true;
	}
	(void)snprintf(text, FAULT_TEXT, "the process of replica %u has ended",
	    h->replica == NULL ? 0 : h->replica->number);
	return runtime_phase(rt) != RUNTIME_RUNNING || h->is_going || h->replica == NULL ||
	    h->replica->deployment->host_command == NULL;
}

/* The first of its arguments that is not there, and of which this one was to know. */
static int
missing_argument(const struct pinion_runtime *rt, const struct message *m, const struct replica *to,
    unsigned worker)
{
	struct record_ref refs[PINION_ARGS_MAX];
	const struct deployment *d = to->deployment;
	unsigned count, bits = m->refs;

	if (m->refs == 0 || m->method >= d->method_count)
		return FOLLOWS_NONE;
	count = pinioni_record_refs(rt, m, &d->methods[m->method], refs);
	for (unsigned i = 0; i < count; i++, bits &= bits - 1) {
		const pinion_port *p = runtime_port(rt, refs[i].port);

		if (refs[i].kind == REF_RESULT && p != NULL && refs[i].at < p->memory.slot_count &&
		    (refs[i].call & 0xffff) == worker &&
		    slot_look(&p->memory.slots[refs[i].at], refs[i].call >> 16) == SLOT_IS_PENDING)
			return __builtin_ctz(bits);
	}
	return FOLLOWS_NONE;
}

static void
redirect_call(struct worker *w, const struct host *h, struct message m)
{
	struct pinion_runtime *rt = w->runtime;
	const struct replica_table *table = registry_replicas(&rt->registry);
	unsigned dead = rt->host_first + (unsigned)(h - rt->hosts);
	const struct replica *to = m.target < table->count ? table->replicas[m.target] : NULL;
	const struct replica *sibling = NULL;
	char text[FAULT_TEXT];
	bool ends = false;
	int argument;

	m.flags = follow_flags(m.flags, FOLLOWS_NONE);
	(void)pthread_mutex_lock(&rt->lock);
	if (to != NULL && to->worker->index == dead) {
		sibling = sibling_of(rt, to, &m);
		ends = sibling == NULL &&
		    (will_not_be(rt, h, text) ||
			(w->standing_in >> (dead - rt->host_first) & 1) != 0); /* or it came back */
	}
	(void)pthread_mutex_unlock(&rt->lock);
	if (sibling != NULL) {
		m.target = (uint16_t)sibling->index;
		m.call++;
	}
	argument = to == NULL ? FOLLOWS_NONE : missing_argument(rt, &m, to, dead);
	if (argument != FOLLOWS_NONE && (w->standing_in >> (dead - rt->host_first) & 1) != 0)
		m.flags = follow_flags(m.flags, argument); /* it waits here: it would come back */
	else if (ends && argument == FOLLOWS_NONE) {
		pinioni_request_reject_for(w, &m, -EOWNERDEAD, text);
		return;
	}
	pinioni_request_accept(w, &m);
}

/* Of what was for a host that is away. */
static void
redirect(struct worker *w, const struct host *h, const struct message *m)
{
	if (m->kind == MESSAGE_CALL)
		redirect_call(w, h, *m);
	else if (m->kind == MESSAGE_CANCEL)
		pinioni_request_accept(w, m);
	/* Answers of tokens are for requests that have ended with it. */
}

/* ---- the journal ------------------------------------------------------------------------------ */

static uint32_t
request_count(const struct worker *dead)
{
	uint32_t chunks = dead->chunk_count;

	return (chunks < REQUEST_CHUNKS_MAX ? chunks : REQUEST_CHUNKS_MAX) * REQUEST_CHUNK;
}

/* NULL: there is none of that number. */
static const struct pinion_request *
request_at(const struct inheritance *n, const struct worker *dead, uint32_t index)
{
	const struct pinion_request *const *at = (const void *)(uintptr_t)dead->chunks;
	const struct pinion_request *chunk;

	at = pinioni_journal_at(&n->journal, at + index / REQUEST_CHUNK, sizeof *at);
	chunk =
	    at == NULL ? NULL : pinioni_journal_at(&n->journal, *at, REQUEST_CHUNK * sizeof *chunk);
	return chunk == NULL ? NULL : &chunk[index % REQUEST_CHUNK];
}

/* The first of one of its lanes may be in a request already. */
static void
settle_lane(const struct inheritance *n, const struct worker *dead)
{
	const struct pinion_request *r = request_at(n, dead, dead->taking.request);
	pinion_port *port = runtime_port(n->runtime, dead->taking.port);
	unsigned worker = n->runtime->host_first + (unsigned)(n->host - n->runtime->hosts);
	struct lane_head *head;

	if (r == NULL || port == NULL || r->state <= REQUEST_NEW)
		return;
	head = lane_memory_head(&port->lanes, worker);
	/* relaxed: its writer is dead. */
	if (atomic_load_explicit(&head->taken, memory_order_relaxed) + 1 == dead->taking.ticket) {
		/* C */
		atomic_store_explicit(&head->taken, dead->taking.ticket, memory_order_release);
	}
}

/* As it was whole. */
static const struct message *
message_of(const struct pinion_request *r)
{
	return r->state == REQUEST_REWRITTEN ? &r->before : &r->message;
}

static bool
is_same_call(const struct message *a, const struct message *b)
{
	return a->port == b->port && a->slot == b->slot && a->call >> 16 == b->call >> 16 &&
	    a->kind == b->kind;
}

/* Another request of it stands for the same call. */
static bool
has_twin(const struct inheritance *n, const struct worker *dead, const struct pinion_request *r)
{
	for (uint32_t i = 0; i < request_count(dead); i++) {
		const struct pinion_request *o = request_at(n, dead, i);

		if (o != NULL && o != r && o->state > REQUEST_PLACEHOLDER &&
		    o->state < REQUEST_ANSWERED && is_same_call(message_of(o), message_of(r)))
			return true;
	}
	return false;
}

/* The i-th of those that it could not yet push; false: there is none. */
static bool
boxed(const struct inheritance *n, const struct outbox *o, uint32_t i, struct message *m)
{
	const struct message *block = o->messages == NULL
	    ? NULL
	    : pinioni_journal_at(&n->journal, o->messages - 1, sizeof *block);
	const struct message *at;
	uint64_t room;

	if (block == NULL || i >= outbox_count(o))
		return false;
	memcpy(&room, block, sizeof room); /* core/pool.c */
	if (room == 0 || (room & (room - 1)) != 0 || outbox_count(o) > room)
		return false; /* it has been written over */
	at = pinioni_journal_at(
	    &n->journal, o->messages + ((o->first + i) & (room - 1)), sizeof *at);
	if (at == NULL)
		return false;
	memcpy(m, at, sizeof *m);
	return true;
}

static bool
is_boxed(const struct inheritance *n, const struct outbox *o, const struct message *call)
{
	struct message m;

	for (uint32_t i = 0; boxed(n, o, i, &m); i++)
		if (is_same_call(&m, call))
			return true;
	return false;
}

/* What lies, or lay, in its lane under that ticket; NULL: nothing yet. */
static const struct message *
pushed(const struct inheritance *n, unsigned to, uint64_t ticket)
{
	const struct lane_memory *lanes = &n->from->lanes;
	const struct cell *cell = &lane_memory_cells(lanes, to)[ticket & (lanes->cells - 1)];

	/* relaxed: its writer is dead. */
	return (int64_t)(atomic_load_explicit(&cell->sequence, memory_order_relaxed) - ticket) > 0
	    ? &cell->message
	    : NULL;
}

static bool
was_sent(const struct inheritance *n, const struct worker *dead, const struct pinion_request *r)
{
	if (r->sent_to >= n->runtime->worker_count || n->from == NULL)
		return false;
	return pushed(n, r->sent_to, r->sent_ticket) != NULL ||
	    is_boxed(n, &dead->outboxes[r->sent_to], message_of(r));
}

enum fate {
	FATE_NONE,     /* nothing is to be done */
	FATE_TOLD,     /* it is answered: whoever asked may not have been told */
	FATE_FAILED,   /* it was started */
	FATE_REPEATED, /* the same; its method may be run once more */
	FATE_REDIRECTED
};

/* Its first run: what had been handed on, or repeated, was started before. So a call that ends each process that runs it ends
 * two of them. */
static bool
may_repeat(const struct inheritance *n, const struct message *m)
{
	const struct replica_table *table = registry_replicas(&n->runtime->registry);
	const struct deployment *d =
	    m->target < table->count ? table->replicas[m->target]->deployment : NULL;

	return d != NULL && m->method < d->method_count && d->methods[m->method].is_idempotent &&
	    (m->call & 0xff) == 0 && m->slot != SLOT_NONE;
}

static enum fate
fate_of_pending(
    const struct inheritance *n, const struct worker *dead, const struct pinion_request *r)
{
	switch ((enum request_state)r->state) {
	case REQUEST_SENT:
		return was_sent(n, dead, r) ? FATE_NONE : FATE_REDIRECTED;
	case REQUEST_HANDED_ON:
		return (r->sent_to == dead->index ? has_twin(n, dead, r) : was_sent(n, dead, r))
		    ? FATE_NONE
		    : FATE_FAILED;
	case REQUEST_REPLACED:
		return FATE_NONE;
	case REQUEST_WAITING:
	case REQUEST_REWRITTEN:
	case REQUEST_QUEUED:
	case REQUEST_GATHERED:
		return FATE_REDIRECTED;
	case REQUEST_RUNNING:
	case REQUEST_RELAYING:
	case REQUEST_DEFERRED:
		return may_repeat(n, message_of(r)) ? FATE_REPEATED : FATE_FAILED;
	default:
		return FATE_FAILED;
	}
}

static enum fate
fate_of(const struct inheritance *n, const struct worker *dead, const struct pinion_request *r)
{
	const struct message *m = message_of(r);
	const pinion_port *port;
	enum fate fate;

	if (r->state <= REQUEST_PLACEHOLDER || m->kind != MESSAGE_CALL)
		return FATE_NONE;
	if (m->slot == SLOT_NONE) {
		fate = fate_of_pending(n, dead, r);
		return fate == FATE_REDIRECTED ? fate : FATE_NONE;
	}
	port = runtime_port(n->runtime, m->port);
	if (port == NULL || port->of_host == n->host || m->slot >= port->memory.slot_count)
		return FATE_NONE; /* its own: they go with it */
	if (slot_look(&port->memory.slots[m->slot], m->call >> 16) != SLOT_IS_PENDING)
		return FATE_TOLD;
	return fate_of_pending(n, dead, r);
}

static void
see_to(struct inheritance *n, struct worker *w, const struct pinion_request *r, enum fate fate)
{
	const struct message *m = message_of(r);

	if (fate == FATE_TOLD) {
		pinioni_request_tell(
		    w, runtime_port(n->runtime, m->port), m->slot, SLOT_FOREIGN | SLOT_TELL);
	} else if (fate == FATE_FAILED) {
		pinioni_request_reject_for(w, m, -EOWNERDEAD, "its process ended while it ran");
		n->failed++;
	} else {
		struct message again = *m;

		again.call += fate == FATE_REPEATED; /* a hop: it is not its first run */
		redirect(w, n->host, &again);
		n->redirected++;
		n->repeated += fate == FATE_REPEATED;
	}
}

/* All of one fate, before those of the next: what waits for one that fails is redirected when it has failed. */
static void
see_to_all(struct inheritance *n, struct worker *w, const struct worker *dead, enum fate fate)
{
	for (uint32_t i = 0; i < request_count(dead); i++) {
		const struct pinion_request *r = request_at(n, dead, i);

		if (r != NULL && fate_of(n, dead, r) == fate)
			see_to(n, w, r, fate);
	}
}

/* The first may have been pushed just then: it is what lies last in the lane. */
static bool
was_pushed_last(const struct inheritance *n, unsigned to, const struct message *m)
{
	const struct message *last;

	if (n->from == NULL || n->from->lanes.cells == 0)
		return true;
	last = pushed(n, to, n->last[to]);
	return last != NULL && memcmp(last, m, sizeof *m) == 0;
}

/* The highest ticket in its lane, less one. */
static void
find_last(struct inheritance *n)
{
	for (unsigned to = 0; n->from != NULL && to < n->runtime->worker_count; to++) {
		const struct cell *cells = lane_memory_cells(&n->from->lanes, to);

		for (uint32_t i = 0; i < n->from->lanes.cells; i++) {
			/* relaxed: its writer is dead. */
			uint64_t ticket =
			    atomic_load_explicit(&cells[i].sequence, memory_order_relaxed);

			if (ticket != 0 && (int64_t)(ticket - 1 - n->last[to]) > 0)
				n->last[to] = ticket - 1;
		}
	}
}

static void
send_boxed(struct inheritance *n, struct worker *w, const struct worker *dead)
{
	struct message m;

	for (unsigned to = 0; to < n->runtime->worker_count; to++)
		for (uint32_t i = 0; boxed(n, &dead->outboxes[to], i, &m); i++)
			if (i != 0 || !was_pushed_last(n, to, &m))
				(void)pinioni_worker_send(w, to, &m); /* or it has failed */
}

static void
inherit(struct worker *w, void *arg)
{
	struct inheritance *n = arg;
	const struct worker *dead = pinioni_journal_worker(&n->journal);

	if (dead == NULL)
		return;
	settle_lane(n, dead);
	find_last(n);
	see_to_all(n, w, dead, FATE_TOLD);
	see_to_all(n, w, dead, FATE_FAILED);
	send_boxed(n, w, dead);
	see_to_all(n, w, dead, FATE_REPEATED);
	see_to_all(n, w, dead, FATE_REDIRECTED);
	pinioni_port_order(w->port);
}

void
pinioni_inherit(struct inheritance *n)
{
	n->letter = (struct control){ .run = inherit, .arg = n };
	pinioni_worker_control_send(runtime_own(n->runtime, 0), &n->letter);
}

/* ---- standing in ------------------------------------------------------------------------------ */

static void
begin(struct worker *w, void *arg)
{
	const struct standing *s = arg;
	struct pinion_runtime *rt = w->runtime;

	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *p = runtime_port(rt, i);
		uint32_t guarded;

		if (p == NULL)
			continue;
		guarded = p->rx[s->worker].guarded;
		pinioni_port_begin_at_head(p, s->worker);
		p->rx[s->worker].guarded = guarded;
	}
	w->standing_in |= UINT64_C(1) << (s->worker - rt->host_first);
	w->listed++;
}

static void
end(struct worker *w, void *arg)
{
	const struct standing *s = arg;

	w->standing_in &= ~(UINT64_C(1) << (s->worker - w->runtime->host_first));
	w->listed--;
}

void
pinioni_stand_in_begin(struct pinion_runtime *rt, struct standing *s)
{
	s->letter = (struct control){ .run = begin, .arg = s };
	pinioni_worker_control_send(runtime_own(rt, 0), &s->letter);
}

void
pinioni_stand_in_end(struct pinion_runtime *rt, struct standing *s)
{
	s->letter = (struct control){ .run = end, .arg = s };
	pinioni_worker_control_send(runtime_own(rt, 0), &s->letter);
}

static void
empty(struct worker *w, const struct host *h, struct lane_rx *rx)
{
	struct message m;

	for (unsigned i = 0; i < LANE_BURST && lane_peek(rx) != NULL; i++) {
		lane_take(rx, &m);
		w->work++;
		if (rx->guarded == 0 || pinioni_guard_admits(w, rx, &m))
			redirect(w, h, &m);
	}
	lane_settle(rx);
}

void
pinioni_stand_in_turn(struct worker *w)
{
	struct pinion_runtime *rt = w->runtime;

	for (uint64_t left = w->standing_in; left != 0; left &= left - 1) {
		unsigned which = (unsigned)__builtin_ctzll(left);

		for (unsigned i = 0; i < PORTS_MAX; i++) {
			pinion_port *p = runtime_port(rt, i);

			if (p != NULL)
				empty(w, &rt->hosts[which], &p->rx[rt->host_first + which]);
		}
	}
}
