/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/port.c - making a port, and what its owner does with slots and lanes.
 */
#include "core/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/cancel.h"
#include "core/grant.h"
#include "core/runtime.h"
#include "core/stream.h"
#include "core/thread.h"
#include "shm/bell.h"
#include "shm/doorbell.h"
#include "shm/ready.h"

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

static int
make_lanes(pinion_port *p)
{
	struct pinion_runtime *rt = p->runtime;
	uint64_t first = random_start() >> 8;
	int err =
	    pinioni_lane_memory_map(&p->lanes, "pinion-lanes", rt->worker_count, rt->lane_cells);

	if (err != 0)
		return err;
	bind_lanes(p);
	err = pinioni_lane_memory_publish(&p->lanes, first);
	if (err != 0)
		return err;
	for (uint32_t i = 0; i < rt->worker_count; i++) {
		struct cell *cells = lane_memory_cells(&p->lanes, i);

		lane_tx_init(
		    &p->tx[i], cells, rt->lane_cells, lane_memory_head(&p->lanes, i), first);
		lane_rx_init(
		    &p->rx[i], cells, rt->lane_cells, lane_memory_head(&p->lanes, i), first);
	}
	return 0;
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
		err = make_lanes(p);
	if (err != 0)
		return err;
	fill_notes(p, generation);
	if (rt->prefault)
		err = prefault(p);
	pinioni_grant_pages(rt, &p->memory.segment);
	verify_memory(p);
	return err;
}

int
pinioni_port_create(struct pinion_runtime *rt, struct worker *worker, pinion_port **out)
{
	pinion_port *p = pinioni_heap_take(heap_of(rt, worker), sizeof *p);
	int err;

	*out = NULL;
	if (p == NULL)
		return -ENOMEM;
	p->runtime = rt;
	p->worker = worker;
	atomic_init(&p->event_fd, -1);
	p->memory.segment = SEGMENT_UNUSED;
	p->lanes.segment = SEGMENT_UNUSED;
	err = make_memory(p);
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
	pinioni_heap_give(heap_of(p->runtime, p->worker), p, sizeof *p);
}

/* ---- slots ---------------------------------------------------------------------------------- */

struct slot_note *
pinioni_port_take_slot(pinion_port *p)
{
	uint16_t slot;

	if (p->free_count == 0 || p->zombie_count >= LOANS_SWEEP)
		pinioni_port_sweep(p);
	return p->free_count == 0 ? NULL : port_take_free(p, &slot);
}

static void
give_block(pinion_port *p, uint32_t at)
{
	if (--p->arena.next[at] == 0)
		arena_give(&p->arena, at);
}

void
pinioni_port_unpin(pinion_port *p, const struct pin *pins, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (pins[i].kind == PIN_BLOCK)
			give_block(p, pins[i].at);
		else
			p->notes[pins[i].at].pinned--;
	}
}

/* The block for the slot's result goes back. */
static void
unplace(pinion_port *p, uint16_t slot)
{
	struct result_place *place = &p->memory.places[slot];

	arena_give(&p->arena, place->at);
	place->size = 0;
}

void
pinioni_port_strip(pinion_port *p, struct slot_note *note)
{
	uint16_t slot = port_slot_of(p, note);

	pinioni_port_unpin(p, note->pin, note->pins);
	note->pins = 0;
	if ((note->marks & MARK_PLACED) != 0)
		unplace(p, slot);
	if ((note->marks & MARK_CARRIED) != 0)
		arena_give(&p->arena, p->memory.terms[slot].at);
	if ((note->marks & (MARK_SHARED | MARK_KEPT)) != 0) {
		slot_retire(&p->memory.slots[slot], note->generation);
		note->generation = (note->generation + 1) & GENERATION_MASK;
	}
	note->marks = 0;
}

static void
free_slot(pinion_port *p, struct slot_note *note)
{
	if ((note->marks | note->pins) != 0)
		pinioni_port_strip(p, note);
	port_give(p, note);
}

static bool
may_free(const pinion_port *p, const struct slot_note *note)
{
	const struct slot *s = &p->memory.slots[port_slot_of(p, note)];

	if (note->pinned != 0 || !slot_poll(s, note->generation))
		return false;
	return (note->marks & MARK_KEPT) == 0 || slot_is_ended(s); /* by pinion_ref_release */
}

