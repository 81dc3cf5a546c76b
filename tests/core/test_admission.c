/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A queue with a bound refuses at once what is beyond it, and nothing else; what waits too long in it never
 *         starts.
 * Method  Requests that are to run are held by deferred answers, one at a time or several; so what is queued is known,
 *         and nothing is timed. The census is zero behind every test.
 */
#include "tests/core/held.h"

enum {
	BUSY_NS = 50000,
	FLOOD = 200,
	QUEUED = 20,
	LOOKS = FLOOD / 8 /* a look at the lanes takes more than that many */
};

static _Atomic bool may_start;

/* Takes its time, during which its worker looks at nothing. */
static int
be_busy(void *replica, pinion_request *req)
{
	const pinion_clock clock = pinion_clock_monotonic();
	uint64_t begun;

	(void)replica;
	while (!atomic_load(&may_start))
		(void)sched_yield();
	for (begun = clock.now(clock.arg); clock.now(clock.arg) - begun < BUSY_NS;)
		continue;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment busy_kind = {
	.name = "Busy",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, be_busy, OF_I64)),
};

static pinion_node *
build_busy(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &busy_kind, PINION_ARGS(), .max_ongoing_requests = 1,
	    .max_queued_requests = QUEUED);
}

static int
caller_init(void *replica, pinion_init *init)
{
	((struct replica_state *)replica)->peer = pinion_init_handle(init, 0);
	return 0;
}

/* What a handler is told. */
static int
call_peer(void *replica, pinion_request *req)
{
	const struct replica_state *self = replica;
	pinion_response r = pinion_call(self->peer, PINION_ARGS());
	int64_t x;
	int err = pinion_result(r, &x);

	return pinion_reply(req, (int64_t)err);
}

static const pinion_deployment caller_kind = {
	.name = "Caller",
	.replica_size = sizeof(struct replica_state),
	.init = caller_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, call_peer, OF_I64)),
};

static pinion_handle peer;

static pinion_node *
build_caller(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &caller_kind, PINION_ARGS(peer), .num_replicas = 2);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
assert_refused(pinion_response r)
{
	pinion_error e;
	int64_t x;

	assert_int_equal(pinion_result(r, &x), -ENOBUFS);
	e = pinion_response_error(r);
	assert_int_equal(e.origin, PINION_ORIGIN_RUNTIME);
	assert_true(strstr(e.text.data, "max_queued_requests") != NULL);
	pinion_release(r);
}

static void
behaviour_65_one_runs_one_waits_others_are_refused(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .max_ongoing_requests = 1, .max_queued_requests = 1 });
	pinion_response first = call(handle), second;

	(void)state;
	await_started(1);
	second = call(handle);
	for (int i = 0; i < 100; i++)
		assert_refused(call(handle));
	let_go(2);
	(void)graph_i64(first);
	(void)graph_i64(second);
	assert_int_equal(atomic_load(&started), 2);
	first = call(handle); /* and there is room again */
	await_started(3);
	let_go(1);
	(void)graph_i64(first);
}

/* Handlers that never wait leave what comes in lanes, which no limit sees: so lanes are looked at between them. */
static void
what_came_meanwhile_is_judged_before_the_next_starts(void **state)
{
	pinion_response r[FLOOD];
	pinion_handle handle;
	unsigned answered = 0, refused = 0;

	(void)state;
	assert_int_equal(pinion_run(rt, build_busy, &handle, .name = "busy"), 0);
	for (unsigned i = 0; i < FLOOD; i++)
		r[i] = pinion_call(handle, PINION_ARGS((int64_t)i));
	atomic_store(&may_start, true);
	for (unsigned i = 0; i < FLOOD; i++) {
		int64_t x;
		int err = pinion_result(r[i], &x);

		answered += err == 0 && x == (int64_t)i;
		refused += err == -ENOBUFS;
		pinion_release(r[i]);
	}
	assert_int_equal(answered + refused, FLOOD);
	assert_in_range(answered, QUEUED, QUEUED + LOOKS);
}

static void
behaviour_66_without_a_limit_none_is(void **state)
{
	pinion_handle handle = deploy((pinion_bind_options){ .max_ongoing_requests = 1 });
	pinion_response r[50];

	(void)state;
	for (int i = 0; i < 50; i++)
		r[i] = call(handle);
	let_go(50);
	for (int i = 0; i < 50; i++)
		(void)graph_i64(r[i]);
}

