/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A board shows each worker's numbers to everybody, only its creator can write them, everybody can
 *         raise the bells, and a board that cannot be made leaves nothing.
 * Method  A second mapping stands for another process. A board has no edge of its own: its numbers are
 *         each whole and promise nothing about each other; two threads count and read one to show it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/bell.h"
#include "shm/board.h"
#include "tests/scale.h"

enum {
	WORKERS = 5
};

static struct board
make(void)
{
	struct board b;

	assert_int_equal(pinioni_board_create(&b, "pinion test", WORKERS, 0), 0);
	assert_int_equal(b.count, WORKERS);
	return b;
}

static void
a_new_board_shows_zeroes(void **state)
{
	struct board b = make();

	(void)state;
	for (uint32_t w = 0; w < WORKERS; w++) {
		for (int c = 0; c < BOARD_COUNTERS; c++)
			assert_int_equal(board_read(b.workers[w], (enum board_counter)c), 0);
		assert_false(epoch_is_asleep(epoch_look(&b.workers[w]->epoch)));
		assert_int_equal(bell_read(board_bell(&b, w)), 0);
	}
	pinioni_board_destroy(&b);
}

static void
each_worker_counts_for_itself(void **state)
{
	struct board b = make();

	(void)state;
	for (uint32_t w = 0; w < WORKERS; w++)
		for (int c = 0; c < BOARD_COUNTERS; c++) {
			board_count(b.workers[w], (enum board_counter)c, 1);
			board_count(b.workers[w], (enum board_counter)c, w * 100 + (unsigned)c);
		}
	for (uint32_t w = 0; w < WORKERS; w++)
		for (int c = 0; c < BOARD_COUNTERS; c++)
			assert_int_equal(board_read(b.workers[w], (enum board_counter)c),
			    1 + w * 100 + (unsigned)c);
	pinioni_board_destroy(&b);
}

static void
workers_and_bells_lie_on_lines_of_their_own(void **state)
{
	struct board b = make();

	(void)state;
	for (uint32_t w = 0; w < WORKERS; w++) {
		const struct board_worker *worker = b.workers[w];
		uintptr_t bell = (uintptr_t)board_bell(&b, w);

		assert_int_equal((uintptr_t)worker % PINION_LINE, 0);
		/* Callers look at the epoch; what changes with every request lies elsewhere. */
		assert_true(
		    (uintptr_t)&worker->heartbeat - (uintptr_t)&worker->epoch >= PINION_LINE);
		assert_int_equal(bell % PINION_LINE, 0);
		assert_true(bell + sizeof(uint32_t) <=
		    (uintptr_t)b.bell_segment.base + b.bell_segment.size);
		if (w != 0)
			assert_true(bell - (uintptr_t)board_bell(&b, w - 1) >= PINION_LINE);
	}
	assert_true(
	    (uintptr_t)(b.workers[WORKERS - 1] + 1) <= (uintptr_t)b.segment.base + b.segment.size);
	pinioni_board_destroy(&b);
}

static void
others_can_read_a_board_and_never_write_it(void **state)
{
	struct board b = make();
	const struct board_worker *worker;
	struct segment theirs;
	char path[64];
	void *again;
	int fd;

	(void)state;
	assert_int_equal(
	    pinioni_segment_attach(&theirs, b.segment.fd, SEGMENT_BOARD, false), -EPERM);
	again = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b.segment.fd, 0);
	assert_ptr_equal(again, MAP_FAILED);
	assert_int_equal(pwrite(b.segment.fd, "x", 1, 0), -1);
	assert_int_equal(pinioni_segment_attach(&theirs, b.segment.fd, SEGMENT_BOARD, true), 0);
	assert_int_equal(mprotect(theirs.base, theirs.size, PROT_READ | PROT_WRITE), -1);
	/* Opened again for writing, as far as rights allow it, it still cannot be mapped so. */
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", b.segment.fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		again = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_equal(again, MAP_FAILED);
		(void)close(fd);
	}
	worker = (const struct board_worker *)(theirs.base +
		     ((unsigned char *)b.workers[0] - b.segment.base)) +
	    (WORKERS - 1);
	board_count(b.workers[WORKERS - 1], COUNT_SENT, 7);
	assert_int_equal(board_read(worker, COUNT_SENT), 7);
	assert_int_equal(((const struct segment_header *)theirs.base)->counts[0], WORKERS);
	pinioni_segment_destroy(&theirs);
	pinioni_board_destroy(&b);
}

