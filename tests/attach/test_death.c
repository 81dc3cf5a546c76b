/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A client that is killed at any moment leaves nothing behind and disturbs nobody; one that is stopped keeps what it has; of
 *         a controller that is killed its clients are told, whatever they do then; no name is in anybody's way.
 * Method  Real processes, SIGKILL and SIGSTOP; the census, the process's descriptors and mappings, and callers that check every
 *         answer meanwhile.
 */
#include "tests/attach/serve.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle worker;

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test") != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Calls for so long, and sees that every answer is right. */
static void
work_for(long ns)
{
	static int64_t n;
	struct timespec start, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(n))), n + 1);
		n++;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < ns);
}

static void
await_nothing_left(void)
{
	pinion_census c;

	do
		pinion_census_take(rt, &c);
	while (c.ports != 1 || c.requests != 0); /* the test's own port */
}

static unsigned
entries_in(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static unsigned
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		count += strstr(line, "pinion-") != NULL;
	(void)fclose(f);
	return count;
}

/* ---- roles ------------------------------------------------------------------------------------ */

/* Says why, if not. */
static bool
is_attached(pinion_runtime **mine, const char *name)
{
	pinion_diag diag;
	int err = pinion_attach(mine, name, .diag = &diag);

	if (err != 0)
		(void)fprintf(stderr, "%s (%d)\n", diag.text, err);
	return err == 0;
}

/* Everything at once, until it is killed. */
static int
play_load(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	for (int64_t i = 0;; i++) {
		pinion_response r[6];
		int64_t x;

		r[0] = pinion_call(to, PINION_ARGS(i));
		r[1] = pinion_call(to, PINION_ARGS(r[0]));
		r[2] = pinion_call(pinion_method_of(to, "sum"), PINION_ARGS(r[0], r[1]));
		r[3] = pinion_call(pinion_method_of(to, "nap"), PINION_ARGS(20000));
		r[4] = pinion_call(to, PINION_ARGS(r[3]));
		r[5] = pinion_call(pinion_method_of(to, "fill"), PINION_ARGS(5000));
		GUEST_WANT(pinion_result(r[2], &x) == 0 && x == 2 * i + 3);
		if (i % 2 == 0)
			GUEST_WANT(pinion_result(r[4], &x) == 0);
		for (int k = 0; k < 6; k++)
			pinion_release(r[k]);
	}
}

/* Calls until the other side ends, and says how that was told. */
static int
play_bereaved(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to;
	pinion_response r;
	int64_t x;
	int err = 0;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	r = pinion_call(pinion_method_of(to, "nap"), PINION_ARGS((int64_t)1 << 40));
	guest_say_ready();
	while (err == 0) {
		pinion_response quick = pinion_call(to, PINION_ARGS(1));

		err = pinion_result(quick, &x);
		pinion_release(quick);
	}
	if (err != -EOWNERDEAD)
		(void)fprintf(stderr, "it was told %d\n", err);
	GUEST_WANT(err == -EOWNERDEAD);
	GUEST_WANT(pinion_result(r, &x) == -EOWNERDEAD);
	GUEST_WANT(pinion_response_error(r).text.len != 0);
	pinion_release(r);
	pinion_stop(mine);
	return 0;
}

/* Asleep on one result when the other side ends. */
static int
play_asleep(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to;
	pinion_response r;
	int64_t x;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	r = pinion_call(pinion_method_of(to, "nap"), PINION_ARGS((int64_t)1 << 40));
	guest_say_ready();
	GUEST_WANT(pinion_result(r, &x) == -EOWNERDEAD);
	pinion_stop(mine);
	return 0;
}

/* A runtime of its own, until it is killed. */
static int
play_controller(const char *name)
{
	pinion_runtime *mine;
	pinion_handle handle;

	GUEST_WANT(pinion_start(&mine, .workers = 1, .no_pin = true, .listen = name) == 0);
	GUEST_WANT(pinion_run(mine, graph_build_workers, &handle) == 0);
	for (;;)
		(void)pause();
}

static const struct role roles[] = { { "load", play_load }, { "bereaved", play_bereaved },
	{ "asleep", play_asleep }, { "controller", play_controller }, { NULL, NULL } };

/* ---- clients ---------------------------------------------------------------------------------- */

