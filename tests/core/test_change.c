/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Replicas come and go, limits and user_config change, while calls fly: each call is answered once, by a replica that had its
 *         init and not yet its deinit, and whose text does not change under it.
 * Method  A handler that finds its replica outside of its life, or its text changed, counts a mistake. Callers are threads that
 *         call until they are told to stop. The census is zero behind every test.
 */
#include "core/runtime.h"
#include "core/worker.h"
#include "tests/core/graph.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum {
	CALLERS = 2,
	ROUNDS = 60,
	REPLICAS_MAX = 6
};

static pinion_runtime *rt;
static pinion_handle handle;
static _Atomic int inits, deinits, warmed, mistakes, reconfigured;
static _Atomic bool stop_calls, refuses;
static pinion_token held[8];
static _Atomic int held_next, held_count; /* the next place; tokens that are there */

struct state {
	bool is_alive, is_warm;
	int running;
	unsigned number;
	int64_t text; /* of user_config, as a number */
};

/* ---- handlers ------------------------------------------------------------------------------- */

static int
init(void *replica, pinion_init *init)
{
	struct state *self = replica;
	pinion_context c;

	pinion_init_context(init, &c);
	*self = (struct state){ .is_alive = true, .number = pinion_init_replica(init) };
	atomic_fetch_add(&inits, 1);
	if (c.replica != self->number || strcmp(c.deployment, "Changing") != 0)
		atomic_fetch_add(&mistakes, 1);
	return 0;
}

static void
deinit(void *replica)
{
	struct state *self = replica;

	if (!self->is_alive || self->running != 0)
		atomic_fetch_add(&mistakes, 1);
	self->is_alive = false;
	atomic_fetch_add(&deinits, 1);
}

static int
reconfigure(void *replica, pinion_init *init)
{
	struct state *self = replica;
	pinion_str text = pinion_init_user_config(init);

	if (self->running != 0 || !self->is_alive)
		atomic_fetch_add(&mistakes, 1);
	if (text.len == 0 || text.data[0] < '0' || text.data[0] > '9')
		return pinion_init_fail(
		    init, -EINVAL, "\"%.*s\" is no number", PINION_STR_FMT(text));
	if (self->number == 1 && atomic_load(&refuses) && pinion_str_is(text, "9"))
		return pinion_init_fail(init, -EPERM, "not that one");
	self->text = text.data[0] - '0';
	atomic_fetch_add(&reconfigured, 1);
	return 0;
}

static int
warm_up(void *replica, pinion_init *init)
{
	struct state *self = replica;

	if (pinion_str_is(pinion_init_user_config(init), "8"))
		return pinion_init_fail(init, -EIO, "too cold");
	self->is_warm = true;
	atomic_fetch_add(&warmed, 1);
	return 0;
}

/* Its replica's text, before and after a nap. */
static int
ask(void *replica, pinion_request *req)
{
	struct state *self = replica;
	int64_t nap = pinion_arg_i64(req, 0), before = self->text;
	int err = 0;

	if (!self->is_alive || !self->is_warm)
		atomic_fetch_add(&mistakes, 1);
	self->running++;
	if (nap != 0)
		err = pinion_sleep(req, nap);
	self->running--;
	if (before != self->text)
		atomic_fetch_add(&mistakes, 1);
	return err != 0 ? err : pinion_reply(req, self->text * 100 + self->number);
}

static int
hold(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &held[atomic_fetch_add(&held_next, 1)]);

	(void)replica;
	(void)pinion_arg_i64(req, 0);
	atomic_fetch_add(&held_count, 1);
	return err;
}

/* Never told unless canceled. */
static int
stuck(void *replica, pinion_request *req)
{
	struct state *self = replica;
	int err;

	(void)pinion_arg_i64(req, 0);
	atomic_fetch_add(&held_count, 1);
	self->running++;
	err = pinion_sleep(req, INT64_C(3600000000000));
	self->running--;
	return err != 0 ? err : pinion_reply(req, (int64_t)0);
}

static _Atomic unsigned batch_size;

static int
batched(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = 0;

	(void)replica;
	atomic_store(&batch_size, count);
	for (unsigned i = 0; i < count && err == 0; i++)
		err = pinion_reply(requests[i], (int64_t)count);
	return err;
}

#define OF_I64 .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = PINION_RETURNS_I64

