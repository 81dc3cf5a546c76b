/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/deploy.c - a node of the graph becomes replicas on workers.
 */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/call.h"
#include "core/record.h"
#include "core/thread.h"
#include "core/value.h"

/* What init sees of its arguments: the same views that a request has. */
struct pinion_init {
	pinion_request args;
	unsigned replica;
	char text[FAULT_TEXT];
};

struct start {
	struct replica *replica;
	const pinion_node *node;
	int err;
	char text[FAULT_TEXT];
};

/* ---- init's view ---------------------------------------------------------------------------- */

bool
pinion_init_bool(pinion_init *i, unsigned index)
{
	return pinion_arg_bool(&i->args, index);
}

int64_t
pinion_init_i64(pinion_init *i, unsigned index)
{
	return pinion_arg_i64(&i->args, index);
}

uint64_t
pinion_init_u64(pinion_init *i, unsigned index)
{
	return pinion_arg_u64(&i->args, index);
}

double
pinion_init_f64(pinion_init *i, unsigned index)
{
	return pinion_arg_f64(&i->args, index);
}

pinion_str
pinion_init_str(pinion_init *i, unsigned index)
{
	return pinion_arg_str(&i->args, index);
}

pinion_bytes
pinion_init_bytes(pinion_init *i, unsigned index)
{
	return pinion_arg_bytes(&i->args, index);
}

const void *
pinion_init_struct_at(pinion_init *i, unsigned index, size_t size, size_t align)
{
	return pinion_arg_struct_at(&i->args, index, size, align);
}

pinion_handle
pinion_init_handle(pinion_init *i, unsigned index)
{
	return pinion_arg_handle(&i->args, index);
}

unsigned
pinion_init_replica(pinion_init *i)
{
	return i->replica;
}

pinion_runtime *
pinion_init_runtime(pinion_init *i)
{
	return pinion_request_runtime(&i->args);
}

int
pinion_init_fail(pinion_init *i, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(i->text, sizeof i->text, format, list); /* cut short: fine */
	va_end(list);
	return error < 0 ? error : error > 0 ? -error : -EINVAL;
}

/* ---- on the replica's worker ---------------------------------------------------------------- */

static void
start_replica(struct worker *w, void *arg)
{
	struct start *s = arg;
	const pinion_deployment *d = s->node->declared;
	struct method m = { .name = "init",
		.params = d->init_params.list,
		.param_count = (uint8_t)d->init_params.count,
		.deployment = s->replica->deployment };
	struct pinion_init *init = pinioni_heap_take(w->heap, sizeof *init);

	if (d->replica_size != 0)
		s->replica->state = pinioni_heap_take(w->heap, d->replica_size);
	if (init == NULL || (d->replica_size != 0 && s->replica->state == NULL)) {
		s->err = -ENOMEM;
	} else if (d->init != NULL) {
		init->args.method = &m;
		init->args.worker = w;
		init->args.inside = true; /* so that it never goes to the pool */
		init->replica = s->replica->number;
		s->err = pinioni_record_decode_at(
		    &init->args, s->node->record, (uint32_t)s->node->record_length);
		pinioni_worker_publish_depth(w, 1); /* busy: siblings keep their surplus */
		if (s->err == 0)
			s->err = d->init(s->replica->state, init);
		pinioni_worker_publish_depth(w, 0);
		memcpy(s->text, init->text, sizeof s->text);
	}
	pinioni_heap_give(w->heap, init, sizeof *init);
	if (s->err != 0 && s->replica->state != NULL) {
		pinioni_heap_give(w->heap, s->replica->state, d->replica_size);
		s->replica->state = NULL;
	}
}

static void
end_replica(struct worker *w, void *arg)
{
	struct replica *r = arg;
	const pinion_deployment *d = r->deployment->declared;

	if (d->deinit != NULL)
		d->deinit(r->state);
	if (r->state != NULL)
		pinioni_heap_give(w->heap, r->state, d->replica_size);
	r->state = NULL;
}

