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
#include <unistd.h>

#include "core/attachment.h"
#include "core/catalog.h"
#include "core/serve.h"
#include "core/thread.h"
#include "shm/rendezvous.h"

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
		err =
		    n < 0 && errno != EINTR ? -errno : pinioni_attachment_receive(a->channel, m, p);
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
	    m->terms.host_workers >= m->terms.workers || m->terms.slots == 0 ||
	    m->terms.slots > SLOT_COUNT_MAX || m->terms.lane_cells < 2 ||
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
	rt->host_first = terms->workers - terms->host_workers;
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

	unsigned hosts = runtime_host_count(rt), wanted = hosts != 0 ? 4 : 3;

	if (p->descriptor_count != wanted)
		return pinioni_refuse(o->diag, -EBADMSG, "\"%s\" sent %u descriptors, not %u",
		    o->name, p->descriptor_count, wanted);
	err = pinioni_board_attach(&rt->board,
	    &(struct board_grant){ .board = p->descriptors[0],
		.bells = p->descriptors[1],
		.hosts = hosts != 0 ? p->descriptors[3] : -1,
		.workers = rt->host_first,
		.host_workers = hosts });
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
	int err = -pthread_create(&a->listener, NULL, pinioni_attachment_listen, a);

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
	*is_shared = rt->serving == NULL && share(rt, key, o->runtime);
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

/* make: NULL, or what it is beside a client. */
static int
attach_anew(const pinion_attach_options *o, int (*make)(struct pinion_runtime *rt))
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
	err = make == NULL ? 0 : make(rt);
	if (err == 0)
		err = attach(rt, o, &is_shared);
	(void)pthread_mutex_unlock(&attach_lock);
	if (err != 0 || is_shared) {
		if (rt->serving != NULL)
			pinioni_serve_stop(rt);
		take_apart(rt);
		return err;
	}
	*o->runtime = rt;
	return 0;
}

int
pinion_attach_with(const pinion_attach_options *o)
{
	return attach_anew(o, NULL);
}

int
pinioni_attach_serving(const pinion_attach_options *o, int (*make)(struct pinion_runtime *rt))
{
	return attach_anew(o, make);
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
	if (rt->serving == NULL && runtime_phase(rt) < RUNTIME_CANCELING)
		pinioni_attached_enter(
		    rt, RUNTIME_CANCELING); /* who waits for a result is told so */
	if (rt->serving != NULL)
		pinioni_serve_stop(rt);
	pinioni_shells_close(rt);
	while (!pinioni_keeper_sweep(rt))
		continue; /* what is pending has ended: each looks once */
	pinioni_runtimes_remove(rt);
	(void)pthread_mutex_unlock(&attach_lock);
	take_apart(rt);
}
