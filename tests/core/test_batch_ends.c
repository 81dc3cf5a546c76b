/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Nothing wedges a batcher: not a member that nobody reads, nor one that was canceled while its batch runs, nor a
 *         change or a stop while some gather.
 * Method  Two workers. Batches sleep an hour or wait for readers that never come: what is lost shows as a test that
 *         never ends. The census is zero behind every test.
 */
#include "tests/core/graph.h"

#include <sched.h>

#define HOUR (INT64_C(3600) * 1000000000)

static pinion_runtime *rt;
static pinion_handle handle, slow_one;
static _Atomic int begun, gathered, members, told;

/* Waits for its first member; then says what it was told. */
static int
doze(void *replica, pinion_request *const *requests, unsigned count)
{
	int err;

	(void)replica;
	(void)count;
	atomic_fetch_add(&begun, 1);
	err = pinion_sleep(requests[0], HOUR);
	atomic_store(&told, err);
	return err;
}

/* Five items to each, in turn. */
static int
spread(void *replica, pinion_request *const *requests, unsigned count)
{
	(void)replica;
	atomic_fetch_add(&begun, 1);
	for (int64_t item = 0; item < 5; item++)
		for (unsigned i = 0; i < count; i++)
			(void)!pinion_yield(requests[i], item); /* one that ended hurts no other */
	return 0;
}

static int
answer(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = 0;

	(void)replica;
	atomic_fetch_add(&begun, 1);
	atomic_fetch_add(&members, (int)count);
	for (unsigned i = 0; i < count && err == 0; i++)
		err = pinion_reply(requests[i], (int64_t)count);
	return err;
}

static int
nap_and_answer(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = pinion_sleep(requests[0], 10000000);

	return err != 0 ? err : answer(replica, requests, count);
}

/* The first is answered with what a call of the batch's will say; the second is waited for. */
static int
answer_one_and_doze(void *replica, pinion_request *const *requests, unsigned count)
{
	pinion_response r = pinion_call(slow_one, PINION_ARGS());
	int err = count == 2 ? pinion_reply_response(requests[0], r) : -EINVAL;

	(void)replica;
	atomic_fetch_add(&begun, 1);
	if (err == 0)
		err = pinion_sleep(requests[1], HOUR);
	atomic_store(&told, err);
	return err;
}

/* One is canceled before the other has its answer. */
static int
doze_behind_an_answer(void *replica, pinion_request *const *requests, unsigned count)
{
	int err;

	(void)replica;
	(void)count;
	atomic_fetch_add(&begun, 1);
	while (!pinion_cancelled(requests[1]))
		(void)sched_yield();
	err = pinion_reply(requests[0], (int64_t)7);
	if (err == 0)
		err = pinion_sleep(requests[1], HOUR);
	atomic_store(&told, err);
	return err;
}

static int
defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &graph_token);

	(void)replica;
	atomic_store(&graph_deferred, 1);
	return err;
}

static uint32_t
count_those_that_gather(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	atomic_fetch_add(&gathered, 1);
	return 1;
}

static uint32_t
weight(void *replica, pinion_request *req)
{
	(void)replica;
	return (uint32_t)pinion_arg_i64(req, 0);
}

static int
take_text(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	return 0;
}

#define OF_I64 .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = PINION_RETURNS_I64

