/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/batch.c - gathering requests, and running them together.
 */
#include "core/batch.h"

#include <errno.h>

#include "core/cancel.h"
#include "core/runtime.h"
#include "core/worker.h"

enum {
	BATCH_TURNS = 4 /* that one without a wait gathers, while there is more in the queue */
};

/* Where the members of one batch are listed; kept for the next. */
struct batch_room {
	struct batch_room *next;
	uint32_t room;
	pinion_request *members[];
};

static const pinion_method *
declared(const struct method *m)
{
	return &m->deployment->declared->methods.list[m->index];
}

static bool
is_full(const struct batcher *b)
{
	return b->size >= b->max_size;
}

/* To be looked at, in turn. */
static void
enlist(struct worker *w, struct batcher *b)
{
	if (b->is_listed)
		return;
	b->is_listed = true;
	cds_list_add_tail(&b->link, &w->ripe);
	w->ripe_count++;
	w->listed++;
}

static struct batcher *
take_ripe(struct worker *w)
{
	struct batcher *b = cds_list_first_entry(&w->ripe, struct batcher, link);

	cds_list_del(&b->link);
	w->ripe_count--;
	w->listed--;
	b->is_listed = false;
	return b;
}

static void
end_wait(struct worker *w, struct timer *t)
{
	struct batcher *b = caa_container_of(t, struct batcher, due);

	b->is_due = true;
	enlist(w, b);
}

/* Its replica is to begin nothing more, or is to end. */
static bool
hurries(const struct worker *w, const struct batcher *b)
{
	return b->replica->max_ongoing == 0 || b->replica->is_ending ||
	    runtime_phase(w->runtime) != RUNTIME_RUNNING;
}

/* From the first that is there. */
static void
start_wait(struct worker *w, struct batcher *b)
{
	pinioni_timers_drop(&w->timers, &b->due);
	b->is_due = false;
	if (b->first == NULL)
		return;
	b->due =
	    (struct timer){ .at = b->first->gathered_at + (uint64_t)b->wait_ns, .due = end_wait };
	if (b->wait_ns == 0 || hurries(w, b) ||
	    pinioni_timers_add(&w->timers, w->heap, &b->due) != 0)
		end_wait(w, &b->due); /* without memory: now */
}

static struct batcher *
batcher_of(const struct pinion_request *r)
{
	return &r->replica->batchers[r->method->index];
}

/* What it counts for. 0: it has been failed. */
static uint32_t
size_of(void *state, pinion_request *r)
{
	const struct method *m = r->method;
	pinion_size_fn *says = declared(m)->size_of;
	uint32_t size = says == NULL ? 1 : says(state, r);

	if (size == 0 && r->state == REQUEST_RUNNING)
		pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
		    "the size_of of %s.%s says 0: a request is to be 1 at least",
		    m->deployment->name, m->name);
	return r->state == REQUEST_RUNNING ? size : 0;
}

int
pinioni_batch_join(void *state, pinion_request *r)
{
	struct worker *w = r->worker;
	struct batcher *b = batcher_of(r);
	uint32_t size = size_of(state, r);

	if (size == 0)
		return -EINVAL;
	r->state = REQUEST_GATHERED;
	r->batch_size = size < b->max_size ? size : b->max_size; /* of more it is alone */
	r->next = NULL;
	*b->end = r;
	b->end = &r->next;
	b->count++;
	b->size += r->batch_size;
	r->gathered_at = b->wait_ns == 0 ? 0 : clock_now(&w->runtime->clock);
	if (b->first == r)
		start_wait(w, b);
	if (is_full(b))
		enlist(w, b);
	return 0;
}

static void
take_out(struct batcher *b, struct pinion_request **at)
{
	struct pinion_request *r = *at;

	*at = r->next;
	if (b->end == &r->next)
		b->end = at;
	b->count--;
	b->size -= r->batch_size;
}

void
pinioni_batch_drop(struct pinion_request *r)
{
	struct batcher *b = batcher_of(r);
	bool was_first = b->first == r;

	for (struct pinion_request **at = &b->first; *at != NULL; at = &(*at)->next)
		if (*at == r) {
			take_out(b, at);
			break;
		}
	if (was_first && !b->is_due)
		start_wait(r->worker, b);
}

/* ---- running -------------------------------------------------------------------------------- */

static struct batch_room *
take_room(struct worker *w, struct batcher *b)
{
	struct batch_room *room = b->rooms;

	if (room != NULL && room->room >= b->max_size) {
		b->rooms = room->next;
		return room;
	}
	room = pinioni_heap_take(w->heap, sizeof *room + b->max_size * sizeof room->members[0]);
	if (room != NULL)
		room->room = b->max_size;
	return room;
}

static size_t
bytes_of(const struct batch_room *room)
{
	return sizeof *room + room->room * sizeof room->members[0];
}

static void
give_room(struct worker *w, struct batcher *b, struct batch_room *room)
{
	if (room->room < b->max_size) {
		pinioni_heap_give(w->heap, room, bytes_of(room));
		return;
	}
	room->next = b->rooms;
	b->rooms = room;
}

int
pinioni_batch_code(const struct pinion_request *leader)
{
	int code = 0;

	for (uint32_t i = 0; i < leader->member_count; i++) {
		const struct pinion_request *r = leader->members[i];

		if (r->state > REQUEST_MISREAD)
			continue; /* it has its answer, or has it from elsewhere */
		if ((r->depth & REQUEST_ENDING) == 0)
			return 0;
		code = pinioni_cancel_code(r);
	}
	return code;
}

