/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/piped.c - handing a stream on as an argument, and reading it there.
 */
#include "core/piped.h"

#include <errno.h>
#include <string.h>

#include "core/call.h"
#include "core/cancel.h"
#include "core/record.h"
#include "core/starved.h"
#include "core/stream.h"
#include "core/thread.h"

enum {
	VAIN_WAITS_MAX = 64 /* that ended, and nothing was there */
};

/* The reader's end. */
struct inlet {
	struct ring_rx rx;
	pinion_port *port; /* whose slot and ring it is; NULL: it was closed, or handed on */
	struct record_ref ref;
	uint64_t deadline; /* the stream's; 0: none */
	bool is_overdue;   /* the reader was told so */
};

/* ---- the caller ----------------------------------------------------------------------------- */

void
pinioni_piped_start(pinion_port *port, struct slot_note *note)
{
	struct ring_rx *rx = &port->streams[port_slot_of(port, note)];

	ring_pass_held(rx);
	pinioni_stream_give_room(port->runtime, rx);
	note->marks |= MARK_PIPED;
}

void
pinioni_piped_undo(pinion_port *port, const struct pin *pins, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (pins[i].kind == PIN_SLOT)
			port->notes[pins[i].at].marks &= (uint16_t)~MARK_PIPED;
}

/* ---- the request that has it ---------------------------------------------------------------- */

int
pinioni_piped_open(struct pinion_request *r, const struct record_ref *ref, struct view *v)
{
	pinion_port *port = runtime_port(r->worker->runtime, ref->port);
	struct inlet *in;
	struct ring *ring;
	uint64_t bytes;

	if (port == NULL || ref->at >= port->memory.slot_count ||
	    slot_look(&port->memory.slots[ref->at], ref->call >> 16) == SLOT_IS_STALE)
		return -ESTALE;
	in = pinion_alloc(r, sizeof *in);
	if (in == NULL)
		return -ENOMEM;
	*in = (struct inlet){ .port = port, .ref = *ref };
	ring = pinioni_stream_ring(port, ref->at, &bytes);
	if (ring == NULL || !ring_rx_open(&in->rx, ring, bytes))
		return -EBADMSG;
	in->deadline = once_u64(&ring->deadline);
	/* Its answer goes the long way, where streams are closed. */
	r->message.flags |= MESSAGE_STAMP;
	v->at = in;
	v->length = sizeof *in;
	return 0;
}

pinion_stream
pinioni_piped_stream(const struct pinion_request *r, unsigned index, const struct view *v)
{
	if (v->length != sizeof(struct inlet))
		return (pinion_stream){
			.generation = EINVAL, .port = UINT32_MAX, .slot = RESPONSE_NOWHERE
		};
	return (pinion_stream){ .generation = request_generation(r),
		.port = port_word(r->worker->port),
		.slot = PIPED | index << PIPED_SHIFT | r->index };
}

/* Nobody reads any more, and nobody is to yield. */
static void
close_ref(struct worker *w, const struct record_ref *ref)
{
	pinion_port *port = runtime_port(w->runtime, ref->port);
	struct ring *ring;
	uint64_t bytes;

	if (port == NULL || ref->at >= port->memory.slot_count ||
	    slot_look(&port->memory.slots[ref->at], ref->call >> 16) != SLOT_IS_PENDING)
		return; /* nobody yields */
	ring = pinioni_stream_ring(port, ref->at, &bytes);
	if (ring != NULL) {
		ring_close(ring);
		bell_order();
		starved_wake(w->runtime, ring_starved(ring));
	}
	pinioni_cancel_ref(w, ref);
}

static bool
has_ref(const struct record_ref *refs, unsigned count, const struct record_ref *ref)
{
	for (unsigned i = 0; i < count; i++)
		if (memcmp(&refs[i], ref, sizeof *ref) == 0)
			return true;
	return false;
}

void
pinioni_piped_end(struct pinion_request *r, const struct message *next)
{
	const struct pinion_runtime *rt = r->worker->runtime;
	const struct replica_table *table = registry_replicas(&rt->registry);
	struct record_ref refs[PINION_ARGS_MAX], kept[PINION_ARGS_MAX];
	unsigned count = pinioni_record_refs(rt, &r->message, r->method, refs), stay = 0;

	if (next != NULL)
		stay = pinioni_record_refs(rt, next,
		    &table->replicas[next->target]->deployment->methods[next->method], kept);
	for (unsigned i = 0; i < count; i++)
		if (refs[i].kind == REF_STREAM && !has_ref(kept, stay, &refs[i]))
			close_ref(r->worker, &refs[i]);
}

/* ---- its handler ---------------------------------------------------------------------------- */

/* The end that this thread's stream names, and whose it is; NULL: there is none, or its request was answered. */
static struct inlet *
find(pinion_stream s, struct pinion_request **of)
{
	struct worker *w = thread_worker();
	unsigned index = s.slot >> PIPED_SHIFT & 15;
	struct pinion_request *r;

	if (w == NULL || port_word(w->port) != s.port)
		return NULL;
	r = pinioni_worker_request_at(w, s.slot & ((1u << PIPED_SHIFT) - 1));
	if (r == NULL || (r->state != REQUEST_RUNNING && r->state != REQUEST_MISREAD) ||
	    request_generation(r) != s.generation || r->is_plain || index >= r->arg_count ||
	    r->args[index].kind != PINION_KIND_STREAM)
		return NULL;
	*of = r;
	struct inlet *in =
	    (struct inlet *)(uintptr_t)r->args[index].at; /* ours: pinion_alloc gave it */

	return in->port != NULL ? in : NULL;
}

