/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Calls are spread over replicas, each with its own state; max_ongoing_requests is strict; what a busy
 *         replica cannot start now, an idle sibling runs.
 * Method  Three replicas on two workers; the least loaded one is predictable from one port, so that a second
 *         port can be made to choose the busy one.
 */
#include "core/registry.h"
#include "tests/core/graph.h"

#include <pthread.h>

static pinion_runtime *rt;

static int
start(void **state)
{
	(void)state;
	atomic_store(&graph_running_most, 0);
	return pinion_start(&rt, .workers = 2);
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Its own number, from init, and how often it was called. */
static int
number_init(void *replica, pinion_init *init)
{
	*(int64_t *)replica = (int64_t)pinion_init_replica(init) * 1000;
	return 0;
}

static int
number_next(void *replica, pinion_request *req)
{
	return pinion_reply(req, ++*(int64_t *)replica);
}

static const pinion_deployment numbered = {
	.name = "Numbered",
	.replica_size = sizeof(int64_t),
	.init = number_init,
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, number_next, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_numbered(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &numbered, PINION_ARGS(), .num_replicas = 3);
}

static void
three_hundred_calls_reach_three_replicas_each_with_its_state(void **state)
{
	unsigned reached[3] = { 0 };
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_numbered, &handle), 0);
	for (int i = 0; i < 300; i++) {
		int64_t x = graph_i64(pinion_call(handle, PINION_ARGS()));

		assert_in_range(x / 1000, 0, 2);
		assert_int_equal(x % 1000, ++reached[x / 1000]); /* its own count, nobody else's */
	}
	for (int i = 0; i < 3; i++)
		assert_true(reached[i] != 0);
	graph_assert_clean(rt, 1);
}

/* ---- one at a time -------------------------------------------------------------------------- */

enum {
	CALLERS = 4,
	NAP_NS = 20000
};

static void *
call_naps(void *arg)
{
	pinion_handle nap = pinion_method_of(*(const pinion_handle *)arg, "nap");
	intptr_t wrong = 0;

	for (uint64_t i = 0; i < scaled(400); i++) {
		pinion_response r[3];

		for (int k = 0; k < 3; k++)
			r[k] = pinion_call(nap, PINION_ARGS(NAP_NS));
		for (int k = 0; k < 3; k++) {
			int64_t x = 0;

			wrong += pinion_result(r[k], &x) != 0 || x != NAP_NS;
			pinion_release(r[k]);
		}
	}
	return (void *)wrong;
}

static pinion_node *
build_limited(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .max_ongoing_requests = 3);
}

static void
run_naps(pinion_builder *builder)
{
	pthread_t callers[CALLERS];
	pinion_handle handle;

	assert_int_equal(pinion_run(rt, builder, &handle), 0);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_naps, &handle), 0);
	for (int i = 0; i < CALLERS; i++) {
		void *wrong;

		pthread_join(callers[i], &wrong);
		assert_null(wrong);
	}
}

static void
behaviour_64_with_a_limit_of_one_exactly_one_runs_whoever_calls(void **state)
{
	(void)state;
	run_naps(graph_build_single);
	assert_int_equal(atomic_load(&graph_running_most), 1);
}

static void
behaviour_64_with_a_limit_of_three_never_four_run(void **state)
{
	(void)state;
	run_naps(build_limited);
	assert_int_equal(atomic_load(&graph_running_most), 3);
}

/* ---- surplus -------------------------------------------------------------------------------- */

static pinion_node *
build_pair(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    build, &graph_worker, PINION_ARGS(), .num_replicas = 2, .max_ongoing_requests = 1);
}

/* A port of its own starts with the first replica. */
static void *
call_which(void *arg)
{
	pinion_response r =
	    pinion_call(pinion_method_of(*(const pinion_handle *)arg, "which"), PINION_ARGS());
	int64_t x = -1;

	if (pinion_result(r, &x) != 0)
		x = -1;
	pinion_release(r);
	return (void *)(intptr_t)x;
}

