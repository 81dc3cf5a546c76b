/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/serve_hear.c - what a host hears of its controller, and says to it: core/serve.h.
 *
 * Threads   The listener's; what it waits for is done in its turns.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/attach.h"
#include "core/catalog.h"
#include "core/serve.h"

enum {
	TURN_MS = 1 /* while something is being buried */
};

/* ---- hearing ---------------------------------------------------------------------------------- */

static void
mark_gone(struct serving *s, unsigned port, bool is_gone)
{
	uint64_t bit = UINT64_C(1) << port % 64;

	/* relaxed twice: whoever asks has missed the port, by O. */
	if (is_gone)
		(void)atomic_fetch_or_explicit(&s->gone[port / 64], bit, memory_order_relaxed);
	else
		(void)atomic_fetch_and_explicit(&s->gone[port / 64], ~bit, memory_order_relaxed);
}

static void
say_buried(struct pinion_runtime *rt, unsigned port)
{
	struct control_message m = pinioni_control_message(CONTROL_BURIED);

	m.from = port;
	pinioni_attached_tell(rt->attached, &m);
}

static void
bury(struct pinion_runtime *rt, unsigned number)
{
	struct serving *s = rt->serving;
	pinion_port *port = runtime_port(rt, number);
	struct last_rites *rites = &s->rites[number];

	mark_gone(s, number, true);
	if (port == NULL) {
		say_buried(rt, number);
		return;
	}
	rites->burial = pinioni_guest_bury(port);
	if (rites->burial == NULL)
		pinioni_attached_cut(
		    rt->attached); /* no memory: what cannot be let go would stay for ever */
	else
		s->rites_count++;
}

static void
forget(struct pinion_runtime *rt, unsigned number)
{
	struct serving *s = rt->serving;

	if (s->rites[number].burial != NULL)
		s->rites[number].is_forgotten = true;
	else
		mark_gone(s, number, false);
}

/* A turn of one burial; true: it is over. */
static bool
bury_on(struct pinion_runtime *rt, unsigned number)
{
	struct serving *s = rt->serving;
	struct last_rites *rites = &s->rites[number];

	if (!rites->is_said && pinioni_burial_turn(rites->burial)) {
		rites->is_said = true;
		say_buried(rt, number);
	}
	if (!rites->is_forgotten || !pinioni_burial_end(rites->burial))
		return false;
	*rites = (struct last_rites){ .burial = NULL };
	mark_gone(s, number, false);
	s->rites_count--;
	return true;
}

/* What we are told of it comes after the old one was forgotten: whose burial is nearly over. */
static void
take_guest(struct pinion_runtime *rt, const struct control_message *m, const struct parcel *brought)
{
	unsigned number = m->port.index;
	int err;

	while (
	    number < PORTS_MAX && rt->serving->rites[number].burial != NULL && !bury_on(rt, number))
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL); /* shorter: fine */
	err = pinioni_mirror_port(rt, m, brought);
	if (err == 0)
		return;
	pinioni_runtime_log(
	    rt, "a port of another process cannot be mapped (%s): this one ends", strerror(-err));
	pinioni_attached_cut(rt->attached);
}

static void
take_deployed(struct pinion_runtime *rt, const struct parcel *brought)
{
	int err = -EBADMSG;

	(void)pthread_mutex_lock(&rt->lock);
	if (brought->descriptor_count == 1)
		err = pinioni_catalog_read(rt, brought->descriptors[0]);
	rt->serving->mirrored = UINT64_MAX;
	(void)pthread_mutex_unlock(&rt->lock);
	if (err != 0)
		pinioni_attached_cut(rt->attached);
}

void
pinioni_serve_count_left(struct worker *w, void *arg)
{
	uint32_t *left = arg;

	pinioni_port_sweep(w->port);
	*left = w->queue.count + w->outbox_messages + w->fibers_busy + pinioni_worker_requests(w);
}

