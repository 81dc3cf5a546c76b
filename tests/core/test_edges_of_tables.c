/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What core publishes and replaces is whole for whoever finds it, and done with before it is freed:
 *         edges O, L, G, H, E, at every place that relies on them.
 * Method  In tests/core/edge.h.
 */
#include "tests/core/edge.h"

#include <stdlib.h>

#include "core/reclaim.h"
#include "shm/bell.h"

/* ---- O -------------------------------------------------------------------------------------- */

struct opener {
	pinion_runtime *rt;
	_Atomic uint64_t is_seen;
	int err; /* W opener   R main after join */
};

static void *
open_a_port(void *arg)
{
	struct opener *o = arg;
	pinion_port *port;

	o->err = pinion_port_open(o->rt, &port);
	if (o->err == 0) {
		(void)await_flag(&o->is_seen);
		pinion_port_close(port);
	}
	return NULL;
}

static void
edge_O_shows_a_port_to_whoever_finds_it(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	const pinion_port *found = NULL;
	uint32_t slots;
	unsigned index;
	struct opener o = { .rt = rt };
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, open_a_port, &o), 0);
	while (found == NULL)
		found = runtime_port(rt, 1); /* 0 is the worker's */
	slots = found->memory.slot_count;
	index = found->index;
	set_flag(&o.is_seen, 1);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(o.err, 0);
	assert_int_equal(slots, rt->slots);
	assert_int_equal(index, 1);
	pinion_stop(rt);
}

/* ---- L -------------------------------------------------------------------------------------- */

static void
edge_L_shows_a_new_table_of_lanes_to_a_turn(void **state)
{
	pinion_runtime *rt = start(1, "spin");
	struct worker *w = &rt->workers[0];
	pinion_port *port;

	(void)state;
	for (int i = 0; i < 5; i++) {
		uint64_t before;

		assert_int_equal(pinion_port_open(rt, &port), 0);
		before = flag(&w->quiet);
		while (flag(&w->quiet) < before + 3)
			(void)sched_yield(); /* cannot fail on Linux */
		pinion_port_close(port);
	}
	pinion_stop(rt);
}

/* Opening a port rings nobody: the next to see the table is the look after a sleep's time limit. */
static void
edge_L_shows_a_new_table_of_lanes_to_the_look_before_sleep(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	const struct board_worker *line = rt->board.workers[0];
	pinion_port *ports[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		uint64_t sleeps;

		while (!epoch_is_asleep(epoch_look(&line->epoch)))
			(void)sched_yield(); /* cannot fail on Linux */
		sleeps = board_read(line, COUNT_SLEEPS);
		assert_int_equal(pinion_port_open(rt, &ports[i]), 0);
		while (board_read(line, COUNT_SLEEPS) < sleeps + 2)
			(void)sched_yield(); /* cannot fail on Linux */
	}
	for (int i = 0; i < 5; i++)
		pinion_port_close(ports[i]);
	pinion_stop(rt);
}

/* ---- H -------------------------------------------------------------------------------------- */

static struct {
	_Atomic uint64_t quiet;
	uint64_t note; /* W reader in its turns   R reclaimer after H */
} turns;

static void *
end_turns(void *arg)
{
	uint64_t count = *(const uint64_t *)arg;

	rcu_register_thread();
	for (uint64_t i = 1; i <= count; i++) {
		turns.note = i;
		rcu_worker_quiet(&turns.quiet);
		while (flag(&turns.quiet) != UINT64_MAX / 2 && i == count)
			(void)sched_yield(); /* main looks at the last note */
	}
	rcu_unregister_thread();
	return NULL;
}

static void
edge_H_tells_what_earlier_turns_did_to_whoever_reclaims(void **state)
{
	static uint64_t count = 100;
	uint64_t last;
	pthread_t t;

	(void)state;
	set_flag(&turns.quiet, 0);
	assert_int_equal(pthread_create(&t, NULL, end_turns, &count), 0);
	while (flag(&turns.quiet) < count)
		(void)sched_yield(); /* cannot fail on Linux */
	rcu_settled(&turns.quiet);
	last = turns.note;
	set_flag(&turns.quiet, UINT64_MAX / 2);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(last, count);
}

/* ---- E -------------------------------------------------------------------------------------- */

struct refuse {
	struct retired retired;
	uint64_t note; /* W who retires before E   R who frees after E */
};

