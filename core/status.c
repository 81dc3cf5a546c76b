/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/status.c - what can be seen of a runtime: routes, workers, the census.
 */
#include <string.h>

#include "core/attach.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "shm/bell.h"

const char *
pinion_version(void)
{
	return PINION_VERSION;
}

uint32_t
pinion_abi(void)
{
	return PINION_ABI;
}

unsigned
pinion_deployment_count(pinion_runtime *rt)
{
	unsigned count = 0;

	(void)pthread_mutex_lock(&rt->lock);
	for (uint32_t i = 0; i < rt->app_count; i++)
		count += rt->apps[i].deployment_count;
	(void)pthread_mutex_unlock(&rt->lock);
	return count;
}

static pinion_route
route_of(const struct application *a)
{
	return (pinion_route){ .prefix = a->prefix, .app = a->name, .handle = a->handle };
}

/* "/" or "/a" is a prefix of "/a" and "/a/b", not of "/ab". */
static bool
is_prefix(const char *prefix, const char *path)
{
	size_t length = strlen(prefix);

	if (length != 0 && prefix[length - 1] == '/')
		length--;
	return strncmp(prefix, path, length) == 0 &&
	    (path[length] == '\0' || path[length] == '/' || path[length] == '?');
}

bool
pinion_route_find(pinion_runtime *rt, const char *path, pinion_route *route)
{
	size_t longest = 0;
	bool found = false;

	(void)pthread_mutex_lock(&rt->lock);
	for (uint32_t i = 0; i < rt->app_count; i++) {
		size_t length = strlen(rt->apps[i].prefix);

		if (is_prefix(rt->apps[i].prefix, path) && length >= longest) {
			longest = length;
			*route = route_of(&rt->apps[i]);
			found = true;
		}
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return found;
}

unsigned
pinion_route_list(pinion_runtime *rt, pinion_route *routes, unsigned max)
{
	unsigned count;

	if (rt->attached != NULL)
		(void)!pinioni_attached_renew(rt); /* else what was known before */
	(void)pthread_mutex_lock(&rt->lock);
	count = rt->app_count;
	for (uint32_t i = 0; i < count && i < max; i++)
		routes[i] = route_of(&rt->apps[i]);
	(void)pthread_mutex_unlock(&rt->lock);
	return count;
}

const struct application *
pinioni_application_named(const pinion_runtime *rt, const char *name)
{
	for (uint32_t i = 0; i < rt->app_count; i++)
		if (strcmp(rt->apps[i].name, name) == 0)
			return &rt->apps[i];
	return NULL;
}

unsigned
pinion_deployment_list(pinion_runtime *rt, const char *app, const char **names, unsigned max)
{
	const struct application *a;
	unsigned count;

	(void)pthread_mutex_lock(&rt->lock);
	a = pinioni_application_named(rt, app);
	count = a == NULL ? 0 : a->deployment_count;
	for (uint32_t i = 0; i < count && i < max; i++)
		names[i] = registry_deployment(&rt->registry, a->first_deployment + i)->name;
	(void)pthread_mutex_unlock(&rt->lock);
	return count;
}

/* ---- census --------------------------------------------------------------------------------- */

static void
count_port(pinion_port *p, pinion_census *c)
{
	pinioni_port_sweep(p);
	c->slots += port_taken(p);
	c->blocks += p->arena.blocks;
	c->borrowed += p->loan_count;
}

/* Of the replicas that live here. A table may name one several times: once where it says itself that it is. */
static uint64_t
count_queued(const struct worker *w)
{
	const struct replica_table *t = registry_replicas(&w->runtime->registry);
	uint64_t queued = 0;

	for (uint32_t i = 0; t != NULL && i < t->count; i++)
		if (t->replicas[i]->worker == w && t->replicas[i]->index == i)
			queued += t->replicas[i]->queued;
	return queued;
}

static void
count_worker(struct worker *w, void *arg)
{
	pinion_census *c = arg;

	count_port(w->port, c);
	c->fibers += w->fibers_busy;
	c->custody += w->custody_count + (w->latest != NULL);
	c->requests += pinioni_worker_requests(w);
	c->queued += count_queued(w);
}

static void
count_shells(struct pinion_runtime *rt, pinion_census *c)
{
	for (struct port_shell *s = pinioni_self.shells; s != NULL; s = s->next)
		if (s->runtime_key == rt->key)
			count_port(s->port, c);
}

void
pinion_census_take(pinion_runtime *rt, pinion_census *c)
{
	*c = (pinion_census){ .slots = 0 };
	count_shells(rt, c);
	for (unsigned i = 0; i < rt->own_count; i++)
		pinioni_worker_control(runtime_own(rt, i), count_worker, c);
	(void)pinioni_keeper_sweep(rt); /* what is not quiet yet is counted */
	(void)pthread_mutex_lock(&rt->lock);
	c->ports = rt->port_count;
	(void)pthread_mutex_unlock(&rt->lock);
	c->maps = 2 * c->ports; /* a port and its lanes */
}

void
pinion_port_look(pinion_port *given, pinion_port_status *status)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);

	*status = (pinion_port_status){ .slots = 0 };
	if (p == NULL)
		return;
	pinioni_port_sweep(p);
	*status = (pinion_port_status){ .slots = p->memory.slot_count,
		.slots_taken = port_taken(p),
		.arena_bytes = p->memory.arena_size,
		.blocks = p->arena.blocks,
		.sleeps = p->sleeps,
		.rescued = p->rescued };
	port_leave(shell);
}

