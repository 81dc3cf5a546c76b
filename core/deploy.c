/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/deploy.c - a node of the graph becomes replicas on workers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/host.h"
#include "core/queue.h"
#include "core/replica.h"
#include "core/spec.h"
#include "core/value.h"

/* ---- replicas ------------------------------------------------------------------------------- */

/* The least used worker that has none of these siblings, as long as there is one. */
static unsigned
place(const struct pinion_runtime *rt, uint32_t number)
{
	unsigned best = 0;
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < rt->own_count; i++) {
		unsigned w = (number + i) % rt->own_count;

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

static struct replica *
make_replica(struct pinion_runtime *rt, struct deployment *d, uint32_t number)
{
	struct replica *r = pinioni_lines_take(sizeof *r);

	if (r == NULL)
		return NULL;
	*r = (struct replica){
		.deployment = d, .number = number, .max_ongoing = d->max_ongoing, .is_ending = true
	}; /* until its init has run: whoever guesses its number is refused */
	r->worker =
	    deployment_is_isolated(d) ? pinioni_host_place(rt, r) : &rt->workers[place(rt, number)];
	if (r->worker == NULL) {
		free(r);
		return NULL;
	}
	r->direct = spec_has_rules(d) ? NULL : r->worker;
	queue_init(&r->waiting);
	rt->replicas_placed[r->worker->index]++;
	return r;
}

/* So many at least, of its own. */
static int
make_own(struct pinion_runtime *rt, struct deployment *d, uint32_t count)
{
	struct replica **own =
	    count <= d->own_count ? d->own : realloc(d->own, count * sizeof *own);

	if (own == NULL)
		return -ENOMEM;
	d->own = own;
	while (d->own_count < count) {
		struct replica *r = make_replica(rt, d, d->own_count);

		if (r == NULL)
			return deployment_is_isolated(d) ? -EUSERS : -ENOMEM;
		own[d->own_count++] = r;
	}
	return 0;
}

/* Where `count` replicas lie side by side: where they are, or behind all others with room to grow. What was sent to
 * where they were finds them there. */
static int
make_room(const struct deployment *d, uint32_t count, uint32_t end, uint32_t *first, uint32_t *room)
{
	*first = d->first;
	*room = d->room;
	if (count <= d->room)
		return 0;
	if (count > DIRECTORY_REPLICAS)
		return -ENOSPC; /* and twice as many are a number */
	*first = end;
	*room = d->room == 0 || end + 2 * count > DIRECTORY_REPLICAS ? count : 2 * count;
	return end + *room > DIRECTORY_REPLICAS ? -ENOSPC : 0;
}

/* In place of the one that there is. Under the lock. */
static void
publish_table(struct pinion_runtime *rt, struct replica_table *t, struct retired_replicas *past)
{
	/* relaxed: written under the lock that we hold. */
	struct replica_table *old =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);

	*past = (struct retired_replicas){ .retired = { .runtime = rt, .free = free_replicas },
		.table = old };
	/* G: the table and its replicas are written. */
	atomic_store_explicit(&rt->registry.replicas, t, memory_order_release);
	pinioni_retire(&rt->reclaimer, &past->retired);
}

/* A table with `count` of this deployment in place of the old one, which goes after a grace period. Under the lock. */
static int
change_table(struct pinion_runtime *rt, struct deployment *d, uint32_t count)
{
	/* relaxed: written under the lock that we hold. */
	struct replica_table *old =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);
	uint32_t before = old == NULL ? 0 : old->count;
	uint32_t first, room, all, had = d->own_count;
	struct retired_replicas *past;
	struct replica_table *t;
	int err = make_room(d, count, before, &first, &room);

	if (err == 0)
		err = make_own(rt, d, count);
	if (err != 0)
		return err;
	all = first + room > before ? first + room : before;
	past = calloc(1, sizeof *past);
	t = pinioni_lines_take(sizeof *t + all * sizeof t->replicas[0]);
	if (past == NULL || t == NULL) {
		free(past);
		free(t);
		return -ENOMEM;
	}
	if (before != 0)
		memcpy(t->replicas, old->replicas, before * sizeof t->replicas[0]);
	t->count = all;
	for (uint32_t i = 0; i < room; i++)
		t->replicas[first + i] = d->own[i < d->own_count ? i : 0];
	for (uint32_t i = had; i < d->own_count; i++)
		d->own[i]->index = first + i; /* of the others: what it was stays good */
	d->room = room;
	d->first = first;
	publish_table(rt, t, past);
	return 0;
}

