/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A ring delivers every item once, whole, in order; its producer is a window ahead at most; what it says of
 *         itself is checked; its two edges.
 * Method  Arrows: one thread. Edges: two threads that share nothing but the ring. Only the main thread asserts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>

#include "shm/ring.h"
#include "tests/scale.h"

enum {
	WINDOW = 8,
	STRIDE = 2 * CELL_SIZE,
	BYTES = sizeof(struct ring) + WINDOW * STRIDE
};

static alignas(PINION_LINE) unsigned char block[BYTES];

static struct ring *
make(struct ring_tx *tx, struct ring_rx *rx)
{
	struct ring *ring = (struct ring *)(void *)block;

	memset(block, 0xff, sizeof block); /* whatever was there before */
	ring_init(ring, WINDOW, STRIDE);
	assert_true(ring_tx_init(tx, ring, sizeof block));
	ring_rx_init(rx, ring, WINDOW, STRIDE);
	return ring;
}

static bool
put(struct ring_tx *tx, uint64_t number)
{
	struct ring_item *item = ring_claim(tx);

	if (item == NULL)
		return false;
	item->length = 8;
	item->bytes[0] = number;
	item->bytes[5] = ~number;
	ring_put(tx);
	return true;
}

static bool
take(struct ring_rx *rx, uint64_t *number)
{
	const struct ring_item *item = ring_peek(rx);

	if (item == NULL)
		return false;
	*number = item->bytes[5] == ~item->bytes[0] ? item->bytes[0] : UINT64_MAX;
	rx->next++;
	return true;
}

static void
an_item_takes_the_lines_that_it_needs(void **state)
{
	(void)state;
	assert_int_equal(ring_stride(8), CELL_SIZE);
	assert_int_equal(ring_stride(48), CELL_SIZE);
	assert_int_equal(ring_stride(49), 2 * CELL_SIZE);
	assert_int_equal(ring_stride(UINT32_MAX) % CELL_SIZE, 0);
}

static void
the_producer_is_a_window_ahead_at_most(void **state)
{
	struct ring_tx tx;
	struct ring_rx rx;
	uint64_t number;

	(void)state;
	(void)make(&tx, &rx);
	assert_false(take(&rx, &number));
	for (uint64_t n = 0; n < WINDOW; n++)
		assert_true(put(&tx, n));
	assert_false(put(&tx, 0));
	for (uint64_t n = 0; n < WINDOW / 2; n++) {
		assert_false(ring_is_due(&rx));
		assert_true(take(&rx, &number));
		assert_int_equal(number, n);
	}
	assert_true(ring_is_due(&rx));
	assert_false(put(&tx, 0));
	assert_true(ring_settle(&rx));
	assert_false(ring_settle(&rx));
	for (uint64_t n = 0; n < WINDOW / 2; n++)
		assert_true(put(&tx, WINDOW + n));
	assert_false(put(&tx, 0));
	for (uint64_t n = WINDOW / 2; n < WINDOW + WINDOW / 2; n++) {
		assert_true(take(&rx, &number));
		assert_int_equal(number, n);
	}
	assert_false(take(&rx, &number));
}

static void
what_is_held_is_passed_by_when_the_next_is_asked_for(void **state)
{
	struct ring_tx tx;
	struct ring_rx rx;

	(void)state;
	(void)make(&tx, &rx);
	assert_true(put(&tx, 1));
	assert_true(put(&tx, 2));
	rx.holds = true;
	assert_int_equal(ring_peek(&rx)->bytes[0], 1);
	ring_pass_held(&rx);
	assert_int_equal(ring_peek(&rx)->bytes[0], 2);
	ring_pass_held(&rx);
	assert_int_equal(ring_peek(&rx)->bytes[0], 2);
}

static void
who_waits_and_who_left_is_said(void **state)
{
	struct ring_tx tx;
	struct ring_rx rx;
	struct ring *ring = make(&tx, &rx);

	(void)state;
	assert_int_equal(ring_starved(ring), -1);
	ring_starve(&tx, 5);
	assert_int_equal(ring_starved(ring), 5);
	ring_starve(&tx, -1);
	assert_int_equal(ring_starved(ring), -1);
	assert_false(ring_is_closed(&tx));
	ring_close(ring);
	assert_true(ring_is_closed(&tx));
}

/* The caller's process may have written anything. */
static void
what_a_ring_says_of_itself_is_checked(void **state)
{
	static const struct {
		uint32_t window, stride;
		uint64_t bytes;
	} wrong[] = { { 0, CELL_SIZE, BYTES }, { 3, CELL_SIZE, BYTES }, { WINDOW, 0, BYTES },
		{ WINDOW, CELL_SIZE + 8, BYTES }, { WINDOW, STRIDE, BYTES - 1 },
		{ 1u << 31, 1u << 31, BYTES }, { 1u << 31, CELL_SIZE, UINT64_MAX },
		{ 1, UINT32_MAX - 63, BYTES }, { WINDOW, STRIDE, sizeof(struct ring) - 1 } };
	struct ring_tx tx;
	struct ring_rx rx;
	struct ring *ring = make(&tx, &rx);

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		ring->window = wrong[i].window;
		ring->stride = wrong[i].stride;
		assert_false(ring_tx_init(&tx, ring, wrong[i].bytes));
	}
}

struct run {
	struct ring_rx *rx;
	uint64_t count;
	uint64_t wrong; /* W reader   R main after join */
};

static void *
read_all(void *arg)
{
	struct run *r = arg;
	uint64_t number;

	for (uint64_t n = 0; n < r->count;) {
		if (!take(r->rx, &number))
			continue;
		r->wrong += number != n++;
		if (ring_is_due(r->rx))
			(void)ring_settle(r->rx); /* said what was due */
	}
	return NULL;
}

static void
edges_J_and_W_carry_every_item_through_a_wrapping_ring(void **state)
{
	struct ring_tx tx;
	struct ring_rx rx;
	struct run r = { .rx = &rx, .count = scaled(2000000) };
	pthread_t t;

	(void)state;
	(void)make(&tx, &rx);
	assert_int_equal(pthread_create(&t, NULL, read_all, &r), 0);
	for (uint64_t n = 0; n < r.count;)
		n += put(&tx, n);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(r.wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_takes_the_lines_that_it_needs),
		cmocka_unit_test(the_producer_is_a_window_ahead_at_most),
		cmocka_unit_test(what_is_held_is_passed_by_when_the_next_is_asked_for),
		cmocka_unit_test(who_waits_and_who_left_is_said),
		cmocka_unit_test(what_a_ring_says_of_itself_is_checked),
		cmocka_unit_test(edges_J_and_W_carry_every_item_through_a_wrapping_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
