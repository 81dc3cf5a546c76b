/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/request.c - where a request goes.
 */
#include "core/request.h"

#include <errno.h>
#include <string.h>

#include "core/admission.h"
#include "core/call.h"
#include "core/cancel.h"
#include "core/custody.h"
#include "core/guard.h"
#include "core/guest_sanitizer.h"
#include "core/piped.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/serve.h"
#include "core/terms.h"
#include "core/thread.h"

/* ---- on the way ------------------------------------------------------------------------------ */

static int
followed(const struct message *m)
{
	return (m->flags & MESSAGE_FOLLOW) != 0 ? m->flags >> MESSAGE_FOLLOWED_SHIFT : FOLLOWS_NONE;
}

/* The index of the argument that is the n-th reference. */
static int
argument_index(const struct message *m, unsigned n)
{
	unsigned refs = m->refs;

	for (; n != 0; n--)
		refs &= refs - 1;
	return __builtin_ctz(refs);
}

/* How often a request had been handed on when this message of it was sent; grows with every hand-over:
 * a tail call is one hop more, surplus is given away a few times between two of these. Never 0. */
static unsigned
trail_of(const struct message *m)
{
	return 1 + (unsigned)(m->call & 0xff) * 4 + (m->flags & MESSAGE_GIVEN) / MESSAGE_GIVEN_ONCE;
}

static bool
slot_is_pending(const struct pinion_request *r)
{
	return slot_look(&r->port->memory.slots[r->message.slot], request_generation(r)) ==
	    SLOT_IS_PENDING;
}

/* It went to an argument first, and will be back: what waits for it waits on. */
static void
stand_in(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);
	struct pinion_request *p = NULL;

	custody_settle(w);
	if (e != NULL && e->here == r && slot_is_pending(r))
		p = worker_take_request(w);
	if (p == NULL) {
		struct pinion_request *list = dependents_detach(r);

		custody_leave(w, r, 0, 0);
		pinioni_request_route_all(w, list);
		return;
	}
	w->placeholders++;
	p->state = REQUEST_PLACEHOLDER;
	p->depth = r->depth & REQUEST_ENDING;
	p->message = r->message;
	dependents_move(r, p);
	e->here = p;
}

static void accept_for(struct worker *w, const struct message *m, struct pinion_request *other);

/* argument: it follows that one, handed on so often. */
static void
send_on(struct worker *w, struct pinion_request *r, unsigned to, int argument, unsigned trail)
{
	struct message *m = &r->message;

	m->flags = follow_flags(m->flags, argument);
	m->trail = (uint16_t)trail;
	if (custody_has(w, r) || r->dependents != NULL)
		stand_in(w, r);
	if (to == w->index) {
		board_count(w->line, COUNT_SENT, 1);
		accept_for(w, m, r);
	} else {
		request_mark_sent(w, r, to, REQUEST_SENT);
		(void)pinioni_worker_post(w, to, m); /* or it has failed */
	}
	request_stored();
	worker_give_request(w, r);
}

/* Follows what was here, and is its argument. */
static void
send_behind(struct worker *w, struct pinion_request *r, const struct pinion_request *what,
    unsigned to, unsigned trail)
{
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count = pinioni_record_refs(w->runtime, &r->message, r->method, refs);
	int argument = FOLLOWS_NONE;

	for (unsigned i = 0; i < count && argument < 0; i++)
		if (refs[i].kind == REF_RESULT && refs[i].port == what->message.port &&
		    refs[i].at == what->message.slot &&
		    refs[i].call >> 16 == request_generation(what))
			argument = argument_index(&r->message, i);
	send_on(w, r, to, argument, trail);
}

/* ---- routing -------------------------------------------------------------------------------- */

static struct pinion_request *
placeholder(struct worker *w, struct custody_entry *e, const struct record_ref *ref)
{
	uint64_t generation = ref->call >> 16;
	struct pinion_request *r = worker_take_request(w);

	if (r == NULL)
		return NULL;
	w->placeholders++;
	r->state = REQUEST_PLACEHOLDER;
	r->depth = 0;
	r->message.call = generation << 16;
	r->message.port = ref->port;
	r->message.slot = (uint16_t)ref->at;
	if (e->here == NULL)
		w->custody_count++;
	*e = (struct custody_entry){ .generation = generation, .here = r };
	return r;
}

/* What will run here is in custody while it waits: so what waits for it finds it. */
static void
wait_at(struct worker *w, struct pinion_request *here, struct pinion_request *r)
{
	dependents_attach(here, r);
	if (r->port != NULL && r->replica->worker == w && !custody_has(w, r))
		(void)custody_take(w, r); /* else a placeholder stands for it meanwhile */
}

