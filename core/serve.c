/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/serve.c - see core/serve.h.
 */
#include "core/serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "affinity/topology.h"
#include "core/application.h"
#include "core/attach.h"
#include "core/brief.h"
#include "core/catalog.h"
#include "core/replica.h"
#include "core/spec.h"
#include "core/thread.h"
#include "shm/bell.h"

/* ---- coming ----------------------------------------------------------------------------------- */

/* Its functions, from a graph that is built for nothing else. */
static int
find_node(struct pinion_runtime *rt, const pinion_host_options *o, struct pinion_app *app,
    pinion_node **found)
{
	pinion_node *ingress;

	app->runtime = rt;
	app->name = o->app;
	app->prefix = "/";
	ingress = o->builder(app, o->config);
	if (ingress == NULL || app->failed.text[0] != '\0')
		return pinioni_refuse(o->diag, -EINVAL, "%s",
		    app->failed.text[0] != '\0' ? app->failed.text
						: "the builder returned NULL: no ingress node");
	for (uint32_t i = 0; i < app->count; i++)
		if (strcmp(app->nodes[i]->name, o->deployment) == 0) {
			*found = app->nodes[i];
			return 0;
		}
	return pinioni_refuse(
	    o->diag, -ENOENT, "the builder binds no deployment \"%s\"", o->deployment);
}

static void
close_all(const int descriptors[3])
{
	for (unsigned i = 0; i < 3; i++)
		(void)close(descriptors[i]); /* nothing could be done about any */
}

/* Somebody may still be looking after its lanes: not for long. */
static int
ask(struct pinion_runtime *rt, struct control_message *m, int descriptors[3])
{
	const struct control_message asked = *m;
	int err = -EAGAIN;

	for (unsigned i = 0; i < ATTACH_WAIT_MS && err == -EAGAIN; i++) {
		if (i != 0) /* shorter: fine */
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		*m = asked;
		err = pinioni_attached_host(rt->attached, m, descriptors);
	}
	return err;
}

static int
claim(struct pinion_runtime *rt, const pinion_host_options *o, struct control_message *m,
    int descriptors[3])
{
	char *at = m->text;
	char *end;
	unsigned long number = o->replica == NULL ? UINT32_MAX : strtoul(o->replica, &end, 10);
	int err;

	if (o->replica != NULL && (*o->replica == '\0' || *end != '\0' || number >= UINT32_MAX))
		return pinioni_refuse(o->diag, -EINVAL, "replica is \"%s\": a number", o->replica);
	if (strlen(o->app) + strlen(o->deployment) + 2 > CONTROL_TEXT)
		return pinioni_refuse(o->diag, -EINVAL, "the deployment's name is too long");
	*m = pinioni_control_message(CONTROL_HOST);
	at = stpcpy(at, o->app) + 1;
	(void)stpcpy(at, o->deployment);
	m->from = rt->registry.deployment_count;
	m->host.number = (uint32_t)number;
	m->host.request_size = sizeof(struct pinion_request);
	err = ask(rt, m, descriptors);
	if (err != 0)
		return pinioni_refuse(o->diag, err, "\"%s\": %s", o->name,
		    m->err != 0 && m->text[0] != '\0' ? m->text : strerror(-err));
	if (m->host.worker >= rt->worker_count || m->host.worker < rt->host_first ||
	    m->host.replica >= DIRECTORY_REPLICAS ||
	    m->host.deployment >= rt->registry.deployment_count)
		err = -EBADMSG;
	if (err != 0) {
		close_all(descriptors);
		return pinioni_refuse(o->diag, err, "\"%s\" answers nonsense", o->name);
	}
	return 0;
}

/* All workers by their numbers; ours is one of them. */
static int
make_workers(struct pinion_runtime *rt, const struct control_host *h)
{
	struct journal *j = &rt->serving->journal;
	struct worker *w;
	int err;

	rt->workers = pinioni_journal_take(j, rt->worker_count * sizeof *rt->workers);
	if (rt->workers == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < rt->worker_count; i++)
		pinioni_worker_stand_for(&rt->workers[i], rt, i);
	rt->own_first = h->worker;
	w = &rt->workers[h->worker];
	w->cpu = h->cpu;
	w->journal = j;
	err = pinioni_worker_init(w, rt, h->worker);
	if (err != 0)
		return err;
	epoch_awake(&w->line->epoch); /* whoever was here before may have died asleep */
	pinioni_journal_set_worker(j, w);
	return 0;
}

