/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/board.h - what a process shows of its workers, and the bells by which others wake them.
 *
 *   board: written by its process, sealed so that others can only map it for reading
 *   +--------+------------------------------+------------------------------+----
 *   | header | worker 0: status | counters  | worker 1: status | counters  | ...
 *   +--------+------------------------------+------------------------------+----
 *   hosts: the same of workers that are hosts' (core/host.h), which those may write; clients have no right to
 *   bells: two lines a worker, which everybody may write
 *
 * Why       Tools and siblings read how a worker does without asking it: nothing is sent, nobody disturbed.
 * Threads   board_count and board_show: that worker's thread. Reading: anybody, at any time.
 * Progress  wait-free. A reader sees each number whole; numbers read together may be of different moments.
 * Death     A dead process's board stays as it was for those who have it mapped.
 */
#ifndef PINION_SHM_BOARD_H
#define PINION_SHM_BOARD_H

#include "shm/segment.h"

enum {
	BOARD_WORKERS = 64
};

struct board {
	struct board_worker
	    *workers[BOARD_WORKERS]; /* hosts' behind the others; first, where calls look */
	uint32_t count;
	struct segment segment;
	struct segment bell_segment;
	struct segment host_segment; /* there are no hosts: unused */
};

/* What another process shows: the caller's descriptors, which are not kept. hosts: -1, there are none. */
struct board_grant {
	int board, bells, hosts;
	uint32_t workers, host_workers;
};

/* Makes all segments. 0 or -errno, then nothing is left. */
int pinioni_board_create(struct board *b, const char *name, uint32_t workers, uint32_t host_workers)
    __attribute__((warn_unused_result));
/* Of another process, which is read and whose bells are rung. 0, or as pinioni_segment_attach. */
int pinioni_board_attach(struct board *b, const struct board_grant *grant)
    __attribute__((warn_unused_result));
/* A descriptor of hosts' lines that is for reading only; the caller's. 0 or -errno. */
int pinioni_board_open_hosts(const struct board *b, int *fd) __attribute__((warn_unused_result));
/* Of one that was attached: hosts' lines, which are those from `first` on, may be written now. As attach. */
int pinioni_board_own_hosts(struct board *b, int hosts, uint32_t first)
    __attribute__((warn_unused_result));
void pinioni_board_destroy(struct board *b);

static inline struct worker_doors *
board_doors(const struct board *b, uint32_t worker)
{
	return (struct worker_doors *)(b->bell_segment.base + sizeof(struct segment_header)) +
	    worker;
}

static inline _Atomic uint32_t *
board_bell(const struct board *b, uint32_t worker)
{
	return &board_doors(b, worker)->bell;
}

/* The worker itself. A plain addition: there is one writer. */
__attribute__((always_inline)) static inline void
board_count(struct board_worker *w, enum board_counter which, uint64_t more)
{
	/* relaxed twice: a number for people, with one writer. */
	uint64_t now = atomic_load_explicit(&w->counters[which], memory_order_relaxed);

	atomic_store_explicit(&w->counters[which], now + more, memory_order_relaxed);
}

static inline uint64_t
board_read(const struct board_worker *w, enum board_counter which)
{
	/* relaxed: as above. */
	return atomic_load_explicit(&w->counters[which], memory_order_relaxed);
}

#endif
