/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever a cancel or a deadline races with (the call on its way, its start, its end, a chain that moves on,
 *         an item of a stream), there is one outcome: the result, -ECANCELED or -ETIMEDOUT; no handler runs twice;
 *         nothing is left.
 * Method  Two threads keep some calls outstanding and cancel some of them, at random: before or after a few others,
 *         or after a random number of looks. 10 million cancels in all. Each call bears the address where its handler
 *         counts.
 */
#include "tests/core/graph.h"

#include <pthread.h>

enum {
	WINDOW = 32,
	THREADS = 2,
	LOOKS = 200,
	TIME_NS = 30000,
	COUNTERS = 1 << 20,
};

static pinion_runtime *rt;
static pinion_handle first, second; /* on two workers */
static pinion_handle parent;        /* of calls to both */

/* ---- handlers ------------------------------------------------------------------------------- */

static int
count_start(void *replica, pinion_request *req)
{
	_Atomic int32_t *starts = (_Atomic int32_t *)(uintptr_t)pinion_arg_u64(req, 0);

	(void)replica;
	atomic_fetch_add(starts, 1);
	return pinion_reply(req, pinion_arg_u64(req, 0));
}

static int
count_items(void *replica, pinion_request *req)
{
	_Atomic int32_t *starts = (_Atomic int32_t *)(uintptr_t)pinion_arg_u64(req, 0);
	int err = 0;

	(void)replica;
	atomic_fetch_add(starts, 1);
	for (int64_t i = 0; i < 100 && err == 0; i++)
		err = pinion_yield(req, i);
	return err;
}

struct parent_state {
	pinion_handle near, far;
};

static int
parent_init(void *replica, pinion_init *init)
{
	*(struct parent_state *)replica =
	    (struct parent_state){ pinion_init_handle(init, 0), pinion_init_handle(init, 1) };
	return 0;
}

/* One of each, and waits for one. */
static int
call_both(void *replica, pinion_request *req)
{
	const struct parent_state *self = replica;
	_Atomic int32_t *starts = (_Atomic int32_t *)(uintptr_t)pinion_arg_u64(req, 0);
	pinion_response a = pinion_call(self->near, PINION_ARGS((uint64_t)(uintptr_t)&starts[1]));
	pinion_response b = pinion_call(self->far, PINION_ARGS((uint64_t)(uintptr_t)&starts[2]));
	uint64_t x;
	int err;

	atomic_fetch_add(starts, 1);
	err = pinion_result(b, &x);
	(void)a;
	return err != 0 ? err : pinion_reply(req, pinion_arg_u64(req, 0));
}

#define OF_U64 .params = PINION_PARAMS(PINION_U64("starts")), .returns = PINION_RETURNS_U64

static const pinion_deployment counting = {
	.name = "Counting",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, count_start, OF_U64),
	    PINION_METHOD("items", count_items, .params = PINION_PARAMS(PINION_U64("starts")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static const pinion_deployment calling = {
	.name = "Calling",
	.replica_size = sizeof(struct parent_state),
	.init = parent_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("near"), PINION_HANDLE("far")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, call_both, OF_U64)),
};

static pinion_node *
build_first(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &counting, PINION_ARGS(), .name = "First");
}

static pinion_node *
build_second(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &counting, PINION_ARGS(), .name = "Second");
}

static pinion_node *
build_parent(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &calling, PINION_ARGS(first, second));
}

/* ---- races ---------------------------------------------------------------------------------- */

/* A call that its caller has given up may still be about to count: its counters are used again long after. */
struct counters {
	_Atomic int32_t starts[4];
};

struct one {
	_Atomic int32_t *starts;
	pinion_response r[3];
	unsigned count, canceled; /* bits, as in r */
	bool is_bound;
};

struct racer {
	uint64_t random;
	uint64_t races, canceled;
	struct one all[WINDOW];
	uint64_t used;
	struct counters counters[COUNTERS];
};

static void
take_counters(struct racer *me, struct one *o)
{
	o->starts = me->counters[me->used++ % COUNTERS].starts;
	o->canceled = 0;
	o->is_bound = false;
	for (unsigned k = 0; k < 4; k++)
		atomic_store(&o->starts[k], 0);
}

static uint64_t
address(struct one *o, unsigned i)
{
	return (uint64_t)(uintptr_t)&o->starts[i];
}

static void
call_plain(struct racer *me, struct one *o)
{
	(void)me;
	o->count = 1;
	o->r[0] = pinion_call(second, PINION_ARGS(address(o, 0)));
}

/* Each answers with what it was given: they count in one place. */
static void
call_chain(struct racer *me, struct one *o)
{
	(void)me;
	o->count = 3;
	o->r[0] = pinion_call(first, PINION_ARGS(address(o, 0)));
	o->r[1] = pinion_call(second, PINION_ARGS(o->r[0]));
	o->r[2] = pinion_call(first, PINION_ARGS(o->r[1]));
}

static void
call_parent(struct racer *me, struct one *o)
{
	(void)me;
	o->count = 1;
	o->r[0] = pinion_call(parent, PINION_ARGS(address(o, 0)));
}

/* Its time is over at about the time that it takes. */
static void
call_bound(struct racer *me, struct one *o)
{
	o->count = 1;
	o->is_bound = true;
	o->r[0] = pinion_call_with(next_random(&me->random) % 2 == 0 ? parent : second,
	    PINION_ARGS(address(o, 0)),
	    .timeout_ns = 1 + (int64_t)(next_random(&me->random) % TIME_NS));
}

