/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/worker.c - the turn of a worker's loop, and how it sleeps.
 */
#include "core/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "affinity/pin.h"
#include "core/admission.h"
#include "core/batch.h"
#include "core/call.h"
#include "core/cancel.h"
#include "core/grant.h"
#include "core/inherit.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/starved.h"
#include "core/thread.h"
#include "shm/bell.h"

/* ---- parts of a turn ------------------------------------------------------------------------ */

static void
read_mail(struct worker *w)
{
	struct control *list;

	/* relaxed: only a reason to take. */
	if (atomic_load_explicit(&w->mail, memory_order_relaxed) == NULL)
		return;
	/* B */
	list = atomic_exchange_explicit(&w->mail, NULL, memory_order_acquire);
	for (struct control *next; list != NULL; list = next) {
		next = list->next;
		list->run(w, list->arg);
		w->work++;
		/* B: the sender may look now, and forget the letter. */
		atomic_store_explicit(&list->done, 1, memory_order_release);
		pinioni_futex_wake(&list->done);
	}
}

/* ---- surplus -------------------------------------------------------------------------------- */

void
pinioni_worker_publish_depth(struct worker *w, uint32_t starting)
{
	uint32_t depth = w->queue.count + w->parked + w->ongoing + starting;

	/* relaxed twice: a hint, with one writer. */
	if (atomic_load_explicit(&w->line->depth, memory_order_relaxed) != depth)
		atomic_store_explicit(&w->line->depth, depth, memory_order_relaxed);
}

/* A sibling on an idle worker; NULL: none. */
static struct replica *
idle_sibling(struct worker *w, const struct replica *of)
{
	const struct deployment *d = of->deployment;
	const struct replica_table *table = registry_replicas(&w->runtime->registry);

	uint64_t range = deployment_range(d);

	for (uint32_t i = 0; i < (uint32_t)range; i++) {
		struct replica *sibling = table->replicas[(range >> 32) + i];

		/* relaxed: a hint; a wrong guess costs a hop. */
		if (sibling->worker != w &&
		    atomic_load_explicit(&sibling->worker->line->depth, memory_order_relaxed) == 0)
			return sibling;
	}
	return NULL;
}

/* Requests that this worker cannot start now go to a sibling that can, a few times: hops are counted apart,
 * so that a request that was passed around can still be forwarded. */
bool
pinioni_worker_give_surplus(struct worker *w, struct pinion_request *r)
{
	struct message m = r->message;
	struct replica *sibling;

	if (!pinioni_admission_may_move(r) || (m.flags & MESSAGE_GIVEN) == MESSAGE_GIVEN)
		return false;
	sibling = idle_sibling(w, r->replica);
	if (sibling == NULL)
		return false;
	m.target = (uint16_t)sibling->index;
	m.flags = (uint8_t)(m.flags + MESSAGE_GIVEN_ONCE);
	board_count(w->line, COUNT_SURPLUS, 1);
	pinioni_request_hand_over(r, &m, sibling->worker->index, sibling->worker->index);
	return true;
}

/* When there is nothing else to do: a sibling may have become idle since they were parked. */
static bool
give_parked(struct worker *w)
{
	for (struct replica **at = &w->crowded; *at != NULL;) {
		struct replica *replica = *at;
		struct pinion_request *r = replica->waiting.head;

		if (r == NULL) {
			replica->is_crowded = false;
			*at = replica->crowded_next;
			continue;
		}
		(void)pinioni_worker_take_parked(w, replica); /* the head */
		if (r->depth > REQUEST_DEPTH && pinioni_cancel_at_start(r))
			continue;
		if (pinioni_worker_give_surplus(w, r))
			return true;
		queue_push_front(&replica->waiting, r);
		r->parked = PARKED;
		w->parked++;
		at = &replica->crowded_next;
	}
	return false;
}

/* ---- running -------------------------------------------------------------------------------- */

