/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A canceled call that has not started never does; one that runs is told, and all that it called; what it
 *         races with decides nothing but which of two outcomes there is: one, always.
 * Method  Two workers, a tree and a leaf on each. What is to be canceled sleeps an hour, or waits for what does: a
 *         cancel that is lost shows as a test that never ends. The census is zero behind every test.
 */
#include "tests/core/graph.h"

#include <sched.h>

#define HOUR (INT64_C(3600) * 1000000000)

static pinion_runtime *rt;
static pinion_handle near, far; /* leaves, one on each worker */
static pinion_handle tree;      /* where near is */
static _Atomic int64_t started, ended;
static pinion_ref kept;
static _Atomic int64_t late; /* what a call said that a canceled handler made */

/* ---- leaves --------------------------------------------------------------------------------- */

static int
nap(void *replica, pinion_request *req)
{
	int err;

	(void)replica;
	atomic_fetch_add(&started, 1);
	err = pinion_sleep(req, pinion_arg_i64(req, 0));
	atomic_fetch_add(&ended, 1);
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

static int
compute(void *replica, pinion_request *req)
{
	int64_t turns = 0;

	(void)replica;
	atomic_fetch_add(&started, 1);
	while (!pinion_cancelled(req))
		turns++;
	atomic_fetch_add(&ended, 1);
	return turns < 0 ? 0 : -ECANCELED;
}

static int
defer(void *replica, pinion_request *req)
{
	pinion_token token;
	int err = pinion_defer(req, &token);

	(void)replica;
	graph_token = token;
	atomic_fetch_add(&started, 1);
	return err;
}

static int
twice(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&started, 1);
	return pinion_reply(req, 2 * pinion_arg_i64(req, 0));
}

static int
yield_slowly(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	atomic_fetch_add(&started, 1);
	for (int64_t i = 0; i < 3 && err == 0; i++)
		err = pinion_yield(req, i);
	if (err == 0)
		err = pinion_sleep(req, pinion_arg_i64(req, 0));
	atomic_fetch_add(&ended, 1);
	return err;
}

static int
yield_much(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	atomic_fetch_add(&started, 1);
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, i);
	atomic_fetch_add(&ended, 1);
	return err;
}

#define OF_I64(name) .params = PINION_PARAMS(PINION_I64(name)), .returns = PINION_RETURNS_I64

static const pinion_deployment leaf = {
	.name = "Leaf",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, nap, OF_I64("ns")),
	    PINION_METHOD("compute", compute, OF_I64("x")),
	    PINION_METHOD("defer", defer, OF_I64("x")), PINION_METHOD("twice", twice, OF_I64("x")),
	    PINION_METHOD("sum", graph_sum,
		.params = PINION_PARAMS(PINION_I64("a"), PINION_I64("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("yield_slowly", yield_slowly, OF_I64("ns"), .stream = true),
	    PINION_METHOD("yield_much", yield_much, OF_I64("items"), .stream = true)),
};

/* ---- trees ---------------------------------------------------------------------------------- */

struct tree_state {
	pinion_handle near, far, tight;
};

static int
tree_init(void *replica, pinion_init *init)
{
	*(struct tree_state *)replica = (struct tree_state){ pinion_init_handle(init, 0),
		pinion_init_handle(init, 1), pinion_init_handle(init, 2) };
	return 0;
}

/* x: 0 near, 1 far, 2 the one that is busy. */
static pinion_handle
child_of(const void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;
	int64_t which = pinion_arg_i64(req, 0);

	return which == 0 ? self->near : which == 1 ? self->far : self->tight;
}

static int
await_child(void *replica, pinion_request *req)
{
	pinion_response r = pinion_call(child_of(replica, req), PINION_ARGS(HOUR));
	int64_t x;
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x);
}

/* Waits for something else. */
static int
leave_child(void *replica, pinion_request *req)
{
	pinion_response r = pinion_call(child_of(replica, req), PINION_ARGS(HOUR));
	int err = pinion_sleep(req, HOUR);

	(void)r;
	return err;
}

static int
answer_with_child(void *replica, pinion_request *req)
{
	return pinion_reply_response(req, pinion_call(child_of(replica, req), PINION_ARGS(HOUR)));
}

