/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/lane_memory.h - a lane segment: all lanes from one port to the workers of one NUMA node.
 *
 * Picture   in shm/format.h. The heads share the first pages, a line pair each; the cells follow.
 * Memory    on the consumers' node: the consumer polls it, the producer only writes.
 * Threads   One at a time, until both ends are handed out.
 */
#ifndef PINION_SHM_LANE_MEMORY_H
#define PINION_SHM_LANE_MEMORY_H

#include "shm/lane.h"
#include "shm/segment.h"

struct lane_memory {
	struct segment segment;
	uint32_t lanes;
	uint32_t cells; /* of each, a power of two */
	size_t cells_base;
};

/* Maps it; nothing is committed. 0 or -errno. */
int pinioni_lane_memory_map(struct lane_memory *m, const char *name, uint32_t lanes, uint32_t cells)
    __attribute__((warn_unused_result));

/* Commits everything, starts each lane at ticket `first`, seals and publishes. 0 or -errno. */
int pinioni_lane_memory_publish(struct lane_memory *m, uint64_t first)
    __attribute__((warn_unused_result));

/* Maps what another process has published, and says to have that many. The descriptor stays the caller's. 0, or as
 * pinioni_segment_attach. */
int pinioni_lane_memory_attach(struct lane_memory *m, int fd, uint32_t lanes, uint32_t cells)
    __attribute__((warn_unused_result));

static inline struct cell *
lane_memory_cells(const struct lane_memory *m, uint32_t lane)
{
	return (struct cell *)(m->segment.base + m->cells_base) + (size_t)lane * m->cells;
}

static inline struct lane_head *
lane_memory_head(const struct lane_memory *m, uint32_t lane)
{
	return (struct lane_head *)(m->segment.base + sizeof(struct segment_header)) + lane;
}

/* Anybody: the consumer has taken all that was published. */
static inline bool
lane_is_taken(const struct lane_memory *m, uint32_t lane, uint64_t mask)
{
	/* C */
	uint64_t taken =
	    atomic_load_explicit(&lane_memory_head(m, lane)->taken, memory_order_acquire);

	/* relaxed: a message pushed after this look is the next look's. */
	return atomic_load_explicit(&lane_memory_cells(m, lane)[taken & mask].sequence,
		   memory_order_relaxed) != taken + 1;
}

static inline void
lane_memory_unmap(struct lane_memory *m)
{
	pinioni_segment_destroy(&m->segment);
}

#endif
