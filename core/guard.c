/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guard.c - see core/guard.h.
 */
#include "core/guard.h"

#include <errno.h>

#include "core/custody.h"
#include "core/door.h"
#include "core/guest_sanitizer.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/serve.h"

enum {
	CALL_FLAGS = MESSAGE_STAMP,
	CALL_FUNCTION = MESSAGE_TERMS | MESSAGE_FIXED | MESSAGE_PIPED | MESSAGE_AHEAD
};

/* Of a replica that is here or was, and a method that callers name; NULL: it is none. */
static const struct method *
method_of(const struct worker *w, const struct message *m)
{
	const struct replica_table *table = registry_replicas(&w->runtime->registry);
	const struct deployment *d;

	if (m->target >= table->count)
		return NULL;
	d = table->replicas[m->target]->deployment;
	return d->index != DEPLOYMENT_TASK && m->method < d->method_count ? &d->methods[m->method]
									  : NULL;
}

/* Handed on by nobody, and no handler's call: these are ours. */
static bool
is_first(const struct message *m)
{
	return (m->call & 0xffff) == 0;
}

/* Another call of this slot is still here: its owner would have waited for it. The latest is not yet written down, and that is
 * not done for this. */
static bool
is_repeated(struct worker *w, const struct message *m)
{
	const struct custody_entry *e = worker_custody(w, m->port, m->slot);
	const struct pinion_request *latest = w->latest;

	if (latest != NULL && latest->message.port == m->port && latest->message.slot == m->slot)
		return true;
	return e != NULL && e->here != NULL && e->here->state != REQUEST_PLACEHOLDER;
}

/* What it waits for is its own, and not itself. */
static bool
refs_are_own(const struct worker *w, const struct message *m, const struct method *method)
{
	struct record_ref refs[PINION_ARGS_MAX];
	unsigned count, wanted = (unsigned)__builtin_popcount(m->refs);

	if (m->refs == 0)
		return true;
	count = pinioni_record_refs(w->runtime, m, method, refs);
	for (unsigned i = 0; i < count; i++)
		if (refs[i].port != m->port ||
		    (refs[i].kind == REF_RESULT && refs[i].at == m->slot))
			return false;
	return count == wanted;
}

/* Its arguments lie in its own arena, as a block does, if not in the message. */
static bool
record_is_own(const struct message *m, const pinion_port *port)
{
	struct record_outside outside;

	if (m->length <= MESSAGE_RECORD)
		return true;
	memcpy(&outside, m->record, sizeof outside);
	return m->length == RECORD_OUTSIDE && outside.port == m->port &&
	    outside.offset % ARENA_GRANULE == 0 &&
	    port_memory_at(&port->memory, outside.offset, outside.length) != NULL;
}

static bool
call_makes_sense(struct worker *w, const struct message *m, const pinion_port *port)
{
	const struct method *method = method_of(w, m);

	if (method == NULL || (m->flags & ~CALL_FLAGS) != 0 || m->trail != 0 ||
	    (m->function & ~CALL_FUNCTION) != 0 || !is_first(m))
		return false;
	if (m->slot == SLOT_NONE)
		return m->refs == 0 && m->length <= MESSAGE_RECORD && method->item_size == 0 &&
		    (m->function & (MESSAGE_TERMS | MESSAGE_PIPED)) == 0;
	return m->slot < port->memory.slot_count && record_is_own(m, port) && !is_repeated(w, m) &&
	    refs_are_own(w, m, method);
}

/* Of a call in one of its own slots, which may wait behind arguments of its own. */
static bool
cancel_makes_sense(const struct message *m, const pinion_port *port)
{
	struct record_ref ref;

	if (m->slot >= port->memory.slot_count || m->length > MESSAGE_RECORD ||
	    m->length % sizeof ref != 0 || !is_first(m))
		return false;
	for (size_t at = 0; at < m->length; at += sizeof ref) {
		memcpy(&ref, m->record + at, sizeof ref);
		if (ref.port != m->port || ref.at >= port->memory.slot_count)
			return false;
	}
	return true;
}

/* Its slot ends, if it is one. */
static void
refuse(struct worker *w, const struct message *m, pinion_port *port)
{
	board_count(w->line, COUNT_REFUSED, 1);
	if (m->slot < port->memory.slot_count && m->kind == MESSAGE_CALL)
		pinioni_request_refuse(w, port, m);
	/* relaxed: a number; what follows from it comes later in any case. The first since the door has looked knocks. */
	if (w->runtime->serving != NULL)
		pinioni_serve_refused(w->runtime, port);
	else if (atomic_fetch_add_explicit(&port->violations, 1, memory_order_relaxed) == 0)
		pinioni_door_knock(w->runtime->door);
}

bool
pinioni_guard_admits(struct worker *w, const struct lane_rx *lane, const struct message *m)
{
	pinion_port *port = runtime_port(w->runtime, lane->guarded - 1);
	bool makes_sense = false;

	if (port == NULL)
		return false; /* it is buried: whatever it says */
	if (m->port != port->index)
		makes_sense = false;
	else if (m->kind == MESSAGE_CALL)
		makes_sense = call_makes_sense(w, m, port);
	else if (m->kind == MESSAGE_CANCEL)
		makes_sense = cancel_makes_sense(m, port);
	if (!makes_sense)
		refuse(w, m, port);
	guest_sanitizer_called(port);
	return makes_sense;
}