static int
forward_to_child(void *replica, pinion_request *req)
{
	return pinion_forward(req, child_of(replica, req), PINION_ARGS(HOUR));
}

/* A tail call with an argument that is still to come. */
static int
forward_unready(void *replica, pinion_request *req)
{
	pinion_handle child = child_of(replica, req);

	return pinion_forward(req, child, PINION_ARGS(pinion_call(child, PINION_ARGS(HOUR))));
}

static int
keep_child(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(pinion_method_of(child_of(replica, req), "defer"), PINION_ARGS((int64_t)0));
	int err = pinion_response_keep(r);

	kept = pinion_response_ref(r);
	return err != 0 ? err : pinion_sleep(req, HOUR);
}

static int
call_when_canceled(void *replica, pinion_request *req)
{
	pinion_response r;
	int64_t x;
	int err;

	atomic_fetch_add(&started, 1);
	err = pinion_sleep(req, HOUR);
	r = pinion_call(child_of(replica, req), PINION_ARGS(HOUR));
	atomic_store(&late, pinion_result(r, &x));
	return err;
}

/* Cancels what it called. */
static int
cancel_child(void *replica, pinion_request *req)
{
	pinion_response r = pinion_call(child_of(replica, req), PINION_ARGS(HOUR));
	int64_t x;

	pinion_cancel(r);
	return pinion_reply(req, (int64_t)pinion_result(r, &x));
}

static int
relay_stream(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_call_stream(
	    pinion_method_of(child_of(replica, req), "yield_slowly"), PINION_ARGS(HOUR));
	int64_t x;
	int err;

	while ((err = pinion_next(s, &x)) == 1)
		if ((err = pinion_yield(req, x)) != 0)
			break;
	atomic_fetch_add(&ended, 1);
	return err;
}

static const pinion_deployment tree_kind = {
	.name = "Tree",
	.replica_size = sizeof(struct tree_state),
	.init = tree_init,
	.init_params =
	    PINION_PARAMS(PINION_HANDLE("near"), PINION_HANDLE("far"), PINION_HANDLE("tight")),
	.methods = PINION_METHODS(PINION_METHOD("await", await_child, OF_I64("which")),
	    PINION_METHOD("leave", leave_child, OF_I64("which")),
	    PINION_METHOD("answer_with", answer_with_child, OF_I64("which")),
	    PINION_METHOD("forward", forward_to_child, OF_I64("which")),
	    PINION_METHOD("forward_unready", forward_unready, OF_I64("which")),
	    PINION_METHOD("keep", keep_child, OF_I64("which")),
	    PINION_METHOD("call_late", call_when_canceled, OF_I64("which")),
	    PINION_METHOD("cancel", cancel_child, OF_I64("which")),
	    PINION_METHOD("relay", relay_stream, OF_I64("which"), .stream = true)),
};

static int
tell_handles(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;

	near = self->near;
	far = self->far;
	(void)req;
	return 0;
}

static const pinion_deployment telling = {
	.name = "Telling",
	.replica_size = sizeof(struct tree_state),
	.init = tree_init,
	.init_params =
	    PINION_PARAMS(PINION_HANDLE("near"), PINION_HANDLE("far"), PINION_HANDLE("tight")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, tell_handles)),
};

static pinion_handle tight; /* runs one at a time */

static pinion_node *
build_tight(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &leaf, PINION_ARGS(), .max_ongoing_requests = 1);
}

/* Replicas are placed in turn. */
static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *a = pinion_bind(app, &leaf, PINION_ARGS(), .name = "Near");
	pinion_node *b = pinion_bind(app, &leaf, PINION_ARGS(), .name = "Far");

	(void)config;
	return pinion_bind(app, &telling, PINION_ARGS(a, b, tight));
}

static pinion_node *
build_tree(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &tree_kind, PINION_ARGS(near, far, tight));
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
await_count(_Atomic int64_t *count, int64_t value)
{
	while (atomic_load(count) != value)
		(void)sched_yield();
}

static void
assert_canceled(pinion_response r)
{
	pinion_error e;
	int64_t x;

	assert_int_equal(pinion_result(r, &x), -ECANCELED);
	assert_int_equal(pinion_result(r, &x), -ECANCELED);
	e = pinion_response_error(r);
	assert_int_equal(e.code, -ECANCELED);
	assert_true(e.text.len != 0);
	pinion_release(r);
}

