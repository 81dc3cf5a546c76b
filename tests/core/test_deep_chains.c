/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    However many calls end for one reason, behind one another in a lane or in a chain, they end one after the other:
 *         a worker's stack need not be as deep as they are many. Each is told why, and where it began.
 * Method  Small stacks, and hundreds of calls of a deployment that is full, since what it runs is deferred. One thread
 *         drives, so it is known what has come. Words that lie are written by the test, as another process could.
 */
#include "tests/core/graph.h"

#include <sched.h>

#include "core/runtime.h"

enum {
	CALLS = 700,
	STACK = 32 << 10,
	TURNS = 200, /* more than there is work for */
	TREE = 8,
};

static pinion_runtime *rt;
static pinion_handle full, roomy;
static pinion_token tokens[4];
static unsigned token_count;
static pinion_response r[CALLS];

/* ---- handlers ------------------------------------------------------------------------------- */

static int
hold(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_defer(req, &tokens[token_count++]);
}

static int
add(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

#define METHODS \
	PINION_METHODS(PINION_METHOD(PINION_CALL, add, .params = PINION_PARAMS(PINION_I64("x")), \
			   .returns = PINION_RETURNS_I64), \
	    PINION_METHOD("hold", hold, .returns = PINION_RETURNS_I64), \
	    PINION_METHOD("sum", graph_sum, \
		.params = PINION_PARAMS(PINION_I64("a"), PINION_I64("b")), \
		.returns = PINION_RETURNS_I64))

static const pinion_deployment full_kind = { .name = "Full", .methods = METHODS };
static const pinion_deployment roomy_kind = { .name = "Roomy", .methods = METHODS };

static pinion_node *
build_full(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    app, &full_kind, PINION_ARGS(), .max_ongoing_requests = 2, .max_queued_requests = 1);
}

static pinion_node *
build_roomy(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &roomy_kind, PINION_ARGS());
}

/* ---- the runtime ---------------------------------------------------------------------------- */

static int
start(void **state)
{
	(void)state;
	token_count = 0;
	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .stack_size = STACK) != 0 ||
	    pinion_run(rt, build_full, &full, .name = "full") != 0 ||
	    pinion_run(rt, build_roomy, &roomy, .name = "roomy") != 0)
		return -1;
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
turns(void)
{
	for (int i = 0; i < TURNS; i++)
		assert_true(pinion_work(rt) >= 0);
}

static pinion_response
call_hold(pinion_handle of)
{
	pinion_response held = pinion_call(pinion_method_of(of, "hold"), PINION_ARGS());

	turns();
	return held;
}

/* Two run, the first of which answers with tokens[0]; one waits. What comes now is refused. */
static void
fill(pinion_response run[2], pinion_response *wait)
{
	run[0] = call_hold(full);
	run[1] = call_hold(full);
	*wait = pinion_call(full, PINION_ARGS(1));
	turns();
	assert_int_equal(token_count, 2);
}

/* Each has the one before for its argument. */
static void
make_chain(pinion_response first)
{
	for (int i = 0; i < CALLS; i++)
		r[i] = pinion_call(full, PINION_ARGS(i == 0 ? first : r[i - 1]));
	turns();
}

/* Both are gone, and nothing is left. */
static void
empty(pinion_response *run, pinion_response wait, unsigned first)
{
	for (unsigned i = first; i < 2; i++)
		assert_int_equal(pinion_token_reply(tokens[i], (int64_t)i), 0);
	turns();
	for (unsigned i = first; i < 2; i++)
		assert_int_equal(graph_i64(run[i]), i);
	assert_int_equal(graph_i64(wait), 2);
	turns();
	graph_assert_clean(rt, 1);
}

struct why {
	int code;
	pinion_origin origin;
	const char *deployment, *method, *text;
};

