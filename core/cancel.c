/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cancel.c - ending one call and what it called, or everything that a worker has.
 */
#include "core/cancel.h"

#include <errno.h>
#include <string.h>

#include "core/batch.h"
#include "core/custody.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/thread.h"

enum {
	WAITS_MAX =
	    MESSAGE_RECORD / sizeof(struct record_ref), /* arguments that a cancel looks behind */
	PASSES_MAX = 200, /* from worker to worker, behind a call that is handed on and on */
};

/* ---- the owner ------------------------------------------------------------------------------ */

/* Where it may wait: behind arguments that are not there. */
static unsigned
write_waits(const pinion_port *port, const struct slot_note *note, struct message *m)
{
	unsigned count = 0;

	for (unsigned i = 0; i < note->pins && count < WAITS_MAX; i++) {
		uint32_t at = note->pin[i].at; /* of a block, no slot's number */
		const struct slot_note *argument =
		    note->pin[i].kind == PIN_SLOT ? &port->notes[at] : NULL;
		struct record_ref ref = { .at = at, .port = port->index, .kind = REF_RESULT };

		if (argument == NULL || (argument->marks & MARK_STREAM) != 0 ||
		    slot_poll(&port->memory.slots[at], argument->generation))
			continue;
		ref.call = argument->generation << 16 | argument->home;
		memcpy(m->record + sizeof ref * count++, &ref, sizeof ref);
	}
	m->length = (uint8_t)(count * sizeof(struct record_ref));
	return count;
}

static unsigned
first_home(const struct message *m)
{
	struct record_ref ref;

	memcpy(&ref, m->record, sizeof ref);
	return (unsigned)(ref.call & 0xffff);
}

/* Behind the call: in the same lanes. */
static void
send_cancel(pinion_port *port, struct slot_note *note, unsigned to, const struct message *m)
{
	if (port->worker != NULL) {
		pinioni_worker_post(port->worker, to, m);
		return;
	}
	if (pinioni_port_push(port, to, m) == 0) {
		pinioni_port_order(port); /* its sender may never call again */
		return;
	}
	note->marks |= MARK_UNCANCELED;
	port->has_uncanceled = true;
}

static bool end_unstarted(struct worker *w, const struct message *m);

void
pinioni_cancel_note(pinion_port *port, struct slot_note *note, unsigned mark)
{
	uint16_t slot = port_slot_of(port, note);
	struct message m = { .call = note->generation << 16,
		.slot = slot,
		.port = port->index,
		.target = note->replica,
		.method = mark == REQUEST_OVERDUE,
		.kind = MESSAGE_CANCEL };
	unsigned to;

	if (slot_poll(&port->memory.slots[slot], note->generation))
		return;
	to = write_waits(port, note, &m) != 0 ? first_home(&m) : note->home;
	if (port->worker == NULL || to != port->worker->index || !end_unstarted(port->worker, &m))
		send_cancel(port, note, to, &m);
}

void
pinioni_cancel_again(pinion_port *port)
{
	port->has_uncanceled = false;
	for (uint32_t i = 0; i < port->memory.slot_count; i++)
		if ((port->notes[i].marks & MARK_UNCANCELED) != 0) {
			port->notes[i].marks &= (uint16_t)~MARK_UNCANCELED;
			pinioni_cancel_note(port, &port->notes[i],
			    port->notes[i].state == NOTE_OVERDUE ? REQUEST_OVERDUE
								 : REQUEST_CANCELED);
		}
}

void
pinion_cancel(pinion_response r)
{
	struct port_shell *shell;
	int err;
	pinion_port *port;
	struct slot_note *note;

	if (port_is_failed(r))
		return;
	port = port_enter_response(r.port, &shell, &err);
	if (port == NULL)
		return;
	note = port_note_of(port, r);
	if (note != NULL)
		pinioni_cancel_note(port, note, REQUEST_CANCELED);
	port_leave(shell);
}

void
pinioni_cancel_ref(struct worker *w, const struct record_ref *ref)
{
	unsigned home = (unsigned)(ref->call & 0xffff);
	struct message m = { .call = ref->call >> 16 << 16,
		.slot = (uint16_t)ref->at,
		.port = ref->port,
		.target = REPLICA_NONE,
		.kind = MESSAGE_CANCEL };

	if (home < w->runtime->worker_count)
		(void)pinioni_worker_post(w, home, &m); /* without memory for it, it runs on */
}

