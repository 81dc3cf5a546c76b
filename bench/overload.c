/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overload - what is left of a service when more comes than it can do: how much it still answers, how long who was let
 * in waits, how soon who was not is told.
 *
 *   near cpu  caller    sends when a call is due, whatever is under way; harvests
 *   far cpu   worker    one replica: max_ongoing_requests run, QUEUED wait, the others are refused (-ENOBUFS)
 *
 *   spun       a handler spins so long by the clock, one at a time: meanwhile its worker looks at nothing
 *   asleep     ONGOING handlers are in pinion_sleep at a time: the worker, which never sleeps, looks all along
 *
 *   sent         a handler ends, and says when          told
 *    |   the rest of it  |       from the next poll       |
 *    |<------------------- since sent ------------------->|
 *
 * Load      0.5 to 3 times capacity, which is max_ongoing_requests / service time, without what the runtime takes.
 *           Poisson, from a seeded generator, in an open loop.
 * Goodput   Answers of handlers that ended within the segment, without its first tenth; as a share of the most that a
 *           load of the same round had.
 * Accepted  Sojourns, from when a call was due: p99 over what the queue allows, (QUEUED + ongoing) / ongoing services.
 * Refused   A spun worker polls when a handler has ended; so a refusal counts from the first end behind its sending,
 *           but from its sending when it came back before that. Asleep it is the same as since sent. Over F, measured
 *           just before.
 * Medians   Each figure is one over segments, of those that nothing disturbed: see load.c. Every call is accounted for:
 *           answered rightly, or refused.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/chance.h"
#include "bench/kit/median.h"
#include "bench/kit/report.h"
#include "bench/kit/rig.h"
#include "bench/kit/series.h"

enum {
	QUEUED = 32,          /* max_queued_requests */
	SERVICES_LONG = 500,  /* a segment, at capacity */
	WARM_PART = 10,       /* a tenth of it is not counted: the queue is empty at first */
	LEAD_NS = 100000,     /* until it begins */
	ROUNDS_A_SEGMENT = 5, /* of --rounds: segments are long */
	ROUNDS_MAX = 10000 / ROUNDS_A_SEGMENT, /* as the options allow */
	DISTURBED_PART = 100, /* caller and worker together waited that part of it for their cpus */
	ARRIVALS_MAX = 2048,  /* and slots, and cells: more than come, so only the worker refuses */
	HARVEST = 16,
	LIMIT_S = 10, /* without any answer */
	LOADS = 4
};

static const double loads[LOADS] = { 0.5, 1, 1.5, 3 }; /* times capacity */

enum {
	LOAD_OF_BOUND = LOADS - 1
};

static const struct service {
	const char *label, *name;
	double ns;
	int32_t ongoing;
	bool is_spun;
	const char *method, *idle; /* idle NULL: as the options say */
} services[] = {
	{ "spun", "spun", 10000, 1, true, "spin", NULL },
	{ "asleep", "asleep", 200000, 4, false, "sleep", "spin" },
};

enum {
	SERVICES = sizeof services / sizeof services[0]
};

static struct kit kit;

/* ---- handlers ------------------------------------------------------------------------------- */

struct answer {
	uint64_t x;     /* one more than was given */
	uint64_t ended; /* ticks */
};

static int
reply(pinion_request *req)
{
	struct answer a = { pinion_arg_u64(req, 0) + 1, ticks_now() };

	return pinion_reply(req, PINION_STRUCT_OF(a));
}

/* So many ticks. */
static int
spin(void *replica, pinion_request *req)
{
	uint64_t start = ticks_now(), ticks = pinion_arg_u64(req, 1);

	(void)replica;
	while (ticks_now() - start < ticks)
		continue;
	return reply(req);
}

/* So many ns. */
static int
rest(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, (int64_t)pinion_arg_u64(req, 1));

	(void)replica;
	return err != 0 ? err : reply(req);
}

#define NUMBER_AND_TIME \
	.params = PINION_PARAMS(PINION_U64("x"), PINION_U64("time")), \
	.returns = PINION_RETURNS_STRUCT(struct answer)

static const pinion_deployment server = {
	.name = "Server",
	.methods = PINION_METHODS(PINION_METHOD("spin", spin, NUMBER_AND_TIME),
	    PINION_METHOD("sleep", rest, NUMBER_AND_TIME), RIG_WAITED, RIG_WHERE),
};