/* Nothing begins there any more; what waits for it fails in the next turn. */
static void
close_replica(struct worker *w, void *arg)
{
	struct replica *r = arg;

	r->is_ending = true;
	while (r->waiting != NULL)
		pinioni_worker_unpark(w, r);
}

struct busy {
	const struct replica *replica;
	uint32_t ongoing;
};

static void
count_ongoing(struct worker *w, void *arg)
{
	struct busy *b = arg;

	(void)w;
	b->ongoing = b->replica->ongoing;
}

/* Whoever was called while the application came up may still run. False: longer than drain_ns. */
static bool
has_ended(struct pinion_runtime *rt, const struct replica *r)
{
	uint64_t start = clock_monotonic_ns();
	struct busy b = { .replica = r };

	for (;;) {
		pinioni_worker_control(r->worker, count_ongoing, &b);
		if (b.ongoing == 0)
			return true;
		if (clock_monotonic_ns() - start > (uint64_t)rt->drain_ns)
			return false;
		(void)sched_yield(); /* cannot fail on Linux */
	}
}

static void
end_one(struct pinion_runtime *rt, struct replica *r)
{
	pinioni_worker_control(r->worker, close_replica, r);
	if (has_ended(rt, r))
		pinioni_worker_control(r->worker, end_replica, r);
	else
		pinioni_runtime_log(rt,
		    "%s: a handler still runs, deinit of replica %u is left out",
		    r->deployment->name, r->number);
}

/* ---- specs ---------------------------------------------------------------------------------- */

static uint64_t
signature_of(const pinion_params *params)
{
	uint64_t signature = 0;

	for (size_t i = 0; i < params->count; i++) {
		if (!kind_is_scalar(params->list[i].kind))
			return UINT64_MAX; /* never what PINION_ARGS makes */
		signature |= (uint64_t)params->list[i].kind << 4 * i;
	}
	return signature;
}

static uint32_t
result_size(const pinion_method *m)
{
	if (kind_is_variable(m->returns.kind))
		return m->result_max == 0 ? PINION_RESULT_MAX_DEFAULT : m->result_max;
	return m->returns.kind == PINION_KIND_STRUCT ? m->returns.size : 16;
}

/* Whether its replicas look at what comes. */
static bool
has_rules(const struct deployment *d)
{
	return d->rules.max_queued != 0 || d->rules.queue_timeout_ns != 0;
}

static struct deployment *
make_spec(const pinion_node *node)
{
	const pinion_deployment *declared = node->declared;
	struct deployment *d = pinioni_lines_take(sizeof *d);

	if (d == NULL)
		return NULL;
	d->name = strdup(node->name);
	d->methods = pinioni_lines_take(declared->methods.count * sizeof *d->methods);
	d->declared = declared;
	d->method_count = declared->methods.count;
	d->max_ongoing = node->max_ongoing;
	d->rules = node->rules;
	d->index = node->index;
	d->replica_count = node->num_replicas;
	for (size_t i = 0; d->methods != NULL && i < d->method_count; i++) {
		const pinion_method *m = &declared->methods.list[i];

		d->methods[i] = (struct method){ .name = m->name,
			.handler = m->handler,
			.params = m->params.list,
			.deployment = d,
			.signature = signature_of(&m->params),
			.returns =
			    m->stream ? (pinion_returns){ .kind = PINION_KIND_NONE } : m->returns,
			.items =
			    m->stream ? m->returns : (pinion_returns){ .kind = PINION_KIND_NONE },
			.result_size = m->stream ? UINT32_MAX : result_size(m),
			.item_size = m->stream ? result_size(m) : 0,
			.param_count = (uint8_t)m->params.count,
			.index = (uint8_t)i,
			.has_more = m->stream || result_size(m) > SLOT_BYTES || has_rules(d) };
	}
	return d;
}

static void
free_spec(struct deployment *d)
{
	if (d == NULL)
		return;
	free((char *)(uintptr_t)d->name); /* strdup'ed, const for everybody else */
	free(d->methods);
	free(d);
}

/* ---- replicas ------------------------------------------------------------------------------- */