/* ---- what is here --------------------------------------------------------------------------- */

static bool
is_of(const struct pinion_request *r, const struct message *m)
{
	return r->message.slot == m->slot && r->message.port == m->port &&
	    request_generation(r) == m->call >> 16;
}

/* As it is marked. */
static void
fail_marked(struct pinion_request *r)
{
	const struct method *m = r->method;

	if ((r->depth & REQUEST_OVERDUE) != 0)
		pinioni_request_fail(r, -ETIMEDOUT, PINION_ORIGIN_RUNTIME,
		    "%s.%s did not end in its time", m->deployment->name, m->name);
	else
		pinioni_request_fail(r, -ECANCELED, PINION_ORIGIN_CALLER, "%s.%s was canceled",
		    m->deployment->name, m->name);
}

/* Where it is in the list of what waits for that call; NULL: it is not. */
static struct pinion_request **
find_dependent(struct pinion_request *of, const struct message *m)
{
	for (struct pinion_request **at = &of->dependents; *at != NULL; at = &(*at)->next)
		if (is_of(*at, m))
			return at;
	return NULL;
}

static struct pinion_request *
unlink_dependent(struct pinion_request *of, struct pinion_request **at)
{
	struct pinion_request *r = *at;

	*at = r->next;
	if (*at == NULL)
		of->dependents_end = at;
	return r;
}

static struct custody_entry *
entry_of(struct worker *w, const struct record_ref *ref)
{
	struct custody_entry *e = worker_custody(w, ref->port, ref->at);

	return e != NULL && e->generation == ref->call >> 16 ? e : NULL;
}

/* Out of the list of whatever it waits for. False: it is on none here. */
static bool
unlist_behind(struct worker *w, const struct pinion_request *r)
{
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count = pinioni_record_refs(w->runtime, &r->message, r->method, refs);

	for (unsigned i = 0; i < count; i++) {
		struct custody_entry *e = refs[i].kind == REF_RESULT ? entry_of(w, &refs[i]) : NULL;

		if (e == NULL || e->here == NULL)
			continue;
		/* Itself: another process may have sent two that look alike. */
		for (struct pinion_request **at = &e->here->dependents; *at != NULL;
		     at = &(*at)->next)
			if (*at == r) {
				(void)unlink_dependent(e->here, at);
				return true;
			}
	}
	return false;
}

/* All that its handler called and still has, for the same reason. */
static void
cancel_children(struct pinion_request *r)
{
	unsigned mark = (r->depth & REQUEST_OVERDUE) != 0 ? REQUEST_OVERDUE : REQUEST_CANCELED;
	pinion_port *port = r->worker->port;

	for (uint16_t slot = r->owned, next; slot != SLOT_NONE; slot = next) {
		next = port->notes[slot].next;
		if ((port->notes[slot].marks & MARK_KEPT) == 0)
			pinioni_cancel_note(port, &port->notes[slot], mark);
	}
}

/* It never starts. Its place in the queue is given back when its turn comes, or with many. */
static void
end_queued(struct pinion_request *r)
{
	r->inside = true;
	fail_marked(r);
	pinioni_worker_park_ended(r->worker, r);
}

/* Its answer is to come from elsewhere. */
static void
end_deferred(struct pinion_request *r)
{
	/* relaxed: whoever takes the token to zero sends an answer. */
	if (atomic_exchange_explicit(&r->token, 0, memory_order_relaxed) == 0)
		return;
	cancel_children(r);
	fail_marked(r);
}

static void
end_relaying(struct pinion_request *r)
{
	pinioni_cancel_unlist_relay(r->worker, r);
	cancel_children(r);
	fail_marked(r);
}

/* Its handler is told when it waits, calls, or asks. That of a batch, when none of its members is wanted any more. */
static void
interrupt(struct pinion_request *r)
{
	const struct pinion_request *leader = r->leader;

	cancel_children(r);
	if (leader != NULL && leader->fiber != NULL && pinioni_batch_code(leader) != 0)
		pinioni_worker_resume(r->worker, leader->fiber);
	if (r->fiber != NULL)
		pinioni_worker_resume(r->worker, r->fiber);
}

