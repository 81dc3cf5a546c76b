/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/suspend.c - a handler waits: its fiber is put aside, the loop goes on with a spare one.
 *
 *   loop on A --handler waits--> spare B becomes the loop ... result is in ... B becomes spare,
 *   A goes on inside its handler, and is the loop when the handler has returned
 */
#include <errno.h>
#include <string.h>

#include "core/batch.h"
#include "core/cancel.h"
#include "core/runtime.h"
#include "core/starved.h"
#include "core/thread.h"
#include "shm/bell.h"

static void
fiber_loop(void *worker)
{
	struct worker *w = worker;

	for (;;) {
		(void)pinioni_worker_loop_turn(w); /* counted in w->work */
		if (w->leave)
			pinioni_fiber_switch(w->current_fiber, &w->thread_stack);
	}
}

struct fiber *
pinioni_worker_spare(struct worker *w)
{
	struct fiber *f = w->spare;

	if (f != NULL) {
		w->spare = f->next;
		return f;
	}
	f = pinioni_heap_take(w->heap, sizeof *f);
	if (f == NULL)
		return NULL;
	if (pinioni_fiber_create(f, w->runtime->stack_size, fiber_loop, w) != 0) {
		pinioni_heap_give(w->heap, f, sizeof *f);
		return NULL;
	}
	w->fibers[w->fibers_all++] = f;
	return f;
}

int
pinioni_worker_suspend(struct worker *w)
{
	struct pinion_request *current = w->current;
	unsigned depth = w->stack_depth;
	struct fiber *self = w->current_fiber;
	struct fiber *spare;

	if (current != NULL && current->state >= REQUEST_ANSWERED)
		current->replica->lingers = true;
	if (w->fibers_all == w->fibers_max && w->spare == NULL)
		return -ENOMEM;
	spare = pinioni_worker_spare(w);
	if (spare == NULL)
		return -ENOMEM;
	board_count(w->line, COUNT_SUSPENDED, 1);
	w->fibers_busy++;
	w->current = NULL;
	w->stack_depth = 0;
	w->current_fiber = spare;
	if (current != NULL)
		current->fiber = self;
	pinioni_fiber_switch(self, spare);
	if (current != NULL)
		current->fiber = NULL;
	w->current = current;
	w->stack_depth = depth;
	w->fibers_busy--;
	return 0;
}

/* While there are batches, or all is canceled. */
__attribute__((noinline, cold)) static int
interrupted_unusually(const struct worker *w)
{
	const struct pinion_request *r = w->current;

	if (w->canceling)
		return -ECANCELED;
	if (r == NULL)
		return 0;
	return r->leads ? pinioni_batch_code(r) : pinioni_cancel_code(r);
}

int
pinioni_worker_interrupted(const struct worker *w)
{
	if (w->unusual != 0)
		return interrupted_unusually(w);
	return w->current == NULL ? 0 : pinioni_cancel_code(w->current);
}

void
pinioni_worker_resume(struct worker *w, struct fiber *f)
{
	if (f->queued)
		return;
	f->queued = true;
	f->next = NULL;
	*w->resumed_end = f;
	w->resumed_end = &f->next;
}

/* In the loop. Returns when this fiber is taken as a spare. True: something ran meanwhile. */
bool
pinioni_worker_run_resumed(struct worker *w)
{
	struct fiber *self = w->current_fiber;
	struct fiber *f = w->resumed;

	if (f == NULL)
		return false;
	w->resumed = f->next;
	if (w->resumed == NULL)
		w->resumed_end = &w->resumed;
	f->queued = false;
	self->next = w->spare;
	w->spare = self;
	w->current_fiber = f;
	pinioni_fiber_switch(self, f);
	return true;
}

/* ---- timers --------------------------------------------------------------------------------- */

static void
wake_sleeper(struct worker *w, struct timer *t)
{
	pinioni_worker_resume(w, caa_container_of(t, struct fiber, timer));
}

int
pinioni_worker_wake_at(struct worker *w, uint64_t at)
{
	struct timer *t = &w->current_fiber->timer;

	t->at = at;
	t->due = wake_sleeper;
	return pinioni_timers_add(&w->timers, w->heap, t);
}