/* The least used worker that has none of these siblings, as long as there is one. */
static unsigned
place(const struct pinion_runtime *rt, uint32_t number)
{
	unsigned best = 0;
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < rt->worker_count; i++) {
		unsigned w = (number + i) % rt->worker_count;

		if (rt->replicas_placed[w] < least) {
			least = rt->replicas_placed[w];
			best = w;
		}
	}
	return best;
}

struct retired_replicas {
	struct retired retired;
	struct replica_table *table;
};

static void
free_replicas(struct pinion_runtime *rt, struct retired *retired)
{
	struct retired_replicas *r = caa_container_of(retired, struct retired_replicas, retired);

	(void)rt;
	free(r->table);
	free(r);
}

/* A longer table in place of the old one, which goes after a grace period. */
static int
add_replicas(struct pinion_runtime *rt, struct deployment *d)
{
	/* relaxed: written under the lock that we hold. */
	struct replica_table *old =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);
	uint32_t before = old == NULL ? 0 : old->count;
	uint32_t all = before + d->replica_count;
	struct retired_replicas *past;
	struct replica_table *t;

	if (all > DIRECTORY_REPLICAS)
		return -ENOSPC;
	past = calloc(1, sizeof *past);
	t = pinioni_lines_take(sizeof *t + all * sizeof t->replicas[0]);
	if (past == NULL || t == NULL)
		goto undo_memory;
	*past = (struct retired_replicas){ .retired = { .runtime = rt, .free = free_replicas },
		.table = old };
	if (before != 0)
		memcpy(t->replicas, old->replicas, before * sizeof t->replicas[0]);
	t->count = before;
	d->first_replica = before;
	for (uint32_t i = 0; i < d->replica_count; i++) {
		struct replica *r = pinioni_lines_take(sizeof *r);
		unsigned w = place(rt, i);

		if (r == NULL)
			goto undo_table;
		*r = (struct replica){ .deployment = d, .worker = &rt->workers[w], .number = i };
		r->index = before + i;
		r->direct = has_rules(d) ? NULL : r->worker;
		r->queue_share = d->rules.max_queued / d->replica_count +
		    (i < d->rules.max_queued % d->replica_count);
		r->waiting_end = &r->waiting;
		rt->replicas_placed[w]++;
		t->replicas[t->count++] = r;
	}
	/* G: the table and its replicas are written. */
	atomic_store_explicit(&rt->registry.replicas, t, memory_order_release);
	pinioni_retire(&rt->reclaimer, &past->retired);
	return 0;

undo_table:
	while (t->count > before) {
		rt->replicas_placed[t->replicas[--t->count]->worker->index]--;
		free(t->replicas[t->count]);
	}
undo_memory:
	free(past);
	free(t);
	return -ENOMEM;
}

static void
publish_route(struct pinion_runtime *rt, const struct deployment *d, uint32_t count)
{
	struct directory *dir = &rt->directory;
	/* relaxed: written under the lock that we hold. */
	const struct replica_table *t =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);

	directory_begin(dir);
	for (uint32_t i = 0; i < d->replica_count; i++) {
		directory_put32(&dir->replicas[d->first_replica + i].worker,
		    t->replicas[d->first_replica + i]->worker->index);
		directory_put32(&dir->replicas[d->first_replica + i].deployment, d->index);
	}
	directory_put32(&dir->deployments[d->index].first, d->first_replica);
	directory_put32(&dir->deployments[d->index].count, count);
	directory_put64(&dir->head->deployment_count, rt->registry.deployment_count);
	directory_put64(&dir->head->replica_count, t->count);
	directory_end(dir);
}

static int
reserve_fibers(struct pinion_app *app, const struct deployment *d)
{
	struct pinion_runtime *rt = app->runtime;
	/* relaxed: written by this thread. */
	const struct replica_table *t =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);
	uint64_t all = rt->fibers_reserved;

	if (2 * all > rt->mappings_max) {
		pinioni_app_refuse(app,
		    "%s: %u replicas of %u requests at once need %llu more mappings than "
		    "vm.max_map_count allows (%llu)",
		    d->name, d->replica_count, d->max_ongoing,
		    (unsigned long long)(2 * all - rt->mappings_max),
		    (unsigned long long)rt->mappings_max);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < d->replica_count; i++) {
		struct reservation want = { .fibers = d->max_ongoing };

		pinioni_worker_control(
		    t->replicas[d->first_replica + i]->worker, pinioni_worker_reserve_for, &want);
		if (want.err != 0)
			return want.err;
	}
	return 0;
}

