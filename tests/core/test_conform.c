/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What Ray Serve's own tests demand of composition, where no test of a part of the runtime says just that; the
 *         numbers are docs/conformance.md's.
 * Method  One small application a test, on two workers; the census is zero behind each.
 */
#include "tests/core/graph.h"

#include <pthread.h>
#include <sched.h>

static pinion_runtime *rt;

/* ---- building (A) --------------------------------------------------------------------------- */

static pinion_node *
build_two(pinion_app *app, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(app, &graph_worker, PINION_ARGS((int64_t)10));
	return pinion_bind(app, &graph_worker, PINION_ARGS((int64_t)20));
}

static void
behaviour_5_two_of_a_kind_have_names_of_their_own(void **state)
{
	pinion_handle ingress, first, second;

	(void)state;
	assert_int_equal(pinion_run(rt, build_two, &ingress), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker", &first), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker#2", &second), 0);
	assert_int_equal(graph_i64(pinion_call(first, PINION_ARGS((int64_t)1))), 11);
	assert_int_equal(graph_i64(pinion_call(second, PINION_ARGS((int64_t)1))), 21);
}

struct shape {
	int32_t width, height;
};

static int
every_kind(void *replica, pinion_init *init)
{
	const struct shape *shape =
	    pinion_init_struct_at(init, 6, sizeof *shape, _Alignof(struct shape));
	pinion_bytes bytes = pinion_init_bytes(init, 5);

	*(bool *)replica = pinion_init_bool(init, 0) && pinion_init_i64(init, 1) == -5 &&
	    pinion_init_u64(init, 2) == UINT64_MAX && pinion_init_f64(init, 3) == 0.5 &&
	    pinion_str_is(pinion_init_str(init, 4), "text") && bytes.len == 3 &&
	    memcmp(bytes.data, "\0\1\2", 3) == 0 && shape != NULL && shape->width == 3 &&
	    shape->height == 4;
	return 0;
}

static int
were_right(void *replica, pinion_request *req)
{
	return pinion_reply(req, (int64_t) * (bool *)replica);
}

static const pinion_deployment constructed = {
	.name = "Constructed",
	.replica_size = sizeof(bool),
	.init = every_kind,
	.init_params =
	    PINION_PARAMS(PINION_BOOL("b"), PINION_I64("i"), PINION_U64("u"), PINION_F64("f"),
		PINION_STR("s"), PINION_BYTES("y"), PINION_STRUCT("shape", struct shape)),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, were_right, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_constructed(pinion_app *app, const pinion_config *config)
{
	const struct shape shape = { 3, 4 };

	(void)config;
	return pinion_bind(app, &constructed,
	    PINION_ARGS((bool)true, -5, UINT64_MAX, 0.5, "text", ((pinion_bytes){ "\0\1\2", 3 }),
		PINION_STRUCT_OF(shape)));
}

static void
behaviour_6_constructors_take_every_kind(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_constructed, &handle), 0);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS())), 1);
}

/* Two parents of one child; the sum of what both say. */
struct parents {
	pinion_handle left, right;
};

static int
parents_init(void *replica, pinion_init *init)
{
	*(struct parents *)replica =
	    (struct parents){ pinion_init_handle(init, 0), pinion_init_handle(init, 1) };
	return 0;
}

