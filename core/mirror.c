/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/mirror.c - what a host knows of the rest of its runtime: replicas, by the directory; ports, as it is told of them.
 *
 *   directory (shared) --> table of replicas: its own, and for each other one that says where it lives
 *   GUEST: memory, lanes --> port: mapped, its lane to our worker among those that are looked at
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/application.h"
#include "core/memory.h"
#include "core/record.h"
#include "core/serve.h"
#include "core/thread.h"
#include "shm/bell.h"

/* ---- replicas --------------------------------------------------------------------------------- */

/* Of the same deployment at the same place: it is the same. The old one may still be read: it stays as long as we do. */
static struct replica *
stranger(struct pinion_runtime *rt, uint32_t at, const struct deployment *d, uint32_t first,
    uint32_t worker)
{
	struct serving *s = rt->serving;
	struct replica *r = s->strangers[at];

	if (d == NULL || worker >= rt->worker_count)
		return &s->nobody;
	if (r != NULL && r->deployment == d && r->worker->index == worker)
		return r;
	r = pinioni_lines_take(sizeof *r);
	if (r == NULL)
		return NULL;
	*r = (struct replica){ .deployment = d,
		.worker = &rt->workers[worker],
		.direct = &rt->workers[worker],
		.number = at - first,
		.index = at,
		.bygone = s->strangers[at] };
	s->strangers[at] = r;
	return r;
}