void
pinioni_cancel_end(struct pinion_request *r, unsigned mark)
{
	if ((r->depth & REQUEST_ENDING) != 0 || r->state >= REQUEST_ANSWERED)
		return;
	r->depth |= mark;
	switch (r->state) {
	case REQUEST_QUEUED:
		end_queued(r);
		break;
	case REQUEST_WAITING:
		if (unlist_behind(r->worker, r))
			fail_marked(r);
		break;
	case REQUEST_GATHERED:
		pinioni_batch_drop(r);
		fail_marked(r);
		break;
	case REQUEST_DEFERRED:
		end_deferred(r);
		break;
	case REQUEST_RELAYING:
		end_relaying(r);
		break;
	case REQUEST_RUNNING:
	case REQUEST_MISREAD:
		interrupt(r);
		break;
	default: /* a placeholder: what it stands for ends when it comes */
		break;
	}
}

static unsigned
mark_of(const struct message *m)
{
	return m->method != 0 ? REQUEST_OVERDUE : REQUEST_CANCELED;
}

/* A call of this worker's own, at once: so that it does not start when it is waited for. Not what has calls of its own,
 * or a whole tree would end on one stack. */
static bool
end_unstarted(struct worker *w, const struct message *m)
{
	struct custody_entry *e;

	custody_settle(w);
	e = worker_custody(w, m->port, m->slot);
	if (e == NULL || e->generation != m->call >> 16 || e->here == NULL ||
	    (e->here->state != REQUEST_QUEUED && e->here->state != REQUEST_WAITING))
		return false;
	pinioni_cancel_end(e->here, mark_of(m));
	return true;
}

/* ---- what is not ---------------------------------------------------------------------------- */

static void
pass_on(struct worker *w, struct message m, unsigned to)
{
	if ((m.call & 0xff) >= PASSES_MAX || to >= w->runtime->worker_count) {
		board_count(w->line, COUNT_REFUSED, 1);
		return;
	}
	m.call++;
	if (to == w->index)
		pinioni_cancel_take(w, &m);
	else
		pinioni_worker_post(w, to, &m);
}

/* A tail call was made here: what was lent for it is its own. */
static void
cancel_lent(struct worker *w, const struct message *m)
{
	pinion_port *port = w->port;

	for (uint32_t i = 0; i < port->loan_count; i++) {
		const struct loan *loan = &port->loans[i];

		if (loan->port != m->port || loan->slot != m->slot ||
		    loan->generation != m->call >> 16)
			continue;
		for (uint16_t slot = loan->owned; slot != SLOT_NONE; slot = port->notes[slot].next)
			pinioni_cancel_note(port, &port->notes[slot], mark_of(m));
	}
}

/* To its next argument's worker, or to its replica's. */
static void
pass_by(struct worker *w, struct message m)
{
	const struct replica_table *table = registry_replicas(&w->runtime->registry);

	m.length = (uint8_t)(m.length - sizeof(struct record_ref));
	memmove(m.record, m.record + sizeof(struct record_ref), m.length);
	if (m.length >= sizeof(struct record_ref))
		pass_on(w, m, first_home(&m));
	else if (m.target < table->count)
		pass_on(w, m, table->replicas[m.target]->worker->index);
}

/* What waits for it waits where it was to run. */
static void
tell_target(struct worker *w, struct message m)
{
	m.length = sizeof(struct record_ref);
	pass_by(w, m);
}

static void
look_behind_argument(struct worker *w, const struct message *m)
{
	struct record_ref ref;
	struct custody_entry *e;
	struct pinion_request **at;

	memcpy(&ref, m->record, sizeof ref);
	e = entry_of(w, &ref);
	at = e != NULL && e->here != NULL ? find_dependent(e->here, m) : NULL;
	if (at != NULL) {
		struct pinion_request *r = unlink_dependent(e->here, at);

		r->depth |= mark_of(m);
		fail_marked(r);
		tell_target(w, *m);
	} else if (e != NULL && e->here == NULL && e->trail != 0) {
		pass_on(w, *m, e->worker);
	} else {
		pass_by(w, *m);
	}
}

/* It will come: it is on its way from an argument, or from a worker that gave it away. */
static void
leave_mark(struct worker *w, struct custody_entry *e, const struct message *m)
{
	struct pinion_request *p = worker_take_request(w);

	if (p == NULL)
		return; /* it runs, then */
	w->placeholders++;
	p->state = REQUEST_PLACEHOLDER;
	p->depth = mark_of(m);
	p->message = *m;
	if (e->here == NULL)
		w->custody_count++;
	*e = (struct custody_entry){ .generation = m->call >> 16, .here = p };
}

