/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - what a call costs above two cache lines that cross: unary, local, chains.
 *
 *   near cpu   caller               worker 0 of "pair"      the caller sleeps while chains run
 *              | calls, pings       | stages 2, 4, ...
 *   far cpu    worker of "one"      worker 1 of "pair"
 *                                     stages 1, 3, ...
 *
 * Why       A call's cost is only known beside the floor of the same two cpus in the same minute.
 * Method    Turns of the systems alternate (turn.h), each between two probes. The far side of floor and
 *           probe is a handler, so that it runs on the very thread that answers the calls. Local calls and
 *           chains are made and timed by a handler. A further stage: chains whose messages all wait
 *           behind a deferred answer, so that submitting them is not timed; the time from that answer
 *           to the last stage, of 20 stages less that of 4, over 16.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   T  gate.ready   defer -> open   the token
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinion/pinion.h>

#include "bench/options.h"
#include "bench/pingpong.h"
#include "bench/rawpair.h"
#include "bench/report.h"

enum {
	EXIT_SKIPPED = 77,
	STAGES_MAX = 20,
	STAGES_FEW = 4,
	HOP_PAIRS = BLOCK_CALLS / (STAGES_MAX - STAGES_FEW),
	STR_BYTES = 30,
	PROBE_BATCHES = 8,
	PROBE_PINGS = 32,
	PROBE_WARM = 64,
	LIMIT_NS = 1000000000, /* that a ping waits */
};

enum pair {
	PAIR_NEAR,
	PAIR_FAR,
	PAIR
};

static struct gate {
	_Atomic uint32_t ready; /* W far handler  R near handler   edge T */
	pinion_token token;     /* before edge T */
} gate;
static _Atomic uint64_t last_stage; /* ticks; W last stage  R whoever has its result */
static struct pingpong lines;
static struct rawpair raw;

/* Made and timed by a handler on its own worker. */
struct job {
	void (*drive)(const struct job *job, struct turn *t);
	turn_call *call;
	void *arg;
	struct turn *turn;
};

struct chain {
	pinion_handle stage[PAIR], last[PAIR], gate;
	unsigned stages;
};

struct bench {
	pinion_runtime *one, *pair;
	pinion_port *one_port, *pair_port;
	pinion_handle number, text, pong, raw_pong, one_perform, pair_perform;
	struct chain chain;
	struct ticks_scale ticks;
};

/* ---- handlers ------------------------------------------------------------------------------- */

static int
number(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static int
last(void *replica, pinion_request *req)
{
	(void)replica;
	/* relaxed: the result is read first. */
	atomic_store_explicit(&last_stage, ticks_now(), memory_order_relaxed);
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

/* The text with its first byte counted up. */
static int
text(void *replica, pinion_request *req)
{
	pinion_str given = pinion_arg_str(req, 0);
	char answer[STR_BYTES];

	(void)replica;
	if (given.len != STR_BYTES)
		return pinion_fail(req, -EINVAL, "%zu bytes", given.len);
	memcpy(answer, given.data, STR_BYTES);
	answer[0]++;
	return pinion_reply(req, ((pinion_str){ answer, STR_BYTES }));
}

static int
defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &gate.token);

	(void)replica;
	/* T */
	atomic_store_explicit(&gate.ready, 1, memory_order_release);
	return err;
}

static int
where(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_request_worker(req));
}

static int
pong(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pingpong_answer(&lines, pinion_arg_u64(req, 0)));
}

static int
raw_pong(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, rawpair_answer(&raw, pinion_arg_u64(req, 0)));
}

static int
perform(void *replica, pinion_request *req)
{
	struct job *job = *(struct job *const *)pinion_arg_struct(req, 0, struct job *);

	(void)replica;
	job->drive(job, job->turn);
	return pinion_reply(req, true);
}

#define ONE_U64 .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64

static const pinion_deployment answer = {
	.name = "Answer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, number, ONE_U64),
	    PINION_METHOD("last", last, ONE_U64),
	    PINION_METHOD("text", text, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR, .result_max = STR_BYTES),
	    PINION_METHOD("defer", defer, .returns = PINION_RETURNS_U64),
	    PINION_METHOD("where", where, .returns = PINION_RETURNS_U64)),
};

