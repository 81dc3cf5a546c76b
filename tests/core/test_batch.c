/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Requests of a method with a batch handler run together: when there are enough, or the first has waited long enough;
 *         each has an outcome of its own; what ends while they gather is out; nothing stops the next batch.
 * Method  The caller drives, and moves the clock: so it is known what has gathered and when. Handlers write down how many they
 *         got. The census is zero behind every test.
 */
#include "tests/core/graph.h"

#include <stdio.h>

enum {
	BATCHES_MAX = 64,
	LONG = 1000000
};

static pinion_runtime *rt;
static pinion_handle handle, child;
static uint64_t now;
static unsigned sizes[BATCHES_MAX];
static int batches;
static int running, running_most;
static char logged[256];
static pinion_token tokens[8];
static int token_count;

static uint64_t
clock_of(void *arg)
{
	(void)arg;
	return now;
}

static void
note_log(void *arg, const char *line)
{
	(void)arg;
	(void)snprintf(logged, sizeof logged, "%s", line);
}

static void
begin(unsigned count)
{
	sizes[batches++] = count;
	running++;
	if (running > running_most)
		running_most = running;
}

/* ---- handlers ------------------------------------------------------------------------------- */

/* Negative numbers fail, 0 is left unanswered, others are answered with their double. */
static int
doubled(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = 0;

	(void)replica;
	begin(count);
	for (unsigned i = 0; i < count && err == 0; i++) {
		int64_t x = pinion_arg_i64(requests[i], 0);

		if (x < 0)
			(void)!pinion_fail(requests[i], -EDOM, "%lld is negative", (long long)x);
		else if (x != 0)
			err = pinion_reply(requests[i], 2 * x);
	}
	running--;
	return err;
}

static int
broken(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = pinion_reply(requests[0], (int64_t)1);

	(void)replica;
	begin(count);
	running--;
	return err != 0 ? err : -EIO;
}

/* Waits for a child; all have its answer. */
static int
patient(void *replica, pinion_request *const *requests, unsigned count)
{
	pinion_response r = pinion_call(child, PINION_ARGS((int64_t)0));
	int64_t x;
	int err;

	(void)replica;
	begin(count);
	err = pinion_result(r, &x);
	for (unsigned i = 0; i < count && err == 0; i++)
		err = pinion_reply(requests[i], x);
	running--;
	return err;
}

/* Each has as many items as it asked for; one that asks for 99 breaks all. */
static int
streamed(void *replica, pinion_request *const *requests, unsigned count)
{
	(void)replica;
	begin(count);
	running--;
	for (int64_t item = 0; item < 4; item++)
		for (unsigned i = 0; i < count; i++) {
			int64_t wanted = pinion_arg_i64(requests[i], 0);
			int err = 0;

			if (wanted == 99 && item == 1)
				return -EIO;
			if (item < wanted)
				err = pinion_yield(requests[i], item);
			else if (item == wanted)
				err = pinion_reply_nothing(requests[i]);
			if (err != 0 && err != -ECANCELED)
				return err;
		}
	return 0;
}

static int
held(void *replica, pinion_request *req)
{
	(void)replica;
	(void)pinion_arg_i64(req, 0);
	return pinion_defer(req, &tokens[token_count++]);
}

static size_t seen_id; /* bytes of the request id that a child has */

