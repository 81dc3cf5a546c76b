/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch - what running requests together gives, and how exactly a batch that does not fill waits for more.
 *
 *   near cpu   caller: so many calls under way       far cpu   one worker
 *
 *   rate       a handler takes WORK_NS, whether for one request or for a batch of them: a spin by the clock. Calls a
 *              second by one handler each, and by batches of at most 1, 8, 32. OUTSTANDING are under way, so that
 *              the next batch is there while one runs
 *   members    how many requests such a batch had in the mean
 *
 *     sent                 taken in              due        begun
 *      |     passage        |     batch_wait_ns   |   late    |
 *      |<----------------- batch_wait_ns + this ------------->|
 *
 *   a wait     FEW calls, of a batch that would take FULL, are sent together: how much later than batch_wait_ns
 *              after its first member was sent a batch begins. The passage is in it, as it is for who calls; without
 *              a wait it is the passage alone, and what others' ratios are to
 *   a sleep    of a plain thread on the far cpu: how much longer than it asked for. A worker sleeps, too, when the
 *              wait is so long that it can, and gets up before it ends: ratios of long waits are to this
 *   too soon   how many batches began before batch_wait_ns had passed: there is to be none. Above they count as 0
 *
 * Checked   Each answer, and that the caller saw a batch begin after it had sent the first of it.
 */
#include <stdlib.h>
#include <sys/prctl.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	WORK_NS = 1000, /* of a handler, whatever it is given */
	OUTSTANDING = 128,
	FEW = 3, /* calls, and so a batch's members, ... */
	FULL = 8 /* ... where there is room for more */
};

static struct kit kit;
static struct rig rig;
static uint64_t work_ticks; /* frozen before calls */

/* ---- handlers ------------------------------------------------------------------------------- */

/* What a request is answered, of a batch that is to be timed. */
struct told {
	uint64_t x;     /* one more than was given */
	uint64_t begun; /* ticks, when the batch's handler was called */
};

static void
spin(void)
{
	uint64_t start = ticks_now();

	while (ticks_now() - start < work_ticks)
		continue;
}

