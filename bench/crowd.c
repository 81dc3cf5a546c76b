/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd - what a chain costs when its workers and its caller outnumber the cpus.
 *
 *   two cpus    caller -> worker 0 -> ... -> worker n - 1 -> caller      n = 1: a cpu each; 2, 3: too few
 *
 * Why       Who spins on a shared cpu holds up the one it waits for, and who sleeps at once has to be woken:
 *           this shows what adaptive waiting makes of both.
 * Method    Rounds of each number in turn; the other runtimes sleep. A chain is submitted whole, with one
 *           stage a worker, and timed until its last result is read. What the process used of the cpus is
 *           counted beside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench/kit/chain.h"
#include "bench/kit/report.h"
#include "bench/kit/rig.h"

enum {
	WORKERS_MAX = 3,
	ROUND_WARM = 64, /* chains; the first wakes who sleeps */
	ROUND_CHAINS = 256
};

struct crowd {
	unsigned workers;
	struct rig rig;
	struct chain chain; /* a stage a worker */
	double *ns;         /* each chain */
	size_t count;
	double used_us, took_us; /* of the process, in all rounds */
};

/* ---- start ---------------------------------------------------------------------------------- */

static bool
start(struct crowd *c, const struct kit *k)
{
	static const char *const names[WORKERS_MAX] = { "crowd-1", "crowd-2", "crowd-3" };
	bool ok = pinioni_rig_start(&c->rig, k, names[c->workers - 1], c->workers,
	    (pinion_start_options){ .idle = k->options.idle });

	for (unsigned w = 0; w < c->workers && ok; w++)
		ok = pinioni_rig_run(&c->rig, &pinioni_rig_number_app, w, &c->chain.to[w]);
	c->chain.port = c->rig.port;
	c->chain.stages = c->chain.handles = c->workers;
	c->ns = ok ? malloc((size_t)k->options.rounds * ROUND_CHAINS * sizeof *c->ns) : NULL;
	return c->ns != NULL;
}

static void
stop(struct crowd *c)
{
	pinioni_rig_stop(&c->rig);
	free(c->ns);
}

/* ---- rounds --------------------------------------------------------------------------------- */

static double
used_us(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail with this pointer */
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static bool
make_round(struct crowd *c)
{
	double used = 0;
	uint64_t start_ns = 0;
	bool right = true;

	for (uint64_t i = 0; i < ROUND_WARM + ROUND_CHAINS; i++) {
		uint64_t before = ticks_monotonic_ns();

		if (i == ROUND_WARM) {
			used = used_us();
			start_ns = before = ticks_monotonic_ns();
		}
		right = pinioni_chain_at_once(&c->chain, i) && right;
		if (i >= ROUND_WARM)
			c->ns[c->count++] = (double)(ticks_monotonic_ns() - before);
	}
	c->took_us += (double)(ticks_monotonic_ns() - start_ns) / 1e3;
	c->used_us += used_us() - used;
	return right;
}

/* The chains of one, and what they used. */
static bool
add_rows(struct report *r, struct crowd *c)
{
	static const char *const names[WORKERS_MAX][2] = {
		{ "chain through 1 worker", "used by it, of a cpu" },
		{ "chain through 2 workers", "used by them, of a cpu" },
		{ "chain through 3 workers", "used by them, of a cpu" },
	};
	static const char *const cases[WORKERS_MAX][2] = { { "chain-1", "used-1" },
		{ "chain-2", "used-2" }, { "chain-3", "used-3" } };
	unsigned at = c->workers - 1;
	struct row row = { .name = names[at][0],
		.case_name = cases[at][0],
		.system = "pinion",
		.payload_bytes = 8,
		.unit = "us" };
	struct row used = { .name = names[at][1],
		.case_name = cases[at][1],
		.system = "pinion",
		.samples = c->count,
		.value = 100 * c->used_us / c->took_us,
		.unit = "%" };

	pinioni_row_fill(&row, c->ns, c->count);
	return pinioni_report_add(r, &row) && pinioni_report_add(r, &used);
}

static bool
measure(struct crowd crowds[WORKERS_MAX], struct report *r)
{
	const struct options *o = &r->kit->options;
	bool ok = true;

	for (unsigned k = 0; k < o->rounds && ok; k++)
		for (unsigned i = 0; i < WORKERS_MAX && ok; i++) {
			ok = make_round(&crowds[i]);
			pinioni_rig_sleep(&crowds[i].rig);
		}
	if (!ok)
		fprintf(stderr, "crowd: wrong answers\n");
	for (unsigned i = 0; i < WORKERS_MAX && ok; i++)
		ok = add_rows(r, &crowds[i]);
	return ok && pinioni_report_print(r);
}

int
main(int argc, char **argv)
{
	static struct kit kit;
	struct crowd crowds[WORKERS_MAX] = { { .workers = 1 }, { .workers = 2 }, { .workers = 3 } };
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "crowd", "Chains whose workers and caller outnumber two cpus.", argc, argv);
	bool ok = true;

	if (code != 0)
		return code;
	for (unsigned i = 0; i < WORKERS_MAX && ok; i++) {
		ok = start(&crowds[i], &kit);
		if (ok)
			pinioni_rig_sleep(&crowds[i].rig);
	}
	ok = ok && measure(crowds, &report);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		stop(&crowds[i]);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
