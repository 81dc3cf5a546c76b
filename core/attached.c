/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/attached.c - see core/attachment.h.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "affinity/pin.h"
#include "core/attachment.h"
#include "core/catalog.h"
#include "core/serve.h"

/* ---- the connection ------------------------------------------------------------------------- */

/* What is no message of ours is nothing that can be answered. */
int
pinioni_attachment_receive(int channel, struct control_message *m, struct parcel *p)
{
	int err;

	*p = (struct parcel){ .bytes = m, .size = sizeof *m };
	err = pinioni_channel_receive(channel, p);
	if (err != 0)
		return err;
	if (p->size >= offsetof(struct control_message, kind) && m->magic == CONTROL_MAGIC &&
	    (m->err != 0 || p->size == sizeof *m)) {
		m->text[CONTROL_TEXT - 1] = '\0';
		return 0;
	}
	pinioni_parcel_close(p);
	return -EBADMSG;
}

/* The answer to a question whose asker has given up: what it brought goes back. */
static void
drop_answer(struct attachment *a, const struct control_message *m, struct parcel *p)
{
	if (m->kind == CONTROL_PORT && m->err == 0)
		pinioni_attached_close(a, m->port.index);
	pinioni_parcel_close(p);
}

static void
keep_answer(struct attachment *a, const struct control_message *m, struct parcel *p)
{
	bool is_late;

	(void)pthread_mutex_lock(&a->lock);
	is_late = !a->is_asked || m->serial != a->serial;
	if (!is_late) {
		a->answer = *m;
		a->brought = *p;
		a->is_asked = false;
		(void)pthread_cond_broadcast(&a->answered);
	}
	(void)pthread_mutex_unlock(&a->lock);
	if (is_late)
		drop_answer(a, m, p);
}

/* Whoever sleeps looks again. */
static void
ring_all(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *port = runtime_port(rt, i);

		if (port != NULL)
			pinioni_port_ring(port);
	}
	for (unsigned i = 0; i < rt->own_count; i++)
		pinioni_worker_ring(rt, rt->own_first + i);
	(void)pthread_mutex_unlock(&rt->lock);
}

void
pinioni_attached_enter(struct pinion_runtime *rt, enum runtime_phase phase)
{
	/* relaxed: nothing but the phase itself. */
	atomic_store_explicit(&rt->phase, phase, memory_order_relaxed);
	ring_all(rt);
}

/* One message. 0; -EAGAIN: there is none; else there will be no more. */
static int
listen_once(struct attachment *a)
{
	struct control_message m;
	struct parcel p;
	int err = pinioni_attachment_receive(a->channel, &m, &p);

	if (err != 0)
		return err;
	if (pinioni_serve_hear(a->runtime, &m, &p))
		return 0;
	if (m.kind == CONTROL_STOPPING) {
		pinioni_parcel_close(&p);
		if (runtime_phase(a->runtime) == RUNTIME_RUNNING)
			pinioni_attached_enter(a->runtime, RUNTIME_DRAINING);
	} else {
		keep_answer(a, &m, &p);
	}
	return 0;
}

/* All that has come. False: there will be no more. */
static bool
listen_all(struct attachment *a)
{
	int err;

	while ((err = listen_once(a)) == 0)
		continue;
	return err == -EAGAIN;
}

/* Milliseconds until something else is to be done. */
static int
patience(struct attachment *a)
{
	return a->runtime->serving == NULL ? -1 : pinioni_serve_turn(a->runtime);
}

void *
pinioni_attachment_listen(void *attachment)
{
	struct attachment *a = attachment;
	struct pollfd on[2] = { { .fd = a->channel, .events = POLLIN },
		{ .fd = a->peer.pidfd, .events = POLLIN } };

	pinioni_thread_name("pinion-listen");
	do
		(void)poll(on, 2, patience(a)); /* interrupted: looked at again */
	while (listen_all(a) && (on[1].revents & POLLIN) == 0);
	(void)listen_all(a); /* what it said before it ended */
	(void)shutdown(a->channel,
	    SHUT_RDWR); /* if it lives, it has cut us off, or we cannot hear it any more */
	(void)pthread_mutex_lock(&a->lock);
	a->is_over = true;
	(void)pthread_cond_broadcast(&a->answered);
	(void)pthread_mutex_unlock(&a->lock);
	pinioni_attached_enter(a->runtime,
	    runtime_phase(a->runtime) == RUNTIME_RUNNING ? RUNTIME_LOST : RUNTIME_STOPPED);
	pinioni_serve_lost(a->runtime);
	return NULL;
}

/* ---- asking --------------------------------------------------------------------------------- */

static struct timespec
soon(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	t.tv_sec += ATTACH_WAIT_MS / 1000;
	return t;
}

