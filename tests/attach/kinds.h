/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/kinds.h - an application that reads and answers in each way there is, and a port of another process beside it.
 *
 *   start: a runtime, the application, the other's port --> a test --> stop: a call of our own is answered, and nothing is left
 */
#ifndef PINION_TESTS_ATTACH_KINDS_H
#define PINION_TESTS_ATTACH_KINDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>

#include "tests/attach/hostile.h"

enum {
	TURNS = 20,       /* more than any call here takes */
	LONG = 500,       /* bytes of a result that does not fit a slot */
	ROOM = 1000,      /* and of what may be */
	RECORD_AT = 16,   /* granules: where arguments are written, */
	PLACE_AT = 64,    /* results, */
	CARRIED_AT = 128, /* what is carried */
	VALUE = 41
};

struct wide {
	alignas(32) int64_t x[4];
};

static pinion_runtime *rt;
static pinion_handle app;
static struct hostile guest;
static _Atomic uint64_t now_ns;

/* What handlers saw, and have done. */
static struct {
	pinion_token token;
	size_t id_length;   /* that load_model was given; SIZE_MAX: it was not called */
	bool missed_struct; /* an argument that is declared was not there */
	int got;
	pinion_error error;
	char first[8], second[8];
	void (*meanwhile)(void); /* what is written while a handler runs */
	unsigned tasks;
	unsigned without_state;
} seen;

/* ---- what runs -------------------------------------------------------------------------------- */

static inline int
add(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static inline int
echo(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, pinion_arg_str(req, 0));
}

static inline int
echo_as_stream(void *state, pinion_request *req)
{
	(void)state;
	return pinion_yield(req, pinion_arg_str(req, 0));
}

static inline int
put_off(void *state, pinion_request *req)
{
	(void)state;
	return pinion_defer(req, &seen.token);
}

static const char xs[LONG] = { 'x' };

static inline int
answer_long(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, ((pinion_str){ xs, LONG }));
}

static inline int
answer_in_place(void *state, pinion_request *req)
{
	char *buffer = pinion_result_buffer(req, LONG);

	(void)state;
	if (buffer == NULL)
		return -ENOBUFS;
	memset(buffer, 'y', 4);
	seen.meanwhile();
	return pinion_reply_buffer(req, 4);
}

static inline int
count_up(void *state, pinion_request *req)
{
	(void)state;
	return pinion_yield(req, (int64_t)VALUE);
}

static inline int
read_stream(void *state, pinion_request *req)
{
	pinion_stream stream = pinion_arg_stream(req, 0);
	int64_t x;

	(void)state;
	seen.got = pinion_next(stream, &x);
	seen.error = pinion_stream_error(stream);
	return pinion_reply(req, (int64_t)seen.got);
}

static inline int
read_struct(void *state, pinion_request *req)
{
	(void)state;
	if (pinion_arg_struct(req, 0, struct wide) == NULL)
		seen.missed_struct = true;
	return pinion_reply(req, (int64_t)0);
}

static inline int
load(void *state, pinion_request *req, pinion_str id, void **model)
{
	(void)state;
	(void)req;
	seen.id_length = id.len;
	*model = &seen;
	return 0;
}

static inline int
use_model(void *state, pinion_request *req)
{
	void *model;
	int err = pinion_model(req, &model);

	(void)state;
	return err != 0 ? err : pinion_reply(req, (int64_t)0);
}

static inline void
note_value(pinion_request *req, char to[8])
{
	pinion_str value = pinion_request_value(req, "a");

	memset(to, 0, 8);
	memcpy(to, value.data, value.len < 7 ? value.len : 7);
}

static inline int
read_values(void *state, pinion_request *req)
{
	(void)state;
	note_value(req, seen.first);
	if (seen.meanwhile != NULL)
		seen.meanwhile();
	note_value(req, seen.second);
	return pinion_reply(req, (int64_t)0);
}

/* Its text, before and behind what is written meanwhile. */
static inline int
read_twice(void *state, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 0);

	(void)state;
	memcpy(seen.first, text.data, 4);
	seen.meanwhile();
	memcpy(seen.second, text.data, 4);
	return pinion_reply(req, (int64_t)0);
}

/* Whom it calls has what it has. */
static inline int
hand_values_down(void *state, pinion_request *req)
{
	pinion_response r = pinion_call(pinion_method_of(app, "read_values"), PINION_ARGS());
	int64_t x;
	int err = pinion_result(r, &x);

	(void)state;
	return err != 0 ? err : pinion_reply(req, x);
}

static inline int
forward_to(void *state, pinion_request *req)
{
	(void)state;
	return pinion_forward(req, pinion_arg_handle(req, 0), PINION_ARGS());
}