static int
run_one(void *replica, pinion_request *req)
{
	(void)replica;
	spin();
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

/* replica: how many batches it has had; behind the last answer of the last it is read. */
static int
run_batch(void *replica, pinion_request *const *requests, unsigned count)
{
	uint64_t *batches = replica;
	int err = 0;

	++*batches;
	spin();
	for (unsigned i = 0; i < count && err == 0; i++)
		err = pinion_reply(requests[i], pinion_arg_u64(requests[i], 0) + 1);
	return err;
}

static int
tell_batches(void *replica, pinion_request *req)
{
	return pinion_reply(req, *(const uint64_t *)replica);
}

static int
begin_batch(void *replica, pinion_request *const *requests, unsigned count)
{
	struct told told = { .begun = ticks_now() };
	int err = 0;

	(void)replica;
	for (unsigned i = 0; i < count && err == 0; i++) {
		told.x = pinion_arg_u64(requests[i], 0) + 1;
		err = pinion_reply(requests[i], PINION_STRUCT_OF(told));
	}
	return err;
}

#define NUMBER .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64

static const pinion_deployment working = {
	.name = "Working",
	.replica_size = sizeof(uint64_t),
	.methods = PINION_METHODS(PINION_METHOD("one", run_one, NUMBER),
	    PINION_BATCH_METHOD("batch", run_batch, NUMBER),
	    PINION_METHOD("batches", tell_batches, .returns = PINION_RETURNS_U64),
	    PINION_BATCH_METHOD("begin", begin_batch, .params = PINION_PARAMS(PINION_U64("x")),
		.returns = PINION_RETURNS_STRUCT(struct told)),
	    RIG_WHERE),
};

/* ---- calls, many under way ------------------------------------------------------------------ */

struct pipeline {
	const char *label, *name, *members; /* members: of the row that says how many a batch had */
	int32_t size;                       /* max_batch_size; 0: a method without batches */
	double bound;
	pinion_handle to;
	uint64_t calls;
	pinion_response responses[OUTSTANDING];
};

static bool
take_number(pinion_response r, uint64_t expected)
{
	uint64_t got = 0;
	int err = pinion_result_on(rig.port, r, &got);

	pinion_release_on(rig.port, r);
	return err == 0 && got == expected;
}

static bool
take_oldest(const struct pipeline *p, uint64_t i)
{
	return take_number(p->responses[i % OUTSTANDING], i + 1);
}

static bool
call_next(void *arg, uint64_t i)
{
	struct pipeline *p = arg;
	bool right = i < OUTSTANDING || take_oldest(p, i - OUTSTANDING);

	p->responses[i % OUTSTANDING] = pinion_call_on(rig.port, p->to, PINION_ARGS(i));
	return right;
}

static bool
turn_pipeline(void *arg, struct turn *t)
{
	struct pipeline *p = arg;
	uint64_t calls = turn_calls(&t->size);

	turn_drive(t, call_next, p);
	for (uint64_t i = calls - OUTSTANDING; i < calls; i++)
		t->wrong += !take_oldest(p, i);
	p->calls += calls;
	return true;
}

/* ---- a batch that does not fill ------------------------------------------------------------- */

struct waiting {
	const char *label, *name;
	int64_t wait_ns;
	unsigned against; /* a system */
	pinion_handle to;
	uint64_t calls, early; /* batches; of these too soon */
};

/* Looks until it is there: a caller that slept would come back late, and find the worker asleep. */
static bool
take_told(pinion_response r, uint64_t expected, struct told *told)
{
	int err;

	do
		err = pinion_result_within(r, 0, told);
	while (err == -EAGAIN);
	pinion_release(r);
	return err == 0 && told->x == expected;
}

/* Ticks: from when the first was sent to when its batch began, less the wait. */
static bool
call_few(void *arg, uint64_t i, uint64_t *ticks)
{
	struct waiting *w = arg;
	const uint64_t wait = (uint64_t)((double)w->wait_ns * kit.ticks.per_ns);
	pinion_response r[FEW];
	struct told first, told;
	uint64_t sent = ticks_now();
	bool right;

	for (unsigned k = 0; k < FEW; k++)
		r[k] = pinion_call(w->to, PINION_ARGS(i + k));
	right = take_told(r[0], i + 1, &first) && first.begun > sent;
	for (unsigned k = 1; k < FEW; k++)
		right = take_told(r[k], i + k + 1, &told) && right;
	*ticks = 0;
	if (!right)
		return false;
	w->calls++;
	if (first.begun - sent < wait)
		w->early++;
	else
		*ticks = first.begun - sent - wait;
	return true;
}

static bool
turn_waiting(void *arg, struct turn *t)
{
	turn_drive_timed(t, call_few, arg);
	return true;
}

/* ---- a plain sleep -------------------------------------------------------------------------- */

struct sleeping {
	const char *label, *name;
	int64_t ns;
	struct turn *turn;
};

static bool
oversleep(void *arg, uint64_t i, uint64_t *ticks)
{
	const struct sleeping *s = arg;
	const struct timespec nap = { .tv_nsec = s->ns };
	const uint64_t asked = (uint64_t)((double)s->ns * kit.ticks.per_ns);
	uint64_t start = ticks_now(), slept;

	(void)i;
	*ticks = 0;
	if (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL) != 0)
		return false;
	slept = ticks_now() - start;
	if (slept > asked)
		*ticks = slept - asked;
	return true;
}

static void
sleep_far(void *arg)
{
	struct sleeping *s = arg;

	(void)prctl(PR_SET_TIMERSLACK, 1); /* as a worker; cannot fail */
	turn_drive_timed(s->turn, oversleep, s);
}