static int
ask_both(void *replica, pinion_request *req)
{
	const struct parents *self = replica;
	pinion_response left = pinion_call(self->left, PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_response right = pinion_call(self->right, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t x, y;
	int err = pinion_result(left, &x);

	if (err == 0)
		err = pinion_result(right, &y);
	return err != 0 ? err : pinion_reply(req, x + y);
}

static const pinion_deployment parents = {
	.name = "Parents",
	.replica_size = sizeof(struct parents),
	.init = parents_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("left"), PINION_HANDLE("right")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ask_both,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_shared_child(pinion_app *app, const pinion_config *config)
{
	pinion_node *child = pinion_bind(app, &graph_worker, PINION_ARGS());

	(void)config;
	return pinion_bind(app, &parents,
	    PINION_ARGS(pinion_bind(app, &graph_relay, PINION_ARGS(child)),
		pinion_bind(app, &graph_relay, PINION_ARGS(child))));
}

static void
behaviour_4_a_node_given_twice_is_one_deployment(void **state)
{
	pinion_handle top, child, second;

	(void)state;
	assert_int_equal(pinion_run(rt, build_shared_child, &top), 0);
	for (int64_t i = 0; i < 10; i++)
		assert_int_equal(graph_i64(pinion_call(top, PINION_ARGS(i))), 2 * (i + 2));
	assert_int_equal(pinion_handle_find(rt, "default", "Worker", &child), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker#2", &second), -ENOENT);
	/* Its only replica was called by both. */
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(child, "which"), PINION_ARGS())) % 1000000, 21);
}

static void
behaviour_10_a_call_before_anything_runs_fails(void **state)
{
	pinion_handle none = { 0 }, early;
	pinion_response r = pinion_call(none, PINION_ARGS((int64_t)1));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -ESTALE);
	pinion_release(r);
	assert_int_equal(pinion_post(none, PINION_ARGS((int64_t)1)), -ESTALE);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker", &early), -ENOENT);
	assert_int_equal(pinion_run(rt, graph_build_single, &early), 0);
	assert_int_equal(graph_i64(pinion_call(early, PINION_ARGS((int64_t)1))), 2);
}

static pinion_node *
build_two_uses(pinion_app *app, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(
	    app, &graph_worker, PINION_ARGS(), .name = "narrow", .max_ongoing_requests = 1);
	return pinion_bind(app, &graph_worker, PINION_ARGS(), .name = "wide");
}

/* How many of three that sleep are asleep at once, at most. */
static int
most_at_once(pinion_handle handle, int64_t ns)
{
	pinion_handle nap = pinion_method_of(handle, "nap");
	pinion_response r[3];

	atomic_store(&graph_running_most, 0);
	for (int i = 0; i < 3; i++)
		r[i] = pinion_call(nap, PINION_ARGS(ns));
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), ns);
	return atomic_load(&graph_running_most);
}

static void
behaviour_12_options_are_of_one_use(void **state)
{
	pinion_handle narrow, wide;

	(void)state;
	assert_int_equal(pinion_run(rt, build_two_uses, &wide), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "narrow", &narrow), 0);
	for (int64_t ns = 1000000; most_at_once(wide, ns) != 3; ns *= 2)
		continue; /* on a busy machine they may miss one another */
	assert_int_equal(most_at_once(narrow, 1000000), 1);
}

static void
behaviour_23_a_method_by_name_is_the_same_one(void **state)
{
	pinion_handle one, which, again;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_single, &one), 0);
	which = pinion_method_of(one, "which");
	again = pinion_method_of(pinion_method_of(one, "sum"), "which");
	assert_true(which.id == again.id);
	assert_int_equal(pinion_method_of(which, PINION_CALL).id, one.id);
	for (int64_t i = 1; i < 20; i += 2) {
		assert_int_equal(graph_i64(pinion_call(which, PINION_ARGS())) % 1000000, i);
		assert_int_equal(graph_i64(pinion_call(again, PINION_ARGS())) % 1000000, i + 1);
	}
}

/* ---- unary calls (B) ------------------------------------------------------------------------ */

static pinion_handle
run_one(void)
{
	pinion_handle handle;

	assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
	return handle;
}

static void
behaviour_15_and_16_a_result_is_read_again_and_again(void **state)
{
	pinion_handle which = pinion_method_of(run_one(), "which");
	pinion_response r = pinion_call(which, PINION_ARGS());
	int64_t first, again;

	(void)state;
	assert_int_equal(pinion_result(r, &first), 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinion_result(r, &again), 0);
		assert_int_equal(again, first);
	}
	pinion_release(r);
	/* It counts its calls: this is the second. */
	assert_int_equal(graph_i64(pinion_call(which, PINION_ARGS())), first + 1);
}

