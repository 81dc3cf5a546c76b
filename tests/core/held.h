/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/core/held.h - a deployment whose requests run until the test lets them go, so that it is known what runs, what is
 * queued, and where; the census is zero behind every test.
 */
#ifndef PINION_TESTS_CORE_HELD_H
#define PINION_TESTS_CORE_HELD_H

#include "tests/core/graph.h"

#include <sched.h>

enum {
	HELD_MAX = 256,
	REPLICAS_MAX = 128
};

static pinion_runtime *rt;
static _Atomic int64_t started;
static struct {
	pinion_token token;
	unsigned replica;
	_Atomic bool is_there;
} held[HELD_MAX];
static _Atomic int held_count;
static _Atomic int64_t by_replica[REPLICAS_MAX];

/* ---- handlers ------------------------------------------------------------------------------- */

struct replica_state {
	unsigned number;
	pinion_handle peer;
};

static inline int
init(void *replica, pinion_init *init)
{
	((struct replica_state *)replica)->number = pinion_init_replica(init);
	return 0;
}

/* Until the test lets it go. */
static inline int
hold(void *replica, pinion_request *req)
{
	pinion_token token;
	int err = pinion_defer(req, &token);
	int at;

	atomic_fetch_add(&by_replica[((const struct replica_state *)replica)->number], 1);
	at = atomic_fetch_add(&held_count, 1);
	held[at].token = token;
	held[at].replica = ((const struct replica_state *)replica)->number;
	atomic_store(&held[at].is_there, true);
	atomic_fetch_add(&started, 1);
	return err;
}

static inline int
which(void *replica, pinion_request *req)
{
	(void)pinion_arg_i64(req, 0);
	return pinion_reply(req, (int64_t)((const struct replica_state *)replica)->number);
}

static inline int
where(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (int64_t)pinion_request_worker(req));
}

#define OF_I64 .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = PINION_RETURNS_I64

static const pinion_deployment kind = {
	.name = "Held",
	.replica_size = sizeof(struct replica_state),
	.init = init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hold, OF_I64),
	    PINION_METHOD("which", which, OF_I64), PINION_METHOD("where", where, OF_I64)),
};

static pinion_bind_options wanted; /* by the next build */
static char deployed[32];          /* the last application's name */

static inline pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	wanted.size_ = sizeof wanted;
	return pinion_bind_with(app, &kind, &wanted);
}

static inline pinion_handle
deploy(pinion_bind_options options)
{
	static int serial;
	pinion_handle handle;
	pinion_diag diag;

	wanted = options;
	(void)snprintf(deployed, sizeof deployed, "app%d", ++serial);
	if (pinion_run(rt, build, &handle, .name = deployed, .diag = &diag) != 0)
		print_message("%s\n", diag.text);
	assert_true(handle.id != 0);
	return handle;
}

static inline pinion_response
call(pinion_handle handle)
{
	return pinion_call(handle, PINION_ARGS());
}

static inline void
await_started(int64_t count)
{
	while (atomic_load(&started) != count)
		(void)sched_yield();
}

/* Those that were held last, and will be. */
static inline void
let_go(int count)
{
	for (int i = 0; i < count; i++) {
		while (!atomic_load(&held[i].is_there))
			(void)sched_yield();
		assert_int_equal(
		    pinion_token_reply_value(held[i].token, PINION_VALUE((int64_t)i)), 0);
		atomic_store(&held[i].is_there, false);
	}
	atomic_store(&held_count, 0);
}

static inline int
assert_clean(void **state)
{
	(void)state;
	while (pinion_port_mine(rt) == NULL)
		continue;
	graph_assert_clean(rt, 1);
	atomic_store(&started, 0);
	atomic_store(&held_count, 0);
	for (int i = 0; i < REPLICAS_MAX; i++)
		atomic_store(&by_replica[i], 0);
	return 0;
}

static inline int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2, .slots = 256);
}

static inline int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

#endif
