/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate - how many calls a second when many are under way, beside the same over two lanes without the model.
 *
 *   near cpu   caller:  makes call n, then reads the result of call n - outstanding
 *   far cpu    one worker
 *
 *   raw lanes  messages one way, answers the other (kit/rawlane.h): what a pipelined call cannot be quicker than.
 *   in order   the oldest result is read, whichever is there already
 *   harvested  tagged calls; pinion_harvest says which have ended, 16 at a time
 *   callers    so many threads, each with its port and its 32 calls. There are two cpus, so they share the near
 *              one: this is what changing over costs, not what more cores would bring.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/rawlane.h"
#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	OUTSTANDING_MAX = 256,
	DEPTHS = 9, /* 1, 2, 4 ... 256 */
	DEPTH_32 = 5,
	HARVEST = 16,
	CALLERS_MAX = 8,
	CROWDS = 3, /* of 2, 4, 8 callers */
};

static struct kit kit;
static struct rig rig;
static pinion_handle answer_of;
static struct rawlanes lanes;

/* ---- pipelines ------------------------------------------------------------------------------ */

/* So many calls under way; outstanding: a power of two. */
struct pipeline {
	pinion_port *port;
	uint64_t outstanding;
	uint64_t flying; /* harvested ones: under way now */
	pinion_response responses[OUTSTANDING_MAX];
};

static bool
take_result(const struct pipeline *p, pinion_response r, uint64_t expected)
{
	uint64_t got = 0;
	int err = pinion_result_on(p->port, r, &got);

	pinion_release_on(p->port, r);
	return err == 0 && got == expected;
}

static bool
take_oldest(const struct pipeline *p, uint64_t i)
{
	return take_result(p, p->responses[i & (p->outstanding - 1)], i + 1);
}

/* One more call; the oldest is read when there is no room for it. */
static bool
call_in_order(void *arg, uint64_t i)
{
	struct pipeline *p = arg;
	bool right = i < p->outstanding || take_oldest(p, i - p->outstanding);

	p->responses[i & (p->outstanding - 1)] = pinion_call_on(p->port, answer_of, PINION_ARGS(i));
	return right;
}

/* Those that are left of `calls`. Returns how many were wrong. */
static unsigned
drain_in_order(const struct pipeline *p, uint64_t calls)
{
	uint64_t i = calls < p->outstanding ? 0 : calls - p->outstanding;
	unsigned wrong = 0;

	for (; i < calls; i++)
		wrong += !take_oldest(p, i);
	return wrong;
}

/* Until not more than `most` are under way. Returns how many were wrong. */
static unsigned
harvest_down_to(struct pipeline *p, uint64_t most)
{
	unsigned wrong = 0;

	while (p->flying > most) {
		pinion_finished finished[HARVEST];
		unsigned count = pinion_harvest(p->port, finished, HARVEST);

		for (unsigned k = 0; k < count; k++)
			wrong += !take_result(p, finished[k].response, finished[k].tag + 1);
		p->flying -= count;
	}
	return wrong;
}

static bool
call_harvested(void *arg, uint64_t i)
{
	struct pipeline *p = arg;
	bool right = harvest_down_to(p, p->outstanding - 1) == 0;
	pinion_response r = pinion_call_tagged(p->port, answer_of, PINION_ARGS(i), i);

	(void)r; /* comes back with its tag */
	p->flying++;
	return right;
}

static bool
call_raw(void *arg, uint64_t i)
{
	const struct pipeline *p = arg;
	bool right = i < p->outstanding || rawlane_take(&lanes, i + 1 - p->outstanding);

	return rawlane_send(&lanes, i + 1) && right;
}

static unsigned
drain_raw(const struct pipeline *p, uint64_t calls)
{
	uint64_t i = calls < p->outstanding ? 0 : calls - p->outstanding;
	unsigned wrong = 0;

	for (; i < calls; i++)
		wrong += !rawlane_take(&lanes, i + 1);
	return wrong;
}

/* ---- turns of one caller -------------------------------------------------------------------- */

