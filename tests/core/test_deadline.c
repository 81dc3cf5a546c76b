/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A call that has a time ends with -ETIMEDOUT when it is over, wherever it is by then, and all that it called;
 *         who waits is not kept waiting by a handler that looks at nothing; a late answer changes nothing.
 * Method  Times are a millisecond or an hour: what is expected to end has the one and waits for what takes the
 *         other, so that nothing is measured. The census is zero behind every test.
 */
#include "tests/core/graph.h"

#include <sched.h>

#define HOUR (INT64_C(3600) * 1000000000)
#define SHORT INT64_C(1000000)

static pinion_runtime *rt;
static pinion_handle leaf, tight, tree;
static _Atomic int64_t started, ended; /* ended: of naps, by an error */
static _Atomic int64_t said;           /* what the last nap was told */
static _Atomic int64_t left;           /* time, when the last call started */
static _Atomic bool is_free;           /* deaf handlers may go */

/* ---- handlers ------------------------------------------------------------------------------- */

static int
nap(void *replica, pinion_request *req)
{
	int err;

	(void)replica;
	atomic_store(&left, pinion_time_left(req));
	atomic_fetch_add(&started, 1);
	err = pinion_sleep(req, pinion_arg_i64(req, 0));
	if (err == 0)
		return pinion_reply(req, (int64_t)1);
	atomic_store(&said, err);
	atomic_fetch_add(&ended, 1);
	return err;
}

static int
compute(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&started, 1);
	while (!pinion_cancelled(req))
		continue;
	atomic_fetch_add(&ended, 1);
	return -ETIMEDOUT;
}

/* Looks at nothing, and answers at last. */
static int
deaf(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&started, 1);
	while (!atomic_load(&is_free))
		(void)sched_yield();
	return pinion_reply(req, (int64_t)7);
}

static int
defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &graph_token);

	(void)replica;
	atomic_fetch_add(&started, 1);
	return err;
}

static int
yield_slowly(void *replica, pinion_request *req)
{
	int err = pinion_yield(req, (int64_t)0);

	(void)replica;
	if (err == 0)
		err = pinion_sleep(req, HOUR);
	atomic_store(&said, err);
	atomic_fetch_add(&ended, 1);
	return err;
}

#define OF_I64(name) .params = PINION_PARAMS(PINION_I64(name)), .returns = PINION_RETURNS_I64

static const pinion_deployment leaf_kind = {
	.name = "Leaf",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, nap, OF_I64("ns")),
	    PINION_METHOD("compute", compute, OF_I64("x")),
	    PINION_METHOD("deaf", deaf, OF_I64("x")), PINION_METHOD("defer", defer, OF_I64("x")),
	    PINION_METHOD("yield_slowly", yield_slowly, OF_I64("x"), .stream = true)),
};

struct tree_state {
	pinion_handle leaf;
};

static int
tree_init(void *replica, pinion_init *init)
{
	((struct tree_state *)replica)->leaf = pinion_init_handle(init, 0);
	return 0;
}

static int
await_leaf(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;
	pinion_response r = pinion_call(self->leaf, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t x;
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x);
}

/* Whose time is over before anybody looks at it: on this worker it would run when it is waited for. */
static int
await_too_late(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;
	pinion_response r = pinion_call_with(self->leaf, PINION_ARGS((int64_t)0), .timeout_ns = 1);
	pinion_clock clock = pinion_clock_monotonic();
	uint64_t start = clock.now(clock.arg);
	int64_t x;

	(void)pinion_arg_i64(req, 0);
	while (clock.now(clock.arg) - start < 1000)
		continue;
	return pinion_reply(req, (int64_t)pinion_result(r, &x));
}

/* With a time of its own. */
static int
await_leaf_within(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;
	pinion_response r =
	    pinion_call_with(self->leaf, PINION_ARGS(HOUR), .timeout_ns = pinion_arg_i64(req, 0));
	int64_t x;

	return pinion_reply(req, (int64_t)pinion_result(r, &x));
}

static int
forward(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;

	return pinion_forward(req, self->leaf, PINION_ARGS(pinion_arg_i64(req, 0)));
}

static int
answer_with_leaf(void *replica, pinion_request *req)
{
	const struct tree_state *self = replica;

	return pinion_reply_response(
	    req, pinion_call(self->leaf, PINION_ARGS(pinion_arg_i64(req, 0))));
}

