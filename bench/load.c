/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load - how long requests take when they come at random, beside an ideal queue with as many servers.
 *
 *                      due ----> sent ---------------------------> answer seen
 *   near cpu  caller    |  late   |                                   |
 *   far cpu   worker    |         |     waits      |     service      |
 *                       |<------------------ sojourn ---------------->|
 *
 *   arrivals   Poisson, from a seeded generator. The loop is open: nobody waits for an answer to send the next. A
 *              sojourn counts from when a call was due, not from when the caller came to send it: late is shown
 *   exponential, bimodal (9 of 10 short, the tenth ten times as long)
 *              one worker, whose handler spins so long by the clock
 *   asleep     4 replicas of one request each, 200 microseconds in pinion_sleep: no core's speed decides, but how
 *              requests are dealt out, and how late a sleeper is woken; if its worker never sleeps, only the former
 *   ideal      one queue, first come first served, by the same arrivals and service times, reckoned
 *
 * Load      10 to 95 % of capacity: servers / mean service time, without what the runtime takes.
 * Ratio     Of p99 to the ideal's, segment by segment; the median.
 * Disturbed segments, in which caller and worker had to wait for a cpu, as the kernel counts it, are not used, nor are
 *           those in which the cpus were moved. How many were used is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/chance.h"
#include "bench/kit/median.h"
#include "bench/kit/rig.h"
#include "bench/kit/report.h"
#include "bench/kit/series.h"

enum {
	ARRIVALS = 500,       /* a segment: the more, the rarer is one that nothing disturbs */
	WARM_PART = 10,       /* a tenth of a segment is not counted: the queue is empty at first */
	ROUNDS_A_SEGMENT = 5, /* of --rounds: segments are long */
	COUNTED = ARRIVALS - ARRIVALS / WARM_PART,
	DISTURBED_PART = 100, /* caller and worker together waited that part of it for their cpus */
	CALLS_MAX = 1024, /* slots and cells: more than a segment's arrivals, so none is refused */
	SERVERS_MAX = 4,
	HARVEST = 16,
	LEAD_NS = 100000, /* until the first is due */
	LIMIT_S = 10,     /* without any answer, though some are due */
	LOADS = 7,
	LOAD_OF_BOUND = 80
};

static const unsigned loads[LOADS] = { 10, 30, 50, 70, 80, 90, 95 }; /* % */

enum shape {
	EXPONENTIAL,
	BIMODAL,
	CONSTANT
};

static const struct service {
	const char *label, *name;
	enum shape shape;
	unsigned servers; /* replicas of one request each */
	double mean_ns;
	const char *method, *idle; /* idle NULL: as the options say */
	double bound;              /* at LOAD_OF_BOUND */
} services[] = {
	{ "exponential 20 us", "exponential", EXPONENTIAL, 1, 20000, "spin", NULL, 0 },
	{ "bimodal 20 us", "bimodal", BIMODAL, 1, 20000, "spin", NULL, 0 },
	{ "4 asleep 200 us", "asleep", CONSTANT, 4, 200000, "sleep", NULL, 1.4 },
	{ "4 asleep, idle spin", "asleep-spin", CONSTANT, 4, 200000, "sleep", "spin", 1.4 },
};

enum {
	SERVICES = sizeof services / sizeof services[0]
};

static struct kit kit;

/* ---- handlers ------------------------------------------------------------------------------- */

