/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/core/piped.h - producers of streams, and handlers that have one as an argument, on each of two workers.
 */
#ifndef PINION_TESTS_CORE_PIPED_H
#define PINION_TESTS_CORE_PIPED_H

#include "tests/core/graph.h"

#include "core/runtime.h"

static pinion_runtime *rt;
static pinion_handle producer[2], reader[2]; /* on the first and on the second worker */
static _Atomic int64_t ended;                /* what the last producer ended with, 1 for 0 */
static _Atomic int64_t told; /* what a reader was, after its answer; 2: `fill` has begun */

/* ---- producers ------------------------------------------------------------------------------ */

static inline int
count(void *replica, pinion_request *req)
{
	int64_t limit = pinion_arg_i64(req, 0);
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < limit && err == 0; i++)
		err = pinion_yield(req, i);
	atomic_store(&ended, err == 0 ? 1 : err);
	return err;
}

static inline int
spell(void *replica, pinion_request *req)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, ((pinion_str){ letters, (size_t)(i % 27) }));
	return err;
}

static inline int
fail_after(void *replica, pinion_request *req)
{
	int err = count(replica, req);

	return err != 0 ? err : pinion_fail(req, -EDOM, "after %d", (int)pinion_arg_i64(req, 0));
}

/* Yields one, and then nothing until it is told. */
static inline int
hesitate(void *replica, pinion_request *req)
{
	int err = pinion_yield(req, (int64_t)7);

	(void)replica;
	if (err == 0)
		err = pinion_sleep(req, INT64_MAX / 2);
	atomic_store(&ended, err == 0 ? 1 : err);
	return err;
}

static _Atomic bool is_free;

/* Yields nothing, and hears nothing. */
static inline int
be_deaf(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	while (!atomic_load(&is_free))
		continue;
	return 0;
}

/* Each item, and the end, after a pause in which the reader's worker may be about to sleep: it looks for 10 us. */
static inline int
lag(void *replica, pinion_request *req)
{
	uint64_t us = pinioni_clock_ticks_us(), random = 1;
	int64_t limit = pinion_arg_i64(req, 0);
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i <= limit && err == 0; i++) {
		uint64_t start_ticks = clock_ticks();

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		while (clock_ticks() - start_ticks < (random >> 33) % (20 * us))
			continue;
		if (i < limit)
			err = pinion_yield(req, i);
	}
	return err;
}

#define LIMIT .params = PINION_PARAMS(PINION_I64("limit"))
#define NUMBERS .returns = PINION_RETURNS_I64, .stream = true

static const pinion_deployment producing = {
	.name = "Producer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, count, LIMIT, NUMBERS),
	    PINION_METHOD("spell", spell, LIMIT, .returns = PINION_RETURNS_STR, .stream = true),
	    PINION_METHOD("fail_after", fail_after, LIMIT, NUMBERS),
	    PINION_METHOD("lag", lag, LIMIT, NUMBERS), PINION_METHOD("be_deaf", be_deaf, NUMBERS),
	    PINION_METHOD("hesitate", hesitate, NUMBERS)),
};

/* ---- readers -------------------------------------------------------------------------------- */

/* The sum of all that comes, -1 if that is not one more each time. */
static inline int
sum_of(pinion_stream s, int64_t *sum)
{
	int64_t x, last = -1;
	int got;

	*sum = 0;
	while ((got = pinion_next(s, &x)) == 1) {
		if (last >= 0 && x != last + 1)
			return -EBADMSG;
		last = x;
		*sum += x;
	}
	return got;
}

static inline int
sum(void *replica, pinion_request *req)
{
	int64_t total;
	int err = sum_of(pinion_arg_stream(req, 0), &total);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, total);
}

static inline int
sum_task(pinion_request *req)
{
	return sum(NULL, req);
}

/* Of so many, and no more. */
static inline int
some(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x, total = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 1); i++) {
		int got = pinion_next(s, &x);

		if (got != 1)
			return got;
		total += x;
	}
	return pinion_reply(req, total);
}