/* It may have been let in when another ended: now the one behind it is. */
static void
let_next_in(struct worker *w, struct replica *replica)
{
	if (replica->waiting.head != NULL && replica->ongoing < replica->max_ongoing)
		pinioni_worker_unpark(w, replica);
}

/* Before a handler that may take long: the one behind it could run elsewhere now. */
static void
offer_next(struct worker *w, const struct replica *busy)
{
	struct pinion_request *next = w->queue.head;
	struct replica *waits;

	if (next == NULL || deployment_count(busy->deployment) < 2 ||
	    next->replica->deployment != busy->deployment || next->state != REQUEST_QUEUED)
		return;
	(void)queue_pop(&w->queue); /* the head */
	waits = next->replica;
	if (pinioni_worker_give_surplus(w, next))
		let_next_in(w, waits);
	else
		queue_push_front(&w->queue, next);
}

/* Who waits for it will be sent on when it has ended: the lane's line is fetched meanwhile. */
static void
want_next_stage(struct worker *w, const struct pinion_request *r)
{
	unsigned to = r->replica->worker->index;
	struct message *cell = to == w->index ? NULL : worker_claim(w, to);

	if (cell != NULL)
		line_want(cell);
}

/* Its replica begins nothing any more: another of the deployment has it, if there is one. */
__attribute__((noinline, cold)) static void
end_at(struct worker *w, struct pinion_request *r)
{
	const struct deployment *d = r->replica->deployment;
	const struct replica_table *table = registry_replicas(&w->runtime->registry);
	uint64_t range = deployment_range(d);
	struct message m = r->message;
	const struct replica *to;

	if (!r->replica->is_leaving || (uint32_t)range == 0 || (m.call & 0xff) >= HOPS_MAX) {
		pinioni_request_fail(r, -ECANCELED, PINION_ORIGIN_RUNTIME,
		    "replica %u of %s has ended", r->replica->number, d->name);
		return;
	}
	to = table->replicas[(range >> 32) + r->replica->number % (uint32_t)range];
	m.target = (uint16_t)to->index;
	m.flags &= MESSAGE_STAMP;
	m.call++;
	pinioni_request_hand_over(r, &m, to->worker->index, to->worker->index);
}

/* False: nothing to start, or nothing more now. */
static bool
run_next(struct worker *w)
{
	struct pinion_request *r;
	struct replica *replica;

	if (w->queue.head == NULL)
		return false;
	r = queue_pop(&w->queue);
	w->work++;
	replica = r->replica;
	if (r->depth > REQUEST_DEPTH && pinioni_cancel_at_start(r)) {
		let_next_in(w, replica);
		return true;
	}
	if (replica->is_ending) {
		end_at(w, r);
		return true;
	}
	if (replica->ongoing >= replica->max_ongoing) {
		if (!pinioni_worker_give_surplus(w, r))
			pinioni_worker_park(w, r);
		return true;
	}
	offer_next(w, replica);
	if (r->dependents != NULL)
		want_next_stage(w, r->dependents);
	pinioni_worker_publish_depth(w, 1);
	return pinioni_request_run(r);
}

static inline void
handle(struct worker *w, struct pinion_request *r)
{
	int err;

	r->counted = true;
	r->replica->ongoing++;
	w->ongoing++;
	r->state = REQUEST_RUNNING;
	board_count(w->line, COUNT_STARTED, 1);
	if (!r->is_plain && pinioni_record_decode(r) != 0)
		return; /* failed, and gone */
	r->inside = true;
	w->current = r;
	err = r->method->handler(r->replica->state, r);
	w->current = NULL;
	r->inside = false;
	pinioni_request_returned(r, err);
}

/* Of a replica with rules. What came while handlers ran is to be judged before many more have: else requests gather in
 * lanes, where no limit sees them. False: they have run so long since lanes were looked at. */
__attribute__((noinline)) static bool
run_admitted(struct worker *w, struct pinion_request *r)
{
	pinioni_admission_leave(r);
	if (w->judged_turn != w->watch.turn) {
		w->judged_turn = w->watch.turn;
		w->judged_at = clock_ticks();
	}
	handle(w, r);
	return clock_ticks() - w->judged_at < JUDGE_US * w->runtime->ticks_us;
}