/* Waits here for its argument, or follows it. False: no memory. */
static bool
wait_for(struct worker *w, struct pinion_request *r, const struct record_ref *ref, int argument)
{
	uint64_t generation = ref->call >> 16;
	unsigned home = (unsigned)(ref->call & 0xffff);
	/* It may have followed another, which is there by now: that says nothing of this one. */
	bool follow = followed(&r->message) == argument;
	struct custody_entry *e = worker_custody(w, ref->port, ref->at);
	struct pinion_request *here;

	if (e == NULL)
		return false;
	custody_settle(w);
	r->message.flags = follow_flags(r->message.flags, FOLLOWS_NONE);
	if (e->generation == generation && e->here != NULL) {
		wait_at(w, e->here, r);
		return true;
	}
	/* It left from here: unless it is on its way back, as the one who sent us knows. */
	if (e->generation == generation && e->trail != 0 &&
	    (!follow || e->trail > r->message.trail)) {
		send_on(w, r, e->worker, argument, e->trail);
		return true;
	}
	if (home != w->index && home < w->runtime->worker_count && !follow) {
		send_on(w, r, home, FOLLOWS_NONE, 0);
		return true;
	}
	here = placeholder(w, e, ref);
	if (here == NULL)
		return false;
	wait_at(w, here, r);
	return true;
}

static bool
is_pending(const struct pinion_runtime *rt, const struct record_ref *ref)
{
	const pinion_port *p = runtime_port(rt, ref->port);

	return ref->kind == REF_RESULT && p != NULL && ref->at < p->memory.slot_count &&
	    slot_look(&p->memory.slots[ref->at], ref->call >> 16) == SLOT_IS_PENDING;
}

void
pinioni_request_fail_custody(struct pinion_request *r)
{
	r->lane = NULL;
	pinioni_request_fail(r, -ENOMEM, PINION_ORIGIN_RUNTIME, "no memory for custody");
}

/* True: it was sent, or waits, or failed. */
static bool
wait_for_arguments(struct worker *w, struct pinion_request *r)
{
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count = pinioni_record_refs(w->runtime, &r->message, r->method, refs);

	for (unsigned i = 0; i < count; i++)
		if (is_pending(w->runtime, &refs[i])) {
			if (!wait_for(w, r, &refs[i], argument_index(&r->message, i)))
				pinioni_request_fail_custody(r);
			return true;
		}
	return false;
}

/* It will run here. */
static inline void
keep(struct worker *w, struct pinion_request *r, bool is_plain)
{
	r->is_plain = is_plain;
	if (r->port != NULL && !custody_take(w, r))
		pinioni_request_fail_custody(r);
	else
		worker_enqueue(w, r);
}

void
pinioni_request_route(struct pinion_request *r)
{
	struct worker *w = r->worker;
	uint8_t state;

	if (r->message.refs != 0) {
		if (wait_for_arguments(w, r))
			return;
		state = request_rewrite(w, r);
		pinioni_record_settle(w, &r->message, r->method, NULL);
		request_rewritten(r, state);
	}
	if (r->replica->worker != w) {
		board_count(w->line, COUNT_CHAINED, 1);
		send_on(w, r, r->replica->worker->index, FOLLOWS_NONE, 0);
		return;
	}
	r->is_plain = record_is_plain(&r->message, r->method);
	if (r->port != NULL && !custody_has(w, r) && !custody_take(w, r))
		pinioni_request_fail_custody(r);
	else if (r->replica->direct == w || pinioni_admission_ask(r))
		worker_enqueue_any(w, r);
}

void
pinioni_request_reroute(struct worker *w)
{
	for (struct pinion_request *r; (r = w->rerouted) != NULL;) {
		w->rerouted = r->next;
		if (w->rerouted == NULL)
			w->rerouted_end = &w->rerouted;
		pinioni_request_route(r);
	}
	w->rerouted_end = NULL;
}

void
pinioni_request_route_all(struct worker *w, struct pinion_request *list)
{
	bool is_first = reroute_begin(w);

	for (struct pinion_request *next; list != NULL; list = next) {
		next = list->next;
		reroute_add(w, list);
	}
	if (is_first)
		pinioni_request_reroute(w);
}

/* ---- accepting ------------------------------------------------------------------------------ */

/* Of a message, which another process may have written. */
static inline bool
resolve(struct worker *w, struct pinion_request *r)
{
	const struct message *m = &r->message;
	const struct replica_table *table = registry_replicas(&w->runtime->registry);

	r->port = NULL;
	if (m->kind != MESSAGE_CALL || m->target >= table->count)
		return false;
	r->replica = table->replicas[m->target];
	if (m->method >= r->replica->deployment->method_count)
		return false;
	r->method = &r->replica->deployment->methods[m->method];
	if (m->slot == SLOT_NONE)
		return m->refs == 0 && m->length <= MESSAGE_RECORD;
	r->port = runtime_port(w->runtime, m->port);
	if (r->port == NULL || m->slot >= r->port->memory.slot_count)
		return false;
	guest_sanitizer_came(r->port);
	line_want(&r->port->memory.slots[m->slot]);
	if ((m->function & MESSAGE_AHEAD) != 0)
		pinioni_record_want(r);
	return true;
}