unsigned
pinion_worker_look(pinion_runtime *rt, unsigned worker, pinion_worker_status *s)
{
	const struct board_worker *line;

	if (s == NULL || worker >= rt->worker_count)
		return rt->worker_count;
	line = rt->board.workers[worker];
	*s = (pinion_worker_status){
		/* relaxed three times: for people. */
		.cpu = (int)atomic_load_explicit(&line->cpu, memory_order_relaxed),
		.node = (int)atomic_load_explicit(&line->node, memory_order_relaxed),
		.depth = atomic_load_explicit(&line->depth, memory_order_relaxed),
		.asleep = epoch_is_asleep(epoch_look(&line->epoch)),
		.started = board_read(line, COUNT_STARTED),
		.local = board_read(line, COUNT_LOCAL),
		.failed = board_read(line, COUNT_FAILED),
		.forwarded = board_read(line, COUNT_FORWARDED),
		.chained = board_read(line, COUNT_CHAINED),
		.surplus = board_read(line, COUNT_SURPLUS),
		.sent = board_read(line, COUNT_SENT),
		.taken = board_read(line, COUNT_TAKEN),
		.refused = board_read(line, COUNT_REFUSED),
		.suspended = board_read(line, COUNT_SUSPENDED),
		.sleeps = board_read(line, COUNT_SLEEPS),
		.rescued = board_read(line, COUNT_RESCUED),
		.rings = board_read(line, COUNT_RINGS),
		.yielded = board_read(line, COUNT_YIELDED),
	};
	return rt->worker_count;
}

unsigned
pinion_client_look(pinion_runtime *rt, unsigned client, pinion_client_status *s)
{
	unsigned count = 0;

	for (unsigned i = 0; i < DIRECTORY_CLIENTS; i++) {
		const struct directory_client *line = &rt->directory.clients[i];
		uint32_t pid = directory_hear32(&line->pid);

		if (pid == 0)
			continue;
		if (count++ != client || s == NULL)
			continue;
		*s = (pinion_client_status){ .pid = pid,
			.uid = directory_hear32(&line->uid),
			.ports = directory_hear32(&line->ports),
			.violations = directory_hear32(&line->violations) };
	}
	return count;
}

const char *
pinion_placement(pinion_runtime *rt)
{
	return rt->placement;
}
