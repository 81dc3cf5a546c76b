/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/result.c - waiting for results, reading them, giving them back.
 *
 * A foreign thread polls its slot at the runtime's pace, then sleeps on its port's bell; a handler runs or looks
 * out for what it waits for, then is suspended; the driver of a caller-driven runtime runs turns of its worker.
 */
#include <errno.h>
#include <sched.h>

#include "core/call.h"
#include "core/cancel.h"
#include "core/read.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "shm/bell.h"
#include "shm/ready.h"

/* ---- waiting -------------------------------------------------------------------------------- */

/* Asks to be told, looks once more, sleeps. */
static void
sleep_on_bell(pinion_port *port, const pinion_response *r, unsigned count, uint64_t limit)
{
	struct port_doors *doors = port->memory.doors;
	uint32_t seen = bell_read(&doors->bell);
	int err = 0;

	epoch_awake(&doors->epoch); /* it may have been armed */
	for (unsigned i = 0; i < count; i++)
		if (slot_ask(&port->memory.slots[r[i].slot], r[i].generation) != SLOT_IS_PENDING)
			return;
	epoch_announce(&doors->epoch, EPOCH_FUTEX);
	/* A bit that was set before we announced rang nobody, and who asked has to ask again. */
	if (port_find_done(port, r, count) < 0 &&
	    ready_is_empty(port->memory.ready, port->memory.slot_count)) {
		port->sleeps++;
		err =
		    pinioni_futex_wait(&doors->bell, seen, limit); /* looked at again in any case */
	}
	epoch_awake(&doors->epoch);
	if (err == -ETIMEDOUT && limit == (uint64_t)SLEEP_MAX_MS * 1000000 &&
	    port_find_done(port, r, count) >= 0)
		port->rescued++;
	pinioni_port_drain_ready(port);
}

/* limit_ns: of the whole wait, UINT64_MAX: none. */
static int
wait_foreign(pinion_port *port, const pinion_response *r, unsigned count, uint64_t limit_ns)
{
	struct pinion_runtime *rt = port->runtime;
	struct pacing pacing = runtime_pacing(rt);
	uint64_t start = pacing.now;
	uint64_t started_ns = limit_ns == UINT64_MAX ? 0 : clock_now(&rt->clock);
	unsigned idle = 0;
	int at;

	pinioni_port_order(port);
	while ((at = port_find_done(port, r, count)) < 0) {
		uint64_t past = limit_ns == UINT64_MAX ? 0 : clock_now(&rt->clock) - started_ns;
		uint64_t nap = (uint64_t)SLEEP_MAX_MS * 1000000;

		if (pinioni_port_lose(port) && port_find_done(port, r, count) >= 0)
			continue;
		if (past > limit_ns || limit_ns == 0)
			return -EAGAIN;
		if (port->has_uncanceled)
			pinioni_cancel_again(port);
		if (rt->mode == BOARD_DRIVEN) {
			/* Nothing to do, and the clock stands: who waits may be the one that moves it. */
			bool stands = pinioni_worker_turn(&rt->workers[0]) == 0 &&
			    limit_ns != UINT64_MAX && clock_now(&rt->clock) - started_ns == past;

			idle = stands ? idle + 1 : 0;
			if (idle > IDLE_TURNS)
				return -EAGAIN;
			continue;
		}
		switch (runtime_wait_step(rt, pace_step(&pacing) - start)) {
		case WAIT_LOOK:
			break;
		case WAIT_YIELD:
			(void)sched_yield(); /* cannot fail on Linux */
			break;
		case WAIT_SLEEP:
			sleep_on_bell(port, r, count,
			    limit_ns != UINT64_MAX && limit_ns - past < nap ? limit_ns - past + 1
									    : nap);
		}
	}
	return at;
}

static int
wait(pinion_port *port, const pinion_response *r, unsigned count, uint64_t limit_ns)
{
	struct worker *w = port->worker;

	if (w == NULL)
		return wait_foreign(port, r, count, limit_ns);
	if (limit_ns == 0)
		return -EAGAIN;
	return pinioni_worker_await(
	    w, r, count, limit_ns == UINT64_MAX ? 0 : clock_now(&w->runtime->clock) + limit_ns);
}

/* UINT64_MAX: it has none. */
static uint64_t
deadline_of(const pinion_port *port, pinion_response r)
{
	return (port->notes[r.slot].marks & MARK_BOUND) == 0 ? UINT64_MAX
							     : port->memory.terms[r.slot].deadline;
}

