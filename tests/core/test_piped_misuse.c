/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A stream where it cannot be, or what is no stream where one is wanted, is refused by name, and nothing is lost:
 *         a call that is not sent leaves the stream to its caller.
 * Method  One mistake after the other; the text is compared. The census is zero behind every test.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle producer, reader;

static int
count(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, i);
	return err;
}

static const pinion_deployment producing = {
	.name = "Producer",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, count, .params = PINION_PARAMS(PINION_I64("limit")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

/* Of so many, and no more. */
static int
some(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x, total = 0;
	int got = 1;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 1) && (got = pinion_next(s, &x)) == 1; i++)
		total += x;
	return got < 0 ? got : pinion_reply(req, total);
}

/* Passes it to a call that may outlive it, and what it was told is the answer. */
static int
lend_on(void *replica, pinion_request *req)
{
	pinion_response r = pinion_call(reader, PINION_ARGS(pinion_arg_stream(req, 0)));
	pinion_error e = pinion_response_error(r);

	(void)replica;
	return pinion_reply_fmt(req, "%d: %.*s", e.code, PINION_STR_FMT(e.text));
}

static int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

/* Reads a number as a stream. */
static int
misread(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;

	(void)replica;
	return pinion_next(s, &x) == -EINVAL ? 0 : pinion_reply(req, x);
}

#define ITEMS PINION_STREAM("items")
#define NUMBER .returns = PINION_RETURNS_I64

static const pinion_deployment reading = {
	.name = "Reader",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, some,
		.params = PINION_PARAMS(ITEMS, PINION_I64_OR("most", INT64_MAX)), NUMBER),
	    PINION_METHOD(
		"lend_on", lend_on, .params = PINION_PARAMS(ITEMS), .returns = PINION_RETURNS_STR),
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_I64("x")), NUMBER),
	    PINION_METHOD("misread", misread, .params = PINION_PARAMS(PINION_I64("x")), NUMBER),
	    PINION_METHOD("ref", echo, .params = PINION_PARAMS(PINION_REF("x")), NUMBER)),
};

static pinion_node *
build_producer(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &producing, PINION_ARGS());
}

static pinion_node *
build_reader(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &reading, PINION_ARGS());
}

static pinion_stream
numbers(int64_t limit)
{
	return pinion_call_stream(producer, PINION_ARGS(limit));
}

static void
assert_failed(pinion_response r, int code, const char *text)
{
	int err = pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE });
	pinion_error e = pinion_response_error(r);

	if (err != code || !pinion_str_is(e.text, text))
		print_message("%d: %.*s\n", err, PINION_STR_FMT(e.text));
	assert_int_equal(err, code);
	assert_true(pinion_str_is(e.text, text));
	pinion_release(r);
}

static void
assert_text(pinion_response r, const char *text)
{
	pinion_str got;

	assert_int_equal(pinion_result(r, &got), 0);
	if (!pinion_str_is(got, text))
		print_message("%.*s\n", PINION_STR_FMT(got));
	assert_true(pinion_str_is(got, text));
	pinion_release(r);
}

static void
a_call_that_is_not_sent_leaves_it(void **state)
{
	pinion_stream s = numbers(3);
	int64_t x;

	(void)state;
	assert_failed(pinion_call(reader, PINION_ARGS(s, "three")), -EINVAL,
	    "Reader.__call__: parameter \"most\" wants i64 and got str");
	assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(graph_i64(pinion_call(reader, PINION_ARGS(s))), 3);
	pinion_stream_close(s);
}

