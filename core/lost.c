/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/lost.c - calls that nobody answers any more: the process whose workers had them has ended, or was left.
 *
 *   pending --> the owner itself writes why, and DONE --> read, told and released as any other
 *
 * Why       A slot has its callee as its one writer. When that cannot be, its owner takes its place: so nothing behind it, a
 *           wait, a harvest, a stream's end, has to know.
 * Threads   The port's.
 */
#include <errno.h>
#include <string.h>

#include "core/runtime.h"

static void
end_pending(pinion_port *p, uint32_t at, bool is_dead)
{
	static const char dead[] = "the process that ran it has ended, or cut us off";
	static const char left[] = "the runtime has stopped, or was left";
	struct slot_note *note = &p->notes[at];
	struct slot *slot = &p->memory.slots[at];
	struct fault *f = &p->memory.faults[at];
	size_t length = is_dead ? sizeof dead - 1 : sizeof left - 1;

	f->origin = PINION_ORIGIN_RUNTIME;
	f->deployment = note->method->deployment->index;
	f->method = note->method->index;
	f->length = (uint8_t)length;
	memcpy(f->text, is_dead ? dead : left, length);
	slot->status = is_dead ? -EOWNERDEAD : -ECANCELED;
	slot->length = 0;
	slot->stamp = clock_ticks();
	if ((slot_complete(slot, note->generation, PINION_KIND_NONE) & SLOT_TELL) != 0)
		pinioni_port_told(p, at);
}

bool
pinioni_port_lose(pinion_port *p)
{
	enum runtime_phase phase = runtime_phase(p->runtime);

	/* Of a host, what its handlers called ends as they do, until all is over. */
	if (p->runtime->attached == NULL ||
	    phase < (p->runtime->serving == NULL ? RUNTIME_CANCELING : RUNTIME_STOPPED))
		return false;
	if (p->is_lost)
		return true;
	p->is_lost = true;
	for (uint32_t i = 0; i < p->memory.slot_count; i++)
		if (p->notes[i].state != NOTE_FREE &&
		    slot_look(&p->memory.slots[i], p->notes[i].generation) == SLOT_IS_PENDING)
			end_pending(p, i, phase == RUNTIME_LOST);
	return true;
}
