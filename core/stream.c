/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/stream.c - asking for a stream and reading it; yielding, and waiting for room.
 */
#include "core/stream.h"

#include <errno.h>
#include <string.h>

#include "core/call.h"
#include "core/cancel.h"
#include "core/piped.h"
#include "core/read.h"
#include "core/starved.h"
#include "core/thread.h"

static pinion_response
response_of(pinion_stream s)
{
	return (pinion_response){ .generation = s.generation, .port = s.port, .slot = s.slot };
}

/* ---- asking --------------------------------------------------------------------------------- */

int
pinioni_stream_reserve(pinion_port *port, struct slot_note *note, uint32_t window)
{
	uint16_t slot = port_slot_of(port, note);
	uint64_t stride = ring_stride(note->method->item_size);
	uint64_t size = ring_size(window, stride);
	struct ring *ring;
	uint32_t at;
	int err = size > UINT32_MAX ? -EMSGSIZE : pinioni_port_take_block(port, size, &at);

	if (err != 0)
		return err;
	ring = arena_at(&port->arena, at);
	ring_init(ring, window, (uint32_t)stride);
	if ((note->marks & MARK_BOUND) != 0)
		ring->deadline = port->memory.terms[slot].deadline;
	ring_rx_init(&port->streams[slot], ring, window, (uint32_t)stride);
	port->memory.places[slot] = (struct result_place){ .at = at, .size = (uint32_t)size };
	note->marks |= MARK_PLACED | MARK_STREAM;
	return 0;
}

/* The least power of two that is not below what was asked for. 0: there is none. */
static uint32_t
window_of(int32_t asked)
{
	uint32_t window = 1;

	if (asked < 0 || asked > RING_WINDOW_MAX)
		return 0;
	while (window < (asked == 0 ? STREAM_WINDOW : (uint32_t)asked))
		window *= 2;
	return window;
}

static pinion_response
ask(pinion_port *port, pinion_handle handle, const pinion_stream_options *o)
{
	struct call_how how = { .window = window_of(o->window),
		.timeout_ns = o->timeout_ns,
		.tag = o->tag,
		.tagged = o->tagged,
		.has_key = o->has_key,
		.key = o->key,
		.priority = o->terms.priority,
		.terms = pinioni_call_terms(&o->terms) };
	pinion_response failed;
	const struct method *method = pinioni_call_method(port, handle, &how, &failed);

	if (method == NULL)
		return failed;
	if (how.window == 0)
		return pinioni_port_fail(port, -EINVAL, method,
		    ".window is %d items: it may be 1 to %d", o->window, RING_WINDOW_MAX);
	return pinioni_submit(port, method, &o->args, &how);
}

pinion_stream
pinion_call_stream_with(pinion_handle handle, const pinion_stream_options *o)
{
	struct port_shell *shell;
	int err;
	pinion_port *port = o->port != NULL ? port_enter_explicit(o->port, &shell, &err)
					    : port_enter(handle_runtime(handle), &shell, &err);
	pinion_response r;

	if (port == NULL)
		return (pinion_stream){
			.generation = (uint64_t)-err, .port = UINT32_MAX, .slot = RESPONSE_NOWHERE
		};
	r = ask(port, handle, o);
	port_leave(shell);
	return (pinion_stream){ .generation = r.generation, .port = r.port, .slot = r.slot };
}

/* ---- reading -------------------------------------------------------------------------------- */

struct ring *
pinioni_stream_ring(const pinion_port *port, uint32_t slot, uint64_t *bytes)
{
	struct result_place place = port_memory_place(&port->memory, slot);

	*bytes = place.size;
	if (place.size < sizeof(struct ring))
		return NULL;
	return (struct ring *)(void *)port_memory_at(
	    &port->memory, (uint64_t)place.at * ARENA_GRANULE, place.size);
}

void
pinioni_stream_give_room(struct pinion_runtime *rt, struct ring_rx *rx)
{
	if (!ring_settle(rx))
		return;
	bell_order();
	starved_wake(rt, ring_starved(rx->ring));
}

void
pinioni_stream_close(pinion_port *port, struct slot_note *note)
{
	struct ring *ring = port->streams[port_slot_of(port, note)].ring;

	ring_close(ring);
	bell_order();
	starved_wake(port->runtime, ring_starved(ring));
	if (runtime_phase(port->runtime) == RUNTIME_RUNNING)
		pinioni_cancel_note(port, note, REQUEST_CANCELED);
}

