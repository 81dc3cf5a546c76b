/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What reading the code has found stays found: one test for each fault, as small as it can be.
 * Method  Two workers, and a deployment on each, wherever the runtime puts them.
 */
#include "tests/core/graph.h"

#include <sched.h>
#include <stdlib.h>

enum {
	SLOTS = 16,
	LOOPS = 100000
};

static pinion_runtime *rt;
static pinion_handle on[2]; /* one on each worker */
static pinion_token token;
static _Atomic int deferred, held, holds, waiting, stopping;
static _Atomic int64_t ran_without_state;

struct memory {
	int64_t alive;
	pinion_response shared;
};

static int
memory_init(void *replica, pinion_init *init)
{
	struct memory *self = replica;

	(void)init;
	self->alive = 1;
	return 0;
}

static int
where(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)pinion_request_worker(req));
}

/* A long result, of long arguments. */
static int
stretch(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_bytes(req, 1));
}

static int
defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &token);

	(void)replica;
	atomic_store(&deferred, 1);
	return err;
}

static int
one(void *replica, pinion_request *req)
{
	const struct memory *self = replica;

	if (self == NULL || self->alive != 1)
		atomic_fetch_add(&ran_without_state, 1);
	return pinion_reply(req, (int64_t)1);
}

/* Longer than its caller spins. */
static int
nap(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, 5000000);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

/* Answers with a call and gives it back at once. */
static int
relay_and_release(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(pinion_method_of(pinion_arg_handle(req, 0), "defer"), PINION_ARGS());
	int err = pinion_reply_response(req, r);

	(void)replica;
	pinion_release(r);
	return err;
}

/* Runs while the other worker ends a call of this one, then takes and gives back every slot. */
static int
hold_and_sweep(void *replica, pinion_request *req)
{
	pinion_response r[SLOTS];
	int64_t x, sum = 0;
	unsigned count = 0;

	(void)replica;
	atomic_store(&held, 1);
	while (atomic_load(&holds) != 0)
		(void)sched_yield(); /* cannot fail on Linux */
	for (; count < SLOTS; count++) {
		r[count] = pinion_call(pinion_arg_handle(req, 0), PINION_ARGS());
		if (pinion_response_error(r[count]).code != 0)
			break;
	}
	for (unsigned i = 0; i < count; i++)
		sum += pinion_result(r[i], &x) == 0 ? x : 0;
	return pinion_reply(req, (int64_t)(sum == count));
}

/* The first makes the call, all wait for it. */
static int
share(void *replica, pinion_request *req)
{
	struct memory *self = replica;
	int64_t x = 0;
	int err;

	if (self->shared.generation == 0) {
		self->shared = pinion_call(
		    pinion_method_of(pinion_arg_handle(req, 0), "defer"), PINION_ARGS());
		if (pinion_response_keep(self->shared) != 0)
			return -EPROTO;
	}
	atomic_fetch_add(&waiting, 1);
	err = pinion_result(self->shared, &x);
	return err != 0 ? err : pinion_reply(req, x + 1);
}

