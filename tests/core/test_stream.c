/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    One call gives many results, in order, as they are made; an error comes after the items before it. Who
 *         is a window ahead waits, and nobody else with it; who is no longer listened to is told; nothing leaks.
 * Method  Two workers, each with a producer and a relay; readers are this thread, handlers, other threads. The
 *         census is zero behind every test.
 */
#include "tests/core/graph.h"

#include <pthread.h>
#include <sched.h>

static pinion_runtime *rt;
static pinion_handle relay;            /* on one worker */
static pinion_handle near, far;        /* producers: on the relay's worker, on the other */
static _Atomic int64_t yielded, ended; /* items; what a producer ended with */

struct relay_state {
	pinion_handle near, far;
};

/* ---- producers ------------------------------------------------------------------------------ */

static int
end_with(int err)
{
	atomic_store(&ended, err == 0 ? 1 : err);
	return err;
}

static int
count(void *replica, pinion_request *req)
{
	int64_t limit = pinion_arg_i64(req, 0);
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < limit && err == 0; i++) {
		err = pinion_yield(req, i);
		atomic_fetch_add(&yielded, err == 0);
	}
	return end_with(err);
}

/* Counts, then fails. */
static int
fail_after(void *replica, pinion_request *req)
{
	int err = count(replica, req);

	return err != 0 ? err : pinion_fail(req, -EDOM, "after %d", (int)pinion_arg_i64(req, 0));
}

/* Texts of growing length. */
static int
spell(void *replica, pinion_request *req)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	char text[2048];
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++) {
		size_t length = (size_t)(i * 61 % 1000);

		for (size_t k = 0; k < length; k++)
			text[k] = letters[(k + (size_t)i) % 26];
		err = pinion_yield(req, ((pinion_str){ text, length }));
	}
	return err;
}

static int
too_long(void *replica, pinion_request *req)
{
	char text[1025] = { 0 };

	(void)replica;
	return pinion_yield(req, ((pinion_str){ text, sizeof text }));
}

static int
wrong_kind(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_yield(req, "text");
}

static int
reply_instead(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)1);
}

static int
yield_anyway(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_yield(req, (int64_t)1);
}

static int
ping(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

#define STREAM_OF(k) .params = PINION_PARAMS(PINION_I64("limit")), .returns = k, .stream = true

static const pinion_deployment producer = {
	.name = "Producer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, count, STREAM_OF(PINION_RETURNS_I64)),
	    PINION_METHOD("fail_after", fail_after, STREAM_OF(PINION_RETURNS_I64)),
	    PINION_METHOD("spell", spell, STREAM_OF(PINION_RETURNS_STR)),
	    PINION_METHOD("too_long", too_long, STREAM_OF(PINION_RETURNS_STR)),
	    PINION_METHOD("wrong_kind", wrong_kind, STREAM_OF(PINION_RETURNS_I64)),
	    PINION_METHOD("reply_instead", reply_instead, STREAM_OF(PINION_RETURNS_I64)),
	    PINION_METHOD("yield_anyway", yield_anyway, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("ping", ping, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64)),
};

/* ---- handlers that read --------------------------------------------------------------------- */

static int
pass_on(pinion_request *req, pinion_handle from)
{
	pinion_stream numbers = pinion_call_stream(from, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t i;
	int err;

	while ((err = pinion_next(numbers, &i)) > 0)
		if ((err = pinion_yield(req, i)) != 0)
			break;
	pinion_stream_close(numbers);
	return err;
}

static int
relay_near(void *replica, pinion_request *req)
{
	return pass_on(req, ((const struct relay_state *)replica)->near);
}

static int
relay_far(void *replica, pinion_request *req)
{
	return pass_on(req, ((const struct relay_state *)replica)->far);
}

/* Two streams in turn; their items are equal. Never closed: they end with the request. */
static int
zip(void *replica, pinion_request *req)
{
	const struct relay_state *self = replica;
	pinion_stream a = pinion_call_stream(self->near, PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_stream b =
	    pinion_call_stream(self->far, PINION_ARGS(pinion_arg_i64(req, 0)), .window = 2);
	int64_t x = 0, y = 0, pairs = 0;

	while (pinion_next(a, &x) == 1 && pinion_next(b, &y) == 1 && x == y)
		pairs++;
	return pinion_reply(req, pairs);
}

/* Reads a few, and forgets the rest. */
static int
glance(void *replica, pinion_request *req)
{
	const struct relay_state *self = replica;
	pinion_stream s = pinion_call_stream(self->far, PINION_ARGS((int64_t)INT32_MAX));
	int64_t x = 0;

	for (int64_t i = 0; i < pinion_arg_i64(req, 0); i++)
		if (pinion_next(s, &x) != 1 || x != i)
			return -EBADMSG;
	return pinion_reply(req, x);
}

/* A tail call to a stream. */
static int
hand_over(void *replica, pinion_request *req)
{
	return pinion_forward(
	    req, ((const struct relay_state *)replica)->far, PINION_ARGS(pinion_arg_i64(req, 0)));
}

static int
relay_state_init(void *replica, pinion_init *init)
{
	*(struct relay_state *)replica =
	    (struct relay_state){ pinion_init_handle(init, 0), pinion_init_handle(init, 1) };
	return 0;
}

static const pinion_deployment relaying = {
	.name = "Relay",
	.replica_size = sizeof(struct relay_state),
	.init = relay_state_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("near"), PINION_HANDLE("far")),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, relay_near, STREAM_OF(PINION_RETURNS_I64)),
		PINION_METHOD("far", relay_far, STREAM_OF(PINION_RETURNS_I64)),
		PINION_METHOD("hand_over", hand_over, STREAM_OF(PINION_RETURNS_I64)),
		PINION_METHOD("zip", zip, .params = PINION_PARAMS(PINION_I64("limit")),
		    .returns = PINION_RETURNS_I64),
		PINION_METHOD("glance", glance, .params = PINION_PARAMS(PINION_I64("items")),
		    .returns = PINION_RETURNS_I64)),
};

