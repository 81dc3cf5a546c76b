/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trading - how long a tick takes through the desk of examples/trading, at several rates, beside the same functions
 * called one after the other by the thread that has the ticks.
 *
 *   both       an open loop: a tick's time counts from when it is due. What each decided is compared
 *   pinion     four stages on one worker; Risk in batches, whose fixed cost of 1 us is paid once for what waits
 *   one thread pays it for every tick, and nothing for handing on
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/kit.h"
#include "bench/kit/report.h"
#include "examples/trading/session.h"

enum {
	TICKS_A_ROUND = 100,
	SYMBOLS = 64,
	RATES = 4
};

static const uint32_t rates[RATES] = { 5000, 50000, 200000, 500000 };

static struct kit kit;
static struct session session;
static struct plain_desk plain;
static char labels[RATES][2][48], cases[RATES][16];

/* Every tick when it is due. False: one was decided otherwise than by the stages. */
static bool
run_plain(const struct feed *feed, double *ns)
{
	int64_t start = desk_now();
	size_t wrong = 0;

	for (size_t i = 0; i < feed->count; i++) {
		int64_t due = start + feed->ticks[i].at_ns;
		struct quote q;

		while (desk_now() < due)
			continue;
		desk_plain(&plain, &feed->ticks[i], &q);
		ns[i] = (double)(desk_now() - due);
		wrong += session.trades[i].quote.verdict != q.verdict ||
		    session.trades[i].quote.price != q.price;
	}
	if (wrong != 0)
		fprintf(stderr, "trading: %zu ticks were decided otherwise\n", wrong);
	return wrong == 0;
}

static bool
run_stages(const struct feed *feed, double *ns)
{
	const struct session_options options = { .speed = 1 };

	if (session_run(&session, feed, &options) != 0)
		return false;
	for (size_t i = 0; i < feed->count; i++)
		ns[i] = (double)(session.trades[i].done_ns - session.trades[i].due_ns);
	return true;
}

static bool
add(struct report *r, unsigned at, bool is_pinion, double *ns, size_t count)
{
	char *label = labels[at][is_pinion];
	struct row row = { .name = label,
		.case_name = cases[at],
		.system = is_pinion ? "pinion" : "one-thread",
		.unit = "us" };

	(void)snprintf(cases[at], sizeof cases[at], "%u", rates[at]);
	(void)snprintf(label, sizeof labels[at][0], "%s, %u ticks a second",
	    is_pinion ? "four stages" : "  one thread", rates[at]);
	pinioni_row_fill(&row, ns, count);
	row.rate = rates[at];
	return pinioni_report_add(r, &row);
}

static bool
measure(struct report *r, unsigned at, size_t ticks)
{
	const struct feed_shape shape = {
		.seed = at + 1, .ticks = ticks, .symbols = SYMBOLS, .rate = rates[at]
	};
	double *ns = calloc(2 * ticks, sizeof *ns);
	struct feed feed = { NULL, 0 };
	bool ok = ns != NULL && feed_make(&feed, &shape) == 0 && run_stages(&feed, ns) &&
	    run_plain(&feed, ns + ticks) && add(r, at, true, ns, ticks) &&
	    add(r, at, false, ns + ticks, ticks);

	feed_free(&feed);
	free(ns);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "trading", "Ticks through four stages, beside one thread.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = session_open(&session, 1) == 0;
	if (!ok)
		fprintf(stderr, "trading: %s\n", session.why);
	ok = ok && pinioni_cpus_pin(kit.cpus[CPU_NEAR]);
	for (unsigned i = 0; i < RATES && ok; i++) {
		pinioni_kit_progress(&kit, i, RATES);
		ok = measure(&report, i, (size_t)kit.options.rounds * TICKS_A_ROUND);
	}
	ok = ok && pinioni_report_print(&report);
	pinioni_report_free(&report);
	session_close(&session);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