int
pinioni_replicas_publish(struct pinion_runtime *rt, struct replica_table *t)
{
	struct retired_replicas *past = calloc(1, sizeof *past);

	if (past == NULL)
		return -ENOMEM;
	publish_table(rt, t, past);
	return 0;
}

/* Calls go to so many of them from now on. Under the lock. */
void
pinioni_deployment_publish(struct pinion_runtime *rt, struct deployment *d, uint32_t count)
{
	struct directory *dir = &rt->directory;
	/* relaxed: written under the lock that we hold. */
	const struct replica_table *t =
	    atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);

	/* relaxed: the table that has them was published before. */
	atomic_store_explicit(&d->range, (uint64_t)d->first << 32 | count, memory_order_relaxed);
	directory_begin(dir);
	for (uint32_t i = 0; i < count; i++) {
		directory_put32(&dir->replicas[d->first + i].worker, d->own[i]->worker->index);
		directory_put32(&dir->replicas[d->first + i].deployment, d->index);
	}
	directory_put32(&dir->deployments[d->index].first, d->first);
	directory_put32(&dir->deployments[d->index].count, count);
	directory_put64(&dir->head->deployment_count, rt->registry.deployment_count);
	directory_put64(&dir->head->replica_count, t->count);
	directory_end(dir);
}

/* Stacks for what one more may run at once, on its worker. */
static int
give_stacks(struct pinion_runtime *rt, struct deployment *d, uint32_t i)
{
	struct reservation want = { .fibers = d->stacks };

	pinioni_worker_control(d->own[i]->worker, pinioni_worker_reserve_for, &want);
	if (want.err != 0)
		return want.err;
	rt->fibers_reserved += d->stacks;
	d->stacked++;
	return 0;
}

/* Whether the kernel allows as many mappings as `count` replicas of `each` requests at once need beside what there is. */
static int
check_mappings(const struct pinion_runtime *rt, uint64_t more, uint32_t count, uint32_t each,
    char text[FAULT_TEXT])
{
	uint64_t all = rt->fibers_reserved + more;

	if (2 * all <= rt->mappings_max)
		return 0;
	(void)snprintf(text, FAULT_TEXT,
	    "%u replicas of %u max_ongoing_requests need %llu more mappings than vm.max_map_count "
	    "allows (%llu)",
	    count, each, (unsigned long long)(2 * all - rt->mappings_max),
	    (unsigned long long)rt->mappings_max);
	return -ENOMEM;
}

/* For so many replicas at least. */
static int
reserve_fibers(
    struct pinion_runtime *rt, struct deployment *d, uint32_t count, char text[FAULT_TEXT])
{
	uint64_t more = count <= d->stacked ? 0 : (uint64_t)(count - d->stacked) * d->stacks;
	int err = check_mappings(rt, more, count, d->stacks, text);

	while (err == 0 && d->stacked < count)
		err = give_stacks(rt, d, d->stacked);
	return err;
}

int
pinioni_deployment_raise(
    struct pinion_runtime *rt, struct deployment *d, uint32_t stacks, char text[FAULT_TEXT])
{
	struct reservation want = { .fibers = stacks - d->stacks };
	uint64_t more = (uint64_t)want.fibers * d->stacked;
	int err;

	if (stacks <= d->stacks)
		return 0;
	err = check_mappings(rt, more, d->stacked, stacks, text);
	if (err != 0)
		return err;
	for (uint32_t i = 0; i < d->stacked && err == 0; i++) {
		pinioni_worker_control(d->own[i]->worker, pinioni_worker_reserve_for, &want);
		err = want.err;
	}
	/* Where memory was short, some have them, and keep them: they count. */
	rt->fibers_reserved += more;
	if (err == 0)
		d->stacks = stacks;
	return err;
}