bool
pinioni_request_run(struct pinion_request *r)
{
	struct worker *w = r->worker;

	if (r->is_admitted)
		return run_admitted(w, r);
	handle(w, r);
	return true;
}

/* ---- sleeping ------------------------------------------------------------------------------- */

static bool
has_something(struct worker *w)
{
	/* relaxed: ordered after the odd epoch by S; taken with acquire in the next turn. */
	bool mail = atomic_load_explicit(&w->mail, memory_order_relaxed) != NULL;

	pinioni_worker_look_at_strangers(w);
	pinioni_starved_look_at_all(w);
	return mail || w->queue.head != NULL || w->ripe_count != 0 || w->resumed != NULL ||
	    w->outbox_messages != 0 || runtime_phase(w->runtime) >= RUNTIME_CANCELING ||
	    !pinioni_lanes_are_empty(w) ||
	    !ready_is_empty(w->port->memory.ready, w->port->memory.slot_count);
}

/* 0: not at all. A timer is looked out for: being woken takes about as long as TIMER_NEAR_US, and is not punctual. */
static uint64_t
sleep_limit(const struct worker *w)
{
	uint64_t limit =
	    (uint64_t)(w->parked != 0 || w->standing_in != 0 ? PARKED_SLEEP_MS : SLEEP_MAX_MS) *
	    1000000;
	uint64_t near = w->runtime->clock_is_time ? TIMER_NEAR_US * 1000 : 0;
	uint64_t now;

	if (w->timers.count == 0)
		return limit;
	now = clock_now(&w->runtime->clock);
	if (w->timers.list[0]->at <= now + near)
		return 0;
	return w->timers.list[0]->at - now - near < limit ? w->timers.list[0]->at - now - near
							  : limit;
}

static void
look_at_placeholders(struct worker *w)
{
	pinioni_request_look_at_placeholders(w);
	pinioni_port_order(w->port);
}

static void
go_to_sleep(struct worker *w)
{
	uint32_t seen = bell_read(w->bell);
	uint64_t limit = sleep_limit(w);
	int err = 0;

	if (limit == 0)
		return;
	pinioni_port_sweep(w->port);
	if (w->placeholders != 0)
		look_at_placeholders(w);
	pinioni_worker_publish_depth(w, 0);
	epoch_announce(&w->line->epoch, EPOCH_FUTEX);
	if (!has_something(w)) {
		board_count(w->line, COUNT_SLEEPS, 1);
		rcu_worker_offline(&w->quiet);
		err = pinioni_futex_wait(w->bell, seen, limit);
		rcu_thread_online();
	}
	epoch_awake(&w->line->epoch);
	if (err == -ETIMEDOUT && limit == (uint64_t)SLEEP_MAX_MS * 1000000 && has_something(w))
		board_count(w->line, COUNT_RESCUED, 1);
}

static void
idle(struct worker *w)
{
	struct pinion_runtime *rt = w->runtime;

	if (w->idle_since == 0) {
		w->pacing = runtime_pacing(rt);
		w->idle_since = w->pacing.now;
		pinioni_worker_publish_depth(w, 0);
		return;
	}
	if (w->parked != 0 && give_parked(w))
		return;
	switch (runtime_wait_step(rt, pace_step(&w->pacing) - w->idle_since)) {
	case WAIT_LOOK:
		break;
	case WAIT_YIELD:
		(void)sched_yield(); /* cannot fail on Linux */
		break;
	case WAIT_SLEEP:
		if (w->outbox_messages == 0)
			go_to_sleep(w);
	}
}

/* ---- the turn ------------------------------------------------------------------------------- */

