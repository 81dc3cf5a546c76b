/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local - calls and chains that stay on one worker: made, run and timed by its handlers.
 *
 *   far cpu   worker:  conductor --call--> answer      --call--> answer --forwarded--> answer ...
 */
#include <stdlib.h>

#include "bench/kit/chain.h"
#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

static struct kit kit;
static struct rig rig;

static void
drive(void *arg, struct turn *t)
{
	turn_drive(t, pinioni_chain_at_once, arg);
}

static bool
turn_chain(void *arg, struct turn *t)
{
	return pinioni_rig_perform(&rig, 0, drive, arg, t);
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

#define CHAIN(label, case_, chain, ...) \
	{ \
		.name = (label), .case_name = (case_), .system = "pinion", .payload_bytes = 8, \
		.turn = turn_chain, .end = end, .arg = (chain), __VA_ARGS__ \
	}

static void
share_out(struct row *row, const struct row *eight, const struct row *four)
{
	row->value = (eight->value - four->value) / 4;
	row->ratio = (eight->ratio - four->ratio) / 4;
}

static const struct derived stage = { .choose = pinioni_report_find,
	.of = "chain-8",
	.from = "chain-4",
	.compute = share_out,
	.row = { .name = "a further stage, of these",
	    .case_name = "stage",
	    .system = "pinion",
	    .unit = "ns",
	    .bound = 0.2 } };

static bool
measure(struct report *report)
{
	struct chain one = { .stages = 1, .handles = 1 }, two, four, eight;
	const struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		CHAIN("call to the same worker, and result", "call", &one, .bound = 0.25),
		CHAIN("chain of 2 stages", "chain-2", &two, .bound = 0.45),
		CHAIN("chain of 4 stages", "chain-4", &four, .bound = 0.85),
		CHAIN("chain of 8 stages", "chain-8", &eight, .bound = 1.65),
	};

	if (!pinioni_rig_run(&rig, &pinioni_rig_number_app, 0, &one.to[0]))
		return false;
	two = four = eight = one;
	two.stages = 2;
	four.stages = 4;
	eight.stages = 8;
	return pinioni_suite_run(report, systems, sizeof systems / sizeof systems[0]) &&
	    pinioni_report_derive(report, &stage) && pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "local", "Calls and chains that stay on one worker.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(&rig, &kit, "local", 1, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