static const pinion_deployment kinds = {
	.name = "Kinds",
	.max_models = 1,
	.load_model = load,
	.methods = PINION_METHODS(
	    PINION_METHOD("add", add, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD("yield", echo_as_stream, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR, .result_max = LONG, .stream = true),
	    PINION_METHOD("put_off", put_off, .returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD("long", answer_long, .returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD(
		"in_place", answer_in_place, .returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD("count", count_up, .returns = PINION_RETURNS_I64, .stream = true),
	    PINION_METHOD("read_stream", read_stream, .params = PINION_PARAMS(PINION_STREAM("s")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("read_struct", read_struct,
		.params = PINION_PARAMS(PINION_STRUCT("s", struct wide)),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("model", use_model, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("read_twice", read_twice, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("read_values", read_values, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("hand_down", hand_values_down, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("forward", forward_to, .params = PINION_PARAMS(PINION_HANDLE("whom")),
		.returns = PINION_RETURNS_STR, .result_max = ROOM)),
};

static inline int
fail_init(void *state, pinion_init *init)
{
	(void)state;
	(void)init;
	return -EPERM;
}

static inline int
run_all_the_same(void *state, pinion_request *req)
{
	seen.without_state += state == NULL;
	return pinion_reply(req, (int64_t)0);
}

static const pinion_deployment broken = {
	.name = "Broken",
	.replica_size = 64,
	.init = fail_init,
	.methods =
	    PINION_METHODS(PINION_METHOD("run", run_all_the_same, .returns = PINION_RETURNS_I64)),
};

static inline pinion_node *
build(pinion_app *b, const pinion_config *config)
{
	(void)config;
	return pinion_bind(b, &kinds, PINION_ARGS());
}

static inline pinion_node *
build_broken(pinion_app *b, const pinion_config *config)
{
	(void)config;
	return pinion_bind(b, &broken, PINION_ARGS());
}

static inline uint64_t
now(void *arg)
{
	(void)arg;
	/* relaxed: one thread. */
	return atomic_load_explicit(&now_ns, memory_order_relaxed);
}

static inline int
start(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof seen);
	seen.id_length = SIZE_MAX;
	atomic_store(&now_ns, 1);
	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .slots = HOSTILE_SLOTS,
		.clock = (pinion_clock){ .now = now }) != 0 ||
	    pinion_run(rt, build, &app) != 0)
		return -1;
	return hostile_make(&guest, rt);
}

static inline pinion_response
call_add(void)
{
	return pinion_call(pinion_method_of(app, "add"), PINION_ARGS((int64_t)VALUE));
}

/* We are answered as ever, and nothing of the other's is left when it has gone. */
static inline int
stop(void **state)
{
	pinion_census c;
	pinion_response r = call_add();
	int64_t x = 0;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	assert_int_equal(x, VALUE + 1);
	pinion_release(r);
	hostile_end(&guest);
	pinion_census_take(rt, &c);
	assert_int_equal(c.requests, 0);
	assert_int_equal(c.fibers, 0);
	assert_int_equal(c.custody, 0);
	assert_int_equal(c.slots, 0);
	assert_int_equal(c.queued, 0);
	pinion_stop(rt);
	return 0;
}

/* ---- the other -------------------------------------------------------------------------------- */

static inline struct message
call_of(const char *method, unsigned slot)
{
	return hostile_call(&guest, pinion_method_of(app, method), slot);
}

static inline void
push(const struct message *m)
{
	assert_true(hostile_push(&guest, m));
	hostile_turns(&guest, TURNS);
}

static inline void
assert_ended(unsigned slot, int status)
{
	assert_true(hostile_is_done(&guest, slot));
	assert_int_equal(hostile_slot(&guest, slot)->status, status);
}

static inline void
set_place(unsigned slot, uint32_t at, uint32_t size)
{
	hostile_memory(&guest)->places[slot] = (struct result_place){ .at = at, .size = size };
}

static inline void
carry(unsigned slot, struct call_terms terms, const void *bytes, uint16_t length)
{
	terms.at = CARRIED_AT;
	terms.length = length;
	memcpy(hostile_at(&guest, CARRIED_AT), bytes, length);
	hostile_memory(&guest)->terms[slot] = terms;
}

/* Slot 0 has a call that is not answered, and is somebody's argument. */
static inline void
leave_pending(unsigned slot)
{
	(void)call_of("add", slot);
}

/* Who waits for it here looks again. */
static inline void
cancel(unsigned slot)
{
	const struct message m = { .call = guest.generations[slot] << 16,
		.slot = (uint16_t)slot,
		.port = guest.port->index,
		.target = REPLICA_NONE,
		.kind = MESSAGE_CANCEL };

	push(&m);
}

static inline struct ring *
make_ring(unsigned slot, uint32_t window)
{
	struct ring *ring = hostile_at(&guest, PLACE_AT);

	ring_init(ring, window, CELL_SIZE);
	set_place(slot, PLACE_AT, (uint32_t)ring_size(window, CELL_SIZE));
	return ring;
}

/* Of a stream in slot 0, into slot 1. */
static inline struct message
read_it(void)
{
	struct message m = call_of("read_stream", 1);
	struct record_ref ref = hostile_ref(&guest, 0, REF_STREAM);

	m.refs = 1;
	m.function = MESSAGE_PIPED;
	hostile_put(&m, &ref, sizeof ref);
	return m;
}

#endif
