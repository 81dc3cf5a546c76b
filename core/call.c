/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/call.c - pinion_call and its kin.
 */
#include "core/call.h"

#include <stdio.h>
#include <string.h>

#include "core/cancel.h"
#include "core/custody.h"
#include "core/encode.h"
#include "core/piped.h"
#include "core/record.h"
#include "core/route.h"
#include "core/runtime.h"
#include "core/stream.h"
#include "core/terms.h"
#include "core/thread.h"

static pinion_response
fail_nowhere(int code)
{
	return (pinion_response){
		.generation = (uint64_t)-code, .port = UINT32_MAX, .slot = RESPONSE_NOWHERE
	};
}

/* "a, b, c": what there is instead. */
static void
list_methods(const struct deployment *d, char *text, size_t room)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < d->method_count; i++) {
		const char *name = d->methods[i].name;
		bool fits = at + strlen(name) + sizeof ", , ..." <= room;
		int n =
		    snprintf(text + at, room - at, "%s%s", i == 0 ? "" : ", ", fits ? name : "...");

		if (!fits || n < 0)
			return;
		at += (size_t)n;
	}
}

/* Why a handle names no method that could be called. */
__attribute__((noinline, cold)) static void
fail_handle(pinion_port *port, pinion_handle handle, pinion_response *failed)
{
	const struct registry *registry = &port->runtime->registry;
	const struct deployment *d = registry_deployment(registry, handle_deployment(handle));
	const struct late_method *late = registry_late(registry, handle);
	const char *name = late == NULL ? NULL : late->unknown;
	char have[FAULT_TEXT / 2];

	if (handle_runtime(handle) != port->runtime->key || d == NULL) {
		*failed = pinioni_port_fail(port, -ESTALE, NULL, "a handle of another runtime");
		return;
	}
	list_methods(d, have, sizeof have);
	*failed = pinioni_port_fail(port, -EINVAL, NULL, "%s has no method \"%s\"; it has: %s",
	    d->name, name == NULL ? "?" : name, have);
	pinioni_port_failed_in(port, d->name, name);
}

const struct method *
pinioni_call_method(
    pinion_port *port, pinion_handle handle, struct call_how *how, pinion_response *failed)
{
	const struct registry *registry = &port->runtime->registry;
	const struct late_method *late = registry_late(registry, handle);
	const struct method *method =
	    handle_runtime(handle) == port->runtime->key ? registry_method(registry, handle) : NULL;

	if (method == NULL)
		fail_handle(port, handle, failed);
	else if (late != NULL) {
		if (how->timeout_ns == 0)
			how->timeout_ns = late->timeout_ns;
		if (how->priority == PINION_PRIORITY_NORMAL)
			how->priority = (pinion_priority)late->priority;
	}
	return method;
}

/* The same of a handle that says nothing but its method; NULL: it is none of those. */
static inline const struct method *
plain_method(const pinion_port *port, pinion_handle handle)
{
	const struct deployment *d =
	    registry_deployment(&port->runtime->registry, handle_deployment(handle));

	return handle_runtime(handle) == port->runtime->key && d != NULL &&
		handle_method(handle) < d->named_count
	    ? &d->methods[handle_method(handle)]
	    : NULL;
}

/* Another's port may be taken down while a foreign thread looks at it: there the home looks. */
static bool
may_be_pending(const pinion_port *port, const struct record_ref *ref)
{
	const pinion_port *owner =
	    ref->port == port->index ? port : runtime_port(port->runtime, ref->port);

	if (owner != port && port->worker == NULL)
		return true;
	return owner != NULL && ref->at < owner->memory.slot_count &&
	    slot_look(&owner->memory.slots[ref->at], ref->call >> 16) == SLOT_IS_PENDING;
}

unsigned
pinioni_call_first_stop(
    pinion_port *port, const struct message *m, const struct method *method, unsigned target_worker)
{
	const struct pinion_runtime *rt = port->runtime;
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count = m->refs == 0 ? 0 : pinioni_record_refs(rt, m, method, refs);

	for (unsigned i = 0; i < count; i++) {
		unsigned home = (unsigned)(refs[i].call & 0xffff);

		if (refs[i].kind == REF_RESULT && home < rt->worker_count &&
		    (method_keeps_order(method) || may_be_pending(port, &refs[i])))
			return home;
	}
	return target_worker;
}

