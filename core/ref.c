/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/ref.c - references: results read by those who did not call.
 *
 *   reference = tag 1 | home worker 15 | generation 48, port word, slot
 *
 * Why       A response is its thread's; a reference may lie in a payload and be read anywhere in the
 *           process. The reader copies, and checks the generation after the copy: what was released
 *           meanwhile is -ESTALE, never a torn value.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/read.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "shm/futex.h"

pinion_ref
pinion_response_ref(pinion_response r)
{
	pinion_ref ref = { .generation = REF_TAG | (r.generation & GENERATION_MASK),
		.port = r.port,
		.slot = r.slot };
	struct port_shell *shell;
	int err;
	pinion_port *port;
	struct slot_note *note;

	if (port_is_failed(r))
		return ref; /* says why */
	port = port_enter_response(r.port, &shell, &err);
	if (port == NULL) {
		ref.slot = REF_GONE;
		return ref;
	}
	note = port_note_of(port, r);
	if (note != NULL) {
		note->marks |= MARK_SHARED;
		ref.generation |= (uint64_t)note->home << 48;
	} else {
		ref.slot = REF_GONE;
	}
	port_leave(shell);
	return ref;
}

int
pinion_response_keep(pinion_response r)
{
	struct port_shell *shell;
	int err = -ESTALE;
	pinion_port *port;
	struct slot_note *note;

	if (r.slot == RESPONSE_NOWHERE)
		return err;
	port = port_enter_response(r.port, &shell, &err);
	if (port == NULL)
		return err;
	err = -ESTALE;
	note = port_note_of(port, r);
	if (note != NULL) {
		note->marks |= MARK_KEPT;
		err = 0;
	}
	port_leave(shell);
	return err;
}

