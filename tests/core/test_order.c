/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    "by_key" keeps the order of a caller's calls also along a chain: each stage sees them as the stage before
 *         ended them, whether an argument was there when the call was made or not.
 * Method  Numbers through three stages, many outstanding, on one to four workers; each stage counts what does not
 *         follow the last of its key. The caller sometimes lets results come first, so that both kinds of call occur.
 */
#include "tests/core/graph.h"

#include <sched.h>

enum {
	OUTSTANDING = 200,
	KEYS = 4,
	STAGES = 3
};

struct seen {
	int64_t last[KEYS];
	int64_t late;
};

static int
pass(void *replica, pinion_request *req)
{
	struct seen *self = replica;
	int64_t i = pinion_arg_i64(req, 0);

	if (i <= self->last[i % KEYS])
		self->late++;
	self->last[i % KEYS] = i;
	return pinion_reply(req, i);
}

static int
late(void *replica, pinion_request *req)
{
	return pinion_reply(req, ((struct seen *)replica)->late);
}

static const pinion_deployment stage = {
	.name = "Stage",
	.replica_size = sizeof(struct seen),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, pass, .params = PINION_PARAMS(PINION_I64("i")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("late", late, .returns = PINION_RETURNS_I64)),
};

/* ---- helpers -------------------------------------------------------------------------------- */

static const char *const names[STAGES] = { "first", "second", "third" };
static pinion_handle stages[STAGES];

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *node = NULL;

	(void)config;
	for (int i = 0; i < STAGES; i++)
		node = pinion_bind(app, &stage, PINION_ARGS(), .name = names[i],
		    .routing = "by_key", .max_ongoing_requests = OUTSTANDING);
	return node;
}

static pinion_runtime *
start(int workers)
{
	pinion_runtime *rt;
	pinion_handle ingress;

	assert_int_equal(pinion_start(&rt, .workers = workers), 0);
	assert_int_equal(pinion_run(rt, build, &ingress), 0);
	for (int i = 0; i < STAGES; i++)
		assert_int_equal(pinion_handle_find(rt, "default", names[i], &stages[i]), 0);
	return rt;
}

static void
send_through(pinion_response r[STAGES], int64_t i, const pinion_call_options *how)
{
	pinion_call_options options = *how;

	options.key = (uint64_t)(i % KEYS);
	for (int s = 0; s < STAGES; s++) {
		options.args = s == 0 ? PINION_ARGS(i) : PINION_ARGS(r[s - 1]);
		r[s] = pinion_call_with_options(stages[s], &options);
		/* Sometimes the result is there before it is an argument. */
		if (i % 7 == s)
			for (int yields = 0; yields < 3; yields++)
				(void)sched_yield(); /* never fails */
	}
}

static void
take_out(pinion_response r[STAGES], int64_t i)
{
	assert_int_equal(graph_i64(r[STAGES - 1]), i);
	for (int s = 0; s < STAGES - 1; s++)
		pinion_release(r[s]);
}

static void
assert_in_order(int workers, const pinion_call_options *how)
{
	static pinion_response r[OUTSTANDING][STAGES];
	pinion_runtime *rt = start(workers);
	int64_t count = (int64_t)scaled(40000);

	for (int64_t i = 1; i <= count; i++) {
		if (i > OUTSTANDING)
			take_out(r[i % OUTSTANDING], i - OUTSTANDING);
		send_through(r[i % OUTSTANDING], i, how);
	}
	for (int64_t i = count > OUTSTANDING ? count - OUTSTANDING + 1 : 1; i <= count; i++)
		take_out(r[i % OUTSTANDING], i);
	for (int s = 0; s < STAGES; s++)
		assert_int_equal(
		    graph_i64(pinion_call(pinion_method_of(stages[s], "late"), PINION_ARGS())), 0);
	graph_assert_clean(rt, 1);
	pinion_stop(rt);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
behaviour_77_a_chain_keeps_a_keys_order(void **state)
{
	(void)state;
	for (int workers = 1; workers <= 4; workers++)
		assert_in_order(workers, &(pinion_call_options){ .has_key = true });
}

static void
behaviour_77_a_chain_keeps_a_callers_order(void **state)
{
	(void)state;
	for (int workers = 1; workers <= 4; workers++)
		assert_in_order(workers, &(pinion_call_options){ .has_key = false });
}

/* Such a call is put together elsewhere. */
static void
behaviour_77_a_chain_with_a_deadline_keeps_its_order(void **state)
{
	(void)state;
	for (int workers = 1; workers <= 4; workers++)
		assert_in_order(workers,
		    &(pinion_call_options){
			.has_key = true, .timeout_ns = INT64_C(3600) * 1000000000 });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaviour_77_a_chain_keeps_a_keys_order),
		cmocka_unit_test(behaviour_77_a_chain_keeps_a_callers_order),
		cmocka_unit_test(behaviour_77_a_chain_with_a_deadline_keeps_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