/* Those whose time is past are given up, whatever their handlers do. The first of them, or -EAGAIN. */
static int
give_up(pinion_port *port, const pinion_response *r, unsigned count)
{
	uint64_t now = clock_now(&port->runtime->clock);

	for (unsigned i = 0; i < count; i++)
		if (deadline_of(port, r[i]) <= now) {
			struct slot_note *note = &port->notes[r[i].slot];

			note->state = NOTE_OVERDUE;
			pinioni_cancel_note(port, note, REQUEST_OVERDUE);
			return (int)i;
		}
	return -EAGAIN;
}

/* Not beyond a deadline. */
static int
wait_bound(pinion_port *port, const pinion_response *r, unsigned count, uint64_t limit_ns,
    uint64_t deadline)
{
	uint64_t now = clock_now(&port->runtime->clock);
	uint64_t left = deadline > now ? deadline - now : 0;
	int at = wait(port, r, count, left < limit_ns ? left : limit_ns);

	return at == -EAGAIN ? give_up(port, r, count) : at;
}

int
pinioni_port_wait(pinion_port *port, const pinion_response *r, unsigned count, int64_t timeout_ns)
{
	uint64_t limit = timeout_ns < 0 ? UINT64_MAX : (uint64_t)timeout_ns;
	uint64_t deadline = UINT64_MAX;

	for (unsigned i = 0; i < count; i++)
		if (deadline_of(port, r[i]) < deadline)
			deadline = deadline_of(port, r[i]);
	return deadline == UINT64_MAX ? wait(port, r, count, limit)
				      : wait_bound(port, r, count, limit, deadline);
}

/* 0: its slot is DONE. The response in parts, or its caller puts it together before it knows whether it has to. */
__attribute__((noinline)) static int
wait_more(pinion_port *port, uint64_t generation, uint32_t slot, int64_t timeout_ns)
{
	const pinion_response r = { .generation = generation, .port = port->word, .slot = slot };
	int at = pinioni_port_wait(port, &r, 1, timeout_ns);

	if (at < 0)
		return at;
	return port->notes[r.slot].state == NOTE_OVERDUE ? -ETIMEDOUT : 0;
}

static const void *
result_bytes(const pinion_port *port, uint32_t slot)
{
	const struct slot *s = &port->memory.slots[slot];

	return s->length <= SLOT_BYTES ? (const void *)s->bytes
				       : arena_at(&port->arena, port->memory.places[slot].at);
}

static pinion_kind
result_kind(const pinion_port *port, uint32_t slot)
{
	/* relaxed: seen DONE before, with D. */
	return (pinion_kind)slot_word_kind(
	    atomic_load_explicit(&port->memory.slots[slot].word, memory_order_relaxed));
}

static int
failure_code(pinion_response r)
{
	return -(int)(r.generation & 0xffff);
}

/* Why there is nothing to wait for. In parts, as above. */
__attribute__((noinline, cold)) static int
absent(const pinion_port *port, uint64_t generation, uint32_t word, uint32_t slot)
{
	const pinion_response r = { .generation = generation, .port = word, .slot = slot };

	if (port_is_failed(r))
		return failure_code(r);
	return port_note_held(port, r) != NULL ? -ETIMEDOUT : -ESTALE;
}

/* w: the worker whose handler waits, and may run a local call itself; NULL: a foreign thread. */
__attribute__((always_inline)) static inline int
wait_for(pinion_port *port, struct worker *w, pinion_response r, int64_t timeout_ns)
{
	struct slot_note *note = port_note_of(port, r);
	const struct slot *slot = &port->memory.slots[r.slot];

	if (note == NULL)
		return absent(port, r.generation, r.port, r.slot);
	if (!slot_poll(slot, r.generation) &&
	    !(w != NULL && timeout_ns < 0 && pinioni_worker_run_inline(w, r) &&
		slot_poll(slot, r.generation))) {
		int err = wait_more(port, r.generation, r.slot, timeout_ns);

		if (err != 0)
			return err;
	}
	port_count_done(port, note);
	return slot->status;
}