static int
look(void *replica, pinion_request *req)
{
	pinion_context c;

	(void)replica;
	pinion_request_context(req, &c);
	seen_id = c.request_id.len;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static uint32_t
weight(void *replica, pinion_request *req)
{
	(void)replica;
	return (uint32_t)pinion_arg_i64(req, 0);
}

static const char *blank;
/* What a batch handler calls is nobody's. */
static int
asks(void *replica, pinion_request *const *requests, unsigned count)
{
	pinion_context c;

	(void)replica;
	(void)count;
	pinion_request_context(requests[0], &c);
	blank = c.request_id.len == 2 && memcmp(c.request_id.data, "me", 2) == 0 ? "kept" : "lost";
	seen_id = 99;
	(void)!pinion_post(pinion_method_of(child, "look"), PINION_ARGS()); /* seen_id says */
	return pinion_reply(requests[0], (int64_t)1);
}

#define OF_I64 .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = PINION_RETURNS_I64

static const pinion_deployment kind = {
	.name = "Batched",
	.methods = PINION_METHODS(PINION_BATCH_METHOD(PINION_CALL, doubled, .max_batch_size = 4,
				      .batch_wait_ns = LONG, OF_I64),
	    PINION_BATCH_METHOD("there", doubled, .max_batch_size = 64, OF_I64),
	    PINION_BATCH_METHOD(
		"single", doubled, .max_batch_size = 1, .batch_wait_ns = LONG, OF_I64),
	    PINION_BATCH_METHOD(
		"broken", broken, .max_batch_size = 3, .batch_wait_ns = LONG, OF_I64),
	    PINION_BATCH_METHOD("patient", patient, .max_batch_size = 2, .batch_wait_ns = LONG,
		.max_concurrent_batches = 2, OF_I64),
	    PINION_BATCH_METHOD("streamed", streamed, .max_batch_size = 3, .batch_wait_ns = LONG,
		.stream = true, OF_I64),
	    PINION_BATCH_METHOD("weighed", doubled, .max_batch_size = 10, .batch_wait_ns = LONG,
		.size_of = weight, OF_I64),
	    PINION_BATCH_METHOD("asks", asks, .max_batch_size = 1, OF_I64)),
};
static const pinion_deployment held_kind = {
	.name = "Held",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, held, OF_I64), PINION_METHOD("look", look, OF_I64)),
};

/* ---- tests ---------------------------------------------------------------------------------- */

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS());
}

static pinion_node *
build_held(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &held_kind, PINION_ARGS());
}

static int
set_up(void **state)
{
	const pinion_clock clock = { clock_of, &now };

	(void)state;
	return pinion_start(
		   &rt, .workers = PINION_CALLER_DRIVEN, .clock = clock, .log = note_log) != 0 ||
		pinion_run(rt, build, &handle) != 0 ||
		pinion_run(rt, build_held, &child, .name = "held") != 0
	    ? -1
	    : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* All there is to do now. */
static void
drive(void)
{
	unsigned idle = 0;

	while (idle < 4)
		idle = pinion_work(rt) == 0 ? idle + 1 : 0;
}

static int
nothing_is_left(void **state)
{
	(void)state;
	drive();
	graph_assert_clean(rt, 1);
	assert_int_equal(running, 0);
	batches = running_most = token_count = 0;
	return 0;
}

static pinion_response
call(const char *method, int64_t x)
{
	return pinion_call(pinion_method_of(handle, method), PINION_ARGS(x));
}

static int
state_of(pinion_response r)
{
	int64_t x;

	return pinion_result_within(r, 0, &x);
}

static void
assert_answer(pinion_response r, int64_t expected)
{
	int64_t x;

	assert_int_equal(pinion_result_within(r, 0, &x), 0);
	assert_int_equal(x, expected);
	pinion_release(r);
}

static void
assert_error(pinion_response r, int code)
{
	assert_int_equal(state_of(r), code);
	pinion_release(r);
}

/* 87: enough run at once, whatever the wait. */
static void
behaviour_87_enough_run_at_once(void **state)
{
	pinion_response r[4];

	(void)state;
	for (int i = 0; i < 3; i++)
		r[i] = call(PINION_CALL, i + 1);
	drive();
	assert_int_equal(batches, 0);
	assert_int_equal(state_of(r[0]), -EAGAIN);
	r[3] = call(PINION_CALL, 4);
	drive();
	assert_int_equal(batches, 1);
	assert_int_equal(sizes[0], 4);
	for (int i = 0; i < 4; i++)
		assert_answer(r[i], 2 * (i + 1));
}

/* 87: fewer when the first has waited, to the nanosecond; who comes later has no wait of its own. */
static void
behaviour_87_the_first_one_waits_so_long(void **state)
{
	pinion_response first = call(PINION_CALL, 1), second;

	(void)state;
	drive();
	now += LONG / 2;
	second = call(PINION_CALL, 2);
	drive();
	now += LONG / 2 - 1;
	drive();
	assert_int_equal(batches, 0);
	now += 1;
	drive();
	assert_int_equal(batches, 1);
	assert_int_equal(sizes[0], 2);
	assert_answer(first, 2);
	assert_answer(second, 4);
	first = call(PINION_CALL, 3); /* its own wait begins now */
	drive();
	now += LONG - 1;
	drive();
	assert_int_equal(batches, 1);
	now += 1;
	drive();
	assert_answer(first, 6);
}

/* 87: without a wait, what is there. */
static void
behaviour_87_without_a_wait_what_is_there(void **state)
{
	pinion_response r[40];

	(void)state;
	for (int i = 0; i < 40; i++)
		r[i] = call("there", i + 1);
	drive();
	assert_int_equal(batches, 1);
	for (int i = 0; i < 40; i++)
		assert_answer(r[i], 2 * (i + 1));
}

static void
behaviour_88_one_is_enough_where_one_fills_it(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		pinion_response r = call("single", i);

		drive();
		assert_int_equal(batches, i);
		assert_answer(r, 2 * i);
	}
}