static int
task(pinion_request *req)
{
	atomic_store(&left, pinion_time_left(req));
	return pinion_reply(req, (int64_t)1);
}

static int
run_task(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply_response(req, pinion_task(req, task, PINION_ARGS()));
}

static const pinion_deployment tree_kind = {
	.name = "Tree",
	.replica_size = sizeof(struct tree_state),
	.init = tree_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("leaf")),
	.methods = PINION_METHODS(PINION_METHOD("await", await_leaf, OF_I64("ns")),
	    PINION_METHOD("await_within", await_leaf_within, OF_I64("timeout_ns")),
	    PINION_METHOD("await_too_late", await_too_late, OF_I64("x")),
	    PINION_METHOD("forward", forward, OF_I64("ns")),
	    PINION_METHOD("answer_with", answer_with_leaf, OF_I64("ns")),
	    PINION_METHOD("run_task", run_task, OF_I64("x"))),
};

static pinion_node *
build_leaf(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &leaf_kind, PINION_ARGS());
}

static pinion_node *
build_tight(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &leaf_kind, PINION_ARGS(), .max_ongoing_requests = 1);
}

static pinion_node *
build_tree(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &tree_kind, PINION_ARGS(leaf), .num_replicas = 2);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
await_count(_Atomic int64_t *count, int64_t value)
{
	while (atomic_load(count) != value)
		(void)sched_yield();
}

static void
assert_late(pinion_response r)
{
	pinion_error e;
	int64_t x;

	assert_int_equal(pinion_result(r, &x), -ETIMEDOUT);
	assert_int_equal(pinion_result_within(r, 0, &x), -ETIMEDOUT);
	e = pinion_response_error(r);
	assert_int_equal(e.code, -ETIMEDOUT);
	/* Who answers with a late call is late upstream. */
	assert_true(e.origin == PINION_ORIGIN_RUNTIME || e.origin == PINION_ORIGIN_UPSTREAM);
	assert_true(e.deployment.len != 0 && e.method.len != 0 && e.text.len != 0);
	pinion_release(r);
}

static pinion_response
call(pinion_handle handle, const char *method, int64_t x, int64_t timeout_ns)
{
	return pinion_call_with(
	    pinion_method_of(handle, method), PINION_ARGS(x), .timeout_ns = timeout_ns);
}

static void
one_that_sleeps_ends(void **state)
{
	(void)state;
	do /* on a busy machine it may not even start */
		assert_late(call(leaf, PINION_CALL, HOUR, SHORT));
	while (atomic_load(&ended) == 0);
	assert_int_equal(atomic_load(&said), -ETIMEDOUT);
	assert_int_equal(graph_i64(call(leaf, PINION_CALL, 0, HOUR)), 1);
	assert_true(atomic_load(&left) > 0 && atomic_load(&left) <= HOUR);
	assert_int_equal(graph_i64(pinion_call(leaf, PINION_ARGS((int64_t)0))), 1);
	assert_true(atomic_load(&left) == INT64_MAX);
}

static void
one_that_computes_can_ask(void **state)
{
	(void)state;
	do
		assert_late(call(leaf, "compute", 0, SHORT));
	while (atomic_load(&ended) == 0);
}

static void
one_in_the_queue_never_starts(void **state)
{
	pinion_response busy = pinion_call(tight, PINION_ARGS(HOUR));
	pinion_response queued[20];

	(void)state;
	await_count(&started, 1);
	for (int i = 0; i < 20; i++)
		queued[i] = call(tight, PINION_CALL, HOUR, SHORT * (1 + i % 3));
	for (int i = 0; i < 20; i++)
		assert_late(queued[i]);
	pinion_cancel(busy);
	pinion_release(busy);
	assert_int_equal(graph_i64(pinion_call(tight, PINION_ARGS((int64_t)0))), 1);
	assert_int_equal(atomic_load(&started), 2);
}

static void
who_waits_is_not_kept(void **state)
{
	pinion_response r = call(leaf, "deaf", 0, SHORT);
	pinion_response any[2] = { call(leaf, "deaf", 0, HOUR), call(leaf, "deaf", 0, SHORT) };
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -ETIMEDOUT);
	assert_int_equal(pinion_wait_any(any, 2, -1), 1);
	atomic_store(&is_free, true);
	assert_int_equal(graph_i64(any[0]), 7); /* all three have answered now */
	assert_late(any[1]);
	assert_late(r);
}

