/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every pace can be had by its name and keeps the time limits of waiting; at start one is chosen
 *         where it can be tried, and the log says which; a trial ends whatever its other side does.
 * Method  Runtimes at each pace, whose workers and callers are waited for until they sleep, or must never;
 *         trials with a far side, without, and with one that leaves; the choice as a pure function.
 *         Numbers of cpus by what this thread may use.
 */
#include "tests/core/graph.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "core/runtime.h"
#include "shm/bell.h"

static const char *const polls[] = { "auto", "clock", "2 clocks", "pause", "2 pauses", "4 pauses",
	"tight" };

enum {
	POLLS = sizeof polls / sizeof polls[0]
};

static char heard[1024]; /* W starting thread, the only one with something to say here */

static void
keep_line(void *arg, const char *line)
{
	size_t at = strlen(heard);

	(void)arg;
	(void)snprintf(heard + at, sizeof heard - at, "%s\n", line);
}

static pinion_runtime *
start(int workers, const char *idle, const char *poll)
{
	pinion_runtime *rt;

	heard[0] = '\0';
	assert_int_equal(
	    pinion_start(&rt, .workers = workers, .idle = idle, .poll = poll, .log = keep_line), 0);
	return rt;
}

/* From here on this thread may use so many cpus; skips where there are fewer. */
static void
use_cpus(int count, cpu_set_t *before)
{
	cpu_set_t few;

	assert_int_equal(sched_getaffinity(0, sizeof *before, before), 0);
	if (CPU_COUNT(before) < count)
		skip();
	CPU_ZERO(&few);
	for (size_t cpu = 0; CPU_COUNT(&few) < count; cpu++)
		if (CPU_ISSET(cpu, before))
			CPU_SET(cpu, &few);
	assert_int_equal(sched_setaffinity(0, sizeof few, &few), 0);
}

static void
use_cpus_again(const cpu_set_t *before)
{
	assert_int_equal(sched_setaffinity(0, sizeof *before, before), 0);
}

static enum pace
pace_in_use(pinion_runtime *rt)
{
	return (enum pace)atomic_load(&rt->pace);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void
a_named_pace_is_used_and_nothing_is_tried(void **state)
{
	(void)state;
	for (unsigned i = 1; i < POLLS; i++) {
		pinion_runtime *rt = start(1, NULL, polls[i]);

		assert_string_equal(pinioni_paces[pace_in_use(rt)].name, polls[i]);
		assert_string_equal(heard, "");
		pinion_stop(rt);
	}
}

static void
an_unknown_pace_is_refused_with_those_there_are(void **state)
{
	pinion_runtime *none;
	pinion_diag diag;

	(void)state;
	assert_int_equal(pinion_start(&none, .poll = "3 pauses", .diag = &diag), -EINVAL);
	assert_string_equal(diag.text,
	    "poll is \"3 pauses\": \"auto\", \"clock\", \"2 clocks\", \"pause\", \"2 pauses\", \"4 pauses\", "
	    "\"tight\"");
	assert_null(none);
	assert_int_equal(pinion_start(&none, .workers = PINION_CALLER_DRIVEN, .poll = ""), -EINVAL);
}

/* ---- the choice ----------------------------------------------------------------------------- */

static void
the_quickest_is_chosen_and_a_near_tie_keeps_the_clock(void **state)
{
	uint64_t ticks[PACES];

	(void)state;
	for (unsigned i = 0; i < PACES; i++)
		ticks[i] = 1000;
	assert_int_equal(pinioni_pace_choose(ticks), PACE_CLOCK);
	ticks[PACE_TIGHT] = 800;
	assert_int_equal(pinioni_pace_choose(ticks), PACE_CLOCK);
	ticks[PACE_TIGHT] = 799;
	assert_int_equal(pinioni_pace_choose(ticks), PACE_TIGHT);
	ticks[PACE_4_PAUSES] = 700;
	assert_int_equal(pinioni_pace_choose(ticks), PACE_4_PAUSES);
	ticks[PACE_CLOCK] = 600;
	assert_int_equal(pinioni_pace_choose(ticks), PACE_CLOCK);
}

static void
what_was_chosen_is_used_and_said_once(void **state)
{
	cpu_set_t before;
	pinion_runtime *rt;
	char said[64];

	(void)state;
	use_cpus(2, &before);
	for (unsigned i = 0; i < 2; i++) {
		rt = start(1, NULL, i == 0 ? NULL : "auto");
		print_message("%s", heard);
		(void)snprintf(
		    said, sizeof said, "polls: %s (", pinioni_paces[pace_in_use(rt)].name);
		assert_int_equal(strncmp(heard, said, strlen(said)), 0);
		assert_ptr_equal(strchr(heard, '\n'), heard + strlen(heard) - 1);
		pinion_stop(rt);
	}
	use_cpus_again(&before);
}

static void
with_one_cpu_nothing_is_tried(void **state)
{
	cpu_set_t before;
	pinion_runtime *rt;

	(void)state;
	use_cpus(1, &before);
	rt = start(2, NULL, "auto");
	assert_int_equal(pace_in_use(rt), PACE_CLOCK);
	assert_string_equal(heard, "");
	pinion_stop(rt);
	use_cpus_again(&before);
}

static void
driven_by_the_caller_nothing_is_tried(void **state)
{
	pinion_runtime *rt = start(PINION_CALLER_DRIVEN, NULL, "auto");

	(void)state;
	assert_int_equal(pace_in_use(rt), PACE_CLOCK);
	assert_string_equal(heard, "");
	pinion_stop(rt);
}

/* ---- the trial ------------------------------------------------------------------------------ */

static struct pace_trial trial;

static void
forget_trial(uint64_t limit_ms)
{
	memset(&trial, 0, sizeof trial);
	trial.limit_ticks = limit_ms * 1000 * pinioni_clock_ticks_us();
}

static void *
answer(void *arg)
{
	(void)arg;
	pinioni_pace_answer(&trial);
	return NULL;
}

static void
a_trial_times_every_pace(void **state)
{
	uint64_t ticks[PACES] = { 0 };
	cpu_set_t before;
	pthread_t t;

	(void)state;
	use_cpus(2, &before);
	forget_trial(100000); /* both sides may have to wait for a cpu */
	assert_int_equal(pthread_create(&t, NULL, answer, NULL), 0);
	assert_true(pinioni_pace_try(&trial, ticks));
	assert_int_equal(pthread_join(t, NULL), 0);
	for (unsigned i = 0; i < PACES; i++)
		assert_true(ticks[i] > 0);
	use_cpus_again(&before);
}

static void
a_trial_ends_when_the_other_side_does_not_come(void **state)
{
	uint64_t ticks[PACES];

	(void)state;
	forget_trial(1);
	assert_false(pinioni_pace_try(&trial, ticks));
	forget_trial(1);
	pinioni_pace_answer(&trial);
	assert_int_not_equal(atomic_load(&trial.far_cpu), 0);
}

static void
a_trial_ends_when_the_other_side_leaves(void **state)
{
	uint64_t ticks[PACES];

	(void)state;
	forget_trial(1);
	pinioni_pace_answer(&trial); /* alone: it has begun, and is gone */
	assert_false(pinioni_pace_try(&trial, ticks));
}

/* ---- limits --------------------------------------------------------------------------------- */

static void
the_clock_is_looked_at_every_few_looks_at_any_pace(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PACES; i++) {
		struct pacing p = pacing_begin((enum pace)i);

		p.now = 0;
		for (unsigned k = 0; k < PACE_LOOKS; k++)
			(void)pace_step(&p); /* p.now */
		assert_int_not_equal(p.now, 0);
		assert_int_equal(p.looks, pinioni_paces[i].reads != 0 ? 0 : PACE_LOOKS);
	}
}