static void
assert_failed(pinion_response failed, const struct why *why)
{
	pinion_error e = pinion_response_error(failed);
	int64_t x;

	assert_int_equal(pinion_result(failed, &x), why->code);
	assert_int_equal(e.code, why->code);
	assert_int_equal(e.origin, why->origin);
	assert_string_equal(e.deployment.data, why->deployment);
	assert_string_equal(e.method.data, why->method);
	assert_non_null(strstr(e.text.data, why->text));
	pinion_release(failed);
}

static void
assert_all_failed(int from, const struct why *why)
{
	for (int i = from; i < CALLS; i++)
		assert_failed(r[i], why);
}

#define REFUSED(origin) \
	&(const struct why) \
	{ \
		-ENOBUFS, origin, "Full", PINION_CALL, "max_queued_requests" \
	}

/* ---- in a lane ------------------------------------------------------------------------------ */

static void
refusals_of_one_lane_do_not_nest(void **state)
{
	pinion_response there = pinion_call(roomy, PINION_ARGS(1)), run[2], wait;

	(void)state;
	turns();
	fill(run, &wait);
	for (int i = 0; i < CALLS; i++)
		r[i] = pinion_call(full, PINION_ARGS(there));
	turns();
	assert_all_failed(0, REFUSED(PINION_ORIGIN_RUNTIME));
	assert_int_equal(graph_i64(there), 2);
	empty(run, wait, 0);
}

static void
calls_of_one_lane_whose_argument_failed_do_not_nest(void **state)
{
	pinion_response failed = call_hold(roomy), run[2], wait;

	(void)state;
	assert_int_equal(pinion_token_fail(tokens[0], -EDOM, "no"), 0);
	turns();
	token_count = 0;
	fill(run, &wait);
	for (int i = 0; i < CALLS; i++)
		r[i] = pinion_call(full, PINION_ARGS(failed));
	turns();
	assert_all_failed(
	    0, &(const struct why){ -EDOM, PINION_ORIGIN_UPSTREAM, "Roomy", "hold", "no" });
	assert_failed(
	    failed, &(const struct why){ -EDOM, PINION_ORIGIN_HANDLER, "Roomy", "hold", "no" });
	empty(run, wait, 0);
}

/* ---- in a chain ----------------------------------------------------------------------------- */

static void
a_long_chain_whose_first_fails_ends_without_a_deep_stack(void **state)
{
	pinion_response run[2], wait;

	(void)state;
	fill(run, &wait);
	make_chain(run[0]);
	assert_int_equal(pinion_token_fail(tokens[0], -EDOM, "broken"), 0);
	turns();
	assert_failed(
	    run[0], &(const struct why){ -EDOM, PINION_ORIGIN_HANDLER, "Full", "hold", "broken" });
	assert_all_failed(
	    0, &(const struct why){ -EDOM, PINION_ORIGIN_UPSTREAM, "Full", "hold", "broken" });
	empty(run, wait, 1);
}

static void
a_long_chain_whose_first_is_canceled_ends_without_a_deep_stack(void **state)
{
	pinion_response run[2], wait;

	(void)state;
	fill(run, &wait);
	make_chain(run[0]);
	pinion_cancel(run[0]);
	turns();
	assert_failed(run[0],
	    &(const struct why){
		-ECANCELED, PINION_ORIGIN_CALLER, "Full", "hold", "Full.hold was canceled" });
	assert_all_failed(0,
	    &(const struct why){
		-ECANCELED, PINION_ORIGIN_UPSTREAM, "Full", "hold", "Full.hold was canceled" });
	empty(run, wait, 1);
}

/* Its second stage is, before the first one's slot is completed. */
static void
a_long_chain_that_is_refused_ends_without_a_deep_stack(void **state)
{
	pinion_response cause = call_hold(roomy), first = pinion_call(roomy, PINION_ARGS(cause));
	pinion_response run[2], wait;
	pinion_token token = tokens[0];

	(void)state;
	token_count = 0;
	fill(run, &wait);
	make_chain(first);
	assert_int_equal(pinion_token_reply(token, (int64_t)41), 0);
	turns();
	assert_int_equal(graph_i64(cause), 41);
	assert_int_equal(graph_i64(first), 42);
	assert_failed(r[0], REFUSED(PINION_ORIGIN_RUNTIME));
	assert_all_failed(1, REFUSED(PINION_ORIGIN_UPSTREAM));
	empty(run, wait, 0);
}