static const pinion_deployment conductor = {
	.name = "Conductor",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, perform,
				      .params = PINION_PARAMS(PINION_STRUCT("job", struct job *)),
				      .returns = PINION_RETURNS_BOOL),
	    PINION_METHOD("pong", pong, .params = PINION_PARAMS(PINION_U64("count")),
		.returns = PINION_RETURNS_BOOL),
	    PINION_METHOD("raw_pong", raw_pong, .params = PINION_PARAMS(PINION_U64("count")),
		.returns = PINION_RETURNS_BOOL),
	    PINION_METHOD("where", where, .returns = PINION_RETURNS_U64)),
};

static pinion_node *
build_answer(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &answer, PINION_ARGS());
}

static pinion_node *
build_conductor(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &conductor, PINION_ARGS());
}

/* ---- one call of each system ---------------------------------------------------------------- */

static bool
call_ping(void *arg, uint64_t i)
{
	(void)arg;
	return pingpong_ping(&lines, i + 1);
}

static bool
call_raw(void *arg, uint64_t i)
{
	(void)arg;
	return rawpair_call(&raw, i + 1);
}

static bool
call_number(void *arg, uint64_t i)
{
	struct bench *b = arg;
	pinion_response r = pinion_call_on(b->one_port, b->number, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result_on(b->one_port, r, &got);

	pinion_release_on(b->one_port, r);
	return err == 0 && got == i + 1;
}

static bool
call_text(void *arg, uint64_t i)
{
	struct bench *b = arg;
	char sent[STR_BYTES + 1] = "abcdefghijklmnopqrstuvwxyzABCD";
	pinion_str got = { NULL, 0 };
	pinion_response r;
	bool right;

	memcpy(&sent[8], &i, sizeof i);
	r = pinion_call_on(b->one_port, b->text, PINION_ARGS(((pinion_str){ sent, STR_BYTES })));
	right = pinion_result_on(b->one_port, r, &got) == 0 && got.len == STR_BYTES &&
	    got.data[0] == 'b' && memcmp(got.data + 1, sent + 1, STR_BYTES - 1) == 0;
	pinion_release_on(b->one_port, r);
	return right;
}

/* In a handler of that worker. */
static bool
call_local(void *arg, uint64_t i)
{
	const struct bench *b = arg;
	pinion_response r = pinion_call(b->number, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result(r, &got);

	pinion_release(r);
	return err == 0 && got == i + 1;
}

/* In a handler of the near worker: to the far one, back, ... */
static bool
call_chain(void *arg, uint64_t i)
{
	const struct chain *c = arg;
	pinion_response r[STAGES_MAX];
	uint64_t got = 0;
	int err;

	r[0] = pinion_call(c->stage[PAIR_FAR], PINION_ARGS(i));
	for (unsigned k = 1; k < c->stages; k++)
		r[k] =
		    pinion_call(c->stage[k % 2 == 0 ? PAIR_FAR : PAIR_NEAR], PINION_ARGS(r[k - 1]));
	err = pinion_result(r[c->stages - 1], &got);
	for (unsigned k = 0; k < c->stages; k++)
		pinion_release(r[k]);
	return err == 0 && got == i + c->stages;
}

/* In a handler of the near worker. Ticks from the deferred answer to the last stage. */
static int64_t
time_stages(const struct chain *c, unsigned stages, unsigned *wrong)
{
	pinion_response r[STAGES_MAX + 1];
	uint64_t start, got = 0;
	int err;

	/* relaxed: the far worker learns of the gate by a call made after this. */
	atomic_store_explicit(&gate.ready, 0, memory_order_relaxed);
	r[0] = pinion_call(c->gate, PINION_ARGS());
	for (unsigned k = 1; k <= stages; k++) {
		const pinion_handle *to = k == stages ? c->last : c->stage;

		r[k] = pinion_call(to[k % 2 == 0 ? PAIR_FAR : PAIR_NEAR], PINION_ARGS(r[k - 1]));
	}
	/* T; ended by the far worker, which only has to start the first handler. */
	while (atomic_load_explicit(&gate.ready, memory_order_acquire) == 0)
		continue;
	for (start = ticks_monotonic_ns(); ticks_monotonic_ns() - start < 3000;)
		continue; /* all messages are taken in meanwhile */
	start = ticks_now();
	err = pinion_token_reply(gate.token, UINT64_C(1));
	if (err == 0)
		err = pinion_result(r[stages], &got);
	*wrong += err != 0 || got != 1 + (uint64_t)stages;
	for (unsigned k = 0; k <= stages; k++)
		pinion_release(r[k]);
	/* relaxed: its result was read. */
	return (int64_t)(atomic_load_explicit(&last_stage, memory_order_relaxed) - start);
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void
drive_calls(const struct job *job, struct turn *t)
{
	turn_drive(t, job->call, job->arg);
}

/* BLOCK_CALLS hops a block. */
static void
drive_hops(const struct job *job, struct turn *t)
{
	const struct chain *c = job->arg;

	*t = (struct turn){ .blocks = TURN_BLOCKS };
	for (unsigned i = 0; i < TURN_WARM / STAGES_MAX; i++)
		(void)time_stages(c, STAGES_MAX, &t->wrong);
	for (unsigned b = 0; b < TURN_BLOCKS; b++)
		for (unsigned i = 0; i < HOP_PAIRS; i++)
			t->block[b] += time_stages(c, STAGES_MAX, &t->wrong) -
			    time_stages(c, STAGES_FEW, &t->wrong);
}

/* True when a handler did it. */
static bool
run_job(pinion_port *port, pinion_handle to, struct job *job)
{
	pinion_response r = pinion_call_on(port, to, PINION_ARGS(PINION_STRUCT_OF(job)));
	bool done = false;
	int err = pinion_result_on(port, r, &done);

	pinion_release_on(port, r);
	return err == 0 && done;
}

/* The far side of ping-pongs begins: its response, to be ended by far_end. */
static pinion_response
far_begin(struct bench *b, enum pace pace, uint64_t count)
{
	pingpong_reset(&lines, pace);
	return pinion_call_on(b->one_port, b->pong, PINION_ARGS(count));
}

static bool
far_end(struct bench *b, pinion_response r)
{
	bool all = false;
	int err = pinion_result_on(b->one_port, r, &all);

	pinion_release_on(b->one_port, r);
	return err == 0 && all;
}

static bool
turn_floor(struct bench *b, struct turn *t)
{
	pinion_response r = far_begin(b, PACED, TURN_CALLS);

	turn_drive(t, call_ping, NULL);
	return far_end(b, r);
}

static bool
turn_raw(struct bench *b, struct turn *t)
{
	pinion_response r;

	rawpair_reset(&raw);
	r = pinion_call_on(b->one_port, b->raw_pong, PINION_ARGS((uint64_t)TURN_CALLS));
	turn_drive(t, call_raw, NULL);
	return far_end(b, r);
}

static bool
turn_number(struct bench *b, struct turn *t)
{
	turn_drive(t, call_number, b);
	return true;
}

static bool
turn_text(struct bench *b, struct turn *t)
{
	turn_drive(t, call_text, b);
	return true;
}

static bool
turn_local(struct bench *b, struct turn *t)
{
	struct job job = { .drive = drive_calls, .call = call_local, .arg = b, .turn = t };

	return run_job(b->one_port, b->one_perform, &job);
}

static bool
turn_chain(struct bench *b, struct turn *t, unsigned stages)
{
	struct job job = { .drive = drive_calls, .call = call_chain, .arg = &b->chain, .turn = t };

	b->chain.stages = stages;
	return run_job(b->pair_port, b->pair_perform, &job);
}

static bool
turn_chain_2(struct bench *b, struct turn *t)
{
	return turn_chain(b, t, 2);
}

static bool
turn_chain_3(struct bench *b, struct turn *t)
{
	return turn_chain(b, t, 3);
}

static bool
turn_hop(struct bench *b, struct turn *t)
{
	struct job job = { .drive = drive_hops, .arg = &b->chain, .turn = t };

	return run_job(b->pair_port, b->pair_perform, &job);
}

static const struct system {
	struct series series;
	bool (*turn)(struct bench *b, struct turn *t);
	bool uses_pair;
} systems[] = {
	{ { .name = "floor: two-line ping-pong", .kind = "floor" }, turn_floor, false },
	{ { .name = "raw pair: message and result", .kind = "raw" }, turn_raw, false },
	{ { .name = "call, 8 bytes", .kind = "call", .payload_bytes = 8, .bound = 1.25 },
	    turn_number, false },
	{ { .name = "call, 30 bytes (str)", .kind = "call", .payload_bytes = STR_BYTES }, turn_text,
	    false },
	{ { .name = "local call, 8 bytes", .kind = "local", .payload_bytes = 8, .bound = 0.4 },
	    turn_local, false },
	{ { .name = "chain of 2 stages", .kind = "chain-2", .payload_bytes = 8 }, turn_chain_2,
	    true },
	{ { .name = "chain of 3 stages", .kind = "chain-3", .payload_bytes = 8 }, turn_chain_3,
	    true },
	{ { .name = "a further stage, one hop", .kind = "hop", .payload_bytes = 8, .bound = 0.7 },
	    turn_hop, true },
};

enum {
	SYSTEMS = sizeof systems / sizeof systems[0]
};

/* ---- placement ------------------------------------------------------------------------------ */

/* Round trip of tight ping-pongs, ns; the quickest batch. 0: the far side is gone. */
static double
probe(struct bench *b)
{
	pinion_response r = far_begin(b, TIGHT, PROBE_WARM + PROBE_BATCHES * PROBE_PINGS);
	uint64_t n = 0, best = UINT64_MAX;

	while (n < PROBE_WARM)
		if (!pingpong_ping(&lines, ++n))
			break;
	for (unsigned batch = 0; batch < PROBE_BATCHES; batch++) {
		uint64_t start = ticks_now(), took;

		for (unsigned i = 0; i < PROBE_PINGS; i++)
			if (!pingpong_ping(&lines, ++n))
				break;
		took = ticks_now() - start;
		if (took < best)
			best = took;
	}
	return far_end(b, r) ? (double)best / b->ticks.per_ns / PROBE_PINGS : 0;
}

/* Workers that still spin would take a cpu from what is measured next. */
static void
let_sleep(pinion_runtime *rt)
{
	struct timespec nap = { .tv_nsec = 20000 };
	pinion_worker_status status;

	if (rt == NULL)
		return;
	for (unsigned i = 0; i < pinion_worker_look(rt, 0, NULL); i++)
		for (unsigned tries = 0; tries < 1000; tries++) {
			(void)pinion_worker_look(rt, i, &status); /* fills status */
			if (status.asleep)
				break;
			(void)nanosleep(&nap, NULL);
		}
}

static bool
measure_round(struct bench *b, struct series *series, unsigned count)
{
	double raw_ns[2] = { probe(b) };

	for (unsigned i = 0; i < count; i++) {
		struct turn t;

		if (systems[i].uses_pair)
			let_sleep(b->one);
		if (!systems[i].turn(b, &t) || t.wrong != 0) {
			fprintf(
			    stderr, "call: wrong answers from \"%s\"\n", systems[i].series.name);
			return false;
		}
		if (systems[i].uses_pair)
			let_sleep(b->pair);
		raw_ns[1] = probe(b);
		pinioni_series_add(&series[i], &t, raw_ns, b->ticks.per_ns);
		raw_ns[0] = raw_ns[1];
	}
	return true;
}

/* ---- start ---------------------------------------------------------------------------------- */

static int
ask_where(pinion_port *port, pinion_handle h, uint64_t *worker)
{
	pinion_response r = pinion_call_on(port, pinion_method_of(h, "where"), PINION_ARGS());
	int err = pinion_result_on(port, r, worker);

	pinion_release_on(port, r);
	return err;
}

static int
start_one(struct bench *b, const char *idle, pinion_diag *diag)
{
	pinion_handle h = { 0 };
	int err = pinion_start(&b->one, .name = "one", .workers = 1, .idle = idle, .diag = diag);

	if (err == 0)
		err = pinion_run(b->one, build_answer, &b->number, .name = "answer", .diag = diag);
	if (err == 0)
		err = pinion_run(b->one, build_conductor, &h, .name = "conductor", .diag = diag);
	if (err == 0)
		err = pinion_port_open(b->one, &b->one_port);
	if (err != 0)
		return err;
	b->text = pinion_method_of(b->number, "text");
	b->pong = pinion_method_of(h, "pong");
	b->raw_pong = pinion_method_of(h, "raw_pong");
	b->one_perform = h;
	return pinion_port_warm(b->one_port);
}

/* Where the runtime puts replicas is its business: enough of them, and each is asked. */
static int
place_stages(struct bench *b, pinion_diag *diag)
{
	struct chain *c = &b->chain;
	bool have[PAIR] = { false, false };
	int err = 0;

	for (unsigned i = 0; i < 8 && err == 0 && !(have[PAIR_NEAR] && have[PAIR_FAR]); i++) {
		char name[16];
		pinion_handle h;
		uint64_t w;

		(void)snprintf(name, sizeof name, "answer-%u", i);
		err = pinion_run(b->pair, build_answer, &h, .name = name, .diag = diag);
		if (err == 0)
			err = ask_where(b->pair_port, h, &w);
		if (err != 0 || w >= PAIR || have[w])
			continue;
		have[w] = true;
		c->stage[w] = h;
		c->last[w] = pinion_method_of(h, "last");
	}
	c->gate = pinion_method_of(c->stage[PAIR_FAR], "defer");
	return err != 0 ? err : have[PAIR_NEAR] && have[PAIR_FAR] ? 0 : -ENOENT;
}

static int
start_pair(struct bench *b, const char *idle, pinion_diag *diag)
{
	uint64_t w = PAIR;
	int err =
	    pinion_start(&b->pair, .name = "pair", .workers = PAIR, .idle = idle, .diag = diag);

	if (err == 0)
		err = pinion_port_open(b->pair, &b->pair_port);
	for (unsigned i = 0; i < 8 && err == 0 && w != PAIR_NEAR; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "conductor-%u", i);
		err = pinion_run(
		    b->pair, build_conductor, &b->pair_perform, .name = name, .diag = diag);
		if (err == 0)
			err = ask_where(b->pair_port, b->pair_perform, &w);
	}
	if (err == 0)
		err = place_stages(b, diag);
	return err != 0 ? err : pinion_port_warm(b->pair_port);
}

static void
stop(struct bench *b)
{
	if (b->one_port != NULL)
		pinion_port_close(b->one_port);
	if (b->pair_port != NULL)
		pinion_port_close(b->pair_port);
	pinion_stop(b->one);
	pinion_stop(b->pair);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* The first two cpus allowed; this thread stays on both until the workers run. */
static bool
choose_cpus(int cpus[PAIR])
{
	cpu_set_t allowed, two;
	unsigned count = 0;

	CPU_ZERO(&allowed);
	CPU_ZERO(&two);
	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return false;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < PAIR; cpu++)
		if (CPU_ISSET(cpu, &allowed)) {
			cpus[count++] = (int)cpu;
			CPU_SET(cpu, &two);
		}
	return count == PAIR && sched_setaffinity(0, sizeof two, &two) == 0;
}

static bool
pin_caller(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

static bool
measure(struct bench *b, const struct options *o, struct report *report)
{
	static struct series series[SYSTEMS];
	bool ok = true;

	report->series = series;
	report->count = 0;
	for (unsigned i = 0; i < SYSTEMS && ok; i++) {
		if (systems[i].uses_pair && b->pair == NULL)
			break; /* they are last */
		series[i] = systems[i].series;
		ok = pinioni_series_init(&series[i], o->rounds);
		report->count++;
	}
	for (unsigned i = 0; i < o->rounds && ok; i++)
		ok = measure_round(b, series, report->count);
	ok = ok && (o->json ? pinioni_report_json(report) : pinioni_report_table(report));
	for (unsigned i = 0; i < report->count; i++)
		pinioni_series_deinit(&series[i]);
	return ok;
}

int
main(int argc, char **argv)
{
	struct options o = { .idle = "adaptive" };
	struct bench b = { .one = NULL };
	pinion_diag diag = { "" };
	int cpus[PAIR];
	bool ok;
	int err;

	pinioni_options_read(
	    argc, argv, "Round trips of calls, local calls and chains, beside the floor.", &o);
	if (!choose_cpus(cpus)) {
		fprintf(stderr, "call: skipped: this needs two cpus\n");
		return EXIT_SKIPPED;
	}
	b.ticks = pinioni_ticks_measure();
	lines.limit = raw.pace.limit = (uint64_t)(LIMIT_NS * b.ticks.per_ns);
	err = start_one(&b, o.idle, &diag);
	if (err == 0 && strcmp(o.idle, "adaptive") == 0)
		err = start_pair(&b, o.idle, &diag);
	if (err != 0)
		fprintf(stderr, "call: %s: %s\n", strerror(-err), diag.text);
	ok = err == 0 && pin_caller(cpus[PAIR_NEAR]) &&
	    measure(&b, &o,
		&(struct report){ .bench = "call",
		    .commit = o.commit,
		    .idle = o.idle,
		    .near_cpu = cpus[PAIR_NEAR],
		    .far_cpu = cpus[PAIR_FAR],
		    .ticks = b.ticks });
	stop(&b);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