static const pinion_deployment kind = {
	.name = "Changing",
	.replica_size = sizeof(struct state),
	.init = init,
	.deinit = deinit,
	.reconfigure = reconfigure,
	.warm_up = warm_up,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ask, OF_I64),
	    PINION_METHOD("hold", hold, OF_I64), PINION_METHOD("stuck", stuck, OF_I64),
	    PINION_BATCH_METHOD("batched", batched, .max_batch_size = 2,
		.batch_wait_ns = INT64_C(3600000000000), OF_I64)),
};

/* ---- set up --------------------------------------------------------------------------------- */

static pinion_bind_options wanted;

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	wanted.size_ = sizeof wanted;
	return pinion_bind_with(app, &kind, &wanted);
}

static int
start(void **state)
{
	(void)state;
	atomic_store(&inits, 0);
	atomic_store(&deinits, 0);
	atomic_store(&warmed, 0);
	atomic_store(&mistakes, 0);
	atomic_store(&reconfigured, 0);
	atomic_store(&held_next, 0);
	atomic_store(&held_count, 0);
	atomic_store(&refuses, false);
	return pinion_start(&rt, .workers = 2, .drain_ns = 200000000);
}

static int
stop(void **state)
{
	pinion_census c;

	(void)state;
	(void)pinion_port_mine(rt);
	do
		pinion_census_take(rt, &c); /* those of threads that ended go in their own time */
	while (c.ports != 1);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
	assert_int_equal(atomic_load(&mistakes), 0);
	assert_int_equal(atomic_load(&inits), atomic_load(&deinits));
	return 0;
}

static void
deploy(pinion_bind_options options)
{
	pinion_diag diag = { "" };

	wanted = options;
	if (pinion_run(rt, build, &handle, .diag = &diag) != 0)
		fail_msg("%s", diag.text);
}

static void
scale(int count)
{
	pinion_diag diag = { "" };

	if (pinion_scale(rt, NULL, "Changing", count, &diag) != 0)
		fail_msg("%s", diag.text);
}

static pinion_response
call(const char *method, int64_t x)
{
	return pinion_call(pinion_method_of(handle, method), PINION_ARGS(x));
}

/* Which replicas answer, as bits. */
static unsigned
who_answers(void)
{
	pinion_response r[REPLICAS_MAX];
	unsigned seen = 0;
	int count = pinion_broadcast(handle, PINION_ARGS((int64_t)0), r, REPLICAS_MAX);

	for (int i = 0; i < count; i++)
		seen |= 1u << graph_i64(r[i]) % 100;
	return seen;
}

static void *
call_on(void *arg)
{
	int64_t *calls = arg;
	int64_t x;

	while (!atomic_load(&stop_calls)) {
		pinion_response r[4];

		for (int i = 0; i < 4; i++)
			r[i] = pinion_call(handle, PINION_ARGS((int64_t)(i == 3 ? 1000 : 0)));
		for (int i = 0; i < 4; i++) {
			if (pinion_result(r[i], &x) != 0)
				atomic_fetch_add(&mistakes, 1);
			pinion_release(r[i]);
			++*calls;
		}
	}
	return NULL;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
behaviour_74_and_76_replicas_come_and_go(void **state)
{
	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 1 });
	assert_int_equal(who_answers(), 1);
	scale(4);
	assert_int_equal(who_answers(), 15);
	assert_int_equal(atomic_load(&inits), 4);
	assert_int_equal(atomic_load(&warmed), 4);
	scale(2);
	assert_int_equal(who_answers(), 3);
	assert_int_equal(atomic_load(&deinits), 2);
	scale(3);
	assert_int_equal(who_answers(), 7);
	assert_int_equal(atomic_load(&inits), 5);
}

/* 99, 104: none is lost or fails while they do. */
static void
behaviour_104_calls_fly_meanwhile(void **state)
{
	pthread_t threads[CALLERS];
	int64_t calls[CALLERS] = { 0 };
	unsigned seed = 7;

	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 2, .max_ongoing_requests = 3 });
	atomic_store(&stop_calls, false);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_on, &calls[i]), 0);
	for (uint64_t i = 0; i < scaled(ROUNDS) + 3; i++) {
		seed = seed * 1103515245 + 12345;
		scale(1 + (int)(seed >> 16) % REPLICAS_MAX);
	}
	atomic_store(&stop_calls, true);
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(calls[i] > 0);
	}
}