static void
behaviour_89_each_has_an_outcome_of_its_own(void **state)
{
	pinion_response r[4] = { call(PINION_CALL, 1), call(PINION_CALL, -1), call(PINION_CALL, 0),
		call(PINION_CALL, 4) };

	(void)state;
	drive();
	assert_answer(r[0], 2);
	assert_error(r[1], -EDOM);
	assert_error(r[2], -EPROTO); /* left unanswered */
	assert_answer(r[3], 8);
}

static void
behaviour_89_an_error_is_for_all_that_have_no_answer(void **state)
{
	pinion_response r[3] = { call("broken", 1), call("broken", 1), call("broken", 1) };

	(void)state;
	drive();
	assert_answer(r[0], 1);
	assert_error(r[1], -EIO);
	assert_error(r[2], -EIO);
}

/* 90: by name, and as a chain. */
static void
behaviour_90_arguments_are_as_of_any_call(void **state)
{
	pinion_response a = pinion_call(handle, PINION_ARGS(PINION_NAMED("x", 5)));
	pinion_response b = pinion_call(handle, PINION_ARGS(a)), left_out, zero;

	(void)state;
	drive();
	now += LONG;
	drive();
	now += LONG;
	drive();
	assert_int_equal(batches, 2);
	assert_answer(a, 10);
	assert_answer(b, 20);
	left_out = pinion_call(handle, PINION_ARGS());
	zero = call(PINION_CALL, 0); /* the same, and left without an answer */
	drive();
	now += LONG;
	drive();
	assert_error(left_out, -EPROTO);
	assert_error(zero, -EPROTO);
}

