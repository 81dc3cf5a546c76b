/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/core/graph.h - a small application that the tests of core share: arithmetic, texts, waiting.
 */
#ifndef PINION_TESTS_CORE_GRAPH_H
#define PINION_TESTS_CORE_GRAPH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/pinion.h"
#include "tests/scale.h"

struct graph_state {
	pinion_handle peer;
	int64_t number;
	int64_t calls;
};

static _Atomic int graph_running, graph_running_most;
static pinion_token graph_token;
static _Atomic int graph_deferred;

static inline int
graph_init(void *replica, pinion_init *init)
{
	struct graph_state *self = replica;

	self->number = pinion_init_i64(init, 0);
	if (self->number == -1)
		return pinion_init_fail(init, -EPERM, "the number is %d", -1);
	return 0;
}

/* What a client that writes anything calls with is any number: the sum wraps. */
static inline int64_t
graph_plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int
graph_add(void *replica, pinion_request *req)
{
	struct graph_state *self = replica;

	self->calls++;
	return pinion_reply(req, graph_plus(pinion_arg_i64(req, 0), self->number));
}

static inline int
graph_sum(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, graph_plus(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
}

static inline int
graph_minus(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(
	    req, (int64_t)((uint64_t)pinion_arg_i64(req, 0) - (uint64_t)pinion_arg_i64(req, 1)));
}

static inline int
graph_echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_str(req, 0));
}

static inline int
graph_which(void *replica, pinion_request *req)
{
	struct graph_state *self = replica;

	self->calls++;
	return pinion_reply(req, (int64_t)pinion_request_worker(req) * 1000000 + self->calls);
}

static inline int
graph_nap(void *replica, pinion_request *req)
{
	int now = atomic_fetch_add(&graph_running, 1) + 1;
	int most = atomic_load(&graph_running_most);
	int err;

	(void)replica;
	while (now > most && !atomic_compare_exchange_weak(&graph_running_most, &most, now))
		continue;
	err = pinion_sleep(req, pinion_arg_i64(req, 0));
	atomic_fetch_sub(&graph_running, 1);
	return err != 0 ? err : pinion_reply(req, pinion_arg_i64(req, 0));
}

static inline int
graph_broken(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_fail(req, -EDOM, "broken by %d", (int)pinion_arg_i64(req, 0));
}

static inline int
graph_silent(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 0;
}

static inline int
graph_twice(void *replica, pinion_request *req)
{
	int first = pinion_reply(req, (int64_t)1);
	int second = pinion_reply(req, (int64_t)2);

	(void)replica;
	return first == 0 && second == -EALREADY ? 0 : -EINVAL;
}

static inline int
graph_defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &graph_token);

	(void)replica;
	atomic_store(&graph_deferred, 1);
	return err;
}

/* Nobody answers it. */
static inline int
graph_forget(void *replica, pinion_request *req)
{
	pinion_token token;

	(void)replica;
	return pinion_defer(req, &token);
}

static inline int
graph_fill(void *replica, pinion_request *req)
{
	int64_t size = pinion_arg_i64(req, 0);
	unsigned char *at = pinion_result_buffer(req, (size_t)size);

	(void)replica;
	if (at == NULL)
		return -EMSGSIZE;
	memset(at, 7, (size_t)size);
	memcpy(at, (const void *)&at, sizeof(void *)); /* says where it was written */
	return pinion_reply_buffer(req, (size_t)size);
}

/* 1 when the bytes lie where they say they were written. */
static inline int
graph_in_place(void *replica, pinion_request *req)
{
	pinion_bytes b = pinion_arg_bytes(req, 0);
	const void *said;

	(void)replica;
	memcpy(&said, b.data, sizeof said);
	return pinion_reply(req, (int64_t)(said == b.data));
}

static inline int
graph_fail_if_waited(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_f64(req, 0) * 2);
}