static pinion_response
call_tree(const char *method, int64_t which)
{
	return pinion_call(pinion_method_of(tree, method), PINION_ARGS(which));
}

static void
behaviour_53_one_that_sleeps_is_told(void **state)
{
	pinion_response r = pinion_call(far, PINION_ARGS(HOUR));

	(void)state;
	await_count(&started, 1);
	pinion_cancel(r);
	assert_canceled(r);
	assert_int_equal(atomic_load(&ended), 1);
}

static void
behaviour_53_one_that_computes_can_ask(void **state)
{
	pinion_response r = pinion_call(pinion_method_of(far, "compute"), PINION_ARGS((int64_t)0));

	(void)state;
	await_count(&started, 1);
	pinion_cancel(r);
	assert_canceled(r);
}

static void
behaviour_54_one_in_the_queue_never_starts(void **state)
{
	pinion_response first = pinion_call(tight, PINION_ARGS(HOUR));
	pinion_response queued[100];

	(void)state;
	await_count(&started, 1);
	for (int i = 0; i < 100; i++)
		queued[i] = pinion_call(tight, PINION_ARGS(HOUR));
	for (int i = 0; i < 100; i++)
		pinion_cancel(queued[i * 37 % 100]);
	for (int i = 0; i < 100; i++)
		assert_canceled(queued[i]);
	assert_int_equal(atomic_load(&started), 1);
	queued[0] = pinion_call(tight, PINION_ARGS((int64_t)0));
	pinion_cancel(first);
	assert_canceled(first);
	assert_int_equal(graph_i64(queued[0]), 1); /* its place was not taken by those */
	assert_int_equal(atomic_load(&started), 2);
}

static void
behaviour_56_of_two_alike_one(void **state)
{
	pinion_response a = pinion_call(far, PINION_ARGS((int64_t)20000000));
	pinion_response b = pinion_call(far, PINION_ARGS((int64_t)20000000));

	(void)state;
	pinion_cancel(a);
	assert_canceled(a);
	assert_int_equal(graph_i64(b), 1);
}

static void
behaviour_62_again_or_late_is_nothing(void **state)
{
	pinion_response r = pinion_call(far, PINION_ARGS((int64_t)0));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	pinion_cancel(r);
	pinion_cancel(r);
	assert_int_equal(pinion_result(r, &x), 0);
	pinion_release(r);
	pinion_cancel(r);
	r = pinion_call(far, PINION_ARGS(HOUR));
	pinion_cancel(r);
	pinion_cancel(r);
	assert_canceled(r);
	pinion_cancel(pinion_call(pinion_method_of(far, "none"), PINION_ARGS((int64_t)0)));
}

static void
a_deferred_answer_comes_too_late(void **state)
{
	pinion_response r = pinion_call(pinion_method_of(far, "defer"), PINION_ARGS((int64_t)0));

	(void)state;
	await_count(&started, 1);
	pinion_cancel(r);
	assert_canceled(r);
	assert_int_equal(
	    pinion_token_reply_value(graph_token, PINION_VALUE((int64_t)1)), -EALREADY);
}

/* What waits for an argument that never comes, wherever it waits. */
static void
one_that_waits_for_its_argument(void **state)
{
	pinion_handle places[] = { near, far };

	(void)state;
	for (int i = 0; i < 4; i++) {
		pinion_response stuck = pinion_call(places[i / 2], PINION_ARGS(HOUR));
		pinion_response waits =
		    pinion_call(pinion_method_of(places[i % 2], "twice"), PINION_ARGS(stuck));
		pinion_response behind =
		    pinion_call(pinion_method_of(places[i / 2], "twice"), PINION_ARGS(waits));
		int64_t x;

		await_count(&started, i + 1);
		pinion_cancel(waits);
		assert_canceled(waits);
		assert_int_equal(pinion_result(behind, &x), -ECANCELED);
		assert_int_equal(pinion_response_error(behind).origin, PINION_ORIGIN_UPSTREAM);
		pinion_release(behind);
		assert_int_equal(
		    pinion_result_within(stuck, 0, &x), -EAGAIN); /* its argument goes on */
		pinion_cancel(stuck);
		assert_canceled(stuck);
		assert_int_equal(atomic_load(&started), i + 1);
	}
}