void
pinioni_worker_run_timers(struct worker *w)
{
	if (w->timers.count != 0)
		w->work += pinioni_timers_run(&w->timers, w, clock_now(&w->runtime->clock));
}

/* ---- waiting -------------------------------------------------------------------------------- */

static inline bool
answers(const struct pinion_request *q, const struct worker *w, pinion_response r)
{
	return q->port == w->port && q->message.slot == r.slot &&
	    request_generation(q) == r.generation;
}

/* It is an argument of that call, or an argument's. A few steps: longer chains come nearer with each that ran. */
__attribute__((noinline)) static bool
leads_to(const struct pinion_request *q, const struct worker *w, pinion_response r)
{
	for (unsigned step = 0; step < LEADS_MAX && q != NULL; step++) {
		if (answers(q, w, r))
			return true;
		q = q->dependents;
	}
	return false;
}

bool
pinioni_worker_run_inline(struct worker *w, pinion_response r)
{
	struct pinion_request *head = w->queue.head;
	struct pinion_request *current = w->current;

	if (w->canceling || head == NULL || (!answers(head, w, r) && !leads_to(head, w, r)) ||
	    w->stack_depth >= INLINE_DEPTH_MAX ||
	    head->replica->ongoing >= head->replica->max_ongoing || head->replica->is_ending ||
	    head->replica->lingers ||
	    ((head->depth & (REQUEST_ENDING | REQUEST_BOUND)) != 0 && pinioni_cancel_bars(head)))
		return false;
	(void)queue_pop(&w->queue); /* the head */
	board_count(w->line, COUNT_LOCAL, 1);
	w->stack_depth++;
	(void)pinioni_request_run(head); /* one at a time */
	w->stack_depth--;
	w->current = current;
	return true;
}

static void
enlist(struct worker *w, struct fiber *f, const pinion_response *responses, unsigned count)
{
	f->responses = responses;
	f->response_count = count;
	f->awaiting_next = w->awaiting;
	f->awaiting_at = &w->awaiting;
	if (f->awaiting_next != NULL)
		f->awaiting_next->awaiting_at = &f->awaiting_next;
	w->awaiting = f;
	/* Whoever gives one back: it stays until we are told. */
	for (unsigned i = 0; i < count; i++)
		w->port->notes[responses[i].slot].pinned++;
}

static void
delist(struct worker *w, struct fiber *f)
{
	for (unsigned i = 0; i < f->response_count; i++)
		w->port->notes[f->responses[i].slot].pinned--;
	*f->awaiting_at = f->awaiting_next;
	if (f->awaiting_next != NULL)
		f->awaiting_next->awaiting_at = f->awaiting_at;
}

/* A note names one waiter; when there are more, all that wait are looked through. */
static bool
arm(struct worker *w, struct fiber *f)
{
	for (unsigned i = 0; i < f->response_count; i++) {
		const pinion_response *r = &f->responses[i];
		struct slot_note *note = &w->port->notes[r->slot];

		if (note->waiter != NULL)
			note->marks |= MARK_AWAITED;
		note->waiter = f;
		if (!pinioni_port_ask(w->port, r->slot))
			return false;
	}
	return true;
}

static void
disarm(struct worker *w, const struct fiber *f)
{
	for (unsigned i = 0; i < f->response_count; i++) {
		struct slot_note *note = &w->port->notes[f->responses[i].slot];

		if (note->waiter == f)
			note->waiter = NULL;
	}
}

static bool
all_are_ours(const struct worker *w, const pinion_response *responses, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (port_note_held(w->port, responses[i]) == NULL)
			return false;
	return true;
}

/* Once: until one of them is there, or the deadline, or whatever resumes all. */
static int
suspend_for(struct worker *w, const pinion_response *responses, unsigned count, uint64_t deadline)
{
	struct fiber *self = w->current_fiber;
	int err = deadline != 0 ? pinioni_worker_wake_at(w, deadline) : 0;

	enlist(w, self, responses, count);
	if (err == 0 && arm(w, self))
		err = pinioni_worker_suspend(w);
	disarm(w, self);
	delist(w, self);
	if (deadline != 0)
		pinioni_timers_drop(&w->timers, &self->timer);
	return err != 0 || all_are_ours(w, responses, count) ? err : -ESTALE;
}