/* ---- a segment ------------------------------------------------------------------------------ */

/* ns from its start. */
struct arrival {
	double due, sent, told;
	double ended; /* its handler; 0: it was refused */
};

struct segment {
	const struct service *service;
	struct arrival arrivals[ARRIVALS_MAX];
	unsigned count;
	double begin, end;         /* what is counted */
	uint64_t waited_ns, start; /* caller and worker, for their cpus; ticks */
};

static void
plan(struct segment *g, const struct service *s, double load, uint64_t seed)
{
	double capacity_ns = s->ns / s->ongoing, length = SERVICES_LONG * capacity_ns, at = LEAD_NS;

	g->service = s;
	g->begin = LEAD_NS + length / WARM_PART;
	g->end = LEAD_NS + length;
	g->count = 0;
	while (g->count < ARRIVALS_MAX) {
		at += chance_exponential(&seed, capacity_ns / load);
		if (at >= g->end)
			break;
		g->arrivals[g->count++] = (struct arrival){ .due = at };
	}
}

struct run {
	struct segment *segment;
	pinion_port *port;
	pinion_handle to;
	uint64_t time; /* that a handler is told */
	unsigned sent, seen, wrong;
};

static double
since_start(const struct segment *g, uint64_t ticks)
{
	return (double)(int64_t)(ticks - g->start) / kit.ticks.per_ns;
}

static void
send_one(struct run *r, double now)
{
	uint64_t i = r->sent++;
	pinion_response response = pinion_call_tagged(r->port, r->to, PINION_ARGS(i, r->time), i);

	(void)response; /* comes back with its tag */
	r->segment->arrivals[i].sent = now;
}

static void
take_answers(struct run *r)
{
	struct segment *g = r->segment;
	pinion_finished finished[HARVEST];
	unsigned count = pinion_harvest(r->port, finished, HARVEST);
	double now = count == 0 ? 0 : since_start(g, ticks_now());

	for (unsigned k = 0; k < count; k++) {
		struct arrival *a = &g->arrivals[finished[k].tag];
		struct answer answer = { .x = 0 };
		int err = pinion_result_on(r->port, finished[k].response, &answer);

		pinion_release_on(r->port, finished[k].response);
		a->told = now;
		if (err == 0)
			a->ended = since_start(g, answer.ended);
		r->wrong += err != -ENOBUFS && (err != 0 || answer.x != finished[k].tag + 1);
	}
	r->seen += count;
}

/* False: no answer for long. */
static bool
send_and_take(struct run *r)
{
	struct segment *g = r->segment;
	unsigned seen = 0;
	double last = 0;

	g->start = ticks_now();
	while (r->seen < g->count) {
		double now = since_start(g, ticks_now());

		if (r->sent < g->count && now >= g->arrivals[r->sent].due)
			send_one(r, now);
		take_answers(r);
		if (r->seen != seen || r->sent == r->seen)
			last = now;
		seen = r->seen;
		if (now - last > LIMIT_S * 1e9)
			return false;
	}
	return true;
}

/* A runtime for this segment alone: a worker that spins leaves the far cpu to nobody. */
static bool
run_segment(struct segment *g)
{
	const struct service *s = g->service;
	const struct rig_app app = RIG_APP(&server, .num_replicas = 1,
	    .max_ongoing_requests = s->ongoing, .max_queued_requests = QUEUED);
	const pinion_start_options options = {
		.idle = s->idle, .slots = ARRIVALS_MAX, .lane_cells = ARRIVALS_MAX
	};
	struct run r = { .segment = g };
	struct rig rig = { .name = "overload" };
	pinion_handle handle;
	uint64_t before = 0, after = 0;
	bool ok = pinioni_cpus_free(kit.cpus) &&
	    pinioni_rig_start(&rig, &kit, "overload", 1, options) &&
	    pinioni_rig_run(&rig, &app, 0, &handle) && pinioni_cpus_pin(kit.cpus[CPU_NEAR]);

	if (ok) {
		r.port = rig.port;
		r.to = pinion_method_of(handle, s->method);
		r.time = (uint64_t)(s->ns * (s->is_spun ? kit.ticks.per_ns : 1));
	}
	ok = ok && pinioni_rig_waited(&rig, handle, &before) && send_and_take(&r) &&
	    pinioni_rig_waited(&rig, handle, &after);
	g->waited_ns = after - before;
	if (!ok || r.wrong != 0)
		fprintf(stderr, "overload: %s: %u of %u sent, %u told, %u wrong\n", s->label,
		    r.sent, g->count, r.seen, r.wrong);
	pinioni_rig_stop(&rig);
	return ok && r.wrong == 0;
}