static void
accept_answered(struct worker *w, const struct message *m)
{
	struct pinion_request *r;
	struct outcome o;
	struct answered a;

	memcpy(&a, m->record, sizeof a);
	r = pinioni_worker_request_at(w, a.index);
	if (r == NULL || r->state != REQUEST_DEFERRED || r->message.slot != m->slot ||
	    r->message.port != m->port || request_generation(r) != m->call >> 16) {
		board_count(w->line, COUNT_REFUSED, 1);
		return;
	}
	if (r->port != NULL && a.length > SLOT_BYTES &&
	    pinioni_request_place(r, a.length) == NULL) {
		pinioni_request_fail(
		    r, -EMSGSIZE, PINION_ORIGIN_RUNTIME, "its caller has no room for the result");
		return;
	}
	o = (struct outcome){ .status = a.status,
		.length = a.length,
		.kind = (pinion_kind)m->method,
		.in_place = true };
	pinioni_request_complete(r, &o);
}

/* What needs no request of its own. */
static bool
accept_other(struct worker *w, const struct message *m)
{
	if (m->kind == MESSAGE_ANSWERED)
		accept_answered(w, m);
	else if (m->kind == MESSAGE_CANCEL)
		pinioni_cancel_take(w, m);
	else
		return false;
	return true;
}

/* No call, or nothing that makes sense. */
__attribute__((noinline, cold)) static void
admit_other(struct pinion_request *r)
{
	struct worker *w = r->worker;
	struct message m = r->message;

	worker_give_request(w, r);
	if (!accept_other(w, &m))
		board_count(w->line, COUNT_REFUSED, 1);
}

/* Not so simple. */
__attribute__((noinline)) static void
admit_more(struct pinion_request *r)
{
	r->state = REQUEST_QUEUED;
	if ((r->message.function & MESSAGE_TERMS) != 0)
		pinioni_terms_read(r);
	pinioni_request_route(r);
}

/* lane: set late, since what ends while it is accepted looks at no lane, or it would nest. */
static void
admit(struct worker *w, struct pinion_request *r, struct lane_rx *lane)
{
	if (!resolve(w, r)) {
		admit_other(r);
		return;
	}
	r->depth = (uint32_t)(r->message.call >> 8 & 0xff);
	if (w->canceling) {
		pinioni_request_fail(r, -ECANCELED, PINION_ORIGIN_RUNTIME, "the runtime stops");
		return;
	}
	r->lane = lane;
	if ((r->message.refs | (r->message.function & MESSAGE_TERMS)) == 0 &&
	    r->replica->direct == w)
		keep(w, r, record_is_plain(&r->message, r->method));
	else
		admit_more(r);
}

__attribute__((noinline, cold)) static bool
take_other(struct worker *w, struct lane_rx *lane)
{
	struct message m;

	lane_copy(lane, &m);
	if (m.kind != MESSAGE_ANSWERED && m.kind != MESSAGE_CANCEL)
		return false;
	lane_skip(lane);
	return (lane->guarded != 0 && !pinioni_guard_admits(w, lane, &m)) || accept_other(w, &m);
}

bool
pinioni_request_take(struct worker *w, struct lane_rx *lane)
{
	struct pinion_request *r = worker_take_request(w);

	if (r == NULL)
		return take_other(w, lane);
	lane_take(lane, &r->message);
	admit(w, r, lane);
	return true;
}

/* All that its next message names is known here: of a host, not at once. */
static bool
may_take(struct worker *w, const struct lane_rx *lane)
{
	return w->runtime->serving == NULL || pinioni_serve_may_take(w, lane);
}

/* From here on it is ours, and not the lane's: whichever instruction is our last, it is one of both. */
static void
note_taken(struct worker *w, struct pinion_request *r, struct lane_rx *lane)
{
	w->taking.request = r->index; /* which is new: so nothing follows from it yet */
	request_stored();
	w->taking.port = lane->port;
	w->taking.ticket = lane->next;
	request_stored();
	r->state = REQUEST_QUEUED;
	lane_settle(lane);
}

/* It is nobody's: but what is taken next is noted by its ticket, behind which nothing may lie. */
static void
refuse_taken(struct worker *w, struct pinion_request *r, struct lane_rx *lane)
{
	worker_give_request(w, r);
	if (w->journal != NULL)
		lane_settle(lane);
}