/* What a call has taken from its port goes back: nothing was sent. */
static void
undo(pinion_port *port, struct slot_note *note)
{
	pinioni_piped_undo(port, note->pin, note->pins);
	pinioni_port_strip(port, note);
	/* The generation was never sent: the slot is DONE with the one before. */
	note->generation = (note->generation - 1) & GENERATION_MASK;
	port_give(port, note);
}

static int
reserve_result(pinion_port *port, struct slot_note *note, uint32_t window, struct complaint *c)
{
	const struct method *method = note->method;
	uint32_t at;
	int err;

	if (method->result_size <= SLOT_BYTES)
		return 0;
	if (window != 0) {
		err = pinioni_stream_reserve(port, note, window);
		return err == 0 ? 0
				: pinioni_complain(c, err,
				      "no room for %u items of %u bytes: the port's arena has %zu",
				      window, method->item_size, port->memory.arena_size);
	}
	err = pinioni_port_take_block(port, method->result_size, &at);
	if (err != 0)
		return pinioni_complain(c, err,
		    "no room for a result of %u bytes: the port's arena has %zu",
		    method->result_size, port->memory.arena_size);
	port->memory.places[port_slot_of(port, note)] =
	    (struct result_place){ .at = at, .size = method->result_size };
	note->marks |= MARK_PLACED;
	return 0;
}

/* How many calls wait for the one that is made now; and the marks of who makes it, which are more than DEPTH_MAX. */
static inline uint64_t
depth_below(const struct worker *w)
{
	return w == NULL || w->current == NULL ? 0 : w->current->depth + 1;
}

static inline uint64_t
plain_depth_below(const struct worker *w)
{
	return depth_below(w) & REQUEST_DEPTH;
}

static inline bool
is_stopping(const pinion_port *port, const struct worker *w)
{
	return runtime_phase(port->runtime) >= (w == NULL ? RUNTIME_DRAINING : RUNTIME_CANCELING);
}

static int
refuse(const pinion_port *port, const struct method *m, const struct call_how *how,
    struct complaint *c)
{
	int code;

	if (m->item_size != 0 && how->window == 0)
		return pinioni_complain(c, -EINVAL,
		    "%s.%s is a stream: call it with pinion_call_stream", m->deployment->name,
		    m->name);
	if (m->item_size == 0 && how->window != 0)
		return pinioni_complain(c, -EINVAL, "%s.%s is no stream: call it with pinion_call",
		    m->deployment->name, m->name);
	if (is_stopping(port, port->worker)) {
		const char *text;

		code = pinioni_call_no_target(port, &text);
		return pinioni_complain(c, code, "%s", text);
	}
	if (port_caller(port) != NULL && pinioni_cancel_code(port_caller(port)) != 0)
		return pinioni_complain(
		    c, pinioni_cancel_code(port_caller(port)), "the request that calls was to end");
	if (how->tagged && port->worker != NULL)
		return pinioni_complain(
		    c, -EINVAL, ".tagged is for a thread's port: a handler waits");
	if (how->timeout_ns < 0)
		return pinioni_complain(
		    c, -EINVAL, ".timeout_ns is %lld", (long long)how->timeout_ns);
	if (how->priority != PINION_PRIORITY_NORMAL && how->priority != PINION_PRIORITY_HIGH)
		return pinioni_complain(c, -EINVAL, ".terms.priority is %d", (int)how->priority);
	if (plain_depth_below(port->worker) > DEPTH_MAX)
		return pinioni_complain(
		    c, -EDEADLK, "more than %d calls wait for each other", DEPTH_MAX);
	return 0;
}

static void
count_sent(pinion_port *port, struct slot_note *note, uint32_t replica, unsigned worker)
{
	note->home = (uint16_t)worker;
	note->replica = (uint16_t)replica;
	port->inflight[replica]++;
}

