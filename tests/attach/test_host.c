/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Isolated replicas are called, call, chain, stream, hand on and are referred to as any other, each in a process of its
 *         own; they come and go, and say what is wrong.
 * Method  This program once more as each of those processes, started by pinion_run or by the test.
 */
#include "tests/attach/serve.h"

#include <pthread.h>
#include <stdatomic.h>

static pinion_runtime *rt;
static char own_name[32];

/* ---- what runs -------------------------------------------------------------------------------- */

struct adder {
	int64_t number;
	pinion_handle next;
	unsigned replica;
};

static int
init_adder(void *state, pinion_init *init)
{
	struct adder *self = state;

	self->number = pinion_init_i64(init, 0);
	self->replica = pinion_init_replica(init);
	if (self->number < 0)
		return pinion_init_fail(init, EDOM, "number is %lld", (long long)self->number);
	return 0;
}

static int
add(void *state, pinion_request *req)
{
	const struct adder *self = state;

	return pinion_reply(req, pinion_arg_i64(req, 0) + self->number);
}

static int
process_of(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, (int64_t)getpid());
}

static int
replica_of(void *state, pinion_request *req)
{
	const struct adder *self = state;

	return pinion_reply(req, (int64_t)self->replica);
}

static int
text_of(void *state, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 0);

	(void)state;
	return pinion_reply_fmt(req, "<%.*s>", PINION_STR_FMT(text));
}

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
sum_of(void *state, pinion_request *req)
{
	pinion_stream numbers = pinion_arg_stream(req, 0);
	int64_t sum = 0, x;

	(void)state;
	while (pinion_next(numbers, &x) == 1)
		sum += x;
	return pinion_reply(req, sum);
}

static int
read_ref(void *state, pinion_request *req)
{
	int64_t x;
	int err = pinion_ref_get(pinion_arg_ref(req, 0), &x);

	(void)state;
	return err != 0 ? err : pinion_reply(req, x);
}

static int
fail_it(void *state, pinion_request *req)
{
	(void)state;
	return pinion_fail(req, EDOM, "not %lld", (long long)pinion_arg_i64(req, 0));
}

#define ADDER_METHODS \
	PINION_METHODS(PINION_METHOD("add", add, .params = PINION_PARAMS(PINION_I64("x")), \
			   .returns = PINION_RETURNS_I64), \
	    PINION_METHOD("process", process_of, .returns = PINION_RETURNS_I64), \
	    PINION_METHOD("replica", replica_of, .returns = PINION_RETURNS_I64), \
	    PINION_METHOD("text", text_of, .params = PINION_PARAMS(PINION_STR("text")), \
		.returns = PINION_RETURNS_STR, .result_max = 4096), \
	    PINION_METHOD("count", count_up, .params = PINION_PARAMS(PINION_I64("to")), \
		.returns = PINION_RETURNS_I64, .stream = true), \
	    PINION_METHOD("sum", sum_of, .params = PINION_PARAMS(PINION_STREAM("numbers")), \
		.returns = PINION_RETURNS_I64), \
	    PINION_METHOD("read", read_ref, .params = PINION_PARAMS(PINION_REF("ref")), \
		.returns = PINION_RETURNS_I64), \
	    PINION_METHOD("fail", fail_it, .params = PINION_PARAMS(PINION_I64("x")), \
		.returns = PINION_RETURNS_I64))

static const pinion_deployment adder = {
	.name = "Adder",
	.replica_size = sizeof(struct adder),
	.init = init_adder,
	.init_params = PINION_PARAMS(PINION_I64("number")),
	.methods = ADDER_METHODS,
};