/* It has ended elsewhere: what waits for it here goes on. */
static void
look_at_placeholder(struct worker *w, const struct custody_entry *e)
{
	struct pinion_request *p = e->here, *list;

	if (p == NULL || p->state != REQUEST_PLACEHOLDER)
		return;
	list = dependents_detach(p);
	pinioni_worker_drop_placeholder(w, p);
	pinioni_request_route_all(w, list);
}

void
pinioni_cancel_take(struct worker *w, const struct message *m)
{
	uint64_t generation = m->call >> 16;
	const pinion_port *port = runtime_port(w->runtime, m->port);
	struct custody_entry *e = worker_custody(w, m->port, m->slot);

	if (port == NULL || m->slot >= port->memory.slot_count || e == NULL ||
	    m->length > MESSAGE_RECORD) {
		board_count(w->line, COUNT_REFUSED, 1);
		return;
	}
	custody_settle(w);
	if (slot_look(&port->memory.slots[m->slot], generation) != SLOT_IS_PENDING) {
		if (e->generation == generation)
			look_at_placeholder(w, e);
		return;
	}
	cancel_lent(w, m);
	if (e->generation == generation && e->here != NULL)
		pinioni_cancel_end(e->here, mark_of(m));
	else if (e->generation == generation && e->trail != 0)
		pass_on(w, *m, e->worker);
	else if (m->length >= sizeof(struct record_ref))
		look_behind_argument(w, m);
	else
		leave_mark(w, e, m);
}

/* ---- marked --------------------------------------------------------------------------------- */

int
pinioni_cancel_code(const struct pinion_request *r)
{
	if ((r->depth & REQUEST_OVERDUE) != 0)
		return -ETIMEDOUT;
	return (r->depth & REQUEST_CANCELED) != 0 ? -ECANCELED : 0;
}

static bool
is_late(const struct pinion_request *r)
{
	return (r->depth & REQUEST_BOUND) != 0 &&
	    clock_now(&r->worker->runtime->clock) >= r->deadline.at;
}

bool
pinioni_cancel_bars(const struct pinion_request *r)
{
	return (r->depth & REQUEST_ENDING) != 0 || is_late(r);
}

bool
pinioni_cancel_at_start(struct pinion_request *r)
{
	if (r->state >= REQUEST_ANSWERED) {
		r->inside = false;
		pinioni_request_end(r);
		return true;
	}
	if (is_late(r))
		r->depth |= REQUEST_OVERDUE;
	if ((r->depth & REQUEST_ENDING) == 0)
		return false;
	fail_marked(r);
	return true;
}

bool
pinioni_cancel_finish(struct pinion_request *r, int err)
{
	if (err != -ECANCELED && err != -ETIMEDOUT)
		return false;
	if (err == -ETIMEDOUT && is_late(r))
		r->depth |= REQUEST_OVERDUE;
	if ((r->depth & REQUEST_ENDING) == 0)
		return false; /* the handler's own */
	fail_marked(r);
	return true;
}

static void
end_late(struct worker *w, struct timer *t)
{
	(void)w;
	pinioni_cancel_end(caa_container_of(t, struct pinion_request, deadline), REQUEST_OVERDUE);
}

void
pinioni_cancel_bind(struct pinion_request *r, uint64_t deadline)
{
	struct worker *w = r->worker;

	r->depth |= REQUEST_BOUND;
	r->deadline = (struct timer){ .at = deadline, .due = end_late };
	/* Without memory it is looked at when it starts, and by who waits for it. */
	(void)!pinioni_timers_add(&w->timers, w->heap, &r->deadline);
}

bool
pinion_cancelled(pinion_request *r)
{
	struct worker *w = r->worker;

	if ((r->depth & REQUEST_ENDING) == 0)
		pinioni_lanes_look_out(w); /* while its handler runs nobody else does */
	if (is_late(r))
		pinioni_cancel_end(r, REQUEST_OVERDUE);
	return (r->depth & REQUEST_ENDING) != 0 || runtime_phase(w->runtime) >= RUNTIME_CANCELING;
}

int64_t
pinion_time_left(pinion_request *r)
{
	uint64_t now;

	if ((r->depth & REQUEST_BOUND) == 0)
		return INT64_MAX;
	now = clock_now(&r->worker->runtime->clock);
	return now >= r->deadline.at ? 0 : (int64_t)(r->deadline.at - now);
}