static uint32_t
share_of(const struct deployment *d, uint32_t i, uint32_t count)
{
	return d->rules.max_queued / count + (i < d->rules.max_queued % count);
}

void
pinioni_deployment_share(const struct deployment *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		pinioni_replica_share(d->own[i], share_of(d, i, count), d->rules.max_queued);
}

static int
grow_locked(struct pinion_runtime *rt, struct deployment *d, uint32_t count)
{
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	err = change_table(rt, d, count);
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* Of those from `from` on; when one cannot, those before it of the same call end again. */
static int
start_all(struct pinion_runtime *rt, struct deployment *d, uint32_t from, uint32_t count,
    char text[FAULT_TEXT])
{
	for (uint32_t i = from; i < count; i++) {
		char why[FAULT_TEXT];
		int err = pinioni_replica_start(d->own[i], why);

		if (err == 0)
			continue;
		(void)snprintf(text, FAULT_TEXT, "init of replica %u failed: %.160s", i,
		    why[0] != '\0' ? why : strerror(-err));
		while (i-- > from)
			pinioni_replica_end(d->own[i], rt->drain_ns);
		return err;
	}
	return 0;
}

/* Those that serve go on doing so, whatever comes of the others. */
static int
grow_isolated(
    struct pinion_runtime *rt, struct deployment *d, uint32_t count, char text[FAULT_TEXT])
{
	uint32_t from = d->is_live ? d->wanted : 0;
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	d->wanted = count;
	(void)pthread_mutex_unlock(&rt->lock);
	err = pinioni_hosts_start(rt, d, from, count, text);
	if (err == 0 || !d->is_live)
		return err;
	(void)pthread_mutex_lock(&rt->lock);
	d->wanted = from;
	(void)pthread_mutex_unlock(&rt->lock);
	pinioni_hosts_end(rt, d, from, rt->drain_ns, false);
	return err;
}

int
pinioni_deployment_grow(
    struct pinion_runtime *rt, struct deployment *d, uint32_t count, char text[FAULT_TEXT])
{
	uint32_t from = deployment_count(d);
	int err = grow_locked(rt, d, count);

	text[0] = '\0';
	if (err == -ENOSPC)
		(void)snprintf(
		    text, FAULT_TEXT, "more than %d replicas in one runtime", DIRECTORY_REPLICAS);
	if (err == 0 && deployment_is_isolated(d))
		return grow_isolated(rt, d, count, text);
	if (err == 0)
		err = reserve_fibers(rt, d, count, text);
	if (err == 0)
		err = start_all(rt, d, from, count, text);
	if (err != 0)
		return err;
	pinioni_deployment_share(d, count);
	(void)pthread_mutex_lock(&rt->lock);
	pinioni_deployment_publish(rt, d, count);
	(void)pthread_mutex_unlock(&rt->lock);
	return 0;
}

/* Of those that leave, what they have not begun goes to the others. 0: they end for good. */
static void
shrink_isolated(struct pinion_runtime *rt, struct deployment *d, uint32_t count, int64_t limit_ns)
{
	(void)pthread_mutex_lock(&rt->lock);
	if (count != 0)
		d->wanted = count;
	if (count == 0 || pinioni_hosts_serve(rt, d) || deployment_count(d) > count)
		pinioni_deployment_publish(rt, d, count);
	(void)pthread_mutex_unlock(&rt->lock);
	pinioni_hosts_end(rt, d, count, limit_ns, count == 0);
}

void
pinioni_deployment_shrink(
    struct pinion_runtime *rt, struct deployment *d, uint32_t count, int64_t limit_ns)
{
	uint32_t from = deployment_count(d);

	if (deployment_is_isolated(d)) {
		shrink_isolated(rt, d, count, limit_ns);
		return;
	}
	(void)pthread_mutex_lock(&rt->lock);
	pinioni_deployment_publish(rt, d, count);
	(void)pthread_mutex_unlock(&rt->lock);
	if (count != 0)
		pinioni_deployment_share(d, count);
	for (uint32_t i = from; i-- > count;)
		if (count != 0)
			pinioni_replica_leave(d->own[i], limit_ns);
		else
			pinioni_replica_end(d->own[i], limit_ns);
}

/* Known by its number from now on; calls find it when it has replicas. */
static int
add_deployment(struct pinion_runtime *rt, struct deployment *d)
{
	int err;

	(void)pthread_mutex_lock(&rt->lock);
	err = rt->registry.deployment_count == DIRECTORY_DEPLOYMENTS ? -ENOSPC : 0;
	if (err == 0)
		err = change_table(rt, d, d->wanted);
	if (err == 0) {
		rt->registry.deployment_count++;
		registry_publish(&rt->registry, d);
		pinioni_hosts_tell_deployed(rt);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* A batch that is never full only waits. */
static void
warn_of_batches(struct pinion_runtime *rt, const struct deployment *d)
{
	for (size_t i = 0; i < d->method_count; i++) {
		const pinion_method *m = &d->declared->methods.list[i];
		const struct batching *b = &d->batching[i];

		if (m->batch != NULL && m->size_of == NULL &&
		    (uint64_t)b->max_size * b->max_running > d->max_ongoing)
			pinioni_runtime_log(rt,
			    "%s.%s: %u batches of %u do not fit max_ongoing_requests, which is %u: they "
			    "run when they have waited",
			    d->name, m->name, b->max_running, b->max_size, d->max_ongoing);
	}
}

/* One that could not be added. */
static void
forget_deployment(struct pinion_runtime *rt, struct deployment *d)
{
	if (d != NULL && deployment_is_isolated(d))
		pinioni_hosts_end(rt, d, 0, 0, true);
	pinioni_spec_free(d);
}

int
pinioni_deploy(struct pinion_app *app, pinion_node *node)
{
	struct pinion_runtime *rt = app->runtime;
	struct deployment *d = pinioni_spec_make(node);
	char text[FAULT_TEXT] = "";
	int err = spec_is_whole(d) ? add_deployment(rt, d) : -ENOMEM;

	if (err != 0) {
		if (err == -ENOSPC)
			pinioni_app_refuse(app,
			    "%s: more than %d deployments or %d replicas in one runtime",
			    node->name, DIRECTORY_DEPLOYMENTS, DIRECTORY_REPLICAS);
		if (err == -EUSERS)
			pinioni_app_refuse(app,
			    "%s: isolation is \"process\", and its %u replicas take more than is left "
			    "of the runtime's %u host_workers",
			    node->name, node->num_replicas, runtime_host_count(rt));
		forget_deployment(rt, d);
		return err;
	}
	node->deployment = d;
	warn_of_batches(rt, d);
	err = pinioni_deployment_grow(rt, d, d->wanted, text);
	if (err == 0)
		d->is_live = true;
	else if (text[0] != '\0')
		pinioni_app_refuse(app, "%s: %s", d->name, text);
	return err;
}

void
pinioni_undeploy(struct pinion_runtime *rt, struct deployment *d)
{
	pinioni_deployment_shrink(rt, d, 0, rt->drain_ns);
	d->is_live = false;
	for (uint32_t i = 0; i < d->own_count; i++)
		rt->replicas_placed[d->own[i]->worker->index]--;
	rt->fibers_reserved -= (uint64_t)d->stacked * d->stacks;
}

void
pinioni_applications_end(struct pinion_runtime *rt)
{
	struct registry *g = &rt->registry;

	for (uint32_t i = g->deployment_count; i-- > 0;) {
		struct deployment *d = (struct deployment *)(uintptr_t)registry_deployment(g, i);

		if (d->is_live)
			pinioni_undeploy(rt, d);
	}
}

void
pinioni_applications_free(struct pinion_runtime *rt)
{
	struct registry *g = &rt->registry;
	/* relaxed: no other thread is left. */
	struct replica_table *t = atomic_load_explicit(&g->replicas, memory_order_relaxed);

	free(t);
	for (uint32_t i = 0; i < g->deployment_count; i++)
		pinioni_spec_free((struct deployment *)(uintptr_t)registry_deployment(g, i));
	for (uint32_t i = 0; i < g->late_count; i++)
		free(g->late[i].unknown);
	for (uint32_t i = 0; i < rt->app_count; i++) {
		free(rt->apps[i].name);
		free(rt->apps[i].prefix);
	}
}
