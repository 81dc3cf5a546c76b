/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Another process calls, chains, reads streams and results by reference, waits in an event loop, and fails as a thread
 *         of the runtime's own would; when it goes, nothing of it is left.
 * Method  This program once more as that process; the census before and after.
 */
#include "tests/attach/serve.h"

#include <poll.h>
#include <pthread.h>

#include "tests/core/graph.h"

static pinion_runtime *rt;

/* ---- what runs -------------------------------------------------------------------------------- */

static int
count_up(void *state, pinion_request *req)
{
	(void)state;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0); i++) {
		int err = pinion_yield(req, i);

		if (err != 0)
			return err;
	}
	return 0;
}

static int
add_all(void *state, pinion_request *req)
{
	pinion_stream numbers = pinion_arg_stream(req, 0);
	int64_t sum = 0, x;

	(void)state;
	while (pinion_next(numbers, &x) == 1)
		sum += x;
	return pinion_reply(req, sum);
}

static int
call_it(void *state, pinion_request *req)
{
	(void)state;
	return pinion_forward(req, pinion_arg_handle(req, 0), PINION_ARGS(pinion_arg_i64(req, 1)));
}

static int
read_it(void *state, pinion_request *req)
{
	int64_t x;
	int err = pinion_ref_get(pinion_arg_ref(req, 0), &x);

	(void)state;
	return err != 0 ? err : pinion_reply(req, x);
}

static int
defaults(void *state, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 0);

	(void)state;
	return pinion_reply_fmt(req, "%.*s %d %lld", PINION_STR_FMT(text),
	    (int)pinion_arg_bool(req, 1), (long long)pinion_arg_i64(req, 2));
}

