/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/call.c - pinion_call and its kin.
 */
#include "core/call.h"

#include <stdio.h>
#include <string.h>

#include "core/encode.h"
#include "core/record.h"
#include "core/runtime.h"
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
	for (size_t i = 0; i < d->method_count && at < room; i++) {
		int n =
		    snprintf(text + at, room - at, "%s%s", i == 0 ? "" : ", ", d->methods[i].name);

		at += n < 0 ? room : (size_t)n;
	}
}

static pinion_response
fail_unknown(pinion_port *port, const struct deployment *d, pinion_handle handle)
{
	const char *name =
	    port->runtime->registry.unknown[handle_unknown(handle) % UNKNOWN_METHODS];
	char have[FAULT_TEXT / 2];

	list_methods(d, have, sizeof have);
	return pinioni_port_fail(port, -EINVAL, NULL, "%s has no method \"%s\"; it has: %s",
	    d->name, name == NULL ? "?" : name, have);
}

const struct method *
pinioni_call_method(pinion_port *port, pinion_handle handle, pinion_response *failed)
{
	const struct deployment *d =
	    registry_deployment(&port->runtime->registry, handle_deployment(handle));

	if (handle_runtime(handle) != port->runtime->key || d == NULL) {
		*failed = pinioni_port_fail(port, -ESTALE, NULL, "a handle of another runtime");
		return NULL;
	}
	if (handle_method(handle) >= d->method_count) {
		*failed = fail_unknown(port, d, handle);
		return NULL;
	}
	return &d->methods[handle_method(handle)];
}

bool
pinioni_call_target(
    pinion_port *port, const struct method *method, uint32_t *replica, unsigned *worker)
{
	struct directory_copy *route = &port->routes[method->deployment->index];
	uint32_t best, least = UINT32_MAX;

	if (directory_version(&port->runtime->directory) != port->directory_version)
		pinioni_port_renew_routes(port);
	if (route->count == 0)
		return false;
	best = route->first;
	for (uint32_t i = 0; i < route->count && route->count > 1; i++) {
		uint32_t at = route->turn + i;
		uint32_t r = route->first + (at < route->count ? at : at - route->count);

		if (port->inflight[r] < least) {
			least = port->inflight[r];
			best = r;
		}
	}
	if (route->count > 1)
		route->turn = best + 1 - route->first == route->count ? 0 : best + 1 - route->first;
	*replica = best;
	*worker = port->replica_worker[best];
	return true;
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
		    may_be_pending(port, &refs[i]))
			return home;
	}
	return target_worker;
}

/* What a call has taken from its port goes back: nothing was sent. */
static void
undo(pinion_port *port, struct slot_note *note, uint16_t slot)
{
	struct result_place *place = &port->memory.places[slot];

	pinioni_port_unpin(port, note->pin, note->pins);
	note->pins = 0;
	if (place->size != 0) {
		arena_give(&port->arena, place->at);
		place->size = 0;
	}
	/* The generation was never sent: the slot is DONE with the one before. */
	note->generation = (note->generation - 1) & GENERATION_MASK;
	note->state = NOTE_FREE;
	port->free[port->free_count++] = slot;
	port->taken--;
}

static int
reserve_result(pinion_port *port, uint16_t slot, const struct method *method, struct complaint *c)
{
	uint32_t at;
	int err;

	if (method->result_size <= SLOT_BYTES)
		return 0;
	err = pinioni_port_take_block(port, method->result_size, &at);
	if (err != 0)
		return pinioni_complain(c, err,
		    "no room for a result of %u bytes: the port's arena has %zu",
		    method->result_size, port->memory.arena_size);
	port->memory.places[slot] = (struct result_place){ .at = at, .size = method->result_size };
	return 0;
}

static int
refuse(pinion_port *port, struct complaint *c)
{
	enum runtime_phase phase = runtime_phase(port->runtime);

	if (phase >= (port->worker == NULL ? RUNTIME_DRAINING : RUNTIME_CANCELING))
		return pinioni_complain(c, -ECANCELED, "the runtime is stopping");
	if (port->worker != NULL && port->worker->current != NULL &&
	    port->worker->current->depth >= DEPTH_MAX)
		return pinioni_complain(
		    c, -EDEADLK, "more than %d calls wait for each other", DEPTH_MAX);
	return 0;
}

static void
count_sent(pinion_port *port, struct slot_note *note, uint32_t replica, unsigned worker)
{
	note->home = (uint16_t)worker;
	note->replica = replica;
	port->inflight[replica]++;
}