/* Replicas are placed in turn: a and the relay on one worker, b on the other. */
static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *a = pinion_bind(app, &producer, PINION_ARGS(), .name = "Near");
	pinion_node *b = pinion_bind(app, &producer, PINION_ARGS(), .name = "Far");

	(void)config;
	return pinion_bind(app, &relaying, PINION_ARGS(a, b));
}

static pinion_node *
build_alone(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &producer, PINION_ARGS());
}

/* Handles are known only to handlers. */
static int
tell_handles(void *replica, pinion_request *req)
{
	const struct relay_state *self = replica;

	(void)req;
	near = self->near;
	far = self->far;
	return 0;
}

static const pinion_deployment telling = {
	.name = "Telling",
	.replica_size = sizeof(struct relay_state),
	.init = relay_state_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("near"), PINION_HANDLE("far")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, tell_handles)),
};

static pinion_node *
build_producers(pinion_app *app, const pinion_config *config)
{
	pinion_node *a = pinion_bind(app, &producer, PINION_ARGS(), .name = "A");
	pinion_node *b = pinion_bind(app, &producer, PINION_ARGS(), .name = "B");

	(void)config;
	return pinion_bind(app, &telling, PINION_ARGS(a, b));
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Ends as expected, after that many items in order. */
static void
assert_counts(pinion_stream s, int64_t items, int end)
{
	int64_t x;
	int got;

	for (int64_t i = 0; i < items; i++) {
		got = pinion_next(s, &x);
		if (got != 1)
			print_message(
			    "%d: %.*s\n", got, PINION_STR_FMT(pinion_stream_error(s).text));
		assert_int_equal(got, 1);
		assert_int_equal(x, i);
	}
	assert_int_equal(pinion_next(s, &x), end);
	assert_int_equal(pinion_next(s, &x), end); /* and again */
}

static void
assert_stream(pinion_handle handle, int64_t items)
{
	pinion_stream s = pinion_call_stream(handle, PINION_ARGS(items));

	assert_counts(s, items, 0);
	pinion_stream_close(s);
}

static void
behaviour_46_items_come_in_order_and_then_the_end(void **state)
{
	(void)state;
	assert_stream(near, 10);
	assert_stream(near, 0);
	assert_stream(far, (int64_t)scaled(1000000));
}

static void
behaviour_52_relays_pass_on_what_they_read(void **state)
{
	(void)state;
	assert_stream(relay, (int64_t)scaled(100000));
	assert_stream(pinion_method_of(relay, "far"), (int64_t)scaled(100000));
	assert_stream(pinion_method_of(relay, "hand_over"), 1000);
}

static void
every_window_will_do(void **state)
{
	static const int32_t windows[] = { 1, 2, 3, 64, 65536 };

	(void)state;
	for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
		pinion_stream s =
		    pinion_call_stream(far, PINION_ARGS((int64_t)1000), .window = windows[i]);

		assert_counts(s, 1000, 0);
		pinion_stream_close(s);
	}
}