static int
fill(struct pinion_runtime *rt, struct replica_table *t)
{
	const struct directory *dir = &rt->directory;
	const struct serving *s = rt->serving;

	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t number = directory_get32(&dir->replicas[i].deployment);
		const struct deployment *d = registry_deployment(&rt->registry, number);
		uint32_t first = d == NULL ? 0 : directory_get32(&dir->deployments[number].first);

		uint32_t worker = directory_get32(&dir->replicas[i].worker);

		/* When its deployment has grown it has another number, too. */
		t->replicas[i] =
		    i == s->replica->index || (worker == rt->own_first && d == s->deployment)
		    ? s->replica
		    : stranger(rt, i, d, first, worker);
		if (t->replicas[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* Its siblings, once the table has them. */
static void
publish_range(struct pinion_runtime *rt, struct deployment *d, uint32_t count)
{
	const struct directory *dir = &rt->directory;
	uint64_t first = directory_get32(&dir->deployments[d->index].first);
	uint32_t siblings = directory_get32(&dir->deployments[d->index].count);

	if (first > count || siblings > count - first)
		return; /* being written: the next look finds it */
	/* relaxed: as in core/deploy.c. */
	atomic_store_explicit(&d->range, first << 32 | siblings, memory_order_relaxed);
}

int
pinioni_mirror_renew(struct pinion_runtime *rt)
{
	const struct directory *dir = &rt->directory;
	struct serving *s = rt->serving;
	uint64_t version = directory_read_begin(dir);
	uint64_t count = directory_get64(&dir->head->replica_count);
	struct replica_table *t;
	int err;

	/* Torn: whoever looks in vain looks again. */
	if (version == s->mirrored || count > DIRECTORY_REPLICAS)
		return 0;
	if (count <= s->replica->index)
		count = s->replica->index + 1;
	t = pinioni_lines_take(sizeof *t + count * sizeof t->replicas[0]);
	if (t == NULL)
		return -ENOMEM;
	t->count = (uint32_t)count;
	err = fill(rt, t);
	if (err == 0)
		err = pinioni_replicas_publish(rt, t);
	if (err != 0) {
		free(t);
		return err;
	}
	publish_range(rt, s->deployment, t->count);
	/* What is not known yet is looked for again. */
	s->mirrored = directory_read_same(dir, version) ? version : UINT64_MAX;
	return 0;
}

/* ---- ports ------------------------------------------------------------------------------------ */

static bool
makes_sense(
    const struct pinion_runtime *rt, const struct control_message *m, const struct parcel *brought)
{
	return brought->descriptor_count == 2 && m->port.index < PORTS_MAX &&
	    m->port.arena_bytes >= ARENA_STEP &&
	    (m->port.arena_bytes & (m->port.arena_bytes - 1)) == 0 && m->from <= rt->worker_count;
}

int
pinioni_mirror_port(
    struct pinion_runtime *rt, const struct control_message *m, const struct parcel *brought)
{
	pinion_port *port;
	int err;

	if (!makes_sense(rt, m, brought))
		return -EBADMSG;
	err = pinioni_port_map_guest(rt,
	    &(struct port_grant){ .port = m->port,
		.memory = brought->descriptors[0],
		.lanes = brought->descriptors[1] },
	    &port);
	if (err != 0)
		return err;
	if (m->from != 0)
		port->worker = &rt->workers[m->from - 1];
	port->is_trusted = (m->port.flags & CONTROL_PORT_TRUSTED) != 0;
	port->is_foreign = (m->port.flags & CONTROL_PORT_FOREIGN) != 0;
	err = pinioni_port_enter_runtime(rt, port);
	if (err != 0) {
		pinioni_port_destroy(port);
		return err;
	}
	bell_order(); /* what lies in its lane came for another, who was rung */
	pinioni_worker_ring(rt, rt->own_first);
	return 0;
}

/* ---- what a message names --------------------------------------------------------------------- */

static bool
port_is_known(const struct pinion_runtime *rt, unsigned number)
{
	const _Atomic uint64_t *gone = &rt->serving->gone[number / 64];

	/* relaxed: one that was not seen yet is seen later. */
	return number >= PORTS_MAX || runtime_port(rt, number) != NULL ||
	    (atomic_load_explicit(gone, memory_order_relaxed) >> number % 64 & 1) != 0;
}

static const struct replica *
target(const struct worker *w, const struct message *m)
{
	const struct replica_table *table = registry_replicas(&w->runtime->registry);

	return m->target < table->count ? table->replicas[m->target] : &w->runtime->serving->nobody;
}

static bool
target_is_known(struct worker *w, const struct message *m)
{
	struct pinion_runtime *rt = w->runtime;

	if (target(w, m) != &rt->serving->nobody)
		return true;
	(void)pthread_mutex_lock(&rt->lock);
	(void)!pinioni_mirror_renew(rt); /* without memory it is tried again */
	(void)pthread_mutex_unlock(&rt->lock);
	return target(w, m) != &rt->serving->nobody;
}

static bool
arguments_are_known(const struct worker *w, const struct message *m)
{
	const struct deployment *d = target(w, m)->deployment;
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count;

	if (m->refs == 0 || m->method >= d->method_count)
		return true;
	count = pinioni_record_refs(w->runtime, m, &d->methods[m->method], refs);
	for (unsigned i = 0; i < count; i++)
		if (!port_is_known(w->runtime, refs[i].port))
			return false;
	return true;
}

/* What came before its init has run waits for it. */
static bool
has_begun(const struct worker *w, const struct message *m)
{
	const struct replica *r = target(w, m);

	return r != w->runtime->serving->replica || !r->is_ending || r->has_begun;
}

/* All that the directory has is known, and that is not among it. */
static bool
is_up_to_date(const struct pinion_runtime *rt, const struct message *m)
{
	const struct replica_table *table = registry_replicas(&rt->registry);

	return rt->serving->mirrored == directory_version(&rt->directory) &&
	    (m->target >= table->count || table->replicas[m->target] == &rt->serving->nobody);
}

bool
pinioni_serve_may_take(struct worker *w, const struct lane_rx *lane)
{
	struct message m;

	/* relaxed: it leaves a little later. */
	if (atomic_load_explicit(&w->runtime->serving->is_leaving, memory_order_relaxed) != 0)
		return false;
	lane_copy(lane, &m);
	if (m.kind != MESSAGE_CALL)
		return true;
	/* One that names nothing of what there is comes from nobody of ours: the guard says so. */
	if (lane->guarded != 0)
		return port_is_known(
			   w->runtime, lane->guarded - 1) && /* its lane is, a little before */
		    ((target_is_known(w, &m) && has_begun(w, &m)) || is_up_to_date(w->runtime, &m));
	return target_is_known(w, &m) && has_begun(w, &m) &&
	    (m.slot == SLOT_NONE || port_is_known(w->runtime, m.port)) &&
	    arguments_are_known(w, &m);
}