int
pinioni_call_no_target(const pinion_port *port, const char **text)
{
	/* The phase may have changed since it was looked at. */
	enum runtime_phase phase = runtime_phase(port->runtime);

	*text = phase == RUNTIME_RUNNING ? "no replica is running"
	    : phase == RUNTIME_LOST      ? "the process that ran it has ended, or cut us off"
					 : "the runtime is stopping";
	return phase == RUNTIME_RUNNING ? -ENOENT
	    : phase == RUNTIME_LOST     ? -EOWNERDEAD
					: -ECANCELED;
}

/* Where it goes, and on its way. text: why not. */
static int
dispatch(pinion_port *port, const struct method *method, struct slot_note *note, struct message *m,
    const struct call_how *how, const char **text)
{
	uint32_t replica;
	unsigned worker, stop;

	if (!route_target(port, method, how, &replica, &worker))
		return pinioni_call_no_target(port, text);
	m->target = (uint16_t)replica;
	stop = pinioni_call_first_stop(port, m, method, worker);
	if (port->worker != NULL && stop == port->worker->index) {
		pinioni_request_accept(port->worker, m);
	} else if (port->worker != NULL) {
		(void)pinioni_worker_send(port->worker, stop, m); /* a call: then it has failed */
	} else if (pinioni_port_push(port, stop, m) != 0) {
		*text = "the lane to the worker is full";
		return -ENOBUFS;
	}
	if (m->slot != SLOT_NONE)
		count_sent(port, note, replica, worker);
	return 0;
}

static inline void
attach(struct worker *w, struct slot_note *note, uint16_t slot)
{
	struct pinion_request *r = w == NULL ? NULL : w->current;

	if (r == NULL)
		return;
	note->marks |= MARK_ATTACHED;
	note->owner = r;
	note->next = r->owned;
	note->prev = SLOT_NONE;
	if (r->owned != SLOT_NONE)
		w->port->notes[r->owned].prev = slot;
	r->owned = slot;
}

/* All but slot, target and arguments. */
static inline void
message_start(struct message *m, const pinion_port *port, const struct slot_note *note,
    uint64_t depth, const struct call_how *how)
{
	m->call = note->generation << 16 | depth << 8;
	m->port = port->index;
	m->method = note->method->index;
	m->kind = MESSAGE_CALL;
	m->flags = how->tagged ? MESSAGE_STAMP : 0;
	m->function = how->function;
	m->trail = 0;
}

__attribute__((always_inline)) static inline pinion_response
submitted(pinion_port *port, struct worker *w, struct slot_note *note, const struct call_how *how)
{
	uint16_t slot = port_slot_of(port, note);
	pinion_response r = {
		.generation = note->generation, .port = port_word(port), .slot = slot
	};

	if (how->is_post)
		port_release(port, note);
	else
		attach(w, note, slot);
	if (how->tagged && !pinioni_port_ask(port, slot))
		pinioni_port_told(port, slot);
	return r;
}

static inline void
note_start(struct slot_note *note, const struct method *method, const struct call_how *how)
{
	note->method = method;
	note->tag = how->tag;
	note->marks = how->tagged ? MARK_TAGGED : 0;
}

/* Where a plain message for that worker can be written: in its lane, or in a request that is here; NULL: it has
 * to be kept, or cannot be sent. */
static inline struct message *
place_for(pinion_port *port, struct worker *w, unsigned worker, struct pinion_request **here)
{
	struct message *cell;

	*here = NULL;
	if (w != NULL && worker == w->index) {
		*here = worker_take_request(w);
		return *here == NULL ? NULL : &(*here)->message;
	}
	cell = w != NULL ? worker_claim(w, worker) : lane_claim(&port->tx[worker]);
	if (cell != NULL)
		line_want(cell);
	return cell;
}

