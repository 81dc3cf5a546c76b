/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A model that calls name is loaded once, whoever asks first; no more than max_models are there at any time, also while
 *         one is loaded; the least lately used goes, and none that is used; its calls go where it is.
 * Method  Loading waits for a token where a test wants to look meanwhile. What is loaded is counted.
 */
#include "tests/core/graph.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MODELS = 2
};

static pinion_runtime *rt;
static pinion_handle handle, child;
static _Atomic int there, there_most, loads, unloads;
static _Atomic bool is_slow, goes_slowly, is_held;
static pinion_token held;

struct model {
	char id[32];
};
struct state {
	pinion_handle child;
};

/* ---- handlers ------------------------------------------------------------------------------- */

static int
load(void *replica, pinion_request *req, pinion_str id, void **model)
{
	const struct state *self = replica;
	struct model *m;
	int now;

	(void)req;
	if (pinion_str_is(id, "broken"))
		return pinion_fail(req, -ENOENT, "there is no model of that name");
	now = atomic_fetch_add(&there, 1) + 1;
	if (now > atomic_load(&there_most))
		atomic_store(&there_most, now);
	atomic_fetch_add(&loads, 1);
	if (atomic_load(&is_slow)) {
		pinion_response r = pinion_call(self->child, PINION_ARGS());
		int64_t x;
		int err = pinion_result(r, &x);

		if (err != 0) {
			atomic_fetch_sub(&there, 1);
			return err;
		}
	}
	m = malloc(sizeof *m);
	if (m == NULL)
		return -ENOMEM;
	(void)snprintf(m->id, sizeof m->id, "%.*s", PINION_STR_FMT(id));
	*model = m;
	return 0;
}

static void
unload(void *replica, void *model)
{
	const struct state *self = replica;

	if (atomic_load(&goes_slowly)) {
		pinion_response r = pinion_call(self->child, PINION_ARGS());
		int64_t x;

		(void)!pinion_result(r, &x); /* it goes anyhow */
		pinion_release(r);
	}
	free(model);
	atomic_fetch_sub(&there, 1);
	atomic_fetch_add(&unloads, 1);
}

/* "model@worker" */
static int
ask(void *replica, pinion_request *req)
{
	void *model;
	int err = pinion_model(req, &model);

	(void)replica;
	return err != 0 ? err
			: pinion_reply_fmt(req, "%s@%u", ((const struct model *)model)->id,
			      pinion_request_worker(req));
}

/* Keeps its model until the test lets it go. */
static int
keep(void *replica, pinion_request *req)
{
	void *model;
	int err = pinion_model(req, &model);

	(void)replica;
	if (err == 0)
		err = pinion_defer(req, &held);
	atomic_store(&is_held, true);
	return err;
}

static int
hold(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &held);

	(void)replica;
	atomic_store(&is_held, true);
	return err;
}

static int
init(void *replica, pinion_init *init)
{
	((struct state *)replica)->child = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment kind = {
	.name = "Models",
	.replica_size = sizeof(struct state),
	.init = init,
	.init_params = PINION_PARAMS(PINION_HANDLE("child")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ask, .returns = PINION_RETURNS_STR),
	    PINION_METHOD("keep", keep, .returns = PINION_RETURNS_I64)),
	.load_model = load,
	.unload_model = unload,
	.max_models = MODELS,
};
static const pinion_deployment held_kind = {
	.name = "Held",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hold, .returns = PINION_RETURNS_I64)),
};

/* ---- tests ---------------------------------------------------------------------------------- */

static pinion_node *
build_held(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &held_kind, PINION_ARGS());
}

static int replicas;

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &kind, PINION_ARGS(child), .num_replicas = replicas);
}

static void
deploy(int count)
{
	static int serial;
	char name[32];

	replicas = count;
	(void)snprintf(name, sizeof name, "models%d", ++serial);
	assert_int_equal(pinion_run(rt, build, &handle, .name = name), 0);
	atomic_store(&there, 0); /* those of other tests stay until stop */
	atomic_store(&there_most, 0);
	atomic_store(&loads, 0);
	atomic_store(&unloads, 0);
	atomic_store(&is_slow, false);
	atomic_store(&goes_slowly, false);
	atomic_store(&is_held, false);
}

static int
set_up(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2) != 0 ||
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

static int
nothing_is_left(void **state)
{
	(void)state;
	graph_assert_clean(rt, 1);
	return 0;
}

static pinion_response
call(const char *model)
{
	return pinion_call_with(handle, PINION_ARGS(), .terms.model = model);
}

static void
assert_says(pinion_response r, const char *model)
{
	pinion_str text;

	assert_int_equal(pinion_result(r, &text), 0);
	assert_true(strncmp(text.data, model, strlen(model)) == 0);
	pinion_release(r);
}

static void
await_held(void)
{
	while (!atomic_load(&is_held))
		(void)sched_yield();
	atomic_store(&is_held, false);
}

static void
let_go(void)
{
	assert_int_equal(pinion_token_reply_value(held, PINION_VALUE((int64_t)0)), 0);
}