/* ---- what a segment comes to ---------------------------------------------------------------- */

/* Times in ns. */
struct outcome {
	enum placement placed; /* PLACED_MIXED: moved, not used */
	bool is_calm;          /* nothing disturbed it */
	unsigned accepted, refused;
	double goodput, share;           /* a second; of the most of this round, % */
	double sojourn_p50, sojourn_p99; /* of who was accepted */
	double excess;                   /* that p99 over what the queue allows */
	double poll_p50, poll_p99;       /* of who was refused, from the next poll */
	double poll_floors;              /* that p50 over F */
	double told_p50, told_p99;       /* the same since sent */
	double late_p99;
};

static struct outcome *outcomes[SERVICES][LOADS]; /* one a round */
static unsigned rounds_max;

static bool
is_counted(const struct segment *g, const struct arrival *a)
{
	return a->due >= g->begin;
}

/* Since when a worker that has to end a handler first could have refused it. ends: of all handlers, in order. */
static double
find_poll(const struct segment *g, const struct arrival *a, const double *ends, size_t count)
{
	size_t low = 0, high = count;

	if (!g->service->is_spun)
		return a->sent;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ends[middle] < a->sent)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && ends[low] < a->told ? ends[low] : a->sent;
}

static void
reckon_accepted(const struct segment *g, struct outcome *o)
{
	const struct service *s = g->service;
	double sojourns[ARRIVALS_MAX], late[ARRIVALS_MAX], in_time = 0;
	size_t count = 0, all = 0;

	for (unsigned i = 0; i < g->count; i++) {
		const struct arrival *a = &g->arrivals[i];

		late[all++] = a->sent - a->due;
		in_time += a->ended >= g->begin && a->ended < g->end;
		o->accepted += a->ended != 0;
		if (a->ended != 0 && is_counted(g, a))
			sojourns[count++] = a->told - a->due;
	}
	median_sort(sojourns, count);
	median_sort(late, all);
	o->goodput = in_time / (g->end - g->begin) * 1e9;
	o->sojourn_p50 = quantile(sojourns, count, 0.5);
	o->sojourn_p99 = quantile(sojourns, count, 0.99);
	o->excess = o->sojourn_p99 / (s->ns * (QUEUED + s->ongoing) / s->ongoing);
	o->late_p99 = quantile(late, all, 0.99);
}

static void
reckon_refused(const struct segment *g, double floor_ns, struct outcome *o)
{
	double ends[ARRIVALS_MAX], polls[ARRIVALS_MAX], told[ARRIVALS_MAX];
	size_t end_count = 0, count = 0;

	for (unsigned i = 0; i < g->count; i++)
		if (g->arrivals[i].ended != 0)
			ends[end_count++] = g->arrivals[i].ended;
	median_sort(ends, end_count);
	for (unsigned i = 0; i < g->count; i++) {
		const struct arrival *a = &g->arrivals[i];

		o->refused += a->ended == 0;
		if (a->ended != 0 || !is_counted(g, a))
			continue;
		polls[count] = a->told - find_poll(g, a, ends, end_count);
		told[count++] = a->told - a->sent;
	}
	median_sort(polls, count);
	median_sort(told, count);
	o->poll_p50 = quantile(polls, count, 0.5);
	o->poll_p99 = quantile(polls, count, 0.99);
	o->poll_floors = o->poll_p50 / floor_ns;
	o->told_p50 = quantile(told, count, 0.5);
	o->told_p99 = quantile(told, count, 0.99);
}

/* Median block, ns a round trip. 0: no answer. */
static double
measure_floor(void)
{
	struct turn t = { .size = { .warm = 256, .blocks = TURN_BLOCKS_MAX, .block_calls = 64 } };
	double blocks[TURN_BLOCKS_MAX];

	if (!pinioni_kit_floor(&kit, &t) || t.wrong != 0)
		return 0;
	for (unsigned b = 0; b < t.size.blocks; b++)
		blocks[b] = (double)t.block[b] / kit.ticks.per_ns / t.size.block_calls;
	median_sort(blocks, t.size.blocks);
	return quantile(blocks, t.size.blocks, 0.5);
}