static int
make_port(struct pinion_runtime *rt)
{
	struct worker *w = &rt->workers[rt->own_first];
	int err;

	rt->own_count = 1;
	err = pinioni_port_create(rt, w, &w->port);
	return err != 0 ? err : pinioni_port_enter_runtime(rt, w->port);
}

/* In place of the declaration that the catalog brought, which has no functions. */
static int
make_replica(struct pinion_runtime *rt, struct serving *s, pinion_node *node,
    const struct control_host *h, int brief)
{
	struct deployment *d;
	struct replica *r = pinioni_lines_take(sizeof *r);
	struct deployment *old;
	int err;

	node->index = (uint16_t)h->deployment;
	d = pinioni_spec_make(node);
	err = !spec_is_whole(d) || r == NULL ? -ENOMEM : 0;
	if (err == 0) {
		*r = (struct replica){ .deployment = d,
			.worker = &rt->workers[h->worker],
			.number = h->number,
			.index = h->replica,
			.is_ending = true };
		queue_init(&r->waiting);
		err = pinioni_brief_read(brief, d, r);
	}
	if (err != 0) {
		pinioni_spec_free(d);
		free(r);
		return err;
	}
	r->direct = spec_has_rules(d) ? NULL : r->worker;
	s->deployment = d;
	s->replica = r;
	s->nobody.worker = &rt->workers[h->worker];
	s->nobody.deployment = registry_deployment(&rt->registry, DEPLOYMENT_TASK);
	old = (struct deployment *)(uintptr_t)registry_deployment(&rt->registry, h->deployment);
	registry_publish(&rt->registry, d);
	pinioni_spec_free(old); /* nobody has called yet */
	return 0;
}