/* The port a reference names, kept from being taken down; leave with unvisit. */
static pinion_port *
visit(struct pinion_runtime *rt, pinion_ref ref)
{
	pinion_port *owner;

	(void)pthread_mutex_lock(&rt->lock);
	owner = runtime_port(rt, ref.port & 0xffff);
	if (owner != NULL && ref.slot < owner->memory.slot_count) {
		/* relaxed: read under the lock that it is written under. */
		atomic_fetch_add_explicit(&owner->visitors, 1, memory_order_relaxed);
	} else {
		owner = NULL;
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return owner;
}

static void
unvisit(pinion_port *owner)
{
	struct pinion_runtime *rt = owner->runtime;

	(void)pthread_mutex_lock(&rt->lock);
	/* relaxed: as above. */
	atomic_fetch_sub_explicit(&owner->visitors, 1, memory_order_relaxed);
	(void)pthread_mutex_unlock(&rt->lock);
}

void
pinion_ref_release(pinion_ref ref)
{
	struct port_shell *shell;
	int err;
	pinion_port *port, *owner;

	if (!ref_is_tagged(ref))
		return;
	port = pinioni_port_enter_token(ref.port, &shell, &err);
	if (port == NULL)
		return;
	owner = visit(port->runtime, ref);
	if (owner != NULL) {
		(void)slot_end(&owner->memory.slots[ref.slot], ref_generation(ref));
		unvisit(owner);
	}
	port_leave(shell);
}

/* Outside of a request: this thread's own room, until its next. */
static void *
room_for(pinion_port *port, size_t size)
{
	struct pinion_request *r = port->worker == NULL ? NULL : port->worker->current;
	void *grown;

	if (r != NULL)
		return pinion_alloc(r, size == 0 ? 1 : size);
	if (size <= pinioni_self.copy_size)
		return pinioni_self.copy;
	grown = realloc(pinioni_self.copy, size);
	if (grown == NULL)
		return NULL;
	pinioni_self.copy = grown;
	pinioni_self.copy_size = size;
	return grown;
}

static int
await(pinion_port *port, struct slot *slot, uint64_t generation)
{
	struct pinion_runtime *rt = port->runtime;

	if (port->worker != NULL)
		return pinioni_worker_await_stranger(port->worker, slot, generation);
	while (slot_watch(slot, generation) == SLOT_IS_PENDING) {
		/* relaxed: what the futex compares; the state is looked at with D. */
		uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

		if (runtime_phase(rt) >= RUNTIME_CANCELING)
			return -ECANCELED;
		if (rt->mode == BOARD_DRIVEN)
			(void)pinioni_worker_turn(&rt->workers[0]);
		else if (slot_word_is_pending(word, generation))
			(void)pinioni_futex_wait(
			    (const _Atomic uint32_t *)(const void *)&slot->word, (uint32_t)word,
			    (uint64_t)SLEEP_MAX_MS * 1000000); /* looked at again in any case */
	}
	return 0;
}

static int
copy_out(
    pinion_port *port, const pinion_port *owner, uint32_t at, uint64_t generation, pinion_into into)
{
	const struct slot *slot = &owner->memory.slots[at];
	struct result_place place = port_memory_place(&owner->memory, at);
	uint64_t word;
	uint32_t length = slot_length(slot);
	int status = slot_status(slot);
	const void *from;
	void *copy;

	/* relaxed: seen DONE with D; checked again after the copy. */
	word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	if ((word & SLOT_ENDED) != 0)
		return -ESTALE; /* given back */
	from = slot->bytes;
	if (length > SLOT_BYTES)
		from = length > place.size
		    ? NULL
		    : port_memory_at(&owner->memory, (uint64_t)place.at * ARENA_GRANULE, length);
	if (from == NULL)
		return -ESTALE;
	copy = room_for(port, length < SLOT_BYTES ? SLOT_BYTES : length);
	if (copy == NULL)
		return -ENOMEM;
	if (length <= SLOT_BYTES) {
		if (!slot_copy(slot, generation, copy, length))
			return -ESTALE;
	} else {
		memcpy(copy, from, length);
		if (slot_look(slot, generation) != SLOT_IS_DONE)
			return -ESTALE;
	}
	if (status != 0)
		return status > 0 ? -EBADMSG : status;
	return pinioni_read((pinion_kind)slot_word_kind(word), copy, length, &into);
}

/* A result that is there, in a port that cannot go away meanwhile: our own, or, for a worker within one
 * turn, any. NULL: it is to be visited. */
static pinion_port *
at_hand(pinion_port *port, pinion_ref ref)
{
	bool is_ours = (ref.port & 0xffff) == port->index;
	pinion_port *owner = is_ours ? port
	    : port->worker != NULL   ? runtime_port(port->runtime, ref.port & 0xffff)
				     : NULL;

	if (owner == NULL || ref.slot >= owner->memory.slot_count ||
	    slot_look(&owner->memory.slots[ref.slot], ref_generation(ref)) != SLOT_IS_DONE)
		return NULL;
	return owner;
}

int
pinion_ref_get_into(pinion_ref ref, pinion_into into)
{
	uint64_t generation = ref_generation(ref);
	struct port_shell *shell;
	int err;
	pinion_port *port, *owner;

	if (!ref_is_tagged(ref))
		return -EINVAL;
	if (ref.slot >= 0xffff0000u)
		return -(int)(ref.generation & 0xffff);
	port = pinioni_port_enter_token(ref.port, &shell, &err);
	if (port == NULL)
		return err;
	owner = at_hand(port, ref);
	if (owner == NULL && port->is_granted && port->runtime->serving == NULL &&
	    (ref.port & 0xffff) != port->index) {
		err = -EACCES; /* its port is not here */
	} else if (owner != NULL) {
		err = copy_out(port, owner, ref.slot, generation, into);
	} else if ((owner = visit(port->runtime, ref)) != NULL) {
		err = await(port, &owner->memory.slots[ref.slot], generation);
		if (err == 0)
			err = slot_look(&owner->memory.slots[ref.slot], generation) == SLOT_IS_DONE
			    ? copy_out(port, owner, ref.slot, generation, into)
			    : -ESTALE;
		unvisit(owner);
	} else {
		err = -ESTALE;
	}
	port_leave(shell);
	return err;
}