/* Waits for no handler: what it says is heard in a turn. */
static void
ask_for_count(struct pinion_runtime *rt)
{
	struct serving *s = rt->serving;

	s->count = (struct control){ .run = pinioni_serve_count_left, .arg = &s->counted };
	s->is_counting = true;
	s->is_asked_again = false;
	pinioni_worker_control_send(runtime_own(rt, 0), &s->count);
}

static void
take_count(struct pinion_runtime *rt, uint64_t serial)
{
	struct serving *s = rt->serving;

	s->count_serial = serial;
	if (s->is_counting)
		s->is_asked_again = true;
	else
		ask_for_count(rt);
}

static void
say_count(struct pinion_runtime *rt)
{
	struct serving *s = rt->serving;
	struct control_message m = pinioni_control_message(CONTROL_COUNT);

	if (!s->is_counting || !control_is_done(&s->count))
		return;
	s->is_counting = false;
	if (s->is_asked_again) {
		ask_for_count(rt);
		return;
	}
	m.serial = s->count_serial;
	m.from = s->counted;
	pinioni_attached_tell(rt->attached, &m);
}

int
pinioni_serve_turn(struct pinion_runtime *rt)
{
	struct serving *s = rt->serving;

	for (unsigned i = 0; s->rites_count != 0 && i < PORTS_MAX; i++)
		if (s->rites[i].burial != NULL)
			(void)bury_on(rt, i);
	say_count(rt);
	return s->rites_count == 0 && !s->is_counting ? -1 : TURN_MS;
}

static void
await_set_up(struct serving *s)
{
	(void)pthread_mutex_lock(&s->lock);
	while (!s->is_set_up)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

void
pinioni_serve_set(struct serving *s, bool *flag)
{
	(void)pthread_mutex_lock(&s->lock);
	*flag = true;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

static void
hear(struct pinion_runtime *rt, const struct control_message *m, const struct parcel *brought)
{
	bool is_port = m->from < PORTS_MAX;

	await_set_up(rt->serving);
	if (m->kind == CONTROL_GUEST)
		take_guest(rt, m, brought);
	else if (m->kind == CONTROL_BURY && is_port)
		bury(rt, m->from);
	else if (m->kind == CONTROL_FORGET && is_port)
		forget(rt, m->from);
	else if (m->kind == CONTROL_DEPLOYED)
		take_deployed(rt, brought);
	else if (m->kind == CONTROL_COUNT)
		take_count(rt, m->serial);
	else if (m->kind == CONTROL_CANCEL)
		pinioni_attached_enter(rt, RUNTIME_CANCELING);
	else if (m->kind == CONTROL_END)
		pinioni_serve_set(rt->serving, &rt->serving->is_to_end);
}

bool
pinioni_serve_hear(
    struct pinion_runtime *rt, const struct control_message *m, struct parcel *brought)
{
	if (rt->serving == NULL || (m->kind < CONTROL_GUEST && m->kind != CONTROL_COUNT))
		return false;
	hear(rt, m, brought);
	pinioni_parcel_close(brought);
	return true;
}

void
pinioni_serve_lost(struct pinion_runtime *rt)
{
	if (rt->serving == NULL)
		return;
	pinioni_serve_set(rt->serving, &rt->serving->is_to_end);
	/* One that was forgotten by all is forgotten; nobody is left who would wait for the others. */
}

/* Not each of them: whoever floods us with such messages would fill the connection. */
void
pinioni_serve_refused(struct pinion_runtime *rt, pinion_port *port)
{
	struct control_message m = pinioni_control_message(CONTROL_REFUSED);
	/* relaxed: a number. */
	uint32_t before = atomic_fetch_add_explicit(&port->violations, 1, memory_order_relaxed);

	if (before != 0 && before + 1 != VIOLATIONS_MAX)
		return;
	m.from = port->index;
	m.port.first = before == 0 ? 1 : VIOLATIONS_MAX - 1;
	pinioni_attached_tell(rt->attached, &m);
}
