/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/complete.c - how a request ends: dependents go on, the result is written, its slot completed, whoever
 * asked is told, what it held is given back.
 *
 *   answer --> dependents whose last argument it was --> result --> slot DONE --> custody --> the others
 *              (they are the critical path)                           |
 *                                                                     '--> TELL, FOREIGN: tell
 */
#include "core/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/admission.h"
#include "core/custody.h"
#include "core/guest_sanitizer.h"
#include "core/model.h"
#include "core/piped.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/starved.h"
#include "core/stream.h"
#include "core/thread.h"
#include "core/value.h"
#include "shm/once.h"

static void
release_owned(struct pinion_request *r)
{
	pinion_port *port = r->worker->port;

	for (uint16_t slot = r->owned, next; slot != SLOT_NONE; slot = next) {
		next = port->notes[slot].next;
		port->notes[slot].marks &= (uint16_t)~MARK_ATTACHED;
		port_release(port, &port->notes[slot]);
	}
	r->owned = SLOT_NONE;
}

static void
release_memory(struct pinion_request *r)
{
	while (r->memory != NULL) {
		struct request_memory *next = r->memory->next;

		if (r->memory->model != NULL)
			pinioni_model_give(r, r->memory->model);
		pinioni_heap_give(r->worker->heap, r->memory, r->memory->size);
		r->memory = next;
	}
}

/* What most requests have nothing of. */
__attribute__((noinline)) static void
release_all(struct pinion_request *r)
{
	release_owned(r);
	release_memory(r);
}

/* Answered or handed on, and its handler has returned. */
void
pinioni_request_end(struct pinion_request *r)
{
	struct worker *w = r->worker;
	struct replica *replica = r->replica;

	if (r->inside)
		return;
	if (r->owned != SLOT_NONE || r->memory != NULL)
		release_all(r);
	worker_give_request(w, r);
	if (!r->counted)
		return;
	r->counted = false;
	replica->ongoing--;
	w->ongoing--;
	if (replica->waiting.head != NULL)
		pinioni_worker_unpark(w, replica);
}

struct failing
pinioni_request_failing(const struct pinion_request *r, enum pinion_origin origin, const char *text)
{
	return (struct failing){ .origin = origin,
		.deployment = r->method->deployment->index,
		.method = r->method->index,
		.text = text };
}

static void
write_fault(pinion_port *port, uint16_t slot, const struct failing *why)
{
	size_t length = why->text == NULL ? 0 : strnlen(why->text, FAULT_TEXT - 1);
	struct fault f = {
		.origin = (uint16_t)why->origin,
		.deployment = why->deployment,
		.method = why->method,
		.length = (uint8_t)length,
	};

	if (length != 0)
		memcpy(f.text, why->text, length);
	once_put(&port->memory.faults[slot], &f, offsetof(struct fault, text) + length);
}

/* What a result's slot says when the request failed. */
__attribute__((noinline, cold)) static void
write_failure(const struct pinion_request *r, const struct outcome *o, struct slot *slot)
{
	once_put_u32(&slot->status, (uint32_t)o->status);
	once_put_u32(&slot->length, 0); /* whoever copies a fault copies no earlier call's result */
	if (!o->in_place)
		write_fault(r->port, r->message.slot, o->why);
}

/* Its caller said that there was room for it, and does not any more. */
__attribute__((noinline, cold)) static void
write_roomless(const struct pinion_request *r, struct slot *slot)
{
	const struct failing why = pinioni_request_failing(
	    r, PINION_ORIGIN_RUNTIME, "its caller has no room for the result");
	const struct outcome o = { .status = -EMSGSIZE, .why = &why };

	board_count(r->worker->line, COUNT_FAILED, 1);
	write_failure(r, &o, slot);
}

static inline void
write_result(const struct pinion_request *r, const struct outcome *o, struct slot *slot)
{
	void *place;

	if ((r->message.flags & MESSAGE_STAMP) != 0)
		slot->stamp = clock_ticks();
	if (o->status != 0) {
		write_failure(r, o, slot);
		return;
	}
	slot->status = 0;
	slot->length = o->length;
	if (o->in_place)
		return;
	if (o->length <= SLOT_BYTES)
		slot_write(slot, o->bytes, o->length);
	else if ((place = pinioni_request_place(r, o->length)) != NULL)
		memmove(
		    place, o->bytes, o->length); /* another process may say that both are there */
	else
		write_roomless(r, slot);
}

void
pinioni_request_put(struct pinion_request *r, const struct outcome *o, const char *text)
{
	struct failing why = pinioni_request_failing(r, PINION_ORIGIN_HANDLER, text);

	if (o->status == 0)
		write_result(r, o, &r->port->memory.slots[r->message.slot]);
	else
		write_fault(r->port, r->message.slot, &why);
}