static const pinion_deployment more = {
	.name = "More",
	.methods = PINION_METHODS(
	    PINION_METHOD("count", count_up, .params = PINION_PARAMS(PINION_I64("to")),
		.returns = PINION_RETURNS_I64, .stream = true),
	    PINION_METHOD("add", add_all, .params = PINION_PARAMS(PINION_STREAM("numbers")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("call", call_it,
		.params = PINION_PARAMS(PINION_HANDLE("whom"), PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("read", read_it, .params = PINION_PARAMS(PINION_REF("ref")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("defaults", defaults,
		.params = PINION_PARAMS(PINION_STR_OR("text", "by default"),
		    PINION_BOOL_OR("b", true), PINION_I64_OR("n", 7)),
		.returns = PINION_RETURNS_STR)),
};

static pinion_node *
build_more(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &more, PINION_ARGS());
}

static int
start(void **state)
{
	pinion_diag diag = { "" };
	pinion_handle handle;

	(void)state;
	if (pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test", .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return 1;
	}
	return pinion_run(rt, graph_build_workers, &handle) != 0 ||
	    pinion_run(rt, build_more, &handle, .name = "more") != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* When they have gone, all that they had goes a little later. */
static void
assert_nothing_left(void)
{
	pinion_census c;

	do
		pinion_census_take(rt, &c);
	while (c.ports != 0 || c.requests != 0);
	graph_assert_clean(rt, 0);
}

/* ---- roles ------------------------------------------------------------------------------------ */

static int
attach_as(const char *name, pinion_runtime **mine, pinion_handle *worker)
{
	pinion_diag diag = { "" };
	int err = pinion_attach(mine, name, .diag = &diag);

	if (err != 0)
		(void)fprintf(stderr, "%s (%d)\n", diag.text, err);
	return err != 0 ? err : pinion_handle_find(*mine, "default", NULL, worker);
}

/* Says why, if not. */
static bool
is_result(pinion_response r, int64_t *x)
{
	int err = pinion_result(r, x);

	if (err != 0)
		(void)fprintf(
		    stderr, "%d: %.*s\n", err, PINION_STR_FMT(pinion_response_error(r).text));
	return err == 0;
}

static int
play_calls(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker;
	int64_t x;
	int n = (int)scaled(20000);

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	for (int i = 0; i < n; i++) {
		pinion_response r = pinion_call(worker, PINION_ARGS(i));

		GUEST_WANT(pinion_result(r, &x) == 0);
		GUEST_WANT(x == i + 1);
		pinion_release(r);
	}
	pinion_stop(mine);
	return 0;
}

static int
play_chains(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker;
	int n = (int)scaled(2000);

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	for (int i = 0; i < n; i++) {
		pinion_response r[12];
		int64_t x;

		r[0] = pinion_call(worker, PINION_ARGS(i));
		for (int k = 1; k < 11; k++)
			r[k] = pinion_call(worker, PINION_ARGS(r[k - 1]));
		r[11] = pinion_call(pinion_method_of(worker, "sum"), PINION_ARGS(r[10], r[3]));
		GUEST_WANT(is_result(r[11], &x));
		GUEST_WANT(x == i + 11 + i + 4);
		for (int k = 0; k < 12; k++)
			pinion_release(r[k]);
	}
	pinion_stop(mine);
	return 0;
}

static int
play_streams(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker, other;
	pinion_stream s;
	pinion_response r;
	int64_t x, n = (int)scaled(20000);

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	GUEST_WANT(pinion_handle_find(mine, "more", NULL, &other) == 0);
	s = pinion_call_stream(pinion_method_of(other, "count"), PINION_ARGS(n));
	for (int64_t i = 0; i < n; i++) {
		GUEST_WANT(pinion_next(s, &x) == 1);
		GUEST_WANT(x == i);
	}
	GUEST_WANT(pinion_next(s, &x) == 0);
	pinion_stream_close(s);
	s = pinion_call_stream(pinion_method_of(other, "count"), PINION_ARGS((int64_t)1 << 40));
	GUEST_WANT(pinion_next(s, &x) == 1);
	pinion_stream_close(s); /* its producer is canceled */
	s = pinion_call_stream(pinion_method_of(other, "count"), PINION_ARGS(n));
	r = pinion_call(pinion_method_of(other, "add"), PINION_ARGS(s));
	GUEST_WANT(pinion_result(r, &x) == 0);
	GUEST_WANT(x == n * (n - 1) / 2);
	pinion_release(r);
	pinion_stream_close(s);
	pinion_stop(mine);
	return 0;
}

static int
play_values(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker, other;
	pinion_response r;
	pinion_bytes bytes;
	pinion_str text;
	static char longer[100000];
	int64_t x;

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	GUEST_WANT(pinion_handle_find(mine, "more", NULL, &other) == 0);
	memset(longer, 'x', sizeof longer - 1);
	r = pinion_call(pinion_method_of(worker, "echo"), PINION_ARGS("short"));
	GUEST_WANT(pinion_result(r, &text) == 0 && pinion_str_is(text, "short"));
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "fill"), PINION_ARGS(100000));
	GUEST_WANT(pinion_result(r, &bytes) == 0 && bytes.len == 100000);
	GUEST_WANT(((const unsigned char *)bytes.data)[99999] == 7);
	pinion_release(r);
	r = pinion_call(pinion_method_of(other, "defaults"), PINION_ARGS());
	GUEST_WANT(pinion_result(r, &text) == 0 && pinion_str_is(text, "by default 1 7"));
	pinion_release(r);
	r = pinion_call(pinion_method_of(other, "defaults"), PINION_ARGS(PINION_NAMED("n", 8)));
	GUEST_WANT(pinion_result(r, &text) == 0 && pinion_str_is(text, "by default 1 8"));
	pinion_release(r);
	r = pinion_call(pinion_method_of(other, "call"), PINION_ARGS(worker, 41));
	GUEST_WANT(pinion_result(r, &x) == 0 && x == 42);
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "echo"), PINION_ARGS(longer));
	GUEST_WANT(pinion_result(r, &text) == -EMSGSIZE);
	pinion_release(r);
	pinion_stop(mine);
	return 0;
}

static int
play_references(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker, other;
	pinion_response first, r;
	int64_t x;

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	GUEST_WANT(pinion_handle_find(mine, "more", NULL, &other) == 0);
	first = pinion_call(worker, PINION_ARGS(1));
	r = pinion_call(pinion_method_of(other, "read"), PINION_ARGS(pinion_response_ref(first)));
	GUEST_WANT(pinion_result(r, &x) == 0 && x == 2);
	pinion_release(r);
	GUEST_WANT(pinion_ref_get(pinion_response_ref(first), &x) == 0 && x == 2);
	pinion_release(first);
	pinion_stop(mine);
	return 0;
}

static int
task(pinion_request *req)
{
	return pinion_reply(req, (int64_t)0);
}

static int
play_refusals(const char *name)
{
	pinion_runtime *mine, *again;
	pinion_handle worker, handle;
	pinion_response r;
	pinion_error e;
	pinion_diag diag;
	int64_t x;

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	GUEST_WANT(pinion_attach(&again, name) == 0 && again == mine);
	pinion_stop(again);
	GUEST_WANT(pinion_run(mine, build_more, &handle, .diag = &diag) == -EINVAL);
	GUEST_WANT(strstr(diag.text, "another process") != NULL);
	GUEST_WANT(pinion_scale(mine, NULL, "Worker", 2, &diag) == -EINVAL);
	r = pinion_task(mine, task, PINION_ARGS());
	GUEST_WANT(pinion_result(r, &x) == -EINVAL);
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "broken"), PINION_ARGS(3));
	GUEST_WANT(pinion_result(r, &x) == -EDOM);
	e = pinion_response_error(r);
	GUEST_WANT(pinion_str_is(e.text, "broken by 3") && pinion_str_is(e.deployment, "Worker") &&
	    pinion_str_is(e.method, "broken") && e.origin == PINION_ORIGIN_HANDLER);
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "nope"), PINION_ARGS(3));
	GUEST_WANT(pinion_result(r, &x) == -EINVAL);
	pinion_release(r);
	r = pinion_call(worker, PINION_ARGS("three"));
	GUEST_WANT(pinion_result(r, &x) == -EINVAL);
	pinion_release(r);
	r = pinion_call_with(
	    pinion_method_of(worker, "nap"), PINION_ARGS((int64_t)1 << 40), .timeout_ns = 1000000);
	GUEST_WANT(pinion_result(r, &x) == -ETIMEDOUT);
	pinion_release(r);
	r = pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS((int64_t)1 << 40));
	pinion_cancel(r);
	GUEST_WANT(pinion_result(r, &x) == -ECANCELED);
	pinion_release(r);
	GUEST_WANT(pinion_handle_find(mine, "none", NULL, &handle) == -ENOENT);
	pinion_stop(mine);
	return 0;
}

