/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hiccup - how often, and for how long, the machine takes a cpu away: what in other figures is not ours.
 *
 *   near, far   read the clock, read the clock, read the clock ......... read the clock
 *                                              |<- a gap above 1 us ->|
 *
 * Both cpus at once, as when something is measured: what the kernel has to do cannot go to the other one.
 * Percentiles are of the gaps; the value is the share of the time that they took, the
 * rate how many there are a second.
 *
 * Before    --before NAME: rows as program NAME's own, of what the machine was like when that began. bench/run.sh
 *           takes such a sample before each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/report.h"

enum {
	GAP_NS = 1000, /* an interrupt that does little takes as long */
	SPIN_MS = 2000,
	SPIN_QUICK_MS = 200,
	SPIN_MAX_MS = 60000,
	GAPS_MAX = 1 << 18 /* then the cpu is hardly ours, and the time is over */
};

struct spin {
	const struct kit *kit;
	size_t count;
	uint64_t ticks; /* all of them */
	uint64_t gaps[GAPS_MAX];
};

static struct told {
	unsigned ms;        /* 0: SPIN_MS, SPIN_QUICK_MS */
	const char *before; /* NULL: it is not a sample */
} told;
static struct kit kit;
static struct spin spins[CPUS] = { { .kit = &kit }, { .kit = &kit } };

static void
spin(void *arg)
{
	struct spin *s = arg;
	const double per_ms = s->kit->ticks.per_ns * 1e6;
	const unsigned ms = told.ms != 0 ? told.ms
	    : s->kit->options.quick      ? SPIN_QUICK_MS
					 : SPIN_MS;
	const uint64_t limit = (uint64_t)(per_ms * ms);
	const uint64_t gap = (uint64_t)(per_ms * GAP_NS / 1e6);
	uint64_t start = ticks_now(), before = start, now = start;

	while (now - start < limit && s->count < GAPS_MAX) {
		now = ticks_now();
		if (now - before > gap)
			s->gaps[s->count++] = now - before;
		before = now;
	}
	s->ticks = now - start;
}

static bool
add_row(struct report *r, enum cpus cpu)
{
	static const struct {
		const char *name, *case_name, *name_before, *case_before;
	} texts[CPUS] = {
		[CPU_NEAR] = { "near cpu, gaps above 1 us", "gaps",
		    "machine before: gaps, near cpu", "hiccup-near" },
		[CPU_FAR] = { "far cpu, gaps above 1 us", "gaps", "machine before: gaps, far cpu",
		    "hiccup-far" },
	};
	const struct spin *s = &spins[cpu];
	double *ns = calloc(s->count + 1, sizeof *ns), lost = 0;
	struct row row = { .bench = told.before,
		.name = told.before == NULL ? texts[cpu].name : texts[cpu].name_before,
		.case_name = told.before == NULL ? texts[cpu].case_name : texts[cpu].case_before,
		.system = "machine",
		.unit = "%" };
	bool ok = ns != NULL;

	for (size_t i = 0; i < s->count && ok; i++) {
		ns[i] = (double)s->gaps[i] / kit.ticks.per_ns;
		lost += (double)s->gaps[i];
	}
	if (ok) {
		pinioni_row_fill(&row, ns, s->count);
		row.value = 100 * lost / (double)s->ticks;
		row.rate = (double)s->count * 1e9 * kit.ticks.per_ns / (double)s->ticks;
		ok = pinioni_report_add(r, &row);
	}
	free(ns);
	return ok;
}

static bool
measure(struct report *r)
{
	memset(spins[CPU_NEAR].gaps, 1, sizeof spins[CPU_NEAR].gaps); /* faults are not gaps */
	memset(spins[CPU_FAR].gaps, 1, sizeof spins[CPU_FAR].gaps);
	pinioni_far_begin(&kit.far, spin, &spins[CPU_FAR]);
	spin(&spins[CPU_NEAR]);
	pinioni_far_end(&kit.far);
	return add_row(r, CPU_NEAR) && add_row(r, CPU_FAR) && pinioni_report_print(r);
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	char *end;

	switch (key) {
	case 'b':
		told.before = arg;
		return 0;
	case 'm':
		told.ms = (unsigned)strtoul(arg, &end, 10);
		if (*end != '\0' || told.ms == 0 || told.ms > SPIN_MAX_MS)
			argp_error(state, "ms: 1 to %d", SPIN_MAX_MS);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "ms", 'm', "N", 0, "How long it spins (2000; 200 with --quick)", 0 },
	{ "before", 'b', "NAME", 0, "Rows as the program's of that name, which is run next", 0 },
	{ 0 },
};
static const struct argp parser = { .options = options, .parser = parse };

int
main(int argc, char **argv)
{
	const struct options_own own = { .parser = &parser };
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start_told(&kit,
	    &(struct kit_program){ .name = "hiccup",
		.doc = "Gaps that a spinning thread sees on each cpu.",
		.options = &own },
	    argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_cpus_pin(kit.cpus[CPU_NEAR]) && measure(&report);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