/* 1: *item is the next, which stays until it is passed by; 0: the end; -EAGAIN, or why there is no more. */
static int
await_item(pinion_port *port, pinion_response r, int64_t timeout_ns, const struct ring_item **item)
{
	const struct slot *slot = &port->memory.slots[r.slot];
	struct ring_rx *rx = &port->streams[r.slot];

	ring_pass_held(rx);
	for (;;) {
		int at, got = stream_look(rx, slot, r.generation, item);

		if (got != STREAM_NOTHING)
			return got;
		if (port->notes[r.slot].state == NOTE_OVERDUE)
			return -ETIMEDOUT;
		pinioni_stream_give_room(port->runtime, rx);
		at = pinioni_port_wait(port, &r, 1, timeout_ns);
		if (at == -EAGAIN && (port->notes[r.slot].marks & MARK_TAGGED) != 0 &&
		    !pinioni_port_ask(port, r.slot))
			continue; /* it came just now */
		if (at < 0)
			return at;
	}
}

int
pinioni_stream_read_item(struct pinion_runtime *rt, struct ring_rx *rx,
    const struct ring_item *item, const pinion_into *into, pinion_value *value)
{
	pinion_kind kind = (pinion_kind)once_u32(&item->kind);
	uint32_t length = once_u32(&item->length);
	int err;

	if (length > rx->stride - offsetof(struct ring_item, bytes))
		return -EBADMSG;
	err = value != NULL ? pinioni_read_value(kind, item->bytes, length, value)
	    : read_plain(kind, item->bytes, *into) ? 0
						   : pinioni_read(kind, item->bytes, length, into);
	if (err != 0)
		return err;
	if (kind_is_scalar(kind))
		rx->next++;
	else
		rx->holds = true;
	if (ring_is_due(rx))
		pinioni_stream_give_room(rt, rx);
	return 1;
}

static int
next(
    pinion_port *port, pinion_response r, int64_t timeout_ns, pinion_into into, pinion_value *value)
{
	const struct slot_note *note = port_note_held(port, r);
	const struct ring_item *item;
	int got;

	if (note == NULL)
		return port_is_failed(r) ? -(int)(r.generation & 0xffff) : -ESTALE;
	if ((note->marks & (MARK_STREAM | MARK_PIPED)) != MARK_STREAM)
		return -EINVAL;
	got = await_item(port, r, timeout_ns, &item);
	return got == 1
	    ? pinioni_stream_read_item(port->runtime, &port->streams[r.slot], item, &into, value)
	    : got;
}

static int
next_of(pinion_stream s, int64_t timeout_ns, pinion_into into, pinion_value *value)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (s.slot == RESPONSE_NOWHERE)
		return -(int)(s.generation & 0xffff);
	if (stream_is_piped(s))
		return pinioni_piped_next(s, timeout_ns, &into, value);
	port = port_enter_response(s.port, &shell, &err);
	if (port == NULL)
		return err;
	err = next(port, response_of(s), timeout_ns, into, value);
	port_leave(shell);
	return err;
}

int
pinion_next_into(pinion_stream s, pinion_into into)
{
	return next_of(s, -1, into, NULL);
}

int
pinion_next_within_into(pinion_stream s, int64_t timeout_ns, pinion_into into)
{
	return next_of(s, timeout_ns, into, NULL);
}

int
pinion_next_value(pinion_stream s, int64_t timeout_ns, pinion_value *value)
{
	return next_of(s, timeout_ns, (pinion_into){ .at = NULL }, value);
}

void
pinion_stream_close(pinion_stream s)
{
	if (stream_is_piped(s))
		pinioni_piped_close(s);
	else
		pinion_release(response_of(s));
}

void
pinion_stream_cancel(pinion_stream s)
{
	if (stream_is_piped(s))
		pinioni_piped_cancel(s);
	else
		pinion_cancel(response_of(s));
}

pinion_error
pinion_stream_error(pinion_stream s)
{
	return stream_is_piped(s) ? pinioni_piped_error(s) : pinion_response_error(response_of(s));
}

/* ---- yielding ------------------------------------------------------------------------------- */

/* It has ended, or its answer is to come from elsewhere: whoever has that must find the request as it was. */
__attribute__((noinline, cold)) static int
refuse(pinion_request *r)
{
	const struct method *m = r->method;

	if (r->state == REQUEST_MISREAD)
		return pinioni_request_fail_misread(r);
	if (r->state == REQUEST_RUNNING)
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "%s.%s yields, and declares no .stream", m->deployment->name, m->name);
	else
		pinioni_runtime_log(r->worker->runtime,
		    "%s.%s yields after it has ended, or put its answer off", m->deployment->name,
		    m->name);
	return -EINVAL;
}

