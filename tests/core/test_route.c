/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Calls go to the replica that the policy says, and start there in the order in which they came.
 * Method  Requests that are to run are held by deferred answers, so that it is known which replica has how many.
 */
#include "tests/core/held.h"

#include <pthread.h>

static int
caller_init(void *replica, pinion_init *init)
{
	((struct replica_state *)replica)->peer = pinion_init_handle(init, 0);
	return 0;
}

/* Whether the peer that is asked is on this worker. */
static int
ask_near(void *replica, pinion_request *req)
{
	const struct replica_state *self = replica;
	pinion_response r = pinion_call(pinion_method_of(self->peer, "where"), PINION_ARGS());
	int64_t at;
	int err = pinion_result(r, &at);

	return err != 0 ? err : pinion_reply(req, (int64_t)(at == pinion_request_worker(req)));
}

static const pinion_deployment caller_kind = {
	.name = "Caller",
	.replica_size = sizeof(struct replica_state),
	.init = caller_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ask_near, OF_I64)),
};

static pinion_handle peer;

static pinion_node *
build_caller(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &caller_kind, PINION_ARGS(peer), .num_replicas = 2);
}

/* ---- the least loaded ----------------------------------------------------------------------- */

/* Ends what is held of a replica; how many that were. */
static int
let_go_of(unsigned replica)
{
	int ended = 0;

	for (int i = 0; i < atomic_load(&held_count); i++) {
		if (held[i].replica != replica || !atomic_exchange(&held[i].is_there, false))
			continue;
		assert_int_equal(
		    pinion_token_reply_value(held[i].token, PINION_VALUE((int64_t)i)), 0);
		ended++;
	}
	return ended;
}

/* Waits until so many of them have ended, and moves the others to the front. */
static void
take_out(pinion_response *r, int count, int ended)
{
	while (ended > 0)
		for (int i = 0; i < count && ended > 0; i++) {
			int64_t x;

			if (pinion_result_within(r[i], 0, &x) == -EAGAIN)
				continue;
			(void)graph_i64(r[i]);
			r[i--] = r[--count];
			ended--;
		}
}

/* Started before the next one comes: of those that wait an idle sibling would take some. */
static pinion_response
call_and_await(pinion_handle handle)
{
	int64_t before = atomic_load(&started);
	pinion_response r = call(handle);

	await_started(before + 1);
	return r;
}

static void
behaviour_75_the_shorter_queue_wins(void **state)
{
	pinion_handle handle = deploy((pinion_bind_options){ .num_replicas = 2 });
	pinion_response r[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		r[i] = call_and_await(handle);
	assert_int_equal(atomic_load(&by_replica[0]), 3);
	assert_int_equal(atomic_load(&by_replica[1]), 3);
	assert_int_equal(let_go_of(1), 3);
	take_out(r, 6, 3);
	for (int i = 3; i < 6; i++)
		r[i] = call_and_await(handle);
	assert_int_equal(atomic_load(&by_replica[0]), 3);
	assert_int_equal(atomic_load(&by_replica[1]), 6);
	assert_int_equal(let_go_of(0) + let_go_of(1), 6);
	take_out(r, 6, 6);
}

/* Of many that all have something, some are looked at: the next 32. The one that has nothing is found when it is one of these. */
static void
behaviour_79_a_choice_looks_at_some(void **state)
{
	enum {
		REPLICAS = 100,
		FREE = 50,
		LOOKS = 32,
		FOUND_BY = FREE - LOOKS +
		    1 /* each call's looks begin behind the one that was chosen before */
	};
	pinion_handle handle = deploy((pinion_bind_options){ .num_replicas = REPLICAS });
	pinion_response r[REPLICAS + FOUND_BY];
	int ended = 0;

	(void)state;
	for (int i = 0; i < REPLICAS; i++)
		r[i] = call_and_await(handle);
	for (int i = 0; i < REPLICAS; i++)
		assert_int_equal(atomic_load(&by_replica[i]), 1);
	assert_int_equal(let_go_of(FREE), 1);
	take_out(r, REPLICAS, 1);
	for (int i = 0; i < FOUND_BY; i++) {
		assert_int_equal(atomic_load(&by_replica[FREE]), 1);
		r[REPLICAS - 1 + i] = call_and_await(handle);
	}
	assert_int_equal(atomic_load(&by_replica[FREE]), 1);
	r[REPLICAS - 1 + FOUND_BY] = call_and_await(handle);
	assert_int_equal(atomic_load(&by_replica[FREE]), 2);
	for (int i = 0; i < REPLICAS; i++)
		ended += let_go_of((unsigned)i);
	assert_int_equal(ended, REPLICAS + FOUND_BY);
	take_out(r, ended, ended);
}

/* ---- first come, first served --------------------------------------------------------------- */

struct caller {
	pinion_handle handle;
	pthread_t thread;
	int64_t turn;
};

static void *
call_and_wait(void *arg)
{
	struct caller *self = arg;
	pinion_response r = call(self->handle);

	if (pinion_result(r, &self->turn) != 0)
		self->turn = -1;
	pinion_release(r);
	return NULL;
}

/* Each has come before the next one calls. */
static void
behaviour_77_callers_are_served_as_they_came(void **state)
{
	enum {
		CALLERS = 20
	};
	pinion_handle handle = deploy((pinion_bind_options){ .max_ongoing_requests = 1 });
	struct caller callers[CALLERS];
	pinion_census census;

	(void)state;
	for (int i = 0; i < CALLERS; i++) {
		callers[i].handle = handle;
		assert_int_equal(
		    pthread_create(&callers[i].thread, NULL, call_and_wait, &callers[i]), 0);
		do
			pinion_census_take(rt, &census);
		while (census.custody != (uint64_t)i + 1);
	}
	let_go(CALLERS);
	for (int i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
		assert_int_equal(callers[i].turn, i);
	}
	do /* ports of threads that ended go in their own time */
		pinion_census_take(rt, &census);
	while (census.ports != 1);
}

/* ---- the other policies --------------------------------------------------------------------- */

static int64_t
ask_key(pinion_handle handle, uint64_t key)
{
	return graph_i64(pinion_call_with(
	    pinion_method_of(handle, "which"), PINION_ARGS(), .key = key, .has_key = true));
}

static void
round_robin_takes_turns(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .num_replicas = 5, .routing = "round_robin" });
	int64_t first = graph_i64(pinion_call(pinion_method_of(handle, "which"), PINION_ARGS()));

	(void)state;
	for (int64_t i = 1; i < 100; i++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(handle, "which"), PINION_ARGS())),
		    (first + i) % 5);
}

