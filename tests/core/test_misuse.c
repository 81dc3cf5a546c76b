/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a user gets wrong is said where it can be read: in the call's error, or in the log.
 * Method  Small handlers that do the wrong thing, one worker, a log that is kept.
 */
#include <pthread.h>
#include <stdio.h>

#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle handle;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[4096];

static void
keep_line(void *arg, const char *line)
{
	size_t at;

	(void)arg;
	(void)pthread_mutex_lock(&lock);
	at = strlen(lines);
	(void)snprintf(lines + at, sizeof lines - at, "%s\n", line);
	(void)pthread_mutex_unlock(&lock);
}

static bool
log_has(const char *text)
{
	bool has;

	(void)pthread_mutex_lock(&lock);
	has = strstr(lines, text) != NULL;
	(void)pthread_mutex_unlock(&lock);
	return has;
}

static int
late(void *replica, pinion_request *req)
{
	int err = pinion_reply(req, (int64_t)1);

	(void)replica;
	return err != 0 ? err : -EIO;
}

static int
wrong_number(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 5;
}

static int
stop_myself(void *replica, pinion_request *req)
{
	(void)replica;
	pinion_stop(pinion_request_runtime(req));
	return pinion_reply(req, (int64_t)1);
}

static int
half(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_f64(req, 0) / 2);
}

static int
read_ref(void *replica, pinion_request *req)
{
	int64_t x;
	int err = pinion_ref_get(pinion_arg_ref(req, 0), &x);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, x);
}

/* Reads what is not there, and leaves it at that. */
static int
read_and_return(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_arg_i64(req, 0) == 0 ? -EDOM : 0;
}

static int
read_i64(pinion_request *req)
{
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment wrong = {
	.name = "Wrong",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, late, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("wrong_number", wrong_number, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("stop_myself", stop_myself, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("read_and_return", read_and_return, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("half", half, .params = PINION_PARAMS(PINION_F64("x")),
		.returns = PINION_RETURNS_F64),
	    PINION_METHOD("read_ref", read_ref, .params = PINION_PARAMS(PINION_REF("ref")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("a_method_with_a_name_that_is_rather_long_1", late),
	    PINION_METHOD("a_method_with_a_name_that_is_rather_long_2", late),
	    PINION_METHOD("a_method_with_a_name_that_is_rather_long_3", late)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &wrong, PINION_ARGS());
}

static int
start(void **state)
{
	(void)state;
	lines[0] = '\0';
	return pinion_start(&rt, .workers = 1, .no_pin = true, .log = keep_line) != 0 ||
		pinion_run(rt, build, &handle) != 0
	    ? -1
	    : 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Its error, whose text has that in it. */
static void
assert_fails(pinion_response r, int code, const char *text)
{
	pinion_error e;
	char have[512];

	assert_int_equal(pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE }), code);
	e = pinion_response_error(r);
	(void)snprintf(have, sizeof have, "%.*s", PINION_STR_FMT(e.text));
	if (strstr(have, text) == NULL)
		print_message("\"%s\" is not in \"%s\"\n", text, have);
	assert_non_null(strstr(have, text));
	pinion_release(r);
}

static void
an_error_after_the_answer_is_logged_and_the_answer_stands(void **state)
{
	(void)state;
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS())), 1);
	/* The handler has returned when the next one runs. */
	assert_fails(pinion_call(pinion_method_of(handle, "wrong_number"), PINION_ARGS()), -EPROTO,
	    "returned 5 without a reply");
	assert_true(log_has("Wrong.__call__ returned -5 after it has answered"));
}

static void
a_stop_from_a_handler_does_nothing(void **state)
{
	(void)state;
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(handle, "stop_myself"), PINION_ARGS())), 1);
	assert_true(log_has("pinion_stop in a handler"));
}

static void
behaviour_37_bytes_of_a_response_are_no_reference(void **state)
{
	pinion_response r = pinion_call(handle, PINION_ARGS());
	pinion_ref raw;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	memcpy(&raw, &r, sizeof raw);
	assert_int_equal(pinion_ref_get(raw, &x), -EINVAL);
	assert_fails(pinion_call(pinion_method_of(handle, "read_ref"), PINION_ARGS(raw)), -EINVAL,
	    "pinion_response_ref");
	assert_int_equal(graph_i64(pinion_call(pinion_method_of(handle, "read_ref"),
			     PINION_ARGS(pinion_response_ref(r)))),
	    1);
	pinion_release(r);
}

