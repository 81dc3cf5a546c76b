/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a call says of itself (an id, values, a priority) is known wherever it goes: in calls below it, dependents,
 *         tail calls, streams, tasks and posts; one of high priority starts before others, which get their turn all the same.
 * Method  Handlers write down what they are told. Of a replica that runs one at a time the first is held, so that the rest
 *         queues in a known order: a call to another deployment of the same worker shows that all before it have come.
 */
#include "tests/core/graph.h"

#include <sched.h>
#include <stdio.h>

enum {
	TOLD_MAX = 64,
	NORMAL = 4,
	HIGH = 20
};

static pinion_runtime *rt;
static pinion_handle front, line_handle, fence;
static char told[TOLD_MAX][192];
static _Atomic int told_count;
static pinion_token held;
static _Atomic bool is_held;
static int64_t order[TOLD_MAX];
static _Atomic int order_count;

/* ---- handlers ------------------------------------------------------------------------------- */

struct state {
	pinion_handle back;
};

static void
tell(pinion_request *req)
{
	pinion_context c;
	pinion_str tenant = pinion_request_value(req, "tenant");
	pinion_str user = pinion_request_value(req, "user");
	int at = atomic_load(&told_count);

	pinion_request_context(req, &c);
	(void)snprintf(told[at], sizeof told[at],
	    "%s.%s id=%.*s app=%s route=%s tenant=%.*s user=%.*s%s", c.deployment, c.method,
	    PINION_STR_FMT(c.request_id), c.application, c.route, PINION_STR_FMT(tenant),
	    PINION_STR_FMT(user), c.priority == PINION_PRIORITY_HIGH ? " high" : "");
	atomic_fetch_add(&told_count, 1);
}

static int
back_call(void *replica, pinion_request *req)
{
	(void)replica;
	tell(req);
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static int
back_stream(void *replica, pinion_request *req)
{
	(void)replica;
	tell(req);
	return pinion_yield(req, (int64_t)7);
}

static int
back_nothing(void *replica, pinion_request *req)
{
	(void)replica;
	tell(req);
	return 0;
}

#define OF_I64 .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = PINION_RETURNS_I64

static const pinion_deployment back_kind = {
	.name = "Back",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, back_call, OF_I64),
	    PINION_METHOD("stream", back_stream, .returns = PINION_RETURNS_I64, .stream = true),
	    PINION_METHOD("nothing", back_nothing)),
};

static int
init(void *replica, pinion_init *init)
{
	((struct state *)replica)->back = pinion_init_handle(init, 0);
	return 0;
}

static int
task(pinion_request *req)
{
	tell(req);
	return pinion_reply(req, (int64_t)1);
}

/* A chain of two, a stream, a task and a post. */
static int
front_call(void *replica, pinion_request *req)
{
	const struct state *self = replica;
	const pinion_pair own = { "user", "ann" };
	pinion_response first = pinion_call_with(
	    self->back, PINION_ARGS((int64_t)1), .terms = { .values = &own, .value_count = 1 });
	pinion_response second = pinion_call(self->back, PINION_ARGS(first));
	pinion_stream stream =
	    pinion_call_stream(pinion_method_of(self->back, "stream"), PINION_ARGS());
	pinion_response of_task = pinion_task(req, task, PINION_ARGS());
	int64_t x, y, z;
	int err;

	tell(req);
	err = pinion_post(pinion_method_of(self->back, "nothing"), PINION_ARGS());
	if (err == 0)
		err = pinion_result(second, &x);
	if (err == 0 && pinion_next(stream, &y) != 1)
		err = -EIO;
	if (err == 0)
		err = pinion_result(of_task, &z);
	return err != 0 ? err : pinion_forward(req, self->back, PINION_ARGS(x + y + z));
}

static const pinion_deployment front_kind = {
	.name = "Front",
	.replica_size = sizeof(struct state),
	.init = init,
	.init_params = PINION_PARAMS(PINION_HANDLE("back")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, front_call, OF_I64)),
};

static int
line_call(void *replica, pinion_request *req)
{
	int64_t number = pinion_arg_i64(req, 0);
	int err;

	(void)replica;
	if (number != 0) {
		order[atomic_fetch_add(&order_count, 1)] = number;
		return pinion_reply(req, number);
	}
	err = pinion_defer(req, &held);
	atomic_store(&is_held, true);
	return err;
}

