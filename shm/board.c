/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/board.c - making a board and its bells.
 */
#include "shm/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

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

/* Lines of so many workers, from the first on. */
static void
place_lines(struct board *b, const struct segment *s, uint32_t first, uint32_t count)
{
	struct board_worker *lines =
	    (struct board_worker *)(s->base + sizeof(struct segment_header));

	for (uint32_t i = 0; i < count; i++)
		b->workers[first + i] = &lines[i];
}

static void
clear(struct board *b, uint32_t count)
{
	*b = (struct board){ .segment = SEGMENT_UNUSED,
		.bell_segment = SEGMENT_UNUSED,
		.host_segment = SEGMENT_UNUSED,
		.count = count };
}

int
pinioni_board_create(struct board *b, const char *name, uint32_t workers, uint32_t host_workers)
{
	struct segment_plan board = {
		.name = name,
		.kind = SEGMENT_BOARD,
		.size = sizeof(struct segment_header) + workers * sizeof(struct board_worker),
		.counts = { workers },
	};
	struct segment_plan hosts = board, bells = board;
	uint32_t all = workers + host_workers;
	int err;

	hosts.size = sizeof(struct segment_header) + host_workers * sizeof(struct board_worker);
	hosts.counts[0] = host_workers;
	bells.kind = SEGMENT_BELLS;
	bells.size = sizeof(struct segment_header) + all * sizeof(struct worker_doors);
	bells.counts[0] = all;
	clear(b, all);
	err = make(&b->segment, &board, true);
	if (err == 0)
		err = make(&b->bell_segment, &bells, false);
	if (err == 0 && host_workers != 0)
		err = make(&b->host_segment, &hosts, false);
	if (err != 0) {
		pinioni_board_destroy(b);
		return err;
	}
	place_lines(b, &b->segment, 0, workers);
	if (host_workers != 0)
		place_lines(b, &b->host_segment, workers, host_workers);
	return 0;
}

static bool
is_long_enough(const struct segment *s, size_t count, size_t each)
{
	return s->size >= sizeof(struct segment_header) + count * each;
}

int
pinioni_board_attach(struct board *b, const struct board_grant *g)
{
	uint32_t all = g->workers + g->host_workers;
	int err;

	clear(b, all);
	err = pinioni_segment_attach(&b->segment, g->board, SEGMENT_BOARD, true);
	if (err == 0)
		err = pinioni_segment_attach(&b->bell_segment, g->bells, SEGMENT_BELLS, false);
	if (err == 0 && g->host_workers != 0)
		err = pinioni_segment_attach(&b->host_segment, g->hosts, SEGMENT_BOARD, true);
	if (err == 0 &&
	    (!is_long_enough(&b->segment, g->workers, sizeof(struct board_worker)) ||
		!is_long_enough(&b->bell_segment, all, sizeof(struct worker_doors)) ||
		(g->host_workers != 0 &&
		    !is_long_enough(
			&b->host_segment, g->host_workers, sizeof(struct board_worker)))))
		err = -EBADMSG;
	if (err != 0) {
		pinioni_board_destroy(b);
		return err;
	}
	place_lines(b, &b->segment, 0, g->workers);
	if (g->host_workers != 0)
		place_lines(b, &b->host_segment, g->workers, g->host_workers);
	return 0;
}

int
pinioni_board_open_hosts(const struct board *b, int *fd)
{
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", b->host_segment.fd);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int
pinioni_board_own_hosts(struct board *b, int hosts, uint32_t first)
{
	struct segment s;
	int err = pinioni_segment_attach(&s, hosts, SEGMENT_BOARD, false);

	if (err != 0)
		return err;
	if (!is_long_enough(&s, b->count - first, sizeof(struct board_worker))) {
		pinioni_segment_destroy(&s);
		return -EBADMSG;
	}
	pinioni_segment_destroy(&b->host_segment);
	b->host_segment = s;
	place_lines(b, &b->host_segment, first, b->count - first);
	return 0;
}

void
pinioni_board_destroy(struct board *b)
{
	pinioni_segment_destroy(&b->segment);
	pinioni_segment_destroy(&b->bell_segment);
	pinioni_segment_destroy(&b->host_segment);
}