static void
behaviour_43_a_reference_that_was_given_back_is_stale(void **state)
{
	pinion_response r = pinion_call(handle, PINION_ARGS());
	pinion_ref ref = pinion_response_ref(r);
	int64_t x;

	(void)state;
	assert_int_equal(pinion_response_keep(r), 0);
	assert_int_equal(pinion_ref_get(ref, &x), 0);
	pinion_release(r);
	assert_int_equal(pinion_ref_get(ref, &x), 0); /* kept */
	pinion_ref_release(ref);
	assert_int_equal(pinion_ref_get(ref, &x), -ESTALE);
	assert_int_equal(pinion_ref_get(pinion_response_ref(r), &x), -ESTALE);
}

static void
an_argument_that_is_misread_fails_the_call(void **state)
{
	(void)state;
	assert_fails(pinion_task(rt, read_i64, PINION_ARGS(1.5)), -EINVAL,
	    "argument 0 of task.run is f64 and was read as i64");
	assert_fails(
	    pinion_task(rt, read_i64, PINION_ARGS("x")), -EINVAL, "is str and was read as");
	assert_fails(
	    pinion_task(rt, read_i64, PINION_ARGS()), -EINVAL, "is not there and was read as");
	assert_fails(pinion_call(pinion_method_of(handle, "read_and_return"), PINION_ARGS()),
	    -EINVAL, "is not there and was read as i64");
}

static void
an_unknown_method_names_its_deployment_and_some_of_those_there_are(void **state)
{
	pinion_response r = pinion_call(pinion_method_of(handle, "sing"), PINION_ARGS());
	pinion_error e = pinion_response_error(r);

	(void)state;
	assert_true(pinion_str_is(e.deployment, "Wrong"));
	assert_true(pinion_str_is(e.method, "sing"));
	assert_fails(r, -EINVAL, ", ...");
}

static void
a_large_whole_number_that_is_exact_becomes_an_f64(void **state)
{
	pinion_handle to = pinion_method_of(handle, "half");
	pinion_response r = pinion_call(to, PINION_ARGS((int64_t)1 << 60));
	double x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	assert_true(x == (double)((int64_t)1 << 59));
	pinion_release(r);
	assert_fails(pinion_call(to, PINION_ARGS(((int64_t)1 << 60) + 1)), -ERANGE, "x");
}

static void
options_that_make_no_sense_are_refused(void **state)
{
	pinion_runtime *none = NULL;
	pinion_diag diag;
	int anything;

	(void)state;
	assert_int_equal(
	    pinion_start(&none, .stack_size = INT64_C(1) << 50, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "stack_size"));
	assert_int_equal(
	    pinion_start(&none, .clock = { .arg = &anything }, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "clock"));
	assert_null(none);
}

/* A millisecond passes with every look. */
static uint64_t
virtual_now(void *arg)
{
	uint64_t *now = arg;

	return *now += 1000000;
}

static void
a_wait_within_a_time_goes_by_the_users_clock(void **state)
{
	uint64_t now = 1;
	pinion_runtime *driven;
	pinion_response r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&driven, .workers = PINION_CALLER_DRIVEN,
			     .clock = { .now = virtual_now, .arg = &now }),
	    0);
	assert_int_equal(pinion_run(driven, graph_build_single, &handle), 0);
	r = pinion_call(pinion_method_of(handle, "forget"), PINION_ARGS());
	now = 1;
	assert_int_equal(pinion_result_within(r, INT64_C(60000000000), &x), -EAGAIN);
	assert_in_range(now, UINT64_C(60000000000), UINT64_C(3700000000000));
	pinion_release(r);
	pinion_stop(driven);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_after_the_answer_is_logged_and_the_answer_stands),
		cmocka_unit_test(a_stop_from_a_handler_does_nothing),
		cmocka_unit_test(behaviour_37_bytes_of_a_response_are_no_reference),
		cmocka_unit_test(behaviour_43_a_reference_that_was_given_back_is_stale),
		cmocka_unit_test(an_argument_that_is_misread_fails_the_call),
		cmocka_unit_test(
		    an_unknown_method_names_its_deployment_and_some_of_those_there_are),
		cmocka_unit_test(a_large_whole_number_that_is_exact_becomes_an_f64),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
		cmocka_unit_test(a_wait_within_a_time_goes_by_the_users_clock),
	};

	return cmocka_run_group_tests_name("misuse", tests, start, stop);
}