static void
texts_stay_until_the_next(void **state)
{
	pinion_stream s = pinion_call_stream(
	    pinion_method_of(far, "spell"), PINION_ARGS((int64_t)1000), .window = 4);
	pinion_str text;

	(void)state;
	for (int64_t i = 0; i < 1000; i++) {
		assert_int_equal(pinion_next(s, &text), 1);
		assert_int_equal(text.len, i * 61 % 1000);
		for (size_t k = 0; k < text.len; k++)
			assert_int_equal(text.data[k], 'a' + (int)((k + (size_t)i) % 26));
	}
	assert_int_equal(pinion_next(s, &text), 0);
	pinion_stream_close(s);
}

static void
behaviour_47_an_error_comes_after_the_items(void **state)
{
	pinion_handle failing = pinion_method_of(near, "fail_after");
	pinion_stream s = pinion_call_stream(failing, PINION_ARGS((int64_t)3));
	pinion_error e;

	(void)state;
	assert_counts(s, 3, -EDOM);
	e = pinion_stream_error(s);
	assert_int_equal(e.origin, PINION_ORIGIN_HANDLER);
	assert_true(pinion_str_is(e.text, "after 3"));
	pinion_stream_close(s);
	s = pinion_call_stream(failing, PINION_ARGS((int64_t)0));
	assert_counts(s, 0, -EDOM);
	pinion_stream_close(s);
}

/* The producer is a window ahead at most; its worker answers others meanwhile. */
static void
behaviour_44_who_is_ahead_waits_and_nobody_else(void **state)
{
	pinion_stream s = pinion_call_stream(near, PINION_ARGS((int64_t)100), .window = 8);
	pinion_handle other = pinion_method_of(near, "ping");

	(void)state;
	atomic_store(&yielded, 0);
	for (int64_t i = 0; i < 1000; i++)
		assert_int_equal(graph_i64(pinion_call(other, PINION_ARGS(i))), i);
	assert_true(atomic_load(&yielded) <= 8);
	assert_stream(near, 1000);
	assert_counts(s, 100, 0);
	pinion_stream_close(s);
}

static void
who_is_not_listened_to_is_told(void **state)
{
	pinion_stream s = pinion_call_stream(far, PINION_ARGS((int64_t)INT32_MAX));
	int64_t x;

	(void)state;
	atomic_store(&ended, 0);
	assert_int_equal(pinion_next(s, &x), 1);
	pinion_stream_close(s);
	assert_int_equal(pinion_next(s, &x), -ESTALE);
	while (atomic_load(&ended) == 0)
		(void)sched_yield(); /* cannot fail on Linux */
	assert_int_equal(atomic_load(&ended), -ECANCELED);
}

static void
handlers_read_several_and_may_forget_them(void **state)
{
	(void)state;
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(relay, "zip"), PINION_ARGS((int64_t)5000))),
	    5000);
	for (int64_t i = 1; i < 100; i++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(relay, "glance"), PINION_ARGS(i))),
		    i - 1);
}

static void
behaviour_48_several_are_read_in_any_order(void **state)
{
	enum {
		STREAMS = 20
	};
	pinion_stream s[STREAMS];

	(void)state;
	for (int i = 0; i < STREAMS; i++)
		s[i] = pinion_call_stream(i % 2 == 0 ? near : far, PINION_ARGS((int64_t)200));
	for (int64_t k = 0; k < 200; k++)
		for (int i = 0; i < STREAMS; i++) {
			int64_t x;

			assert_int_equal(pinion_next(s[(i + k) % STREAMS], &x), 1);
			assert_int_equal(x, k);
		}
	for (int i = 0; i < STREAMS; i++) {
		assert_counts(s[i], 0, 0);
		pinion_stream_close(s[i]);
	}
}

