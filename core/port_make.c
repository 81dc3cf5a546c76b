/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/port_make.c - making a port, and taking it down: a thread's or a worker's own; that of a thread here whose calls another
 * process runs; that of another process, whose calls are run here.
 *
 *   own       memory, lanes, notes: all made here
 *   granted   memory, lanes: made over there, and mapped; notes: here
 *   guest     memory, lanes: made here, and handed over with their descriptors; no notes: they are over there
 */
#include "core/port.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/attach.h"
#include "core/grant.h"
#include "core/guest.h"
#include "core/runtime.h"

/* Private arrays of a port, one after the other in one mapping. */
static void *
table(unsigned char **at, size_t bytes)
{
	void *p = *at;

	if (p != NULL)
		*at += segment_round_up(bytes, PINION_LINE);
	return p;
}

/* A foreign thread makes its port itself: its memory is on its node without asking. */
static int
node_of(const pinion_port *p)
{
	return p->worker != NULL && p->runtime->node_count > 1 ? p->worker->node : HEAP_ANY_NODE;
}

static struct heap *
heap_of(struct pinion_runtime *rt, const struct worker *worker)
{
	return worker != NULL ? worker->heap : &rt->heap;
}

static size_t
tables_size(uint32_t slots)
{
	return 16 * PINION_LINE + slots * (sizeof(struct slot_note) + 2 * sizeof(uint16_t)) +
	    DIRECTORY_DEPLOYMENTS * sizeof(struct directory_copy) +
	    DIRECTORY_REPLICAS * (sizeof(uint16_t) + sizeof(uint32_t)) +
	    FAILURES * sizeof(struct failure) + WORKERS_MAX * sizeof(struct lane_rx) +
	    slots * (sizeof(struct harvested) + sizeof(struct loan) + sizeof(struct ring_rx));
}

static int
make_tables(pinion_port *p)
{
	uint32_t slots = p->runtime->slots;
	unsigned char *at;

	p->tables_size = tables_size(slots);
	p->tables =
	    mmap(NULL, p->tables_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->tables == MAP_FAILED) {
		p->tables = NULL;
		return -ENOMEM;
	}
	pinioni_grant_bind(p->runtime, p->tables, p->tables_size, node_of(p));
	at = p->tables;
	p->notes = table(&at, slots * sizeof *p->notes);
	p->free = table(&at, slots * sizeof *p->free);
	p->zombies = table(&at, slots * sizeof *p->zombies);
	p->routes = table(&at, DIRECTORY_DEPLOYMENTS * sizeof *p->routes);
	p->replica_worker = table(&at, DIRECTORY_REPLICAS * sizeof *p->replica_worker);
	p->inflight = table(&at, DIRECTORY_REPLICAS * sizeof *p->inflight);
	p->failures = table(&at, FAILURES * sizeof *p->failures);
	p->rx = table(&at, WORKERS_MAX * sizeof *p->rx);
	p->harvest = table(&at, slots * sizeof *p->harvest);
	p->loans = table(&at, slots * sizeof *p->loans);
	p->streams = table(&at, slots * sizeof *p->streams);
	p->loan_room = slots;
	p->directory_version = UINT64_MAX;
	return 0;
}

/* A start that no earlier port of that number had: stale references stay stale. */
static uint64_t
random_start(void)
{
	uint64_t x = clock_ticks();

	(void)!getrandom(&x, sizeof x, GRND_NONBLOCK); /* else the ticks serve */
	return x & (GENERATION_MASK >> 1);
}

static void
fill_notes(pinion_port *p, uint64_t generation)
{
	uint32_t slots = p->memory.slot_count;

	for (uint32_t i = 0; i < slots; i++) {
		p->notes[i].generation = generation;
		p->notes[i].replica = REPLICA_NONE;
		p->free[i] = (uint16_t)(slots - 1 - i);
	}
	p->free_count = slots;
}

/* Lanes of whole pages can lie apart: each with its consumer, who polls it. */
static bool
lanes_lie_apart(const pinion_port *p)
{
	size_t lane = p->runtime->lane_cells * sizeof(struct cell);

	return p->runtime->node_count > 1 && lane % (size_t)sysconf(_SC_PAGESIZE) == 0;
}

static void
each_lane(pinion_port *p,
    void (*visit)(struct pinion_runtime *rt, const void *at, size_t length, int node))
{
	struct pinion_runtime *rt = p->runtime;

	for (uint32_t i = 0; i < rt->worker_count; i++)
		visit(rt, lane_memory_cells(&p->lanes, i), rt->lane_cells * sizeof(struct cell),
		    rt->workers[i].node);
}

static void
bind_lanes(pinion_port *p)
{
	const struct segment *s = &p->lanes.segment;

	pinioni_grant_bind(p->runtime, s->base, s->size, node_of(p));
	if (lanes_lie_apart(p))
		each_lane(p, pinioni_grant_bind);
}

