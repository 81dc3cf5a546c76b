/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/attach.c - see core/attach.h.
 */
#include "core/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "affinity/pin.h"
#include "core/catalog.h"
#include "core/thread.h"
#include "shm/channel.h"
#include "shm/rendezvous.h"

struct attachment {
	struct pinion_runtime *runtime;
	int channel;
	struct channel_peer peer;
	pthread_t listener;
	bool has_listener;
	uint32_t users; /* W under the table's lock */
	size_t arena_bytes;
	struct clock_scale clock;
	pthread_mutex_t ask_lock; /* one asks at a time; before `lock` */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	uint64_t serial; /* W under ask_lock: of the last question */
	bool is_over;    /* W listener, under `lock`: nobody answers */
	bool is_asked;   /* under `lock`, as are: */
	struct control_message answer;
	struct parcel brought;
};

/* ---- the connection ------------------------------------------------------------------------- */

/* What is no message of ours is nothing that can be answered. */
static int
receive_from(int channel, struct control_message *m, struct parcel *p)
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
	(void)pthread_mutex_unlock(&rt->lock);
}

static void
enter_phase(struct pinion_runtime *rt, enum runtime_phase phase)
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
	int err = receive_from(a->channel, &m, &p);

	if (err != 0)
		return err;
	if (m.kind == CONTROL_STOPPING) {
		pinioni_parcel_close(&p);
		if (runtime_phase(a->runtime) == RUNTIME_RUNNING)
			enter_phase(a->runtime, RUNTIME_DRAINING);
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

static void *
listen_to(void *attachment)
{
	struct attachment *a = attachment;
	struct pollfd on[2] = { { .fd = a->channel, .events = POLLIN },
		{ .fd = a->peer.pidfd, .events = POLLIN } };

	pinioni_thread_name("pinion-listen");
	do
		(void)poll(on, 2, -1); /* interrupted: looked at again */
	while (listen_all(a) && (on[1].revents & POLLIN) == 0);
	(void)listen_all(a); /* what it said before it ended */
	(void)shutdown(a->channel,
	    SHUT_RDWR); /* if it lives, it has cut us off, or we cannot hear it any more */
	(void)pthread_mutex_lock(&a->lock);
	a->is_over = true;
	(void)pthread_cond_broadcast(&a->answered);
	(void)pthread_mutex_unlock(&a->lock);
	enter_phase(a->runtime,
	    runtime_phase(a->runtime) == RUNTIME_RUNNING ? RUNTIME_LOST : RUNTIME_STOPPED);
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
pinioni_attached_port(struct attachment *a, size_t arena_bytes, struct port_grant *grant)
{
	struct control_message m = pinioni_control_message(CONTROL_PORT);
	struct parcel p;
	int err;

	m.port.arena_bytes = arena_bytes != 0 ? arena_bytes : a->arena_bytes;
	err = ask_for(a, &m, &p, 2);
	if (err != 0)
		return err;
	*grant = (struct port_grant){
		.port = m.port, .memory = p.descriptors[0], .lanes = p.descriptors[1]
	};
	return 0;
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

/* ---- attaching ------------------------------------------------------------------------------ */

static int
check_options(const pinion_attach_options *o)
{
	if (o->runtime == NULL || o->name == NULL)
		return pinioni_refuse(o->diag, -EINVAL, "%s is NULL",
		    o->runtime == NULL ? "runtime" : "the name to attach to");
	if (o->arena_bytes != 0 &&
	    (o->arena_bytes < ARENA_STEP || (o->arena_bytes & (o->arena_bytes - 1)) != 0))
		return pinioni_refuse(o->diag, -EINVAL,
		    "arena_bytes is %lld: a power of two, %d or more", (long long)o->arena_bytes,
		    ARENA_STEP);
	if (thread_worker() != NULL)
		return pinioni_refuse(o->diag, -EINVAL, "a handler cannot attach");
	return 0;
}

/* The answer to HELLO, with what it brings; until it comes nothing else does. */
static int
greet(struct attachment *a, struct control_message *m, struct parcel *p)
{
	struct pollfd on = { .fd = a->channel, .events = POLLIN };
	int err;

	*m = pinioni_control_message(CONTROL_HELLO);
	err = pinioni_control_send(a->channel, m, NULL, 0);
	if (err != 0 && err != -EPIPE)
		return err; /* it may have closed, and said why */
	do {
		int n = poll(&on, 1, ATTACH_WAIT_MS);

		if (n == 0)
			return -ETIMEDOUT;
		err = n < 0 && errno != EINTR ? -errno : receive_from(a->channel, m, p);
	} while (err == -EAGAIN);
	return err;
}

/* Before anything of it is looked at. */
static int
check_greeting(const pinion_attach_options *o, const struct control_message *m)
{
	if (m->err != 0)
		return pinioni_refuse(o->diag, m->err, "\"%s\": %s", o->name, m->text);
	if (m->version != CONTROL_VERSION || m->layout_hash != pinioni_segment_layout_hash())
		return pinioni_refuse(o->diag, -EPROTO,
		    "\"%s\" runs another build of pinion (version %u, layout %llx; here version %d, "
		    "layout %llx)",
		    o->name, m->version, (unsigned long long)m->layout_hash, CONTROL_VERSION,
		    (unsigned long long)pinioni_segment_layout_hash());
	if (m->kind != CONTROL_HELLO || m->terms.workers == 0 || m->terms.workers > WORKERS_MAX ||
	    m->terms.slots == 0 || m->terms.slots > SLOT_COUNT_MAX || m->terms.lane_cells < 2 ||
	    (m->terms.lane_cells & (m->terms.lane_cells - 1)) != 0 ||
	    m->terms.mode > BOARD_DRIVEN || m->terms.pace >= PACES)
		return pinioni_refuse(o->diag, -EBADMSG, "\"%s\" answers nonsense", o->name);
	return 0;
}

/* How long who waits here looks is not for the workers to say. */
static int
set_patience(struct pinion_runtime *rt, const pinion_attach_options *o)
{
	static const char *const names[] = { "adaptive", "yield", "spin" };
	unsigned which = 0;

	while (o->idle != NULL && which < 3 && strcmp(names[which], o->idle) != 0)
		which++;
	if (which == 3)
		return pinioni_refuse(o->diag, -EINVAL,
		    "idle is \"%s\": \"adaptive\", \"yield\" or \"spin\"", o->idle);
	rt->spin_ticks = (which == 1 ? YIELD_US : SPIN_US) * rt->ticks_us;
	rt->sleep_ticks = which == 1 ? YIELD_MAX_US * rt->ticks_us : rt->spin_ticks;
	if (which == 2)
		rt->spin_ticks = rt->sleep_ticks = UINT64_MAX;
	return 0;
}

static int
take_terms(
    struct pinion_runtime *rt, const pinion_attach_options *o, const struct control_terms *terms)
{
	rt->worker_count = terms->workers;
	rt->slots = terms->slots;
	rt->lane_cells = terms->lane_cells;
	rt->mode = terms->mode == BOARD_DRIVEN ? BOARD_ADAPTIVE : terms->mode;
	/* relaxed: there are no other threads yet. */
	atomic_store_explicit(&rt->pace, terms->pace, memory_order_relaxed);
	rt->attached->clock = terms->clock;
	rt->attached->arena_bytes =
	    o->arena_bytes == 0 ? (size_t)ATTACH_ARENA : (size_t)o->arena_bytes;
	rt->clock = pinioni_clock_scaled(&rt->attached->clock);
	rt->clock_is_time = true;
	rt->ticks_us = pinioni_clock_ticks_us();
	rt->node_count = 1;
	rt->drain_ns = INT64_C(1000000000);
	rt->log = o->log;
	rt->log_arg = o->log_arg;
	(void)snprintf(rt->name, sizeof rt->name, "%.*s", (int)sizeof terms->name, terms->name);
	(void)snprintf(rt->placement, sizeof rt->placement, "attached to \"%s\", process %ld",
	    o->name, (long)rt->attached->peer.pid);
	return set_patience(rt, o);
}

static int
map_all(struct pinion_runtime *rt, const pinion_attach_options *o, const struct parcel *p)
{
	int err;

	if (p->descriptor_count != 3)
		return pinioni_refuse(o->diag, -EBADMSG, "\"%s\" sent %u descriptors, not 3",
		    o->name, p->descriptor_count);
	err = pinioni_board_attach(
	    &rt->board, p->descriptors[0], p->descriptors[1], rt->worker_count);
	if (err == 0)
		err = pinioni_directory_attach(&rt->directory, p->descriptors[2]);
	if (err == -EPERM)
		err = -EBADMSG; /* bells that are sealed against ringing */
	if (err != 0)
		return pinioni_refuse(o->diag, err,
		    "what \"%s\" sent is no sealed board or directory of this build: %s", o->name,
		    strerror(-err));
	return 0;
}

static int
start_threads(struct pinion_runtime *rt, const pinion_attach_options *o)
{
	struct attachment *a = rt->attached;
	int err = -pthread_create(&a->listener, NULL, listen_to, a);

	a->has_listener = err == 0;
	if (err == 0)
		err = pinioni_keeper_start(rt);
	if (err == 0)
		err = pinioni_attached_renew(rt);
	return err == 0 ? 0
			: pinioni_refuse(o->diag, err, "\"%s\" cannot be attached to: %s", o->name,
			      strerror(-err));
}

static int
greet_and_map(struct pinion_runtime *rt, const pinion_attach_options *o, uint64_t *key)
{
	struct attachment *a = rt->attached;
	struct control_message m;
	struct parcel p;
	int err = greet(a, &m, &p);

	if (err != 0)
		return pinioni_refuse(o->diag, err, "\"%s\" (process %ld) does not answer: %s",
		    o->name, (long)a->peer.pid, strerror(-err));
	err = check_greeting(o, &m);
	if (err == 0)
		err = take_terms(rt, o, &m.terms);
	if (err == 0)
		err = map_all(rt, o, &p);
	pinioni_parcel_close(&p);
	*key = m.terms.key & 0xffffff;
	return err == 0 && (*key & 0xff) == 0 ? -EBADMSG : err;
}

static int
connect_to(struct attachment *a, const pinion_attach_options *o)
{
	struct rendezvous_error why;
	int err = pinioni_rendezvous_connect(o->name, &a->channel, &why);

	if (err != 0)
		return pinioni_refuse(o->diag, err, "%s", why.text);
	err = pinioni_channel_peer(a->channel, &a->peer);
	if (err != 0)
		return pinioni_refuse(
		    o->diag, err, "\"%s\" ends just now: %s", o->name, strerror(-err));
	if (a->peer.pid == getpid())
		return pinioni_refuse(o->diag, -EINVAL,
		    "\"%s\" runs in this process: use the runtime that pinion_start gave", o->name);
	return 0;
}

static void
take_apart(struct pinion_runtime *rt)
{
	struct attachment *a = rt->attached;

	if (a->channel >= 0)
		(void)shutdown(a->channel, SHUT_RDWR); /* the listener's end, too */
	if (a->has_listener)
		(void)pthread_join(a->listener, NULL); /* joined once */
	pinioni_keeper_stop(rt);
	pinioni_applications_free(rt);
	pinioni_catalogs_free(rt->catalogs);
	pinioni_directory_destroy(&rt->directory);
	pinioni_board_destroy(&rt->board);
	if (a->channel >= 0)
		(void)close(a->channel); /* nothing could be done about these */
	if (a->peer.pidfd >= 0)
		(void)close(a->peer.pidfd);
	(void)pthread_cond_destroy(&a->answered);
	(void)pthread_mutex_destroy(&a->lock);
	(void)pthread_mutex_destroy(&a->ask_lock);
	free(a);
	pinioni_runtime_free(rt);
}

static struct attachment *
make_attachment(void)
{
	struct attachment *a = pinioni_lines_take(sizeof *a);
	pthread_condattr_t steady;

	if (a == NULL)
		return NULL;
	a->channel = a->peer.pidfd = -1;
	a->users = 1;
	(void)pthread_condattr_init(&steady); /* these cannot fail on Linux */
	(void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&a->answered, &steady);
	(void)pthread_condattr_destroy(&steady);
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_mutex_init(&a->ask_lock, NULL);
	return a;
}

/* Somebody in this process has attached to it before: they share. */
static bool
share(struct pinion_runtime *fresh, uint64_t key, pinion_runtime **out)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(key);
	bool is_same = rt != NULL && rt->attached != NULL && rt->attached->users != 0 &&
	    rt->attached->peer.pid == fresh->attached->peer.pid;

	if (is_same) {
		rt->attached->users++;
		*out = rt;
	}
	if (rt != NULL)
		pinioni_runtimes_unlock();
	return is_same;
}

/* Listed when it is ready, so that nobody shares half of one. */
static int
attach(struct pinion_runtime *rt, const pinion_attach_options *o, bool *is_shared)
{
	uint64_t key;
	int err = connect_to(rt->attached, o);

	if (err == 0)
		err = greet_and_map(rt, o, &key);
	if (err != 0)
		return err;
	*is_shared = share(rt, key, o->runtime);
	if (*is_shared)
		return 0;
	rt->key = key;
	err = start_threads(rt, o);
	if (err != 0)
		return err;
	err = pinioni_runtimes_add(rt, key);
	return err == 0 ? 0
			: pinioni_refuse(o->diag, err, "\"%s\": %s", o->name,
			      err == -EEXIST ? "another runtime here has its key; try again"
					     : "too many runtimes in one process");
}

/* Attaching and leaving are for one thread at a time: the second finds what the first has made, or nothing. */
static pthread_mutex_t attach_lock = PTHREAD_MUTEX_INITIALIZER;

int
pinion_attach_with(const pinion_attach_options *o)
{
	struct pinion_runtime *rt;
	bool is_shared = false;
	int err;

	if (o->diag != NULL)
		o->diag->text[0] = '\0';
	err = check_options(o);
	if (err != 0)
		return err;
	*o->runtime = NULL;
	rt = pinioni_runtime_new();
	if (rt != NULL && (rt->attached = make_attachment()) == NULL) {
		pinioni_runtime_free(rt);
		rt = NULL;
	}
	if (rt == NULL)
		return pinioni_refuse(o->diag, -ENOMEM, "no memory");
	rt->attached->runtime = rt;
	(void)pthread_mutex_lock(&attach_lock);
	err = attach(rt, o, &is_shared);
	(void)pthread_mutex_unlock(&attach_lock);
	if (err != 0 || is_shared) {
		take_apart(rt);
		return err;
	}
	*o->runtime = rt;
	return 0;
}

int
pinion_attach_list(pinion_name_fn *visit, void *arg, pinion_diag *diag)
{
	struct rendezvous_error why = { "" };
	int err = pinioni_rendezvous_list(visit, arg, &why);

	return err == 0 ? 0 : pinioni_refuse(diag, err, "%s", why.text);
}

void
pinioni_attached_forked(const struct attachment *a)
{
	(void)pthread_mutex_init(
	    &attach_lock, NULL); /* some thread of the parent's may have had it */
	if (a != NULL)
		(void)close(a->channel); /* nothing could be done about it */
}

/* ---- leaving -------------------------------------------------------------------------------- */

void
pinioni_attached_leave(struct pinion_runtime *rt)
{
	bool is_last;

	(void)pthread_mutex_lock(&attach_lock);
	if (pinioni_runtimes_lock(rt->key) == NULL) {
		(void)pthread_mutex_unlock(&attach_lock);
		return;
	}
	is_last = --rt->attached->users == 0;
	pinioni_runtimes_unlock();
	if (!is_last) {
		(void)pthread_mutex_unlock(&attach_lock);
		return;
	}
	if (runtime_phase(rt) < RUNTIME_CANCELING)
		enter_phase(rt, RUNTIME_CANCELING); /* who waits for a result is told so */
	pinioni_shells_close(rt);
	while (!pinioni_keeper_sweep(rt))
		continue; /* what is pending has ended: each looks once */
	pinioni_runtimes_remove(rt);
	(void)pthread_mutex_unlock(&attach_lock);
	take_apart(rt);
}
