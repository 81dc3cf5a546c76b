/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/lane_memory.c - where the lanes of a lane segment lie.
 */
#include "shm/lane_memory.h"

#include <errno.h>
#include <unistd.h>

static struct segment_plan
plan_of(const struct lane_memory *m, const char *name)
{
	return (struct segment_plan){
		.name = name, .kind = SEGMENT_LANES, .counts = { m->lanes, m->cells, m->cells_base }
	};
}

/* Nothing is mapped yet. Returns the whole segment's size. */
static size_t
lay_out(struct lane_memory *m, uint32_t lanes, uint32_t cells)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	*m = (struct lane_memory){ .segment = SEGMENT_UNUSED, .lanes = lanes, .cells = cells };
	m->cells_base = segment_round_up(
	    sizeof(struct segment_header) + lanes * sizeof(struct lane_head), page);
	return m->cells_base + (size_t)lanes * cells * sizeof(struct cell);
}

int
pinioni_lane_memory_map(struct lane_memory *m, const char *name, uint32_t lanes, uint32_t cells)
{
	size_t size = lay_out(m, lanes, cells);
	struct segment_plan plan = plan_of(m, name);

	plan.size = size;
	return pinioni_segment_create(&m->segment, &plan);
}

int
pinioni_lane_memory_attach(struct lane_memory *m, int fd, uint32_t lanes, uint32_t cells)
{
	size_t size = lay_out(m, lanes, cells);
	int err = pinioni_segment_attach(&m->segment, fd, SEGMENT_LANES, false);

	if (err == 0 && m->segment.size < size) {
		pinioni_segment_destroy(&m->segment);
		err = -EBADMSG;
	}
	return err;
}

int
pinioni_lane_memory_publish(struct lane_memory *m, uint64_t first)
{
	struct segment_plan plan = plan_of(m, NULL);
	int err = pinioni_segment_commit(&m->segment, 0, m->segment.size);

	if (err != 0)
		return err;
	for (uint32_t i = 0; i < m->lanes; i++)
		lane_init(lane_memory_cells(m, i), m->cells, lane_memory_head(m, i), first);
	return pinioni_segment_publish(&m->segment, &plan, false);
}
