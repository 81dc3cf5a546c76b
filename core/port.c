/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/port.c - what a port's owner does with slots and lanes.
 */
#include "core/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/attach.h"
#include "core/cancel.h"
#include "core/guest_sanitizer.h"
#include "core/runtime.h"
#include "core/stream.h"
#include "core/thread.h"
#include "shm/bell.h"
#include "shm/doorbell.h"
#include "shm/ready.h"

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

	if (other == NULL)
		other = runtime_buried(p->runtime, loan->port);
	/* A port is taken down only when all its slots are DONE, or nothing is left that names it. */
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
	(void)pinioni_port_lose(p);
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
	if (p->is_lost)
		return true;
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
	uint64_t epoch = epoch_look(&rt->board.workers[worker]->epoch);

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

	guest_sanitizer_pushes(p);
	lane_publish(&p->tx[worker]);
	if (doorbell_is_wanted(board->workers[worker], p->index))
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
	int fd;

	if (!epoch_is_asleep(epoch) || !bell_ring(&doors->bell, epoch))
		return;
	/* F: who sleeps there has made it before. */
	fd = atomic_load_explicit(&p->event_fd, memory_order_acquire);
	/* Full: it is readable already. A guest's is a socket, whose other end it has: nothing that it does there makes this
	 * wait. */
	if (p->runtime->serving != NULL && p->is_guest)
		pinioni_attached_ring(p->runtime->attached, p->index); /* whoever made it has it */
	else if (p->is_guest)
		(void)!send(fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		(void)!write(fd, &one, sizeof one);
}

void
pinioni_port_renew_routes(pinion_port *p)
{
	/* Ended by the writer, who waits for nobody; a torn copy is tried again. One who died in between leaves it torn: then
	 * what was copied before serves. */
	for (unsigned i = 0; i < TORN_LOOKS && !copy_directory(p); i++)
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