static _Atomic int64_t ran;

static int
count_behind_a_nap(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, 1000);

	(void)replica;
	atomic_fetch_add(&ran, 1);
	return err;
}

/* Calls, and waits for something else. */
static int
call_and_look_on(void *replica, pinion_request *req)
{
	int64_t before = atomic_load(&ran);
	pinion_response r =
	    pinion_call(pinion_method_of(*(const pinion_handle *)replica, "count"), PINION_ARGS());
	int err = 0;

	while (err == 0 && atomic_load(&ran) == before)
		err = pinion_sleep(req, 1000);
	pinion_release(r);
	return err;
}

static const pinion_deployment counting = {
	.name = "Counting",
	.methods = PINION_METHODS(PINION_METHOD("count", count_behind_a_nap)),
};

static const pinion_deployment looking_on = {
	.name = "LookingOn",
	.replica_size = sizeof(pinion_handle),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("counting")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, call_and_look_on)),
};

static pinion_node *
build_counting(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    app, &looking_on, PINION_ARGS(pinion_bind(app, &counting, PINION_ARGS())));
}

static void
behaviour_19_what_nobody_waits_for_runs(void **state)
{
	pinion_handle looks, count;
	pinion_response r;

	(void)state;
	assert_int_equal(pinion_run(rt, build_counting, &looks), 0);
	assert_int_equal(pinion_handle_find(rt, "default", "Counting", &count), 0);
	count = pinion_method_of(count, "count");
	atomic_store(&ran, 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pinion_post(count, PINION_ARGS()), 0);
		pinion_release(pinion_call(count, PINION_ARGS()));
	}
	while (atomic_load(&ran) != 200)
		(void)sched_yield();
	r = pinion_call(looks, PINION_ARGS());
	assert_int_equal(pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE }), 0);
	pinion_release(r);
	assert_int_equal(atomic_load(&ran), 201);
}

static void
behaviour_20_an_unknown_method_fails_in_the_response(void **state)
{
	pinion_response r =
	    pinion_call(pinion_method_of(run_one(), "no_such"), PINION_ARGS((int64_t)1));
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EINVAL);
	e = pinion_response_error(r);
	assert_non_null(
	    strstr(e.text.data, "Worker has no method \"no_such\"; it has: __call__, sum"));
	pinion_release(r);
}

static void
behaviour_27_errors_keep_code_place_and_text(void **state)
{
	pinion_response r =
	    pinion_call(pinion_method_of(run_one(), "broken"), PINION_ARGS((int64_t)7));
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EDOM);
	e = pinion_response_error(r);
	assert_int_equal(e.code, -EDOM);
	assert_int_equal(e.origin, PINION_ORIGIN_HANDLER);
	assert_true(pinion_str_is(e.deployment, "Worker"));
	assert_true(pinion_str_is(e.method, "broken"));
	assert_true(pinion_str_is(e.text, "broken by 7"));
	pinion_release(r);
}

/* Three that end only when all three have begun. */
static int
meet(void *replica, pinion_request *req)
{
	static _Atomic int here;
	int err = 0;

	(void)replica;
	atomic_fetch_add(&here, 1);
	while (err == 0 && atomic_load(&here) < 3)
		err = pinion_sleep(req, 1000);
	return err != 0 ? err : pinion_reply(req, (int64_t)atomic_load(&here));
}

static const pinion_deployment meeting = {
	.name = "Meeting",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, meet, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_meeting(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &meeting, PINION_ARGS());
}

static void
behaviour_28_calls_of_one_caller_run_at_once(void **state)
{
	pinion_response r[3];
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_meeting, &handle), 0);
	for (int i = 0; i < 3; i++)
		r[i] = pinion_call(handle, PINION_ARGS());
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), 3);
}

/* ---- cancellation (E) ----------------------------------------------------------------------- */

