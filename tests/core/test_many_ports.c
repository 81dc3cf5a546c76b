/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A worker that looks after hundreds of lanes polls a few: no message is lost, whichever lane it is in,
 *         and a doorbell that was missed costs turns, never a message.
 * Method  Hundreds of ports of one thread, used in turn and at random; one worker, driven, whose doorbells are
 *         wiped out behind its back.
 */
#include "tests/core/edge.h"

#include <stdlib.h>

#include "core/runtime.h"

enum {
	PORTS = 400,
	ROUNDS = 20,
	BURST = 200
};

static pinion_port *ports[PORTS];
static pinion_runtime *rt;
static pinion_handle adder;

static void
open_all(void)
{
	for (unsigned i = 0; i < PORTS; i++)
		assert_int_equal(pinion_port_open(rt, &ports[i]), 0);
}

static void
close_all(void)
{
	for (unsigned i = 0; i < PORTS; i++)
		pinion_port_close(ports[i]);
}

static void
assert_answers(pinion_port *port, int64_t x)
{
	pinion_response r = pinion_call_on(port, adder, PINION_ARGS(x));
	int64_t y = 0;

	assert_int_equal(pinion_result_on(port, r, &y), 0);
	assert_int_equal(y, x + 1);
	pinion_release_on(port, r);
}

static void
every_port_is_answered_in_turn_and_at_random(void **state)
{
	unsigned seed = 1;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 1, .arena_bytes = 1 << 18, .slots = 64), 0);
	assert_int_equal(pinion_run(rt, graph_build_workers, &adder), 0);
	open_all();
	for (int64_t round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < PORTS; i++)
			assert_answers(ports[i], round * PORTS + i);
	for (int64_t i = 0; i < ROUNDS * PORTS; i++) {
		seed = seed * 1103515245 + 12345;
		assert_answers(ports[(seed >> 16) % PORTS], i);
		if (seed % 64 == 0)
			for (unsigned k = 0; k < 8; k++) /* a hot one for a while */
				assert_answers(ports[seed % PORTS], k);
	}
	close_all();
	pinion_stop(rt);
}

/* What was pushed and never rung for is found when its lane's turn comes. */
static void
a_missed_doorbell_costs_turns(void **state)
{
	pinion_response r[PORTS];
	struct worker_doors *doors;
	int64_t y = 0;

	(void)state;
	assert_int_equal(
	    pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .arena_bytes = 1 << 18, .slots = 64),
	    0);
	assert_int_equal(pinion_run(rt, graph_build_workers, &adder), 0);
	open_all();
	(void)pinion_work(rt);
	doors = board_doors(&rt->board, 0);
	for (unsigned i = 0; i < PORTS; i++)
		r[i] = pinion_call_on(ports[i], adder, PINION_ARGS((int64_t)i));
	for (unsigned word = 0; word < LANE_WORDS; word++)
		/* relaxed: a hint, as all bells are. */
		atomic_store_explicit(&doors->rung[word], 0, memory_order_relaxed);
	for (unsigned turn = 0; turn < PORTS + 2; turn++)
		(void)pinion_work(rt);
	for (unsigned i = 0; i < PORTS; i++) {
		assert_int_equal(pinion_result_within(r[i], 0, &y), 0);
		assert_int_equal(y, i + 1);
		pinion_release_on(ports[i], r[i]);
	}
	close_all();
	pinion_stop(rt);
}

static unsigned posted;

static int
count_post(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	posted++;
	return 0;
}

static const pinion_deployment counter = {
	.name = "Counter",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, count_post, .params = PINION_PARAMS(PINION_I64("x")))),
};

static pinion_node *
build_counter(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &counter, PINION_ARGS());
}

/* More than is taken at once of a lane that dozes: what is left does not wait until its turn comes. */
static void
a_burst_into_a_dozing_lane_is_taken_turn_by_turn(void **state)
{
	pinion_handle to;

	(void)state;
	assert_int_equal(
	    pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .arena_bytes = 1 << 18), 0);
	assert_int_equal(pinion_run(rt, build_counter, &to), 0);
	open_all();
	(void)pinion_work(rt);
	for (unsigned i = 0; i < BURST; i++)
		assert_int_equal(pinion_post_on(ports[PORTS / 2], to, PINION_ARGS((int64_t)i)), 0);
	for (unsigned turn = 0; turn < 2 * BURST / LANE_BURST; turn++)
		(void)pinion_work(rt);
	assert_int_equal(posted, BURST);
	close_all();
	pinion_stop(rt);
}

/* Every process that may push may ring, for whatever it likes. */
static void
a_doorbell_of_nobody_does_no_harm(void **state)
{
	struct worker_doors *doors;

	(void)state;
	rt = start(1, "adaptive");
	assert_int_equal(pinion_run(rt, graph_build_workers, &adder), 0);
	doors = board_doors(&rt->board, 0);
	for (int64_t i = 0; i < ROUNDS * PORTS; i++) {
		/* relaxed: as above. */
		atomic_store_explicit(
		    &doors->rung[i % LANE_WORDS], UINT64_MAX, memory_order_relaxed);
		assert_int_equal(graph_i64(pinion_call(adder, PINION_ARGS(i))), i + 1);
	}
	pinion_stop(rt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_port_is_answered_in_turn_and_at_random),
		cmocka_unit_test(a_missed_doorbell_costs_turns),
		cmocka_unit_test(a_burst_into_a_dozing_lane_is_taken_turn_by_turn),
		cmocka_unit_test(a_doorbell_of_nobody_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