/* What waits for a replica that leaves goes to another; what it runs ends in its time, or is canceled. */
static void
what_has_not_begun_goes_to_others(void **state)
{
	pinion_response held_calls[2], waiting[4], r;
	int64_t x;

	(void)state;
	deploy((pinion_bind_options){
	    .num_replicas = 2, .max_ongoing_requests = 1, .routing = "round_robin" });
	for (int i = 0; i < 2; i++)
		held_calls[i] = call("hold", 0);
	while (atomic_load(&held_count) != 2)
		(void)sched_yield();
	for (int i = 0; i < 4; i++)
		waiting[i] = call(PINION_CALL, 0);
	scale(1); /* replica 1 holds one for ever: canceled after 0.2 s */
	for (int i = 0; i < 2; i++)
		(void)!pinion_token_reply_value(held[i], PINION_VALUE((int64_t)5));
	for (int i = 0; i < 4; i++)
		assert_int_equal(graph_i64(waiting[i]), 0);
	x = 0;
	for (int i = 0; i < 2; i++) {
		int64_t answer;

		x += pinion_result(held_calls[i], &answer) == -ECANCELED;
		pinion_release(held_calls[i]);
	}
	assert_int_equal(x, 1);
	scale(2);
	atomic_store(&held_count, 0);
	r = call("stuck", 0);
	while (atomic_load(&held_count) != 1)
		(void)sched_yield();
	pinion_cancel(r);
	assert_int_equal(pinion_result(r, &x), -ECANCELED);
	pinion_release(r);
}

static void
behaviour_100_user_config_changes_in_place(void **state)
{
	pthread_t threads[CALLERS];
	int64_t calls[CALLERS] = { 0 };
	pinion_response r[4];
	pinion_diag diag;

	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 3, .user_config = "1" });
	assert_int_equal(atomic_load(&reconfigured), 3);
	atomic_store(&stop_calls, false);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_on, &calls[i]), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(pinion_reconfigure(rt, "Changing",
				     .user_config = i % 2 == 0 ? "2" : "3", .diag = &diag),
		    0);
	atomic_store(&stop_calls, true);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&inits), 3);
	assert_int_equal(graph_i64(call(PINION_CALL, 0)) / 100, 3);
	scale(4); /* the new one has the text of now */
	assert_int_equal(atomic_load(&reconfigured), 3 + 30 + 1);
	assert_int_equal(pinion_broadcast(handle, PINION_ARGS((int64_t)0), r, 4), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(graph_i64(r[i]) / 100, 3);
}

/* 101: it says why, and all have what they had. */
static void
behaviour_101_a_reconfigure_that_fails(void **state)
{
	pinion_diag diag;
	pinion_response r[3];

	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 3, .user_config = "1" });
	atomic_store(&refuses, true);
	assert_int_equal(
	    pinion_reconfigure(rt, "Changing", .user_config = "9", .diag = &diag), -EPERM);
	assert_string_equal(diag.text, "Changing: reconfigure of replica 1 failed: not that one");
	assert_int_equal(pinion_broadcast(handle, PINION_ARGS((int64_t)0), r, 3), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]) / 100, 1);
}

/* What was bound without a text has "" again. */
static int
take_any(void *replica, pinion_init *init)
{
	pinion_str text = pinion_init_user_config(init);

	if (pinion_init_replica(init) == 1 && pinion_str_is(text, "9"))
		return -EPERM;
	*(int64_t *)replica = text.len == 0 ? 0 : text.data[0];
	return 0;
}

static int
tell(void *replica, pinion_request *req)
{
	return pinion_reply(req, *(const int64_t *)replica);
}

static const pinion_deployment plain_kind = {
	.name = "Plain",
	.replica_size = sizeof(int64_t),
	.reconfigure = take_any,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, tell, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_plain(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &plain_kind, PINION_ARGS(), .num_replicas = 2);
}