/* Gives back, once it is there, what another handler waits for. */
static int
make_and_give_back(void *replica, pinion_request *req)
{
	struct memory *self = replica;
	int err = 0;

	self->shared =
	    pinion_call(pinion_method_of(pinion_arg_handle(req, 0), "defer"), PINION_ARGS());
	atomic_fetch_add(&waiting, 1);
	while (err == 0 && atomic_load(&waiting) < 2)
		err = pinion_sleep(req, 100000);
	atomic_store(&held, 1);
	while (atomic_load(&holds) != 0)
		(void)sched_yield(); /* cannot fail on Linux */
	pinion_release(self->shared);
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

/* Declares more than it answers. */
static int
little(void *replica, pinion_request *req)
{
	char *at = pinion_result_buffer(req, 1024);

	(void)replica;
	memcpy(at, "twenty bytes, and no", 20);
	return pinion_reply_buffer(req, 20);
}

/* More than the buffer it asked for. */
static int
greedy(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_result_buffer(req, 16) == NULL ? -EPROTO : pinion_reply_buffer(req, 40);
}

/* Never has nothing to go on with. */
static int
restless(void *replica, pinion_request *req)
{
	int64_t calls = 0, x;
	int err = 0;

	(void)replica;
	atomic_fetch_add(&waiting, 1);
	for (; err == 0 && atomic_load(&stopping) == 0 && calls < LOOPS; calls++) {
		pinion_response r = pinion_call(pinion_arg_handle(req, 0), PINION_ARGS());

		err = pinion_result(r, &x);
		pinion_release(r);
	}
	return err != 0 ? err : pinion_reply(req, calls);
}

#define PEER .params = PINION_PARAMS(PINION_HANDLE("peer")), .returns = PINION_RETURNS_I64

static const pinion_deployment memory = {
	.name = "Memory",
	.replica_size = sizeof(struct memory),
	.init = memory_init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, one, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("stretch", stretch,
		.params = PINION_PARAMS(PINION_I64("x"), PINION_BYTES("bytes")),
		.returns = PINION_RETURNS_BYTES),
	    PINION_METHOD("where", where, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("nap", nap, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("defer", defer, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("relay_and_release", relay_and_release, PEER),
	    PINION_METHOD("hold_and_sweep", hold_and_sweep, PEER),
	    PINION_METHOD("make_and_give_back", make_and_give_back, PEER),
	    PINION_METHOD("share", share, PEER), PINION_METHOD("restless", restless, PEER),
	    PINION_METHOD("little", little, .returns = PINION_RETURNS_BYTES, .result_max = 1024),
	    PINION_METHOD("greedy", greedy, .returns = PINION_RETURNS_BYTES, .result_max = 1024)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &memory, PINION_ARGS());
}

/* Calls what it is bound to, and fails. */
static int
fickle_init(void *replica, pinion_init *init)
{
	(void)replica;
	for (int i = 0; i < 8; i++)
		if (pinion_post(pinion_init_handle(init, 0), PINION_ARGS()) != 0)
			return -EPROTO;
	return pinion_init_fail(init, -EPERM, "not today");
}

static const pinion_deployment fickle = {
	.name = "Fickle",
	.init = fickle_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, one, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_fickle(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &fickle, PINION_ARGS(pinion_bind(app, &memory, PINION_ARGS())));
}

static int
start(void **state)
{
	bool have[2] = { false, false };

	(void)state;
	atomic_store(&deferred, 0);
	atomic_store(&held, 0);
	atomic_store(&holds, 1);
	atomic_store(&waiting, 0);
	atomic_store(&stopping, 0);
	if (pinion_start(&rt, .workers = 2, .slots = SLOTS, .no_pin = true) != 0)
		return -1;
	for (int i = 0; i < 8 && !(have[0] && have[1]); i++) {
		char name[8] = { 'a', (char)('0' + i), '\0' };
		pinion_handle h;
		int64_t w;

		if (pinion_run(rt, build, &h, .name = name) != 0)
			return -1;
		w = graph_i64(pinion_call(pinion_method_of(h, "where"), PINION_ARGS()));
		have[w] = true;
		on[w] = h;
	}
	return have[0] && have[1] ? 0 : -1;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
await(_Atomic int *flag, int least)
{
	while (atomic_load(flag) < least)
		(void)sched_yield(); /* cannot fail on Linux */
}

static pinion_response
call(int worker, const char *method)
{
	return pinion_call(pinion_method_of(on[worker], method), PINION_ARGS(on[1 - worker]));
}

/* Freed before it was told of, its slot's next call would answer in its place. */
static void
a_call_that_is_an_answer_may_be_given_back(void **state)
{
	pinion_response relayed, sweeping;

	(void)state;
	relayed = call(0, "relay_and_release");
	await(&deferred, 1);
	sweeping = call(0, "hold_and_sweep");
	await(&held, 1);
	assert_int_equal(pinion_token_reply(token, (int64_t)77), 0);
	/* Behind the answer, on the same lane: when this is there, that call has ended. */
	assert_int_equal(graph_i64(pinion_call(on[1], PINION_ARGS())), 1);
	atomic_store(&holds, 0);
	assert_int_equal(graph_i64(sweeping), 1);
	assert_int_equal(graph_i64(relayed), 77);
	graph_assert_clean(rt, 1);
}

static void
several_handlers_wait_for_one_call(void **state)
{
	pinion_response r[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		r[i] = call(0, "share");
	await(&waiting, 4);
	await(&deferred, 1);
	assert_int_equal(pinion_token_reply(token, (int64_t)41), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(graph_i64(r[i]), 42);
}

static void
who_waits_for_what_another_gives_back_is_told(void **state)
{
	pinion_response maker, sharer;
	int64_t x;

	(void)state;
	maker = call(0, "make_and_give_back");
	await(&waiting, 1);
	sharer = call(0, "share");
	await(&held, 1);
	await(&deferred, 1);
	assert_int_equal(pinion_token_reply(token, (int64_t)7), 0);
	/* Behind the answer, on the same lane: when this is there, that call has ended. */
	assert_int_equal(graph_i64(pinion_call(on[1], PINION_ARGS())), 1);
	atomic_store(&holds, 0);
	assert_int_equal(graph_i64(maker), 1);
	assert_int_equal(pinion_result(sharer, &x), -ESTALE);
	pinion_release(sharer);
	graph_assert_clean(rt, 1);
}

static void
a_stop_ends_several_that_wait_for_one_call(void **state)
{
	pinion_response r[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		r[i] = call(0, "share");
	await(&waiting, 4);
	(void)r;
}

static void
a_wait_disarms_the_port(void **state)
{
	pinion_port *port;
	pinion_port_status status;
	pinion_response r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_port_open(rt, &port), 0);
	assert_true(pinion_port_fd(port) >= 0);
	assert_false(pinion_port_arm(port));
	r = pinion_call_on(port, pinion_method_of(on[0], "nap"), PINION_ARGS());
	assert_int_equal(pinion_result_on(port, r, &x), 0);
	pinion_port_look(port, &status);
	assert_int_equal(status.rescued, 0);
	pinion_release_on(port, r);
	pinion_port_close(port);
}

static void
a_short_answer_in_a_long_buffer_is_read(void **state)
{
	pinion_response r = pinion_call(pinion_method_of(on[0], "little"), PINION_ARGS());
	pinion_bytes b;

	(void)state;
	assert_int_equal(pinion_result(r, &b), 0);
	assert_int_equal(b.len, 20);
	assert_memory_equal(b.data, "twenty bytes, and no", 20);
	pinion_release(r);
	r = pinion_call(pinion_method_of(on[0], "greedy"), PINION_ARGS());
	assert_int_equal(pinion_result(r, &b), -EINVAL);
	pinion_release(r);
}

static void
nothing_runs_after_deinit_of_an_application_that_did_not_start(void **state)
{
	pinion_handle h;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(pinion_run(rt, build_fickle, &h, .name = "fickle"), -EPERM);
	assert_int_equal(atomic_load(&ran_without_state), 0);
	graph_assert_clean(rt, 1);
}

static void
handlers_that_go_on_and_on_leave_a_turn_to_others(void **state)
{
	pinion_response r[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		r[i] = call(0, "restless");
	await(&waiting, 3);
	assert_int_equal(graph_i64(pinion_call(on[0], PINION_ARGS())), 1);
	atomic_store(&stopping, 1);
	for (int i = 0; i < 3; i++)
		assert_in_range(graph_i64(r[i]), 0, LOOPS - 1);
}

static void
what_workers_send_is_counted(void **state)
{
	pinion_worker_status before, after;
	int64_t calls;
	pinion_response r;

	(void)state;
	(void)pinion_worker_look(rt, 0, &before); /* fills before */
	r = call(0, "restless");
	await(&waiting, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(graph_i64(pinion_call(on[1], PINION_ARGS())), 1);
	atomic_store(&stopping, 1);
	calls = graph_i64(r);
	(void)pinion_worker_look(rt, 0, &after); /* fills after */
	assert_int_equal(after.sent - before.sent, calls);
}

/* TSan: a request that comes by on the way to its replica leaves what that replica's worker writes alone. */
static void
a_worker_looks_at_its_own_replicas_only(void **state)
{
	const char bytes[64] = "long";
	const pinion_bytes argument = { bytes, sizeof bytes };
	pinion_handle longer = pinion_method_of(on[1], "stretch");

	(void)state;
	for (int i = 0; i < 200; i++) {
		pinion_response x = pinion_call(pinion_method_of(on[0], "nap"), PINION_ARGS());
		pinion_response via = pinion_call(longer, PINION_ARGS(x, argument));
		pinion_response direct = pinion_call(longer, PINION_ARGS((int64_t)1, argument));
		pinion_bytes got;

		assert_int_equal(pinion_result(via, &got), 0);
		assert_int_equal(got.len, sizeof bytes);
		assert_int_equal(pinion_result(direct, &got), 0);
		pinion_release(x);
		pinion_release(via);
		pinion_release(direct);
	}
}

/* ---- what is canceled ----------------------------------------------------------------------- */

enum {
	LARGE = (16 << 20) - 1000
};

static char *large;
static _Atomic int large_ones;

static int
take_large(void *replica, pinion_request *req)
{
	pinion_token later;
	int err = pinion_defer(req, &later);

	(void)replica;
	(void)pinion_arg_bytes(req, 0);
	atomic_fetch_add(&large_ones, 1);
	return err;
}

static int
give_large(void *replica, pinion_request *req)
{
	const pinion_handle *peer = replica;

	for (int i = 0; i < 4; i++)
		(void)!pinion_call(*peer, PINION_ARGS(((pinion_bytes){ large, LARGE }))).generation;
	return pinion_sleep(req, INT64_MAX / 2);
}

static int
find_taker(void *replica, pinion_init *init)
{
	return pinion_handle_find(pinion_init_runtime(init), "takers", NULL, replica);
}

static const pinion_deployment takers = {
	.name = "Taker",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, take_large, .params = PINION_PARAMS(PINION_BYTES("large")))),
};
static const pinion_deployment givers = {
	.name = "Giver",
	.replica_size = sizeof(pinion_handle),
	.init = find_taker,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, give_large)),
};

static pinion_node *
build_takers(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &takers, PINION_ARGS());
}

static pinion_node *
build_givers(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &givers, PINION_ARGS());
}

/* Where an argument lies in the arena is no slot's number. */
static void
a_cancel_of_calls_with_large_arguments(void **state)
{
	pinion_runtime *other;
	pinion_handle handle;
	pinion_response r;

	(void)state;
	large = calloc(1, LARGE);
	assert_non_null(large);
	atomic_store(&large_ones, 0);
	assert_int_equal(pinion_start(&other, .workers = 1, .arena_bytes = 64 << 20), 0);
	assert_int_equal(pinion_run(other, build_takers, &handle, .name = "takers"), 0);
	assert_int_equal(pinion_run(other, build_givers, &handle, .name = "givers"), 0);
	r = pinion_call(handle, PINION_ARGS());
	while (atomic_load(&large_ones) < 3) /* of four, the last may have no room */
		(void)sched_yield();
	pinion_cancel(r);
	assert_int_equal(
	    pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE }), -ECANCELED);
	pinion_release(r);
	pinion_stop(other);
	free(large);
}

