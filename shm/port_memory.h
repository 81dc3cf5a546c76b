/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/port_memory.h - a port segment: the room of one calling thread, cut into its parts.
 *
 * Picture   in shm/format.h. Slots first count as used when their memory is committed: all of them, and
 *           the faults, at once; the arena step by step (shm/arena.h).
 * Threads   One at a time, until published; then each part by its own rules.
 * Memory    The port's owner creates and destroys it, after the last request that names it has ended.
 */
#ifndef PINION_SHM_PORT_MEMORY_H
#define PINION_SHM_PORT_MEMORY_H

#include "shm/once.h"
#include "shm/ready.h"
#include "shm/segment.h"

struct port_memory {
	struct segment segment;
	struct port_doors *doors;
	struct ready_set *ready;
	struct result_place *places;
	struct slot *slots;
	struct call_terms *terms;
	struct fault *faults;
	size_t arena_base;
	size_t arena_size;
	uint32_t slot_count;
};

/* Maps it; nothing is committed, so that it can be bound to a node first. 0 or -errno. */
int pinioni_port_memory_map(struct port_memory *m, const char *name, uint32_t slots,
    size_t arena_bytes, bool huge_pages) __attribute__((warn_unused_result));

/* Commits slots and faults, sets every slot to {generation, DONE}, seals and publishes. 0 or -errno. */
int pinioni_port_memory_publish(struct port_memory *m, uint64_t generation)
    __attribute__((warn_unused_result));

/* Maps what another process has published, and says to have that many: the descriptor stays the caller's, and is not kept.
 * 0, or as pinioni_segment_attach. */
int pinioni_port_memory_attach(struct port_memory *m, int fd, uint32_t slots, size_t arena_bytes)
    __attribute__((warn_unused_result));

/* Bytes that lie before the arena, all committed. */
static inline size_t
port_memory_fixed(const struct port_memory *m)
{
	return m->arena_base;
}

/* What a slot has beside it, which another process may write. */
static inline struct result_place
port_memory_place(const struct port_memory *m, uint32_t slot)
{
	struct result_place place;

	once_copy(&place, &m->places[slot], sizeof place);
	return place;
}

static inline struct call_terms
port_memory_terms(const struct port_memory *m, uint32_t slot)
{
	struct call_terms terms;

	once_copy(&terms, &m->terms[slot], sizeof terms);
	return terms;
}

/* All of it but its text, of which there are head->length bytes. */
static inline const char *
port_memory_fault(const struct port_memory *m, uint32_t slot, struct fault *head)
{
	const struct fault *fault = &m->faults[slot];

	once_copy(head, fault, offsetof(struct fault, text));
	if (head->length > FAULT_TEXT)
		head->length = FAULT_TEXT;
	return fault->text;
}

/* NULL unless [offset, offset + length) lies in the arena. */
static inline unsigned char *
port_memory_at(const struct port_memory *m, uint64_t offset, uint64_t length)
{
	if (length > m->arena_size || offset > m->arena_size - length)
		return NULL;
	return m->segment.base + m->arena_base + offset;
}

static inline void
port_memory_unmap(struct port_memory *m)
{
	pinioni_segment_destroy(&m->segment);
}

#endif
