/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An event loop reads streams without waiting for any: it is told of each that can be read, and no item or
 *         end is ever there without its being told.
 * Method  One thread, one port, an eventfd; it sleeps without a limit when nothing is said to be there, so that what
 *         it is not told of shows as a test that never ends. Producers on two workers yield in bursts.
 */
#include "tests/core/graph.h"

#include <poll.h>
#include <sched.h>

enum {
	STREAMS = 16
};

static pinion_runtime *rt;
static pinion_handle producer;
static pinion_port *port;

/* Items in bursts, between which others have the worker, or time passes. */
static int
count(void *replica, pinion_request *req)
{
	uint64_t random = (uint64_t)pinion_arg_i64(req, 0) * 2 + 1;
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++) {
		err = pinion_yield(req, i);
		if (err == 0 && next_random(&random) % 8 == 0)
			err = pinion_sleep(req, (int64_t)(next_random(&random) % 20000));
	}
	return err;
}

static const pinion_deployment counting = {
	.name = "Counting",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, count, .params = PINION_PARAMS(PINION_I64("items")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &counting, PINION_ARGS(), .num_replicas = 2);
}

struct reading {
	pinion_stream stream;
	int64_t next, items;
	bool is_over;
};

/* Reads until there is nothing. */
static void
read_some(struct reading *r)
{
	int64_t x;
	int got;

	while ((got = pinion_next_within(r->stream, 0, &x)) == 1)
		assert_int_equal(x, r->next++);
	if (got == -EAGAIN)
		return;
	assert_int_equal(got, 0);
	assert_int_equal(r->next, r->items);
	assert_false(r->is_over);
	r->is_over = true;
	pinion_stream_close(r->stream);
}

static unsigned
harvest(struct reading *all)
{
	pinion_finished finished[4]; /* fewer than there may be */
	unsigned over = 0, n = pinion_harvest(port, finished, 4);

	for (unsigned i = 0; i < n; i++) {
		struct reading *r = &all[finished[i].tag];

		assert_false(r->is_over);
		read_some(r);
		over += r->is_over;
	}
	return over;
}

static void
read_all(uint64_t *random)
{
	struct reading all[STREAMS];
	struct pollfd poll_for = { .fd = pinion_port_fd(port), .events = POLLIN };

	for (unsigned i = 0; i < STREAMS; i++) {
		all[i] = (struct reading){ .items = (int64_t)(next_random(random) % 200) };
		all[i].stream =
		    pinion_call_stream(producer, PINION_ARGS(all[i].items), .port = port, .tag = i,
			.tagged = true, .window = 1 << (int)(next_random(random) % 6));
	}
	for (unsigned over = 0; over < STREAMS;) {
		over += harvest(all);
		if (over < STREAMS && !pinion_port_arm(port))
			assert_int_equal(poll(&poll_for, 1, -1), 1);
	}
}

static void
an_event_loop_misses_nothing(void **state)
{
	uint64_t random = seed() * 2 + 1;

	(void)state;
	for (uint64_t i = 0, rounds = scaled(2000); i < rounds; i++)
		read_all(&random);
}

/* What is closed before it is harvested is not reported, nor is the call that has its slot next. */
static void
a_closed_stream_is_not_reported(void **state)
{
	pinion_finished finished[4];
	int64_t x;

	(void)state;
	for (int i = 0; i < 100; i++) {
		pinion_stream s = pinion_call_stream(
		    producer, PINION_ARGS((int64_t)3), .port = port, .tag = 1, .tagged = true);
		pinion_stream kept = pinion_call_stream(
		    producer, PINION_ARGS((int64_t)1), .port = port, .tag = 2, .tagged = true);

		assert_int_equal(pinion_next(s, &x), 1);
		pinion_stream_close(s);
		while (pinion_harvest(port, finished, 4) == 0)
			(void)sched_yield();
		assert_int_equal(finished[0].tag, 2);
		assert_int_equal(pinion_next(kept, &x), 1);
		assert_int_equal(pinion_next(kept, &x), 0);
		pinion_stream_close(kept);
	}
}

static void
tags_need_no_port_of_ones_own(void **state)
{
	pinion_stream s = pinion_call_stream(producer, PINION_ARGS((int64_t)1), .tagged = true);
	int64_t x;

	(void)state;
	assert_int_equal(pinion_next(s, &x), 1); /* a thread's own port may have them */
	pinion_stream_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_loop_misses_nothing),
		cmocka_unit_test(a_closed_stream_is_not_reported),
		cmocka_unit_test(tags_need_no_port_of_ones_own),
	};
	pinion_census c;
	int failed;

	if (pinion_start(&rt, .workers = 2, .slots = 256) != 0 ||
	    pinion_run(rt, build, &producer) != 0 || pinion_port_open(rt, &port) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pinion_port_close(port);
	do
		pinion_census_take(rt, &c);
	while (failed == 0 && (c.custody != 0 || c.fibers != 0 || c.ports > 1));
	pinion_stop(rt);
	return failed;
}