/* Its ring, at the first item: what it says is checked, and kept. */
static int
open_ring(pinion_request *r)
{
	uint64_t bytes;
	struct ring *ring = pinioni_stream_ring(r->port, r->message.slot, &bytes);

	if (ring == NULL || !ring_tx_init(&r->out, ring, bytes) ||
	    ring_tx_most(&r->out) < r->method->item_size) {
		pinioni_request_fail(r, -EBADMSG, PINION_ORIGIN_RUNTIME,
		    "the caller of %s.%s has no room for its stream", r->method->deployment->name,
		    r->method->name);
		return -EBADMSG;
	}
	r->buffer = 1;
	return 0;
}

struct roomless {
	struct starved starved;
	struct pinion_request *request;
};

static bool
has_room(struct starved *me)
{
	struct pinion_request *r = caa_container_of(me, struct roomless, starved)->request;

	return ring_claim(&r->out) != NULL || ring_is_closed(&r->out) ||
	    pinioni_cancel_code(r) != 0;
}

/* Until the reader has taken some, or has left, or nobody wants it: of one in a batch no fiber is resumed. */
__attribute__((noinline)) static int
wait_for_room(pinion_request *r)
{
	struct worker *w = r->worker;
	struct roomless me = { .starved.may_go_on = has_room, .request = r };
	int err;

	ring_starve(&r->out, (int)w->index);
	bell_order();
	err = pinioni_starved_wait(w, &me.starved, 0);
	ring_starve(&r->out, -1);
	return err;
}

/* A handler of this worker: it cannot begin to wait while we look. */
static inline bool
reader_is_here(const pinion_request *r)
{
	const pinion_port *port = r->port;

	return port == r->worker->port && (port->notes[r->message.slot].marks & MARK_PIPED) == 0;
}

/* Whoever waits for an item. */
static inline void
tell_reader(pinion_request *r)
{
	unsigned flags;

	if (!reader_is_here(r))
		bell_order();
	flags = slot_take_asked(&r->port->memory.slots[r->message.slot], request_generation(r));
	if (flags != 0)
		pinioni_request_tell(r->worker, r->port, r->message.slot, flags);
	starved_wake(r->worker->runtime, ring_hungry(r->out.ring));
}

static void
put(pinion_request *r, struct ring_item *item, const struct outcome *o)
{
	item->kind = (uint32_t)o->kind;
	item->length = o->length;
	if (kind_is_scalar(o->kind))
		memcpy(item->bytes, o->bytes, sizeof(uint64_t)); /* a store, and no call */
	else
		memmove(item->bytes, o->bytes, o->length); /* as where a result is written */
	ring_put(&r->out);
	board_count(r->worker->line, COUNT_YIELDED, 1);
	tell_reader(r);
}

static int
yield(pinion_request *r, const struct outcome *o)
{
	struct ring_item *item;
	int err = 0;

	if (r->buffer == 0)
		err = open_ring(r);
	while (err == 0) {
		if (ring_is_closed(&r->out))
			return -ECANCELED;
		err = pinioni_worker_interrupted(r->worker);
		if (err == 0 && r->worker->current != r)
			err = pinioni_cancel_code(r); /* one of a batch, whose handler goes on */
		if (err != 0)
			return err;
		item = ring_claim(&r->out);
		if (item != NULL) {
			put(r, item, o);
			return 0;
		}
		err = wait_for_room(r);
	}
	return err;
}

/* Any 8 bytes are one. */
static inline bool
is_plain(pinion_kind kind)
{
	return kind == PINION_KIND_I64 || kind == PINION_KIND_U64 || kind == PINION_KIND_F64;
}

int
pinion_yield_from(pinion_request *r, const pinion_value *value)
{
	const struct method *m = r->method;
	struct outcome o = { .status = 0 };
	uint64_t bits;
	int err;

	if (r->state != REQUEST_RUNNING || m->item_size == 0)
		return refuse(r);
	if (value->kind == m->items.kind && is_plain(value->kind)) {
		o.kind = value->kind;
		o.bytes = &value->as.u64;
		o.length = sizeof(uint64_t);
		return yield(r, &o);
	}
	err = pinioni_reply_shape(&m->items, m->item_size, value, &bits, &o);
	if (err == 0)
		return yield(r, &o);
	if (err == -EMSGSIZE)
		pinioni_request_fail(r, err, PINION_ORIGIN_HANDLER,
		    "%s.%s yields %zu bytes and may yield %u: set .result_max", m->deployment->name,
		    m->name, value_bytes(value).len, m->item_size);
	else
		pinioni_request_fail(r, err, PINION_ORIGIN_HANDLER,
		    "%s.%s declares to yield %s and yielded %s", m->deployment->name, m->name,
		    pinioni_kind_name(m->items.kind), pinioni_kind_name(value->kind));
	return err;
}
