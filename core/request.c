/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/request.c - where a request goes, and how it ends.
 */
#include "core/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/call.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/value.h"
#include "shm/bell.h"

/* ---- dependents ----------------------------------------------------------------------------- */

static void
attach(struct pinion_request *to, struct pinion_request *r)
{
	r->state = REQUEST_WAITING;
	r->next = NULL;
	*to->dependents_end = r;
	to->dependents_end = &r->next;
}

static struct pinion_request *
detach_all(struct pinion_request *from)
{
	struct pinion_request *list = from->dependents;

	from->dependents = NULL;
	from->dependents_end = &from->dependents;
	return list;
}

static void
move_dependents(struct pinion_request *from, struct pinion_request *to)
{
	if (from->dependents == NULL)
		return;
	*to->dependents_end = from->dependents;
	to->dependents_end = from->dependents_end;
	(void)detach_all(from);
}

enum {
	FOLLOWS_NONE = -1
};

/* argument: the index of the one it follows to that worker. */
static uint8_t
follow_flags(uint8_t flags, int argument)
{
	unsigned rest = flags & (MESSAGE_STAMP | MESSAGE_GIVEN);

	return (uint8_t)(argument < 0
		? rest
		: rest | MESSAGE_FOLLOW | (unsigned)argument << MESSAGE_FOLLOWED_SHIFT);
}

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

/* argument: it follows that one, handed on so often. */
static void
send_on(struct worker *w, struct pinion_request *r, unsigned to, int argument, unsigned trail)
{
	struct message *m = &r->message;

	m->flags = follow_flags(m->flags, argument);
	m->trail = (uint16_t)trail;
	pinioni_worker_send(w, to, m);
	pinioni_worker_give_request(w, r);
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

/* What is here stands for {port, slot} from now on, with all that waited for it. */
static bool
take_custody(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);

	if (e == NULL)
		return false;
	if (e->generation == request_generation(r) && e->here != NULL) {
		move_dependents(e->here, r);
		if (e->here->state == REQUEST_PLACEHOLDER)
			pinioni_worker_give_request(w, e->here);
	} else {
		w->custody_count++;
	}
	*e = (struct custody_entry){ .generation = request_generation(r), .here = r };
	return true;
}

/* Nothing stands for {port, slot} here any more; where it went, when it went. */
static void
leave_custody(struct worker *w, const struct pinion_request *r, unsigned trail, unsigned worker)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);

	if (e == NULL || e->here != r)
		return;
	w->custody_count--;
	e->here = NULL;
	e->trail = trail;
	e->worker = worker;
}

static struct pinion_request *
placeholder(struct worker *w, struct custody_entry *e, const struct record_ref *ref)
{
	uint64_t generation = ref->call >> 16;
	struct pinion_request *r = pinioni_worker_take_request(w);

	if (r == NULL)
		return NULL;
	r->state = REQUEST_PLACEHOLDER;
	r->message.call = generation << 16;
	r->message.port = ref->port;
	r->message.slot = (uint16_t)ref->at;
	*e = (struct custody_entry){ .generation = generation, .here = r };
	w->custody_count++;
	return r;
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
	r->message.flags = follow_flags(r->message.flags, FOLLOWS_NONE);
	if (e->generation == generation && e->here != NULL) {
		attach(e->here, r);
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
	attach(here, r);
	return true;
}

static bool
is_pending(const struct pinion_runtime *rt, const struct record_ref *ref)
{
	const pinion_port *p = runtime_port(rt, ref->port);

	return ref->kind == REF_RESULT && p != NULL && ref->at < p->memory.slot_count &&
	    slot_look(&p->memory.slots[ref->at], ref->call >> 16) == SLOT_IS_PENDING;
}

static void
fail_custody(struct pinion_request *r)
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
				fail_custody(r);
			return true;
		}
	return false;
}

void
pinioni_request_route(struct pinion_request *r)
{
	struct worker *w = r->worker;

	if (r->message.refs != 0) {
		if (wait_for_arguments(w, r))
			return;
		pinioni_record_settle(w, &r->message, r->method, NULL);
	}
	if (r->replica->worker != w) {
		board_count(w->line, COUNT_CHAINED, 1);
		send_on(w, r, r->replica->worker->index, FOLLOWS_NONE, 0);
		return;
	}
	if (r->port != NULL && !take_custody(w, r)) {
		fail_custody(r);
		return;
	}
	pinioni_worker_enqueue(w, r);
}

/* ---- accepting ------------------------------------------------------------------------------ */