static int
play_event_loop(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker;
	pinion_port *port;
	pinion_finished done;
	struct pollfd on = { .events = POLLIN };
	int n = (int)scaled(2000);
	int64_t x;

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	GUEST_WANT(pinion_port_open(mine, &port) == 0);
	GUEST_WANT(pinion_port_warm(port) == 0);
	on.fd = pinion_port_fd(port);
	GUEST_WANT(on.fd >= 0 && pinion_port_fd(port) == on.fd);
	for (int i = 0; i < n; i++) {
		pinion_response r = pinion_call_tagged(port, worker, PINION_ARGS(i), (uint64_t)i);

		(void)r;
		while (pinion_harvest(port, &done, 1) == 0)
			if (!pinion_port_arm(port))
				GUEST_WANT(poll(&on, 1, 10000) == 1);
		GUEST_WANT(done.tag == (uint64_t)i);
		GUEST_WANT(pinion_result_on(port, done.response, &x) == 0 && x == i + 1);
		pinion_release_on(port, done.response);
	}
	pinion_port_close(port);
	pinion_stop(mine);
	return 0;
}

struct thread_of {
	pinion_handle worker;
	int n, failed;
};

static void *
call_often(void *arg)
{
	struct thread_of *t = arg;

	for (int i = 0; i < t->n; i++) {
		pinion_response r = pinion_call(t->worker, PINION_ARGS(i));
		int64_t x;

		t->failed += pinion_result(r, &x) != 0 || x != i + 1;
		if (i % 3 != 0)
			pinion_release(r); /* the others go with the thread, */
		if (i % 300 == 299)
			break; /* which may have calls outstanding */
	}
	return NULL;
}

static int
play_threads(const char *name)
{
	pinion_runtime *mine;
	pinion_census c;
	struct thread_of t[4], fresh = { .n = (int)scaled(2000) };
	pthread_t threads[4];

	GUEST_WANT(attach_as(name, &mine, &fresh.worker) == 0);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++) {
			t[i] = fresh;
			GUEST_WANT(pthread_create(&threads[i], NULL, call_often, &t[i]) == 0);
		}
		for (int i = 0; i < 4; i++) {
			(void)pthread_join(threads[i], NULL);
			GUEST_WANT(t[i].failed == 0);
		}
	}
	do
		pinion_census_take(mine, &c);
	while (c.ports != 0);
	pinion_stop(mine);
	return 0;
}

static void *
attach_and_call(void *arg)
{
	int *failed = arg;

	for (int i = 0; i < 50; i++) {
		pinion_runtime *mine;
		pinion_handle to;
		pinion_response r;
		int64_t x;

		if (attach_as("test", &mine, &to) != 0) {
			++*failed;
			continue;
		}
		r = pinion_call(to, PINION_ARGS(i));
		*failed += !is_result(r, &x) || x != i + 1;
		pinion_release(r);
		pinion_stop(mine);
	}
	return NULL;
}

