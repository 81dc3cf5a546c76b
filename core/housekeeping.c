/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/housekeeping.c - ports whose threads are done with them.
 *
 *   thread closes port -> closing list -> quiet (all slots DONE, lanes empty)?
 *        -> out of the workers' tables -> grace period (core/reclaim.h) -> unmapped
 *
 * Threads   One of its own, which sleeps while nothing is closing. In a caller-driven runtime there is none:
 *           ports are taken down when others close or stop.
 * Progress  Waits for no worker: what is not quiet yet is looked at again a millisecond later.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "affinity/pin.h"
#include "core/door.h"
#include "core/runtime.h"
#include "core/thread.h"

/* Lane tables that were replaced, and a port that is in none of the new ones and that nobody uses any more; NULL: none. */
struct retired_lanes {
	struct retired retired;
	struct lane_table *tables[WORKERS_MAX];
	pinion_port *port;
};

static size_t
table_size(uint32_t count)
{
	return sizeof(struct lane_table) + count * sizeof(struct lane_entry);
}

static void
free_lanes(struct pinion_runtime *rt, struct retired *retired)
{
	struct retired_lanes *r = caa_container_of(retired, struct retired_lanes, retired);

	for (unsigned i = 0; i < rt->own_count; i++)
		if (r->tables[i] != NULL)
			pinioni_heap_give(&rt->heap, r->tables[i], r->tables[i]->room);
	if (r->port != NULL)
		pinioni_port_destroy(r->port);
	pinioni_heap_give(&rt->heap, r, sizeof *r);
}

/* The worker's table with one port more, or one less. NULL: no memory. */
static struct lane_table *
changed_table(struct pinion_runtime *rt, const struct lane_table *old, pinion_port *add,
    const pinion_port *remove, unsigned worker)
{
	uint32_t count = old == NULL ? 0 : old->count;
	struct lane_table *t = pinioni_heap_take(&rt->heap, table_size(count + 1));

	if (t == NULL)
		return NULL;
	t->room = (uint32_t)table_size(count + 1);
	t->serial = old == NULL ? 1 : old->serial + 1;
	for (uint32_t i = 0; i < count; i++)
		if (remove == NULL || old->lanes[i].port != remove->index)
			t->lanes[t->count++] = old->lanes[i];
	if (add != NULL)
		t->lanes[t->count++] =
		    (struct lane_entry){ .rx = &add->rx[worker], .port = add->index };
	return t;
}

/* All workers' tables, or none. ends: what is removed is destroyed when no worker looks at it any more. Under the lock. */
static int
change_tables(
    struct pinion_runtime *rt, pinion_port *add, const pinion_port *remove, pinion_port *ends)
{
	struct lane_table *fresh[WORKERS_MAX] = { NULL };
	struct retired_lanes *r = pinioni_heap_take(&rt->heap, sizeof *r);
	int err = r == NULL ? -ENOMEM : 0;

	for (unsigned i = 0; i < rt->own_count && err == 0; i++) {
		/* relaxed: written under the lock that we hold. */
		fresh[i] = changed_table(rt,
		    atomic_load_explicit(&runtime_own(rt, i)->lanes, memory_order_relaxed), add,
		    remove, rt->own_first + i);
		if (fresh[i] == NULL)
			err = -ENOMEM;
	}
	if (err != 0) {
		for (unsigned i = 0; i < rt->own_count && fresh[i] != NULL; i++)
			pinioni_heap_give(&rt->heap, fresh[i], fresh[i]->room);
		pinioni_heap_give(&rt->heap, r, sizeof *r);
		return err;
	}
	*r = (struct retired_lanes){ .retired = { .runtime = rt, .free = free_lanes },
		.port = ends };
	for (unsigned i = 0; i < rt->own_count; i++) {
		/* L; what comes back was put there under the lock that we hold. */
		r->tables[i] = atomic_exchange_explicit(
		    &runtime_own(rt, i)->lanes, fresh[i], memory_order_release);
	}
	pinioni_retire(&rt->reclaimer, &r->retired);
	return 0;
}