static uint64_t
surplus(void)
{
	pinion_worker_status s;
	uint64_t sum = 0;

	for (unsigned i = 0; i < 2; i++) {
		(void)pinion_worker_look(rt, i, &s);
		sum += s.surplus;
	}
	return sum;
}

static void
behaviour_75_an_idle_sibling_runs_what_a_busy_replica_cannot(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_pair, &handle), 0);
	for (unsigned round = 0; round < scaled(200); round++) {
		uint64_t before = surplus();
		pinion_response busy;
		pinion_ref ref;
		pthread_t t;
		void *x;

		atomic_store(&graph_deferred, 0);
		busy = pinion_call(pinion_method_of(handle, "defer"), PINION_ARGS());
		ref = pinion_response_ref(busy);
		while (atomic_load(&graph_deferred) == 0)
			continue;
		/* The busy one is the home that the reference names. */
		assert_int_equal(pthread_create(&t, NULL, call_which, &handle), 0);
		pthread_join(t, &x);
		if (ref_home(ref) == 0) {
			assert_int_equal((intptr_t)x / 1000000, 1);
			assert_int_equal(surplus() - before, 1);
		}
		assert_int_equal(pinion_token_reply(graph_token, 1), 0);
		assert_int_equal(graph_i64(busy), 1);
	}
	assert_true(surplus() != 0);
	graph_assert_clean(rt, 1);
}

static void
a_parked_request_moves_when_the_sibling_becomes_idle(void **state)
{
	pinion_handle handle;
	pinion_token first, second;
	pinion_response a, b;
	pthread_t t;
	void *x;

	(void)state;
	assert_int_equal(pinion_run(rt, build_pair, &handle), 0);
	atomic_store(&graph_deferred, 0);
	a = pinion_call(pinion_method_of(handle, "defer"), PINION_ARGS());
	while (atomic_load(&graph_deferred) == 0)
		continue;
	first = graph_token;
	atomic_store(&graph_deferred, 0);
	b = pinion_call(pinion_method_of(handle, "defer"), PINION_ARGS());
	while (atomic_load(&graph_deferred) == 0)
		continue;
	second = graph_token;
	/* Both are full. The third waits for its first replica; then the other becomes idle. */
	assert_int_equal(pthread_create(&t, NULL, call_which, &handle), 0);
	assert_int_equal(pinion_token_reply(second, 2), 0);
	pthread_join(t, &x);
	assert_true((intptr_t)x >= 0);
	assert_int_equal(pinion_token_reply(first, 1), 0);
	assert_int_equal(graph_i64(a), 1);
	assert_int_equal(graph_i64(b), 2);
	graph_assert_clean(rt, 1);
}

/* Each has it once, although one is busy and its siblings are not. */
static void
a_broadcast_reaches_every_replica(void **state)
{
	pinion_handle handle;
	pinion_response r[4];
	int64_t where[2];

	(void)state;
	assert_int_equal(pinion_run(rt, build_pair, &handle), 0);
	for (int round = 0; round < 100; round++) {
		assert_int_equal(
		    pinion_broadcast(pinion_method_of(handle, "which"), PINION_ARGS(), r, 4), 2);
		for (int i = 0; i < 2; i++)
			where[i] = graph_i64(r[i]) / 1000000;
		assert_int_not_equal(where[0], where[1]);
	}
	assert_int_equal(
	    pinion_broadcast(pinion_method_of(handle, "which"), PINION_ARGS(), r, 1), 2);
	(void)graph_i64(r[0]);
	assert_int_equal(
	    pinion_broadcast(pinion_method_of(handle, "none"), PINION_ARGS(), r, 1), -EINVAL);
	graph_assert_clean(rt, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_broadcast_reaches_every_replica, start, stop),
		cmocka_unit_test_setup_teardown(
		    three_hundred_calls_reach_three_replicas_each_with_its_state, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_64_with_a_limit_of_one_exactly_one_runs_whoever_calls, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_64_with_a_limit_of_three_never_four_run, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_75_an_idle_sibling_runs_what_a_busy_replica_cannot, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_parked_request_moves_when_the_sibling_becomes_idle, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
