/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peers - a request and its answer by other means, in turns with the floor and with Pinion.
 *
 *   near cpu   send, receive, check     far cpu   the kit's far thread serves, or the peer's own threads
 *
 * Work      The same for all: the request has its number in the first word and, if it is longer, a hash of that in
 *           the last; the answer is the number and one, the rest as it came. Each answer is checked.
 * Pipelined As many requests outstanding as the window has, refilled by 8: one at a time each side takes the
 *           other's lines with every message, and the quickest halve their rate. The ratio is of rates, to the raw
 *           lane pair's.
 * Turns     A peer is started before its turn and stopped after it, with its threads and servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/suite.h"
#include "bench/peers/choice.h"
#include "bench/peers/peer.h"
#include "bench/peers/pinion.h"

enum {
	LIMIT_MS = 5000, /* that one wait may take: a machine under load stands still meanwhile */
	REFILL = 8,      /* answers between two refills; divides every window */
	NAME_ROOM = 64
};

static struct kit kit;
static struct choice choice;

/* A peer with one payload and one window. */
struct run {
	const struct peer *peer;
	struct peer_setup setup;
	unsigned window;
	char label[NAME_ROOM], case_name[NAME_ROOM];
	void *started;
	uint64_t count; /* requests of this turn */
	bool broken;    /* in this turn */
	uint64_t request[PEER_WORDS_MAX], answer[PEER_WORDS_MAX];
};

/* Measured whoever is chosen. The first is what pipelined rates are ratios to. */
enum always {
	LANES,
	PINION_NUMBER,
	PINION_BYTES,
	ALWAYS
};

static struct peer_setup
setup_of(uint32_t bytes)
{
	return (struct peer_setup){ .bytes = bytes,
		.steps = kit.polls.steps,
		.limit = (uint64_t)(LIMIT_MS * 1e6 * kit.ticks.per_ns),
		.limit_ms = LIMIT_MS,
		.near_cpu = kit.cpus[CPU_NEAR],
		.far_cpu = kit.cpus[CPU_FAR] };
}

/* ---- requests ------------------------------------------------------------------------------- */