/* Scalars as declared; or, if not all are there, calls that will answer them. home: see encode.h. */
__attribute__((always_inline)) static inline bool
args_are_scalars(const pinion_port *port, const struct method *method, const pinion_args *args,
    bool all_here, int *home)
{
	*home = HOME_NONE;
	return all_here ? args_are_plain(method, args)
			: pinioni_args_are_scalars(port, method, args, home);
}

/* A short result, and nothing in the way. The message is written where it goes: put together elsewhere and copied
 * at once, its short stores would stall the copy's long loads. What need not be done before it is sent comes
 * after. NULL: nothing was done. */
__attribute__((always_inline)) static inline struct slot_note *
submit_scalars(pinion_port *port, struct worker *w, const struct method *method, pinion_args args,
    const struct call_how *how, bool all_here)
{
	uint64_t depth = depth_below(w);
	struct pinion_request *here;
	struct slot_note *note;
	struct message *m;
	uint32_t replica;
	unsigned worker, stop;
	uint16_t slot;
	int home;

	if (!args_are_scalars(port, method, &args, all_here, &home) ||
	    (w == NULL ? method->result_size > SLOT_BYTES : method->has_more) ||
	    is_stopping(port, w) || depth > DEPTH_MAX || port->free_count == 0 ||
	    port->zombie_count >= LOANS_SWEEP ||
	    !route_target(port, method, how, &replica, &worker))
		return NULL;
	stop = home == HOME_NONE ? worker : (unsigned)home;
	m = place_for(port, w, stop, &here);
	if (m == NULL)
		return NULL;
	note = port_take_free(port, &slot);
	note_start(note, method, how);
	message_start(m, port, note, depth, how);
	m->slot = slot;
	m->target = (uint16_t)replica;
	if (all_here)
		encode_plain_bits(&args, m);
	else
		pinioni_encode_scalars(port, &args, m, note);
	if (here != NULL) {
		request_start(here, port, method, replica, depth, all_here);
	} else {
		if (w != NULL)
			board_count(w->line, COUNT_SENT, 1);
		pinioni_port_publish(port, stop);
	}
	count_sent(port, note, replica, worker);
	return note;
}

/* A stage of a chain, mostly. */
__attribute__((noinline)) static struct slot_note *
submit_dependent(pinion_port *port, struct worker *w, const struct method *method, pinion_args args,
    const struct call_how *how)
{
	return submit_scalars(port, w, method, args, how, false);
}

/* Whatever the arguments are. */
static int
send(pinion_port *port, struct slot_note *note, const pinion_args *args, const struct call_how *how,
    struct complaint *c)
{
	const char *text;
	struct message m = { .slot = port_slot_of(port, note) };
	int err;

	message_start(&m, port, note, plain_depth_below(port->worker), how);
	if ((note->marks & MARK_TERMS) != 0)
		m.function |= MESSAGE_TERMS;
	err = pinioni_encode(port, *args, &m, note, NULL, c);
	if (err == 0)
		err = reserve_result(port, note, how->window, c);
	if (err == 0 && (note->marks & MARK_PLACED) != 0)
		record_name_place(&m, port->memory.places[m.slot]);
	if (err == 0 && (err = dispatch(port, note->method, note, &m, how, &text)) != 0)
		(void)pinioni_complain(c, err, "%s", text);
	return err;
}

/* Whatever is in the way. */
__attribute__((noinline)) static pinion_response
submit_any(
    pinion_port *port, const struct method *method, pinion_args args, const struct call_how *how)
{
	struct complaint c;
	struct slot_note *note;
	uint64_t deadline, now = 0;

	c.code = 0; /* and not the text: clearing that would cost as much as sending */
	c.deployment = NULL;
	if (refuse(port, method, how, &c) != 0)
		return pinioni_port_fail(port, c.code, method, "%s", c.text);
	deadline = pinioni_terms_deadline(port, how, &now);
	if (deadline != 0 && deadline <= now)
		return pinioni_port_fail(port, -ETIMEDOUT, method, "no time is left for it");
	note = pinioni_port_take_slot(port);
	if (note == NULL)
		return pinioni_port_fail(port, -ENOBUFS, method,
		    "all %u slots of this port are taken: release responses, or start with more "
		    ".slots",
		    port->memory.slot_count);
	note_start(note, method, how);
	if (pinioni_terms_write(port, note, how, deadline, &c) != 0 ||
	    send(port, note, &args, how, &c) != 0) {
		undo(port, note);
		return c.deployment != NULL
		    ? pinioni_port_fail_upstream(port, c.code, c.deployment, c.method, c.text)
		    : pinioni_port_fail(port, c.code, method, "%s", c.text);
	}
	return submitted(port, port->worker, note, how);
}