static void
verify_memory(pinion_port *p)
{
	const struct segment *s = &p->memory.segment;

	pinioni_grant_verify(p->runtime, s->base, s->size, node_of(p));
	s = &p->lanes.segment;
	if (lanes_lie_apart(p))
		each_lane(p, pinioni_grant_verify);
	else
		pinioni_grant_verify(p->runtime, s->base, s->size, node_of(p));
}

/* Both ends; the one that is another process's is not used here. */
static void
start_lanes(pinion_port *p, uint64_t first)
{
	const struct pinion_runtime *rt = p->runtime;

	for (uint32_t i = 0; i < rt->worker_count; i++) {
		struct cell *cells = lane_memory_cells(&p->lanes, i);

		lane_tx_init(
		    &p->tx[i], cells, rt->lane_cells, lane_memory_head(&p->lanes, i), first);
		lane_rx_init(
		    &p->rx[i], cells, rt->lane_cells, lane_memory_head(&p->lanes, i), first);
	}
}

static int
make_lanes(pinion_port *p, uint64_t first)
{
	const struct pinion_runtime *rt = p->runtime;
	int err =
	    pinioni_lane_memory_map(&p->lanes, "pinion-lanes", rt->worker_count, rt->lane_cells);

	if (err != 0)
		return err;
	bind_lanes(p);
	err = pinioni_lane_memory_publish(&p->lanes, first);
	if (err == 0)
		start_lanes(p, first);
	return err;
}

/* All of the arena at once. -ENOSPC, -ENOMEM: touching what the machine has not would kill. */
static int
prefault(pinion_port *p)
{
	struct segment *s = &p->memory.segment;
	int err = pinioni_segment_commit(s, 0, s->size);

	if (err != 0)
		return err;
	/* Without the right to lock, the pages are touched all the same. */
	pinioni_grant_lock(p->runtime, pinioni_segment_prefault(s, 0, s->size));
	s = &p->lanes.segment;
	pinioni_grant_lock(p->runtime, pinioni_segment_prefault(s, 0, s->size));
	pinioni_grant_lock(p->runtime, mlock(p->tables, p->tables_size) == 0 ? 0 : -errno);
	return 0;
}

static int
make_memory(pinion_port *p)
{
	struct pinion_runtime *rt = p->runtime;
	uint64_t generation = random_start();
	int err = pinioni_port_memory_map(
	    &p->memory, "pinion-port", rt->slots, rt->arena_bytes, rt->huge_pages);

	if (err != 0)
		return err;
	pinioni_grant_bind(rt, p->memory.segment.base, p->memory.segment.size, node_of(p));
	err = pinioni_port_memory_publish(&p->memory, generation);
	if (err == 0)
		err = pinioni_arena_init(
		    &p->arena, &p->memory.segment, p->memory.arena_base, p->memory.arena_size);
	if (err == 0)
		err = make_tables(p);
	if (err == 0)
		err = make_lanes(p, random_start() >> 8);
	if (err != 0)
		return err;
	fill_notes(p, generation);
	if (rt->prefault)
		err = prefault(p);
	pinioni_grant_pages(rt, &p->memory.segment);
	verify_memory(p);
	return err;
}

static void
clear(pinion_port *p, struct pinion_runtime *rt, struct worker *worker)
{
	p->runtime = rt;
	p->worker = worker;
	atomic_init(&p->event_fd, -1);
	p->memory.segment = SEGMENT_UNUSED;
	p->lanes.segment = SEGMENT_UNUSED;
}

/* ---- from another process, and for one -------------------------------------------------------- */

/* What the process that runs the workers has made for us. Both descriptors are the port's. */
static int
map_granted(pinion_port *p, const struct port_grant *g)
{
	const struct pinion_runtime *rt = p->runtime;
	int err = pinioni_port_memory_attach(
	    &p->memory, g->memory, rt->slots, (size_t)g->port.arena_bytes);

	if (err == 0)
		err = pinioni_lane_memory_attach(
		    &p->lanes, g->lanes, rt->worker_count, rt->lane_cells);
	if (err == 0)
		err = pinioni_arena_init(
		    &p->arena, &p->memory.segment, p->memory.arena_base, p->memory.arena_size);
	if (err == 0)
		err = make_tables(p);
	if (err != 0)
		return err;
	p->arena.committed = p->arena.size;
	start_lanes(p, g->port.first);
	fill_notes(p, g->port.generation);
	return 0;
}

static int
make_granted(pinion_port *p)
{
	struct pinion_runtime *rt = p->runtime;
	struct port_grant g;
	uint32_t flags = p->worker != NULL ? CONTROL_PORT_WORKER : 0;
	int err = pinioni_attached_port(rt->attached, 0, flags, &g);

	if (err != 0)
		return err;
	p->index = (uint16_t)g.port.index;
	p->is_granted = true;
	err = g.port.index < PORTS_MAX && g.port.arena_bytes >= ARENA_STEP &&
		(g.port.arena_bytes & (g.port.arena_bytes - 1)) == 0
	    ? map_granted(p, &g)
	    : -EBADMSG;
	/* The mappings hold the memory. */
	(void)close(g.memory); /* nothing could be done about either */
	(void)close(g.lanes);
	return err;
}