static const pinion_deployment graph_worker = {
	.name = "Worker",
	.replica_size = sizeof(struct graph_state),
	.init = graph_init,
	.init_params = PINION_PARAMS(PINION_I64_OR("number", 1)),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, graph_add, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("sum", graph_sum,
		.params = PINION_PARAMS(PINION_I64("a"), PINION_I64_OR("b", 100)),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("echo", graph_echo, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR),
	    PINION_METHOD("which", graph_which, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("nap", graph_nap, .params = PINION_PARAMS(PINION_I64("ns")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("broken", graph_broken, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("silent", graph_silent, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("twice", graph_twice, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("defer", graph_defer, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("forget", graph_forget, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("fill", graph_fill, .params = PINION_PARAMS(PINION_I64("size")),
		.returns = PINION_RETURNS_BYTES, .result_max = 1 << 20),
	    PINION_METHOD("in_place", graph_in_place, .params = PINION_PARAMS(PINION_BYTES("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("minus", graph_minus,
		.params = PINION_PARAMS(PINION_I64("from"), PINION_I64("less")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("twofold", graph_fail_if_waited, .params = PINION_PARAMS(PINION_F64("x")),
		.returns = PINION_RETURNS_F64)),
};

/* Calls its peer: waits, forwards, answers with a response. */
static inline int
relay_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static inline int
relay_wait(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(*(const pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t x;
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x + 1);
}

static inline int
relay_forward(void *replica, pinion_request *req)
{
	return pinion_forward(
	    req, *(const pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));
}

static inline int
relay_diamond(void *replica, pinion_request *req)
{
	pinion_handle peer = *(const pinion_handle *)replica;
	pinion_response top = pinion_call(peer, PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_response left = pinion_call(peer, PINION_ARGS(top));
	pinion_response right = pinion_call(peer, PINION_ARGS(top));

	return pinion_reply_response(
	    req, pinion_call(pinion_method_of(peer, "sum"), PINION_ARGS(left, right)));
}

static inline int
relay_forward_late(void *replica, pinion_request *req)
{
	pinion_handle peer = *(const pinion_handle *)replica;
	pinion_response first = pinion_call(peer, PINION_ARGS(pinion_arg_i64(req, 0)));

	return pinion_forward(req, peer, PINION_ARGS(first));
}

static const pinion_deployment graph_relay = {
	.name = "Relay",
	.replica_size = sizeof(pinion_handle),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, relay_wait, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("forward", relay_forward, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("diamond", relay_diamond, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("late", relay_forward_late, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64)),
};

static inline pinion_node *
graph_build(pinion_app *build, const pinion_config *config)
{
	pinion_node *worker = pinion_bind(build, &graph_worker, PINION_ARGS(), .num_replicas = 3);

	(void)config;
	return pinion_bind(build, &graph_relay, PINION_ARGS(worker));
}

static inline pinion_node *
graph_build_single(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .max_ongoing_requests = 1);
}

static inline pinion_node *
graph_build_workers(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .num_replicas = 3);
}

/* Nothing is held any more; `ports` are still open. */
static inline void
graph_assert_clean(pinion_runtime *rt, unsigned ports)
{
	pinion_census c;

	pinion_census_take(rt, &c);
	assert_int_equal(c.slots, 0);
	assert_int_equal(c.blocks, 0);
	assert_int_equal(c.fibers, 0);
	assert_int_equal(c.custody, 0);
	assert_int_equal(c.borrowed, 0);
	assert_int_equal(c.ports, ports);
	assert_int_equal(c.requests, 0);
	assert_int_equal(c.queued, 0);
}

static inline int64_t
graph_i64(pinion_response r)
{
	int64_t x = INT64_MIN;
	int err = pinion_result(r, &x);

	if (err != 0)
		print_message("%d: %.*s\n", err, PINION_STR_FMT(pinion_response_error(r).text));
	assert_int_equal(err, 0);
	pinion_release(r);
	return x;
}

#endif