void
pinioni_port_release_slot(pinion_port *p, struct slot_note *note)
{
	assert(note->state == NOTE_OPEN || note->state == NOTE_OVERDUE);
	if ((note->marks & MARK_HARVESTABLE) != 0)
		pinioni_port_unharvest(p, port_slot_of(p, note));
	if (may_free(p, note)) {
		free_slot(p, note);
		return;
	}
	if ((note->marks & (MARK_STREAM | MARK_PIPED)) == MARK_STREAM)
		pinioni_stream_close(p, note);
	note->state = NOTE_ZOMBIE;
	note->marks &= (uint16_t)~MARK_TAGGED;
	p->zombies[p->zombie_count++] = port_slot_of(p, note);
}

static bool
loan_is_over(const pinion_port *p, const struct loan *loan)
{
	const pinion_port *other = runtime_port(p->runtime, loan->port);

	/* A port is taken down only when all its slots are DONE. */
	return other == NULL || loan->slot >= other->memory.slot_count ||
	    slot_look(&other->memory.slots[loan->slot], loan->generation) != SLOT_IS_PENDING;
}

static void
end_loan(pinion_port *p, const struct loan *loan)
{
	pinioni_port_unpin(p, loan->pin, loan->pins);
	for (uint16_t slot = loan->owned, next; slot != SLOT_NONE; slot = next) {
		next = p->notes[slot].next;
		p->notes[slot].marks &= (uint16_t)~MARK_ATTACHED;
		port_release(p, &p->notes[slot]);
	}
}

static void
sweep_loans(pinion_port *p)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < p->loan_count; i++) {
		struct loan loan = p->loans[i];

		if (loan_is_over(p, &loan))
			end_loan(p, &loan);
		else
			p->loans[kept++] = loan;
	}
	p->loan_count = kept;
}

/* One look at each; true: something was freed, so that its arguments may be free now. */
static bool
sweep_zombies(pinion_port *p)
{
	uint32_t before = p->zombie_count, kept = 0;

	/* Newest first: a dependent gives up its argument, which is mostly older. */
	for (uint32_t i = before; i-- > 0;)
		if (may_free(p, &p->notes[p->zombies[i]])) {
			free_slot(p, &p->notes[p->zombies[i]]);
			p->zombies[i] = SLOT_NONE;
		}
	for (uint32_t i = 0; i < before; i++)
		if (p->zombies[i] != SLOT_NONE)
			p->zombies[kept++] = p->zombies[i];
	p->zombie_count = kept;
	return kept != before;
}

void
pinioni_port_sweep(pinion_port *p)
{
	if (p->has_uncanceled)
		pinioni_cancel_again(p);
	if (p->loan_count != 0)
		sweep_loans(p);
	while (p->zombie_count != 0 && sweep_zombies(p))
		continue;
}

int
pinioni_port_take_block(pinion_port *p, size_t bytes, uint32_t *at)
{
	int err = arena_take(&p->arena, bytes, at);

	if (err != -ENOBUFS)
		return err;
	pinioni_port_sweep(p);
	return pinioni_arena_take_joined(&p->arena, bytes, at);
}

void
pinioni_port_abandon(pinion_port *p)
{
	for (uint32_t i = 0; i < p->memory.slot_count; i++) {
		p->notes[i].marks &= (uint16_t)~MARK_KEPT;
		if (p->notes[i].state == NOTE_OPEN || p->notes[i].state == NOTE_OVERDUE)
			pinioni_port_release_slot(p, &p->notes[i]);
	}
	pinioni_port_sweep(p);
}