int
pinioni_call_no_target(const pinion_port *port, const char **text)
{
	/* The phase may have changed since it was looked at. */
	bool stops = runtime_phase(port->runtime) != RUNTIME_RUNNING;

	*text = stops ? "the runtime is stopping" : "no replica is running";
	return stops ? -ECANCELED : -ENOENT;
}

/* Where it goes, and on its way. text: why not. */
static int
dispatch(pinion_port *port, const struct method *method, struct slot_note *note, struct message *m,
    const char **text)
{
	uint32_t replica;
	unsigned worker, stop;

	if (!pinioni_call_target(port, method, &replica, &worker))
		return pinioni_call_no_target(port, text);
	m->target = (uint16_t)replica;
	stop = pinioni_call_first_stop(port, m, method, worker);
	if (port->worker != NULL && stop == port->worker->index) {
		pinioni_request_accept(port->worker, m, NULL);
	} else if (port->worker != NULL) {
		pinioni_worker_send(port->worker, stop, m);
	} else if (pinioni_port_push(port, stop, m) != 0) {
		*text = "the lane to the worker is full";
		return -ENOBUFS;
	}
	if (m->slot != SLOT_NONE)
		count_sent(port, note, replica, worker);
	return 0;
}

static void
attach(pinion_port *port, struct slot_note *note, uint16_t slot)
{
	struct pinion_request *r = port->worker == NULL ? NULL : port->worker->current;

	if (r == NULL)
		return;
	note->attached = true;
	note->next = r->owned;
	r->owned = slot;
}

/* All but slot, target and arguments. */
static inline void
message_start(struct message *m, const pinion_port *port, const struct slot_note *note,
    const struct call_how *how)
{
	uint64_t depth = port->worker != NULL && port->worker->current != NULL
	    ? port->worker->current->depth + 1
	    : 0;

	m->call = note->generation << 16 | depth << 8;
	m->port = port->index;
	m->method = note->method->index;
	m->kind = MESSAGE_CALL;
	m->flags = how->tagged ? MESSAGE_STAMP : 0;
	m->function = how->function;
	m->trail = 0;
}

/* Scalars and a short result. The message is written where it goes: put together elsewhere and copied at
 * once, its short stores would stall the copy's long loads. False: not sent, for want of room. */
static bool
send_plain(
    pinion_port *port, struct slot_note *note, const pinion_args *args, const struct call_how *how)
{
	struct worker *w = port->worker;
	struct pinion_request *here = NULL;
	struct message *m = NULL;
	uint32_t replica;
	unsigned worker;

	if (!pinioni_call_target(port, note->method, &replica, &worker))
		return false;
	if (w != NULL && worker == w->index)
		here = pinioni_worker_take_request(w);
	else if (w == NULL || w->outboxes[worker].count == 0)
		m = lane_claim(&port->tx[worker]);
	if (here != NULL)
		m = &here->message;
	if (m == NULL)
		return false;
	message_start(m, port, note, how);
	m->slot = (uint16_t)(note - port->notes);
	m->target = (uint16_t)replica;
	encode_plain_bits(args, m);
	count_sent(port, note, replica, worker);
	if (here != NULL) {
		pinioni_request_admit(here, NULL);
		return true;
	}
	if (w != NULL)
		board_count(w->line, COUNT_SENT, 1);
	pinioni_port_publish(port, worker);
	return true;
}

/* Whatever the arguments are. */
static int
send(pinion_port *port, struct slot_note *note, const pinion_args *args, const struct call_how *how,
    struct complaint *c)
{
	const struct method *method = note->method;
	const char *text;
	struct message m = { .slot = (uint16_t)(note - port->notes) };
	int err;

	message_start(&m, port, note, how);
	err = pinioni_encode(port, method, *args, &m, note, c);
	if (err == 0)
		err = reserve_result(port, m.slot, method, c);
	if (err == 0 && (err = dispatch(port, method, note, &m, &text)) != 0)
		(void)pinioni_complain(c, err, "%s", text);
	return err;
}

