/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A lane delivers every message once, whole, in order; says when it is full; its two edges.
 * Method  Arrows: one thread. Edges: two threads that share nothing but the edge under test.
 *         Only the main thread asserts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "shm/lane.h"
#include "tests/scale.h"

enum {
	CELLS = 8
};

struct lane {
	struct cell cells[CELLS];
	struct lane_head head;
	struct lane_tx tx;
	alignas(PINION_LINE) struct lane_rx rx;
};

static struct lane *
make(uint64_t first)
{
	static struct lane lane;

	lane_init(lane.cells, CELLS, &lane.head, first);
	lane_tx_init(&lane.tx, lane.cells, CELLS, &lane.head, first);
	lane_rx_init(&lane.rx, lane.cells, CELLS, &lane.head, first);
	return &lane;
}

static bool
push(struct lane *l, uint64_t number)
{
	struct message *m = lane_claim(&l->tx);

	if (m == NULL)
		return false;
	m->call = number;
	m->record[MESSAGE_RECORD - 1] = (uint8_t)number;
	lane_publish(&l->tx);
	return true;
}

static bool
pop(struct lane *l, struct message *copy)
{
	if (lane_peek(&l->rx) == NULL)
		return false;
	lane_take(&l->rx, copy);
	return true;
}

static void
what_is_pushed_is_taken_whole_and_in_order(void **state)
{
	static const uint64_t firsts[] = { 0, 5, UINT64_MAX - 3 };
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		struct lane *l = make(firsts[i]);

		assert_null(lane_peek(&l->rx));
		for (uint64_t n = 0; n < 3 * CELLS; n++) {
			assert_true(push(l, n));
			assert_true(push(l, n + 100));
			assert_true(pop(l, &m));
			assert_int_equal(m.call, n);
			assert_int_equal(m.record[MESSAGE_RECORD - 1], (uint8_t)n);
			assert_true(pop(l, &m));
			assert_int_equal(m.call, n + 100);
			assert_false(pop(l, &m));
			lane_settle(&l->rx);
		}
	}
}

static void
a_full_lane_refuses_until_the_consumer_has_settled(void **state)
{
	struct lane *l = make(7);
	struct message m;

	(void)state;
	for (uint64_t n = 0; n < CELLS; n++)
		assert_true(push(l, n));
	assert_false(push(l, 0));
	assert_true(pop(l, &m));
	assert_false(push(l, 0));
	assert_false(lane_tx_is_empty(&l->tx));
	lane_settle(&l->rx);
	assert_true(push(l, CELLS));
	assert_false(push(l, 0));
	for (uint64_t n = 1; n <= CELLS; n++) {
		assert_true(pop(l, &m));
		assert_int_equal(m.call, n);
	}
	lane_settle(&l->rx);
	assert_true(lane_tx_is_empty(&l->tx));
}

struct run {
	struct lane *lane;
	uint64_t count;
	uint64_t wrong; /* W consumer   R main after join */
};

static void *
consume(void *arg)
{
	struct run *r = arg;
	struct message m;

	for (uint64_t n = 0; n < r->count;) {
		if (!pop(r->lane, &m))
			continue;
		r->wrong += m.call != n || m.record[MESSAGE_RECORD - 1] != (uint8_t)n;
		n++;
		lane_settle(&r->lane->rx);
	}
	return NULL;
}

static void
edges_P_and_C_carry_every_message_through_a_wrapping_lane(void **state)
{
	struct run r = { .lane = make(3), .count = scaled(2000000) };
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, consume, &r), 0);
	for (uint64_t n = 0; n < r.count;)
		n += push(r.lane, n);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(r.wrong, 0);
}

struct notes {
	struct lane *lane;
	uint64_t count;
	uint64_t note;  /* W producer, while its lane is empty   R consumer, while it is not */
	uint64_t wrong; /* W consumer   R main after join */
};

static void *
read_notes(void *arg)
{
	struct notes *r = arg;
	struct message m;

	for (uint64_t n = 0; n < r->count;) {
		if (!pop(r->lane, &m))
			continue;
		r->wrong += r->note != n;
		n++;
		lane_settle(&r->lane->rx);
	}
	return NULL;
}

/* C alone, by lane_tx_is_empty: more messages than a lane's cells, one at a time. Static: TSan is not
 * told of stores to the stack that the compiler takes for private. */
static void
edge_C_says_when_all_that_was_pushed_is_done_with(void **state)
{
	static struct notes r;
	pthread_t t;

	(void)state;
	r = (struct notes){ .lane = make(3), .count = scaled(200000) + CELLS };
	assert_int_equal(pthread_create(&t, NULL, read_notes, &r), 0);
	for (uint64_t n = 0; n < r.count; n++) {
		while (!lane_tx_is_empty(&r.lane->tx))
			;
		r.note = n;
		assert_true(push(r.lane, n));
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(r.wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_pushed_is_taken_whole_and_in_order),
		cmocka_unit_test(a_full_lane_refuses_until_the_consumer_has_settled),
		cmocka_unit_test(edges_P_and_C_carry_every_message_through_a_wrapping_lane),
		cmocka_unit_test(edge_C_says_when_all_that_was_pushed_is_done_with),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