static void
others_can_raise_the_bells(void **state)
{
	struct board b = make(), seen = b;

	(void)state;
	assert_int_equal(
	    pinioni_segment_attach(&seen.bell_segment, b.bell_segment.fd, SEGMENT_BELLS, false), 0);
	for (uint32_t w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i <= w; i++)
			assert_false(bell_ring(board_bell(&seen, w), EPOCH_FUTEX));
	for (uint32_t w = 0; w < WORKERS; w++)
		assert_int_equal(bell_read(board_bell(&b, w)), w + 1);
	pinioni_segment_destroy(&seen.bell_segment);
	pinioni_board_destroy(&b);
}

static void
a_board_stays_for_those_who_have_it_mapped(void **state)
{
	struct board b = make();
	size_t at = (size_t)((unsigned char *)b.workers[0] - b.segment.base);
	struct segment theirs;

	(void)state;
	board_count(b.workers[0], COUNT_FAILED, 3);
	assert_int_equal(pinioni_segment_attach(&theirs, b.segment.fd, SEGMENT_BOARD, true), 0);
	pinioni_board_destroy(&b);
	assert_int_equal(
	    board_read((const struct board_worker *)(theirs.base + at), COUNT_FAILED), 3);
	pinioni_segment_destroy(&theirs);
}

/* The lowest number that no descriptor has. */
static int
next_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	assert_true(fd >= 0);
	(void)close(fd);
	return fd;
}

static void
a_board_that_cannot_be_made_leaves_nothing(void **state)
{
	int before = next_descriptor();
	struct rlimit usual, tight;
	struct board b;
	int err;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	/* Room for the first of the two segments alone. */
	tight = (struct rlimit){ .rlim_cur = (rlim_t)before + 1, .rlim_max = usual.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	err = pinioni_board_create(&b, "pinion test", WORKERS, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_int_equal(err, -EMFILE);
	assert_null(b.segment.base);
	assert_null(b.bell_segment.base);
	assert_int_equal(next_descriptor(), before);
	pinioni_board_destroy(&b); /* harmless */
	assert_int_equal(next_descriptor(), before);
}

struct counting {
	struct board_worker *worker;
	uint64_t count;
};

static void *
count_up(void *arg)
{
	struct counting *c = arg;

	for (uint64_t i = 0; i < c->count; i++)
		board_count(c->worker, COUNT_TAKEN, 1);
	return NULL;
}

static void
a_reader_sees_a_counter_grow_and_disturbs_nobody(void **state)
{
	struct board b = make();
	struct counting c = { .worker = b.workers[1], .count = scaled(2000000) };
	uint64_t last = 0, wrong = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, count_up, &c), 0);
	while (last < c.count) {
		uint64_t now = board_read(c.worker, COUNT_TAKEN);

		wrong += now < last;
		last = now;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
	assert_int_equal(last, c.count);
	pinioni_board_destroy(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_board_shows_zeroes),
		cmocka_unit_test(each_worker_counts_for_itself),
		cmocka_unit_test(workers_and_bells_lie_on_lines_of_their_own),
		cmocka_unit_test(others_can_read_a_board_and_never_write_it),
		cmocka_unit_test(others_can_raise_the_bells),
		cmocka_unit_test(a_board_stays_for_those_who_have_it_mapped),
		cmocka_unit_test(a_board_that_cannot_be_made_leaves_nothing),
		cmocka_unit_test(a_reader_sees_a_counter_grow_and_disturbs_nobody),
	};

	return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