static int
mirror(struct pinion_runtime *rt)
{
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	rt->serving->mirrored = UINT64_MAX;
	err = pinioni_mirror_renew(rt);
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

static int
start_worker(struct pinion_runtime *rt)
{
	struct worker *w = runtime_own(rt, 0);
	int err = pinioni_reclaim_start(&rt->reclaimer);

	if (err != 0)
		return err;
	/* relaxed: for people. */
	atomic_store_explicit(&w->line->mode, rt->mode, memory_order_relaxed);
	atomic_store_explicit(&w->line->cpu, BOARD_CPU_ANY, memory_order_relaxed);
	atomic_store_explicit(&w->line->node, (uint32_t)w->node, memory_order_relaxed);
	w->has_thread = true;
	err = -pthread_create(&w->thread, NULL, pinioni_worker_main, w);
	if (err != 0)
		w->has_thread = false;
	return err;
}

/* Its worker, up to where it may take messages. */
static int
set_up(struct pinion_runtime *rt, pinion_node *node, const struct control_host *h,
    const int descriptors[3])
{
	struct serving *s = rt->serving;
	int err = pinioni_board_own_hosts(&rt->board, descriptors[0], rt->host_first);

	if (err == 0)
		err = pinioni_journal_attach(&s->journal, descriptors[2]);
	if (err == 0)
		err = make_workers(rt, h);
	if (err == 0)
		err = make_replica(rt, s, node, h, descriptors[1]);
	if (err == 0)
		err = mirror(rt);
	if (err == 0)
		err = make_port(rt);
	if (err == 0)
		err = start_worker(rt);
	return err;
}

static int
start_replica(struct pinion_runtime *rt, pinion_diag *diag)
{
	struct serving *s = rt->serving;
	struct control_message m = pinioni_control_message(CONTROL_READY);
	struct reservation want = { .fibers = s->deployment->stacks };
	char text[FAULT_TEXT] = "";

	pinioni_worker_control(runtime_own(rt, 0), pinioni_worker_reserve_for, &want);
	m.err = want.err != 0 ? want.err : pinioni_replica_start(s->replica, text);
	(void)snprintf(m.text, sizeof m.text, "%.200s", text);
	pinioni_attached_tell(rt->attached, &m);
	return m.err == 0 ? 0
			  : pinioni_refuse(diag, m.err, "init of replica %u failed: %s",
				s->replica->number, text[0] != '\0' ? text : strerror(-m.err));
}

static int
serve(struct pinion_runtime *rt, const pinion_host_options *o, pinion_node *node)
{
	struct control_message m;
	int descriptors[3], err = claim(rt, o, &m, descriptors);

	if (err != 0)
		return err;
	err = set_up(rt, node, &m.host, descriptors);
	close_all(descriptors); /* mapped, or not needed */
	pinioni_serve_set(rt->serving, &rt->serving->is_set_up);
	if (err != 0)
		return pinioni_refuse(o->diag, err, "a worker for \"%s\" cannot be made: %s",
		    o->deployment, strerror(-err));
	return start_replica(rt, o->diag);
}

static int
make_serving(struct pinion_runtime *rt)
{
	struct serving *s = pinioni_lines_take(sizeof *s);

	if (s == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&s->lock, NULL); /* neither fails on Linux */
	(void)pthread_cond_init(&s->changed, NULL);
	s->journal.segment = SEGMENT_UNUSED;
	rt->serving = s;
	return 0;
}

static int
build_and_serve(struct pinion_runtime *rt, const pinion_host_options *o)
{
	struct pinion_app *app = calloc(1, sizeof *app);
	pinion_node *node = NULL;
	int err = app == NULL ? -ENOMEM : find_node(rt, o, app, &node);

	if (err == 0)
		err = serve(rt, o, node);
	for (uint32_t i = 0; app != NULL && i < app->count; i++)
		pinioni_node_free(app->nodes[i]);
	free(app);
	return err;
}

static int
check_options(const pinion_host_options *o)
{
	if (o->runtime == NULL || o->name == NULL || o->builder == NULL || o->deployment == NULL)
		return pinioni_refuse(o->diag, -EINVAL, "%s is NULL",
		    o->runtime == NULL       ? "runtime"
			: o->name == NULL    ? "the name of the runtime to serve"
			: o->builder == NULL ? "the builder"
					     : "deployment");
	if (o->stack_size != 0 && (o->stack_size < 16384 || o->stack_size > INT64_C(1) << 30))
		return pinioni_refuse(o->diag, -EINVAL, "stack_size is %lld: 16 KiB to 1 GiB",
		    (long long)o->stack_size);
	if (o->drain_ns < 0)
		return pinioni_refuse(
		    o->diag, -EINVAL, "drain_ns is %lld: negative", (long long)o->drain_ns);
	return 0;
}

int
pinion_host_with(const pinion_host_options *given)
{
	pinion_host_options o = *given;
	pinion_runtime *rt;
	int err;

	if (o.diag != NULL)
		o.diag->text[0] = '\0';
	err = check_options(&o);
	if (err != 0)
		return err;
	if (o.app == NULL)
		o.app = "default";
	*o.runtime = NULL;
	err = pinioni_attach_serving(&(pinion_attach_options){ .runtime = &rt,
					 .name = o.name,
					 .size_ = sizeof(pinion_attach_options),
					 .diag = o.diag,
					 .idle = o.idle,
					 .arena_bytes = o.arena_bytes,
					 .log = o.log,
					 .log_arg = o.log_arg },
	    make_serving);
	if (err != 0)
		return err;
	rt->stack_size = o.stack_size == 0 ? (size_t)64 << 10 : (size_t)o.stack_size;
	if (o.drain_ns != 0)
		rt->drain_ns = o.drain_ns;
	pinioni_runtime_read_limits(rt);
	err = build_and_serve(rt, &o);
	if (err != 0) {
		pinioni_serve_set(rt->serving, &rt->serving->is_set_up);
		pinion_stop(rt);
		return err;
	}
	*o.runtime = rt;
	return 0;
}

/* ---- going ------------------------------------------------------------------------------------ */

/* Of a deployment that has others, what it has not begun goes to these. */
static void
end_replica(struct pinion_runtime *rt, struct serving *s)
{
	(void)pthread_mutex_lock(&rt->lock);
	s->mirrored = UINT64_MAX;
	(void)!pinioni_mirror_renew(rt); /* without memory it is as it was */
	(void)pthread_mutex_unlock(&rt->lock);
	if (runtime_phase(rt) == RUNTIME_RUNNING && deployment_count(s->deployment) != 0)
		pinioni_replica_leave(s->replica, rt->drain_ns);
	else
		pinioni_replica_end(s->replica, rt->drain_ns);
}

int
pinion_host_wait(pinion_runtime *rt)
{
	struct control_message m = pinioni_control_message(CONTROL_ENDED);
	struct serving *s;

	if (rt == NULL || rt->serving == NULL)
		return -EINVAL;
	s = rt->serving;
	(void)pthread_mutex_lock(&s->lock);
	while (!s->is_to_end)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
	if (runtime_phase(rt) >= RUNTIME_STOPPED)
		return -EOWNERDEAD;
	end_replica(rt, s);
	pinioni_attached_tell(rt->attached, &m);
	return 0;
}

static void
stop_worker(struct pinion_runtime *rt, struct worker *w)
{
	struct control_message m = pinioni_control_message(CONTROL_ENDED);
	uint64_t start = clock_monotonic_ns();
	uint32_t left = 1;

	/* What it has has its time; no more is taken. What is left is in the journal. */
	/* relaxed: seen in the next turn. */
	atomic_store_explicit(&rt->serving->is_leaving, 1, memory_order_relaxed);
	while (
	    w->has_thread && left != 0 && clock_monotonic_ns() - start < (uint64_t)rt->drain_ns) {
		pinioni_worker_control(w, pinioni_serve_count_left, &left);
		if (left != 0)
			(void)nanosleep(
			    &(struct timespec){ .tv_nsec = 200000 }, NULL); /* or less */
	}
	pinioni_attached_enter(rt, RUNTIME_STOPPED);
	if (!w->has_thread)
		return;
	pinioni_worker_ring(rt, w->index);
	(void)pthread_join(w->thread, NULL); /* joined once */
	w->has_thread = false;
	pinioni_attached_tell(rt->attached, &m); /* others may have what it had */
}

static void
free_strangers(struct serving *s)
{
	for (unsigned i = 0; i < DIRECTORY_REPLICAS; i++)
		for (struct replica *r = s->strangers[i], *next; r != NULL; r = next) {
			next = r->bygone;
			free(r);
		}
}

static void
unmap_guests(struct pinion_runtime *rt)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *port = runtime_port(rt, i);

		if (port == NULL)
			port = (pinion_port *)(uintptr_t)runtime_buried(rt, i);
		if (port != NULL && port->is_guest)
			pinioni_port_destroy(port);
		free(rt->serving->rites[i].burial);
	}
}

void
pinioni_serve_stop(struct pinion_runtime *rt)
{
	struct serving *s = rt->serving;
	struct worker *w = rt->workers == NULL ? NULL : &rt->workers[rt->own_first];
	struct lane_table *t;

	if (w != NULL && w->runtime != NULL)
		stop_worker(rt, w);
	pinioni_attached_hush(rt->attached); /* nothing is mapped from here on */
	pinioni_shells_close(rt);
	while (!pinioni_keeper_sweep(rt))
		continue; /* what is pending has ended: each looks once */
	pinioni_keeper_stop(rt);
	pinioni_reclaim_stop(&rt->reclaimer);
	unmap_guests(rt);
	if (w != NULL && w->runtime != NULL) {
		if (w->port != NULL)
			pinioni_port_destroy(w->port);
		/* relaxed: no other thread is left. */
		t = atomic_load_explicit(&w->lanes, memory_order_relaxed);
		if (t != NULL)
			pinioni_heap_give(&rt->heap, t, t->room);
		pinioni_worker_deinit(w);
	}
	rt->workers = NULL;
	pinioni_journal_destroy(&s->journal);
	free_strangers(s);
	free(s->replica);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
	rt->serving = NULL;
}
