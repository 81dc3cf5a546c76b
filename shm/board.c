/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/board.c - making a board and its bells.
 */
#include "shm/board.h"

#include <errno.h>

static int
make(struct segment *s, const struct segment_plan *plan, bool read_only)
{
	int err = pinioni_segment_create(s, plan);

	if (err != 0)
		return err;
	err = pinioni_segment_commit(s, 0, s->size);
	if (err == 0)
		err = pinioni_segment_publish(s, plan, read_only);
	if (err != 0)
		pinioni_segment_destroy(s);
	return err;
}

int
pinioni_board_create(struct board *b, const char *name, uint32_t workers)
{
	struct segment_plan board = {
		.name = name,
		.kind = SEGMENT_BOARD,
		.size = sizeof(struct segment_header) + workers * sizeof(struct board_worker),
		.counts = { workers },
	};
	struct segment_plan bells = {
		.name = name,
		.kind = SEGMENT_BELLS,
		.size = sizeof(struct segment_header) + workers * sizeof(struct worker_doors),
		.counts = { workers },
	};
	int err;

	*b = (struct board){
		.segment = SEGMENT_UNUSED, .bell_segment = SEGMENT_UNUSED, .count = workers
	};
	err = make(&b->segment, &board, true);
	if (err == 0)
		err = make(&b->bell_segment, &bells, false);
	if (err != 0) {
		pinioni_board_destroy(b);
		return err;
	}
	b->workers = (struct board_worker *)(b->segment.base + sizeof(struct segment_header));
	return 0;
}

int
pinioni_board_attach(struct board *b, int board, int bells, uint32_t workers)
{
	size_t head = sizeof(struct segment_header);
	int err;

	*b = (struct board){
		.segment = SEGMENT_UNUSED, .bell_segment = SEGMENT_UNUSED, .count = workers
	};
	err = pinioni_segment_attach(&b->segment, board, SEGMENT_BOARD, true);
	if (err == 0)
		err = pinioni_segment_attach(&b->bell_segment, bells, SEGMENT_BELLS, false);
	if (err == 0 &&
	    (b->segment.size < head + workers * sizeof(struct board_worker) ||
		b->bell_segment.size < head + workers * sizeof(struct worker_doors)))
		err = -EBADMSG;
	if (err != 0) {
		pinioni_board_destroy(b);
		return err;
	}
	b->workers = (struct board_worker *)(b->segment.base + head);
	return 0;
}

void
pinioni_board_destroy(struct board *b)
{
	pinioni_segment_destroy(&b->segment);
	pinioni_segment_destroy(&b->bell_segment);
}
