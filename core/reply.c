/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/reply.c - what a handler may do with its request: answers, tail calls, sleep.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/call.h"
#include "core/cancel.h"
#include "core/encode.h"
#include "core/piped.h"
#include "core/record.h"
#include "core/route.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/value.h"

/* ---- answers -------------------------------------------------------------------------------- */

/* It has answered, or may not: it read an argument that is not there. */
__attribute__((noinline, cold)) static int
refuse(pinion_request *r)
{
	if (r->state == REQUEST_MISREAD)
		return pinioni_request_fail_misread(r);
	pinioni_runtime_log(r->worker->runtime, "%s.%s answers twice: the first answer stands",
	    r->method->deployment->name, r->method->name);
	return -EALREADY;
}

static bool
is_taken(const pinion_request *r)
{
	return r->state != REQUEST_RUNNING;
}

static int
complain_reply(pinion_request *r, pinion_kind got)
{
	if (r->method->item_size != 0)
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "%s.%s is a stream: its values are given with pinion_yield, and returning 0 ends it",
		    r->method->deployment->name, r->method->name);
	else
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "%s.%s declares to return %s and replied %s", r->method->deployment->name,
		    r->method->name, pinioni_kind_name(r->method->returns.kind),
		    pinioni_kind_name(got));
	return -EINVAL;
}

static int
too_large(pinion_request *r, size_t size)
{
	pinioni_request_fail(r, -EMSGSIZE, PINION_ORIGIN_HANDLER,
	    "%s.%s replies %zu bytes and may reply %u: set .result_max",
	    r->method->deployment->name, r->method->name, size, r->method->result_size);
	return -EMSGSIZE;
}

int
pinioni_reply_shape(const pinion_returns *returns, uint32_t most, const pinion_value *v,
    uint64_t *bits, struct outcome *o)
{
	pinion_kind want = returns == NULL ? v->kind : returns->kind;

	o->kind = want;
	if (kind_is_scalar(want)) {
		o->bytes = bits;
		o->length = sizeof *bits;
		return pinioni_value_convert(v->kind, value_bits(v), want, bits);
	}
	if (want != v->kind || want == PINION_KIND_NONE)
		return -EINVAL;
	if (want == PINION_KIND_REF) {
		o->bytes = &v->as.ref;
		o->length = sizeof v->as.ref;
		return 0;
	}
	if (value_bytes(v).len > UINT32_MAX)
		return -EMSGSIZE;
	o->bytes = value_bytes(v).data;
	o->length = (uint32_t)value_bytes(v).len;
	if (want == PINION_KIND_STRUCT && returns != NULL && o->length != returns->size)
		return -EINVAL;
	return o->length > most ? -EMSGSIZE : 0;
}

/* A short one always finds room in the slot. */
static int
shape(const struct method *m, const pinion_value *v, uint64_t *bits, struct outcome *o)
{
	return pinioni_reply_shape(m->any_params ? NULL : &m->returns,
	    m->result_size > SLOT_BYTES ? m->result_size : SLOT_BYTES, v, bits, o);
}

int
pinion_reply_from(pinion_request *r, const pinion_value *value)
{
	struct outcome o;
	uint64_t bits;
	int err;

	if (is_taken(r))
		return refuse(r);
	if (value->kind == r->method->returns.kind && kind_is_scalar(value->kind) &&
	    pinioni_request_complete_scalar(r, value->kind, value_bits(value)))
		return 0;
	o = (struct outcome){ .status = 0 };
	err = shape(r->method, value, &bits, &o);
	if (err == -EMSGSIZE)
		return too_large(r, value_bytes(value).len);
	if (err != 0)
		return complain_reply(r, value->kind);
	pinioni_request_complete(r, &o);
	return 0;
}

int
pinion_reply_nothing(pinion_request *r)
{
	struct outcome o = { .kind = PINION_KIND_NONE };

	if (is_taken(r))
		return refuse(r);
	if (r->method->returns.kind != PINION_KIND_NONE || r->method->any_params)
		return complain_reply(r, PINION_KIND_NONE);
	pinioni_request_complete(r, &o);
	return 0;
}

int
pinion_reply_value(pinion_request *r, pinion_value value)
{
	return pinion_reply_from(r, &value);
}