int
pinioni_lanes_add(struct pinion_runtime *rt, pinion_port *port)
{
	return change_tables(rt, port, NULL, NULL);
}

int
pinioni_lanes_remove(struct pinion_runtime *rt, const pinion_port *port)
{
	return change_tables(rt, NULL, port, NULL);
}

/* ---- closing -------------------------------------------------------------------------------- */

void
pinioni_keeper_take(struct pinion_runtime *rt, pinion_port *port)
{
	pinioni_port_abandon(port);
	(void)pthread_mutex_lock(&rt->lock);
	port->closing = true;
	port->next = rt->closing;
	rt->closing = port;
	(void)pthread_cond_signal(&rt->keeper_cond);
	(void)pthread_mutex_unlock(&rt->lock);
	if (!rt->has_keeper)
		(void)pinioni_keeper_sweep(rt); /* what is left is tried again */
}

/* Under the lock. */
static bool
take_down(struct pinion_runtime *rt, pinion_port *port)
{
	_Atomic(pinion_port *) *place = &rt->ports[port->index];

	/* relaxed: written under the lock. */
	if (atomic_load_explicit(&port->visitors, memory_order_relaxed) != 0 ||
	    !pinioni_port_is_quiet(port))
		return false;
	if (port->known_to != 0) {
		port->next = rt->dying;
		rt->dying = port;
		pinioni_door_knock(rt->door);
		return true;
	}
	/* relaxed: taking away publishes nothing. Before the grace period begins, or it would not cover
	 * those who find the port here. */
	atomic_store_explicit(place, NULL, memory_order_relaxed);
	if (rt->own_count == 0) {
		rt->port_count--;
		pinioni_port_destroy(port); /* its own thread was the only one to look */
		return true;
	}
	if (change_tables(rt, NULL, port, port) != 0) {
		/* O */
		atomic_store_explicit(place, port, memory_order_release);
		return false;
	}
	rt->port_count--; /* the port itself may be gone by now */
	return true;
}

static bool
sweep_locked(struct pinion_runtime *rt)
{
	pinion_port **at = &rt->closing;

	while (*at != NULL) {
		pinion_port *port = *at, *next = port->next;

		if (take_down(rt, port))
			*at = next;
		else
			at = &port->next;
	}
	return rt->closing == NULL && rt->dying == NULL;
}

bool
pinioni_keeper_sweep(struct pinion_runtime *rt)
{
	bool clean;

	(void)pthread_mutex_lock(&rt->lock);
	clean = sweep_locked(rt);
	(void)pthread_mutex_unlock(&rt->lock);
	return clean;
}

static void *
keep(void *runtime)
{
	struct pinion_runtime *rt = runtime;
	char name[32];

	(void)snprintf(name, sizeof name, "%.10s-keep", rt->name);
	pinioni_thread_name(name);
	(void)pthread_mutex_lock(&rt->lock);
	while (!rt->keeper_stop) {
		struct timespec soon;

		if (sweep_locked(rt)) {
			(void)pthread_cond_wait(&rt->keeper_cond, &rt->lock);
			continue;
		}
		(void)clock_gettime(CLOCK_REALTIME, &soon); /* cannot fail */
		soon.tv_nsec += 1000000;
		if (soon.tv_nsec >= 1000000000) {
			soon.tv_nsec -= 1000000000;
			soon.tv_sec++;
		}
		(void)pthread_cond_timedwait(&rt->keeper_cond, &rt->lock, &soon);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return NULL;
}

int
pinioni_keeper_start(struct pinion_runtime *rt)
{
	int err = -pthread_create(&rt->keeper, NULL, keep, rt);

	rt->has_keeper = err == 0;
	return err;
}

void
pinioni_keeper_stop(struct pinion_runtime *rt)
{
	if (!rt->has_keeper)
		return;
	(void)pthread_mutex_lock(&rt->lock);
	rt->keeper_stop = true;
	(void)pthread_cond_signal(&rt->keeper_cond);
	(void)pthread_mutex_unlock(&rt->lock);
	(void)pthread_join(rt->keeper, NULL); /* joined once */
	rt->has_keeper = false;
}