/* The first, whatever its size, and those behind it that fit. */
static uint32_t
choose(struct batcher *b, struct batch_room *room, struct pinion_request *leader)
{
	uint32_t count = 0, size = 0;

	while (b->first != NULL && count < room->room &&
	    (count == 0 || b->first->batch_size <= b->max_size - size)) {
		struct pinion_request *r = b->first;

		take_out(b, &b->first);
		size += r->batch_size < b->max_size - size ? r->batch_size : b->max_size - size;
		r->state = REQUEST_RUNNING;
		r->inside = true; /* so that it is there until all have ended */
		r->leader = leader;
		room->members[count++] = r;
	}
	return count;
}

/* A request without a caller, that all the handler does belongs to. NULL: no memory. */
static struct pinion_request *
take_leader(struct worker *w, const struct batcher *b)
{
	struct pinion_request *leader = worker_take_request(w);

	if (leader == NULL)
		return NULL;
	leader->message = (struct message){ .slot = SLOT_NONE };
	leader->port = NULL;
	leader->method = b->method;
	leader->replica = b->replica;
	leader->depth = 0;
	leader->arg_count = 0;
	leader->is_plain = false;
	leader->state = REQUEST_RUNNING;
	leader->inside = leader->leads = true;
	leader->member_count = 0;
	return leader;
}

static void
run(struct worker *w, struct batcher *b, struct batch_room *room, struct pinion_request *leader)
{
	uint32_t count = choose(b, room, leader);
	int err;

	leader->members = room->members;
	leader->member_count = count;
	start_wait(w, b); /* of the next */
	b->running++;
	if (is_full(b))
		enlist(w, b); /* it may run while this one waits */
	w->work++;
	pinioni_worker_publish_depth(w, 1);
	w->current = leader;
	w->unusual++;
	err = declared(b->method)->batch(b->replica->state, room->members, count);
	w->unusual--;
	w->current = NULL;
	b->running--;
	for (uint32_t i = 0; i < count; i++) {
		struct pinion_request *r = room->members[i];

		r->inside = false;
		r->leader = NULL;
		pinioni_request_returned(r, r->state <= REQUEST_MISREAD ? err : 0);
	}
	leader->state = REQUEST_ANSWERED;
	leader->inside = leader->leads = false;
	pinioni_request_end(leader);
	give_room(w, b, room);
	if (b->is_due || is_full(b))
		enlist(w, b);
}

/* Whether what is there is to run now. */
static bool
is_ripe(struct worker *w, struct batcher *b)
{
	if (b->first == NULL || b->running >= b->max_running)
		return false;
	if (is_full(b))
		return true;
	/* Without a wait: what is there, which is all that the queue has. */
	return b->is_due && (b->wait_ns != 0 || w->queue.head == NULL || ++b->turns >= BATCH_TURNS);
}

/* False: no memory. It is tried again next turn. */
static bool
run_one(struct worker *w, struct batcher *b)
{
	struct batch_room *room = take_room(w, b);
	struct pinion_request *leader = room == NULL ? NULL : take_leader(w, b);

	if (leader == NULL) {
		if (room != NULL)
			give_room(w, b, room);
		return false;
	}
	b->turns = 0;
	run(w, b, room, leader);
	return true;
}

void
pinioni_batch_turn(struct worker *w)
{
	/* While a handler waits other turns look at the rest. */
	for (uint32_t looks = w->ripe_count; looks != 0 && w->ripe_count != 0; looks--) {
		struct batcher *b = take_ripe(w);

		if (is_ripe(w, b) ? !run_one(w, b)
				  : b->first != NULL && b->is_due && b->running < b->max_running)
			enlist(w, b);
	}
}

/* ---- making --------------------------------------------------------------------------------- */

void
pinioni_batch_flush(struct worker *w, struct replica *replica)
{
	for (size_t i = 0; replica->batchers != NULL && i < replica->deployment->method_count; i++)
		if (replica->batchers[i].first != NULL)
			end_wait(w, &replica->batchers[i].due);
}

void
pinioni_batch_flush_all(struct worker *w)
{
	const struct replica_table *t = registry_replicas(&w->runtime->registry);

	for (uint32_t i = 0; t != NULL && i < t->count; i++)
		if (t->replicas[i]->worker == w)
			pinioni_batch_flush(w, t->replicas[i]);
}

bool
pinioni_batch_is_declared(const pinion_deployment *d)
{
	for (size_t i = 0; i < d->methods.count; i++)
		if (d->methods.list[i].batch != NULL)
			return true;
	return false;
}

int
pinioni_batch_make(struct worker *w, struct replica *replica)
{
	const struct deployment *d = replica->deployment;

	if (!pinioni_batch_is_declared(d->declared))
		return 0;
	replica->batchers = pinioni_heap_take(w->heap, d->method_count * sizeof *replica->batchers);
	if (replica->batchers == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < d->method_count; i++) {
		struct batcher *b = &replica->batchers[i];

		*b = (struct batcher){ .replica = replica,
			.method = &d->methods[i],
			.max_size = d->batching[i].max_size,
			.max_running = d->batching[i].max_running,
			.wait_ns = d->batching[i].wait_ns };
		b->end = &b->first;
	}
	return 0;
}

void
pinioni_batch_free(struct worker *w, struct replica *replica)
{
	for (size_t i = 0; replica->batchers != NULL && i < replica->deployment->method_count; i++)
		while (replica->batchers[i].rooms != NULL) {
			struct batch_room *room = replica->batchers[i].rooms;

			replica->batchers[i].rooms = room->next;
			pinioni_heap_give(w->heap, room, bytes_of(room));
		}
	pinioni_heap_give(w->heap, replica->batchers,
	    replica->deployment->method_count * sizeof *replica->batchers);
	replica->batchers = NULL;
}