static bool
measure_segment(unsigned service, unsigned load, unsigned round)
{
	static struct segment g;
	struct outcome *o = &outcomes[service][load][round];
	double raw_ns[2] = { pinioni_kit_probe(&kit) }, floor_ns = measure_floor();

	plan(&g, &services[service], loads[load], (uint64_t)(service << 8 | load) << 16 | round);
	if (!run_segment(&g))
		return false;
	raw_ns[1] = pinioni_kit_probe(&kit);
	if (raw_ns[0] == 0 || raw_ns[1] == 0 || floor_ns == 0) {
		fprintf(stderr, "overload: the probe is not answered\n");
		return false;
	}
	o->placed = pinioni_placement_of(raw_ns[0]);
	if (o->placed != pinioni_placement_of(raw_ns[1]))
		o->placed = PLACED_MIXED;
	o->is_calm = (double)g.waited_ns <= g.end / DISTURBED_PART;
	reckon_accepted(&g, o);
	reckon_refused(&g, floor_ns, o);
	return true;
}

/* Loads of one round. */
static void
find_shares(unsigned service, unsigned round)
{
	double most = 0;

	for (unsigned load = 0; load < LOADS; load++)
		if (outcomes[service][load][round].goodput > most)
			most = outcomes[service][load][round].goodput;
	for (unsigned load = 0; load < LOADS && most != 0; load++)
		outcomes[service][load][round].share =
		    100 * outcomes[service][load][round].goodput / most;
}

/* ---- rows ----------------------------------------------------------------------------------- */

enum figure {
	FIGURE_ACCEPTED,
	FIGURE_GOODPUT,
	FIGURE_POLL,
	FIGURE_TOLD,
	FIGURE_LATE,
	FIGURES
};

/* What is said of each point. Fields of struct outcome; value: what the row is about. */
static const struct {
	const char *label, *system, *unit, *against;
	size_t value, p50, p99, ratio; /* 0: none */
	double bound;                  /* at LOAD_OF_BOUND */
	bool is_rate, is_of_refused;
} figures[FIGURES] = {
	[FIGURE_ACCEPTED] = { "accepted", "pinion", "us", "what the queue allows",
	    offsetof(struct outcome, sojourn_p99), offsetof(struct outcome, sojourn_p50),
	    offsetof(struct outcome, sojourn_p99), offsetof(struct outcome, excess), 0, false,
	    false },
	[FIGURE_GOODPUT] = { "goodput", "goodput", "%", NULL, offsetof(struct outcome, share), 0, 0,
	    0, 90, true, false },
	[FIGURE_POLL] = { "refused, from the next poll", "refused", "ns", "F",
	    offsetof(struct outcome, poll_p50), offsetof(struct outcome, poll_p50),
	    offsetof(struct outcome, poll_p99), offsetof(struct outcome, poll_floors), 10, false,
	    true },
	[FIGURE_TOLD] = { "refused, since sent", "refused-sent", "us", NULL,
	    offsetof(struct outcome, told_p50), offsetof(struct outcome, told_p50),
	    offsetof(struct outcome, told_p99), 0, 0, false, true },
	[FIGURE_LATE] = { "sent late", "generator", "us", NULL, offsetof(struct outcome, late_p99),
	    0, offsetof(struct outcome, late_p99), 0, 0, false, false },
};

static char labels[SERVICES][LOADS][FIGURES][56], names[SERVICES][LOADS][24];

static bool
is_used(const struct outcome *o, enum placement placed, bool of_refused)
{
	return o->placed == placed && o->is_calm && (!of_refused || o->refused != 0);
}

/* Median over the rounds that are used. field 0: none. */
static double
find_median(const struct outcome *all, enum placement placed, bool of_refused, size_t field)
{
	double found[ROUNDS_MAX];
	size_t count = 0;

	for (unsigned r = 0; r < rounds_max && field != 0; r++)
		if (is_used(&all[r], placed, of_refused))
			found[count++] = *(const double *)((const char *)&all[r] + field);
	median_sort(found, count);
	return quantile(found, count, 0.5);
}