/* So many ticks. */
static int
spin(void *replica, pinion_request *req)
{
	uint64_t start = ticks_now(), ticks = pinion_arg_u64(req, 1);

	(void)replica;
	while (ticks_now() - start < ticks)
		continue;
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

/* So many ns. */
static int
rest(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, (int64_t)pinion_arg_u64(req, 1));

	(void)replica;
	return err != 0 ? err : pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

#define NUMBER_AND_TIME \
	.params = PINION_PARAMS(PINION_U64("x"), PINION_U64("time")), .returns = PINION_RETURNS_U64

static const pinion_deployment server = {
	.name = "Server",
	.methods = PINION_METHODS(PINION_METHOD("spin", spin, NUMBER_AND_TIME),
	    PINION_METHOD("sleep", rest, NUMBER_AND_TIME), RIG_WAITED, RIG_WHERE),
};

/* ---- arrivals ------------------------------------------------------------------------------- */

/* One segment: what is to come, what came of it; ns. */
struct segment {
	double due[ARRIVALS], service[ARRIVALS]; /* from the start; how long */
	double sojourn[ARRIVALS], ideal[ARRIVALS], late[ARRIVALS];
	uint64_t waited_ns; /* caller and worker, for their cpus */
};

static double
service_time(uint64_t *state, const struct service *s)
{
	const double shorter = s->mean_ns / (0.9 + 0.1 * 10);

	if (s->shape == EXPONENTIAL)
		return chance_exponential(state, s->mean_ns);
	if (s->shape == BIMODAL)
		return chance_uniform(state) <= 0.9 ? shorter : 10 * shorter;
	return s->mean_ns;
}

static void
plan(struct segment *g, const struct service *s, unsigned load, uint64_t seed)
{
	double between = s->mean_ns / s->servers * 100 / load, at = LEAD_NS;

	for (unsigned i = 0; i < ARRIVALS; i++) {
		at += chance_exponential(&seed, between);
		g->due[i] = at;
		g->service[i] = service_time(&seed, s);
	}
}

/* One queue, first come first served. */
static void
reckon_ideal(struct segment *g, unsigned servers)
{
	double ready[SERVERS_MAX] = { 0 };

	for (unsigned i = 0; i < ARRIVALS; i++) {
		unsigned first = 0;

		for (unsigned k = 1; k < servers; k++)
			if (ready[k] < ready[first])
				first = k;
		if (ready[first] < g->due[i])
			ready[first] = g->due[i];
		ready[first] += g->service[i];
		g->ideal[i] = ready[first] - g->due[i];
	}
}

/* ---- a segment ------------------------------------------------------------------------------ */

struct run {
	struct segment *segment;
	pinion_port *port;
	pinion_handle server, to; /* to: the method */
	bool by_ticks;            /* the handler wants ticks, not ns */
	uint64_t start;
	unsigned sent, seen, wrong;
};

static double
since_start(const struct run *r)
{
	return (double)(ticks_now() - r->start) / kit.ticks.per_ns;
}

static void
send_one(struct run *r, double now)
{
	struct segment *g = r->segment;
	uint64_t i = r->sent++;
	double time = g->service[i] * (r->by_ticks ? kit.ticks.per_ns : 1);
	pinion_response response =
	    pinion_call_tagged(r->port, r->to, PINION_ARGS(i, (uint64_t)time), i);

	(void)response; /* comes back with its tag */
	g->late[i] = now - g->due[i];
}

static void
take_answers(struct run *r)
{
	pinion_finished finished[HARVEST];
	unsigned count = pinion_harvest(r->port, finished, HARVEST);
	double now = count == 0 ? 0 : since_start(r);

	for (unsigned k = 0; k < count; k++) {
		uint64_t i = finished[k].tag, got = 0;
		int err = pinion_result_on(r->port, finished[k].response, &got);

		pinion_release_on(r->port, finished[k].response);
		r->wrong += err != 0 || got != i + 1;
		r->segment->sojourn[i] = now - r->segment->due[i];
	}
	r->seen += count;
}

/* False: no answer for long. */
static bool
send_and_take(struct run *r)
{
	const struct segment *g = r->segment;
	unsigned seen = 0;
	double last = 0;

	r->start = ticks_now();
	while (r->seen < ARRIVALS) {
		double now = since_start(r);

		if (r->sent < ARRIVALS && now >= g->due[r->sent])
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
run_segment(struct segment *g, const struct service *s)
{
	const struct rig_app app =
	    RIG_APP(&server, .num_replicas = (int32_t)s->servers, .max_ongoing_requests = 1);
	struct run r = { .segment = g, .by_ticks = s->shape != CONSTANT };
	struct rig rig = { .name = "load" };
	uint64_t before = 0, after = 0;
	bool ok;

	ok = pinioni_cpus_free(kit.cpus) &&
	    pinioni_rig_start(&rig, &kit, "load", 1,
		(pinion_start_options){
		    .idle = s->idle, .slots = CALLS_MAX, .lane_cells = CALLS_MAX }) &&
	    pinioni_rig_run(&rig, &app, 0, &r.server) && pinioni_cpus_pin(kit.cpus[CPU_NEAR]);
	r.port = rig.port;
	if (ok)
		r.to = pinion_method_of(r.server, s->method);
	ok = ok && pinioni_rig_waited(&rig, r.server, &before) && send_and_take(&r) &&
	    pinioni_rig_waited(&rig, r.server, &after);
	g->waited_ns = after - before;
	if (!ok || r.wrong != 0)
		fprintf(stderr, "load: %s: %u of %u sent, %u answered, %u wrong\n", s->label,
		    r.sent, ARRIVALS, r.seen, r.wrong);
	pinioni_rig_stop(&rig);
	return ok && r.wrong == 0;
}

/* ---- what segments come to ------------------------------------------------------------------ */

enum figure {
	FIGURE_PINION,
	FIGURE_IDEAL,
	FIGURE_LATE,
	FIGURES
};

/* All segments of a service at a load. */
struct point {
	unsigned rounds;
	enum placement *placed;   /* one a round; PLACED_MIXED: moved, not used */
	bool *calm;               /* one a round: nothing disturbed it */
	double *ratio;            /* one a round: of p99 */
	double *figures[FIGURES]; /* COUNTED a round; ns */
	char label[FIGURES][48], name[32];
};

static struct point points[SERVICES][LOADS];
static unsigned rounds_max;

static bool
point_init(struct point *p, const struct service *s, unsigned load)
{
	bool ok = true;

	p->placed = calloc(rounds_max, sizeof *p->placed);
	p->calm = calloc(rounds_max, sizeof *p->calm);
	p->ratio = calloc(rounds_max, sizeof *p->ratio);
	for (enum figure f = 0; f < FIGURES; f++) {
		p->figures[f] = calloc(rounds_max, COUNTED * sizeof *p->figures[f]);
		ok = ok && p->figures[f] != NULL;
	}
	(void)snprintf(p->name, sizeof p->name, "%s-%u", s->name, load);
	(void)snprintf(p->label[FIGURE_PINION], sizeof p->label[0], "%s, at %u %%", s->label, load);
	(void)snprintf(p->label[FIGURE_IDEAL], sizeof p->label[0], "  ideal queue, at %u %%", load);
	(void)snprintf(p->label[FIGURE_LATE], sizeof p->label[0], "  sent late, at %u %%", load);
	return ok && p->placed != NULL && p->calm != NULL && p->ratio != NULL;
}

static void
point_deinit(struct point *p)
{
	free(p->placed);
	free(p->calm);
	free(p->ratio);
	for (enum figure f = 0; f < FIGURES; f++)
		free(p->figures[f]);
}

/* Its counted part, sorted. Returns its p99. */
static double
keep_figure(const struct point *p, enum figure f, const double *all)
{
	double *to = &p->figures[f][p->rounds * COUNTED];

	memcpy(to, &all[ARRIVALS - COUNTED], COUNTED * sizeof *to);
	median_sort(to, COUNTED);
	return quantile(to, COUNTED, 0.99);
}

static void
point_add(struct point *p, const struct segment *g, const double raw_ns[2])
{
	enum placement before = pinioni_placement_of(raw_ns[0]);
	enum placement after = pinioni_placement_of(raw_ns[1]);
	double pinion = keep_figure(p, FIGURE_PINION, g->sojourn);
	double ideal = keep_figure(p, FIGURE_IDEAL, g->ideal);

	(void)keep_figure(p, FIGURE_LATE, g->late);
	p->ratio[p->rounds] = pinion / ideal;
	p->calm[p->rounds] = (double)g->waited_ns <= g->due[ARRIVALS - 1] / DISTURBED_PART;
	p->placed[p->rounds++] = before == after ? after : PLACED_MIXED;
}

static bool
measure_segment(unsigned service, unsigned load, unsigned round)
{
	static struct segment g;
	const struct service *s = &services[service];
	double raw_ns[2] = { pinioni_kit_probe(&kit) };
	uint64_t seed = ((uint64_t)service << 16 | load) << 16 | round;

	plan(&g, s, loads[load], seed);
	reckon_ideal(&g, s->servers);
	if (!run_segment(&g, s))
		return false;
	raw_ns[1] = pinioni_kit_probe(&kit);
	if (raw_ns[0] == 0 || raw_ns[1] == 0) {
		fprintf(stderr, "load: the probe is not answered\n");
		return false;
	}
	point_add(&points[service][load], &g, raw_ns);
	return true;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool
is_used(const struct point *p, unsigned round, enum placement placed)
{
	return p->placed[round] == placed && p->calm[round];
}

/* Of the rounds that had the placement, undisturbed: `width` values each. Returns how many. */
static size_t
gather(const struct point *p, enum placement placed, const double *all, unsigned width, double *to)
{
	size_t count = 0;

	for (unsigned r = 0; r < p->rounds; r++)
		if (is_used(p, r, placed)) {
			memcpy(&to[count], &all[r * width], width * sizeof *to);
			count += width;
		}
	return count;
}

static const char *const systems[FIGURES] = {
	[FIGURE_PINION] = "pinion", [FIGURE_IDEAL] = "ideal", [FIGURE_LATE] = "generator"
};

/* What the rows of a point have in common is set. The value is the p99. */
static bool
add_figure(struct report *r, const struct point *p, enum placement placed, enum figure f,
    struct row row, double *room)
{
	size_t count = gather(p, placed, p->figures[f], COUNTED, room);

	row.name = p->label[f];
	row.system = systems[f];
	row.unit = "us";
	pinioni_row_fill(&row, room, count);
	row.value = row.p99 / pinioni_unit_ns(row.unit);
	return count == 0 || pinioni_report_add(r, &row);
}

/* The same ratio over all segments, those that were disturbed among them. */
static bool
add_unfiltered(
    struct report *r, const struct point *p, enum placement placed, struct row row, double *room)
{
	size_t count = 0;

	for (unsigned i = 0; i < p->rounds; i++)
		if (p->placed[i] == placed)
			room[count++] = p->ratio[i];
	median_sort(room, count);
	row.name = "the same, disturbed segments too";
	row.system = "pinion";
	row.unit = "times";
	row.against = p->label[FIGURE_IDEAL];
	row.rounds = (unsigned)count;
	row.samples = count;
	row.ratio = row.value = quantile(room, count, 0.5);
	return count == 0 || pinioni_report_add(r, &row);
}

static bool
add_rows(struct report *r, unsigned service, unsigned load, enum placement placed, double *room)
{
	const struct service *s = &services[service];
	const struct point *p = &points[service][load];
	struct row row = { .case_name = p->name,
		.placement = pinioni_placement_name(placed),
		.payload_bytes = 16,
		.rate = 1e9 / s->mean_ns * s->servers * loads[load] / 100 };
	struct row pinion = row;
	size_t rounds = gather(p, placed, p->ratio, 1, room);

	median_sort(room, rounds);
	pinion.ratio = quantile(room, rounds, 0.5);
	pinion.against = p->label[FIGURE_IDEAL];
	pinion.rounds = (unsigned)rounds;
	pinion.bound = loads[load] == LOAD_OF_BOUND ? s->bound : 0;
	return add_figure(r, p, placed, FIGURE_PINION, pinion, room) &&
	    add_figure(r, p, placed, FIGURE_IDEAL, row, room) &&
	    add_figure(r, p, placed, FIGURE_LATE, row, room) &&
	    (pinion.bound == 0 || add_unfiltered(r, p, placed, row, room));
}

/* So much of all segments is behind the other rows. */
static bool
add_used(struct report *r)
{
	struct row row = { .name = "segments that nothing disturbed",
		.case_name = "undisturbed",
		.system = "generator",
		.unit = "%" };
	unsigned used = 0;

	for (unsigned i = 0; i < SERVICES * LOADS; i++) {
		const struct point *p = &points[i / LOADS][i % LOADS];

		row.samples += p->rounds;
		for (unsigned k = 0; k < p->rounds; k++)
			used += p->placed[k] != PLACED_MIXED && p->calm[k];
	}
	row.value = 100.0 * used / (double)row.samples;
	return pinioni_report_add(r, &row);
}

static bool
report_all(struct report *r)
{
	double *room = calloc(rounds_max, COUNTED * sizeof *room);
	bool ok = room != NULL && add_used(r);

	for (enum placement placed = 0; placed < PLACED_MIXED; placed++)
		for (unsigned service = 0; service < SERVICES; service++)
			for (unsigned load = 0; load < LOADS && ok; load++)
				ok = add_rows(r, service, load, placed, room);
	free(room);
	return ok && pinioni_report_print(r);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool
measure(void)
{
	bool ok = true;

	for (unsigned service = 0; service < SERVICES && ok; service++)
		for (unsigned load = 0; load < LOADS && ok; load++)
			ok = point_init(&points[service][load], &services[service], loads[load]);
	for (unsigned round = 0; round < rounds_max; round++)
		for (unsigned service = 0; service < SERVICES; service++)
			for (unsigned load = 0; load < LOADS && ok; load++) {
				pinioni_kit_progress(&kit, round, rounds_max);
				ok = measure_segment(service, load, round);
			}
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "load", "Requests that come at random, beside an ideal queue.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	rounds_max = (kit.options.rounds + ROUNDS_A_SEGMENT - 1) / ROUNDS_A_SEGMENT;
	ok = pinioni_cpus_pin(kit.cpus[CPU_NEAR]) && measure() && report_all(&report);
	for (unsigned i = 0; i < SERVICES * LOADS; i++)
		point_deinit(&points[i / LOADS][i % LOADS]);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