static void
a_key_has_its_replica(void **state)
{
	pinion_handle handle =
	    deploy((pinion_bind_options){ .num_replicas = 5, .routing = "by_key" });
	int64_t of[1000], count[5] = { 0 };

	(void)state;
	for (uint64_t key = 0; key < 1000; key++) {
		of[key] = ask_key(handle, key);
		count[of[key]]++;
	}
	for (uint64_t key = 1000; key-- > 0;)
		assert_int_equal(ask_key(handle, key), of[key]);
	for (int i = 0; i < 5; i++) /* near enough to a fifth: 8 standard deviations */
		assert_in_range(count[i], 100, 300);
	of[0] = graph_i64(pinion_call(pinion_method_of(handle, "which"), PINION_ARGS()));
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(handle, "which"), PINION_ARGS())),
		    of[0]);
}

/* Of n replicas and one more each gets as many keys; one key of n + 1 moves, and only to the new one. */
static void
keys_move_to_the_new_replica_and_nowhere_else(void **state)
{
	enum {
		KEYS = 2000
	};
	pinion_handle handle =
	    deploy((pinion_bind_options){ .num_replicas = 3, .routing = "by_key" });
	int64_t of[KEYS];

	(void)state;
	for (uint64_t key = 0; key < KEYS; key++)
		of[key] = ask_key(handle, key * 1000);
	for (int n = 3; n < 18; n++) { /* beyond 4, 8 and 16 */
		int moved = 0;

		assert_int_equal(pinion_scale(rt, deployed, kind.name, n + 1, NULL), 0);
		for (uint64_t key = 0; key < KEYS; key++) {
			int64_t now = ask_key(handle, key * 1000);

			if (now == of[key])
				continue;
			assert_int_equal(now, n);
			of[key] = now;
			moved++;
		}
		assert_in_range(moved, KEYS / (n + 1) / 2, KEYS / (n + 1) * 3 / 2);
	}
}

/* Idle siblings take nothing that is theirs by key. */
static void
behaviour_77_a_key_stays_where_it_is(void **state)
{
	pinion_handle handle = deploy((pinion_bind_options){
	    .num_replicas = 4, .max_ongoing_requests = 1, .routing = "by_key" });
	pinion_response r[20];
	int64_t used = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		r[i] = pinion_call_with(handle, PINION_ARGS(), .key = 7, .has_key = true);
	let_go(20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(graph_i64(r[i]), i); /* in order, too */
	for (int i = 0; i < 4; i++)
		used += atomic_load(&by_replica[i]) != 0;
	assert_int_equal(used, 1);
}

static void
behaviour_85_local_is_on_the_callers_worker(void **state)
{
	pinion_handle caller;

	(void)state;
	peer = deploy((pinion_bind_options){ .num_replicas = 4, .routing = "local" });
	assert_int_equal(pinion_run(rt, build_caller, &caller, .name = "near"), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(graph_i64(call(caller)), 1);
	(void)graph_i64(pinion_call(pinion_method_of(peer, "which"), PINION_ARGS()));
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_75_the_shorter_queue_wins),
		TEST(behaviour_79_a_choice_looks_at_some),
		TEST(behaviour_77_callers_are_served_as_they_came),
		TEST(round_robin_takes_turns),
		TEST(a_key_has_its_replica),
		TEST(keys_move_to_the_new_replica_and_nowhere_else),
		TEST(behaviour_77_a_key_stays_where_it_is),
		TEST(behaviour_85_local_is_on_the_callers_worker),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