static void
a_first_text_that_is_refused_is_taken_back(void **state)
{
	pinion_response r[2];
	pinion_handle plain;

	(void)state;
	assert_int_equal(pinion_run(rt, build_plain, &plain), 0);
	assert_int_equal(pinion_reconfigure(rt, "Plain", .user_config = "9"), -EPERM);
	assert_int_equal(pinion_broadcast(plain, PINION_ARGS(), r, 2), 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(graph_i64(r[i]), 0);
	assert_int_equal(
	    pinion_reconfigure(rt, "Plain", .max_batch_size = 2, .user_config = "1"), -EINVAL);
	assert_int_equal(pinion_broadcast(plain, PINION_ARGS(), r, 2), 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(graph_i64(r[i]), 0);
}

/* One that was lowered, too. */
static void
new_replicas_have_the_limit_of_now(void **state)
{
	pinion_response r[6];
	pinion_census c;

	(void)state;
	deploy((pinion_bind_options){ .max_ongoing_requests = 10, .routing = "round_robin" });
	assert_int_equal(pinion_reconfigure(rt, "Changing", .max_ongoing_requests = 1), 0);
	scale(2);
	for (int i = 0; i < 6; i++)
		r[i] = call("hold", 0);
	for (int i = 0; i < 6; i++) {
		do /* until the workers have all of them, and have begun what they may */
			pinion_census_take(rt, &c);
		while (c.requests < (uint64_t)(6 - i));
		pinion_census_take(rt, &c);
		assert_in_range(atomic_load(&held_count), 0, i + 2);
		while (atomic_load(&held_count) <= i)
			(void)sched_yield();
		assert_int_equal(pinion_token_reply_value(held[i], PINION_VALUE((int64_t)i)), 0);
	}
	for (int i = 0; i < 6; i++)
		(void)graph_i64(r[i]);
}

static uint64_t
stacks(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < rt->worker_count; i++)
		count += rt->workers[i].fibers_max;
	return count;
}

/* More than the kernel allows is refused, and changes nothing: what is asked for next has all its stacks. */
static void
what_has_no_stacks_is_refused(void **state)
{
	uint64_t before;
	pinion_diag diag;

	(void)state;
	deploy((pinion_bind_options){ .max_ongoing_requests = 1000, .user_config = "1" });
	before = stacks();
	assert_int_equal(pinion_scale(rt, NULL, "Changing", 16000, &diag), -ENOMEM);
	assert_non_null(strstr(diag.text, "vm.max_map_count"));
	assert_int_equal(stacks(), before);
	scale(3);
	assert_int_equal(stacks(), before + 2 * 1000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
		    pinion_reconfigure(rt, "Changing", .user_config = "2",
			.max_ongoing_requests = i == 0 ? 200000 : 2000000000, .diag = &diag),
		    -ENOMEM);
		assert_non_null(strstr(diag.text, "max_ongoing_requests"));
	}
	assert_int_equal(graph_i64(call(PINION_CALL, 0)) / 100, 1); /* the text as well */
	assert_int_equal(pinion_scale(rt, NULL, "Changing", INT32_MAX, &diag), -ENOSPC);
	assert_int_equal(stacks(), before + 2 * 1000);
}

/* Something runs that does not end: it is said, and the replica goes on. */
static void
a_replica_that_is_busy_is_not_reconfigured(void **state)
{
	pinion_response r;
	pinion_diag diag;

	(void)state;
	deploy((pinion_bind_options){ .user_config = "1" });
	r = call("hold", 0);
	while (atomic_load(&held_count) != 1)
		(void)sched_yield();
	assert_int_equal(pinion_reconfigure(rt, "Changing", .user_config = "2",
			     .timeout_ns = 1000000, .diag = &diag),
	    -ETIMEDOUT);
	assert_string_equal(
	    diag.text, "Changing: reconfigure of replica 0 failed: its requests still run");
	assert_int_equal(graph_i64(call(PINION_CALL, 0)), 100);
	assert_int_equal(pinion_token_reply_value(held[0], PINION_VALUE((int64_t)5)), 0);
	assert_int_equal(graph_i64(r), 5);
}