bool
pinioni_piped_hand_on(struct pinion_request *r, pinion_stream s, struct record_ref *ref)
{
	struct pinion_request *of;
	struct inlet *in = stream_is_piped(s) ? find(s, &of) : NULL;

	if (in == NULL || of != r)
		return false;
	ring_pass_held(&in->rx);
	pinioni_stream_give_room(r->worker->runtime, &in->rx);
	in->port = NULL;
	*ref = in->ref;
	return true;
}

struct hungry {
	struct starved starved;
	const struct inlet *in;
	const struct pinion_request *request;
};

static const struct slot *
slot_of(const struct inlet *in)
{
	return &in->port->memory.slots[in->ref.at];
}

static bool
has_item_or_end(struct starved *me)
{
	const struct hungry *h = caa_container_of(me, struct hungry, starved);

	return ring_peek(&h->in->rx) != NULL || slot_poll(slot_of(h->in), h->in->ref.call >> 16) ||
	    pinioni_cancel_code(h->request) != 0;
}

/* Until the producer has yielded some, or has ended. */
__attribute__((noinline)) static int
wait_for_item(struct worker *w, const struct pinion_request *r, struct inlet *in, uint64_t deadline)
{
	struct hungry me = { .starved.may_go_on = has_item_or_end, .in = in, .request = r };
	int err;

	pinioni_stream_give_room(w->runtime, &in->rx);
	ring_hunger(in->rx.ring, (int)w->index);
	bell_order();
	err = pinioni_starved_wait(w, &me.starved, deadline);
	ring_hunger(in->rx.ring, -1);
	return err;
}

/* Not beyond the stream's own deadline, whatever its producer hears. -EAGAIN: the reader's is over. */
static int
wait_in_time(struct worker *w, const struct pinion_request *r, struct inlet *in, uint64_t deadline)
{
	bool is_bound = in->deadline != 0 && (deadline == 0 || in->deadline < deadline);
	int err = wait_for_item(w, r, in, is_bound ? in->deadline : deadline);

	if (err != -EAGAIN || !is_bound)
		return err;
	in->is_overdue = true;
	return -ETIMEDOUT;
}

/* Of one that only looks. */
static int
look_at_clock(struct worker *w, struct inlet *in)
{
	if (in->deadline != 0 && clock_now(&w->runtime->clock) >= in->deadline)
		in->is_overdue = true;
	return in->is_overdue ? -ETIMEDOUT : -EAGAIN;
}

static int
may_wait(const struct worker *w, const struct pinion_request *r)
{
	int err = pinioni_worker_interrupted(w);

	return err != 0 || w->current == r ? err : pinioni_cancel_code(r); /* one of a batch */
}

int
pinioni_piped_next(
    pinion_stream s, int64_t timeout_ns, const pinion_into *into, pinion_value *value)
{
	struct worker *w = thread_worker();
	struct pinion_request *r;
	struct inlet *in = find(s, &r);
	const struct ring_item *item;
	uint64_t deadline = 0;
	unsigned waits = 0;
	int got;

	if (in == NULL)
		return -ESTALE;
	ring_pass_held(&in->rx);
	if (timeout_ns > 0)
		deadline = clock_now(&w->runtime->clock) + (uint64_t)timeout_ns;
	while ((got = stream_look(&in->rx, slot_of(in), in->ref.call >> 16, &item)) ==
	    STREAM_NOTHING) {
		int err = timeout_ns == 0 ? look_at_clock(w, in) : may_wait(w, r);

		if (waits++ == VAIN_WAITS_MAX)
			err = -EBADMSG; /* it comes and goes: nobody of ours writes that */
		if (err == 0)
			err = wait_in_time(w, r, in, deadline);
		if (err != 0)
			return err;
	}
	return got == 1 ? pinioni_stream_read_item(w->runtime, &in->rx, item, into, value) : got;
}

void
pinioni_piped_close(pinion_stream s)
{
	struct pinion_request *r;
	struct inlet *in = find(s, &r);

	if (in == NULL)
		return;
	close_ref(r->worker, &in->ref);
	in->port = NULL;
}

void
pinioni_piped_cancel(pinion_stream s)
{
	struct pinion_request *r;
	const struct inlet *in = find(s, &r);

	if (in != NULL)
		pinioni_cancel_ref(r->worker, &in->ref);
}

pinion_error
pinioni_piped_error(pinion_stream s)
{
	struct pinion_request *r;
	const struct inlet *in = find(s, &r);
	static const char late[] = "it did not end in its time";

	if (in != NULL && in->is_overdue)
		return (pinion_error){ .code = -ETIMEDOUT,
			.origin = PINION_ORIGIN_RUNTIME,
			.deployment = { "", 0 },
			.method = { "", 0 },
			.text = { late, sizeof late - 1 } };
	return pinioni_error_of_slot(in == NULL ? NULL : in->port, in == NULL ? 0 : in->ref.at,
	    in == NULL ? 0 : in->ref.call >> 16);
}