static void
await_sleep(const _Atomic uint64_t *epoch)
{
	while (!epoch_is_asleep(epoch_look(epoch)))
		(void)sched_yield(); /* cannot fail on Linux */
}

/* Answers what was deferred, when its caller sleeps. */
static void *
answer_sleeper(void *arg)
{
	pinion_runtime *rt = arg;

	while (atomic_load(&graph_deferred) == 0)
		(void)sched_yield(); /* cannot fail on Linux */
	/* 0 is the worker's. */
	await_sleep(&runtime_port(rt, 1)->memory.doors->epoch);
	return (void *)(intptr_t)pinion_token_reply(graph_token, (int64_t)7);
}

static void
let_both_sleep(const char *idle, const char *poll)
{
	pinion_runtime *rt = start(1, idle, poll);
	pinion_handle handle;
	pinion_worker_status worker;
	pinion_port_status port;
	pthread_t t;
	void *err;

	atomic_store(&graph_deferred, 0);
	assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS(1))), 2);
	assert_int_equal(pthread_create(&t, NULL, answer_sleeper, rt), 0);
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(handle, "defer"), PINION_ARGS())), 7);
	assert_int_equal(pthread_join(t, &err), 0);
	assert_null(err);
	pinion_port_look(pinion_port_mine(rt), &port);
	assert_true(port.sleeps > 0);
	await_sleep(&rt->workers[0].line->epoch);
	(void)pinion_worker_look(rt, 0, &worker);
	assert_true(worker.sleeps > 0);
	pinion_stop(rt);
}

static void
worker_and_caller_sleep_at_any_pace(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLLS; i++) {
		let_both_sleep("adaptive", polls[i]);
		let_both_sleep("yield", polls[i]);
	}
}

static void
who_spins_never_sleeps_at_any_pace(void **state)
{
	(void)state;
	for (unsigned i = 0; i < POLLS; i++) {
		pinion_runtime *rt = start(1, "spin", polls[i]);
		pinion_handle handle;
		pinion_worker_status worker;
		pinion_port_status port;

		assert_int_equal(pinion_run(rt, graph_build_single, &handle), 0);
		for (int64_t ns = 0; ns < 50000; ns += 1000)
			assert_int_equal(graph_i64(pinion_call(
					     pinion_method_of(handle, "nap"), PINION_ARGS(ns))),
			    ns);
		pinion_port_look(pinion_port_mine(rt), &port);
		(void)pinion_worker_look(rt, 0, &worker);
		assert_int_equal(port.sleeps + worker.sleeps, 0);
		pinion_stop(rt);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_named_pace_is_used_and_nothing_is_tried),
		cmocka_unit_test(an_unknown_pace_is_refused_with_those_there_are),
		cmocka_unit_test(the_quickest_is_chosen_and_a_near_tie_keeps_the_clock),
		cmocka_unit_test(what_was_chosen_is_used_and_said_once),
		cmocka_unit_test(with_one_cpu_nothing_is_tried),
		cmocka_unit_test(driven_by_the_caller_nothing_is_tried),
		cmocka_unit_test(a_trial_times_every_pace),
		cmocka_unit_test(a_trial_ends_when_the_other_side_does_not_come),
		cmocka_unit_test(a_trial_ends_when_the_other_side_leaves),
		cmocka_unit_test(the_clock_is_looked_at_every_few_looks_at_any_pace),
		cmocka_unit_test(worker_and_caller_sleep_at_any_pace),
		cmocka_unit_test(who_spins_never_sleeps_at_any_pace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