static void
behaviour_98_the_least_lately_used_goes(void **state)
{
	(void)state;
	deploy(1);
	assert_says(call("a"), "a@");
	assert_says(call("b"), "b@");
	assert_says(call("a"), "a@");
	assert_int_equal(atomic_load(&loads), 2);
	assert_says(call("c"), "c@"); /* b goes */
	assert_int_equal(atomic_load(&unloads), 1);
	assert_says(call("a"), "a@");
	assert_int_equal(atomic_load(&loads), 3);
	assert_says(call("b"), "b@");
	assert_int_equal(atomic_load(&loads), 4);
	assert_int_equal(atomic_load(&there_most), MODELS);
}

static void
behaviour_98_many_that_want_it_load_it_once(void **state)
{
	pinion_response r[8];

	(void)state;
	deploy(1);
	atomic_store(&is_slow, true);
	for (int i = 0; i < 8; i++)
		r[i] = call("a");
	await_held();
	let_go();
	for (int i = 0; i < 8; i++)
		assert_says(r[i], "a@");
	assert_int_equal(atomic_load(&loads), 1);
}

/* Two are in use: the third waits for a place, and the limit holds. */
static void
behaviour_98_none_that_is_used_goes(void **state)
{
	pinion_handle kept;
	pinion_response a, b, c;
	pinion_token first;
	int64_t x;

	(void)state;
	deploy(1);
	kept = pinion_method_of(handle, "keep");
	a = pinion_call_with(kept, PINION_ARGS(), .terms.model = "a");
	await_held();
	first = held;
	b = pinion_call_with(kept, PINION_ARGS(), .terms.model = "b");
	await_held();
	c = call("c");
	assert_says(call("a"), "a@"); /* what is there serves meanwhile */
	assert_int_equal(pinion_result_within(c, 0, &x), -EAGAIN);
	assert_int_equal(atomic_load(&loads), 2);
	assert_int_equal(pinion_token_reply_value(first, PINION_VALUE((int64_t)0)), 0);
	assert_says(c, "c@");
	let_go();
	assert_int_equal(pinion_result(a, &x), 0);
	assert_int_equal(pinion_result(b, &x), 0);
	pinion_release(a);
	pinion_release(b);
	assert_int_equal(atomic_load(&there_most), MODELS);
}

static void
behaviour_98_requests_follow_their_model(void **state)
{
	char first[16][32];

	(void)state;
	deploy(2);
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 3; i++) {
			const char *const names[] = { "x", "y", "z" };
			pinion_response r = call(names[i]);
			pinion_str text;

			assert_int_equal(pinion_result(r, &text), 0);
			if (round == 0)
				(void)snprintf(
				    first[i], sizeof first[i], "%.*s", PINION_STR_FMT(text));
			assert_true(pinion_str_is(text, first[i]));
			pinion_release(r);
		}
	assert_int_equal(atomic_load(&loads), 3);
}

static void
assert_fails(pinion_response r, int code, const char *why)
{
	pinion_error e;
	pinion_str text;

	assert_int_equal(pinion_result(r, &text), code);
	e = pinion_response_error(r);
	assert_non_null(strstr(e.text.data, why));
	pinion_release(r);
}

static void
what_cannot_be_loaded_says_why(void **state)
{
	(void)state;
	deploy(1);
	assert_fails(call("broken"), -ENOENT, "no model of that name");
	assert_fails(pinion_call(handle, PINION_ARGS()), -EINVAL, ".terms.model");
	assert_says(call("a"), "a@"); /* and the place is free */
	assert_says(call("b"), "b@");
	assert_int_equal(atomic_load(&unloads), 0);
}

/* Who waits for a load is canceled; the others have it. */
static void
one_that_waits_can_be_canceled(void **state)
{
	pinion_response a, b;
	pinion_str text;

	(void)state;
	deploy(1);
	atomic_store(&is_slow, true);
	a = call("a");
	await_held();
	b = call("a");
	while (pinion_result_within(b, 1000000, &text) != -EAGAIN)
		continue;
	pinion_cancel(b);
	assert_int_equal(pinion_result(b, &text), -ECANCELED);
	pinion_release(b);
	let_go();
	assert_says(a, "a@");
}

/* Its place is free when it has gone, and not before. */
static void
one_that_goes_slowly_keeps_its_place(void **state)
{
	pinion_response c;

	(void)state;
	deploy(1);
	assert_says(call("a"), "a@");
	assert_says(call("b"), "b@");
	atomic_store(&goes_slowly, true);
	c = call("c"); /* a goes */
	await_held();
	atomic_store(&goes_slowly, false);
	assert_says(call("d"), "d@"); /* b goes, whose place it is */
	let_go();
	assert_says(c, "c@");
	assert_int_equal(atomic_load(&there_most), MODELS);
	assert_int_equal(atomic_load(&loads), 4);
	assert_says(call("c"), "c@");
	assert_says(call("d"), "d@");
	assert_int_equal(atomic_load(&loads), 4);
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_98_the_least_lately_used_goes),
		TEST(behaviour_98_many_that_want_it_load_it_once),
		TEST(behaviour_98_none_that_is_used_goes),
		TEST(behaviour_98_requests_follow_their_model),
		TEST(what_cannot_be_loaded_says_why),
		TEST(one_that_waits_can_be_canceled),
		TEST(one_that_goes_slowly_keeps_its_place),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
