/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/suite.c - the rounds, and what they come to.
 */
#include "bench/kit/suite.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/hgrm.h"

static const struct turn_size sizes[] = {
	[CALLS_NS] = { .warm = 256, .blocks = 16, .block_calls = 64, .singles = 1024 },
	[CALLS_US] = { .warm = 32, .blocks = 8, .block_calls = 16, .singles = 64 },
	[CALLS_SLOW] = { .warm = 8, .blocks = 4, .block_calls = 4, .singles = 16 },
	[CALLS_PIPED] = { .warm = 1024, .blocks = 16, .block_calls = 1024 },
	[CALLS_CROWD] = { .warm = 4096, .blocks = 4, .block_calls = 32768 },
	[CALLS_PIPED_SLOW] = { .warm = 256, .blocks = 8, .block_calls = 256 },
};

static bool
take_turn(struct kit *k, const struct system *s, struct series *series, double raw_ns[2])
{
	struct turn t = { .size = sizes[s->pace] };
	bool ok = s->begin == NULL || s->begin(s->arg);

	if (ok) {
		ok = s->turn(s->arg, &t);
		if (s->end != NULL)
			s->end(s->arg);
	}
	if (!ok || t.wrong != 0) {
		fprintf(stderr, "%s: %s: %s\n", k->bench, s->name,
		    ok ? "wrong answers" : "it does not run");
		return false;
	}
	raw_ns[1] = pinioni_kit_probe(k);
	if (raw_ns[1] == 0) {
		fprintf(stderr, "%s: the probe is not answered\n", k->bench);
		return false;
	}
	pinioni_series_add(series, &t, raw_ns, k->ticks.per_ns);
	raw_ns[0] = raw_ns[1];
	return true;
}

static bool
run_rounds(struct kit *k, const struct system *systems, struct series *series, unsigned count)
{
	for (unsigned round = 0; round < k->options.rounds; round++) {
		double raw_ns[2] = { pinioni_kit_probe(k) };

		pinioni_kit_progress(k, round, k->options.rounds);
		for (unsigned i = 0; i < count; i++)
			if (!take_turn(k, &systems[i], &series[i], raw_ns))
				return false;
	}
	return true;
}

static bool
add_row(struct report *r, const struct system *s, const char *against, const struct summary *sum,
    enum placement p)
{
	struct row row = { .name = s->name,
		.case_name = s->case_name,
		.system = s->system,
		.placement = pinioni_placement_name(p),
		.payload_bytes = s->payload_bytes,
		.samples = sum->singles != 0 ? sum->singles : sum->blocks,
		.value = sum->middle_ns,
		.unit = "ns",
		.p50 = sum->p50,
		.p99 = sum->p99,
		.p999 = sum->p999,
		.p9999 = sum->p9999,
		.p999_block = sum->p999_block,
		.max = sum->max,
		.each = s->parts == 0 ? 0 : sum->middle_ns / s->parts,
		.rate = 1e9 / sum->middle_ns,
		.ratio = sum->ratio,
		.against = against,
		.rounds = sum->rounds,
		.bound = s->bound };

	if (s->is_rate) {
		row.is_rate = true;
		row.value = (row.rate < 1e6 ? 1e6 : 1e3) / sum->middle_ns;
		row.unit = row.rate < 1e6 ? "k/s" : "M/s";
		row.ratio = sum->ratio == 0 ? 0 : 1 / sum->ratio;
		row.p50 = row.p99 = row.p999 = row.p9999 = row.max = row.p999_block = 0;
	}
	return pinioni_report_add(r, &row);
}

/* False: no memory, or the file could not be written. */
static bool
write_hgrm(
    const struct kit *k, const struct system *s, const struct series *series, enum placement p)
{
	const struct hgrm_name name = { .bench = k->bench,
		.case_name = s->case_name,
		.system = s->system,
		.placement = pinioni_placement_name(p),
		.payload_bytes = s->payload_bytes };
	double *ns = calloc((size_t)series->rounds * series->size.singles + 1, sizeof *ns);
	size_t count = ns == NULL ? 0 : pinioni_series_singles(series, p, ns);
	bool ok =
	    ns != NULL && (count == 0 || pinioni_hgrm_write(k->options.hgrm, &name, ns, count));

	free(ns);
	return ok;
}

static bool
add_rows(
    struct report *r, const struct system *systems, const struct series *series, unsigned count)
{
	bool ok = true;

	for (enum placement p = 0; p < PLACED_MIXED; p++)
		for (unsigned i = 0; i < count && ok; i++) {
			struct summary sum;

			ok = pinioni_series_summarise(
			    &series[i], &series[systems[i].against], p, &sum);
			if (ok && sum.blocks != 0)
				ok = add_row(
				    r, &systems[i], systems[systems[i].against].name, &sum, p);
			if (ok && sum.singles != 0 && !systems[i].is_rate &&
			    r->kit->options.hgrm != NULL)
				ok = write_hgrm(r->kit, &systems[i], &series[i], p);
		}
	return ok;
}

bool
pinioni_suite_run(struct report *r, const struct system *systems, unsigned count)
{
	struct series *series = calloc(count, sizeof *series);
	bool ok = series != NULL && pinioni_cpus_pin(r->kit->cpus[CPU_NEAR]);

	for (unsigned i = 0; i < count && ok; i++)
		ok = pinioni_series_init(
		    &series[i], &sizes[systems[i].pace], r->kit->options.rounds);
	ok =
	    ok && run_rounds(r->kit, systems, series, count) && add_rows(r, systems, series, count);
	for (unsigned i = 0; i < count && series != NULL; i++)
		pinioni_series_deinit(&series[i]);
	free(series);
	return ok;
}