static inline int
lengths(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	pinion_str text;
	int64_t total = 0;
	int got;

	(void)replica;
	while ((got = pinion_next(s, &text)) == 1) {
		for (size_t i = 0; i < text.len; i++)
			if (text.data[i] != 'a' + (int)i)
				return -EBADMSG;
		total += (int64_t)text.len;
	}
	return got != 0 ? got : pinion_reply(req, total);
}

/* A stream of a stream: each item twice as large. */
static inline int
twice(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;
	int err;

	(void)replica;
	while ((err = pinion_next(s, &x)) == 1)
		if ((err = pinion_yield(req, 2 * x)) != 0)
			break;
	return err;
}

static inline int
dot(void *replica, pinion_request *req)
{
	pinion_stream a = pinion_arg_stream(req, 0), b = pinion_arg_stream(req, 1);
	int64_t x, y, total = 0;
	int got;

	(void)replica;
	while ((got = pinion_next(a, &x)) == 1 && (got = pinion_next(b, &y)) == 1)
		total += x * y;
	return got != 0 ? got : pinion_reply(req, total);
}

/* What the error says, and the number of items before it. */
static inline int
explain(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x, items = 0;
	int got;
	pinion_error e;

	(void)replica;
	while ((got = pinion_next(s, &x)) == 1)
		items++;
	e = pinion_stream_error(s);
	return pinion_reply_fmt(req, "%d items, %d %d: %.*s.%.*s: %.*s", (int)items, got, e.code,
	    PINION_STR_FMT(e.deployment), PINION_STR_FMT(e.method), PINION_STR_FMT(e.text));
}

/* One item, and the rest is another's. */
static inline int
hand_on(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;

	(void)replica;
	if (pinion_next(s, &x) != 1 || x != 0)
		return -EBADMSG;
	return pinion_forward(req, reader[1], PINION_ARGS(s));
}

/* A tail call with a stream of its own. */
static inline int
hand_over(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_forward(req, reader[0],
	    PINION_ARGS(pinion_call_stream(producer[1], PINION_ARGS(pinion_arg_i64(req, 0)))));
}

static inline int
ask_a_task(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_call_stream(producer[1], PINION_ARGS(pinion_arg_i64(req, 0)));

	(void)replica;
	return pinion_reply_response(req, pinion_task(req, sum_task, PINION_ARGS(s)));
}

static inline int
read_after_reply(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;
	int err = pinion_reply(req, (int64_t)1);

	(void)replica;
	atomic_store(&told, pinion_next(s, &x));
	return err;
}

static inline int
close_at_once(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;

	(void)replica;
	pinion_stream_close(s);
	return pinion_reply(req, (int64_t)pinion_next(s, &x));
}

static inline int
cancel_it(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;
	int got;

	(void)replica;
	pinion_stream_cancel(s);
	while ((got = pinion_next(s, &x)) == 1)
		continue;
	return pinion_reply(req, (int64_t)got);
}

/* Looks, waits a little, and then for the item that will come. */
static inline int
impatient(void *replica, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	int64_t x;

	(void)replica;
	if (pinion_next(s, &x) != 1 || x != 7)
		return -EBADMSG;
	if (pinion_next_within(s, 0, &x) != -EAGAIN)
		return -EBADMSG;
	return pinion_reply(req, (int64_t)pinion_next_within(s, 1000000, &x));
}

/* Each member's stream, one after the other. */
static inline int
sum_each(void *replica, pinion_request *const *requests, unsigned count_of)
{
	int err = 0;

	(void)replica;
	for (unsigned i = 0; i < count_of && err == 0; i++) {
		int64_t total;

		err = sum_of(pinion_arg_stream(requests[i], 0), &total);
		if (err == 0)
			err = pinion_reply(requests[i], total);
	}
	return err;
}

static inline int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static inline int
fill(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_store(&told, 2);
	return pinion_sleep(req, INT64_MAX / 2);
}