static void
behaviour_91_so_many_run_at_once(void **state)
{
	pinion_response r[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		r[i] = call("patient", 1);
	drive();
	assert_int_equal(batches, 2);
	assert_int_equal(token_count, 2);
	assert_int_equal(pinion_token_reply_value(tokens[0], PINION_VALUE((int64_t)7)), 0);
	drive();
	assert_int_equal(batches, 3); /* the third, in place of the first */
	for (int i = 1; i < 3; i++)
		assert_int_equal(pinion_token_reply_value(tokens[i], PINION_VALUE((int64_t)7)), 0);
	drive();
	assert_int_equal(running_most, 2);
	for (int i = 0; i < 6; i++)
		assert_answer(r[i], 7);
}

static void
behaviour_92_one_that_is_canceled_drops_out(void **state)
{
	pinion_response r[5];

	(void)state;
	for (int i = 0; i < 3; i++)
		r[i] = call(PINION_CALL, i + 1);
	drive();
	pinion_cancel(r[0]); /* the first, whose wait it was */
	drive();
	assert_int_equal(state_of(r[0]), -ECANCELED);
	r[3] = call(PINION_CALL, 4);
	drive();
	assert_int_equal(batches, 0); /* three */
	r[4] = call(PINION_CALL, 5);
	drive();
	assert_int_equal(sizes[0], 4);
	pinion_release(r[0]);
	for (int i = 1; i < 5; i++)
		assert_answer(r[i], 2 * (i + 1));
}

static void
behaviour_92_all_canceled_is_no_batch(void **state)
{
	pinion_response r[2] = { call(PINION_CALL, 1), call(PINION_CALL, 2) };

	(void)state;
	drive();
	for (int i = 0; i < 2; i++)
		pinion_cancel(r[i]);
	drive();
	now += LONG;
	drive();
	assert_int_equal(batches, 0);
	for (int i = 0; i < 2; i++) {
		assert_error(r[i], -ECANCELED);
		pinion_cancel(r[i]); /* given back: nothing */
	}
}

static void
behaviour_93_each_has_a_stream_of_its_own(void **state)
{
	pinion_handle h = pinion_method_of(handle, "streamed");
	pinion_stream s[3];
	int64_t x;

	(void)state;
	for (int64_t i = 0; i < 3; i++)
		s[i] = pinion_call_stream(h, PINION_ARGS(i + 1));
	drive();
	assert_int_equal(batches, 1);
	for (int64_t i = 0; i < 3; i++) {
		for (int64_t item = 0; item <= i; item++) {
			assert_int_equal(pinion_next_within(s[i], 0, &x), 1);
			assert_int_equal(x, item);
		}
		assert_int_equal(pinion_next_within(s[i], 0, &x), 0);
		pinion_stream_close(s[i]);
	}
}

static void
behaviour_93_an_error_ends_those_that_have_not(void **state)
{
	pinion_handle h = pinion_method_of(handle, "streamed");
	pinion_stream s[3];
	int64_t x;

	(void)state;
	s[0] = pinion_call_stream(h, PINION_ARGS((int64_t)0));
	s[1] = pinion_call_stream(h, PINION_ARGS((int64_t)99));
	s[2] = pinion_call_stream(h, PINION_ARGS((int64_t)3));
	drive();
	assert_int_equal(pinion_next_within(s[0], 0, &x), 0);
	assert_int_equal(pinion_next_within(s[1], 0, &x), 1);
	assert_int_equal(pinion_next_within(s[1], 0, &x), -EIO);
	assert_int_equal(pinion_next_within(s[2], 0, &x), 1);
	assert_int_equal(pinion_next_within(s[2], 0, &x), -EIO);
	for (int i = 0; i < 3; i++)
		pinion_stream_close(s[i]);
}

/* 95: who went away while it gathered, or was running, leaves nothing behind. */
static void
behaviour_95_clients_that_go_do_not_hurt_the_next_batch(void **state)
{
	pinion_response r[4];

	(void)state;
	for (int i = 0; i < 2; i++) {
		pinion_response gone = call(PINION_CALL, 9);

		drive();
		pinion_cancel(gone);
		pinion_release(gone);
	}
	r[0] = pinion_call_with(handle, PINION_ARGS((int64_t)1), .timeout_ns = 10);
	drive();
	now += 11;
	drive();
	assert_error(r[0], -ETIMEDOUT);
	for (int i = 0; i < 4; i++) {
		r[i] = call(PINION_CALL, i + 1);
		drive();
		assert_int_equal(batches, i == 3);
	}
	assert_int_equal(sizes[0], 4);
	for (int i = 0; i < 4; i++)
		assert_answer(r[i], 2 * (i + 1));
}

static pinion_node *
build_narrow(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS(), .max_ongoing_requests = 12);
}

static void
behaviour_96_batches_that_cannot_fill_are_warned_of(void **state)
{
	pinion_handle narrow;

	(void)state;
	assert_string_equal(logged, "");
	assert_int_equal(pinion_run(rt, build_narrow, &narrow, .name = "narrow"), 0);
	assert_string_equal(logged,
	    "Batched.there: 1 batches of 64 do not fit max_ongoing_requests, which is 12: they run "
	    "when they have waited");
	logged[0] = '\0';
}