bool
pinioni_request_take_careful(struct worker *w, struct lane_rx *lane)
{
	struct pinion_request *r = worker_take_request(w);

	if (r == NULL)
		return take_other(w, lane);
	lane_take(lane, &r->message);
	if (lane->guarded != 0 && !pinioni_guard_admits(w, lane, &r->message)) {
		refuse_taken(w, r, lane);
		return true;
	}
	if (w->journal != NULL)
		note_taken(w, r, lane);
	admit(w, r, lane);
	return true;
}

bool
pinioni_request_take_call(struct worker *w, struct lane_rx *lane)
{
	struct pinion_request *r =
	    !lane->careful || may_take(w, lane) ? worker_take_request(w) : NULL;

	if (r == NULL)
		return false;
	lane_copy(lane, &r->message);
	if (r->message.kind != MESSAGE_CALL) {
		worker_give_request(w, r);
		return false;
	}
	lane_skip(lane);
	if (lane->guarded != 0 && !pinioni_guard_admits(w, lane, &r->message)) {
		refuse_taken(w, r, lane);
		return true;
	}
	if (w->journal != NULL)
		note_taken(w, r, lane);
	admit(w, r, lane);
	return true;
}

/* On the stack: inside, so that it does not go to the pool. */
void
pinioni_request_reject_for(struct worker *w, const struct message *m, int code, const char *text)
{
	struct pinion_request r = { .message = *m,
		.worker = w,
		.owned = SLOT_NONE,
		.state = REQUEST_QUEUED,
		.inside = true };

	r.dependents_end = &r.dependents;
	if (resolve(w, &r))
		pinioni_request_fail(&r, code, PINION_ORIGIN_RUNTIME, "%s", text);
	else
		board_count(w->line, COUNT_REFUSED, 1);
}

bool
pinioni_request_reject(struct worker *w, const struct message *m)
{
	if (m->kind == MESSAGE_ANSWERED)
		return false;
	pinioni_request_reject_for(w, m, -ENOMEM, "no memory for one more request");
	return true;
}

bool
pinioni_request_reject_next(struct worker *w, struct lane_rx *lane)
{
	struct message m;

	lane_copy(lane, &m);
	if ((lane->guarded == 0 || pinioni_guard_admits(w, lane, &m)) &&
	    !pinioni_request_reject(w, &m))
		return false;
	lane_skip(lane);
	return true;
}

/* In place of another, which is handed on within this worker: at each instruction one of both stands for the call. */
static void
accept_for(struct worker *w, const struct message *m, struct pinion_request *other)
{
	struct pinion_request *r = worker_take_request(w);

	if (r == NULL) {
		(void)pinioni_request_reject(w, m); /* it is a call */
		return;
	}
	r->message = *m;
	request_stored();
	r->state = REQUEST_QUEUED;
	request_stored();
	other->state = REQUEST_REPLACED;
	request_stored();
	admit(w, r, NULL);
}

void
pinioni_request_accept(struct worker *w, const struct message *m)
{
	struct pinion_request *r = worker_take_request(w);

	if (r != NULL) {
		r->message = *m;
		admit(w, r, NULL);
	} else if (!accept_other(w, m)) {
		(void)pinioni_request_reject(w, m); /* it is a call */
	}
}

/* ---- handing on ----------------------------------------------------------------------------- */

void
pinioni_request_hand_over(
    struct pinion_request *r, const struct message *m, unsigned worker, unsigned target_worker)
{
	struct worker *w = r->worker;
	struct pinion_request *list = NULL;

	custody_settle(w);
	if (r->is_admitted)
		pinioni_admission_leave(r);
	if ((r->message.function & MESSAGE_PIPED) != 0)
		pinioni_piped_end(r, m);
	request_mark_sent(w, r, worker, r->counted ? REQUEST_HANDED_ON : REQUEST_SENT);
	if (r->port != NULL && target_worker != w->index) {
		list = dependents_detach(r);
		custody_leave(w, r, trail_of(m), target_worker);
	}
	if (worker == w->index)
		accept_for(w, m, r);
	else
		(void)pinioni_worker_send(w, worker, m); /* or it has failed */
	if (r->port != NULL && target_worker == w->index)
		stand_in(w, r);
	for (struct pinion_request *next; list != NULL; list = next) {
		next = list->next;
		send_behind(w, list, r, target_worker, trail_of(m));
	}
	pinioni_request_end(r);
}

void
pinioni_request_look_at_placeholders(struct worker *w)
{
	for (uint32_t i = 0; w->placeholders != 0 && i < pinioni_worker_pool_size(w); i++) {
		struct pinion_request *p = pinioni_worker_request_at(w, i);
		struct pinion_request *list;

		if (p->state != REQUEST_PLACEHOLDER)
			continue;
		p->port = runtime_port(w->runtime, p->message.port);
		if (p->port != NULL && slot_is_pending(p))
			continue;
		list = dependents_detach(p);
		pinioni_worker_drop_placeholder(w, p);
		pinioni_request_route_all(w, list);
	}
}