int
pinion_reply_fmt(pinion_request *r, const char *format, ...)
{
	char small[SLOT_BYTES + 1];
	char *to = small;
	struct outcome o;
	va_list list;
	int length;

	if (is_taken(r))
		return refuse(r);
	va_start(list, format);
	length = vsnprintf(small, sizeof small, format, list);
	va_end(list);
	if (length < 0)
		return -EINVAL;
	if (r->method->returns.kind != PINION_KIND_STR && !r->method->any_params)
		return complain_reply(r, PINION_KIND_STR);
	if (length > SLOT_BYTES) {
		if ((uint32_t)length > r->method->result_size)
			return too_large(r, (size_t)length);
		to = pinion_alloc(r, (size_t)length + 1);
		if (to == NULL)
			return -ENOMEM;
		va_start(list, format);
		(void)vsnprintf(to, (size_t)length + 1, format, list); /* measured above */
		va_end(list);
	}
	o = (struct outcome){ .kind = PINION_KIND_STR, .bytes = to, .length = (uint32_t)length };
	pinioni_request_complete(r, &o);
	return 0;
}

void *
pinion_result_buffer(pinion_request *r, size_t size)
{
	if ((is_taken(r) && r->state != REQUEST_MISREAD) || size > r->method->result_size ||
	    r->method->item_size != 0)
		return NULL;
	r->buffer = (uint32_t)size;
	if (r->port == NULL)
		return pinion_alloc(r, size);
	if (size <= SLOT_BYTES)
		return r->port->memory.slots[r->message.slot].bytes;
	return pinioni_request_place(r, (uint32_t)size);
}

int
pinion_reply_buffer(pinion_request *r, size_t size)
{
	struct outcome o = {
		.kind = r->method->returns.kind, .length = (uint32_t)size, .in_place = true
	};

	if (is_taken(r))
		return refuse(r);
	if (size > r->method->result_size)
		return too_large(r, size);
	if (size > r->buffer) {
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "%s.%s answers %zu bytes of a buffer of %u", r->method->deployment->name,
		    r->method->name, size, r->buffer);
		return -EINVAL;
	}
	/* So little is read in the slot, and lies in the block. */
	if (r->port != NULL && size <= SLOT_BYTES && r->buffer > SLOT_BYTES) {
		o.bytes = pinioni_request_place(r, r->buffer);
		o.in_place = false;
		if (o.bytes == NULL)
			return too_large(r, size);
	}
	pinioni_request_complete(r, &o);
	return 0;
}

int
pinion_fail(pinion_request *r, int error, const char *format, ...)
{
	int code = error < 0 ? error : error > 0 ? -error : -EINVAL;
	char text[FAULT_TEXT];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* a text cut short is fine */
	va_end(list);
	if (is_taken(r) && r->state != REQUEST_MISREAD) {
		pinioni_runtime_log(r->worker->runtime, "%s.%s fails after it has answered: %s",
		    r->method->deployment->name, r->method->name, text);
		if (r->state == REQUEST_ANSWERED)
			r->state = REQUEST_FAILED; /* said: not again when it returns this */
		return code;
	}
	pinioni_request_fail(r, code, PINION_ORIGIN_HANDLER, "%s", text);
	return code;
}

/* Its answer stands. */
__attribute__((noinline, cold)) static void
log_late(const pinion_request *r, int err)
{
	pinioni_runtime_log(r->worker->runtime, "%s.%s returned %d after it has answered",
	    r->method->deployment->name, r->method->name, err);
}

/* It returned, and has neither answered nor put it off. */
__attribute__((noinline)) static void
answer_by_return(pinion_request *r, int err)
{
	struct outcome o = { .kind = PINION_KIND_NONE };

	if (err == -ECANCELED && r->worker->canceling)
		pinioni_request_fail(
		    r, err, PINION_ORIGIN_RUNTIME, "the runtime stopped before it ended");
	else if (err < 0 && r->depth > REQUEST_DEPTH && pinioni_cancel_finish(r, err))
		return;
	else if (err < 0)
		pinioni_request_fail(r, err, PINION_ORIGIN_HANDLER, "the handler returned %d", err);
	else if (r->method->any_params)
		pinioni_request_fail(
		    r, -EPROTO, PINION_ORIGIN_HANDLER, "the task returned %d without a reply", err);
	else if (r->method->returns.kind == PINION_KIND_NONE)
		pinioni_request_complete(r, &o);
	else
		pinioni_request_fail(r, -EPROTO, PINION_ORIGIN_HANDLER,
		    "%s.%s returned %d without a reply and declares %s",
		    r->method->deployment->name, r->method->name, err,
		    pinioni_kind_name(r->method->returns.kind));
}