static void
behaviour_97_its_context_is_each_ones_own(void **state)
{
	pinion_response r = pinion_call_with(
	    pinion_method_of(handle, "asks"), PINION_ARGS((int64_t)1), .terms.request_id = "me");

	(void)state;
	drive();
	assert_string_equal(blank, "kept");
	assert_int_equal(seen_id, 0);
	assert_answer(r, 1);
}

/* #66140: what size_of says of one is its own affair. */
static void
sizes_are_what_size_of_says(void **state)
{
	pinion_response r[4] = { call("weighed", 6), call("weighed", 0), call("weighed", 3),
		call("weighed", 5) };
	pinion_response alone;

	(void)state;
	drive();
	assert_error(r[1], -EINVAL);
	assert_int_equal(batches, 1); /* 6 + 3; 5 does not fit */
	assert_int_equal(sizes[0], 2);
	assert_answer(r[0], 12);
	assert_answer(r[2], 6);
	assert_int_equal(state_of(r[3]), -EAGAIN);
	alone = call("weighed", 50); /* more than a batch: alone */
	drive();
	assert_answer(r[3], 10);
	assert_answer(alone, 100);
	assert_int_equal(batches, 3);
}

static void
posts_are_members_as_well(void **state)
{
	pinion_response r[2];

	(void)state;
	assert_int_equal(pinion_post(handle, PINION_ARGS((int64_t)1)), 0);
	assert_int_equal(pinion_post(handle, PINION_ARGS((int64_t)2)), 0);
	r[0] = call(PINION_CALL, 3);
	r[1] = call(PINION_CALL, 4);
	drive();
	assert_int_equal(sizes[0], 4);
	assert_answer(r[0], 6);
	assert_answer(r[1], 8);
}

/* ---- declarations --------------------------------------------------------------------------- */

static const pinion_deployment *bad;

static pinion_node *
build_bad(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, bad, PINION_ARGS(), .max_batch_size = bad == &kind ? -1 : 0);
}

static void
assert_refused(const pinion_deployment *d, const char *why)
{
	pinion_diag diag;
	pinion_handle h;

	bad = d;
	assert_int_equal(pinion_run(rt, build_bad, &h, .name = "bad", .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, why));
}

static const pinion_deployment both = {
	.name = "Both",
	.methods = PINION_METHODS(PINION_METHOD("m", held, .batch = doubled)),
};
static const pinion_deployment none = {
	.name = "None",
	.methods = PINION_METHODS(PINION_METHOD("m", held, .max_batch_size = 3)),
};
static const pinion_deployment less = {
	.name = "Less",
	.methods = PINION_METHODS(PINION_BATCH_METHOD("m", doubled, .batch_wait_ns = -1)),
};

static void
what_cannot_be_is_refused(void **state)
{
	(void)state;
	assert_refused(&both, "Both.m has a handler and a batch handler");
	assert_refused(&none, "None.m has options of batches");
	assert_refused(&less, "Less.m has a negative batch_wait_ns");
	assert_refused(&kind, "max_batch_size is -1");
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_87_enough_run_at_once),
		TEST(behaviour_87_the_first_one_waits_so_long),
		TEST(behaviour_87_without_a_wait_what_is_there),
		TEST(behaviour_88_one_is_enough_where_one_fills_it),
		TEST(behaviour_89_each_has_an_outcome_of_its_own),
		TEST(behaviour_89_an_error_is_for_all_that_have_no_answer),
		TEST(behaviour_90_arguments_are_as_of_any_call),
		TEST(behaviour_91_so_many_run_at_once),
		TEST(behaviour_92_one_that_is_canceled_drops_out),
		TEST(behaviour_92_all_canceled_is_no_batch),
		TEST(behaviour_93_each_has_a_stream_of_its_own),
		TEST(behaviour_93_an_error_ends_those_that_have_not),
		TEST(behaviour_95_clients_that_go_do_not_hurt_the_next_batch),
		TEST(behaviour_96_batches_that_cannot_fill_are_warned_of),
		TEST(behaviour_97_its_context_is_each_ones_own),
		TEST(sizes_are_what_size_of_says),
		TEST(posts_are_members_as_well),
		TEST(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
