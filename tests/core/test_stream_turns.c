/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A producer that never has to wait for room shares its worker all the same: a call that came meanwhile runs,
 *         and the producer hears that its time is over.
 * Method  One worker; a window that nobody reads and that is never full.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle producer;
static _Atomic int pinged, sent;

/* Ends well if a call that came meanwhile has run before all is yielded. */
static int
rush(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	while (!atomic_load(&sent))
		continue;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, i);
	return err != 0 || atomic_load(&pinged) ? err : -EBUSY;
}

/* Its time is over before it goes on: the next yields say so. */
static int
overrun(void *replica, pinion_request *req)
{
	int err = pinion_yield(req, (int64_t)0);

	(void)replica;
	while (pinion_time_left(req) > 0)
		continue;
	for (int64_t i = 1; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, i);
	return err != 0 ? err : -EBUSY;
}

static int
ping(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_store(&pinged, 1);
	return pinion_reply(req, (int64_t)1);
}

#define NUMBERS \
	.params = PINION_PARAMS(PINION_I64("limit")), .returns = PINION_RETURNS_I64, .stream = true

static const pinion_deployment kind = {
	.name = "Producer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ping, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("rush", rush, NUMBERS), PINION_METHOD("overrun", overrun, NUMBERS)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS());
}

static void
a_call_runs_beside_it(void **state)
{
	pinion_stream s = pinion_call_stream(
	    pinion_method_of(producer, "rush"), PINION_ARGS((int64_t)200), .window = 256);
	pinion_response r = pinion_call(producer, PINION_ARGS());
	int64_t x;

	(void)state;
	atomic_store(&sent, 1);
	assert_int_equal(graph_i64(r), 1);
	for (int64_t i = 0; i < 200; i++)
		assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(pinion_next(s, &x), 0);
	pinion_stream_close(s);
}

static void
it_hears_that_its_time_is_over(void **state)
{
	pinion_stream s = pinion_call_stream(pinion_method_of(producer, "overrun"),
	    PINION_ARGS((int64_t)200), .window = 256, .timeout_ns = 20000000);
	int64_t x;
	int got;

	(void)state;
	while ((got = pinion_next(s, &x)) == 1)
		continue;
	assert_int_equal(got, -ETIMEDOUT);
	pinion_stream_close(s);
}

static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(pinion_call(producer, PINION_ARGS()));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.custody != 0);
	graph_assert_clean(rt, 1);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_call_runs_beside_it, assert_clean),
		cmocka_unit_test_teardown(it_hears_that_its_time_is_over, assert_clean),
	};
	int failed;

	if (pinion_start(&rt, .workers = 1, .slots = 64) != 0 ||
	    pinion_run(rt, build, &producer) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pinion_stop(rt);
	return failed;
}
