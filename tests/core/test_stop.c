/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    pinion_stop ends everything: outstanding calls -ECANCELED, later uses -ESTALE, deinit once a replica,
 *         no thread, descriptor or mapping left; runtimes side by side do not disturb each other.
 * Method  Handlers that wait in every way there is, stopped while they do; /proc/self before and after.
 */
#include "tests/core/graph.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>

static pinion_runtime *rt;
static _Atomic int inits, deinits;
static unsigned canceled; /* calls that ended so */

static unsigned
count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned count = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		count++;
	closedir(d);
	return count;
}

static unsigned
count_mappings(const char *what)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned count = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		count += strstr(line, what) != NULL;
	fclose(f);
	return count;
}

/* ---- an application that waits -------------------------------------------------------------- */

static int
counting_init(void *replica, pinion_init *init)
{
	atomic_fetch_add(&inits, 1);
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static void
counting_deinit(void *replica)
{
	(void)replica;
	atomic_fetch_add(&deinits, 1);
}

static int
wait_forever(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(pinion_method_of(*(const pinion_handle *)replica, "forget"), PINION_ARGS());
	int64_t x;
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x);
}

static int
relay_forever(void *replica, pinion_request *req)
{
	return pinion_reply_response(req,
	    pinion_call(
		pinion_method_of(*(const pinion_handle *)replica, "forget"), PINION_ARGS()));
}

static int
sleep_forever(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, INT64_C(3600000000000));

	(void)replica;
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

static const pinion_deployment waits = {
	.name = "Waits",
	.replica_size = sizeof(pinion_handle),
	.init = counting_init,
	.deinit = counting_deinit,
	.init_params = PINION_PARAMS(PINION_HANDLE("worker")),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, wait_forever, .returns = PINION_RETURNS_I64),
		PINION_METHOD("relay", relay_forever, .returns = PINION_RETURNS_I64),
		PINION_METHOD("sleep", sleep_forever, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *w = pinion_bind(app, &graph_worker, PINION_ARGS(), .num_replicas = 2);

	(void)config;
	return pinion_bind(app, &waits, PINION_ARGS(w), .num_replicas = 3);
}

/* ---- tests ---------------------------------------------------------------------------------- */

struct waiting {
	pinion_handle handle;
	_Atomic int sent;
	int codes[5];
	int late;
};

/* A thread that waits for calls which never end. */
static void *
wait_for_all(void *arg)
{
	struct waiting *w = arg;
	pinion_response r[5] = {
		pinion_call(w->handle, PINION_ARGS()),
		pinion_call(pinion_method_of(w->handle, "relay"), PINION_ARGS()),
		pinion_call(pinion_method_of(w->handle, "sleep"), PINION_ARGS()),
	};
	int64_t x;

	r[3] = pinion_task(rt, (pinion_task_fn *)NULL, PINION_ARGS());
	r[4] = pinion_call(w->handle, PINION_ARGS());
	atomic_store(&w->sent, 1);
	for (int i = 0; i < 5; i++)
		w->codes[i] = pinion_result(r[i], &x);
	w->late = 0;
	while (w->late != -ESTALE) { /* ended by pinion_stop */
		pinion_response late = pinion_call(w->handle, PINION_ARGS());

		w->late = pinion_result(late, &x);
		pinion_release(late);
	}
	for (int i = 0; i < 5; i++)
		pinion_release(r[i]);
	return NULL;
}

static void
stop_while_calls_wait(int workers, const char *idle)
{
	struct waiting w = { .codes = { 0 } };
	pthread_t t;

	atomic_store(&inits, 0);
	atomic_store(&deinits, 0);
	assert_int_equal(
	    pinion_start(&rt, .workers = workers, .idle = idle, .drain_ns = 1000000), 0);
	assert_int_equal(pinion_run(rt, build, &w.handle), 0);
	assert_int_equal(pthread_create(&t, NULL, wait_for_all, &w), 0);
	while (atomic_load(&w.sent) == 0)
		continue;
	pinion_stop(rt);
	pthread_join(t, NULL);
	/* The thread may come to look at a response only when all is over. */
	for (int i = 0; i < 5; i++) {
		canceled += w.codes[i] == -ECANCELED;
		if (w.codes[i] != -ESTALE)
			assert_int_equal(w.codes[i], i == 3 ? -EINVAL : -ECANCELED);
	}
	assert_int_equal(w.late, -ESTALE);
	assert_int_equal(atomic_load(&inits), 3);
	assert_int_equal(atomic_load(&deinits), 3);
}

static void
outstanding_calls_end_canceled_and_nothing_is_left(void **state)
{
	enum {
		STACKS_KEPT = 8
	}; /* of threads that have ended, by the C library: 40 MiB of them */
	unsigned fds, tasks, segments, guards;

	(void)state;
	stop_while_calls_wait(
	    2, "adaptive"); /* what the libraries make once is there from now on */
	fds = count_entries("/proc/self/fd");
	tasks = count_entries("/proc/self/task");
	segments = count_mappings("memfd:pinion");
	guards = count_mappings(" ---p ");
	for (uint64_t i = 0; i < scaled(40); i++)
		stop_while_calls_wait(i % 2 == 0 ? 2 : 3, i % 2 == 0 ? "adaptive" : "yield");
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	while (count_entries("/proc/self/task") != tasks)
		continue; /* a joined thread goes from there a little later */
	assert_int_equal(count_mappings("memfd:pinion"), segments);
	assert_in_range(
	    count_mappings(" ---p "), 0, guards + STACKS_KEPT); /* one a stop would be 40 */
	assert_true(canceled != 0);
}