/* Two that never come, on both workers. */
static void
one_that_waits_for_several(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		pinion_response a = pinion_call(near, PINION_ARGS(HOUR));
		pinion_response b = pinion_call(far, PINION_ARGS(HOUR));
		pinion_response waits =
		    pinion_call(pinion_method_of(i / 2 == 0 ? near : far, "sum"),
			i % 2 == 0 ? PINION_ARGS(a, b) : PINION_ARGS(b, a));

		await_count(&started, 2 * (i + 1));
		pinion_cancel(waits);
		assert_canceled(waits);
		pinion_cancel(a);
		pinion_cancel(b);
		assert_canceled(a);
		assert_canceled(b);
	}
}

static void
behaviour_58_what_it_called_goes_with_it(void **state)
{
	static const char *const ways[] = { "await", "leave", "answer_with", "forward",
		"forward_unready" };

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
		for (int64_t which = 0; which < 2; which++) {
			int64_t before = atomic_load(&started);
			pinion_response r = call_tree(ways[i], which);

			await_count(&started, before + 1);
			pinion_cancel(r);
			assert_canceled(r);
			await_count(&ended, before + 1);
		}
}

/* A child that is still queued never starts. */
static void
behaviour_59_so_do_children_in_a_queue(void **state)
{
	pinion_response busy = pinion_call(tight, PINION_ARGS(HOUR));

	(void)state;
	await_count(&started, 1);
	for (int i = 0; i < 20; i++) {
		pinion_response r = call_tree(i % 2 == 0 ? "await" : "leave", 2);

		if (i % 4 < 2)
			assert_int_equal(graph_i64(pinion_call(near, PINION_ARGS((int64_t)0))), 1);
		pinion_cancel(r);
		assert_canceled(r);
	}
	pinion_cancel(busy);
	assert_canceled(busy);
	assert_int_equal(graph_i64(pinion_call(tight, PINION_ARGS((int64_t)0))), 1);
	assert_int_equal(atomic_load(&started), 2 + 10);
}

static void
behaviour_57_what_it_kept_does_not(void **state)
{
	pinion_response r = call_tree("keep", 1);
	int64_t x;

	(void)state;
	await_count(&started, 1);
	pinion_cancel(r);
	assert_canceled(r);
	assert_int_equal(pinion_token_reply_value(graph_token, PINION_VALUE((int64_t)1)), 0);
	assert_int_equal(pinion_ref_get(kept, &x), 0);
	assert_int_equal(x, 1);
	pinion_ref_release(kept);
}

static void
no_new_calls_are_made(void **state)
{
	pinion_response r = call_tree("call_late", 1);

	(void)state;
	await_count(&started, 1);
	pinion_cancel(r);
	assert_canceled(r);
	assert_int_equal(atomic_load(&late), -ECANCELED);
	assert_int_equal(atomic_load(&started), 1);
}

static void
handlers_cancel_what_they_called(void **state)
{
	(void)state;
	assert_int_equal(graph_i64(call_tree("cancel", 0)), -ECANCELED);
	assert_int_equal(graph_i64(call_tree("cancel", 1)), -ECANCELED);
	assert_true(atomic_load(&started) <= 1); /* on the same worker it had not begun */
}

static void
behaviour_17_a_wait_that_ends_cancels_nothing(void **state)
{
	pinion_response r = pinion_call(far, PINION_ARGS((int64_t)30000000));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result_within(r, 1000, &x), -EAGAIN);
	assert_int_equal(graph_i64(r), 1);
}