static void
see_phase(struct worker *w)
{
	enum runtime_phase phase = runtime_phase(w->runtime);

	if (!w->is_draining) {
		w->is_draining = true;
		pinioni_batch_flush_all(w);
	}
	/* What a host leaves behind goes on elsewhere: core/inherit.h. */
	if (phase >= RUNTIME_CANCELING && !(phase == RUNTIME_STOPPED && w->journal != NULL)) {
		pinioni_cancel_all(w);
		pinioni_worker_resume_all(w);
		pinioni_port_sweep(w->port);
	}
	if (phase == RUNTIME_STOPPED)
		w->leave = true;
}

/* Handlers that wait for others' results or for room, batches that may run. */
__attribute__((noinline)) static void
look_at_lists(struct worker *w)
{
	pinioni_worker_look_at_strangers(w);
	pinioni_starved_look(w);
	pinioni_batch_turn(w);
	if (w->standing_in != 0)
		pinioni_stand_in_turn(w);
}

unsigned
pinioni_worker_loop_turn(struct worker *w)
{
	w->work = 0;
	w->looked_out = 0;
	pinioni_lanes_poll(w);
	pinioni_port_drain_ready(w->port);
	read_mail(w);
	if (w->listed != 0)
		look_at_lists(w);
	if (pinioni_worker_run_resumed(w))
		w->work++; /* much may have happened: nothing read before holds */
	for (unsigned i = 0; i < RUN_BURST && run_next(w); i++)
		continue;
	if (w->outbox_messages != 0)
		pinioni_worker_flush(w);
	pinioni_worker_run_timers(w);
	if (runtime_phase(w->runtime) != RUNTIME_RUNNING)
		see_phase(w);
	pinioni_port_order(w->port);
	if (w->has_thread)
		rcu_worker_quiet(&w->quiet);
	if (w->work == 0 && w->placeholders != 0 && ++w->idle_turns % LOOK_IDLE == 0)
		look_at_placeholders(w);
	if (w->work != 0)
		w->idle_since = 0;
	else if (w->has_thread)
		idle(w);
	else
		pinioni_worker_publish_depth(w, 0);
	return w->work;
}

unsigned
pinioni_worker_turn(struct worker *w)
{
	struct worker *before = pinioni_self.worker;
	unsigned work;

	/* A */
	if (before == w || atomic_exchange_explicit(&w->driving, 1, memory_order_acquire) != 0) {
		(void)sched_yield(); /* cannot fail on Linux */
		return 0;
	}
	pinioni_self.worker = w;
	w->leave = true;
	pinioni_fiber_adopt(&w->thread_stack);
	pinioni_fiber_switch(&w->thread_stack, w->current_fiber);
	work = w->work;
	pinioni_reclaim_turn(&w->runtime->reclaimer);
	pinioni_self.worker = before;
	/* A */
	atomic_store_explicit(&w->driving, 0, memory_order_release);
	return work;
}

/* ---- thread --------------------------------------------------------------------------------- */

static void
settle_down(struct worker *w)
{
	struct pinion_runtime *rt = w->runtime;
	char name[32];
	int err;

	(void)snprintf(name, sizeof name, "%.10s-w%u", rt->name, w->index);
	pinioni_thread_name(name);
	pinioni_grant_policy(rt, "a worker");
	if (w->cpu < 0)
		return;
	err = pinioni_thread_pin(w->cpu);
	if (err != 0) {
		pinioni_grant_pin(rt, w->index, w->cpu, err);
		w->cpu = -1;
	}
	/* relaxed: for people. */
	atomic_store_explicit(
	    &w->line->cpu, w->cpu < 0 ? BOARD_CPU_ANY : (uint32_t)w->cpu, memory_order_relaxed);
}

void *
pinioni_worker_main(void *worker)
{
	struct worker *w = worker;

	settle_down(w);
	/* A sleep is as long as was asked for; by default the kernel adds up to 50 us. Cannot fail. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	rcu_register_thread();
	pinioni_self.worker = w;
	pinioni_fiber_adopt(&w->thread_stack);
	pinioni_fiber_switch(&w->thread_stack, w->current_fiber);
	pinioni_self.worker = NULL;
	rcu_worker_quiet(&w->quiet);
	rcu_unregister_thread();
	return NULL;
}

void
pinioni_worker_ring(struct pinion_runtime *rt, unsigned worker)
{
	/* Workers sleep on the bell itself: no eventfd. */
	(void)bell_ring(
	    board_bell(&rt->board, worker), epoch_look(&rt->board.workers[worker]->epoch));
}