bool
pinioni_port_is_quiet(pinion_port *p)
{
	pinioni_port_sweep(p);
	if (port_taken(p) != 0 || p->loan_count != 0)
		return false;
	for (uint32_t i = 0; i < p->runtime->worker_count; i++)
		if (!lane_tx_is_empty(&p->tx[i]))
			return false;
	return true;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

/* It sleeps, and was not rung yet. */
__attribute__((noinline)) static void
ring(pinion_port *p, unsigned worker, uint64_t epoch)
{
	p->rang[worker] = epoch;
	pinioni_worker_ring(p->runtime, worker);
	if (p->worker != NULL)
		board_count(p->worker->line, COUNT_RINGS, 1);
}

static inline void
look_at(pinion_port *p, unsigned worker)
{
	struct pinion_runtime *rt = p->runtime;
	uint64_t epoch = epoch_look(&rt->board.workers[worker].epoch);

	if (epoch_is_asleep(epoch) && p->rang[worker] != epoch)
		ring(p, worker, epoch);
}

void
pinioni_port_order(pinion_port *p)
{
	uint64_t mask = p->unordered;

	if (mask == 0)
		return;
	p->unordered = 0;
	bell_order();
	for (; mask != 0; mask &= mask - 1)
		look_at(p, (unsigned)__builtin_ctzll(mask));
}

void
pinioni_port_publish(pinion_port *p, unsigned worker)
{
	const struct board *board = &p->runtime->board;

	lane_publish(&p->tx[worker]);
	if (doorbell_is_wanted(&board->workers[worker], p->index))
		doorbell_ring(board_doors(board, worker), p->index);
	if (p->runtime->mode == BOARD_SPIN)
		return;
	p->unordered |= UINT64_C(1) << worker;
	if (++p->pushes % LOOK_EVERY == 0 || (p->worker == NULL && port_taken(p) <= 1))
		pinioni_port_order(p);
	else
		look_at(p, worker);
}

int
pinioni_port_push(pinion_port *p, unsigned worker, const struct message *m)
{
	struct message *cell = lane_claim(&p->tx[worker]);

	if (cell == NULL)
		return -ENOBUFS;
	*cell = *m;
	pinioni_port_publish(p, worker);
	return 0;
}

/* ---- routes --------------------------------------------------------------------------------- */

static bool
copy_directory(pinion_port *p)
{
	const struct directory *d = &p->runtime->directory;
	uint64_t version = directory_read_begin(d);
	uint64_t deployments = directory_get64(&d->head->deployment_count);
	uint64_t replicas = directory_get64(&d->head->replica_count);

	if (deployments > DIRECTORY_DEPLOYMENTS || replicas > DIRECTORY_REPLICAS)
		return false;
	for (uint32_t i = 0; i < deployments; i++) {
		p->routes[i].first = directory_get32(&d->deployments[i].first);
		p->routes[i].count = directory_get32(&d->deployments[i].count);
		if (p->routes[i].first > replicas || p->routes[i].count > replicas)
			return false;
		if (p->routes[i].turn >= p->routes[i].count)
			p->routes[i].turn = 0;
	}
	for (uint32_t i = 0; i < replicas; i++)
		p->replica_worker[i] = (uint16_t)directory_get32(&d->replicas[i].worker);
	if (!directory_read_same(d, version))
		return false;
	p->route_count = (uint32_t)deployments;
	p->replica_count = (uint32_t)replicas;
	p->directory_version = version;
	return true;
}

void
pinioni_port_ring(pinion_port *p)
{
	struct port_doors *doors = p->memory.doors;
	uint64_t epoch = epoch_look(&doors->epoch);
	uint64_t one = 1;

	/* F, in the write: who sleeps there has made it before. */
	if (epoch_is_asleep(epoch) && bell_ring(&doors->bell, epoch))
		(void)!write(atomic_load_explicit(&p->event_fd, memory_order_acquire), &one,
		    sizeof one); /* full: it is readable already */
}

void
pinioni_port_renew_routes(pinion_port *p)
{
	/* Ended by the writer, who waits for nobody; a torn copy is tried again. */
	while (!copy_directory(p))
		continue;
}

/* ---- failures ------------------------------------------------------------------------------- */

pinion_response
pinioni_port_fail(pinion_port *p, int code, const struct method *method, const char *format, ...)
{
	uint64_t serial = ++p->failure_serial;
	struct failure *f = &p->failures[serial % FAILURES];
	va_list list;

	*f = (struct failure){ .serial = serial,
		.code = code,
		.origin = code == -EINVAL || code == -ERANGE || code == -EMSGSIZE || code == -ESTALE
		    ? PINION_ORIGIN_CALLER
		    : PINION_ORIGIN_RUNTIME };
	if (method != NULL) {
		f->deployment = method->deployment->name;
		f->method = method->name;
	}
	va_start(list, format);
	(void)vsnprintf(f->text, sizeof f->text, format, list); /* a text cut short is fine */
	va_end(list);
	return (pinion_response){
		.generation = serial << 16 | (uint16_t)-code,
		.port = port_word(p),
		.slot = 0xffff0000u,
	};
}

void
pinioni_port_failed_in(pinion_port *p, const char *deployment, const char *method)
{
	struct failure *f = &p->failures[p->failure_serial % FAILURES];

	f->deployment = deployment;
	f->method = method;
}

pinion_response
pinioni_port_fail_upstream(
    pinion_port *p, int code, const char *deployment, const char *method, const char *text)
{
	pinion_response r = pinioni_port_fail(p, code, NULL, "%s", text);

	p->failures[p->failure_serial % FAILURES].origin = PINION_ORIGIN_UPSTREAM;
	pinioni_port_failed_in(p, deployment, method);
	return r;
}
