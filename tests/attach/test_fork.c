/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A forked child has no part in its parent's runtime: whatever it calls says so and harms nobody; the parent's death is
 *         seen although the child lives on.
 * Method  fork in each state that a process can be in; the child exits with what it found.
 */
#include "tests/attach/serve.h"

#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle worker;
static pinion_port *port;

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test") != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0 || pinion_port_open(rt, &port) != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_port_close(port);
	pinion_stop(rt);
	return 0;
}

/* ThreadSanitizer ends a child of a process with threads that makes threads of its own. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHILDREN_MAKE_NO_THREADS 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CHILDREN_MAKE_NO_THREADS 1
#endif

#if defined(CHILDREN_MAKE_NO_THREADS)
static int
attach_anew(void)
{
	return 0;
}
#else
/* What a child may: have a part of its own. */
static int
attach_anew(void)
{
	pinion_runtime *mine;
	pinion_handle found;
	pinion_response r;
	int64_t x;

	GUEST_WANT(pinion_attach(&mine, "test") == 0);
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &found) == 0);
	r = pinion_call(found, PINION_ARGS(41));
	GUEST_WANT(pinion_result(r, &x) == 0 && x == 42);
	pinion_release(r);
	pinion_stop(mine);
	return 0;
}
#endif

/* All that a program could do with what it has from its parent. */
static int
use_everything(pinion_response pending)
{
	pinion_handle found;
	pinion_response r = pinion_call(worker, PINION_ARGS(1));
	pinion_error e = pinion_response_error(r);
	pinion_census c;
	int64_t x;

	GUEST_WANT(pinion_result(r, &x) == -ESTALE);
	GUEST_WANT(memmem(e.text.data, e.text.len, "forked", 6) != NULL);
	pinion_release(r);
	r = pinion_call_on(port, worker, PINION_ARGS(1));
	GUEST_WANT(pinion_result(r, &x) == -ESTALE);
	GUEST_WANT(pinion_result(pending, &x) == -ESTALE);
	pinion_cancel(pending);
	pinion_release(pending);
	GUEST_WANT(pinion_post(worker, PINION_ARGS(1)) == -ESTALE);
	GUEST_WANT(pinion_loan(port, 100) == NULL);
	GUEST_WANT(pinion_handle_find(rt, "default", NULL, &found) == 0 ||
	    pinion_handle_find(rt, "default", NULL, &found) == -ENOENT);
	r = pinion_call(worker, PINION_ARGS(1));
	GUEST_WANT(pinion_result(r, &x) == -ESTALE);
	pinion_census_take(rt, &c);
	pinion_port_close(port);
	pinion_stop(rt);
	return attach_anew();
}

static void
a_forked_child_is_told_so_by_all_that_it_calls(void **state)
{
	int forks = (int)scaled(20);

	(void)state;
	for (int i = 0; i < forks; i++) {
		pinion_response pending =
		    pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS(1000000));
		pid_t pid = fork();

		if (pid == 0)
			_exit(use_everything(pending));
		assert_true(pid > 0);
		assert_int_equal(guest_wait(pid), 0);
		assert_int_equal(graph_i64(pending), 1000000);
	}
}

static int
fork_in_it(pinion_request *req)
{
	pid_t pid = fork();

	if (pid == 0) {
		int64_t x;
		pinion_response r = pinion_call(worker, PINION_ARGS(1));

		_exit(pinion_result(r, &x) == -ESTALE ? 0 : 1);
	}
	return pinion_reply(req, (int64_t)guest_wait(pid));
}

static void
a_handler_may_fork(void **state)
{
	(void)state;
	assert_int_equal(graph_i64(pinion_task(rt, fork_in_it, PINION_ARGS())), 0);
}

/* A client with a child that outlives it. */
static int
play_parent(const char *name)
{
	pinion_runtime *mine;
	pinion_handle to;
	pinion_response r;
	pid_t child;
	int64_t x;

	GUEST_WANT(pinion_attach(&mine, name) == 0);
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	r = pinion_call(to, PINION_ARGS(1));
	GUEST_WANT(pinion_result(r, &x) == 0);
	child = fork();
	if (child == 0) {
		(void)pause(); /* until the test kills it */
		_exit(0);
	}
	guest_say(&child, sizeof child);
	(void)pause();
	return 0;
}

static void
a_child_that_lives_on_does_not_keep_its_parent_alive(void **state)
{
	pid_t pid = guest_start("parent", "test"), child;
	pinion_census c;

	(void)state;
	guest_hear(&child, sizeof child);
	pinion_census_take(rt, &c);
	assert_int_equal(c.ports, 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(guest_wait(pid), -SIGKILL);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 1);
	assert_int_equal(kill(child, SIGKILL), 0); /* it was there all the time */
}

static const struct role roles[] = { { "parent", play_parent }, { NULL, NULL } };

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_forked_child_is_told_so_by_all_that_it_calls, start, stop),
		cmocka_unit_test_setup_teardown(a_handler_may_fork, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_child_that_lives_on_does_not_keep_its_parent_alive, start, stop),
	};
	int played = guest_main(argc, argv, roles);

	if (played >= 0)
		return played;
	return cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
