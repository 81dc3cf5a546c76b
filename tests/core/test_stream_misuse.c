/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A handler that yields, or forwards a stream, when it may not, is told, and harms nobody: neither the answer
 *         that it has put off nor another's call.
 * Method  One handler a mistake; what it was told is looked at, and the call's outcome. The census is zero behind
 *         every test.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle careless;
static _Atomic int told;

static int
yield_after_defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &graph_token);

	(void)replica;
	atomic_store(&told, pinion_yield(req, (int64_t)1));
	atomic_store(&graph_deferred, 1);
	return err;
}

static int
answer(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)42);
}

static int
one_task(pinion_request *req)
{
	return pinion_reply(req, (int64_t)42);
}

static int
yield_after_response(void *replica, pinion_request *req)
{
	int err = pinion_reply_response(req, pinion_task(req, one_task, PINION_ARGS()));

	(void)replica;
	atomic_store(&told, pinion_yield(req, (int64_t)1));
	return err;
}

static int
count(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < 3 && err == 0; i++)
		err = pinion_yield(req, i);
	return err;
}

static int
spell(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_yield(req, "text");
}

static int
misread(void *replica, pinion_request *req)
{
	(void)replica;
	(void)pinion_arg_i64(req, 3);
	atomic_store(&told, pinion_yield(req, (int64_t)1));
	return 0;
}

/* To the method of its own deployment that its argument names. */
static int
forward_to(pinion_request *req, const char *method)
{
	int err = pinion_forward(req, pinion_method_of(careless, method), PINION_ARGS());

	atomic_store(&told, err);
	return err;
}

static int
forward_late(void *replica, pinion_request *req)
{
	int err = pinion_yield(req, (int64_t)7);

	(void)replica;
	return err != 0 ? err : forward_to(req, "count");
}

static int
forward_other(void *replica, pinion_request *req)
{
	(void)replica;
	return forward_to(req, "spell");
}

static int
forward_same(void *replica, pinion_request *req)
{
	(void)replica;
	return forward_to(req, "count");
}

#define NUMBERS .returns = PINION_RETURNS_I64, .stream = true

static const pinion_deployment kind = {
	.name = "Careless",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, answer, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("defer", yield_after_defer, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("response", yield_after_response, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("count", count, NUMBERS),
	    PINION_METHOD(
		"spell", spell, .returns = PINION_RETURNS_STR, .stream = true, .result_max = 8),
	    PINION_METHOD("misread", misread, NUMBERS),
	    PINION_METHOD("forward_late", forward_late, NUMBERS),
	    PINION_METHOD("forward_other", forward_other, NUMBERS),
	    PINION_METHOD("forward_same", forward_same, NUMBERS)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS());
}

static pinion_response
call(const char *method)
{
	return pinion_call(pinion_method_of(careless, method), PINION_ARGS());
}

static void
a_deferred_answer_stays_good(void **state)
{
	pinion_response r = call("defer");
	pinion_response other;

	(void)state;
	while (!atomic_load(&graph_deferred))
		continue;
	other = pinion_call(careless, PINION_ARGS());
	assert_int_equal(atomic_load(&told), -EINVAL);
	assert_int_equal(graph_i64(other), 42);
	assert_int_equal(pinion_token_reply_value(graph_token, PINION_VALUE((int64_t)9)), 0);
	assert_int_equal(graph_i64(r), 9);
}

static void
an_answer_by_response_comes(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(graph_i64(call("response")), 42);
		assert_int_equal(atomic_load(&told), -EINVAL);
	}
}

static void
assert_stream(const char *method, int64_t items, int end, int expected)
{
	pinion_stream s = pinion_call_stream(pinion_method_of(careless, method), PINION_ARGS());
	int64_t x;

	for (int64_t i = 0; i < items; i++)
		assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(pinion_next(s, &x), end);
	pinion_stream_close(s);
	/* The only replica runs it when that handler has returned: it may have failed before it wrote down why. */
	assert_int_equal(graph_i64(pinion_call(careless, PINION_ARGS())), 42);
	assert_int_equal(atomic_load(&told), expected);
}

static void
a_misread_argument_is_the_error(void **state)
{
	(void)state;
	assert_stream("misread", 0, -EINVAL, -EINVAL);
}

static void
a_stream_is_forwarded_before_its_items_and_to_its_kind(void **state)
{
	(void)state;
	assert_stream("forward_same", 3, 0, 0);
	assert_stream("forward_late", 1, -EINVAL, -EINVAL);
	assert_stream("forward_other", 0, -EINVAL, -EINVAL);
}

static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(pinion_call(careless, PINION_ARGS()));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.custody != 0);
	graph_assert_clean(rt, 1);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_deferred_answer_stays_good),
		TEST(an_answer_by_response_comes),
		TEST(a_misread_argument_is_the_error),
		TEST(a_stream_is_forwarded_before_its_items_and_to_its_kind),
	};
	int failed;

	if (pinion_start(&rt, .workers = 2, .slots = 64) != 0 ||
	    pinion_run(rt, build, &careless) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pinion_stop(rt);
	return failed;
}