static void
the_limit_is_the_deployments(void **state)
{
	pinion_handle handle = deploy((pinion_bind_options){ .num_replicas = 3,
	    .max_ongoing_requests = 2,
	    .max_queued_requests = 4,
	    .routing = "local" }); /* so that nothing moves to siblings */
	pinion_response r[40];
	int refused;
	int64_t x;

	(void)state;
	for (int i = 0; i < 40; i++)
		r[i] = call(handle);
	do {
		refused = 0;
		for (int i = 0; i < 40; i++)
			refused += pinion_result_within(r[i], 0, &x) == -ENOBUFS;
	} while (refused < 40 - (3 * 2 + 4));
	assert_int_equal(refused, 40 - (3 * 2 + 4));
	let_go(3 * 2 + 4);
	for (int i = 0; i < 40; i++)
		assert_true(pinion_result(r[i], &x) == 0 || --refused >= 0);
	for (int i = 0; i < 40; i++)
		pinion_release(r[i]);
}

/* Whether the caller's worker is the replica's or not. */
static void
handlers_are_refused_as_well(void **state)
{
	pinion_handle caller;
	pinion_response first, second;

	(void)state;
	peer = deploy((pinion_bind_options){ .max_ongoing_requests = 1, .max_queued_requests = 1 });
	assert_int_equal(pinion_run(rt, build_caller, &caller, .name = "callers"), 0);
	first = call(peer);
	await_started(1);
	second = call(peer);
	assert_refused(call(peer));
	for (int i = 0; i < 20; i++)
		assert_int_equal(graph_i64(call(caller)), -ENOBUFS);
	let_go(2);
	(void)graph_i64(first);
	(void)graph_i64(second);
}

static void
behaviour_72_and_78_a_canceled_one_gives_its_place_back(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .max_ongoing_requests = 1, .max_queued_requests = 2 });
	pinion_response first = call(handle), a, b;
	int64_t x;

	(void)state;
	await_started(1);
	a = call(handle);
	b = call(handle);
	assert_refused(call(handle));
	pinion_cancel(a);
	assert_int_equal(pinion_result(a, &x), -ECANCELED);
	pinion_release(a);
	a = call(handle);
	assert_refused(call(handle));
	let_go(3);
	(void)graph_i64(first);
	(void)graph_i64(a);
	(void)graph_i64(b);
	assert_int_equal(atomic_load(&started), 3);
}

static void
dependents_of_a_refused_call_fail(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .max_ongoing_requests = 1, .max_queued_requests = 1 });
	pinion_response first = call(handle), second, refused, behind;
	int64_t x;

	(void)state;
	await_started(1);
	second = call(handle);
	refused = call(handle);
	behind = pinion_call(handle, PINION_ARGS(refused));
	assert_int_equal(pinion_result(behind, &x), -ENOBUFS);
	assert_int_equal(pinion_response_error(behind).origin, PINION_ORIGIN_UPSTREAM);
	pinion_release(behind);
	pinion_release(refused);
	let_go(2);
	(void)graph_i64(first);
	(void)graph_i64(second);
}

static void
what_waits_too_long_never_starts(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .max_ongoing_requests = 1, .queue_timeout_ns = 2000000 });
	pinion_response first, late[10];
	int64_t x;

	(void)state;
	do { /* on a busy machine the first may be late itself */
		first = call(handle);
		while (atomic_load(&started) == 0 && pinion_result_within(first, 0, &x) == -EAGAIN)
			(void)sched_yield();
		if (atomic_load(&started) == 0)
			pinion_release(first);
	} while (atomic_load(&started) == 0);
	for (int i = 0; i < 10; i++)
		late[i] = call(handle);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(pinion_result(late[i], &x), -ETIMEDOUT);
		assert_true(
		    strstr(pinion_response_error(late[i]).text.data, "queue_timeout_ns") != NULL);
		pinion_release(late[i]);
	}
	assert_int_equal(
	    pinion_result_within(first, 0, &x), -EAGAIN); /* it has begun, and may stay */
	let_go(1);
	(void)graph_i64(first);
	assert_int_equal(atomic_load(&started), 1);
}

static void
assert_bind_refused(pinion_bind_options options, const char *culprit)
{
	pinion_handle handle;
	pinion_diag diag;

	wanted = options;
	assert_int_equal(pinion_run(rt, build, &handle, .name = "bad", .diag = &diag), -EINVAL);
	assert_true(strstr(diag.text, culprit) != NULL);
}

static void
what_is_wrong_is_named(void **state)
{
	(void)state;
	assert_bind_refused(
	    (pinion_bind_options){ .max_queued_requests = -1 }, "max_queued_requests");
	assert_bind_refused((pinion_bind_options){ .queue_timeout_ns = -1 }, "queue_timeout_ns");
	assert_bind_refused((pinion_bind_options){ .routing = "nearest" }, "\"nearest\"");
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_65_one_runs_one_waits_others_are_refused),
		TEST(what_came_meanwhile_is_judged_before_the_next_starts),
		TEST(behaviour_66_without_a_limit_none_is),
		TEST(the_limit_is_the_deployments),
		TEST(handlers_are_refused_as_well),
		TEST(behaviour_72_and_78_a_canceled_one_gives_its_place_back),
		TEST(dependents_of_a_refused_call_fail),
		TEST(what_waits_too_long_never_starts),
		TEST(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