/* ---- in a tree ------------------------------------------------------------------------------ */

/* Two generations behind one call; those of either end in the order in which they were made. */
static void
who_waits_first_ends_first(void **state)
{
	pinion_port *port = pinion_port_mine(rt);
	pinion_response child, run[2], wait;
	pinion_finished finished[2 * TREE + 1];
	uint64_t next[2] = { 0, TREE };

	(void)state;
	fill(run, &wait);
	for (uint64_t i = 0; i < TREE; i++) {
		child = pinion_call_tagged(port, full, PINION_ARGS(run[0]), i);
		r[i] = pinion_call_tagged(port, full, PINION_ARGS(child), TREE + i);
	}
	turns();
	assert_int_equal(pinion_token_fail(tokens[0], -EDOM, "broken"), 0);
	turns();
	assert_int_equal(pinion_harvest(port, finished, 2 * TREE + 1), 2 * TREE);
	for (int i = 0; i < 2 * TREE; i++) {
		assert_int_equal(finished[i].tag, next[finished[i].tag >= TREE]++);
		assert_failed(finished[i].response,
		    &(const struct why){ -EDOM, PINION_ORIGIN_UPSTREAM, "Full", "hold", "broken" });
	}
	pinion_release(run[0]);
	empty(run, wait, 1);
}

/* Its first argument is refused for want of room before the slot of the second, for which that waited, is completed. */
static void
what_needs_a_call_and_its_refused_dependent_is_told(void **state)
{
	pinion_response cause = call_hold(roomy), first = pinion_call(roomy, PINION_ARGS(cause));
	pinion_response refused, both, run[2], wait;
	pinion_token token = tokens[0];

	(void)state;
	token_count = 0;
	fill(run, &wait);
	refused = pinion_call(full, PINION_ARGS(first));
	both = pinion_call(pinion_method_of(roomy, "sum"), PINION_ARGS(refused, first));
	turns();
	assert_int_equal(pinion_token_reply(token, (int64_t)41), 0);
	turns();
	assert_int_equal(graph_i64(cause), 41);
	assert_int_equal(graph_i64(first), 42);
	assert_failed(refused, REFUSED(PINION_ORIGIN_RUNTIME));
	assert_failed(both, REFUSED(PINION_ORIGIN_UPSTREAM));
	empty(run, wait, 0);
}

/* ---- words that lie ------------------------------------------------------------------------- */

static _Atomic int held, summed;
static pinion_token held_tokens[2];

static int
where(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)pinion_request_worker(req));
}

static int
hold_here(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &held_tokens[pinion_request_worker(req)]);

	(void)replica;
	atomic_fetch_add(&held, 1);
	return err;
}

static int
sum_up(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&summed, 1);
	return pinion_reply(req, pinion_arg_i64(req, 0) + pinion_arg_i64(req, 1));
}