/* Its threads share what one of them has attached, and each leaves by itself. */
static int
play_together(const char *name)
{
	pthread_t threads[4];
	int failed[4] = { 0 };

	(void)name;
	for (int i = 0; i < 4; i++)
		GUEST_WANT(pthread_create(&threads[i], NULL, attach_and_call, &failed[i]) == 0);
	for (int i = 0; i < 4; i++) {
		(void)pthread_join(threads[i], NULL);
		GUEST_WANT(failed[i] == 0);
	}
	return 0;
}

/* Leaves while it has calls under way. */
static int
play_leaving(const char *name)
{
	pinion_runtime *mine;
	pinion_handle worker;

	GUEST_WANT(attach_as(name, &mine, &worker) == 0);
	for (int i = 0; i < 50; i++) {
		pinion_response r = pinion_call(
		    pinion_method_of(worker, i % 2 == 0 ? "nap" : "forget"), PINION_ARGS());

		(void)r;
		r = pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS((int64_t)1 << 40));
		r = pinion_call(worker, PINION_ARGS(r));
		(void)r;
	}
	pinion_stop(mine);
	return 0;
}

static const struct role roles[] = { { "calls", play_calls }, { "chains", play_chains },
	{ "streams", play_streams }, { "values", play_values }, { "references", play_references },
	{ "refusals", play_refusals }, { "event_loop", play_event_loop },
	{ "threads", play_threads }, { "leaving", play_leaving }, { "together", play_together },
	{ NULL, NULL } };

/* ---- tests ------------------------------------------------------------------------------------ */

static void
another_process_plays(const char *role)
{
	assert_int_equal(guest_run(role, "test"), 0);
	assert_nothing_left();
}

static void
another_process_calls(void **state)
{
	(void)state;
	another_process_plays("calls");
}

static void
another_process_chains(void **state)
{
	(void)state;
	another_process_plays("chains");
}

static void
another_process_reads_streams(void **state)
{
	(void)state;
	another_process_plays("streams");
}

static void
values_of_every_kind_cross(void **state)
{
	(void)state;
	another_process_plays("values");
}

static void
its_results_are_read_by_reference(void **state)
{
	(void)state;
	another_process_plays("references");
}

static void
what_cannot_be_is_refused_with_its_reason(void **state)
{
	(void)state;
	another_process_plays("refusals");
}

static void
an_event_loop_of_another_process_is_woken(void **state)
{
	(void)state;
	another_process_plays("event_loop");
}

static void
threads_of_another_process_have_ports_of_their_own(void **state)
{
	(void)state;
	another_process_plays("threads");
}

static void
who_leaves_with_calls_under_way_leaves_nothing(void **state)
{
	(void)state;
	another_process_plays("leaving");
}

static void
threads_attach_and_leave_at_once(void **state)
{
	(void)state;
	another_process_plays("together");
}

static void
several_come_at_once(void **state)
{
	pid_t pids[4];
	const char *const plays[] = { "calls", "chains", "streams", "threads" };

	(void)state;
	for (int i = 0; i < 4; i++)
		pids[i] = guest_start(plays[i], "test");
	for (int i = 0; i < 4; i++)
		assert_int_equal(guest_wait(pids[i]), 0);
	assert_nothing_left();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_process_calls, start, stop),
		cmocka_unit_test_setup_teardown(another_process_chains, start, stop),
		cmocka_unit_test_setup_teardown(another_process_reads_streams, start, stop),
		cmocka_unit_test_setup_teardown(values_of_every_kind_cross, start, stop),
		cmocka_unit_test_setup_teardown(its_results_are_read_by_reference, start, stop),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_is_refused_with_its_reason, start, stop),
		cmocka_unit_test_setup_teardown(
		    an_event_loop_of_another_process_is_woken, start, stop),
		cmocka_unit_test_setup_teardown(
		    threads_of_another_process_have_ports_of_their_own, start, stop),
		cmocka_unit_test_setup_teardown(
		    who_leaves_with_calls_under_way_leaves_nothing, start, stop),
		cmocka_unit_test_setup_teardown(threads_attach_and_leave_at_once, start, stop),
		cmocka_unit_test_setup_teardown(several_come_at_once, start, stop),
	};
	int played = guest_main(argc, argv, roles);

	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