/* Waits for one call, made of the other's result. */
static int
through(void *state, pinion_request *req)
{
	const struct adder *self = state;
	pinion_response first =
	    pinion_call(pinion_method_of(self->next, "add"), PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_response second =
	    pinion_call(pinion_method_of(self->next, "add"), PINION_ARGS(first));
	int64_t x;
	int err = pinion_result(second, &x);

	return err != 0 ? err : pinion_reply(req, x);
}

static int
on(void *state, pinion_request *req)
{
	const struct adder *self = state;

	return pinion_forward(
	    req, pinion_method_of(self->next, "add"), PINION_ARGS(pinion_arg_i64(req, 0)));
}

static int
init_caller(void *state, pinion_init *init)
{
	struct adder *self = state;

	self->next = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment caller = {
	.name = "Caller",
	.replica_size = sizeof(struct adder),
	.init = init_caller,
	.init_params = PINION_PARAMS(PINION_HANDLE("next")),
	.methods = PINION_METHODS(
	    PINION_METHOD("through", through, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD(
		"on", on, .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64),
	    PINION_METHOD("process", process_of, .returns = PINION_RETURNS_I64)),
};

/* near <- far (isolated, two) <- callers: one here, one isolated */
static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *far, *here;

	(void)config;
	far = pinion_bind(app, &adder, PINION_ARGS(100), .name = "far", .isolation = "process",
	    .num_replicas = 2, .routing = "round_robin");
	here = pinion_bind(app, &adder, PINION_ARGS(1), .name = "near");
	(void)pinion_bind(app, &caller, PINION_ARGS(far), .name = "here");
	return pinion_bind(
	    app, &caller, PINION_ARGS(here), .name = "there", .isolation = "process");
}

static pinion_node *
build_bad(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &adder, PINION_ARGS(-5), .name = "bad", .isolation = "process");
}

/* ---- a host ----------------------------------------------------------------------------------- */

/* The words of the command are "/proc/self/exe", "serve"; behind them come four more. */
static int
serve(char **words)
{
	pinion_diag diag = { "" };
	pinion_runtime *mine;
	int err = pinion_host(&mine, words[2], strcmp(words[4], "bad") == 0 ? build_bad : build,
	    .app = words[3], .deployment = words[4], .replica = words[5], .diag = &diag);

	if (err != 0) {
		(void)fprintf(stderr, "host: %s\n", diag.text);
		return 1;
	}
	err = pinion_host_wait(mine);
	pinion_stop(mine);
	return err == 0 ? 0 : 2;
}

static const char *const command[] = { "/proc/self/exe", "serve", NULL };

static pinion_handle
handle_of(const char *deployment, const char *method)
{
	pinion_handle h;

	assert_int_equal(pinion_handle_find(rt, "app", deployment, &h), 0);
	return pinion_method_of(h, method);
}

static int64_t
number(pinion_response r)
{
	pinion_error e;
	int64_t x = -1;
	int err = pinion_result(r, &x);

	if (err != 0) {
		e = pinion_response_error(r);
		print_message("%d, %.*s.%.*s: %.*s\n", err, PINION_STR_FMT(e.deployment),
		    PINION_STR_FMT(e.method), PINION_STR_FMT(e.text));
	}
	assert_int_equal(err, 0);
	pinion_release(r);
	return x;
}

static void
log_line(void *arg, const char *line)
{
	(void)arg;
	print_message("log: %s\n", line);
}

static int
start(void **state)
{
	pinion_diag diag = { "" };
	pinion_handle handle;

	(void)state;
	(void)snprintf(own_name, sizeof own_name, "host-%ld", (long)getpid());
	if (pinion_start(&rt, .workers = 1, .no_pin = true, .listen = own_name, .host_workers = 4,
		.log = log_line, .diag = &diag) != 0 ||
	    pinion_run(rt, build, &handle, .name = "app", .host_command = command, .diag = &diag) !=
		0) {
		print_message("%s\n", diag.text);
		return 1;
	}
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void
a_call_crosses(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
		    number(pinion_call(handle_of("far", "add"), PINION_ARGS(i))), i + 100);
}

static void
each_replica_has_a_process_of_its_own(void **state)
{
	int64_t a, b, c;

	(void)state;
	a = number(pinion_call(handle_of("far", "process"), PINION_ARGS()));
	b = number(pinion_call(handle_of("far", "process"), PINION_ARGS()));
	c = number(pinion_call(handle_of("there", "process"), PINION_ARGS()));
	assert_int_not_equal(a, b);
	assert_int_not_equal(a, c);
	assert_int_not_equal(b, c);
	assert_int_not_equal(a, getpid());
	assert_int_equal(
	    number(pinion_call(handle_of("here", "process"), PINION_ARGS())), getpid());
	assert_int_equal(number(pinion_call(handle_of("far", "replica"), PINION_ARGS())) +
		number(pinion_call(handle_of("far", "replica"), PINION_ARGS())),
	    1);
}

static void
chains_cross_and_come_back(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		pinion_response a = pinion_call(handle_of("far", "add"), PINION_ARGS(i));
		pinion_response b = pinion_call(handle_of("near", "add"), PINION_ARGS(a));
		pinion_response c = pinion_call(handle_of("far", "add"), PINION_ARGS(b));
		pinion_response d = pinion_call(handle_of("far", "add"), PINION_ARGS(c));

		assert_int_equal(number(d), i + 301);
		pinion_release(a);
		pinion_release(b);
		pinion_release(c);
	}
}