/* Of a message, which another process may have written. */
static bool
resolve(struct worker *w, struct pinion_request *r)
{
	const struct message *m = &r->message;
	/* G, as for deployments: the table is published whole. */
	const struct replica_table *table =
	    atomic_load_explicit(&w->runtime->registry.replicas, memory_order_acquire);

	if (m->kind != MESSAGE_CALL || m->target >= table->count)
		return false;
	r->replica = table->replicas[m->target];
	if (m->method >= r->replica->deployment->method_count)
		return false;
	r->method = &r->replica->deployment->methods[m->method];
	if (m->slot == SLOT_NONE)
		return m->refs == 0 && m->length <= MESSAGE_RECORD;
	r->port = runtime_port(w->runtime, m->port);
	return r->port != NULL && m->slot < r->port->memory.slot_count;
}

static void
accept_answered(struct worker *w, const struct message *m)
{
	struct pinion_request *r;
	struct outcome o;
	struct answered a;

	memcpy(&a, m->record, sizeof a);
	o = (struct outcome){ .status = a.status, .length = a.length };
	r = pinioni_worker_request_at(w, a.index);
	if (r == NULL || r->state != REQUEST_DEFERRED || r->message.slot != m->slot ||
	    r->message.port != m->port || request_generation(r) != m->call >> 16) {
		board_count(w->line, COUNT_REFUSED, 1);
		return;
	}
	o.kind = (pinion_kind)m->method;
	o.origin = PINION_ORIGIN_HANDLER;
	o.deployment = r->method->deployment->index;
	o.method = r->method->index;
	o.in_place = true;
	pinioni_request_complete(r, &o);
}

void
pinioni_request_admit(struct pinion_request *r, struct lane_rx *lane)
{
	struct worker *w = r->worker;

	if (r->message.kind == MESSAGE_ANSWERED) {
		struct message m = r->message;

		pinioni_worker_give_request(w, r);
		accept_answered(w, &m);
		return;
	}
	r->depth = (uint32_t)(r->message.call >> 8 & 0xff);
	if (!resolve(w, r)) {
		board_count(w->line, COUNT_REFUSED, 1);
		pinioni_worker_give_request(w, r);
		return;
	}
	if (w->canceling) {
		pinioni_request_fail(r, -ECANCELED, PINION_ORIGIN_RUNTIME, "the runtime stops");
		return;
	}
	r->lane =
	    lane; /* only now: what ends while it is accepted looks at no lane, or it would nest */
	pinioni_request_route(r);
}

void
pinioni_request_accept(struct worker *w, const struct message *m, struct lane_rx *lane)
{
	struct pinion_request *r = pinioni_worker_take_request(w);

	if (r != NULL) {
		r->message = *m;
		pinioni_request_admit(r, lane);
	} else if (m->kind == MESSAGE_ANSWERED) {
		accept_answered(w, m);
	} else {
		board_count(w->line, COUNT_REFUSED, 1);
	}
}

/* ---- ending --------------------------------------------------------------------------------- */

static void
release_owned(struct pinion_request *r)
{
	pinion_port *port = r->worker->port;

	for (uint16_t slot = r->owned, next; slot != SLOT_NONE; slot = next) {
		next = port->notes[slot].next;
		port->notes[slot].attached = false;
		pinioni_port_release_slot(port, slot);
	}
	r->owned = SLOT_NONE;
}

static void
release_memory(struct pinion_request *r)
{
	while (r->memory != NULL) {
		struct request_memory *next = r->memory->next;

		pinioni_heap_give(r->worker->heap, r->memory, r->memory->size);
		r->memory = next;
	}
}

/* Answered or handed on, and its handler has returned. */
void
pinioni_request_end(struct pinion_request *r)
{
	struct worker *w = r->worker;
	struct replica *replica = r->replica;

	if (r->inside)
		return;
	if (r->owned != SLOT_NONE)
		release_owned(r);
	if (r->memory != NULL)
		release_memory(r);
	if (r->counted) {
		r->counted = false;
		replica->ongoing--;
		w->ongoing--;
		if (replica->waiting != NULL)
			pinioni_worker_unpark(w, replica);
	}
	pinioni_worker_give_request(w, r);
}

static void
write_fault(pinion_port *port, uint16_t slot, const struct outcome *o)
{
	struct fault *f = &port->memory.faults[slot];
	size_t length = o->text == NULL ? 0 : strnlen(o->text, FAULT_TEXT - 1);

	f->origin = (uint16_t)o->origin;
	f->deployment = o->deployment;
	f->method = o->method;
	f->length = (uint8_t)length;
	if (length != 0)
		memcpy(f->text, o->text, length);
}