/* Behind one that is patient, and one that does not end. */
static void
what_has_ended_in_a_queue_leaves_it(void **state)
{
	enum {
		AT_ONCE = 100
	};
	pinion_runtime *other;
	pinion_handle one;
	pinion_response stuck, patient, r[AT_ONCE];
	pinion_census c;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&other, .workers = 1), 0);
	assert_int_equal(pinion_run(other, graph_build_single, &one), 0);
	atomic_store(&graph_deferred, 0);
	stuck = pinion_call(pinion_method_of(one, "defer"), PINION_ARGS());
	while (atomic_load(&graph_deferred) == 0)
		(void)sched_yield();
	patient = pinion_call(one, PINION_ARGS((int64_t)1));
	for (unsigned round = 0; round < scaled(200); round++) {
		for (int i = 0; i < AT_ONCE; i++)
			r[i] = pinion_call(one, PINION_ARGS((int64_t)i));
		do
			pinion_census_take(other, &c);
		while (c.requests < AT_ONCE + 2);
		assert_in_range(c.requests, AT_ONCE + 2, 3 * AT_ONCE);
		for (int i = 0; i < AT_ONCE; i++) {
			pinion_cancel(r[i]);
			assert_int_equal(pinion_result(r[i], &x), -ECANCELED);
			pinion_release(r[i]);
		}
	}
	assert_int_equal(pinion_token_reply(graph_token, (int64_t)0), 0);
	assert_int_equal(graph_i64(stuck), 0);
	assert_int_equal(graph_i64(patient), 2);
	do
		pinion_census_take(other, &c);
	while (c.requests != 0);
	pinion_stop(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_call_that_is_an_answer_may_be_given_back, start, stop),
		cmocka_unit_test_setup_teardown(several_handlers_wait_for_one_call, start, stop),
		cmocka_unit_test_setup_teardown(
		    who_waits_for_what_another_gives_back_is_told, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_stop_ends_several_that_wait_for_one_call, start, stop),
		cmocka_unit_test_setup_teardown(a_wait_disarms_the_port, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_short_answer_in_a_long_buffer_is_read, start, stop),
		cmocka_unit_test_setup_teardown(
		    nothing_runs_after_deinit_of_an_application_that_did_not_start, start, stop),
		cmocka_unit_test_setup_teardown(
		    handlers_that_go_on_and_on_leave_a_turn_to_others, start, stop),
		cmocka_unit_test(a_cancel_of_calls_with_large_arguments),
		cmocka_unit_test(what_has_ended_in_a_queue_leaves_it),
		cmocka_unit_test_setup_teardown(what_workers_send_is_counted, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_worker_looks_at_its_own_replicas_only, start, stop),
	};

	return cmocka_run_group_tests_name("found by reading", tests, NULL, NULL);
}