static const pinion_deployment kind = {
	.name = "Batched",
	.reconfigure = take_text,
	.methods = PINION_METHODS(
	    PINION_BATCH_METHOD("doze", doze, .max_batch_size = 2, .batch_wait_ns = HOUR, OF_I64),
	    PINION_BATCH_METHOD("spread", spread, .max_batch_size = 2, .batch_wait_ns = HOUR,
		.stream = true, OF_I64),
	    PINION_BATCH_METHOD(
		"relays", answer_one_and_doze, .max_batch_size = 2, .batch_wait_ns = HOUR, OF_I64),
	    PINION_BATCH_METHOD("answers", doze_behind_an_answer, .max_batch_size = 2,
		.batch_wait_ns = HOUR, OF_I64),
	    PINION_METHOD("defer", defer, OF_I64),
	    PINION_BATCH_METHOD(
		"answer", answer, .max_batch_size = 4, .batch_wait_ns = HOUR, OF_I64),
	    PINION_BATCH_METHOD("slow", nap_and_answer, .max_batch_size = 4, .batch_wait_ns = HOUR,
		.size_of = count_those_that_gather, OF_I64),
	    PINION_BATCH_METHOD("weighed", answer, .max_batch_size = 4, .batch_wait_ns = HOUR,
		.size_of = weight, OF_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS(), .num_replicas = 1);
}

static pinion_response
call(const char *method)
{
	return pinion_call(pinion_method_of(handle, method), PINION_ARGS());
}

static void
await_begun(int count)
{
	while (atomic_load(&begun) != count)
		(void)sched_yield();
}

static void
assert_ends(pinion_response r, int code)
{
	int64_t x;

	assert_int_equal(pinion_result(r, &x), code);
	pinion_release(r);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
its_handler_is_told_when_all_are_canceled(void **state)
{
	pinion_response r[2] = { call("doze"), call("doze") };

	(void)state;
	await_begun(1);
	pinion_cancel(r[1]);
	pinion_cancel(r[0]);
	for (int i = 0; i < 2; i++)
		assert_ends(r[i], -ECANCELED);
	assert_int_equal(atomic_load(&told), -ECANCELED);
}

/* Not sooner: the other one is still wanted. */
static void
one_that_is_canceled_ends_no_batch(void **state)
{
	pinion_response r[2] = { call("doze"), call("doze") };
	int64_t x;

	(void)state;
	await_begun(1);
	pinion_cancel(r[0]);
	for (int i = 0; i < 100; i++) { /* turns of its worker */
		pinion_census c;

		pinion_census_take(rt, &c);
		assert_int_equal(c.fibers, 1);
	}
	assert_int_equal(pinion_result_within(r[1], 0, &x), -EAGAIN);
	pinion_cancel(r[1]);
	for (int i = 0; i < 2; i++)
		assert_ends(r[i], -ECANCELED);
}

static void
what_answers_another_goes_on(void **state)
{
	pinion_response r[2];
	int64_t x;

	(void)state;
	slow_one = pinion_method_of(handle, "defer");
	atomic_store(&graph_deferred, 0);
	for (int i = 0; i < 2; i++)
		r[i] = call("relays");
	await_begun(1);
	while (atomic_load(&graph_deferred) == 0)
		(void)sched_yield();
	pinion_cancel(r[1]);
	assert_ends(r[1], -ECANCELED);
	assert_int_equal(pinion_result_within(r[0], 0, &x), -EAGAIN);
	assert_int_equal(pinion_token_reply(graph_token, (int64_t)5), 0);
	assert_int_equal(graph_i64(r[0]), 5);
	assert_int_equal(atomic_load(&told), -ECANCELED);
}

static void
its_handler_is_told_when_the_last_wanted_one_is_answered(void **state)
{
	pinion_response r[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		r[i] = call("answers");
	await_begun(1);
	pinion_cancel(r[1]);
	assert_int_equal(graph_i64(r[0]), 7);
	assert_ends(r[1], -ECANCELED);
	assert_int_equal(atomic_load(&told), -ECANCELED);
}

static pinion_stream
ask(int32_t window, int64_t timeout_ns)
{
	return pinion_call_stream(pinion_method_of(handle, "spread"), PINION_ARGS(),
	    .window = window, .timeout_ns = timeout_ns);
}

static void
assert_all_items(pinion_stream s)
{
	int64_t x;

	for (int64_t i = 0; i < 5; i++) {
		assert_int_equal(pinion_next(s, &x), 1);
		assert_int_equal(x, i);
	}
	assert_int_equal(pinion_next(s, &x), 0);
	pinion_stream_close(s);
}

/* The one is over in time, the other is canceled: both have no room, and are not read. */
static void
a_member_that_nobody_reads_holds_up_no_other(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		pinion_stream unread = ask(1, round == 0 ? 20000000 : 0), read = ask(8, 0);

		await_begun(2 * round + 1);
		if (round == 1)
			pinion_stream_cancel(unread);
		assert_all_items(read);
		pinion_stream_close(unread);
		for (int i = 0; i < 2; i++) { /* and the next batch runs */
			unread = ask(8, 0);
			if (i == 1) {
				assert_all_items(unread);
				assert_all_items(read);
			}
			read = unread;
		}
	}
}

static void
a_change_runs_all_that_has_gathered(void **state)
{
	pinion_response r[10];
	pinion_diag diag;

	(void)state;
	for (int i = 0; i < 10; i++)
		r[i] = call("slow");
	while (atomic_load(&gathered) != 10)
		(void)sched_yield();
	if (pinion_reconfigure(
		rt, "Batched", .user_config = "1", .timeout_ns = HOUR, .diag = &diag) != 0)
		fail_msg("%s", diag.text);
	for (int i = 0; i < 10; i++)
		assert_int_equal(graph_i64(r[i]), i < 8 ? 4 : 2);
	assert_int_equal(atomic_load(&members), 10);
}

static void
a_stop_runs_all_that_has_gathered(void **state)
{
	pinion_runtime *other;
	pinion_handle on;
	pinion_census c;

	(void)state;
	assert_int_equal(pinion_start(&other, .workers = 1, .drain_ns = HOUR), 0);
	assert_int_equal(pinion_run(other, build, &on), 0);
	for (int i = 0; i < 3; i++)
		pinion_release(pinion_call(pinion_method_of(on, "answer"), PINION_ARGS()));
	do
		pinion_census_take(other, &c);
	while (c.requests != 3);
	pinion_stop(other);
	assert_int_equal(atomic_load(&begun), 1);
	assert_int_equal(atomic_load(&members), 3);
}

/* Two whose sizes together are 0 in 32 bits are two batches. */
static void
sizes_of_any_number_are_sizes(void **state)
{
	pinion_handle weighed = pinion_method_of(handle, "weighed");
	pinion_response a = pinion_call(weighed, PINION_ARGS(INT64_C(1) << 31));
	pinion_response b = pinion_call(weighed, PINION_ARGS(INT64_C(1) << 31));

	(void)state;
	assert_int_equal(graph_i64(a), 1);
	assert_int_equal(graph_i64(b), 1);
}

/* ---- start and stop ------------------------------------------------------------------------- */

static int
start(void **state)
{
	(void)state;
	atomic_store(&begun, 0);
	atomic_store(&members, 0);
	atomic_store(&gathered, 0);
	atomic_store(&told, 0);
	return pinion_start(&rt, .workers = 2) != 0 || pinion_run(rt, build, &handle) != 0 ? -1 : 0;
}

static int
stop(void **state)
{
	pinion_census c;

	(void)state;
	(void)pinion_port_mine(rt);
	do /* a handler may still be returning */
		pinion_census_take(rt, &c);
	while (c.requests != 0);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_handler_is_told_when_all_are_canceled),
		TEST(one_that_is_canceled_ends_no_batch),
		TEST(what_answers_another_goes_on),
		TEST(its_handler_is_told_when_the_last_wanted_one_is_answered),
		TEST(a_member_that_nobody_reads_holds_up_no_other),
		TEST(a_change_runs_all_that_has_gathered),
		TEST(a_stop_runs_all_that_has_gathered),
		TEST(sizes_of_any_number_are_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