/* Of numbers that follow one another no two have the same: the multiplier is odd. */
static uint64_t
hash(uint64_t i)
{
	return i * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
send(struct run *r, uint64_t i)
{
	r->request[r->setup.bytes / 8 - 1] = hash(i);
	r->request[0] = i; /* the only word of 8 bytes */
	return r->peer->send(r->started, r->request);
}

/* The answer to i, if nothing broke before. */
static bool
receive(struct run *r, uint64_t i)
{
	uint32_t last = r->setup.bytes / 8 - 1;

	r->broken = r->broken || !r->peer->receive(r->started, r->answer);
	return !r->broken && r->answer[0] == i + 1 && (last == 0 || r->answer[last] == hash(i));
}

static bool
echo(void *run, uint64_t i)
{
	struct run *r = run;

	r->broken = r->broken || !send(r, i);
	return receive(r, i);
}

/* The answer to i; behind every few of them as many requests. */
static bool
pipelined(void *run, uint64_t i)
{
	struct run *r = run;
	uint64_t next = i == 0 ? 0 : i + r->window - REFILL;
	uint64_t end = i % REFILL != 0 ? next : i + r->window;

	while (next < end && next < r->count && !r->broken)
		r->broken = !send(r, next++);
	return receive(r, i);
}

/* ---- turns ---------------------------------------------------------------------------------- */

/* Its threads may run on both cpus, as any program's. */
static bool
begin(void *run)
{
	struct run *r = run;

	if (!pinioni_cpus_free(kit.cpus))
		return false;
	r->started = r->peer->start(&r->setup);
	r->broken = false;
	return pinioni_cpus_pin(kit.cpus[CPU_NEAR]) && r->started != NULL;
}

static void
end(void *run)
{
	struct run *r = run;

	r->peer->stop(r->started);
}

static void
serve(void *run)
{
	struct run *r = run;

	r->peer->serve(r->started, r->count);
}

static bool
turn(void *run, struct turn *t)
{
	struct run *r = run;

	r->count = turn_calls(&t->size);
	if (r->peer->serve != NULL)
		pinioni_far_begin(&kit.far, serve, r);
	turn_drive(t, r->window == 1 ? echo : pipelined, r);
	if (r->peer->serve != NULL)
		pinioni_far_end(&kit.far);
	return true;
}

/* ---- systems -------------------------------------------------------------------------------- */

struct table {
	struct system *systems;
	struct run *runs;
	unsigned system_count, run_count;
};

/* False: no memory. The runs stay where they are. */
static bool
table_init(struct table *t, unsigned room)
{
	*t = (struct table){ .system_count = 0 };
	t->systems = calloc(room, sizeof *t->systems);
	t->runs = calloc(room, sizeof *t->runs);
	return t->systems != NULL && t->runs != NULL;
}

static void
table_free(struct table *t)
{
	free(t->systems);
	free(t->runs);
}

/* Pipelined when window is not 1; against: the system of the same kind that its ratio is to. */
static void
table_add(struct table *t, const struct peer *p, uint32_t bytes, unsigned window, unsigned against)
{
	struct run *r = &t->runs[t->run_count++];
	char payload[16] = "", outstanding[16] = "";

	r->peer = p;
	r->window = window;
	r->setup = setup_of(bytes);
	if (bytes != 8)
		(void)snprintf(payload, sizeof payload, ", %u bytes", bytes);
	if (window != 1)
		(void)snprintf(outstanding, sizeof outstanding, " x%u", window);
	(void)snprintf(r->label, sizeof r->label, "%.32s%s%s", p->name, outstanding, payload);
	(void)snprintf(
	    r->case_name, sizeof r->case_name, window == 1 ? "echo" : "pipelined-%u", window);
	t->systems[t->system_count++] = (struct system){ .name = r->label,
		.case_name = r->case_name,
		.system = p->name,
		.payload_bytes = bytes,
		.pace = window == 1 ? p->pace : CALLS_PIPED_SLOW,
		.is_rate = window != 1,
		.against = against,
		.begin = begin,
		.turn = turn,
		.end = end,
		.arg = r };
}

/* Whether it is wanted, and starts at all, here and now. */
static bool
is_measured(const struct peer *p)
{
	struct run trial = { .peer = p, .setup = setup_of(p->bytes == 0 ? 8 : p->bytes) };

	if (!pinioni_choice_has(&choice, p->name))
		return false;
	if (begin(&trial)) {
		end(&trial);
		return true;
	}
	fprintf(stderr, "%s: left out: %s, which does not start\n", kit.bench, p->name);
	return false;
}

/* Those that are measured, of all lists: behind what is there whoever is chosen. NULL: no memory. */
static const struct peer **
peers_choose(unsigned *count)
{
	const struct peer **chosen;
	unsigned room = 0;

	for (unsigned i = 0; pinioni_peers_built[i] != NULL; i++)
		for (const struct peer *p = pinioni_peers_built[i]; p->name != NULL; p++)
			room++;
	chosen = calloc(room + ALWAYS, sizeof *chosen);
	if (chosen == NULL)
		return NULL;
	chosen[LANES] = &pinioni_peers_lanes[0];
	chosen[PINION_NUMBER] = &pinioni_peers_pinion[0];
	chosen[PINION_BYTES] = &pinioni_peers_pinion[1];
	*count = ALWAYS;
	for (unsigned i = 0; pinioni_peers_built[i] != NULL; i++)
		for (const struct peer *p = pinioni_peers_built[i]; p->name != NULL; p++)
			if (is_measured(p))
				chosen[(*count)++] = p;
	return chosen;
}

/* One request at a time or pipelined: each peer that can, with each payload. */
static void
table_fill(struct table *t, const struct peer *const *peers, unsigned count, bool is_pipelined)
{
	unsigned first = t->system_count;

	for (unsigned b = 0; b < choice.payload_count; b++)
		for (unsigned i = 0; i < count; i++) {
			const struct peer *p = peers[i];
			uint32_t bytes = choice.payloads[b];

			if ((p->bytes == 0 || p->bytes == bytes) &&
			    (!is_pipelined || p->window > 1))
				table_add(t, p, bytes, is_pipelined ? p->window : 1,
				    is_pipelined ? first : 0);
		}
}

/* ---- the bounds ----------------------------------------------------------------------------- */

/* Of whom and what the best is looked for. */
struct wanted {
	unsigned bytes;
	bool is_rate;
	bool (*is_of)(const struct row *row);
};

static bool
is_better(const struct row *row, const struct row *than)
{
	return than == NULL || (row->is_rate ? row->rate > than->rate : row->value < than->value);
}

/* NULL: there is none. */
static const struct row *
best_of(const struct report *r, const void *wanted, const char *placement)
{
	const struct wanted *w = wanted;
	const struct row *best = NULL;

	for (unsigned i = 0; i < r->count; i++) {
		const struct row *row = &r->rows[i];

		if (row->is_rate == w->is_rate && row->payload_bytes == w->bytes && w->is_of(row) &&
		    strcmp(row->placement, placement) == 0 && is_better(row, best))
			best = row;
	}
	return best;
}

static bool
is_pinion(const struct row *row)
{
	return strcmp(row->system, pinioni_peers_pinion[0].name) == 0 ||
	    strcmp(row->system, pinioni_peers_pinion[1].name) == 0;
}

/* As its peers are asked: a number is ours alone. */
static bool
is_pinion_by_bytes(const struct row *row)
{
	return strcmp(row->system, pinioni_peers_pinion[1].name) == 0;
}

static const struct peer *
peer_of(const struct row *row)
{
	for (unsigned i = 0; pinioni_peers_built[i] != NULL; i++)
		for (const struct peer *p = pinioni_peers_built[i]; p->name != NULL; p++)
			if (strcmp(row->system, p->name) == 0)
				return p;
	return NULL;
}

static bool
is_peer(const struct row *row)
{
	return peer_of(row) != NULL;
}

static bool
is_answered(const struct row *row)
{
	const struct peer *p = peer_of(row);

	return p != NULL && p->has_answers;
}

static void
compare(struct row *row, const struct row *ours, const struct row *best)
{
	row->is_rate = ours->is_rate;
	row->against = best->name;
	row->value = ours->is_rate ? ours->rate / best->rate : ours->value / best->value;
	row->ratio = row->value;
}

/* Ours against theirs. False: no memory. */
static bool
add_bound(struct report *r, const struct wanted *ours, const struct wanted *theirs, struct row row)
{
	const struct derived bound = {
		.choose = best_of, .of = ours, .from = theirs, .compute = compare, .row = row
	};

	return pinioni_report_derive(r, &bound);
}

/* One at a time Pinion is to take no longer than the quickest of all; pipelined, to answer more requests a second
 * than any that answers requests. */
static bool
add_bounds(struct report *r)
{
	struct row row = { .name = "Pinion to the quickest of all",
		.case_name = "echo-bound",
		.system = "pinion",
		.unit = "times",
		.bound = 1 };
	struct wanted ours = { .is_of = is_pinion }, theirs = { .is_of = is_peer };
	bool ok = true;

	for (unsigned b = 0; b < choice.payload_count && ok; b++) {
		ours.bytes = theirs.bytes = choice.payloads[b];
		ok = add_bound(r, &ours, &theirs, row);
	}
	row.name = "Pinion x32 to the best that answers";
	row.case_name = "pipelined-bound";
	ours = (struct wanted){ 8, true, is_pinion_by_bytes };
	theirs = (struct wanted){ 8, true, is_answered };
	return ok && add_bound(r, &ours, &theirs, row);
}

/* ---- all ------------------------------------------------------------------------------------ */

static void
say_absent(void)
{
	for (const struct peer_absent *a = pinioni_peers_absent; a->name != NULL; a++)
		fprintf(stderr, "%s: left out: %s, which wants %s\n", kit.bench, a->name, a->wants);
}

static bool
measure(struct report *report)
{
	unsigned count = 0;
	const struct peer **peers = peers_choose(&count);
	struct table t = { .systems = NULL };
	bool ok = peers != NULL && table_init(&t, 2 + 2 * CHOICE_PAYLOADS * count);

	say_absent();
	if (ok) {
		t.systems[t.system_count++] = (struct system)SYSTEM_FLOOR(&kit);
		t.systems[t.system_count++] = (struct system)SYSTEM_RAW_PAIR(&kit);
		table_fill(&t, peers, count, false);
		table_fill(&t, peers, count, true);
		ok = pinioni_suite_run(report, t.systems, t.system_count) && add_bounds(report) &&
		    pinioni_report_print(report);
	}
	table_free(&t);
	free(peers);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code;
	bool ok;

	pinioni_choice_init(&choice);
	code = pinioni_kit_start_told(&kit,
	    &(struct kit_program){ .name = "peers",
		.doc =
		    "A request and its answer by other means, in turns with the floor and Pinion.",
		.options = &choice.own },
	    argc, argv);
	if (code != 0)
		return code;
	if (kit.options.quick)
		choice.payload_count = 1;
	ok = pinioni_pinion_begin(&kit) && measure(&report);
	pinioni_report_free(&report);
	pinioni_pinion_end();
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