static const pinion_deployment placed = {
	.name = "Placed",
	.methods = PINION_METHODS(PINION_METHOD("where", where, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("hold", hold_here, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("sum", sum_up, .params = PINION_PARAMS(PINION_I64("a"), PINION_I64("b")),
		.returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_placed(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &placed, PINION_ARGS());
}

/* One on each worker. */
static int
start_two(pinion_handle on[2])
{
	bool have[2] = { false, false };

	if (pinion_start(&rt, .workers = 2, .stack_size = STACK, .no_pin = true) != 0)
		return -1;
	for (int i = 0; i < 8 && !(have[0] && have[1]); i++) {
		char name[8] = { 'a', (char)('0' + i), '\0' };
		pinion_handle h;
		int64_t w;

		if (pinion_run(rt, build_placed, &h, .name = name) != 0)
			return -1;
		w = graph_i64(pinion_call(pinion_method_of(h, "where"), PINION_ARGS()));
		have[w] = true;
		on[w] = h;
	}
	return have[0] && have[1] ? 0 : -1;
}

static void
await_custody(uint64_t count)
{
	pinion_census c;

	do {
		(void)sched_yield(); /* cannot fail on Linux */
		pinion_census_take(rt, &c);
	} while (c.custody != count);
}

/* It has done what it was doing. */
static void
await_worker(pinion_handle on)
{
	assert_in_range(graph_i64(pinion_call(pinion_method_of(on, "where"), PINION_ARGS())), 0, 1);
}

/* A slot that is lied about has two writers: TSan is told that its words are to be, and looks at all else. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LIES_ARE_SEEN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(LIES_ARE_SEEN)
void AnnotateBenignRaceSized(
    const char *file, int line, const void *at, size_t size, const char *why); /* of its runtime */

static void
tell_of_lies(const struct slot *slot)
{
	AnnotateBenignRaceSized(__FILE__, __LINE__, slot, sizeof *slot, "the test lies about it");
}
#else
static void
tell_of_lies(const struct slot *slot)
{
	(void)slot;
}
#endif

/* Says of a call that runs that it has ended. */
static void
lie(pinion_response of)
{
	pinion_port *port = runtime_port(rt, of.port & 0xffff);
	struct slot *slot = &port->memory.slots[of.slot];

	tell_of_lies(slot);
	slot->status = 0;
	slot->length = sizeof(int64_t);
	(void)slot_complete(slot, of.generation, PINION_KIND_I64); /* nobody is to be told */
}

/* Each waits here for the one before, and then for one of the other worker's: sent there, what waits for it is looked at,
 * and is to be sent there as well. */
static void
what_waits_for_calls_that_ended_already_is_sent_on_without_a_deep_stack(void **state)
{
	pinion_handle on[2];
	pinion_response first, other;

	(void)state;
	assert_int_equal(start_two(on), 0);
	first = pinion_call(pinion_method_of(on[0], "hold"), PINION_ARGS());
	other = pinion_call(pinion_method_of(on[1], "hold"), PINION_ARGS());
	while (atomic_load(&held) < 2)
		(void)sched_yield(); /* cannot fail on Linux */
	for (int i = 0; i < CALLS; i++)
		r[i] = pinion_call(
		    pinion_method_of(on[0], "sum"), PINION_ARGS(i == 0 ? first : r[i - 1], other));
	await_custody(2 + CALLS);
	for (int i = 0; i < CALLS; i++)
		lie(r[i]);
	assert_int_equal(pinion_token_reply(held_tokens[0], (int64_t)0), 0);
	assert_int_equal(graph_i64(first), 0);
	await_worker(on[0]);
	assert_int_equal(pinion_token_reply(held_tokens[1], (int64_t)0), 0);
	assert_int_equal(graph_i64(other), 0);
	while (atomic_load(&summed) < CALLS)
		(void)sched_yield(); /* cannot fail on Linux */
	await_worker(on[0]);
	for (int i = 0; i < CALLS; i++)
		pinion_release(r[i]);
	graph_assert_clean(rt, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(refusals_of_one_lane_do_not_nest),
		TEST(calls_of_one_lane_whose_argument_failed_do_not_nest),
		TEST(a_long_chain_whose_first_fails_ends_without_a_deep_stack),
		TEST(a_long_chain_whose_first_is_canceled_ends_without_a_deep_stack),
		TEST(a_long_chain_that_is_refused_ends_without_a_deep_stack),
		TEST(who_waits_first_ends_first),
		TEST(what_needs_a_call_and_its_refused_dependent_is_told),
		cmocka_unit_test_teardown(
		    what_waits_for_calls_that_ended_already_is_sent_on_without_a_deep_stack, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