static void
what_is_wrong_says_so(void **state)
{
	pinion_stream s = numbers(INT64_MAX), closed = numbers(1);
	pinion_stream failed =
	    pinion_call_stream(pinion_method_of(reader, "echo"), PINION_ARGS((int64_t)1));
	pinion_response r = pinion_call(pinion_method_of(reader, "echo"), PINION_ARGS((int64_t)1));
	pinion_response reads = pinion_call(reader, PINION_ARGS(s, INT64_MAX));

	(void)state;
	pinion_stream_close(closed);
	assert_failed(pinion_call(reader, PINION_ARGS(s)), -EINVAL,
	    "Reader.__call__: Producer.__call__ is another call's argument already");
	assert_failed(pinion_call(reader, PINION_ARGS(closed)), -ESTALE,
	    "Reader.__call__: a stream that was released");
	assert_failed(pinion_call(reader, PINION_ARGS(failed)), -EINVAL,
	    "Reader.echo is no stream: call it with pinion_call");
	assert_failed(pinion_call(pinion_method_of(reader, "echo"), PINION_ARGS(s)), -EINVAL,
	    "Reader.echo: parameter \"x\" wants i64 and got a stream: read it with pinion_next, or pass "
	    "it to a PINION_STREAM parameter");
	assert_failed(pinion_call(pinion_method_of(reader, "ref"), PINION_ARGS(s)), -EINVAL,
	    "Reader.ref: parameter \"x\" wants a reference and got a stream, which has none "
	    "(pinion_response_ref is for responses): pass it to a PINION_STREAM parameter");
	assert_failed(pinion_call(reader, PINION_ARGS(r)), -EINVAL,
	    "Reader.__call__: parameter \"items\" wants stream and Reader.echo returns i64");
	assert_failed(pinion_call(reader, PINION_ARGS((int64_t)1)), -EINVAL,
	    "Reader.__call__: parameter \"items\" wants stream and got i64");
	pinion_cancel(reads);
	pinion_release(reads);
	pinion_stream_close(s);
	pinion_stream_close(failed);
	pinion_release(r);
	s = numbers(10);
	assert_text(pinion_call(pinion_method_of(reader, "lend_on"), PINION_ARGS(s)),
	    "-22: Reader.__call__: a stream that is a handler's argument is read by it, or forwarded");
	pinion_stream_close(s);
}

static void
what_is_no_stream_is_not_read_as_one(void **state)
{
	(void)state;
	assert_failed(pinion_call(pinion_method_of(reader, "misread"), PINION_ARGS((int64_t)1)),
	    -EINVAL, "argument 0 of Reader.misread is i64 and was read as stream");
}

static void
tagged_ones_are_harvested(void **state)
{
	pinion_port *port = pinion_port_mine(rt);
	pinion_stream s = pinion_call_stream(
	    producer, PINION_ARGS((int64_t)1), .port = port, .tag = 1, .tagged = true);

	(void)state;
	assert_failed(pinion_call(reader, PINION_ARGS(s)), -EINVAL,
	    "Reader.__call__: Producer.__call__ is a tagged stream, which is harvested");
	pinion_stream_close(s);
}

static int
init_nothing(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	return 0;
}

static const pinion_deployment constructed = {
	.name = "Constructed",
	.init = init_nothing,
	.init_params = PINION_PARAMS(ITEMS),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo)),
};

static const pinion_deployment returning = {
	.name = "Returning",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, echo, .returns = { .kind = PINION_KIND_STREAM })),
};

static pinion_node *
build_constructed(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &constructed, PINION_ARGS());
}

static pinion_node *
build_returning(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &returning, PINION_ARGS());
}

static void
where_it_cannot_be_is_refused(void **state)
{
	pinion_handle handle;
	pinion_diag diag;

	(void)state;
	assert_int_equal(
	    pinion_run(rt, build_constructed, &handle, .name = "x", .diag = &diag), -EINVAL);
	assert_non_null(strstr(
	    diag.text, "Constructed.init has a parameter that is a stream, which only calls have"));
	assert_int_equal(
	    pinion_run(rt, build_returning, &handle, .name = "x", .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "Returning.__call__ returns what is no value"));
}

static int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(
		    pinion_call(pinion_method_of(reader, "echo"), PINION_ARGS((int64_t)0)));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.fibers != 0 || c.custody != 0 || c.blocks != 0);
	graph_assert_clean(rt, 1);
	return 0;
}

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 1) == 0 &&
		pinion_run(rt, build_producer, &producer, .name = "producer") == 0 &&
		pinion_run(rt, build_reader, &reader) == 0
	    ? 0
	    : -1;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_that_is_not_sent_leaves_it),
		TEST(what_is_wrong_says_so),
		TEST(what_is_no_stream_is_not_read_as_one),
		TEST(tagged_ones_are_harvested),
		TEST(where_it_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
