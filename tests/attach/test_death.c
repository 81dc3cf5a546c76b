/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A client that is killed at any moment leaves nothing behind and disturbs nobody; one that is stopped keeps what it has; of
 *         a controller that is killed its clients are told, whatever they do then; no name is in anybody's way.
 * Method  Real processes, SIGKILL and SIGSTOP; the census, the process's descriptors and mappings, and callers that check every
 *         answer meanwhile.
 */
#include "tests/attach/belongings.h"
#include "tests/attach/serve.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle worker;

/* How often each request of a client's was started: a client has so many numbers. */
enum {
	NUMBERS = 1 << 12,
	CLIENTS = 1 << 10
};
static _Atomic uint8_t *ledger;
static _Atomic uint64_t started_twice;

static int
start_once(void *state, pinion_request *req)
{
	uint64_t id = (uint64_t)pinion_arg_i64(req, 0) % (NUMBERS * (uint64_t)CLIENTS);

	(void)state;
	if (atomic_fetch_add(&ledger[id], 1) != 0)
		atomic_fetch_add(&started_twice, 1);
	return pinion_reply(req, (int64_t)id + 1);
}

static pinion_ref kept;
static _Atomic int is_kept;

static int
keep(void *state, pinion_request *req)
{
	(void)state;
	kept = pinion_arg_ref(req, 0);
	atomic_store(&is_kept, 1);
	return pinion_reply(req, (int64_t)0);
}

static const pinion_deployment once = { .name = "Once",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, start_once, .params = PINION_PARAMS(PINION_I64("id")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("keep", keep, .params = PINION_PARAMS(PINION_REF("ref")),
		.returns = PINION_RETURNS_I64)) };

static pinion_node *
build_once(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &once, PINION_ARGS(), .num_replicas = 2);
}