static void
handlers_wait_and_hand_on_across(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		assert_int_equal(
		    number(pinion_call(handle_of("here", "through"), PINION_ARGS(i))), i + 200);
		assert_int_equal(
		    number(pinion_call(handle_of("there", "through"), PINION_ARGS(i))), i + 2);
		assert_int_equal(
		    number(pinion_call(handle_of("here", "on"), PINION_ARGS(i))), i + 100);
		assert_int_equal(
		    number(pinion_call(handle_of("there", "on"), PINION_ARGS(i))), i + 1);
	}
}

static void
long_texts_cross(void **state)
{
	char text[3000];
	pinion_str got;
	pinion_response r;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	r = pinion_call(handle_of("far", "text"), PINION_ARGS(text));
	assert_int_equal(pinion_result(r, &got), 0);
	assert_int_equal(got.len, sizeof text + 1);
	assert_int_equal(got.data[0], '<');
	assert_int_equal(got.data[sizeof text], '>');
	pinion_release(r);
}

static void
streams_cross(void **state)
{
	pinion_stream s = pinion_call_stream(handle_of("far", "count"), PINION_ARGS(500));
	int64_t x, wanted = 0;

	(void)state;
	while (pinion_next(s, &x) == 1)
		assert_int_equal(x, wanted++);
	assert_int_equal(wanted, 500);
	pinion_stream_close(s);
	s = pinion_call_stream(handle_of("far", "count"), PINION_ARGS(200));
	assert_int_equal(
	    number(pinion_call(handle_of("far", "sum"), PINION_ARGS(s))), 199 * 200 / 2);
	pinion_stream_close(s);
}

static void
references_cross(void **state)
{
	pinion_response r = pinion_call(handle_of("far", "add"), PINION_ARGS(1));

	(void)state;
	assert_int_equal(
	    number(pinion_call(handle_of("far", "read"), PINION_ARGS(pinion_response_ref(r)))),
	    101);
	pinion_release(r);
}

static void
errors_cross(void **state)
{
	pinion_response r = pinion_call(handle_of("far", "fail"), PINION_ARGS(7));
	pinion_response after = pinion_call(handle_of("near", "add"), PINION_ARGS(r));
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(after, &x), -EDOM);
	e = pinion_response_error(after);
	assert_true(pinion_str_is(e.text, "not 7"));
	assert_true(pinion_str_is(e.deployment, "far"));
	pinion_release(r);
	pinion_release(after);
}

static void *
call_on_a_thread(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		if (number(pinion_call(handle_of("far", "add"), PINION_ARGS(i))) != i + 100)
			return "wrong";
	return NULL;
}

/* Their ports are told to hosts, and forgotten by them. */
static void
threads_come_and_go(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < scaled(400) + 4; i++) {
		pthread_t t[2];
		void *wrong;

		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&t[k], NULL, call_on_a_thread, NULL), 0);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(pthread_join(t[k], &wrong), 0);
			assert_null(wrong);
		}
	}
}

/* ---- more and fewer --------------------------------------------------------------------------- */

static void *
call_until_told(void *over)
{
	while (!atomic_load((_Atomic bool *)over))
		if (number(pinion_call(handle_of("far", "add"), PINION_ARGS(1))) != 101)
			return "wrong";
	return NULL;
}

static unsigned
processes_of_far(void)
{
	int64_t seen[8];
	unsigned count = 0;

	for (int i = 0; i < 100; i++) { /* at random: by 16 one of three is missed twice in 400 */
		int64_t pid = number(pinion_call(handle_of("far", "process"), PINION_ARGS()));
		unsigned k = 0;

		while (k < count && seen[k] != pid)
			k++;
		if (k == count)
			seen[count++] = pid;
	}
	return count;
}

static void
replicas_come_and_go_while_calls_fly(void **state)
{
	static _Atomic bool over;
	pinion_diag diag;
	pthread_t t;
	void *wrong;

	(void)state;
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&t, NULL, call_until_told, &over), 0);
	assert_int_equal(processes_of_far(), 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pinion_scale(rt, "app", "far", 1, &diag), 0);
		assert_int_equal(processes_of_far(), 1);
		assert_int_equal(pinion_scale(rt, "app", "far", 3, &diag), 0);
		assert_int_equal(processes_of_far(), 3);
	}
	assert_int_equal(pinion_scale(rt, "app", "far", 4, &diag), -EUSERS);
	assert_int_equal(processes_of_far(), 3);
	assert_int_equal(
	    pinion_reconfigure(rt, "far", .app = "app", .max_ongoing_requests = 3, .diag = &diag),
	    -EOPNOTSUPP);
	atomic_store(&over, true);
	assert_int_equal(pthread_join(t, &wrong), 0);
	assert_null(wrong);
}

/* ---- another process calls -------------------------------------------------------------------- */