static const pinion_deployment line_kind = {
	.name = "Line",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, line_call, OF_I64)),
};

/* ---- tests ---------------------------------------------------------------------------------- */

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    app, &front_kind, PINION_ARGS(pinion_bind(app, &back_kind, PINION_ARGS())));
}

static pinion_node *
build_line(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &line_kind, PINION_ARGS(), .max_ongoing_requests = 1);
}

static pinion_node *
build_fence(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &back_kind, PINION_ARGS(), .name = "Fence");
}

static int
set_up(void **state)
{
	pinion_diag diag = { "" };

	(void)state;
	/* One worker: all is in one queue. */
	if (pinion_start(&rt, .workers = 1, .diag = &diag) != 0 ||
	    pinion_run(rt, build, &front, .name = "door", .diag = &diag) != 0 ||
	    pinion_run(rt, build_line, &line_handle, .name = "line", .diag = &diag) != 0 ||
	    pinion_run(rt, build_fence, &fence, .name = "fence", .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static int
nothing_is_left(void **state)
{
	(void)state;
	graph_assert_clean(rt, 1);
	atomic_store(&told_count, 0);
	atomic_store(&order_count, 0);
	atomic_store(&is_held, false);
	return 0;
}

static int
times_told(const char *text)
{
	int count = 0;

	for (int i = 0; i < atomic_load(&told_count); i++)
		count += strcmp(told[i], text) == 0;
	if (count == 0)
		for (int i = 0; i < atomic_load(&told_count); i++)
			print_message("told: %s\n", told[i]);
	return count;
}

static void
await_told(int count)
{
	while (atomic_load(&told_count) != count)
		(void)sched_yield();
}

/* Behaviours 24 and 111: what the outermost call said is known below, with what a handler adds for one call. */
static void
behaviour_24_and_111_what_is_said_goes_all_the_way(void **state)
{
	const pinion_pair values[] = { { "tenant", "acme" }, { "user", "bob" } };
	pinion_response r = pinion_call_with(front, PINION_ARGS((int64_t)1),
	    .terms = { .request_id = "id-1",
		.values = values,
		.value_count = 2,
		.priority = PINION_PRIORITY_HIGH });
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	assert_int_equal(x, 3 + 7 + 1 + 1);
	pinion_release(r);
	await_told(7);
#define WHERE " id=id-1 app=door route=/door tenant=acme "
	assert_int_equal(times_told("Front.__call__" WHERE "user=bob high"), 1);
	assert_int_equal(times_told("Back.__call__" WHERE "user=ann high"), 1);
	assert_int_equal(times_told("Back.__call__" WHERE "user=bob high"), 2); /* chained, tail */
	assert_int_equal(times_told("Back.stream" WHERE "user=bob high"), 1);
	assert_int_equal(times_told("Back.nothing" WHERE "user=bob high"), 1);
	assert_int_equal(times_told("task.run" WHERE "user=bob high"), 1);
}

/* Nothing is made up for a call that says nothing; a handler's own values go down all the same. */
static void
who_says_nothing_is_where_it_is(void **state)
{
	pinion_response r = pinion_call(front, PINION_ARGS((int64_t)1));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	pinion_release(r);
	await_told(7);
	assert_int_equal(times_told("Front.__call__ id= app=door route=/door tenant= user="), 1);
	assert_int_equal(times_told("Back.__call__ id= app=door route=/door tenant= user=ann"), 1);
	assert_int_equal(times_told("Back.__call__ id= app=door route=/door tenant= user="), 2);
}

static void
assert_refused(pinion_response r, int code, const char *text)
{
	int64_t x;
	pinion_error e;

	assert_int_equal(pinion_result(r, &x), code);
	e = pinion_response_error(r);
	assert_non_null(strstr(e.text.data, text));
	pinion_release(r);
}

static void
what_cannot_travel_is_refused(void **state)
{
	char long_text[PINION_CARRIED_MAX + 1];
	const pinion_pair too_long = { "v", long_text }, nameless = { "", "x" };

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_refused(pinion_call_with(front, PINION_ARGS(), .terms.request_id = long_text),
	    -EMSGSIZE, "request_id");
	assert_refused(
	    pinion_call_with(front, PINION_ARGS(), .terms.model = long_text), -EMSGSIZE, "model");
	assert_refused(pinion_call_with(
			   front, PINION_ARGS(), .terms.values = &too_long, .terms.value_count = 1),
	    -EMSGSIZE, "may be 1024");
	assert_refused(pinion_call_with(
			   front, PINION_ARGS(), .terms.values = &nameless, .terms.value_count = 1),
	    -EINVAL, "values[0]");
	assert_refused(pinion_call_with(front, PINION_ARGS(), .terms.priority = (pinion_priority)7),
	    -EINVAL, "priority is 7");
}

static void
pass_the_fence(void)
{
	pinion_response r = pinion_call(fence, PINION_ARGS());
	int64_t x;

	assert_int_equal(pinion_result(r, &x), 0);
	pinion_release(r);
}

/* high: 100 and up. */
static void
send(pinion_response *calls, int count, pinion_handle handle, int64_t first)
{
	for (int i = 0; i < count; i++)
		calls[i] = pinion_call(handle, PINION_ARGS(first + i));
	pass_the_fence();
}

static void
high_goes_first_and_normal_has_its_turn(void **state)
{
	static const int64_t expected[NORMAL + HIGH] = { 100, 101, 102, 103, 104, 105, 106, 107, 1,
		108, 109, 110, 111, 112, 113, 114, 115, 2, 116, 117, 118, 119, 3, 4 };
	pinion_response first = pinion_call(line_handle, PINION_ARGS((int64_t)0));
	pinion_response calls[NORMAL + HIGH];
	pinion_handle high;
	int64_t x;

	(void)state;
	assert_int_equal(
	    pinion_handle_with(line_handle, &high, .priority = PINION_PRIORITY_HIGH), 0);
	while (!atomic_load(&is_held))
		(void)sched_yield();
	send(calls, NORMAL, line_handle, 1);
	send(calls + NORMAL, HIGH, high, 100);
	assert_int_equal(pinion_token_reply_value(held, PINION_VALUE((int64_t)0)), 0);
	assert_int_equal(pinion_result(first, &x), 0);
	pinion_release(first);
	for (int i = 0; i < NORMAL + HIGH; i++) {
		assert_int_equal(pinion_result(calls[i], &x), 0);
		pinion_release(calls[i]);
	}
	for (int i = 0; i < NORMAL + HIGH; i++)
		assert_int_equal(order[i], expected[i]);
}

/* One that is canceled takes neither place nor turn. */
static void
a_canceled_one_is_passed_over(void **state)
{
	pinion_response first = pinion_call(line_handle, PINION_ARGS((int64_t)0));
	pinion_response calls[4];
	pinion_handle high;
	int64_t x;

	(void)state;
	assert_int_equal(
	    pinion_handle_with(line_handle, &high, .priority = PINION_PRIORITY_HIGH), 0);
	while (!atomic_load(&is_held))
		(void)sched_yield();
	send(calls, 2, line_handle, 1);
	send(calls + 2, 2, high, 100);
	pinion_cancel(calls[3]);
	assert_int_equal(pinion_result(calls[3], &x), -ECANCELED);
	assert_int_equal(pinion_token_reply_value(held, PINION_VALUE((int64_t)0)), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pinion_result(calls[i], &x), 0);
	pinion_release(first);
	for (int i = 0; i < 4; i++)
		pinion_release(calls[i]);
	assert_int_equal(atomic_load(&order_count), 3);
	assert_int_equal(order[0], 100);
	assert_int_equal(order[1], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
		    behaviour_24_and_111_what_is_said_goes_all_the_way, nothing_is_left),
		cmocka_unit_test_teardown(who_says_nothing_is_where_it_is, nothing_is_left),
		cmocka_unit_test_teardown(what_cannot_travel_is_refused, nothing_is_left),
		cmocka_unit_test_teardown(high_goes_first_and_normal_has_its_turn, nothing_is_left),
		cmocka_unit_test_teardown(a_canceled_one_is_passed_over, nothing_is_left),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