/* One that is waited for without a time, and is no stream: its producer would be stuck on our stack while it waits
 * for room. */
static bool
may_run_inline(
    const struct worker *w, const pinion_response *responses, unsigned count, uint64_t deadline)
{
	return count == 1 && deadline == 0 &&
	    (w->port->notes[responses[0].slot].marks & MARK_STREAM) == 0;
}

/* Nobody else wants the worker. */
static bool
is_alone(const struct worker *w)
{
	/* relaxed: a hint; whoever sent mail waits for a turn. */
	return w->queue.head == NULL && w->ripe_count == 0 && w->resumed == NULL &&
	    w->outbox_messages == 0 && atomic_load_explicit(&w->mail, memory_order_relaxed) == NULL;
}

/* While nobody else wants the worker, a call to another one is waited for here: it takes a fifth of what a
 * suspension does. What comes is taken in, and run when it leads to what is waited for. Not for ever: timers and
 * all else that a turn does wait. True: one is there. */
static bool
look_out(struct worker *w, const pinion_response *responses, unsigned count, uint64_t deadline)
{
	bool may_run = may_run_inline(w, responses, count, deadline);
	uint64_t start = clock_ticks();

	if (!w->has_thread || w->looked_out++ >= LOOK_OUTS)
		return false;
	while (is_alone(w) && clock_ticks() - start < AWAIT_US * w->runtime->ticks_us) {
		pinioni_lanes_look_out(w);
		pinioni_port_drain_ready(w->port);
		while (may_run && pinioni_worker_run_inline(w, responses[0]))
			continue;
		if (port_find_done(w->port, responses, count) >= 0)
			return true;
	}
	return false;
}

int
pinioni_worker_await(
    struct worker *w, const pinion_response *responses, unsigned count, uint64_t deadline)
{
	int at, err;

	do {
		err = pinioni_worker_interrupted(w);
		if (err != 0)
			return err;
		if (deadline != 0 && clock_now(&w->runtime->clock) >= deadline)
			return -EAGAIN;
		if (may_run_inline(w, responses, count, deadline) &&
		    pinioni_worker_run_inline(w, responses[0]))
			continue;
		if (look_out(w, responses, count, deadline))
			continue;
		err = suspend_for(w, responses, count, deadline);
		if (err != 0)
			return err;
	} while ((at = port_find_done(w->port, responses, count)) < 0);
	return at;
}

void
pinioni_worker_resume_awaiting(struct worker *w, uint32_t slot)
{
	for (struct fiber *f = w->awaiting; f != NULL; f = f->awaiting_next)
		for (unsigned i = 0; i < f->response_count; i++)
			if (f->responses[i].slot == slot)
				pinioni_worker_resume(w, f);
}

int
pinioni_worker_await_stranger(struct worker *w, struct slot *slot, uint64_t generation)
{
	struct stranger me = { .fiber = w->current_fiber, .slot = slot, .generation = generation };
	struct stranger **at = &w->strangers;
	int err = 0;

	if (slot_watch(slot, generation) != SLOT_IS_PENDING)
		return 0;
	me.next = w->strangers;
	w->strangers = &me;
	w->listed++;
	while (err == 0 && slot_look(slot, generation) == SLOT_IS_PENDING) {
		err = pinioni_worker_interrupted(w);
		if (err == 0)
			err = pinioni_worker_suspend(w);
	}
	for (at = &w->strangers; *at != &me; at = &(*at)->next)
		continue;
	*at = me.next;
	w->listed--;
	return err;
}

void
pinioni_worker_look_at_strangers(struct worker *w)
{
	for (struct stranger *s = w->strangers; s != NULL; s = s->next)
		if (slot_look(s->slot, s->generation) != SLOT_IS_PENDING)
			pinioni_worker_resume(w, s->fiber);
}

/* For stop: everybody who waits looks at w->canceling. */
void
pinioni_worker_resume_all(struct worker *w)
{
	for (struct fiber *f = w->awaiting; f != NULL; f = f->awaiting_next)
		pinioni_worker_resume(w, f);
	for (struct stranger *s = w->strangers; s != NULL; s = s->next)
		pinioni_worker_resume(w, s->fiber);
	(void)pinioni_timers_run(&w->timers, w, UINT64_MAX);
	pinioni_starved_resume_all(w);
}