/* Private memory of a port that is not called from: the ends of its lanes. */
static int
make_ends(pinion_port *p)
{
	p->tables_size = WORKERS_MAX * sizeof *p->rx;
	p->tables =
	    mmap(NULL, p->tables_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->tables == MAP_FAILED) {
		p->tables = NULL;
		return -ENOMEM;
	}
	p->rx = p->tables;
	return 0;
}

/* All of it is taken from the machine now: what its process does not commit must not be missing when we write there. */
static int
make_guest(pinion_port *p, size_t arena_bytes, uint64_t generation, uint64_t first)
{
	struct pinion_runtime *rt = p->runtime;
	int err = pinioni_port_memory_map(&p->memory, "pinion-port", rt->slots, arena_bytes, false);

	if (err == 0)
		err = pinioni_port_memory_publish(&p->memory, generation);
	if (err == 0)
		err = pinioni_segment_commit(&p->memory.segment, 0, p->memory.segment.size);
	if (err == 0)
		err = make_ends(p);
	return err != 0 ? err : make_lanes(p, first);
}

int
pinioni_guest_create(
    struct pinion_runtime *rt, size_t arena_bytes, struct control_port *terms, pinion_port **out)
{
	pinion_port *p = pinioni_heap_take(&rt->heap, sizeof *p);
	int err;

	*out = NULL;
	if (p == NULL)
		return -ENOMEM;
	clear(p, rt, NULL);
	p->is_guest = true;
	*terms = (struct control_port){ .generation = random_start(),
		.first = random_start() >> 8,
		.arena_bytes = arena_bytes };
	err = make_guest(p, arena_bytes, terms->generation, terms->first);
	if (err != 0) {
		pinioni_port_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

void
pinioni_port_begin_at_head(pinion_port *p, unsigned worker)
{
	struct lane_head *head = lane_memory_head(&p->lanes, worker);
	/* relaxed: whoever wrote it has gone, or there was none. */
	uint64_t taken = atomic_load_explicit(&head->taken, memory_order_relaxed);

	lane_rx_init(&p->rx[worker], lane_memory_cells(&p->lanes, worker), p->runtime->lane_cells,
	    head, taken);
}

int
pinioni_port_map_guest(struct pinion_runtime *rt, const struct port_grant *g, pinion_port **out)
{
	pinion_port *p = pinioni_heap_take(&rt->heap, sizeof *p);
	int err;

	*out = NULL;
	if (p == NULL)
		return -ENOMEM;
	clear(p, rt, NULL);
	p->is_guest = true;
	p->index = (uint16_t)g->port.index;
	err = pinioni_port_memory_attach(
	    &p->memory, g->memory, rt->slots, (size_t)g->port.arena_bytes);
	if (err == 0)
		err = pinioni_lane_memory_attach(
		    &p->lanes, g->lanes, rt->worker_count, rt->lane_cells);
	if (err == 0)
		err = make_ends(p);
	if (err != 0) {
		pinioni_port_destroy(p);
		return err;
	}
	for (unsigned i = 0; i < rt->own_count; i++)
		pinioni_port_begin_at_head(p, rt->own_first + i);
	*out = p;
	return 0;
}

/* ---- all -------------------------------------------------------------------------------------- */

int
pinioni_port_create(struct pinion_runtime *rt, struct worker *worker, pinion_port **out)
{
	pinion_port *p = pinioni_heap_take(heap_of(rt, worker), sizeof *p);
	int err;

	*out = NULL;
	if (p == NULL)
		return -ENOMEM;
	clear(p, rt, worker);
	err = rt->attached != NULL ? make_granted(p) : make_memory(p);
	if (err != 0) {
		pinioni_port_destroy(p);
		return err;
	}
	*out = p;
	return 0;
}

void
pinioni_port_destroy(pinion_port *p)
{
	/* relaxed: nobody else has the port any more. */
	int fd = atomic_load_explicit(&p->event_fd, memory_order_relaxed);

	if (fd >= 0)
		(void)close(fd); /* nothing could be done about it */
	if (p->tables != NULL)
		(void)munmap(p->tables, p->tables_size); /* our own mapping: cannot fail */
	pinioni_arena_deinit(&p->arena);
	lane_memory_unmap(&p->lanes);
	port_memory_unmap(&p->memory);
	if (p->is_granted)
		pinioni_attached_close(p->runtime->attached, p->index);
	pinioni_heap_give(heap_of(p->runtime, p->worker), p, sizeof *p);
}