__attribute__((always_inline)) static inline pinion_response
submit(pinion_port *port, struct worker *w, const struct method *method, pinion_args args,
    const struct call_how *how)
{
	struct slot_note *note = submit_scalars(port, w, method, args, how, true);

	if (note == NULL)
		note = submit_dependent(port, w, method, args, how);
	return note != NULL ? submitted(port, w, note, how) : submit_any(port, method, args, how);
}

pinion_response
pinioni_submit(pinion_port *port, const struct method *method, const pinion_args *given,
    const struct call_how *how)
{
	/* One by one: copied whole, a load of two would wait for the stores of both. */
	const pinion_args args = { given->values, given->signature, given->count };

	return how->window != 0 || how->timeout_ns != 0 || how->terms != NULL ||
		how->priority != PINION_PRIORITY_NORMAL || how->to != 0
	    ? submit_any(port, method, args, how)
	    : submit(port, port->worker, method, args, how);
}

/* Without a slot, when the arguments travel in the message; else with one that is released at once. */
static int
post(pinion_port *port, const struct method *method, const pinion_args *args,
    const struct call_how *how)
{
	struct slot_note scratch = { .method = method };
	struct message m = { .slot = SLOT_NONE };
	struct complaint c;
	const char *text;
	int err = refuse(port, method, how, &c);

	if (err != 0)
		return err;
	if (!args_are_plain(method, args) || how->priority != PINION_PRIORITY_NORMAL ||
	    pinioni_terms_are_inherited(port)) {
		pinion_response r = submit_any(port, method, *args, how);

		return port_is_failed(r) ? -(int)(r.generation & 0xffff) : 0;
	}
	message_start(&m, port, &scratch, plain_depth_below(port->worker), how);
	encode_plain_bits(args, &m);
	return dispatch(port, method, &scratch, &m, how, &text);
}

/* ---- public --------------------------------------------------------------------------------- */

/* By any handle; what that says goes to `how`. */
static inline pinion_response
call_any(pinion_port *port, pinion_handle handle, const pinion_args *args, struct call_how *how)
{
	pinion_response failed;
	const struct method *method = pinioni_call_method(port, handle, how, &failed);

	return method == NULL ? failed : pinioni_submit(port, method, args, how);
}

/* By a handle that says more than its method, or names none. The arguments in registers. */
__attribute__((noinline, cold)) static pinion_response
call_late(pinion_port *port, pinion_handle handle, const pinion_value *values, uint64_t signature,
    uint32_t count, const struct call_how *asked)
{
	struct call_how how = *asked;

	return call_any(port, handle, &(pinion_args){ values, signature, count }, &how);
}

__attribute__((always_inline)) static inline pinion_response
call_of(pinion_port *port, struct worker *w, pinion_handle handle, pinion_args args,
    const struct call_how *how)
{
	const struct method *method = plain_method(port, handle);

	return method != NULL
	    ? submit(port, w, method, args, how)
	    : call_late(port, handle, args.values, args.signature, args.count, how);
}

static inline int
post_of(pinion_port *port, pinion_handle handle, const pinion_args *args)
{
	struct call_how how = { .is_post = true };
	pinion_response r;
	const struct method *method = pinioni_call_method(port, handle, &how, &r);

	how.timeout_ns = 0; /* nobody waits */
	return method == NULL ? -(int)(r.generation & 0xffff) : post(port, method, args, &how);
}