void
pinioni_request_returned(pinion_request *r, int err)
{
	/* What failed has said why; a second answer was logged. */
	if (err < 0 && err != -EALREADY && r->state > REQUEST_MISREAD && r->state != REQUEST_FAILED)
		log_late(r, err);
	if (r->state == REQUEST_MISREAD)
		(void)pinioni_request_fail_misread(
		    r); /* which ends it: its handler is not inside */
	else if (r->state >= REQUEST_ANSWERED)
		pinioni_request_end(r);
	else if (r->state == REQUEST_RUNNING)
		answer_by_return(r, err);
}

int
pinion_reply_response(pinion_request *r, pinion_response response)
{
	pinion_port *port = r->worker->port;
	struct slot_note *note;

	if (is_taken(r))
		return refuse(r);
	if (port_is_failed(response)) {
		pinion_error e = pinion_response_error(response);

		pinioni_request_fail(r, e.code != 0 ? e.code : -(int)(response.generation & 0xffff),
		    PINION_ORIGIN_UPSTREAM, "%.*s", PINION_STR_FMT(e.text));
		return 0;
	}
	note = &port->notes[response.slot < port->memory.slot_count ? response.slot : 0];
	if (response.port != port_word(port) || response.slot >= port->memory.slot_count ||
	    note->generation != response.generation || note->state != NOTE_OPEN)
		return pinion_fail(r, -ESTALE, "the response was released or is another thread's");
	r->state = REQUEST_RELAYING;
	r->next = note->relay;
	note->relay = r;
	note->pinned++;
	if (slot_ask(&port->memory.slots[response.slot], response.generation) == SLOT_IS_DONE)
		pinioni_port_told(port, response.slot);
	return 0;
}

/* ---- tail call ------------------------------------------------------------------------------ */

/* What the arguments keep stays lent until our caller's slot is DONE. */
static int
lend(pinion_request *r, const struct slot_note *scratch)
{
	pinion_port *port = r->worker->port;

	if (scratch->pins == 0 && r->owned == SLOT_NONE)
		return 0;
	if (port->loan_count == port->loan_room || port->loan_count >= LOANS_SWEEP)
		pinioni_port_sweep(port);
	if (port->loan_count == port->loan_room)
		return -ENOBUFS;
	/* Nobody's now: whoever gives one of them back meanwhile does not take it off. */
	for (uint16_t slot = r->owned; slot != SLOT_NONE; slot = port->notes[slot].next)
		port->notes[slot].owner = NULL;
	struct loan *loan = &port->loans[port->loan_count++];

	*loan = (struct loan){ .generation = request_generation(r),
		.port = r->message.port,
		.slot = r->message.slot,
		.owned = r->owned,
		.pins = scratch->pins };
	memcpy(loan->pin, scratch->pin, scratch->pins * sizeof scratch->pin[0]);
	r->owned = SLOT_NONE;
	return 0;
}

static int
check_forward(pinion_request *r, const struct method *m, struct complaint *c)
{
	if ((r->message.call & 0xff) >= HOPS_MAX)
		return pinioni_complain(c, -EDEADLK, "forwarded more than %d times", HOPS_MAX);
	if ((m->item_size != 0) != (r->method->item_size != 0))
		return pinioni_complain(c, -EINVAL, "%s.%s %s a stream and %s.%s %s one",
		    m->deployment->name, m->name, m->item_size != 0 ? "is" : "is not",
		    r->method->deployment->name, r->method->name,
		    r->method->item_size != 0 ? "is" : "is not");
	if (m->item_size != 0 && r->buffer != 0)
		return pinioni_complain(c, -EINVAL,
		    "%s.%s has yielded: its stream cannot be forwarded",
		    r->method->deployment->name, r->method->name);
	if (m->item_size != 0 &&
	    (m->items.kind != r->method->items.kind || m->items.size != r->method->items.size))
		return pinioni_complain(c, -EINVAL, "%s.%s yields %s and %s.%s declares %s",
		    m->deployment->name, m->name, pinioni_kind_name(m->items.kind),
		    r->method->deployment->name, r->method->name,
		    pinioni_kind_name(r->method->items.kind));
	if (m->item_size > r->method->item_size)
		return pinioni_complain(c, -EMSGSIZE,
		    "%s.%s may yield %u bytes and the caller of %s.%s has room for %u",
		    m->deployment->name, m->name, m->item_size, r->method->deployment->name,
		    r->method->name, r->method->item_size);
	if (m->item_size == 0 && r->port != NULL && m->result_size > SLOT_BYTES &&
	    m->result_size > port_memory_place(&r->port->memory, r->message.slot).size)
		return pinioni_complain(c, -EMSGSIZE,
		    "%s.%s may answer %u bytes and the caller of %s.%s has room for %u",
		    m->deployment->name, m->name, m->result_size, r->method->deployment->name,
		    r->method->name, r->method->result_size);
	if (!m->any_params && !r->method->any_params &&
	    !pinioni_kind_may_convert(m->returns.kind, r->method->returns.kind))
		return pinioni_complain(c, -EINVAL, "%s.%s returns %s and %s.%s declares %s",
		    m->deployment->name, m->name, pinioni_kind_name(m->returns.kind),
		    r->method->deployment->name, r->method->name,
		    pinioni_kind_name(r->method->returns.kind));
	return 0;
}

