/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/port_memory.c - where the parts of a port segment lie.
 */
#include "shm/port_memory.h"

#include <errno.h>
#include <unistd.h>

#include "shm/slot.h"

static struct segment_plan
plan_of(const struct port_memory *m, const char *name)
{
	return (struct segment_plan){
		.name = name,
		.kind = SEGMENT_PORT,
		.counts = { m->slot_count, m->arena_base, m->arena_size },
	};
}

/* Gives `bytes` at *end, aligned for a writer of its own. */
static size_t
part(size_t *end, size_t bytes)
{
	size_t at = segment_round_up(*end, PINION_LINE);

	*end = at + bytes;
	return at;
}

/* Where each begins; base NULL: only the arena is found. */
static void
lay_out(struct port_memory *m, unsigned char *base)
{
	uint32_t slots = m->slot_count;
	size_t end = sizeof(struct segment_header);
	size_t doors = part(&end, sizeof *m->doors);
	size_t ready = part(&end, ready_size(slots));
	size_t places = part(&end, slots * sizeof *m->places);
	size_t first = part(&end, slots * sizeof *m->slots);
	size_t terms = part(&end, slots * sizeof *m->terms);
	size_t faults = part(&end, slots * sizeof *m->faults);

	m->arena_base = segment_round_up(end, (size_t)sysconf(_SC_PAGESIZE));
	if (base == NULL)
		return;
	m->doors = (struct port_doors *)(base + doors);
	m->ready = (struct ready_set *)(base + ready);
	m->places = (struct result_place *)(base + places);
	m->slots = (struct slot *)(base + first);
	m->terms = (struct call_terms *)(base + terms);
	m->faults = (struct fault *)(base + faults);
}

int
pinioni_port_memory_map(
    struct port_memory *m, const char *name, uint32_t slots, size_t arena_bytes, bool huge_pages)
{
	struct segment_plan plan;
	int err;

	*m = (struct port_memory){
		.segment = SEGMENT_UNUSED, .slot_count = slots, .arena_size = arena_bytes
	};
	lay_out(m, NULL);
	plan = plan_of(m, name);
	plan.size = m->arena_base + m->arena_size;
	plan.huge_pages = huge_pages;
	err = pinioni_segment_create(&m->segment, &plan);
	if (err == 0)
		lay_out(m, m->segment.base);
	return err;
}

int
pinioni_port_memory_attach(struct port_memory *m, int fd, uint32_t slots, size_t arena_bytes)
{
	int err;

	*m = (struct port_memory){
		.segment = SEGMENT_UNUSED, .slot_count = slots, .arena_size = arena_bytes
	};
	lay_out(m, NULL);
	err = pinioni_segment_attach(&m->segment, fd, SEGMENT_PORT, false);
	if (err == 0 && m->segment.size < m->arena_base + arena_bytes)
		err = -EBADMSG;
	if (err == 0)
		lay_out(m, m->segment.base);
	else
		pinioni_segment_destroy(&m->segment);
	return err;
}

int
pinioni_port_memory_publish(struct port_memory *m, uint64_t generation)
{
	struct segment_plan plan = plan_of(m, NULL);
	int err = pinioni_segment_commit(&m->segment, 0, m->arena_base);

	if (err != 0)
		return err;
	for (uint32_t i = 0; i < m->slot_count; i++) {
		/* relaxed: published with the segment. */
		atomic_store_explicit(
		    &m->slots[i].word, slot_word(generation, SLOT_DONE), memory_order_relaxed);
	}
	return pinioni_segment_publish(&m->segment, &plan, false);
}