static void
look_a_while(struct racer *me, pinion_response r)
{
	uint64_t looks = next_random(&me->random) % LOOKS, x;

	for (uint64_t i = 0; i < looks && pinion_result_within(r, 0, &x) == -EAGAIN; i++)
		continue;
}

/* Any of its calls may be the one that is canceled. */
static void
cancel_some(struct racer *me, struct one *o)
{
	unsigned at = (unsigned)(next_random(&me->random) % o->count);
	pinion_response r = o->r[at];

	if (next_random(&me->random) % 4 == 0)
		return;
	if (next_random(&me->random) % 2 == 0)
		look_a_while(me, r);
	pinion_cancel(r);
	o->canceled |= 1u << at;
	me->races++;
}

/* In any order. Those behind one that was canceled bear its error. */
/* On any thread, where cmocka's would leave without a word. */
static void
require(bool is_so, const char *what, int code)
{
	if (is_so)
		return;
	fprintf(stderr, "not so: %s (%d)\n", what, code);
	abort();
}

static void
read_and_check(struct racer *me, struct one *o)
{
	uint64_t x;
	int ended = 0;

	for (unsigned i = 0; i < o->count; i++) {
		int err = pinion_result(o->r[i], &x);

		if (err == -ENOBUFS) { /* all slots have calls that were given up and still run */
			require(atomic_load(&o->starts[0]) == 0,
			    "a call without a slot never starts", err);
			continue;
		}
		require(err == 0 || err == -ECANCELED || err == -ETIMEDOUT, "an outcome", err);
		require(err != -ECANCELED || (o->canceled & ((2u << i) - 1)) != 0,
		    "only what was canceled ends so", err);
		require(err != -ETIMEDOUT || o->is_bound, "only what had a time ends so", err);
		require(pinion_result(o->r[i], &x) == err, "the same when asked again", err);
		require(err != 0 || x == address(o, 0), "the right result", err);
		require(
		    ended == 0 || err != 0, "what is behind one that ended bears its error", err);
		ended |= err;
		me->canceled += err != 0;
		require(atomic_load(&o->starts[0]) <= (int32_t)o->count, "each starts once at most",
		    err);
		require(err != 0 || atomic_load(&o->starts[0]) >= (int32_t)i + 1,
		    "what answered has started", err);
	}
	for (unsigned i = 0; i < o->count; i++)
		pinion_release(o->r[i]);
}

static void
race(struct racer *me, void (*call)(struct racer *me, struct one *o), uint64_t races)
{
	for (uint64_t turns = 0; me->races < races; turns++) {
		for (unsigned i = 0; i < WINDOW; i++) {
			take_counters(me, &me->all[i]);
			call(me, &me->all[i]);
			cancel_some(me, &me->all[(i + turns) % (i + 1)]);
		}
		for (unsigned i = 0; i < WINDOW; i++)
			read_and_check(me, &me->all[i]);
	}
}

static void
race_streams(struct racer *me, uint64_t races)
{
	for (; me->races < races; me->races++) {
		struct one *o = &me->all[0];
		uint64_t read = next_random(&me->random) % 110;
		pinion_stream s;
		int64_t x, next = 0;
		int got = 1;

		take_counters(me, o);
		s = pinion_call_stream(
		    pinion_method_of(second, "items"), PINION_ARGS(address(o, 0)), .window = 8);
		while (next < (int64_t)read && (got = pinion_next(s, &x)) == 1)
			require(x == next++, "items in order", got);
		pinion_stream_cancel(s);
		while (got == 1 && (got = pinion_next(s, &x)) == 1)
			require(x == next++, "items in order", got);
		if (got == -ENOBUFS) { /* as above: all slots have calls that still run */
			me->races--;
			continue;
		}
		require(
		    got == -ECANCELED || (got == 0 && next == 100), "the end, or canceled", got);
		require(pinion_next(s, &x) == got, "the same end when asked again", got);
		require(atomic_load(&o->starts[0]) <= 1, "a stream starts once", got);
		me->canceled += got != 0;
		pinion_stream_close(s);
	}
}

static void *
run_racer(void *arg)
{
	struct racer *me = arg;

	race(me, call_plain, scaled(2000000));
	race(me, call_chain, scaled(3500000));
	race(me, call_parent, scaled(4500000));
	race(me, call_bound, scaled(4800000));
	race_streams(me, scaled(5300000));
	return NULL;
}

static void
behaviour_61_ten_million_races(void **state)
{
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	uint64_t races = 0, canceled = 0, start = seed();
	pinion_census c;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i].random = start * THREADS + i + 1;
		assert_int_equal(pthread_create(&threads[i], NULL, run_racer, &racers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		races += racers[i].races;
		canceled += racers[i].canceled;
	}
	print_message("%llu races, %llu calls ended by it\n", (unsigned long long)races,
	    (unsigned long long)canceled);
	assert_true(canceled > races / 100);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 0 || c.fibers != 0 || c.custody != 0);
	graph_assert_clean(rt, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(behaviour_61_ten_million_races) };
	int failed;

	if (pinion_start(&rt, .workers = 2, .slots = 256) != 0 ||
	    pinion_run(rt, build_first, &first, .name = "first") != 0 ||
	    pinion_run(rt, build_second, &second, .name = "second") != 0 ||
	    pinion_run(rt, build_parent, &parent, .name = "parent") != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pinion_stop(rt);
	return failed;
}