static void
write_result(const struct pinion_request *r, const struct outcome *o)
{
	pinion_port *port = r->port;
	struct slot *slot = &port->memory.slots[r->message.slot];

	if ((r->message.flags & MESSAGE_STAMP) != 0)
		slot->stamp = clock_ticks();
	slot->status = o->status;
	if (o->status != 0) {
		slot->length = 0; /* whoever copies a fault copies no earlier call's result */
		if (!o->in_place)
			write_fault(port, r->message.slot, o);
		return;
	}
	slot->length = o->length;
	if (o->in_place)
		return;
	if (o->length <= SLOT_BYTES)
		slot_write(slot, o->bytes, o->length);
	else
		memcpy(pinioni_request_place(r, o->length), o->bytes, o->length);
}

void
pinioni_request_put(struct pinion_request *r, const struct outcome *o, const char *text)
{
	struct outcome fault = *o;

	if (o->status == 0) {
		write_result(r, o);
		return;
	}
	fault.text = text;
	fault.origin = PINION_ORIGIN_HANDLER;
	fault.deployment = r->method->deployment->index;
	fault.method = r->method->index;
	write_fault(r->port, r->message.slot, &fault);
}

/* Whoever asked is told; the ordered look is made only then. */
static void
tell(struct worker *w, pinion_port *port, uint16_t slot, unsigned flags)
{
	struct pinion_runtime *rt = w->runtime;

	if ((flags & SLOT_FOREIGN) != 0) {
		pinioni_futex_wake(
		    (const _Atomic uint32_t *)(const void *)&port->memory.slots[slot].word);
		bell_order();
		for (unsigned i = 0; i < rt->worker_count; i++)
			if (epoch_is_asleep(epoch_look(&rt->board.workers[i].epoch)))
				pinioni_worker_ring(rt, i);
	}
	if ((flags & SLOT_TELL) == 0)
		return;
	if (port == w->port) {
		pinioni_port_told(port, slot);
		return;
	}
	ready_add(port->memory.ready, slot);
	bell_order();
	if (port->worker != NULL) {
		if (epoch_is_asleep(epoch_look(&port->worker->line->epoch)))
			pinioni_worker_ring(rt, port->worker->index);
	} else {
		pinioni_port_ring(port);
	}
}

/* A dependent that was pushed behind is taken along; this starts nothing. */
static void
look_behind(struct worker *w, struct pinion_request *r)
{
	struct lane_rx *lane = r->lane;
	struct message m;
	unsigned taken = 0;

	while (taken < LOOK_AHEAD && r->dependents == NULL && lane != NULL &&
	    lane_peek(lane) != NULL) {
		lane_take(lane, &m);
		pinioni_request_accept(w, &m, lane);
		taken++;
	}
	if (taken != 0) {
		lane_settle(lane);
		board_count(w->line, COUNT_TAKEN, taken);
	}
}

/* Those whose last argument this is go on before the slot is completed: they are the critical path. */
static struct pinion_request *
dispatch_early(struct pinion_request *r, const struct outcome *o)
{
	struct arrival a = { .kind = o->kind, .port = r->message.port, .slot = r->message.slot };
	struct pinion_request *list = detach_all(r), *rest = NULL, **end = &rest;

	if (o->status == 0 && !o->in_place && kind_is_scalar(o->kind))
		memcpy(&a.bits, o->bytes, sizeof a.bits);
	else
		a.kind = PINION_KIND_NONE;
	for (struct pinion_request *next; list != NULL; list = next) {
		next = list->next;
		if (a.kind != PINION_KIND_NONE)
			pinioni_record_settle(r->worker, &list->message, list->method, &a);
		if (list->message.refs == 0) {
			pinioni_request_route(list);
			continue;
		}
		list->next = NULL;
		*end = list;
		end = &list->next;
	}
	return rest;
}

static void
complete_slot(struct pinion_request *r, const struct outcome *o)
{
	struct worker *w = r->worker;
	pinion_port *port = r->port;
	uint16_t at = r->message.slot;
	struct slot *slot = &port->memory.slots[at];
	struct pinion_request *rest;
	unsigned flags;

	look_behind(w, r);
	rest = r->dependents != NULL ? dispatch_early(r, o) : NULL;
	write_result(r, o);
	leave_custody(w, r, 0, 0);
	if (port == w->port && !port->notes[at].shared)
		flags = slot_complete_own(slot, request_generation(r), (unsigned)o->kind);
	else
		flags = slot_complete(slot, request_generation(r), (unsigned)o->kind);
	for (struct pinion_request *next; rest != NULL; rest = next) {
		next = rest->next;
		pinioni_request_route(rest);
	}
	if (flags != 0)
		tell(w, port, at, flags);
}