static int
start(void **state)
{
	pinion_handle handle;

	(void)state;
	ledger = malloc(NUMBERS * (size_t)CLIENTS);
	atomic_store(&started_twice, 0);
	if (ledger == NULL)
		return 1;
	memset((void *)ledger, 0,
	    NUMBERS * (size_t)CLIENTS); /* so that it is there, and counts as had before */
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test") != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0 ||
	    pinion_run(rt, build_once, &handle, .name = "once") != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	free((void *)ledger);
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
	/* Its number, of those that count. */
	int64_t me = atoi(getenv("PINION_TEST_NUMBER")) % CLIENTS * (int64_t)NUMBERS;
	pinion_runtime *mine;
	pinion_handle to, counted;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	GUEST_WANT(pinion_handle_find(mine, "once", NULL, &counted) == 0);
	for (int64_t i = 0;; i++) {
		pinion_response r[7];
		int64_t x;

		if (i < NUMBERS)
			r[6] = pinion_call(counted, PINION_ARGS(me + i));

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
		if (i >= NUMBERS)
			continue;
		GUEST_WANT(pinion_result(r[6], &x) == 0 && x == me + i + 1);
		pinion_release(r[6]);
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

/* In its event loop when the other side ends. */
static int
play_armed(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to;
	pinion_port *port;
	pinion_finished done;
	struct pollfd on = { .events = POLLIN };
	pinion_response r;
	int64_t x;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	GUEST_WANT(pinion_port_open(mine, &port) == 0);
	on.fd = pinion_port_fd(port);
	GUEST_WANT(on.fd >= 0);
	r = pinion_call_tagged(port, pinion_method_of(to, "nap"), PINION_ARGS((int64_t)1 << 40), 7);
	GUEST_WANT(!pinion_port_arm(port));
	guest_say_ready();
	GUEST_WANT(poll(&on, 1, 10000) == 1);
	while (pinion_harvest(port, &done, 1) == 0)
		if (!pinion_port_arm(port))
			GUEST_WANT(poll(&on, 1, 10000) == 1);
	GUEST_WANT(done.tag == 7);
	GUEST_WANT(pinion_result_on(port, r, &x) == -EOWNERDEAD);
	pinion_release_on(port, r);
	pinion_port_close(port);
	pinion_stop(mine);
	return 0;
}

/* Gives a reference to a call that waits behind one that does not end, and waits to be killed. */
static int
play_referred(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to, keeper;
	pinion_response r;
	int64_t x;

	GUEST_WANT(is_attached(&mine, name));
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	GUEST_WANT(pinion_handle_find(mine, "once", NULL, &keeper) == 0);
	r = pinion_call(pinion_method_of(to, "forget"), PINION_ARGS());
	r = pinion_call(pinion_method_of(keeper, "keep"), PINION_ARGS(pinion_response_ref(r)));
	GUEST_WANT(pinion_result(r, &x) == 0);
	guest_say_ready();
	(void)pause();
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
	{ "asleep", play_asleep }, { "armed", play_armed }, { "referred", play_referred },
	{ "controller", play_controller }, { NULL, NULL } };

/* ---- clients ---------------------------------------------------------------------------------- */

static pid_t
start_load(int number)
{
	char text[16];

	/* Whoever had this number before is long dead, or there was none. */
	memset((void *)&ledger[number * NUMBERS], 0, NUMBERS);
	(void)snprintf(text, sizeof text, "%d", number);
	assert_int_equal(setenv("PINION_TEST_NUMBER", text, 1), 0);
	return guest_start("load", "test");
}

static void
kill_now(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(guest_wait(pid), -SIGKILL);
}

/* Two at a time, so that the one's death falls into the other's calls. */
static void
clients_killed_at_any_moment_leave_nothing(void **state)
{
	uint64_t random = seed() | 1;
	int kills = (int)scaled(5000), warm = kills / 10;
	pid_t pids[2];
	struct belongings before;
	long memory = 0;

	(void)state;
	work_for(0);
	before = belongings();
	for (int k = 0; k < 2; k++)
		pids[k] = start_load(k);
	for (int i = 0; i < kills; i++) {
		/* From before it attaches to after many calls. */
		work_for((long)(next_random(&random) % 10000000));
		kill_now(pids[i % 2]);
		pids[i % 2] = start_load(2 + i % (CLIENTS - 2));
		if (i == warm)
			memory = resident();
		if (i % 1000 == 999)
			print_message("%d of %d killed\n", i + 1, kills);
	}
	for (int k = 0; k < 2; k++)
		kill_now(pids[k]);
	await_nothing_left();
	graph_assert_clean(rt, 1);
	assert_int_equal(started_twice, 0);
	while (!is_same(before, belongings()))
		(void)sched_yield(); /* after a grace period */
	print_message("%ld kB more than after %d kills\n", resident() - memory, warm);
	if (scaled(1000) == 1000) /* sanitizers keep what was given back */
		assert_true(resident() - memory < 4096);
}

static void *
kill_it(void *arg)
{
	pid_t *pid = arg;

	assert_int_equal(kill(*pid, SIGKILL), 0);
	return NULL;
}

static void
who_waits_for_a_dead_client_s_result_is_told(void **state)
{
	int rounds = (int)scaled(100);

	(void)state;
	work_for(0);
	for (int i = 0; i < rounds; i++) {
		pid_t pid = guest_start("referred", "test");
		pthread_t killer;
		int64_t x;
		int err;

		guests_await_ready(1);
		assert_int_equal(atomic_exchange(&is_kept, 0), 1);
		assert_int_equal(pthread_create(&killer, NULL, kill_it, &pid), 0);
		err = pinion_ref_get(kept, &x); /* before, while and after it is killed */
		assert_true(err == -EOWNERDEAD || err == -ECANCELED || err == -ESTALE);
		assert_int_equal(pthread_join(killer, NULL), 0);
		assert_int_equal(guest_wait(pid), -SIGKILL);
		await_nothing_left();
	}
}

/* A storm: each is stopped and goes on at any moment, and never taken for dead. */
static void
clients_that_are_stopped_keep_what_they_have(void **state)
{
	uint64_t random = seed() | 1;
	int stops = (int)scaled(2000);
	pid_t pids[2] = { start_load(0), start_load(1) };
	pinion_census c;

	(void)state;
	work_for(0);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 3);
	for (int i = 0; i < stops; i++) {
		pid_t pid = pids[next_random(&random) % 2];

		assert_int_equal(kill(pid, SIGSTOP), 0);
		/* Now and then for long. */
		work_for((long)(next_random(&random) % (i % 100 == 0 ? 200000000 : 2000000)));
		pinion_census_take(rt, &c);
		assert_int_equal(c.ports, 3);
		assert_int_equal(kill(pid, SIGCONT), 0);
		work_for((long)(next_random(&random) % 1000000));
	}
	for (int k = 0; k < 2; k++)
		kill_now(pids[k]);
	await_nothing_left();
	assert_int_equal(started_twice, 0);
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
	int rounds = (int)scaled(200);

	(void)state;
	for (int i = 0; i < rounds; i++) {
		pid_t controller = guest_start("controller", "other"), clients[3];

		await_controller("other");
		clients[0] = guest_start("bereaved", "other");
		clients[1] = guest_start("asleep", "other");
		clients[2] = guest_start("armed", "other");
		guests_await_ready(3);
		assert_int_equal(kill(controller, SIGKILL), 0);
		assert_int_equal(guest_wait(controller), -SIGKILL);
		assert_int_equal(guest_wait(clients[0]), 0);
		assert_int_equal(guest_wait(clients[1]), 0);
		assert_int_equal(guest_wait(clients[2]), 0);
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
		    clients_killed_at_any_moment_leave_nothing, start, stop),
		cmocka_unit_test_setup_teardown(
		    who_waits_for_a_dead_client_s_result_is_told, start, stop),
		cmocka_unit_test_setup_teardown(
		    clients_that_are_stopped_keep_what_they_have, start, stop),
		cmocka_unit_test(clients_of_a_killed_controller_are_told),
		cmocka_unit_test(the_next_to_start_takes_the_name_over),
		cmocka_unit_test(of_two_that_start_at_once_one_wins),
	};
	int played = guest_main(argc, argv, roles);

	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