static void
count_used(const struct outcome *all, enum placement placed, bool of_refused, struct row *row)
{
	for (unsigned r = 0; r < rounds_max; r++)
		if (is_used(&all[r], placed, of_refused)) {
			row->samples += of_refused ? all[r].refused : all[r].accepted;
			row->rounds++;
		}
}

static bool
add_row(struct report *r, unsigned service, unsigned load, enum placement placed, enum figure f)
{
	const struct outcome *all = outcomes[service][load];
	const bool of_refused = figures[f].is_of_refused;
	const double bound = load == LOAD_OF_BOUND ? figures[f].bound : 0;
	struct row row = { .name = labels[service][load][f],
		.case_name = names[service][load],
		.system = figures[f].system,
		.placement = pinioni_placement_name(placed),
		.payload_bytes = 16,
		.unit = figures[f].unit,
		.against = figures[f].against,
		.bound = bound,
		.is_rate = figures[f].is_rate,
		.bounds_value = figures[f].is_rate };

	count_used(all, placed, of_refused, &row);
	row.value = find_median(all, placed, of_refused, figures[f].value) /
	    pinioni_unit_ns(figures[f].unit);
	row.p50 = find_median(all, placed, of_refused, figures[f].p50);
	row.p99 = find_median(all, placed, of_refused, figures[f].p99);
	row.ratio = find_median(all, placed, of_refused, figures[f].ratio);
	if (f == FIGURE_GOODPUT)
		row.rate = find_median(all, placed, of_refused, offsetof(struct outcome, goodput));
	return row.rounds == 0 || pinioni_report_add(r, &row);
}

/* So much of all segments is behind the other rows. */
static bool
add_used(struct report *r)
{
	struct row row = { .name = "segments that nothing disturbed",
		.case_name = "undisturbed",
		.system = "generator",
		.samples = SERVICES * LOADS * rounds_max,
		.unit = "%" };
	unsigned used = 0;

	for (unsigned i = 0; i < SERVICES * LOADS; i++)
		for (unsigned k = 0; k < rounds_max; k++) {
			const struct outcome *o = &outcomes[i / LOADS][i % LOADS][k];

			used += o->placed != PLACED_MIXED && o->is_calm;
		}
	row.value = 100.0 * used / (double)row.samples;
	return pinioni_report_add(r, &row);
}

static bool
report_all(struct report *r)
{
	bool ok = add_used(r);

	for (enum placement placed = 0; placed < PLACED_MIXED; placed++)
		for (unsigned i = 0; i < SERVICES * LOADS; i++)
			for (enum figure f = 0; f < FIGURES && ok; f++)
				ok = add_row(r, i / LOADS, i % LOADS, placed, f);
	return ok && pinioni_report_print(r);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool
prepare(unsigned service, unsigned load)
{
	const struct service *s = &services[service];

	outcomes[service][load] = calloc(rounds_max, sizeof *outcomes[service][load]);
	(void)snprintf(names[service][load], sizeof names[0][0], "%s-%g", s->name, loads[load]);
	for (enum figure f = 0; f < FIGURES; f++)
		(void)snprintf(labels[service][load][f], sizeof labels[0][0][0], "%s%s at %g: %s",
		    f == 0 ? "" : "  ", s->label, loads[load], figures[f].label);
	return outcomes[service][load] != NULL;
}

static bool
measure(void)
{
	bool ok = true;

	for (unsigned i = 0; i < SERVICES * LOADS && ok; i++)
		ok = prepare(i / LOADS, i % LOADS);
	for (unsigned round = 0; round < rounds_max && ok; round++) {
		pinioni_kit_progress(&kit, round, rounds_max);
		for (unsigned i = 0; i < SERVICES * LOADS && ok; i++)
			ok = measure_segment(i / LOADS, i % LOADS, round);
		for (unsigned service = 0; service < SERVICES && ok; service++)
			find_shares(service, round);
	}
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "overload", "More requests than a bounded queue takes.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	rounds_max = (kit.options.rounds + ROUNDS_A_SEGMENT - 1) / ROUNDS_A_SEGMENT;
	ok = pinioni_cpus_pin(kit.cpus[CPU_NEAR]) && measure() && report_all(&report);
	for (unsigned i = 0; i < SERVICES * LOADS; i++)
		free(outcomes[i / LOADS][i % LOADS]);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