void
pinioni_request_complete(struct pinion_request *r, const struct outcome *o)
{
	assert(!r->answered);
	r->answered = true;
	if (o->status != 0)
		board_count(r->worker->line, COUNT_FAILED, 1);
	if (r->port != NULL)
		complete_slot(r, o);
	pinioni_request_end(r);
}

void
pinioni_request_fail(
    struct pinion_request *r, int code, enum pinion_origin origin, const char *format, ...)
{
	char text[FAULT_TEXT];
	struct outcome o = {
		.status = code,
		.origin = origin,
		.deployment = r->method->deployment->index,
		.method = r->method->index,
		.text = text,
	};
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* a text cut short is fine */
	va_end(list);
	if (r->port == NULL)
		pinioni_runtime_log(r->worker->runtime, "a post to %s.%s failed: %s (%d)",
		    r->method->deployment->name, r->method->name, text, code);
	pinioni_request_complete(r, &o);
}

/* It went to an argument first, and will be back: what waits for it waits on. */
static void
stand_in(struct worker *w, struct pinion_request *r)
{
	struct custody_entry *e = worker_custody(w, r->message.port, r->message.slot);
	struct pinion_request *p;

	if (e == NULL || e->here != r)
		return;
	p = pinioni_worker_take_request(w);
	if (p == NULL) {
		leave_custody(w, r, 0, 0);
		return;
	}
	p->state = REQUEST_PLACEHOLDER;
	p->message = r->message;
	move_dependents(r, p);
	e->here = p;
}

void
pinioni_request_hand_over(
    struct pinion_request *r, const struct message *m, unsigned worker, unsigned target_worker)
{
	struct worker *w = r->worker;
	struct pinion_request *list = NULL;

	r->answered = true;
	if (r->port != NULL && target_worker != w->index) {
		list = detach_all(r);
		leave_custody(w, r, trail_of(m), target_worker);
	}
	if (worker == w->index)
		pinioni_request_accept(w, m, NULL);
	else
		pinioni_worker_send(w, worker, m);
	if (r->port != NULL && target_worker == w->index)
		stand_in(w, r);
	for (struct pinion_request *next; list != NULL; list = next) {
		next = list->next;
		send_behind(w, list, r, target_worker, trail_of(m));
	}
	pinioni_request_end(r);
}

void
pinioni_request_relay(struct pinion_request *r, uint16_t at)
{
	pinion_port *port = r->worker->port;
	const struct slot *slot = &port->memory.slots[at];
	const struct fault *fault = &port->memory.faults[at];
	/* relaxed: it was seen DONE by whoever told us. */
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	char text[FAULT_TEXT];
	struct outcome o = { .status = slot->status,
		.kind = (pinion_kind)slot_word_kind(word),
		.length = slot->length,
		.bytes = slot->bytes,
		.origin = PINION_ORIGIN_UPSTREAM };

	if (o.status != 0) {
		(void)snprintf(text, sizeof text, "%.*s", (int)fault->length, fault->text);
		o.text = text;
		o.deployment = fault->deployment;
		o.method = fault->method;
	} else if (o.length > SLOT_BYTES) {
		o.bytes = arena_at(&port->arena, port->memory.places[at].at);
	}
	if (o.status == 0 && !r->method->any_params &&
	    !pinioni_kind_may_convert(o.kind, r->method->returns.kind))
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "%s.%s declares to return %s and answers with a response that is %s",
		    r->method->deployment->name, r->method->name,
		    pinioni_kind_name(r->method->returns.kind), pinioni_kind_name(o.kind));
	else if (o.status == 0 && o.length > SLOT_BYTES && r->port != NULL &&
	    pinioni_request_place(r, o.length) == NULL)
		pinioni_request_fail(r, -EMSGSIZE, PINION_ORIGIN_HANDLER,
		    "the response has %u bytes and %s.%s may answer %u", o.length,
		    r->method->deployment->name, r->method->name, r->method->result_size);
	else
		pinioni_request_complete(r, &o);
}

/* NULL: the caller reserved less. */
void *
pinioni_request_place(const struct pinion_request *r, uint32_t length)
{
	const struct result_place *place = &r->port->memory.places[r->message.slot];

	if (place->size < length)
		return NULL;
	return segment_at(&r->port->memory.segment,
	    r->port->memory.arena_base + (uint64_t)place->at * ARENA_GRANULE, length);
}