static void
a_caller_driven_runtime_stops_as_well(void **state)
{
	pinion_handle handle;
	pinion_response r[3];
	int64_t x;

	(void)state;
	assert_int_equal(
	    pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .drain_ns = 1000000), 0);
	assert_int_equal(pinion_run(rt, build, &handle), 0);
	r[0] = pinion_call(handle, PINION_ARGS());
	r[1] = pinion_call(pinion_method_of(handle, "sleep"), PINION_ARGS());
	r[2] = pinion_call(pinion_method_of(handle, "relay"), PINION_ARGS());
	for (int i = 0; i < 10; i++)
		(void)pinion_work(rt); /* they wait now */
	pinion_stop(rt);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pinion_result(r[i], &x), -ESTALE);
		pinion_release(r[i]);
	}
}

static _Atomic int counted;

static int
count_one(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&counted, 1);
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static const pinion_deployment counting = {
	.name = "Counting",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, count_one,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_counting(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &counting, PINION_ARGS(), .num_replicas = 3);
}

static void
behaviour_104_calls_under_way_are_drained(void **state)
{
	pinion_response r[64];
	pinion_handle handle;
	int64_t x;

	(void)state;
	for (uint64_t round = 0; round < scaled(100); round++) {
		atomic_store(&counted, 0);
		assert_int_equal(pinion_start(&rt, .workers = 2, .drain_ns = 60000000000), 0);
		assert_int_equal(pinion_run(rt, build_counting, &handle), 0);
		for (int i = 0; i < 64; i++)
			r[i] = pinion_call(handle,
			    PINION_ARGS(i == 0 ? pinion_call(handle, PINION_ARGS(0)) : r[i - 1]));
		pinion_stop(rt);
		assert_int_equal(pinion_result(r[63], &x), -ESTALE);
		assert_int_equal(atomic_load(&counted), 1 + 64);
	}
}

static void
two_runtimes_live_side_by_side(void **state)
{
	pinion_runtime *a, *b;
	pinion_handle in_a, in_b;
	pinion_response r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&a, .workers = 1, .name = "a"), 0);
	assert_int_equal(pinion_start(&b, .workers = 1, .name = "b"), 0);
	assert_int_equal(pinion_run(a, graph_build_workers, &in_a), 0);
	assert_int_equal(pinion_run(b, graph_build_workers, &in_b), 0);
	for (int64_t i = 0; i < (int64_t)scaled(2000); i++) {
		pinion_response ra = pinion_call(in_a, PINION_ARGS(i));
		pinion_response rb = pinion_call(in_b, PINION_ARGS(i + 1));

		assert_int_equal(graph_i64(rb), i + 2);
		assert_int_equal(graph_i64(ra), i + 1);
	}
	/* A response of one is no argument of the other. */
	r = pinion_call(in_a, PINION_ARGS(1));
	pinion_response wrong = pinion_call(in_b, PINION_ARGS(r));

	assert_int_equal(pinion_result(wrong, &x), -ESTALE);
	pinion_release(wrong);
	pinion_release(r);
	pinion_stop(a);
	assert_int_equal(pinion_result(pinion_call(in_a, PINION_ARGS(1)), &x), -ESTALE);
	assert_int_equal(graph_i64(pinion_call(in_b, PINION_ARGS(1))), 2);
	graph_assert_clean(b, 1);
	pinion_stop(b);
}

static int
fail_second(void *replica, pinion_init *init)
{
	(void)replica;
	atomic_fetch_add(&inits, 1);
	return pinion_init_replica(init) == 1 ? pinion_init_fail(init, -EPERM, "not the second")
					      : 0;
}

static const pinion_deployment fails = {
	.name = "Fails",
	.init = fail_second,
	.deinit = counting_deinit,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, sleep_forever)),
};

static pinion_node *
build_failing(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &fails, PINION_ARGS(), .num_replicas = 3);
}

static void
behaviour_7_and_102_an_init_that_fails_leaves_nothing_running(void **state)
{
	pinion_handle handle;
	pinion_diag diag;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 2), 0);
	for (int i = 0; i < 100; i++) {
		atomic_store(&inits, 0);
		atomic_store(&deinits, 0);
		assert_int_equal(pinion_run(rt, build_failing, &handle, .diag = &diag), -EPERM);
		assert_string_equal(diag.text, "Fails: init of replica 1 failed: not the second");
		assert_int_equal(atomic_load(&inits), 2);
		assert_int_equal(atomic_load(&deinits), 1);
	}
	/* The name is free again, and other applications run. */
	assert_int_equal(pinion_run(rt, graph_build_workers, &handle), 0);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS(1))), 2);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outstanding_calls_end_canceled_and_nothing_is_left),
		cmocka_unit_test(a_caller_driven_runtime_stops_as_well),
		cmocka_unit_test(behaviour_104_calls_under_way_are_drained),
		cmocka_unit_test(two_runtimes_live_side_by_side),
		cmocka_unit_test(behaviour_7_and_102_an_init_that_fails_leaves_nothing_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