static struct {
	struct pinion_runtime
	    runtime; /* of no workers: nobody is waited for but the grace period */
	_Atomic uint64_t freed;
	uint64_t wrong; /* W who frees   R main, after it has ended */
} refuses;

static void
free_refuse(struct pinion_runtime *rt, struct retired *r)
{
	refuses.wrong += ((struct refuse *)r)->note != 7 || rt != &refuses.runtime;
	free(r);
	set_flag(&refuses.freed, flag(&refuses.freed) + 1); /* one writer */
}

static int
retire_one(struct reclaimer *c)
{
	struct refuse *r = calloc(1, sizeof *r);

	if (r == NULL)
		return -ENOMEM;
	r->retired = (struct retired){ .runtime = &refuses.runtime, .free = free_refuse };
	r->note = 7;
	pinioni_retire(c, &r->retired);
	return 0;
}

static void
edge_E_shows_what_was_retired_after_a_grace_period(void **state)
{
	static struct reclaimer c;

	(void)state;
	set_flag(&refuses.freed, 0);
	refuses.wrong = 0;
	assert_int_equal(pinioni_reclaim_start(&c), 0);
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(retire_one(&c), 0);
		while (flag(&refuses.freed) != i + 1)
			(void)sched_yield(); /* cannot fail on Linux */
	}
	pinioni_reclaim_stop(&c);
	assert_int_equal(refuses.wrong, 0);
}

static void *
drive_ten(void *reclaimer)
{
	while (flag(&refuses.freed) < 10)
		pinioni_reclaim_turn(reclaimer);
	return NULL;
}

static void
edge_E_shows_what_was_retired_to_whoever_drives(void **state)
{
	static struct reclaimer c;
	pthread_t t;
	int err = 0;

	(void)state;
	set_flag(&refuses.freed, 0);
	refuses.wrong = 0;
	assert_int_equal(pthread_create(&t, NULL, drive_ten, &c), 0);
	for (int i = 0; i < 10; i++)
		err |= retire_one(&c);
	assert_int_equal(err, 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(refuses.wrong, 0);
}

/* ---- G -------------------------------------------------------------------------------------- */

enum {
	SPECS = 4000
};

static struct deployment specs[SPECS];

static void *
publish_all(void *arg)
{
	struct registry *r = arg;

	for (uint32_t i = 0; i < SPECS; i++) {
		specs[i] = (struct deployment){ .index = (uint16_t)i, .max_ongoing = i + 1 };
		registry_publish(r, &specs[i]);
	}
	return NULL;
}

static void
edge_G_shows_a_deployment_to_whoever_finds_it(void **state)
{
	static struct registry registry;
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, publish_all, &registry), 0);
	for (uint32_t i = 0; i < SPECS; i++) {
		const struct deployment *d = NULL;

		while (d == NULL)
			d = registry_deployment(&registry, i);
		wrong += d->max_ongoing != i + 1;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
}

static struct replica_table *
replica_table(pinion_runtime *rt)
{
	return atomic_load_explicit(&rt->registry.replicas, memory_order_relaxed);
}

static _Atomic uint64_t is_holding;

/* From here until it returns, the worker reads no mail: what is deployed meanwhile, it sees by G alone. */
static void
hold_until_a_table_is_published(pinion_runtime *rt)
{
	const struct replica_table *before = replica_table(rt);

	set_flag(&is_holding, 1);
	while (replica_table(rt) == before)
		(void)sched_yield(); /* cannot fail on Linux */
}

static int
hold_and_call(pinion_request *req)
{
	pinion_response r;

	hold_until_a_table_is_published(pinion_request_runtime(req));
	r = pinion_task(req, answer_one, PINION_ARGS()); /* accepted at once, on this stack */
	pinion_release(r);
	return pinion_reply(req, (int64_t)2);
}

static void
edge_G_shows_a_new_table_of_replicas_to_an_arriving_request(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pinion_handle handle;
	pinion_response r;

	(void)state;
	/* Known before, so that nothing has to be registered under the lock. */
	assert_int_equal(graph_i64(pinion_task(rt, answer_one, PINION_ARGS())), 1);
	set_flag(&is_holding, 0);
	r = pinion_task(rt, hold_and_call, PINION_ARGS());
	(void)await_flag(&is_holding);
	assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
	assert_int_equal(graph_i64(r), 2);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS((int64_t)1))), 2);
	pinion_stop(rt);
}