static bool
turn_sleeping(void *arg, struct turn *t)
{
	struct sleeping *s = arg;

	s->turn = t;
	pinioni_far_begin(&kit.far, sleep_far, s);
	pinioni_far_end(&kit.far);
	return true;
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

/* ---- systems -------------------------------------------------------------------------------- */

static struct pipeline pipelines[] = {
	{ .label = "a handler each", .name = "single" },
	{ .label = "batches of 1",
	    .name = "batch-1",
	    .members = "members of a batch of 1",
	    .size = 1 },
	{ .label = "batches of 8",
	    .name = "batch-8",
	    .members = "members of a batch of 8",
	    .size = 8 },
	{ .label = "batches of 32",
	    .name = "batch-32",
	    .members = "members of a batch of 32",
	    .size = 32,
	    .bound = 10 },
};

static struct sleeping sleeps[] = {
	{ .label = "slept, over 100 us", .name = "sleep-100", .ns = 100000 },
	{ .label = "slept, over 1 ms", .name = "sleep-1000", .ns = 1000000 },
};

enum {
	PIPELINES = sizeof pipelines / sizeof pipelines[0],
	SLEEPS = sizeof sleeps / sizeof sleeps[0],
	WAITS = 4,
	SYSTEM_SINGLE = 1, /* behind the floor */
	SYSTEM_SLEEP_100 = SYSTEM_SINGLE + PIPELINES,
	SYSTEM_SLEEP_1000,
	SYSTEM_WAIT_0,
	SYSTEMS = SYSTEM_WAIT_0 + WAITS
};

static struct waiting waits[WAITS] = {
	{ .label = "begun, without a wait",
	    .name = "wait-0",
	    .wait_ns = 0,
	    .against = SYSTEM_WAIT_0 },
	{ .label = "begun, over a wait of 20 us",
	    .name = "wait-20",
	    .wait_ns = 20000,
	    .against = SYSTEM_WAIT_0 },
	{ .label = "begun, over a wait of 100 us",
	    .name = "wait-100",
	    .wait_ns = 100000,
	    .against = SYSTEM_SLEEP_100 },
	{ .label = "begun, over a wait of 1 ms",
	    .name = "wait-1000",
	    .wait_ns = 1000000,
	    .against = SYSTEM_SLEEP_1000 },
};

static struct system
system_of_pipeline(struct pipeline *p)
{
	return (struct system){ .name = p->label,
		.case_name = p->name,
		.system = "pinion",
		.payload_bytes = 8,
		.pace = CALLS_PIPED,
		.is_rate = true,
		.against = SYSTEM_SINGLE,
		.bound = p->bound,
		.turn = turn_pipeline,
		.end = end,
		.arg = p };
}

static struct system
system_of_sleep(struct sleeping *s)
{
	return (struct system){ .name = s->label,
		.case_name = s->name,
		.system = "kernel",
		.pace = CALLS_SLOW,
		.turn = turn_sleeping,
		.arg = s };
}

static struct system
system_of_wait(struct waiting *w)
{
	return (struct system){ .name = w->label,
		.case_name = w->name,
		.system = "pinion",
		.payload_bytes = 8,
		.pace = w->wait_ns == 0 ? CALLS_US : CALLS_SLOW,
		.against = w->against,
		.turn = turn_waiting,
		.end = end,
		.arg = w };
}

/* An application for each size and each wait. max_ongoing_requests: what gathers counts. */
static bool
run_all(void)
{
	bool ok = true;

	for (unsigned i = 0; i < PIPELINES && ok; i++) {
		const struct rig_app app = RIG_APP(&working, .num_replicas = 1,
		    .max_batch_size = pipelines[i].size, .max_ongoing_requests = OUTSTANDING);

		ok = pinioni_rig_run(&rig, &app, 0, &pipelines[i].to);
		pipelines[i].to =
		    pinion_method_of(pipelines[i].to, pipelines[i].size == 0 ? "one" : "batch");
	}
	for (unsigned i = 0; i < WAITS && ok; i++) {
		const struct rig_app app = RIG_APP(&working, .num_replicas = 1,
		    .max_batch_size = FULL, .batch_wait_ns = waits[i].wait_ns);

		ok = pinioni_rig_run(&rig, &app, 0, &waits[i].to);
		waits[i].to = pinion_method_of(waits[i].to, "begin");
	}
	return ok;
}

/* ---- what is no time ------------------------------------------------------------------------ */

static bool
add_members(struct report *r, const struct pipeline *p)
{
	struct row row = { .name = p->members,
		.case_name = p->name,
		.system = "batch",
		.samples = p->calls,
		.unit = "each" };
	uint64_t batches = 0;
	pinion_response answer =
	    pinion_call_on(rig.port, pinion_method_of(p->to, "batches"), PINION_ARGS());
	int err = pinion_result_on(rig.port, answer, &batches);

	pinion_release_on(rig.port, answer);
	row.value = (double)p->calls / (double)batches;
	return err == 0 && pinioni_report_add(r, &row);
}

static bool
add_early(struct report *r)
{
	struct row row = { .name = "batches that began too soon",
		.case_name = "early",
		.system = "batch",
		.unit = "%" };
	uint64_t early = 0;

	for (unsigned i = 0; i < WAITS; i++) {
		row.samples += waits[i].calls;
		early += waits[i].early;
	}
	row.value = 100 * (double)early / (double)row.samples;
	return pinioni_report_add(r, &row);
}

static bool
measure(struct report *report)
{
	struct system systems[SYSTEMS] = { SYSTEM_FLOOR(&kit) };
	bool ok = run_all();

	for (unsigned i = 0; i < PIPELINES; i++)
		systems[SYSTEM_SINGLE + i] = system_of_pipeline(&pipelines[i]);
	for (unsigned i = 0; i < SLEEPS; i++)
		systems[SYSTEM_SLEEP_100 + i] = system_of_sleep(&sleeps[i]);
	for (unsigned i = 0; i < WAITS; i++)
		systems[SYSTEM_WAIT_0 + i] = system_of_wait(&waits[i]);
	ok = ok && pinioni_suite_run(report, systems, SYSTEMS);
	for (unsigned i = 1; i < PIPELINES && ok; i++)
		ok = add_members(report, &pipelines[i]);
	return ok && add_early(report) && pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code =
	    pinioni_kit_start(&kit, "batch", "What running requests together gives.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	work_ticks = (uint64_t)(WORK_NS * kit.ticks.per_ns);
	ok = pinioni_rig_start(&rig, &kit, "batch", 1, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