static int
play_client(const char *name)
{
	pinion_runtime *theirs;
	pinion_handle far, near_by;

	GUEST_WANT(pinion_attach(&theirs, name) == 0);
	GUEST_WANT(pinion_handle_find(theirs, "app", "far", &far) == 0);
	GUEST_WANT(pinion_handle_find(theirs, "app", "near", &near_by) == 0);
	for (int i = 0; i < 300; i++) {
		pinion_response a = pinion_call(pinion_method_of(far, "add"), PINION_ARGS(i));
		pinion_response b = pinion_call(pinion_method_of(near_by, "add"), PINION_ARGS(a));
		int64_t x;

		GUEST_WANT(pinion_result(b, &x) == 0);
		GUEST_WANT(x == i + 101);
		pinion_release(a);
		pinion_release(b);
	}
	pinion_stop(theirs);
	return 0;
}

static void
clients_call_hosts(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(guest_run("client", own_name), 0);
}

static void *
call_at_once(void *arg)
{
	const pinion_handle *far = arg;
	pinion_response r = pinion_call(pinion_method_of(*far, "add"), PINION_ARGS(1));
	int64_t x;

	if (pinion_result(r, &x) != 0 || x != 101)
		_exit(97);
	pinion_release(r);
	return NULL;
}

/* Each thread's port is new, and its first call may be there before the host has been told of it. */
static int
play_early(const char *name)
{
	pinion_runtime *theirs;
	pinion_handle far;

	GUEST_WANT(pinion_attach(&theirs, name) == 0);
	GUEST_WANT(pinion_handle_find(theirs, "app", "far", &far) == 0);
	for (uint64_t i = 0; i < scaled(3000) + 20; i++) {
		pthread_t t;

		GUEST_WANT(pthread_create(&t, NULL, call_at_once, &far) == 0);
		GUEST_WANT(pthread_join(t, NULL) == 0);
	}
	pinion_stop(theirs);
	return 0;
}

static void
what_comes_before_its_port_is_known_waits(void **state)
{
	(void)state;
	assert_int_equal(guest_run("early", own_name), 0);
}

/* ---- what is refused -------------------------------------------------------------------------- */

static void
an_init_that_fails_says_so(void **state)
{
	pinion_diag diag;
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_bad, &handle, .name = "bad", .host_command = command,
			     .diag = &diag),
	    -EDOM);
	assert_non_null(strstr(diag.text, "number is -5"));
}

static void
more_than_there_is_room_for_is_refused(void **state)
{
	pinion_diag diag;
	pinion_handle handle;

	(void)state;
	assert_int_equal(
	    pinion_run(rt, build, &handle, .name = "again", .host_command = command, .diag = &diag),
	    -EUSERS);
	assert_non_null(strstr(diag.text, "4 host_workers"));
}

static void
a_command_that_ends_says_so(void **state)
{
	static const char *const nothing[] = { "/bin/true", NULL };
	pinion_diag diag;
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_run(rt, build_bad, &handle, .name = "bad", .host_command = nothing,
			     .diag = &diag),
	    -ECHILD);
	assert_non_null(strstr(diag.text, "/bin/true"));
}

static const struct role roles[] = { { "client", play_client }, { "early", play_early },
	{ NULL, NULL } };

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_call_crosses, start, stop),
		cmocka_unit_test_setup_teardown(each_replica_has_a_process_of_its_own, start, stop),
		cmocka_unit_test_setup_teardown(chains_cross_and_come_back, start, stop),
		cmocka_unit_test_setup_teardown(handlers_wait_and_hand_on_across, start, stop),
		cmocka_unit_test_setup_teardown(long_texts_cross, start, stop),
		cmocka_unit_test_setup_teardown(streams_cross, start, stop),
		cmocka_unit_test_setup_teardown(references_cross, start, stop),
		cmocka_unit_test_setup_teardown(errors_cross, start, stop),
		cmocka_unit_test_setup_teardown(threads_come_and_go, start, stop),
		cmocka_unit_test_setup_teardown(replicas_come_and_go_while_calls_fly, start, stop),
		cmocka_unit_test_setup_teardown(clients_call_hosts, start, stop),
		cmocka_unit_test_setup_teardown(
		    what_comes_before_its_port_is_known_waits, start, stop),
		cmocka_unit_test_setup_teardown(an_init_that_fails_says_so, start, stop),
		cmocka_unit_test_setup_teardown(
		    more_than_there_is_room_for_is_refused, start, stop),
		cmocka_unit_test_setup_teardown(a_command_that_ends_says_so, start, stop),
	};
	int code;

	if (argc == 6)
		return serve(argv);
	code = guest_main(argc, argv, roles);
	return code >= 0 ? code
			 : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