/* On the only worker, so that the call is one to itself. */
static pinion_handle known;

static int
hold_and_call_here(pinion_request *req)
{
	pinion_response r;

	hold_until_a_table_is_published(pinion_request_runtime(req));
	r = pinion_call(known, PINION_ARGS((int64_t)1)); /* taken into custody without a message */
	pinion_release(r);
	return pinion_reply(req, (int64_t)2);
}

static void
edge_G_shows_a_new_table_of_replicas_to_a_call_of_the_own_worker(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pinion_handle other;
	pinion_response r;

	(void)state;
	assert_int_equal(pinion_run(rt, graph_build_single, &known), 0);
	/* Known before, so that nothing has to be registered under the lock; and memory for a call of its own. */
	assert_int_equal(graph_i64(pinion_task(rt, answer_one, PINION_ARGS())), 1);
	set_flag(&is_holding, 0);
	r = pinion_task(rt, hold_and_call_here, PINION_ARGS());
	(void)await_flag(&is_holding);
	assert_int_equal(pinion_run(rt, graph_build_single, &other, .name = "other"), 0);
	assert_int_equal(graph_i64(r), 2);
	pinion_stop(rt);
}

static _Atomic uint64_t all_are_pushed;

enum {
	CROWD = 2 * LANE_BURST /* on two workers */
};
static_assert(1 + 4 * LOOK_AHEAD >= CROWD / 2, "all are in the queue when the fifth runs");

struct crowd {
	uint64_t calls;
};

/* On worker 0: the first waits until all are pushed, the fifth for the table. Each completion looks at a few
 * messages more, so that by then all lie in the queue, and no arriving one has seen the table before. */
static int
crowd_call(void *replica, pinion_request *req)
{
	struct crowd *self = replica;

	if (pinion_request_worker(req) == 0) {
		self->calls++;
		if (self->calls == 1)
			(void)await_flag(&all_are_pushed);
		else if (self->calls == 5)
			hold_until_a_table_is_published(pinion_request_runtime(req));
	}
	return pinion_reply(req, (int64_t)1);
}

static const pinion_deployment crowd = {
	.name = "Crowd",
	.replica_size = sizeof(struct crowd),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, crowd_call, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
crowd_build(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &crowd, PINION_ARGS(), .num_replicas = 2);
}

static void
give_surplus_by_a_new_table(void)
{
	pinion_runtime *rt = start(2, "adaptive");
	pinion_response responses[CROWD];
	pinion_handle handle, other;

	set_flag(&is_holding, 0);
	set_flag(&all_are_pushed, 0);
	assert_int_equal(pinion_run(rt, crowd_build, &handle), 0);
	for (int i = 0; i < CROWD; i++)
		responses[i] = pinion_call(handle, PINION_ARGS());
	set_flag(&all_are_pushed, 1);
	(void)await_flag(&is_holding);
	assert_int_equal(pinion_run(rt, graph_build_single, &other, .name = "other"), 0);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(graph_i64(responses[i]), 1);
	pinion_stop(rt);
}

/* Several times: a sibling that gives to worker 0 in between would show it the table. */
static void
edge_G_shows_a_new_table_of_replicas_to_whoever_gives_surplus(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		give_surplus_by_a_new_table();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edge_O_shows_a_port_to_whoever_finds_it),
		cmocka_unit_test(edge_L_shows_a_new_table_of_lanes_to_a_turn),
		cmocka_unit_test(edge_L_shows_a_new_table_of_lanes_to_the_look_before_sleep),
		cmocka_unit_test(edge_H_tells_what_earlier_turns_did_to_whoever_reclaims),
		cmocka_unit_test(edge_E_shows_what_was_retired_after_a_grace_period),
		cmocka_unit_test(edge_E_shows_what_was_retired_to_whoever_drives),
		cmocka_unit_test(edge_G_shows_a_deployment_to_whoever_finds_it),
		cmocka_unit_test(edge_G_shows_a_new_table_of_replicas_to_an_arriving_request),
		cmocka_unit_test(edge_G_shows_a_new_table_of_replicas_to_a_call_of_the_own_worker),
		cmocka_unit_test(edge_G_shows_a_new_table_of_replicas_to_whoever_gives_surplus),
	};

	return cmocka_run_group_tests_name("edges of tables", tests, NULL, NULL);
}
