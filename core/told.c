/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/told.c - what a port's owner is told of calls that it asked about: handlers that wait go on, answers are
 * passed on, tagged calls are put where they are harvested.
 *
 *   ask: TELL in the slot --> done, or a stream's item: its bit in the ready bitmap --> drain: told
 */
#include "core/port.h"
#include "core/runtime.h"
#include "core/worker.h"
#include "shm/bell.h"
#include "shm/ready.h"

void
pinioni_port_unharvest(pinion_port *p, uint16_t slot)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < p->harvest_count; i++)
		if (p->harvest[i].slot != slot)
			p->harvest[kept++] = p->harvest[i];
	p->harvest_count = kept;
	p->notes[slot].marks &= (uint16_t)~MARK_HARVESTABLE;
}

/* Once, however often it is told. */
static void
harvest_add(pinion_port *p, uint16_t slot, uint64_t stamp)
{
	uint32_t at = p->harvest_count;

	if ((p->notes[slot].marks & MARK_HARVESTABLE) != 0)
		return;
	p->harvest_count++;
	for (; at > 0 && p->harvest[at - 1].stamp > stamp; at--)
		p->harvest[at] = p->harvest[at - 1];
	p->harvest[at] = (struct harvested){ .stamp = stamp, .slot = slot };
	p->notes[slot].marks |= MARK_HARVESTABLE;
}

bool
pinioni_port_ask(pinion_port *p, uint32_t slot)
{
	const struct slot_note *note = &p->notes[slot];

	if (slot_ask(&p->memory.slots[slot], note->generation) != SLOT_IS_PENDING)
		return false;
	if ((note->marks & MARK_STREAM) == 0)
		return true;
	bell_order(); /* an item that came before we asked is seen here */
	return !port_has_item(p, slot);
}

/* That answer may be one that another request waits to pass on, and so on: the stack is bounded. */
static void
relay(pinion_port *p, struct slot_note *note, uint32_t slot)
{
	struct pinion_request *r = note->relay;

	note->relay = r->next;
	note->pinned--;
	p->worker->relays++;
	pinioni_request_relay(r, (uint16_t)slot);
	p->worker->relays--;
}

void
pinioni_port_told(void *port, uint32_t slot)
{
	pinion_port *p = port;
	struct slot_note *note;
	bool done;

	if (slot >= p->memory.slot_count)
		return;
	note = &p->notes[slot];
	done = slot_poll(&p->memory.slots[slot], note->generation);
	if (note->state == NOTE_FREE || (!done && (note->marks & MARK_STREAM) == 0))
		return; /* a stray bit */
	if ((note->marks & MARK_AWAITED) != 0)
		pinioni_worker_resume_awaiting(p->worker, slot);
	else if (note->waiter != NULL)
		pinioni_worker_resume(p->worker, note->waiter);
	if (!done) {
		if ((note->marks & MARK_TAGGED) != 0)
			harvest_add(p, (uint16_t)slot, clock_ticks());
		return;
	}
	while (note->relay != NULL && p->worker->relays < RELAYS_MAX)
		relay(p, note, slot);
	if (note->relay != NULL)
		ready_add(p->memory.ready, slot); /* told again in the next turn */
	if ((note->marks & MARK_TAGGED) != 0 && note->state == NOTE_OPEN) {
		if ((note->marks & MARK_STREAM) == 0)
			note->marks &= (uint16_t)~MARK_TAGGED;
		harvest_add(p, (uint16_t)slot, p->memory.slots[slot].stamp);
	}
}

void
pinioni_port_drain_ready(pinion_port *p)
{
	if (!ready_is_empty(p->memory.ready, p->memory.slot_count))
		(void)ready_drain(p->memory.ready, p->memory.slot_count, pinioni_port_told, p);
}