static void
a_client_killed_at_any_moment_leaves_nothing(void **state)
{
	uint64_t random = seed() | 1;
	int kills = (int)scaled(400);
	unsigned descriptors, maps;

	(void)state;
	work_for(0);
	descriptors = entries_in("/proc/self/fd");
	maps = mappings();
	for (int i = 0; i < kills; i++) {
		pid_t pid = guest_start("load", "test");
		/* From before it attaches to after many calls. */
		work_for((long)(next_random(&random) % 30000000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(guest_wait(pid), -SIGKILL);
	}
	await_nothing_left();
	graph_assert_clean(rt, 1);
	while (entries_in("/proc/self/fd") != descriptors || mappings() != maps)
		(void)sched_yield(); /* after a grace period */
}

static void
several_clients_killed_at_once_leave_nothing(void **state)
{
	int rounds = (int)scaled(40);

	(void)state;
	work_for(0);
	for (int i = 0; i < rounds; i++) {
		pid_t pids[4];

		for (int k = 0; k < 4; k++)
			pids[k] = guest_start("load", "test");
		work_for(20000000);
		for (int k = 0; k < 4; k++)
			assert_int_equal(kill(pids[k], SIGKILL), 0);
		for (int k = 0; k < 4; k++)
			assert_int_equal(guest_wait(pids[k]), -SIGKILL);
	}
	await_nothing_left();
	graph_assert_clean(rt, 1);
}

static void
a_client_that_is_stopped_keeps_what_it_has(void **state)
{
	pid_t pid = guest_start("load", "test");
	pinion_census c;

	(void)state;
	work_for(0);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 2);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(kill(pid, SIGSTOP), 0);
		work_for(20000000);
		pinion_census_take(rt, &c);
		assert_int_equal(c.ports, 2);
		assert_int_equal(kill(pid, SIGCONT), 0);
		work_for(1000000);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(guest_wait(pid), -SIGKILL);
	await_nothing_left();
}

/* ---- controllers ------------------------------------------------------------------------------ */

static void
await_controller(const char *name)
{
	pinion_runtime *mine;

	while (pinion_attach(&mine, name) != 0)
		(void)sched_yield();
	pinion_stop(mine);
}

static void
clients_of_a_killed_controller_are_told(void **state)
{
	int rounds = (int)scaled(20);

	(void)state;
	for (int i = 0; i < rounds; i++) {
		pid_t controller = guest_start("controller", "other"), clients[2];

		await_controller("other");
		clients[0] = guest_start("bereaved", "other");
		clients[1] = guest_start("asleep", "other");
		guests_await_ready(2);
		assert_int_equal(kill(controller, SIGKILL), 0);
		assert_int_equal(guest_wait(controller), -SIGKILL);
		assert_int_equal(guest_wait(clients[0]), 0);
		assert_int_equal(guest_wait(clients[1]), 0);
	}
}

static void
the_next_to_start_takes_the_name_over(void **state)
{
	pinion_runtime *mine;
	pinion_diag diag;

	(void)state;
	for (int i = 0; i < 5; i++) {
		pid_t controller = guest_start("controller", "other");

		await_controller("other");
		assert_int_equal(pinion_start(&mine, .workers = 1, .no_pin = true,
				     .listen = "other", .diag = &diag),
		    -EADDRINUSE);
		assert_non_null(strstr(diag.text, "process"));
		assert_int_equal(kill(controller, SIGKILL), 0);
		assert_int_equal(guest_wait(controller), -SIGKILL);
		assert_int_equal(pinion_attach(&mine, "other", .diag = &diag), -ENOENT);
		assert_int_equal(
		    pinion_start(&mine, .workers = 1, .no_pin = true, .listen = "other"), 0);
		pinion_stop(mine);
	}
}

static pthread_barrier_t both_have_tried;

static void *
start_one(void *arg)
{
	int *err = arg;
	pinion_runtime *mine;

	*err = pinion_start(&mine, .workers = 1, .no_pin = true, .idle = "yield", .listen = "race");
	(void)pthread_barrier_wait(&both_have_tried);
	if (*err == 0)
		pinion_stop(mine);
	return NULL;
}

static void
of_two_that_start_at_once_one_wins(void **state)
{
	int rounds = (int)scaled(20);

	(void)state;
	for (int i = 0; i < rounds; i++) {
		pthread_t threads[2];
		int err[2];

		assert_int_equal(pthread_barrier_init(&both_have_tried, NULL, 2), 0);
		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&threads[k], NULL, start_one, &err[k]), 0);
		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_join(threads[k], NULL), 0);
		(void)pthread_barrier_destroy(&both_have_tried);
		assert_true((err[0] == 0) != (err[1] == 0));
		assert_true(err[0] == -EADDRINUSE || err[1] == -EADDRINUSE);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_client_killed_at_any_moment_leaves_nothing, start, stop),
		cmocka_unit_test_setup_teardown(
		    several_clients_killed_at_once_leave_nothing, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_client_that_is_stopped_keeps_what_it_has, start, stop),
		cmocka_unit_test(clients_of_a_killed_controller_are_told),
		cmocka_unit_test(the_next_to_start_takes_the_name_over),
		cmocka_unit_test(of_two_that_start_at_once_one_wins),
	};
	int played = guest_main(argc, argv, roles);

	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