/* Under `lock`. */
static int
await_answer(struct attachment *a)
{
	struct timespec limit = soon();

	while (a->is_asked && !a->is_over)
		if (pthread_cond_timedwait(&a->answered, &a->lock, &limit) == ETIMEDOUT) {
			a->is_asked = false;
			return -ETIMEDOUT;
		}
	return a->is_asked ? -EOWNERDEAD : 0;
}

/* m: the question, and then the answer. What it brought is the caller's, on 0. */
static int
ask(struct attachment *a, struct control_message *m, struct parcel *brought)
{
	int err;

	(void)pthread_mutex_lock(&a->ask_lock);
	m->serial = ++a->serial;
	(void)pthread_mutex_lock(&a->lock);
	a->is_asked = true;
	err = a->is_over ? -EOWNERDEAD : pinioni_control_send(a->channel, m, NULL, 0);
	if (err == -EPIPE)
		err = -EOWNERDEAD;
	if (err == 0)
		err = await_answer(a);
	a->is_asked = false;
	if (err == 0) {
		*m = a->answer;
		*brought = a->brought;
		err = m->err;
		if (err != 0)
			pinioni_parcel_close(brought); /* a refusal brings nothing */
	}
	(void)pthread_mutex_unlock(&a->lock);
	(void)pthread_mutex_unlock(&a->ask_lock);
	return err;
}

/* The same; exactly so many descriptors come. */
static int
ask_for(struct attachment *a, struct control_message *m, struct parcel *brought, unsigned count)
{
	enum control_kind kind = (enum control_kind)m->kind;
	int err = ask(a, m, brought);

	if (err != 0)
		return err;
	if (m->kind == (uint32_t)kind && brought->descriptor_count == count)
		return 0;
	pinioni_parcel_close(brought);
	return -EBADMSG;
}

int
pinioni_attached_port(
    struct attachment *a, size_t arena_bytes, uint32_t flags, struct port_grant *grant)
{
	struct control_message m = pinioni_control_message(CONTROL_PORT);
	struct parcel p;
	int err;

	m.port.arena_bytes = arena_bytes != 0 ? arena_bytes : a->arena_bytes;
	m.port.flags = flags;
	err = ask_for(a, &m, &p, 2);
	if (err != 0)
		return err;
	*grant = (struct port_grant){
		.port = m.port, .memory = p.descriptors[0], .lanes = p.descriptors[1]
	};
	return 0;
}

int
pinioni_attached_host(struct attachment *a, struct control_message *m, int descriptors[3])
{
	struct parcel p;
	int err = ask_for(a, m, &p, 3);

	if (err != 0)
		return err;
	descriptors[2] = p.descriptors[2];
	descriptors[0] = p.descriptors[0];
	descriptors[1] = p.descriptors[1];
	return 0;
}

void
pinioni_attached_tell(struct attachment *a, struct control_message *m)
{
	if (pinioni_control_send(a->channel, m, NULL, 0) == -EAGAIN)
		pinioni_attached_cut(
		    a); /* it has not read for long: it would miss what it has to know */
}

void
pinioni_attached_ring(struct attachment *a, unsigned port)
{
	struct control_message m = pinioni_control_message(CONTROL_RING);

	m.from = port;
	pinioni_attached_tell(a, &m);
}

void
pinioni_attached_cut(struct attachment *a)
{
	(void)shutdown(a->channel, SHUT_RDWR); /* or it is */
}

void
pinioni_attached_hush(struct attachment *a)
{
	pinioni_attached_cut(a);
	if (a->has_listener)
		(void)pthread_join(a->listener, NULL); /* joined once */
	a->has_listener = false;
}

void
pinioni_attached_close(struct attachment *a, unsigned port)
{
	struct control_message m = pinioni_control_message(CONTROL_CLOSE);

	m.from = port;
	/* If it does not read just now, the port stays with it until the connection ends. */
	(void)!pinioni_control_send(a->channel, &m, NULL, 0);
}

int
pinioni_attached_event(struct attachment *a, unsigned port, int *fd)
{
	struct control_message m = pinioni_control_message(CONTROL_EVENT);
	struct parcel p;
	int err;

	m.from = port;
	err = ask_for(a, &m, &p, 1);
	if (err == 0)
		*fd = p.descriptors[0];
	return err;
}

int
pinioni_attached_renew(struct pinion_runtime *rt)
{
	struct control_message m = pinioni_control_message(CONTROL_CATALOG);
	struct parcel p;
	int err;

	(void)pthread_mutex_lock(&rt->run_lock); /* one at a time, or both would add the same */
	m.from = rt->registry.deployment_count;
	err = ask_for(rt->attached, &m, &p, 1);
	if (err == 0) {
		(void)pthread_mutex_lock(&rt->lock);
		err = pinioni_catalog_read(rt, p.descriptors[0]);
		(void)pthread_mutex_unlock(&rt->lock);
		pinioni_parcel_close(&p);
	}
	(void)pthread_mutex_unlock(&rt->run_lock);
	return err;
}
