/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor - what nothing that crosses cores and comes back can be quicker than, and what timing it costs.
 */
#include <stdlib.h>

#include "bench/kit/suite.h"

static struct kit kit;

/* Around nothing. */
static bool
add_empty(struct report *r)
{
	return pinioni_report_add(r,
	    &(struct row){ .name = "timing around nothing",
		.case_name = "empty",
		.system = "floor",
		.samples = 4096,
		.value = r->kit->ticks.empty_ns,
		.unit = "ns" });
}

int
main(int argc, char **argv)
{
	const struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		{ .name = "the same, polled without a pause",
		    .case_name = "tight",
		    .system = "floor",
		    .turn = pinioni_kit_floor_tight,
		    .arg = &kit },
		SYSTEM_RAW_PAIR(&kit),
	};
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "floor", "Round trips of two cache lines between two cpus.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = add_empty(&report) &&
	    pinioni_suite_run(&report, systems, sizeof systems / sizeof systems[0]) &&
	    pinioni_report_print(&report);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
