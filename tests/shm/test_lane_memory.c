/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A lane segment's heads and cells lie as shm/format.h draws them, each lane apart from the others,
 *         and every lane starts empty at its first ticket.
 * Method  Several sizes; a second mapping stands for the consumer's process. Edge C as seen by a third
 *         party: two threads that share nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "shm/lane_memory.h"
#include "tests/scale.h"

enum {
	FIRST = 1000
};

static const struct {
	uint32_t lanes, cells;
} sizes[] = { { 1, 1 }, { 1, 64 }, { 3, 8 }, { 31, 64 }, { 32, 256 }, { 256, 16 } };
enum {
	SIZES = sizeof sizes / sizeof sizes[0]
};

static struct lane_memory
make(uint32_t lanes, uint32_t cells)
{
	struct lane_memory m;

	assert_int_equal(pinioni_lane_memory_map(&m, "pinion test", lanes, cells), 0);
	assert_int_equal(pinioni_lane_memory_publish(&m, FIRST), 0);
	return m;
}

static void
heads_and_cells_lie_apart(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	for (int i = 0; i < SIZES; i++) {
		struct lane_memory m = make(sizes[i].lanes, sizes[i].cells);
		uintptr_t end = (uintptr_t)m.segment.base + sizeof(struct segment_header);

		for (uint32_t lane = 0; lane < m.lanes; lane++) {
			assert_int_equal((uintptr_t)lane_memory_head(&m, lane), end);
			assert_int_equal(end % PINION_LINE, 0);
			end += sizeof(struct lane_head);
		}
		assert_int_equal(m.cells_base % page, 0);
		assert_true(end <= (uintptr_t)m.segment.base + m.cells_base);
		end = (uintptr_t)m.segment.base + m.cells_base;
		for (uint32_t lane = 0; lane < m.lanes; lane++) {
			assert_int_equal((uintptr_t)lane_memory_cells(&m, lane), end);
			end += m.cells * sizeof(struct cell);
		}
		assert_true(end <= (uintptr_t)m.segment.base + m.segment.size);
		lane_memory_unmap(&m);
	}
}

static void
every_lane_starts_empty_at_its_first_ticket(void **state)
{
	struct lane_memory m = make(31, 64);

	(void)state;
	for (uint32_t lane = 0; lane < m.lanes; lane++) {
		struct lane_tx tx;
		struct lane_rx rx;

		lane_tx_init(
		    &tx, lane_memory_cells(&m, lane), m.cells, lane_memory_head(&m, lane), FIRST);
		lane_rx_init(
		    &rx, lane_memory_cells(&m, lane), m.cells, lane_memory_head(&m, lane), FIRST);
		assert_true(lane_tx_is_empty(&tx));
		assert_null(lane_peek(&rx));
	}
	lane_memory_unmap(&m);
}

static void
lanes_do_not_touch_each_other(void **state)
{
	struct lane_memory m = make(32, 8);
	struct lane_memory seen = m;
	static struct lane_tx tx[32];
	static struct lane_rx rx[32];
	struct message copy;

	(void)state;
	assert_int_equal(
	    pinioni_segment_attach(&seen.segment, m.segment.fd, SEGMENT_LANES, false), 0);
	for (uint32_t lane = 0; lane < m.lanes; lane++) {
		lane_tx_init(&tx[lane], lane_memory_cells(&m, lane), m.cells,
		    lane_memory_head(&m, lane), FIRST);
		lane_rx_init(&rx[lane], lane_memory_cells(&seen, lane), m.cells,
		    lane_memory_head(&seen, lane), FIRST);
	}
	/* Each lane is filled to the brim before any is read. */
	for (uint32_t lane = 0; lane < m.lanes; lane++) {
		for (uint64_t n = 0; n < m.cells; n++) {
			struct message *cell = lane_claim(&tx[lane]);

			assert_non_null(cell);
			*cell = (struct message){ .call = lane * 100 + n };
			lane_publish(&tx[lane]);
		}
		assert_null(lane_claim(&tx[lane]));
	}
	for (uint32_t lane = 0; lane < m.lanes; lane++) {
		for (uint64_t n = 0; n < m.cells; n++) {
			assert_non_null(lane_peek(&rx[lane]));
			lane_take(&rx[lane], &copy);
			assert_int_equal(copy.call, lane * 100 + n);
		}
		assert_null(lane_peek(&rx[lane]));
		assert_false(lane_tx_is_empty(&tx[lane]));
		lane_settle(&rx[lane]);
		assert_true(lane_tx_is_empty(&tx[lane]));
	}
	pinioni_segment_destroy(&seen.segment);
	lane_memory_unmap(&m);
}

static void
the_header_says_how_it_is_cut(void **state)
{
	struct lane_memory m;
	struct segment theirs;
	const struct segment_header *header;

	(void)state;
	assert_int_equal(pinioni_lane_memory_map(&m, "pinion test", 3, 8), 0);
	assert_int_equal(
	    pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_LANES, false), -EBADMSG);
	assert_int_equal(pinioni_lane_memory_publish(&m, FIRST), 0);
	assert_int_equal(
	    pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_PORT, false), -EBADMSG);
	assert_int_equal(pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_LANES, false), 0);
	header = (const struct segment_header *)theirs.base;
	assert_int_equal(header->counts[0], 3);
	assert_int_equal(header->counts[1], 8);
	assert_int_equal(header->counts[2], m.cells_base);
	pinioni_segment_destroy(&theirs);
	lane_memory_unmap(&m);
	assert_null(m.segment.base);
}

struct consumer {
	struct lane_rx rx;
	uint64_t count;
	uint64_t note;  /* W main, while the lane is taken   R consumer, before it settles */
	uint64_t wrong; /* W consumer   R main after join */
};

static void *
take_each(void *arg)
{
	struct consumer *c = arg;
	struct message m;

	for (uint64_t n = 0; n < c->count; n++) {
		while (lane_peek(&c->rx) == NULL)
			;
		lane_take(&c->rx, &m);
		c->wrong += c->note != n || m.call != n;
		lane_settle(&c->rx);
	}
	return NULL;
}

/* Whoever sees the lane taken may free what its messages named. The lane is never full, so that the
 * producer's own look at head orders nothing. Static: see test_lane.c. */
static void
edge_C_says_to_anybody_when_a_lane_is_taken(void **state)
{
	static struct consumer c;
	struct lane_memory m = make(2, 1 << 16);
	struct lane_tx tx;
	pthread_t t;

	(void)state;
	c = (struct consumer){ .count = scaled(1 << 16) };
	lane_tx_init(&tx, lane_memory_cells(&m, 1), m.cells, lane_memory_head(&m, 1), FIRST);
	lane_rx_init(&c.rx, lane_memory_cells(&m, 1), m.cells, lane_memory_head(&m, 1), FIRST);
	assert_int_equal(pthread_create(&t, NULL, take_each, &c), 0);
	for (uint64_t n = 0; n < c.count; n++) {
		while (!lane_is_taken(&m, 1, tx.mask))
			;
		c.note = n;
		*lane_claim(&tx) = (struct message){ .call = n };
		lane_publish(&tx);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(c.wrong, 0);
	lane_memory_unmap(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_and_cells_lie_apart),
		cmocka_unit_test(every_lane_starts_empty_at_its_first_ticket),
		cmocka_unit_test(lanes_do_not_touch_each_other),
		cmocka_unit_test(the_header_says_how_it_is_cut),
		cmocka_unit_test(edge_C_says_to_anybody_when_a_lane_is_taken),
	};

	return cmocka_run_group_tests_name("lane_memory", tests, NULL, NULL);
}