__attribute__((always_inline)) static inline pinion_response
call_on(pinion_port *given, pinion_handle handle, pinion_args args, const struct call_how *how)
{
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = port_enter_explicit(given, &shell, &err);

	if (port == NULL)
		return fail_nowhere(err);
	r = call_of(port, NULL, handle, args, how); /* a worker's port is never given out */
	port_leave(shell);
	return r;
}

static const alignas(64) struct call_how plain_call = { .tag = 0 };

/* By a thread that is no worker of that runtime. */
__attribute__((noinline)) static pinion_response
call_from_outside(pinion_handle handle, pinion_args args)
{
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = pinioni_port_enter(handle_runtime(handle), &shell, &err);

	if (port == NULL)
		return fail_nowhere(err);
	r = call_of(port, NULL, handle, args, &plain_call);
	port_leave(shell);
	return r;
}

pinion_response
pinion_call_values(
    pinion_handle handle, const pinion_value *values, uint64_t signature, uint32_t count)
{
	const pinion_args args = { values, signature, count };
	struct worker *w = thread_worker();

	return w != NULL && w->runtime->key == handle_runtime(handle)
	    ? call_of(w->port, w, handle, args, &plain_call)
	    : call_from_outside(handle, args);
}

pinion_response
pinion_call_on_values(pinion_port *port, pinion_handle handle, const pinion_value *values,
    uint64_t signature, uint32_t count)
{
	const pinion_args args = { values, signature, count };

	return call_on(port, handle, args, &plain_call);
}

pinion_response
pinion_call_tagged_values(pinion_port *port, pinion_handle handle, const pinion_value *values,
    uint64_t signature, uint32_t count, uint64_t tag)
{
	const struct call_how how = { .tag = tag, .tagged = true };
	const pinion_args args = { values, signature, count };

	return call_on(port, handle, args, &how);
}

int
pinion_post(pinion_handle handle, pinion_args args)
{
	struct port_shell *shell;
	int err;
	pinion_port *port = port_enter(handle_runtime(handle), &shell, &err);

	if (port == NULL)
		return err;
	err = post_of(port, handle, &args);
	port_leave(shell);
	return err;
}

int
pinion_post_on(pinion_port *given, pinion_handle handle, pinion_args args)
{
	struct port_shell *shell;
	int err;
	pinion_port *port = port_enter_explicit(given, &shell, &err);

	if (port == NULL)
		return err;
	err = post_of(port, handle, &args);
	port_leave(shell);
	return err;
}

int
pinion_broadcast(pinion_handle handle, pinion_args args, pinion_response *responses, unsigned max)
{
	struct call_how how = { .function = MESSAGE_FIXED };
	struct port_shell *shell;
	pinion_response failed;
	const struct method *method;
	int err;
	pinion_port *port = port_enter(handle_runtime(handle), &shell, &err);
	uint32_t count = 0;

	if (port == NULL)
		return err;
	method = pinioni_call_method(port, handle, &how, &failed);
	if (method != NULL)
		count = route_count(port, method->deployment);
	for (how.to = 1; how.to <= count && how.to <= max; how.to++)
		responses[how.to - 1] = pinioni_submit(port, method, &args, &how);
	port_leave(shell);
	if (method == NULL)
		return -(int)(failed.generation & 0xffff);
	return count == 0 ? -ENOENT : (int)count;
}

const pinion_terms *
pinioni_call_terms(const pinion_terms *terms)
{
	return terms->request_id != NULL || terms->model != NULL || terms->value_count != 0 ? terms
											    : NULL;
}

pinion_response
pinion_call_with_options(pinion_handle handle, const pinion_call_options *o)
{
	struct call_how how = { .tag = o->tag,
		.tagged = o->tagged,
		.timeout_ns = o->timeout_ns,
		.key = o->key,
		.has_key = o->has_key,
		.priority = o->terms.priority,
		.terms = pinioni_call_terms(&o->terms) };
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = o->port != NULL ? port_enter_explicit(o->port, &shell, &err)
					    : port_enter(handle_runtime(handle), &shell, &err);

	if (port == NULL)
		return fail_nowhere(err);
	r = call_any(port, handle, &o->args, &how);
	port_leave(shell);
	return r;
}