static void
behaviour_55_a_stream_ends_behind_its_items(void **state)
{
	(void)state;
	for (int64_t which = -1; which < 2; which++) {
		pinion_stream s = which < 0
		    ? pinion_call_stream(pinion_method_of(far, "yield_slowly"), PINION_ARGS(HOUR))
		    : pinion_call_stream(pinion_method_of(tree, "relay"), PINION_ARGS(which));
		int64_t x;

		assert_int_equal(pinion_next(s, &x), 1);
		while (which >= 0 && pinion_next_within(s, 0, &x) != -EAGAIN)
			continue;
		pinion_stream_cancel(s);
		while (pinion_next(s, &x) == 1)
			assert_true(x < 3);
		assert_int_equal(pinion_next(s, &x), -ECANCELED);
		assert_int_equal(pinion_stream_error(s).code, -ECANCELED);
		pinion_stream_close(s);
	}
	await_count(&ended, 5);
}

static void
a_stream_that_is_closed_is_canceled(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		pinion_stream s = i == 0
		    ? pinion_call_stream(pinion_method_of(far, "yield_slowly"), PINION_ARGS(HOUR))
		    : pinion_call_stream(
			  pinion_method_of(far, "yield_much"), PINION_ARGS((int64_t)INT32_MAX));
		int64_t x;

		assert_int_equal(pinion_next(s, &x), 1);
		pinion_stream_close(s);
		await_count(&ended, i + 1);
	}
}

/* More than a lane takes, while its worker is busy. */
static void
a_full_lane_loses_none(void **state)
{
	enum {
		CALLS = 60
	};
	pinion_runtime *small;
	pinion_handle handle;
	pinion_response r[CALLS], blocker;
	_Atomic int64_t *at = &started;

	(void)state;
	assert_int_equal(pinion_start(&small, .workers = 1, .lane_cells = 64), 0);
	assert_int_equal(pinion_run(small, build_tight, &handle), 0);
	for (int i = 0; i < CALLS; i++)
		r[i] = pinion_call(handle, PINION_ARGS(HOUR));
	await_count(at, 1);
	pinion_cancel(r[0]);
	assert_canceled(r[0]);
	await_count(at, 2);
	pinion_cancel(r[1]);
	assert_canceled(r[1]);
	blocker = pinion_call(pinion_method_of(handle, "compute"), PINION_ARGS((int64_t)0));
	for (int i = 2; i < CALLS; i++)
		for (int k = 0; k < 3; k++)
			pinion_cancel(r[i]);
	for (int i = 2; i < CALLS; i++)
		assert_canceled(r[i]);
	pinion_cancel(blocker);
	assert_canceled(blocker);
	pinion_stop(small);
}

static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(pinion_call(near, PINION_ARGS((int64_t)0)));
		(void)graph_i64(pinion_call(far, PINION_ARGS((int64_t)0)));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.fibers != 0 || c.custody != 0 || c.blocks != 0);
	graph_assert_clean(rt, 1);
	atomic_store(&started, 0);
	atomic_store(&ended, 0);
	return 0;
}

static int
start(void **state)
{
	pinion_handle handle;
	pinion_response r;
	pinion_diag diag;

	(void)state;
	if (pinion_start(&rt, .workers = 2, .slots = 512, .diag = &diag) != 0 ||
	    pinion_run(rt, build_tight, &tight, .name = "tight", .diag = &diag) != 0 ||
	    pinion_run(rt, build, &handle, .name = "leaves", .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	r = pinion_call(handle, PINION_ARGS());
	if (pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE }) != 0)
		return -1;
	pinion_release(r);
	return pinion_run(rt, build_tree, &tree, .diag = &diag);
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_53_one_that_sleeps_is_told),
		TEST(behaviour_53_one_that_computes_can_ask),
		TEST(behaviour_54_one_in_the_queue_never_starts),
		TEST(behaviour_56_of_two_alike_one),
		TEST(behaviour_62_again_or_late_is_nothing),
		TEST(a_deferred_answer_comes_too_late),
		TEST(one_that_waits_for_its_argument),
		TEST(one_that_waits_for_several),
		TEST(behaviour_58_what_it_called_goes_with_it),
		TEST(behaviour_59_so_do_children_in_a_queue),
		TEST(behaviour_57_what_it_kept_does_not),
		TEST(no_new_calls_are_made),
		TEST(handlers_cancel_what_they_called),
		TEST(behaviour_17_a_wait_that_ends_cancels_nothing),
		TEST(behaviour_55_a_stream_ends_behind_its_items),
		TEST(a_stream_that_is_closed_is_canceled),
		TEST(a_full_lane_loses_none),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