/* 67: what is queued stays queued; new limits count from now on. */
static void
behaviour_67_limits_change_while_calls_wait(void **state)
{
	pinion_response r[4], refused;
	int64_t x;

	(void)state;
	deploy((pinion_bind_options){ .max_ongoing_requests = 1, .max_queued_requests = 3 });
	for (int i = 0; i < 4; i++)
		r[i] = call("hold", 0);
	while (atomic_load(&held_count) != 1)
		(void)sched_yield();
	refused = call("hold", 0);
	assert_int_equal(pinion_result(refused, &x), -ENOBUFS);
	pinion_release(refused);
	assert_int_equal(pinion_reconfigure(rt, "Changing", .max_ongoing_requests = 3), 0);
	while (atomic_load(&held_count) != 3)
		(void)sched_yield();
	assert_int_equal(
	    pinion_reconfigure(rt, "Changing", .max_ongoing_requests = 1, .max_queued_requests = 1),
	    0);
	refused = call("hold", 0); /* one is queued still */
	assert_int_equal(pinion_result(refused, &x), -ENOBUFS);
	pinion_release(refused);
	for (int i = 0; i < 4; i++) {
		while (atomic_load(&held_count) <= i)
			(void)sched_yield();
		assert_int_equal(pinion_token_reply_value(held[i], PINION_VALUE((int64_t)i)), 0);
		(void)graph_i64(r[i]);
		for (int k = 0; i < 2 && k < 2;
		     k++) /* its worker makes a turn: the last is not let in */
			assert_int_equal(
			    pinion_reconfigure(rt, "Changing", .max_queued_requests = 1), 0);
		if (i < 2)
			assert_int_equal(atomic_load(&held_count), 3);
	}
}

static void
behaviour_94_setters_are_for_the_next_batch(void **state)
{
	pinion_response r[3];

	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 1 });
	for (int i = 0; i < 2; i++)
		r[i] = call("batched", 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(graph_i64(r[i]), 2);
	assert_int_equal(pinion_reconfigure(rt, "Changing", .max_batch_size = 3), 0);
	for (int i = 0; i < 3; i++)
		r[i] = call("batched", 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), 3);
}

static void
a_warm_up_that_fails_takes_all_back(void **state)
{
	pinion_diag diag;

	(void)state;
	wanted = (pinion_bind_options){ .num_replicas = 2, .user_config = "8" };
	assert_int_equal(pinion_run(rt, build, &handle, .diag = &diag), -EIO);
	assert_string_equal(diag.text, "Changing: init of replica 0 failed: too cold");
	assert_int_equal(atomic_load(&inits), 1);
	assert_int_equal(atomic_load(&deinits), 1);
	(void)pinion_port_mine(rt);
}

static void
assert_refused(int err, int code, const pinion_diag *diag, const char *why)
{
	assert_int_equal(err, code);
	assert_non_null(strstr(diag->text, why));
}

static void
what_cannot_be_is_refused(void **state)
{
	pinion_diag d;

	(void)state;
	deploy((pinion_bind_options){ .num_replicas = 1 });
	assert_refused(pinion_scale(rt, NULL, "Changing", 0, &d), -EINVAL, &d, "num_replicas is 0");
	assert_refused(
	    pinion_scale(rt, NULL, "Changing", -2, &d), -EINVAL, &d, "num_replicas is -2");
	assert_refused(pinion_scale(rt, NULL, "Other", 2, &d), -ENOENT, &d, "\"Other\"");
	assert_refused(pinion_scale(rt, "none", "Changing", 2, &d), -ENOENT, &d, "\"none\"");
	assert_refused(pinion_scale(rt, NULL, "Changing", 20000, &d), -ENOSPC, &d, "16384");
	assert_refused(pinion_reconfigure(rt, "Changing", .max_queued_requests = 5, .diag = &d),
	    -EINVAL, &d, "without max_queued_requests");
	assert_refused(pinion_reconfigure(rt, "Changing", .batch_wait_ns = -1, .diag = &d), -EINVAL,
	    &d, "batch_wait_ns is -1");
	assert_int_equal(who_answers(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_74_and_76_replicas_come_and_go),
		TEST(behaviour_104_calls_fly_meanwhile),
		TEST(what_has_not_begun_goes_to_others),
		TEST(behaviour_100_user_config_changes_in_place),
		TEST(behaviour_101_a_reconfigure_that_fails),
		TEST(a_first_text_that_is_refused_is_taken_back),
		TEST(new_replicas_have_the_limit_of_now),
		TEST(what_has_no_stacks_is_refused),
		TEST(a_replica_that_is_busy_is_not_reconfigured),
		TEST(behaviour_67_limits_change_while_calls_wait),
		TEST(behaviour_94_setters_are_for_the_next_batch),
		TEST(a_warm_up_that_fails_takes_all_back),
		TEST(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