/* The leaf is on a worker that a deaf handler keeps; so is one replica of the tree, and the other is not. */
static void
handlers_are_not_kept_either(void **state)
{
	pinion_response busy = pinion_call(pinion_method_of(leaf, "deaf"), PINION_ARGS((int64_t)0));
	pinion_response two[2];
	int there;

	(void)state;
	await_count(&started, 1);
	two[0] = call(tree, "await_within", SHORT, 0);
	two[1] = call(tree, "await_within", SHORT, 0);
	there = pinion_wait_any(two, 2, -1);
	assert_in_range(there, 0, 1);
	assert_int_equal(graph_i64(two[there]), -ETIMEDOUT);
	assert_false(atomic_load(&is_free));
	atomic_store(&is_free, true);
	assert_int_equal(graph_i64(busy), 7);
	assert_int_equal(graph_i64(two[1 - there]), -ETIMEDOUT);
}

static void
children_inherit_what_is_left(void **state)
{
	static const char *const ways[] = { "await", "forward", "answer_with" };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (int k = 0; k < 2; k++) {
			assert_late(call(tree, ways[i], HOUR, 3 * SHORT));
			assert_int_equal(graph_i64(call(tree, ways[i], 0, HOUR)), 1);
			assert_true(atomic_load(&left) <= HOUR);
		}
	assert_int_equal(graph_i64(call(tree, "run_task", 0, HOUR)), 1);
	assert_true(atomic_load(&left) <= HOUR);
}

static void
behaviour_24_a_child_has_the_lesser(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		assert_int_equal(graph_i64(call(tree, "await_within", SHORT, HOUR)), -ETIMEDOUT);
		assert_int_equal(graph_i64(call(tree, "await_within", SHORT, 0)), -ETIMEDOUT);
	}
}

static void
behaviour_23_handles_bear_times(void **state)
{
	pinion_handle timed, more;
	pinion_response r;
	pinion_diag diag;

	(void)state;
	assert_int_equal(pinion_handle_with(leaf, &timed, .timeout_ns = SHORT), 0);
	assert_late(pinion_call(timed, PINION_ARGS(HOUR)));
	assert_late(pinion_call(pinion_method_of(timed, "compute"), PINION_ARGS((int64_t)0)));
	assert_int_equal(graph_i64(call(timed, PINION_CALL, 0, HOUR)), 1);
	assert_true(atomic_load(&left) > SHORT); /* the call's own is nearer */
	assert_int_equal(pinion_handle_with(leaf, &more, .timeout_ns = SHORT), 0);
	assert_true(more.id == timed.id);
	assert_int_equal(pinion_handle_with(leaf, &more, .timeout_ns = HOUR), 0);
	assert_true(more.id != timed.id);
	assert_int_equal(graph_i64(pinion_call(more, PINION_ARGS((int64_t)0))), 1);
	assert_true(atomic_load(&left) > SHORT);
	assert_int_equal(pinion_handle_with(timed, &more), 0);
	assert_true(more.id == timed.id);
	assert_int_equal(pinion_handle_with(timed, &more, .priority = PINION_PRIORITY_HIGH), 0);
	assert_late(pinion_call(more, PINION_ARGS(HOUR))); /* both */
	assert_int_equal(pinion_handle_with(leaf, &more, .timeout_ns = -1, .diag = &diag), -EINVAL);
	assert_string_equal(diag.text, "timeout_ns is -1, and may not be negative");
	r = pinion_call(pinion_method_of(timed, "none"), PINION_ARGS((int64_t)0));
	assert_int_equal(pinion_response_error(r).code, -EINVAL);
	r = call(leaf, PINION_CALL, 0, -5);
	assert_int_equal(pinion_response_error(r).code, -EINVAL);
	assert_true(strstr(pinion_response_error(r).text.data, ".timeout_ns is -5") != NULL);
}

static void
what_is_late_when_it_is_waited_for_never_starts(void **state)
{
	int64_t before = atomic_load(&started);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(graph_i64(pinion_call(pinion_method_of(tree, "await_too_late"),
				     PINION_ARGS((int64_t)0))),
		    -ETIMEDOUT);
	assert_int_equal(atomic_load(&started), before);
}