/* Of a post, whose answer nobody waits for: a post of our own. */
static int
forward_post(pinion_request *r, pinion_handle handle, pinion_args args)
{
	int err = pinion_post(handle, args);
	struct outcome o = { .kind = PINION_KIND_NONE };

	if (err != 0)
		return pinion_fail(r, err, "could not be forwarded");
	pinioni_request_complete(r, &o);
	return 0;
}

static int
forward(pinion_request *r, const struct method *method, pinion_args args, struct complaint *c)
{
	struct worker *w = r->worker;
	const struct call_how how = { .tag = 0 };
	struct slot_note scratch = { .method = method };
	struct message m = r->message;
	const struct result_place place = record_place(&m);
	uint32_t replica = 0;
	unsigned target = 0, stop;
	const char *text;
	int err = check_forward(r, method, c);

	if (err != 0)
		return err;
	m.flags &= MESSAGE_STAMP;
	m.method = method->index;
	m.function &= MESSAGE_TERMS;
	m.call++;
	err = pinioni_encode(w->port, args, &m, &scratch, r, c);
	if (err == 0 && place.size != 0)
		record_name_place(&m, place);
	if (err == 0 && !route_target(w->port, method, &how, &replica, &target)) {
		err = pinioni_call_no_target(w->port, &text);
		(void)pinioni_complain(c, err, "%s", text);
	}
	if (err == 0 && lend(r, &scratch) != 0)
		err = pinioni_complain(c, -ENOBUFS, "too many arguments are lent");
	if (err != 0) {
		pinioni_piped_undo(w->port, scratch.pin, scratch.pins);
		pinioni_port_unpin(w->port, scratch.pin, scratch.pins);
		return err;
	}
	m.target = (uint16_t)replica;
	stop = pinioni_call_first_stop(w->port, &m, method, target);
	board_count(w->line, COUNT_FORWARDED, 1);
	pinioni_request_hand_over(r, &m, stop, target);
	return 0;
}

int
pinion_forward(pinion_request *r, pinion_handle handle, pinion_args args)
{
	struct complaint c = { .code = 0 };
	struct call_how how = { .tag = 0 }; /* the time it has is our caller's */
	const struct method *method;
	pinion_response failed;

	if (is_taken(r))
		return refuse(r);
	if (r->port == NULL)
		return forward_post(r, handle, args);
	method = pinioni_call_method(r->worker->port, handle, &how, &failed);
	if (method == NULL)
		return pinion_reply_response(r, failed);
	if (forward(r, method, args, &c) != 0) {
		pinioni_request_fail(r, c.code, PINION_ORIGIN_HANDLER, "%s", c.text);
		return c.code;
	}
	return 0;
}

/* ---- others --------------------------------------------------------------------------------- */

void *
pinion_alloc(pinion_request *r, size_t size)
{
	size_t all = size + 64; /* the header, and 64-byte alignment behind it */
	struct request_memory *block;

	if (size > SIZE_MAX / 2)
		return NULL;
	block = pinioni_heap_take(r->worker->heap, all);
	if (block == NULL)
		return NULL;
	*block = (struct request_memory){ .next = r->memory, .size = all };
	r->memory = block;
	return (unsigned char *)block + 64;
}

int
pinion_sleep(pinion_request *r, int64_t ns)
{
	struct worker *w = r->worker;
	uint64_t until;
	int err;

	if (ns < 0)
		return -EINVAL;
	until = clock_now(&w->runtime->clock) + (uint64_t)ns;
	while (clock_now(&w->runtime->clock) < until) {
		err = pinioni_worker_interrupted(w);
		if (err == 0)
			err = pinioni_worker_wake_at(w, until);
		if (err != 0)
			return err;
		struct fiber *self = w->current_fiber;

		err = pinioni_worker_suspend(w);
		pinioni_timers_drop(&w->timers, &self->timer);
		if (err != 0)
			return err;
	}
	return 0;
}