__attribute__((noinline)) static int
read_any(const pinion_port *port, pinion_response r, pinion_into into)
{
	uint32_t length = port->memory.slots[r.slot].length;
	const unsigned char *bytes = result_bytes(port, r.slot);

	/* It is going to be read: side by side, not one line after the other. */
	for (uint32_t at = 0; length > SLOT_BYTES && at < length && at < WANT_BYTES;
	     at += CELL_SIZE)
		__builtin_prefetch(bytes + at);
	return pinioni_read(result_kind(port, r.slot), bytes, length, &into);
}

__attribute__((always_inline)) static inline int
result(pinion_port *port, struct worker *w, pinion_response r, int64_t timeout_ns, pinion_into into)
{
	int err = wait_for(port, w, r, timeout_ns);

	if (err != 0 ||
	    read_plain(result_kind(port, r.slot), port->memory.slots[r.slot].bytes, into))
		return err;
	return read_any(port, r, into);
}

/* By a thread that is not the worker whose port it is. */
__attribute__((noinline)) static int
result_outside(pinion_response r, int64_t timeout_ns, pinion_into into)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (r.slot == RESPONSE_NOWHERE)
		return failure_code(r);
	port = pinioni_port_enter_response(r.port, &shell, &err);
	if (port == NULL)
		return err;
	err = result(port, NULL, r, timeout_ns, into);
	port_leave(shell);
	return err;
}

__attribute__((always_inline)) static inline int
result_within(pinion_response r, int64_t timeout_ns, pinion_into into)
{
	struct worker *w = thread_worker();

	return w != NULL && port_word(w->port) == r.port ? result(w->port, w, r, timeout_ns, into)
							 : result_outside(r, timeout_ns, into);
}

int
pinion_result_within_into(pinion_response r, int64_t timeout_ns, pinion_into into)
{
	return result_within(r, timeout_ns, into);
}

int
pinion_result_into(pinion_response r, pinion_into into)
{
	return result_within(r, -1, into);
}

int
pinion_result_on_into(pinion_port *given, pinion_response r, pinion_into into)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (r.slot == RESPONSE_NOWHERE)
		return failure_code(r);
	port = port_enter_explicit(given, &shell, &err);
	if (port == NULL)
		return err;
	err = result(port, NULL, r, -1, into); /* a worker's port is never given out */
	port_leave(shell);
	return err;
}

int
pinion_result_value(pinion_response r, pinion_value *value)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (r.slot == RESPONSE_NOWHERE)
		return failure_code(r);
	port = port_enter_response(r.port, &shell, &err);
	if (port == NULL)
		return err;
	err = wait_for(port, port->worker, r, -1);
	if (err == 0)
		err = pinioni_read_value(result_kind(port, r.slot), result_bytes(port, r.slot),
		    port->memory.slots[r.slot].length, value);
	port_leave(shell);
	return err;
}

/* What is overdue is there: its result is that. */
static int
find_there(const pinion_port *port, const pinion_response *r, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (port->notes[r[i].slot].state == NOTE_OVERDUE)
			return (int)i;
	return port_find_done(port, r, count);
}

int
pinion_wait_any(const pinion_response *r, unsigned count, int64_t timeout_ns)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (count == 0)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (port_is_failed(r[i]))
			return (int)i;
	port = port_enter_response(r[0].port, &shell, &err);
	if (port == NULL)
		return err;
	err = 0; /* it was set for the case that there is no port */
	for (unsigned i = 0; i < count && err == 0; i++)
		if (port_note_held(port, r[i]) == NULL)
			err = -ESTALE;
	if (err == 0)
		err = find_there(port, r, count);
	if (err == -EAGAIN)
		err = pinioni_port_wait(port, r, count, timeout_ns);
	port_leave(shell);
	return err;
}

/* ---- giving back ---------------------------------------------------------------------------- */

/* A response of a handler is on its request's list: it is taken off. False: it is another request's. */
static inline bool
detach(pinion_port *port, struct worker *w, struct slot_note *note)
{
	struct pinion_request *r = w->current;

	if (r == NULL || note->owner != r)
		return false;
	if (note->next != SLOT_NONE)
		port->notes[note->next].prev = note->prev;
	if (note->prev != SLOT_NONE)
		port->notes[note->prev].next = note->next;
	else
		r->owned = note->next;
	note->marks &= (uint16_t)~MARK_ATTACHED;
	return true;
}

static inline void
release(pinion_port *port, struct worker *w, pinion_response r)
{
	struct slot_note *note = port_note_of(port, r);

	if (note == NULL && (note = port_note_held(port, r)) == NULL)
		return;
	if (w != NULL && (note->marks & MARK_ATTACHED) != 0 && !detach(port, w, note))
		return; /* it goes with that */
	port_release(port, note);
}