static void
looking_does_not_wait(void **state)
{
	pinion_stream s = pinion_call_stream(far, PINION_ARGS((int64_t)100));
	pinion_value v;
	int64_t x, seen = 0;
	int got;

	(void)state;
	while ((got = pinion_next_within(s, 0, &x)) != 0) {
		assert_true(got == 1 || got == -EAGAIN);
		if (got == 1)
			assert_int_equal(x, seen++);
	}
	assert_int_equal(seen, 100);
	pinion_stream_close(s);
	s = pinion_call_stream(far, PINION_ARGS((int64_t)1));
	assert_int_equal(pinion_next_value(s, -1, &v), 1);
	assert_int_equal(v.kind, PINION_KIND_I64);
	assert_int_equal(pinion_next_value(s, -1, &v), 0);
	pinion_stream_close(s);
}

static void
assert_fails(pinion_stream s, int code, const char *text)
{
	int64_t x;
	int got = pinion_next(s, &x);
	pinion_error e = pinion_stream_error(s);

	if (got != code || strncmp(e.text.data, text, strlen(text)) != 0)
		print_message(
		    "%d, not %d: %.*s, not %s\n", got, code, PINION_STR_FMT(e.text), text);
	assert_int_equal(got, code);
	assert_int_equal(strncmp(e.text.data, text, strlen(text)), 0);
	pinion_stream_close(s);
}

static void
behaviour_45_and_49_what_is_wrong_says_so(void **state)
{
	pinion_stream s;
	pinion_response r;
	pinion_str text;
	int64_t x;

	(void)state;
	assert_fails(pinion_call_stream(pinion_method_of(far, "ping"), PINION_ARGS((int64_t)1)),
	    -EINVAL, "B.ping is no stream: call it with pinion_call");
	assert_fails(pinion_call_stream(pinion_method_of(far, "nothing"), PINION_ARGS()), -EINVAL,
	    "B has no method \"nothing\"");
	assert_fails(pinion_call_stream(far, PINION_ARGS((int64_t)1), .window = -1), -EINVAL,
	    ".window is -1 items: it may be 1 to 65536");
	assert_fails(pinion_call_stream(far, PINION_ARGS("no number")), -EINVAL,
	    "B.__call__: parameter \"limit\" wants i64 and got str");
	assert_fails(pinion_call_stream(pinion_method_of(far, "too_long"), PINION_ARGS((int64_t)1)),
	    -EMSGSIZE, "B.too_long yields 1025 bytes and may yield 1024: set .result_max");
	assert_fails(
	    pinion_call_stream(pinion_method_of(far, "wrong_kind"), PINION_ARGS((int64_t)1)),
	    -EINVAL, "B.wrong_kind declares to yield i64 and yielded str");
	assert_fails(
	    pinion_call_stream(pinion_method_of(far, "reply_instead"), PINION_ARGS((int64_t)1)),
	    -EINVAL, "B.reply_instead is a stream: its values are given with pinion_yield");
	r = pinion_call(far, PINION_ARGS((int64_t)1));
	assert_int_equal(pinion_result(r, &x), -EINVAL);
	assert_true(pinion_str_is(pinion_response_error(r).text,
	    "B.__call__ is a stream: call it with pinion_call_stream"));
	pinion_release(r);
	assert_int_equal(pinion_post(far, PINION_ARGS((int64_t)1)), -EINVAL);
	r = pinion_call(pinion_method_of(far, "yield_anyway"), PINION_ARGS());
	assert_int_equal(pinion_result(r, &x), -EINVAL);
	assert_true(pinion_str_is(
	    pinion_response_error(r).text, "B.yield_anyway yields, and declares no .stream"));
	pinion_release(r);
	s = pinion_call_stream(far, PINION_ARGS((int64_t)1));
	assert_int_equal(pinion_next(s, &text), -EINVAL); /* and the item stays */
	assert_counts(s, 1, 0);
	pinion_stream_close(s);
}

static void *
forget_some(void *arg)
{
	int64_t x;

	(void)arg;
	for (int i = 0; i < 8; i++) {
		pinion_stream s = pinion_call_stream(
		    i % 2 == 0 ? near : far, PINION_ARGS((int64_t)INT32_MAX), .window = 4);

		if (pinion_next(s, &x) != 1 || x != 0)
			return &rt;
	}
	return NULL;
}