static void
behaviour_63_one_that_failed_still_says_why(void **state)
{
	pinion_handle one = run_one();
	int64_t x;

	(void)state;
	for (int i = 0; i < 4; i++) {
		pinion_response r = pinion_call(
		    pinion_method_of(one, i < 2 ? "broken" : "no_such"), PINION_ARGS((int64_t)3));
		int code = i < 2 ? -EDOM : -EINVAL;

		if (i % 2 == 0) /* it has been read before, or not */
			assert_int_equal(pinion_result(r, &x), code);
		else
			while (pinion_wait_any(&r, 1, 0) == -EAGAIN)
				(void)sched_yield();
		pinion_cancel(r);
		assert_int_equal(pinion_result(r, &x), code);
		assert_int_equal(pinion_response_error(r).code, code);
		pinion_release(r);
	}
}

/* ---- routing (G) ---------------------------------------------------------------------------- */

static int
do_nothing(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	return 0;
}

static const pinion_deployment busy_kind = {
	.name = "Busy",
	.reconfigure = do_nothing,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, graph_nap,
	    .params = PINION_PARAMS(PINION_I64("ns")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_busy(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &busy_kind, PINION_ARGS(), .user_config = "a");
}

static _Atomic int changed;

/* Its only replica begins nothing until what it runs has ended, which it does not in this time. */
static void *
change_it(void *arg)
{
	(void)arg;
	atomic_store(
	    &changed, pinion_reconfigure(rt, "Busy", .user_config = "b", .timeout_ns = 50000000));
	return NULL;
}

static void
behaviour_73_and_86_one_without_a_replica_waits_and_holds_up_no_other(void **state)
{
	pinion_handle busy, others;
	pinion_response nap, waits;
	pthread_t thread;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_run(rt, build_busy, &busy), 0);
	assert_int_equal(pinion_run(rt, graph_build_workers, &others, .name = "others"), 0);
	nap = pinion_call(busy, PINION_ARGS(INT64_MAX / 4));
	while (atomic_load(&graph_running) == 0)
		continue;
	atomic_store(&changed, 1);
	assert_int_equal(pthread_create(&thread, NULL, change_it, NULL), 0);
	waits = pinion_call(busy, PINION_ARGS((int64_t)0));
	for (int64_t i = 0; i < 100 || atomic_load(&changed) == 1; i++)
		assert_int_equal(graph_i64(pinion_call(others, PINION_ARGS(i))), i + 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&changed), -ETIMEDOUT);
	pinion_cancel(nap);
	assert_int_equal(pinion_result(nap, &x), -ECANCELED);
	assert_int_equal(graph_i64(waits), 0);
	pinion_release(nap);
}

/* ---- start and stop ------------------------------------------------------------------------- */

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2);
}

static int
stop(void **state)
{
	pinion_census c;

	(void)state;
	(void)pinion_port_mine(rt);
	do
		pinion_census_take(rt, &c); /* those of threads that ended go in their own time */
	while (c.ports != 1 || c.custody != 0);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_5_two_of_a_kind_have_names_of_their_own),
		TEST(behaviour_4_a_node_given_twice_is_one_deployment),
		TEST(behaviour_6_constructors_take_every_kind),
		TEST(behaviour_10_a_call_before_anything_runs_fails),
		TEST(behaviour_12_options_are_of_one_use),
		TEST(behaviour_23_a_method_by_name_is_the_same_one),
		TEST(behaviour_19_what_nobody_waits_for_runs),
		TEST(behaviour_15_and_16_a_result_is_read_again_and_again),
		TEST(behaviour_20_an_unknown_method_fails_in_the_response),
		TEST(behaviour_27_errors_keep_code_place_and_text),
		TEST(behaviour_28_calls_of_one_caller_run_at_once),
		TEST(behaviour_63_one_that_failed_still_says_why),
		TEST(behaviour_73_and_86_one_without_a_replica_waits_and_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