pinion_runtime *
pinion_request_runtime(pinion_request *r)
{
	return r->worker->runtime;
}

unsigned
pinion_request_worker(pinion_request *r)
{
	return r->worker->index;
}

bool
pinion_str_is(pinion_str str, const char *text)
{
	return strlen(text) == str.len && (str.len == 0 || memcmp(str.data, text, str.len) == 0);
}

/* ---- deferred ------------------------------------------------------------------------------- */

int
pinion_defer(pinion_request *r, pinion_token *token)
{
	static _Atomic uint64_t serial = 1;
	uint64_t mine;

	if (is_taken(r))
		return refuse(r);
	/* relaxed: only a number that no other token has. */
	mine = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
	r->state = REQUEST_DEFERRED;
	/* T */
	atomic_store_explicit(&r->token, mine, memory_order_release);
	*token = (pinion_token){ .generation = mine,
		.port = (port_word(r->worker->port) & 0xffff0000u) | r->worker->index,
		.slot = r->index };
	return 0;
}

/* The request, for the one who takes the token; NULL: answered before, or gone. */
static pinion_request *
claim(pinion_port *port, pinion_token token)
{
	struct pinion_runtime *rt = port->runtime;
	unsigned worker = token.port & 0xffff;
	uint64_t expected = token.generation;
	pinion_request *r;

	if ((token.port ^ port_word(port)) >> 16 != 0 || !runtime_is_own(rt, worker) ||
	    expected == 0)
		return NULL;
	r = pinioni_worker_request_at(&rt->workers[worker], token.slot);
	if (r == NULL)
		return NULL;
	/* T; relaxed on failure: it is not ours. */
	if (!atomic_compare_exchange_strong_explicit(
		&r->token, &expected, 0, memory_order_acquire, memory_order_relaxed))
		return NULL;
	return r;
}

/* Tells the worker that what it waits for lies in place. */
static int
send_answer(pinion_port *port, pinion_request *r, const struct outcome *o)
{
	struct message m = r->message;
	struct worker *w = r->worker;
	struct answered answered = { .status = o->status, .length = o->length, .index = r->index };

	m.kind = MESSAGE_ANSWERED;
	m.method = (uint8_t)o->kind;
	m.refs = 0;
	memcpy(m.record, &answered, sizeof answered);
	if (port->worker != NULL)
		return pinioni_worker_send(port->worker, w->index, &m) ? 0 : -ENOMEM;
	/* Ended by the worker, who takes what is there; in a caller-driven runtime by whoever waits. */
	while (pinioni_port_push(port, w->index, &m) != 0) {
		pinioni_port_order(port);
		if (!w->has_thread)
			(void)pinioni_worker_turn(w); /* how much it did does not matter */
	}
	pinioni_port_order(port);
	return 0;
}

static int
answer(pinion_token token, const pinion_value *v, int error, const char *text)
{
	struct port_shell *shell;
	struct outcome o = { .status = error };
	uint64_t bits;
	int err;
	pinion_port *port = pinioni_port_enter_token(token.port, &shell, &err);
	pinion_request *r;

	if (port == NULL)
		return err;
	r = claim(port, token);
	if (r == NULL) {
		port_leave(shell);
		return -EALREADY;
	}
	err = v == NULL ? 0 : shape(r->method, v, &bits, &o);
	if (err != 0) {
		o = (struct outcome){ .status = err };
		text = err == -EMSGSIZE ? "a deferred answer larger than the method's result_max"
					: "a deferred answer of another kind than declared";
	}
	if (r->port != NULL)
		pinioni_request_put(r, &o, text);
	if (send_answer(port, r, &o) != 0) {
		err = -ENOMEM;
		/* T: the token is good again. */
		atomic_store_explicit(&r->token, token.generation, memory_order_release);
	}
	port_leave(shell);
	return err;
}

int
pinion_token_reply_value(pinion_token token, pinion_value value)
{
	return answer(token, &value, 0, NULL);
}

int
pinion_token_fail(pinion_token token, int error, const char *format, ...)
{
	char text[FAULT_TEXT];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* a text cut short is fine */
	va_end(list);
	return answer(token, NULL, error < 0 ? error : error > 0 ? -error : -EINVAL, text);
}