static void
dependents_of_a_late_call_fail(void **state)
{
	pinion_response first = call(leaf, PINION_CALL, HOUR, SHORT);
	pinion_response second = pinion_call(tree, PINION_ARGS(first));
	int64_t x;

	(void)state;
	pinion_release(second); /* of a method that is not there: only that it does no harm */
	second = pinion_call(pinion_method_of(leaf, PINION_CALL), PINION_ARGS(first));
	assert_int_equal(pinion_result(second, &x), -ETIMEDOUT);
	assert_int_equal(pinion_response_error(second).origin, PINION_ORIGIN_UPSTREAM);
	pinion_release(second);
	assert_late(first);
}

static void
a_late_call_is_no_argument(void **state)
{
	pinion_response late = call(leaf, "deaf", 0, SHORT), r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(late, &x), -ETIMEDOUT);
	r = pinion_call(leaf, PINION_ARGS(late));
	assert_int_equal(pinion_result(r, &x), -ETIMEDOUT);
	assert_int_equal(pinion_response_error(r).origin, PINION_ORIGIN_UPSTREAM);
	atomic_store(&is_free, true);
	pinion_release(late);
}

static void
what_waits_for_its_argument_ends(void **state)
{
	pinion_response stuck = pinion_call(leaf, PINION_ARGS(HOUR));
	pinion_response waits = pinion_call_with(tight, PINION_ARGS(stuck), .timeout_ns = SHORT);
	int64_t x;

	(void)state;
	assert_late(waits);
	assert_int_equal(pinion_result_within(stuck, 0, &x), -EAGAIN);
	pinion_cancel(stuck);
	pinion_release(stuck);
}

static void
a_deferred_answer_comes_too_late(void **state)
{
	(void)state;
	do
		assert_late(call(leaf, "defer", 0, SHORT));
	while (atomic_load(&started) == 0);
	/* We gave up by our own clock: the worker has, when two turns are behind it. */
	for (int i = 0; i < 2; i++)
		(void)graph_i64(pinion_call(leaf, PINION_ARGS((int64_t)0)));
	assert_int_equal(
	    pinion_token_reply_value(graph_token, PINION_VALUE((int64_t)1)), -EALREADY);
}

static void
a_stream_ends_behind_its_items(void **state)
{
	pinion_stream s = pinion_call_stream(pinion_method_of(leaf, "yield_slowly"),
	    PINION_ARGS((int64_t)0), .timeout_ns = 5 * SHORT);
	int64_t x;

	(void)state;
	while (pinion_next(s, &x) == 1)
		assert_int_equal(x, 0);
	assert_int_equal(pinion_next(s, &x), -ETIMEDOUT);
	assert_int_equal(pinion_stream_error(s).code, -ETIMEDOUT);
	pinion_stream_close(s);
}

static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(pinion_call(leaf, PINION_ARGS((int64_t)0)));
		(void)graph_i64(pinion_call(tight, PINION_ARGS((int64_t)0)));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.fibers != 0 || c.custody != 0 || c.blocks != 0);
	graph_assert_clean(rt, 1);
	atomic_store(&started, 0);
	atomic_store(&ended, 0);
	atomic_store(&is_free, false);
	return 0;
}

static int
start(void **state)
{
	pinion_diag diag;

	(void)state;
	if (pinion_start(&rt, .workers = 2, .slots = 256, .diag = &diag) != 0 ||
	    pinion_run(rt, build_leaf, &leaf, .name = "leaf", .diag = &diag) != 0 ||
	    pinion_run(rt, build_tight, &tight, .name = "tight", .diag = &diag) != 0 ||
	    pinion_run(rt, build_tree, &tree, .name = "tree", .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	return 0;
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
		TEST(one_that_sleeps_ends),
		TEST(one_that_computes_can_ask),
		TEST(one_in_the_queue_never_starts),
		TEST(who_waits_is_not_kept),
		TEST(handlers_are_not_kept_either),
		TEST(children_inherit_what_is_left),
		TEST(behaviour_24_a_child_has_the_lesser),
		TEST(behaviour_23_handles_bear_times),
		TEST(what_is_late_when_it_is_waited_for_never_starts),
		TEST(dependents_of_a_late_call_fail),
		TEST(a_late_call_is_no_argument),
		TEST(what_waits_for_its_argument_ends),
		TEST(a_deferred_answer_comes_too_late),
		TEST(a_stream_ends_behind_its_items),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
