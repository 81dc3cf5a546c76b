/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/hostile.h - a port of another process without the process: what a client could write there, is written here.
 *
 *   hostile_make: a port as one that attached gets, in a caller-driven runtime
 *   hostile_call --> a message of the next call of a slot --> changed at will --> hostile_push --> turns
 *   hostile_end: as when its process has gone
 *
 * Why       One thread, so that what is written between two turns is written there each time.
 */
#ifndef PINION_TESTS_ATTACH_HOSTILE_H
#define PINION_TESTS_ATTACH_HOSTILE_H

#include <assert.h>
#include <string.h>

#include "core/guest.h"
#include "core/thread.h"

enum {
	HOSTILE_SLOTS = 64, /* of each port of the runtime */
	HOSTILE_ARENA = ARENA_STEP
};

struct hostile {
	pinion_runtime *runtime;
	pinion_port *port;
	uint64_t generations[HOSTILE_SLOTS]; /* of its last call */
};

static inline int
hostile_make(struct hostile *h, pinion_runtime *rt)
{
	struct control_port terms;
	int err = pinioni_guest_create(rt, HOSTILE_ARENA, &terms, &h->port);

	if (err != 0)
		return err;
	h->runtime = rt;
	for (unsigned i = 0; i < HOSTILE_SLOTS; i++)
		h->generations[i] = terms.generation;
	assert(h->port->memory.slot_count == HOSTILE_SLOTS);
	return pinioni_port_enter_runtime(rt, h->port);
}

static inline void
hostile_turns(const struct hostile *h, unsigned turns)
{
	while (turns-- != 0)
		(void)pinion_work(h->runtime);
}

/* Nobody writes there any more; all that it asked for ends. */
static inline void
hostile_end(struct hostile *h)
{
	struct burial *b = pinioni_guest_bury(h->port);

	assert(b != NULL);
	while (!(pinioni_burial_turn(b) && pinioni_burial_end(b)))
		hostile_turns(h, 1);
	h->port = NULL;
}

static inline struct port_memory *
hostile_memory(const struct hostile *h)
{
	return &h->port->memory;
}

static inline struct slot *
hostile_slot(const struct hostile *h, unsigned slot)
{
	return &h->port->memory.slots[slot];
}

/* So many granules into its arena. */
static inline void *
hostile_at(const struct hostile *h, uint32_t granule)
{
	return h->port->memory.segment.base + h->port->memory.arena_base +
	    (size_t)granule * ARENA_GRANULE;
}

/* The first replica's number of what the handle names. */
static inline uint16_t
hostile_target(const struct hostile *h, pinion_handle handle)
{
	return (uint16_t)(deployment_range(registry_deployment(
			      &h->runtime->registry, handle_deployment(handle))) >>
	    32);
}

/* Of the slot's next generation, without arguments. */
static inline struct message
hostile_call(struct hostile *h, pinion_handle handle, unsigned slot)
{
	h->generations[slot] = (h->generations[slot] + 1) & GENERATION_MASK;
	return (struct message){ .call = h->generations[slot] << 16,
		.slot = (uint16_t)slot,
		.port = h->port->index,
		.target = hostile_target(h, handle),
		.method = (uint8_t)handle_method(handle),
		.kind = MESSAGE_CALL };
}

/* False: the lane is full. */
static inline bool
hostile_push(const struct hostile *h, const struct message *m)
{
	struct lane_tx *tx = &h->port->tx[0];
	struct message *cell = lane_claim(tx);

	if (cell == NULL)
		return false;
	*cell = *m;
	lane_publish(tx);
	return true;
}

/* What the slot's call is to others, by its word. */
static inline void
hostile_set_word(const struct hostile *h, unsigned slot, uint64_t word)
{
	/* relaxed: one thread. */
	atomic_store_explicit(&hostile_slot(h, slot)->word, word, memory_order_relaxed);
}

/* It says that its call is DONE, with a result of that kind, length and status. */
static inline void
hostile_pretend_done(
    const struct hostile *h, unsigned slot, unsigned kind, uint32_t length, int32_t status)
{
	hostile_slot(h, slot)->length = length;
	hostile_slot(h, slot)->status = status;
	hostile_set_word(
	    h, slot, slot_word(h->generations[slot], SLOT_DONE) | (uint64_t)kind << 56);
}

static inline struct record_ref
hostile_ref(const struct hostile *h, unsigned slot, enum record_ref_kind kind)
{
	return (struct record_ref){ .call = h->generations[slot] << 16,
		.at = slot,
		.port = h->port->index,
		.kind = (uint16_t)kind };
}

/* Behind what is there. */
static inline void
hostile_put(struct message *m, const void *bytes, size_t length)
{
	assert(m->length + length <= MESSAGE_RECORD);
	memcpy(m->record + m->length, bytes, length);
	m->length = (uint8_t)(m->length + length);
}

/* Its arguments lie there. */
static inline void
hostile_put_outside(const struct hostile *h, struct message *m, uint64_t offset, uint32_t length)
{
	const struct record_outside outside = {
		.offset = offset, .length = length, .port = h->port->index
	};

	m->length = 0;
	hostile_put(m, &outside, sizeof outside);
	m->length = RECORD_OUTSIDE;
}

static inline bool
hostile_is_done(const struct hostile *h, unsigned slot)
{
	return slot_poll(hostile_slot(h, slot), h->generations[slot]);
}

#endif