void
pinioni_worker_control_send(struct worker *w, struct control *c)
{
	/* relaxed: tried again when it moved. */
	c->next = atomic_load_explicit(&w->mail, memory_order_relaxed);
	/* B; relaxed on failure: c->next is what was read. */
	while (!atomic_compare_exchange_weak_explicit(
	    &w->mail, &c->next, c, memory_order_release, memory_order_relaxed))
		continue;
	bell_order();
	pinioni_worker_ring(w->runtime, w->index);
}

void
pinioni_worker_control_wait(struct worker *w, struct control *c)
{
	/* Ended by the worker, whose death is this process's. */
	while (!control_is_done(c)) {
		if (w->has_thread)
			(void)pinioni_futex_wait(&c->done, 0, (uint64_t)SLEEP_MAX_MS * 1000000);
		else
			(void)pinioni_worker_turn(w);
	}
}

void
pinioni_worker_control(struct worker *w, void (*run)(struct worker *w, void *arg), void *arg)
{
	struct control c = { .run = run, .arg = arg };

	if (thread_worker() == w) {
		run(w, arg);
		return;
	}
	pinioni_worker_control_send(w, &c);
	pinioni_worker_control_wait(w, &c);
}

void
pinioni_worker_stand_for(struct worker *w, struct pinion_runtime *rt, unsigned index)
{
	w->index = index;
	w->line = rt->board.workers[index];
	w->heap = &rt->heap;
	w->cpu = -1;
	w->node = NODE_UNKNOWN;
}

int
pinioni_worker_init(struct worker *w, struct pinion_runtime *rt, unsigned index)
{
	int err;

	w->runtime = rt;
	w->index = index;
	w->line = rt->board.workers[index];
	w->bell = board_bell(&rt->board, index);
	w->doors = board_doors(&rt->board, index);
	queue_init(&w->queue);
	CDS_INIT_LIST_HEAD(&w->ripe);
	CDS_INIT_LIST_HEAD(&w->starved.head);
	CDS_INIT_LIST_HEAD(&w->starved_long.head);
	w->resumed_end = &w->resumed;
	err = pinioni_worker_make_pool(w);
	if (err == 0)
		err = pinioni_worker_reserve_fibers(w, 1);
	if (err != 0)
		return err;
	w->current_fiber = pinioni_worker_spare(w);
	return w->current_fiber == NULL ? -ENOMEM : 0;
}

int
pinioni_worker_reserve_fibers(struct worker *w, uint32_t more)
{
	struct heap *heap = w->heap;
	uint32_t max = w->fibers_max + more;
	struct fiber **fresh = pinioni_heap_take(heap, max * sizeof *fresh);

	if (fresh == NULL)
		return -ENOMEM;
	if (w->fibers != NULL) {
		memcpy(fresh, w->fibers, w->fibers_all * sizeof *fresh);
		pinioni_heap_give(heap, w->fibers, w->fibers_max * sizeof *fresh);
	}
	w->fibers = fresh;
	w->fibers_max = max;
	return 0;
}

void
pinioni_worker_reserve_for(struct worker *w, void *reservation)
{
	struct reservation *r = reservation;

	r->err = pinioni_worker_reserve_fibers(w, r->fibers);
}

void
pinioni_worker_deinit(struct worker *w)
{
	struct heap *heap = w->heap;

	for (uint32_t i = 0; i < w->fibers_all; i++) {
		pinioni_fiber_destroy(w->fibers[i]);
		pinioni_heap_give(heap, w->fibers[i], sizeof *w->fibers[i]);
	}
	pinioni_heap_give(heap, w->fibers, w->fibers_max * sizeof *w->fibers);
	pinioni_timers_free(&w->timers, heap);
	pinioni_worker_free_pool(w);
}