static bool
turn_in_order(void *arg, struct turn *t)
{
	struct pipeline *p = arg;

	turn_drive(t, call_in_order, p);
	t->wrong += drain_in_order(p, turn_calls(&t->size));
	return true;
}

static bool
turn_harvested(void *arg, struct turn *t)
{
	struct pipeline *p = arg;

	turn_drive(t, call_harvested, p);
	t->wrong += harvest_down_to(p, 0);
	return true;
}

static void
answer_raw(void *count)
{
	(void)rawlane_answer(&lanes, *(const uint64_t *)count); /* near counts what is missing */
}

static bool
turn_raw(void *arg, struct turn *t)
{
	struct pipeline *p = arg;
	uint64_t count = turn_calls(&t->size);

	rawlane_reset(&lanes, kit.polls.steps, kit.lines.limit);
	pinioni_far_begin(&kit.far, answer_raw, &count);
	turn_drive(t, call_raw, p);
	t->wrong += drain_raw(p, count);
	pinioni_far_end(&kit.far);
	return true;
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

/* ---- turns of several callers --------------------------------------------------------------- */

/*
 *   main     gate ------------------------------ gate   is timed
 *   callers  gate  fill, so many calls, drain    gate
 */
struct crowd {
	unsigned callers, started;
	pthread_barrier_t gate;
	bool has_gate;
	uint64_t calls; /* of each, up to the next gate; 0: leave */
	struct member {
		struct crowd *crowd;
		pthread_t thread;
		unsigned wrong;
		struct pipeline pipeline;
	} members[CALLERS_MAX];
};

static void
meet(struct crowd *c)
{
	(void)pthread_barrier_wait(&c->gate); /* tells who was last, never fails */
}

static void
run_member(struct member *m, uint64_t calls)
{
	struct pipeline *p = &m->pipeline;

	if (p->port == NULL) {
		m->wrong++;
		return;
	}
	for (uint64_t i = 0; i < calls; i++)
		m->wrong += !call_in_order(p, i);
	m->wrong += drain_in_order(p, calls);
}

static void *
member_main(void *arg)
{
	struct member *m = arg;
	struct crowd *c = m->crowd;

	(void)pinioni_cpus_pin(kit.cpus[CPU_NEAR]); /* else the probes tell */
	if (pinion_port_open(rig.runtime, &m->pipeline.port) != 0)
		m->pipeline.port = NULL;
	for (meet(c); c->calls != 0; meet(c)) {
		run_member(m, c->calls);
		meet(c);
	}
	if (m->pipeline.port != NULL)
		pinion_port_close(m->pipeline.port);
	return NULL;
}

/* Together so many calls. Returns the ticks it took. */
static int64_t
run_crowd(struct crowd *c, uint64_t calls)
{
	uint64_t start = ticks_now();

	c->calls = calls / c->callers;
	meet(c);
	meet(c);
	return (int64_t)(ticks_now() - start);
}

static bool
turn_crowd(void *arg, struct turn *t)
{
	struct crowd *c = arg;

	t->wrong = 0;
	(void)run_crowd(c, t->size.warm);
	for (unsigned b = 0; b < t->size.blocks; b++)
		t->block[b] = run_crowd(c, t->size.block_calls);
	for (unsigned i = 0; i < c->callers; i++)
		t->wrong += c->members[i].wrong;
	return true;
}

static bool
start_crowd(struct crowd *c, unsigned callers, unsigned outstanding)
{
	c->callers = callers;
	c->has_gate = pthread_barrier_init(&c->gate, NULL, callers + 1) == 0;
	for (; c->has_gate && c->started < callers; c->started++) {
		struct member *m = &c->members[c->started];

		m->crowd = c;
		m->pipeline.outstanding = outstanding;
		if (pthread_create(&m->thread, NULL, member_main, m) != 0)
			break;
	}
	if (c->started == callers)
		return true;
	fprintf(stderr, "rate: no threads for %u callers\n", callers);
	exit(EXIT_FAILURE); /* those that were started wait at the gate */
}

static void
stop_crowd(struct crowd *c)
{
	if (c->started == 0)
		return;
	c->calls = 0;
	meet(c);
	for (unsigned i = 0; i < c->started; i++)
		(void)pthread_join(c->members[i].thread, NULL);
	(void)pthread_barrier_destroy(&c->gate);
}

/* ---- systems -------------------------------------------------------------------------------- */

static struct pipeline pipelines[DEPTHS];
static struct crowd crowds[CROWDS];

/* Each way of a pipeline has a system for each depth, in this order behind the floor. */
enum way {
	WAY_RAW,
	WAY_IN_ORDER,
	WAY_HARVESTED,
	WAYS
};

static const struct {
	const char *label, *name, *system;
	bool (*turn)(void *arg, struct turn *turn);
	double bound; /* with 32 outstanding */
} ways[WAYS] = {
	[WAY_RAW] = { "raw lanes", "lanes", "baseline", turn_raw, 0 },
	[WAY_IN_ORDER] = { "in order", "in-order", "pinion", turn_in_order, 0.3 },
	[WAY_HARVESTED] = { "harvested", "harvested", "pinion", turn_harvested, 0.3 },
};

enum {
	SYSTEM_CROWDS = 1 + WAYS * DEPTHS,
	SYSTEMS = SYSTEM_CROWDS + CROWDS
};

/* What rows are called. */
static char labels[SYSTEMS][40], names[SYSTEMS][24];

static unsigned
system_at(enum way way, unsigned depth)
{
	return 1 + way * DEPTHS + depth;
}

static struct system
system_of(enum way way, unsigned depth)
{
	unsigned at = system_at(way, depth);

	(void)snprintf(
	    labels[at], sizeof labels[at], "%s, %u outstanding", ways[way].label, 1u << depth);
	(void)snprintf(names[at], sizeof names[at], "%s-%u", ways[way].name, 1u << depth);
	return (struct system){ .name = labels[at],
		.case_name = names[at],
		.system = ways[way].system,
		.payload_bytes = 8,
		.pace = CALLS_PIPED,
		.is_rate = true,
		.against = way == WAY_RAW ? 0 : system_at(WAY_RAW, depth),
		.bound = depth == DEPTH_32 ? ways[way].bound : 0,
		.turn = ways[way].turn,
		.end = end,
		.arg = &pipelines[depth] };
}

static struct system
system_of_crowd(unsigned i)
{
	unsigned at = SYSTEM_CROWDS + i;

	(void)snprintf(labels[at], sizeof labels[at], "%u callers on one cpu, 32 each", 2u << i);
	(void)snprintf(names[at], sizeof names[at], "callers-%u", 2u << i);
	return (struct system){ .name = labels[at],
		.case_name = names[at],
		.system = "pinion",
		.payload_bytes = 8,
		.pace = CALLS_CROWD,
		.is_rate = true,
		.against = system_at(WAY_RAW, DEPTH_32),
		.turn = turn_crowd,
		.end = end,
		.arg = &crowds[i] };
}

static bool
measure(struct report *report)
{
	struct system systems[SYSTEMS] = { SYSTEM_FLOOR(&kit) };
	bool ok = pinioni_rig_run(&rig, &pinioni_rig_number_app, 0, &answer_of);

	for (unsigned depth = 0; depth < DEPTHS; depth++) {
		pipelines[depth].port = rig.port;
		pipelines[depth].outstanding = UINT64_C(1) << depth;
		for (enum way way = 0; way < WAYS; way++)
			systems[system_at(way, depth)] = system_of(way, depth);
	}
	for (unsigned i = 0; i < CROWDS; i++) {
		systems[SYSTEM_CROWDS + i] = system_of_crowd(i);
		ok = ok && start_crowd(&crowds[i], 2u << i, 1u << DEPTH_32);
	}
	ok = ok && pinioni_suite_run(report, systems, SYSTEMS) && pinioni_report_print(report);
	for (unsigned i = 0; i < CROWDS; i++)
		stop_crowd(&crowds[i]);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "rate", "Pipelined calls, beside two lanes without the model.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(&rig, &kit, "rate", 1, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