/* Whoever asked is told; the ordered look is made only then. */
__attribute__((noinline)) void
pinioni_request_tell(struct worker *w, pinion_port *port, uint16_t slot, unsigned flags)
{
	struct pinion_runtime *rt = w->runtime;

	if ((flags & SLOT_FOREIGN) != 0) {
		pinioni_futex_wake(
		    (const _Atomic uint32_t *)(const void *)&port->memory.slots[slot].word);
		bell_order();
		for (unsigned i = 0; i < rt->worker_count; i++)
			if (epoch_is_asleep(epoch_look(&rt->board.workers[i]->epoch)))
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

/* Is the lane's next message a call that waits for another? A hint: it is copied and checked when it is taken. */
static inline bool
may_depend(const struct lane_rx *lane)
{
	const struct message *next = lane_peek(lane);

	return next != NULL && next->refs != 0;
}

/* A dependent that was pushed behind is taken along; this starts nothing. */
__attribute__((noinline)) static void
look_behind(struct worker *w, struct pinion_request *r)
{
	struct lane_rx *lane = r->lane;
	unsigned taken = 0;

	while (taken < LOOK_AHEAD && r->dependents == NULL && may_depend(lane) &&
	    pinioni_request_take_call(w, lane))
		taken++;
	board_count(w->line, COUNT_TAKEN, taken);
	lane_settle(lane);
}

/* Its last argument is there, and its worker another: written straight into the lane. Put together in the
 * request and copied, its short stores would stall the copy's long loads. False: not so simple. */
static bool
send_settled(struct worker *w, struct pinion_request *r, const struct arrival *a)
{
	unsigned to = r->replica->worker->index;
	struct message *cell = to == w->index ? NULL : worker_claim(w, to);

	if (cell == NULL || !pinioni_record_settle_to(w, &r->message, cell, r->method, a))
		return false;
	cell->flags = follow_flags(r->message.flags, FOLLOWS_NONE);
	cell->trail = 0;
	board_count(w->line, COUNT_CHAINED, 1);
	board_count(w->line, COUNT_SENT, 1);
	request_mark_sent(w, r, to, REQUEST_SENT);
	pinioni_port_publish(w->port, to);
	request_stored();
	worker_give_request(w, r);
	return true;
}

/* The same of one that will run here. */
static bool
start_settled(struct worker *w, struct pinion_request *r, const struct arrival *a)
{
	uint8_t state;
	bool is_settled;

	if (r->replica->direct != w || !custody_has(w, r))
		return false;
	state = request_rewrite(w, r);
	is_settled = pinioni_record_settle_lone(&r->message, r->method, a);
	request_rewritten(r, state);
	if (!is_settled)
		return false;
	r->is_plain = true;
	worker_enqueue_any(w, r);
	return true;
}

/* Not so simple. What waits for others as well goes on when the slot is DONE; so does what waited for one that ends in
 * here: earlier, it would wait for this call, whose dependents have been taken already. True: as reroute_begin. */
__attribute__((noinline)) static bool
route_settled(struct worker *w, struct pinion_request *r, const struct arrival *a)
{
	bool is_first = reroute_begin(w);

	if (a->kind != PINION_KIND_NONE) {
		uint8_t state = request_rewrite(w, r);

		pinioni_record_settle(w, &r->message, r->method, a);
		request_rewritten(r, state);
	}
	if (r->message.refs == 0)
		pinioni_request_route(r);
	else
		reroute_add(w, r);
	return is_first;
}

/* Those whose last argument this is go on before the slot is completed: they are the critical path. True: others are to
 * be rerouted behind it. */
__attribute__((noinline)) static bool
dispatch_early(struct pinion_request *r, const struct outcome *o)
{
	struct worker *w = r->worker;
	struct arrival a = { .kind = o->kind,
		.generation = request_generation(r),
		.port = r->message.port,
		.slot = r->message.slot };
	struct pinion_request *list = dependents_detach(r);
	bool is_first = false;

	if (o->status == 0 && !o->in_place && kind_is_scalar(o->kind))
		memcpy(&a.bits, o->bytes, sizeof a.bits);
	else
		a.kind = PINION_KIND_NONE;
	for (struct pinion_request *next; list != NULL; list = next) {
		next = list->next;
		if (a.kind == PINION_KIND_NONE ||
		    (!start_settled(w, list, &a) && !send_settled(w, list, &a)))
			is_first |= route_settled(w, list, &a);
	}
	return is_first;
}

/* The result is written: nothing of the call is here any more. The flags of who wants to be told. */
static inline unsigned
finish_slot(struct pinion_request *r, struct slot *slot, pinion_kind kind)
{
	struct worker *w = r->worker;
	pinion_port *port = r->port;
	unsigned flags;

	guest_sanitizer_answers(port);
	if (port == w->port && (port->notes[r->message.slot].marks & MARK_SHARED) == 0)
		flags = slot_complete_own(slot, request_generation(r), (unsigned)kind);
	else
		flags = slot_complete(slot, request_generation(r), (unsigned)kind);
	custody_leave(w, r, 0, 0);
	return flags;
}

bool
pinioni_request_complete_scalar(struct pinion_request *r, pinion_kind kind, uint64_t bits)
{
	struct slot *slot;
	unsigned flags;

	if (r->port == NULL || r->dependents != NULL || (r->message.flags & MESSAGE_STAMP) != 0 ||
	    (r->lane != NULL && may_depend(r->lane)))
		return false;
	r->state = REQUEST_ANSWERED;
	slot = &r->port->memory.slots[r->message.slot];
	slot->status = 0;
	slot->length = sizeof bits;
	slot_write_word(slot, 0, bits);
	flags = finish_slot(r, slot, kind);
	if (flags != 0)
		pinioni_request_tell(r->worker, r->port, r->message.slot, flags);
	return true;
}

/* Of a method whose results may be long: how long this one is. Of a stream: its ring; else NULL. */
__attribute__((noinline)) static const struct ring *
note_more(const struct pinion_request *r, const struct outcome *o)
{
	uint64_t bytes;

	if (o->status == 0) /* then it ran here */
		r->replica->answered = o->length > SLOT_BYTES ? o->length : 0;
	if (r->method->item_size == 0)
		return NULL;
	return pinioni_stream_ring(r->port, r->message.slot, &bytes);
}

/* Of a stream that has ended: its reader, on some worker. The ring may be something else by now; then one looks in
 * vain. */
static void
wake_hungry(struct worker *w, const struct ring *ring)
{
	bell_order();
	starved_wake(w->runtime, ring_hungry(ring));
}

static inline void
complete_slot(struct pinion_request *r, const struct outcome *o)
{
	struct worker *w = r->worker;
	pinion_port *port = r->port;
	uint16_t at = r->message.slot;
	struct slot *slot = &port->memory.slots[at];
	bool is_first = false;
	unsigned flags;

	if (r->dependents == NULL && r->lane != NULL && may_depend(r->lane))
		look_behind(w, r);
	if (r->dependents != NULL)
		is_first = dispatch_early(r, o);
	write_result(r, o, slot);
	flags = finish_slot(r, slot, o->kind);
	if (is_first)
		pinioni_request_reroute(w);
	if (flags != 0)
		pinioni_request_tell(w, port, at, flags);
}

void
pinioni_request_complete(struct pinion_request *r, const struct outcome *o)
{
	assert(r->state < REQUEST_ANSWERED && r->state != REQUEST_FREE);
	if (r->is_admitted)
		pinioni_admission_leave(r);
	r->state = o->status == 0 ? REQUEST_ANSWERED : REQUEST_FAILED;
	if (o->status != 0)
		board_count(r->worker->line, COUNT_FAILED, 1);
	if ((r->message.function & MESSAGE_PIPED) != 0)
		pinioni_piped_end(r, NULL);
	if (r->port != NULL) {
		const struct ring *ring = r->method->has_more ? note_more(r, o) : NULL;

		complete_slot(r, o);
		if (ring != NULL)
			wake_hungry(r->worker, ring);
	}
	if (!r->inside)
		pinioni_request_end(r);
}

void
pinioni_request_fail(
    struct pinion_request *r, int code, enum pinion_origin origin, const char *format, ...)
{
	char text[FAULT_TEXT];
	struct failing why;
	struct outcome o = { .status = code, .why = &why };
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* a text cut short is fine */
	va_end(list);
	why = pinioni_request_failing(r, origin, text);
	if (r->port == NULL)
		pinioni_runtime_log(r->worker->runtime, "a post to %s.%s failed: %s (%d)",
		    r->method->deployment->name, r->method->name, text, code);
	pinioni_request_complete(r, &o);
}

void
pinioni_request_refuse(struct worker *w, pinion_port *port, const struct message *m)
{
	static const struct failing why = { .origin = PINION_ORIGIN_RUNTIME,
		.deployment = FAULT_NOWHERE,
		.text = "the message made no sense" };
	struct slot *slot = &port->memory.slots[m->slot];
	unsigned flags;

	write_fault(port, m->slot, &why);
	slot->status = -EBADMSG;
	slot->length = 0;
	flags = slot_complete(slot, m->call >> 16, PINION_KIND_NONE);
	if (flags != 0)
		pinioni_request_tell(w, port, m->slot, flags);
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
	struct failing why = { .origin = PINION_ORIGIN_UPSTREAM, .text = text };
	struct outcome o = { .status = slot->status,
		.kind = (pinion_kind)slot_word_kind(word),
		.length = slot->length,
		.bytes = slot->bytes,
		.why = &why };

	if (o.status != 0) {
		(void)snprintf(text, sizeof text, "%.*s", (int)fault->length, fault->text);
		why.deployment = fault->deployment;
		why.method = fault->method;
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

/* NULL: the caller reserved less, or says so now. */
void *
pinioni_request_place(const struct pinion_request *r, uint32_t length)
{
	struct result_place place = record_place(&r->message);

	if (place.size == 0)
		place = port_memory_place(&r->port->memory, r->message.slot);
	if (place.size < length)
		return NULL;
	return port_memory_at(&r->port->memory, (uint64_t)place.at * ARENA_GRANULE, length);
}