/* By a thread that is not the worker whose port it is. */
__attribute__((noinline)) static void
release_outside(pinion_response r)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (r.slot == RESPONSE_NOWHERE)
		return;
	port = pinioni_port_enter_response(r.port, &shell, &err);
	if (port == NULL)
		return;
	release(port, NULL, r);
	port_leave(shell);
}

void
pinion_release(pinion_response r)
{
	struct worker *w = thread_worker();

	if (w != NULL && port_word(w->port) == r.port)
		release(w->port, w, r);
	else
		release_outside(r);
}

void
pinion_release_on(pinion_port *given, pinion_response r)
{
	struct port_shell *shell;
	int err;
	pinion_port *port = port_enter_explicit(given, &shell, &err);

	if (port == NULL)
		return;
	release(port, NULL, r);
	port_leave(shell);
}

/* ---- what went wrong ------------------------------------------------------------------------ */

static pinion_str
str_of(const char *text)
{
	return (pinion_str){ text == NULL ? "" : text, text == NULL ? 0 : __builtin_strlen(text) };
}

static pinion_error
error_of_failure(const pinion_port *port, pinion_response r)
{
	const struct failure *f = &port->failures[(r.generation >> 16) % FAILURES];
	pinion_error e = { .code = failure_code(r),
		.origin = PINION_ORIGIN_RUNTIME,
		.deployment = str_of(NULL),
		.method = str_of(NULL),
		.text = str_of(NULL) };

	if (f->serial != r.generation >> 16)
		return e; /* long ago */
	e.origin = f->origin;
	e.deployment = str_of(f->deployment);
	e.method = str_of(f->method);
	e.text = str_of(f->text);
	return e;
}

pinion_error
pinioni_error_of_slot(const pinion_port *port, uint32_t slot, uint64_t generation)
{
	struct fault f;
	const char *text;
	const struct deployment *d;
	pinion_error e = {
		.deployment = str_of(NULL), .method = str_of(NULL), .text = str_of(NULL)
	};

	if (port == NULL || !slot_poll(&port->memory.slots[slot], generation))
		return e;
	e.code = slot_status(&port->memory.slots[slot]);
	if (e.code == 0)
		return e;
	if (e.code > 0)
		e.code = -EBADMSG;
	/* Only now: before it is DONE the callee may be writing the fault. */
	text = port_memory_fault(&port->memory, slot, &f);
	d = registry_deployment(&port->runtime->registry, f.deployment);
	e.origin = (pinion_origin)f.origin;
	e.text = (pinion_str){ text, f.length };
	if (d != NULL) {
		e.deployment = str_of(d->name);
		if (f.method < d->method_count)
			e.method = str_of(d->methods[f.method].name);
	}
	return e;
}

static pinion_error
error_of_overdue(const pinion_port *port, pinion_response r)
{
	const struct method *m = port->notes[r.slot].method;

	return (pinion_error){ .code = -ETIMEDOUT,
		.origin = PINION_ORIGIN_RUNTIME,
		.deployment = str_of(m->deployment->name),
		.method = str_of(m->name),
		.text = str_of("it was not answered in its time") };
}

pinion_error
pinion_response_error(pinion_response r)
{
	pinion_error e = { .code = failure_code(r),
		.origin = PINION_ORIGIN_CALLER,
		.deployment = str_of(NULL),
		.method = str_of(NULL),
		.text = str_of(pinioni_is_forked
			? "this process was forked: the runtime is its parent's; attach to it"
			: "a response is used only by the thread that made it, and while its runtime "
			  "runs") };
	struct port_shell *shell;
	int err;
	pinion_port *port;

	if (r.slot == RESPONSE_NOWHERE)
		return e;
	port = port_enter_response(r.port, &shell, &err);
	if (port == NULL) {
		e.code = err;
		return e;
	}
	if (port_is_failed(r))
		e = error_of_failure(port, r);
	else if (port_note_of(port, r) != NULL)
		e = pinioni_error_of_slot(port, r.slot, r.generation);
	else if (port_note_held(port, r) != NULL)
		e = error_of_overdue(port, r);
	else
		e = (pinion_error){ .code = -ESTALE,
			.deployment = str_of(NULL),
			.method = str_of(NULL),
			.text = str_of("the response was released") };
	port_leave(shell);
	return e;
}