static void
a_thread_may_leave_its_streams(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < scaled(200); i++) {
		pthread_t thread;
		void *wrong;

		assert_int_equal(pthread_create(&thread, NULL, forget_some, NULL), 0);
		assert_int_equal(pthread_join(thread, &wrong), 0);
		assert_null(wrong);
	}
}

static void
a_million_are_abandoned_anywhere(void **state)
{
	uint64_t random = seed() | 1;

	(void)state;
	for (uint64_t i = 0; i < scaled(1000000); i++) {
		uint64_t dice = next_random(&random);
		int64_t limit = (int64_t)(dice % 7);
		pinion_stream s = pinion_call_stream((dice >> 8) % 2 == 0 ? near : far,
		    PINION_ARGS(limit), .window = 1 << (dice >> 16) % 4);
		int64_t x = -1;

		for (uint64_t k = 0; k < (dice >> 32) % 8; k++)
			if (pinion_next(s, &x) == 1)
				assert_int_equal(x, k);
		pinion_stream_close(s);
	}
}

/* All streams are closed; producers that are still to be told may run for a moment. */
static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(
		    pinion_call(pinion_method_of(near, "ping"), PINION_ARGS((int64_t)0)));
		(void)graph_i64(
		    pinion_call(pinion_method_of(far, "ping"), PINION_ARGS((int64_t)0)));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.fibers != 0 || c.custody != 0 || c.blocks != 0);
	graph_assert_clean(rt, 1);
	return 0;
}

static int
start(void **state)
{
	pinion_handle telling_handle;
	pinion_response r;
	pinion_diag diag;

	(void)state;
	if (pinion_start(&rt, .workers = 2, .slots = 256, .diag = &diag) != 0 ||
	    pinion_run(rt, build_producers, &telling_handle, .name = "producers", .diag = &diag) !=
		0 ||
	    pinion_run(rt, build, &relay, .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	r = pinion_call(telling_handle, PINION_ARGS());
	if (pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE }) != 0)
		return -1;
	pinion_release(r);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
a_driver_reads_on_its_own_thread(void **state)
{
	pinion_runtime *driven;
	pinion_handle handle;
	pinion_census c;

	(void)state;
	assert_int_equal(pinion_start(&driven, .workers = PINION_CALLER_DRIVEN), 0);
	assert_int_equal(pinion_run(driven, build, &handle), 0);
	assert_stream(handle, 1000);
	pinion_stream_close(pinion_call_stream(handle, PINION_ARGS((int64_t)INT32_MAX)));
	do
		(void)pinion_work(driven);
	while (pinion_census_take(driven, &c), c.custody != 0 || c.fibers != 0 || c.slots != 0);
	pinion_stop(driven);
}

static void
stop_ends_streams_that_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pinion_runtime *other;
		pinion_handle handle;
		pinion_stream s;
		int64_t x;

		assert_int_equal(
		    pinion_start(&other, .workers = 1 + i % 2, .drain_ns = 1 + i * 100000), 0);
		assert_int_equal(pinion_run(other, i % 3 == 0 ? build_alone : build, &handle), 0);
		s = pinion_call_stream(handle, PINION_ARGS((int64_t)INT32_MAX));
		assert_int_equal(pinion_next(s, &x), 1);
		pinion_stop(other);
		assert_int_equal(pinion_next(s, &x), -ESTALE);
		pinion_stream_close(s);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_46_items_come_in_order_and_then_the_end),
		TEST(behaviour_52_relays_pass_on_what_they_read),
		TEST(every_window_will_do),
		TEST(texts_stay_until_the_next),
		TEST(behaviour_47_an_error_comes_after_the_items),
		TEST(behaviour_44_who_is_ahead_waits_and_nobody_else),
		TEST(who_is_not_listened_to_is_told),
		TEST(handlers_read_several_and_may_forget_them),
		TEST(behaviour_48_several_are_read_in_any_order),
		TEST(looking_does_not_wait),
		TEST(behaviour_45_and_49_what_is_wrong_says_so),
		TEST(a_thread_may_leave_its_streams),
		TEST(a_million_are_abandoned_anywhere),
		cmocka_unit_test(a_driver_reads_on_its_own_thread),
		cmocka_unit_test(stop_ends_streams_that_wait),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