static int
init_all(struct pinion_app *app, pinion_node *node)
{
	struct pinion_runtime *rt = app->runtime;
	struct deployment *d = node->deployment;
	/* relaxed: written by this thread. */
	const struct replica_table *t =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);

	for (uint32_t i = 0; i < d->replica_count; i++) {
		struct start s = { .replica = t->replicas[d->first_replica + i], .node = node };

		pinioni_worker_control(s.replica->worker, start_replica, &s);
		if (s.err != 0) {
			pinioni_app_refuse(app, "%s: init of replica %u failed: %s", d->name, i,
			    s.text[0] != '\0' ? s.text : strerror(-s.err));
			return s.err;
		}
		node->inited++;
	}
	return 0;
}

static int
add_deployment(struct pinion_runtime *rt, struct deployment *d)
{
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	err = rt->registry.deployment_count == DIRECTORY_DEPLOYMENTS ? -ENOSPC : 0;
	if (err == 0)
		err = add_replicas(rt, d);
	if (err == 0) {
		rt->registry.deployment_count++;
		registry_publish(&rt->registry, d);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

int
pinioni_deploy(struct pinion_app *app, pinion_node *node)
{
	struct pinion_runtime *rt = app->runtime;
	struct deployment *d = make_spec(node);
	int err;

	err = d == NULL || d->methods == NULL || d->name == NULL ? -ENOMEM : add_deployment(rt, d);
	if (err != 0) {
		if (err == -ENOSPC)
			pinioni_app_refuse(app,
			    "%s: more than %d deployments or %d replicas in one runtime",
			    node->name, DIRECTORY_DEPLOYMENTS, DIRECTORY_REPLICAS);
		free_spec(d);
		return err;
	}
	node->deployment = d;
	rt->fibers_reserved += (uint64_t)d->replica_count * d->max_ongoing;
	err = reserve_fibers(app, d);
	if (err == 0)
		err = init_all(app, node);
	if (err != 0)
		return err;
	(void)pthread_mutex_lock(&rt->lock);
	publish_route(rt, d, d->replica_count);
	d->is_live = true;
	(void)pthread_mutex_unlock(&rt->lock);
	return 0;
}

void
pinioni_undeploy(struct pinion_runtime *rt, struct deployment *d, uint32_t inited)
{
	/* relaxed: written by this thread. */
	const struct replica_table *t =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);

	(void)pthread_mutex_lock(&rt->lock);
	publish_route(rt, d, 0);
	d->is_live = false;
	(void)pthread_mutex_unlock(&rt->lock);
	for (uint32_t i = d->replica_count; i-- > 0;) {
		struct replica *r = t->replicas[d->first_replica + i];

		if (i < inited)
			end_one(rt, r);
		rt->replicas_placed[r->worker->index]--;
		rt->fibers_reserved -= d->max_ongoing;
	}
}

void
pinioni_applications_end(struct pinion_runtime *rt)
{
	struct registry *g = &rt->registry;

	for (uint32_t i = g->deployment_count; i-- > 0;) {
		struct deployment *d = (struct deployment *)(uintptr_t)registry_deployment(g, i);

		if (d->is_live)
			pinioni_undeploy(rt, d, d->replica_count);
	}
}

void
pinioni_applications_free(struct pinion_runtime *rt)
{
	struct registry *g = &rt->registry;
	/* relaxed: no other thread is left. */
	struct replica_table *t = atomic_load_explicit(&g->replicas, memory_order_relaxed);

	for (uint32_t i = 0; t != NULL && i < t->count; i++)
		free(t->replicas[i]);
	free(t);
	for (uint32_t i = 0; i < g->deployment_count; i++)
		free_spec((struct deployment *)(uintptr_t)registry_deployment(g, i));
	for (uint32_t i = 0; i < g->late_count; i++)
		free(g->late[i].unknown);
	for (uint32_t i = 0; i < rt->app_count; i++) {
		free(rt->apps[i].name);
		free(rt->apps[i].prefix);
	}
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static int
run_task(void *state, pinion_request *r)
{
	struct pinion_runtime *rt = r->worker->runtime;
	unsigned function = r->message.function & ~(unsigned)MESSAGE_TERMS;
	pinion_task_fn *fn = NULL;

	(void)state;
	if (function < TASK_FUNCTIONS) {
		/* relaxed: P of the message came after it was registered. */
		fn = atomic_load_explicit(&rt->tasks[function], memory_order_relaxed);
	}
	return fn == NULL ? -EBADMSG : fn(r);
}

static const pinion_deployment tasks = {
	.name = "task",
	.methods = PINION_METHODS(PINION_METHOD("run", run_task, .returns = PINION_RETURNS_STR)),
};

int
pinioni_deploy_tasks(struct pinion_runtime *rt)
{
	struct pinion_app *app = calloc(1, sizeof *app);
	pinion_node *node = calloc(1, sizeof *node);
	int err = app == NULL || node == NULL ? -ENOMEM : 0;

	if (err == 0) {
		app->runtime = rt;
		*node = (pinion_node){ .app = app,
			.declared = &tasks,
			.name = (char[]){ "task" },
			.num_replicas = rt->worker_count,
			.max_ongoing = PINION_MAX_ONGOING_DEFAULT };
		err = pinioni_deploy(app, node);
	}
	if (err == 0) {
		node->deployment->methods[0].any_params = true;
		node->deployment->methods[0].signature = UINT64_MAX;
	}
	free(node);
	free(app);
	return err;
}

/* The number of a function, the same whenever it is asked for. */
static int
task_index(struct pinion_runtime *rt, pinion_task_fn *fn)
{
	int at = -ENOSPC;

	for (int i = 0; i < TASK_FUNCTIONS; i++) {
		/* relaxed: a miss is looked at again under the lock. */
		pinion_task_fn *there = atomic_load_explicit(&rt->tasks[i], memory_order_relaxed);

		if (there == fn)
			return i;
		if (there == NULL)
			break;
	}
	(void)pthread_mutex_lock(&rt->lock);
	for (int i = 0; i < TASK_FUNCTIONS && at < 0; i++) {
		pinion_task_fn *there =
		    /* relaxed twice: under the lock; told to workers by P. */
		    atomic_load_explicit(&rt->tasks[i], memory_order_relaxed);

		if (there == NULL)
			atomic_store_explicit(&rt->tasks[i], fn, memory_order_relaxed);
		if (there == NULL || there == fn)
			at = i;
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return at;
}

pinion_response
pinioni_task_submit(pinion_port *port, pinion_task_fn *fn, pinion_args args)
{
	const struct deployment *d = registry_deployment(&port->runtime->registry, DEPLOYMENT_TASK);
	int index = fn == NULL ? -EINVAL : task_index(port->runtime, fn);
	struct call_how how = { .function = (uint16_t)index };

	if (index < 0)
		return pinioni_port_fail(port, index, &d->methods[0], "%s",
		    fn == NULL ? "the function is NULL" : "too many different functions");
	return pinioni_submit(port, &d->methods[0], args, &how);
}

pinion_response
pinion_task_on(pinion_runtime *rt, pinion_task_fn *fn, pinion_args args)
{
	struct port_shell *shell;
	pinion_response r = { .generation = EINVAL, .port = UINT32_MAX, .slot = RESPONSE_NOWHERE };
	int err = -EINVAL;
	pinion_port *port = rt == NULL ? NULL : port_enter(rt->key, &shell, &err);

	if (port == NULL) {
		r.generation = (uint64_t)-err;
		return r;
	}
	r = pinioni_task_submit(port, fn, args);
	port_leave(shell);
	return r;
}

pinion_response
pinion_task_of(pinion_request *r, pinion_task_fn *fn, pinion_args args)
{
	return pinioni_task_submit(r->worker->port, fn, args);
}