#define ITEMS PINION_STREAM("items")

static const pinion_deployment reading = {
	.name = "Reader",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, sum, .params = PINION_PARAMS(ITEMS),
				      .returns = PINION_RETURNS_I64),
	    PINION_METHOD("some", some, .params = PINION_PARAMS(ITEMS, PINION_I64("most")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD(
		"lengths", lengths, .params = PINION_PARAMS(ITEMS), .returns = PINION_RETURNS_I64),
	    PINION_METHOD("twice", twice, .params = PINION_PARAMS(ITEMS), NUMBERS),
	    PINION_METHOD("dot", dot,
		.params = PINION_PARAMS(PINION_STREAM("a"), PINION_STREAM("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD(
		"explain", explain, .params = PINION_PARAMS(ITEMS), .returns = PINION_RETURNS_STR),
	    PINION_METHOD(
		"hand_on", hand_on, .params = PINION_PARAMS(ITEMS), .returns = PINION_RETURNS_I64),
	    PINION_METHOD("hand_over", hand_over, LIMIT, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("ask_a_task", ask_a_task, LIMIT, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("read_after_reply", read_after_reply, .params = PINION_PARAMS(ITEMS),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("close_at_once", close_at_once, .params = PINION_PARAMS(ITEMS),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("cancel_it", cancel_it, .params = PINION_PARAMS(ITEMS),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("impatient", impatient, .params = PINION_PARAMS(ITEMS),
		.returns = PINION_RETURNS_I64),
	    PINION_BATCH_METHOD("sum_each", sum_each, .params = PINION_PARAMS(ITEMS),
		.returns = PINION_RETURNS_I64, .max_batch_size = 4, .batch_wait_ns = 1000000),
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("fill", fill)),
};

/* ---- the application ------------------------------------------------------------------------ */

/* Replicas are placed in turn. */
static inline pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	for (int i = 0; i < 2; i++)
		(void)pinion_bind(app, &producing, PINION_ARGS(), .name = i == 0 ? "A" : "B");
	(void)pinion_bind(app, &reading, PINION_ARGS(), .name = "C");
	return pinion_bind(app, &reading, PINION_ARGS(), .name = "D");
}

static inline int
run_app(pinion_runtime *on)
{
	static const char *const names[] = { "A", "B", "C", "D" };
	pinion_handle *const handles[] = { &producer[0], &producer[1], &reader[0], &reader[1] };
	pinion_handle ingress;
	pinion_diag diag;
	int err = pinion_run(on, build, &ingress, .diag = &diag);

	if (err != 0)
		print_message("%s\n", diag.text);
	for (int i = 0; i < 4 && err == 0; i++)
		err = pinion_handle_find(on, "default", names[i], handles[i]);
	return err;
}

static inline pinion_handle
method(int worker, const char *name)
{
	return pinion_method_of(reader[worker], name);
}

static inline pinion_stream
numbers(int worker, int64_t limit)
{
	return pinion_call_stream(producer[worker], PINION_ARGS(limit));
}

static inline int64_t
sum_below(int64_t n)
{
	return n * (n - 1) / 2;
}

/* What was released while it ran ends by itself. */
static inline int
assert_clean(void **state)
{
	pinion_census c;

	(void)state;
	do {
		(void)graph_i64(pinion_call(method(0, "echo"), PINION_ARGS((int64_t)0)));
		pinion_census_take(rt, &c);
	} while (c.slots != 0 || c.fibers != 0 || c.custody != 0 || c.blocks != 0);
	graph_assert_clean(rt, 1);
	return 0;
}

static inline int
start(void **state)
{
	pinion_diag diag;

	(void)state;
	if (pinion_start(&rt, .workers = 2, .slots = 256, .diag = &diag) != 0) {
		print_message("%s\n", diag.text);
		return -1;
	}
	return run_app(rt);
}

static inline int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, assert_clean)

#endif