static pinion_response
submit_slot(pinion_port *port, const struct method *method, const pinion_args *args,
    const struct call_how *how, struct complaint *c)
{
	uint16_t slot;
	struct slot_note *note = pinioni_port_take_slot(port, &slot);
	int err;

	if (note == NULL) {
		c->code = -ENOBUFS;
		return pinioni_port_fail(port, -ENOBUFS, method,
		    "all %u slots of this port are taken: release responses, or start with more "
		    ".slots",
		    port->memory.slot_count);
	}
	note->method = method;
	note->tag = how->tag;
	note->tagged = how->tagged;
	err = args_are_plain(method, args) && method->result_size <= SLOT_BYTES &&
		send_plain(port, note, args, how)
	    ? 0
	    : send(port, note, args, how, c);
	if (err != 0) {
		note->tagged = false;
		undo(port, note, slot);
		return c->deployment != NULL
		    ? pinioni_port_fail_upstream(port, err, c->deployment, c->method, c->text)
		    : pinioni_port_fail(port, err, method, "%s", c->text);
	}
	if (how->is_post)
		pinioni_port_release_slot(port, slot);
	else
		attach(port, note, slot);
	if (how->tagged && slot_ask(&port->memory.slots[slot], note->generation) == SLOT_IS_DONE)
		pinioni_port_told(port, slot);
	return (pinion_response){
		.generation = note->generation, .port = port_word(port), .slot = slot
	};
}

pinion_response
pinioni_submit(pinion_port *port, const struct method *method, const pinion_args *args,
    const struct call_how *how)
{
	struct complaint c;

	c.code = 0; /* and not the text: clearing that would cost as much as sending */
	c.deployment = NULL;
	if (refuse(port, &c) != 0)
		return pinioni_port_fail(port, c.code, method, "%s", c.text);
	return submit_slot(port, method, args, how, &c);
}

/* Without a slot, when the arguments travel in the message; else with one that is released at once. */
static int
post(pinion_port *port, const struct method *method, const pinion_args *args)
{
	static const struct call_how how = { .is_post = true };
	struct slot_note scratch = { .method = method };
	struct message m = { .slot = SLOT_NONE };
	struct complaint c;
	const char *text;
	int err = refuse(port, &c);

	if (err != 0)
		return err;
	if (!args_are_plain(method, args)) {
		pinion_response r;

		c.deployment = NULL;
		r = submit_slot(port, method, args, &how, &c);
		return port_is_failed(r) ? -(int)(r.generation & 0xffff) : 0;
	}
	message_start(&m, port, &scratch, &how);
	encode_plain_bits(args, &m);
	return dispatch(port, method, &scratch, &m, &text);
}

/* ---- public --------------------------------------------------------------------------------- */

pinion_response
pinion_call(pinion_handle handle, pinion_args args)
{
	static const struct call_how how = { .tag = 0 };
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = pinioni_port_enter(handle_runtime(handle), &shell, &err);
	const struct method *method;

	if (port == NULL)
		return fail_nowhere(err);
	method = pinioni_call_method(port, handle, &r);
	if (method != NULL)
		r = pinioni_submit(port, method, &args, &how);
	port_leave(shell);
	return r;
}

static pinion_response
call_on(
    pinion_port *given, pinion_handle handle, const pinion_args *args, const struct call_how *how)
{
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = port_enter_explicit(given, &shell, &err);
	const struct method *method;

	if (port == NULL)
		return fail_nowhere(err);
	method = pinioni_call_method(port, handle, &r);
	if (method != NULL)
		r = pinioni_submit(port, method, args, how);
	port_leave(shell);
	return r;
}

pinion_response
pinion_call_on(pinion_port *port, pinion_handle handle, pinion_args args)
{
	static const struct call_how how = { .tag = 0 };

	return call_on(port, handle, &args, &how);
}

pinion_response
pinion_call_tagged(pinion_port *port, pinion_handle handle, pinion_args args, uint64_t tag)
{
	struct call_how how = { .tag = tag, .tagged = true };

	return call_on(port, handle, &args, &how);
}

int
pinion_post(pinion_handle handle, pinion_args args)
{
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = pinioni_port_enter(handle_runtime(handle), &shell, &err);
	const struct method *method;

	if (port == NULL)
		return err;
	method = pinioni_call_method(port, handle, &r);
	err = method == NULL ? -(int)(r.generation & 0xffff) : post(port, method, &args);
	port_leave(shell);
	return err;
}

int
pinion_post_on(pinion_port *given, pinion_handle handle, pinion_args args)
{
	struct port_shell *shell;
	pinion_response r;
	int err;
	pinion_port *port = port_enter_explicit(given, &shell, &err);
	const struct method *method;

	if (port == NULL)
		return err;
	method = pinioni_call_method(port, handle, &r);
	err = method == NULL ? -(int)(r.generation & 0xffff) : post(port, method, &args);
	port_leave(shell);
	return err;
}
