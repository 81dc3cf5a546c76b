/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/options.c - the options, by argp.
 */
#include "bench/kit/options.h"

#include <stdlib.h>

#include <pinion/pinion.h>

enum {
	ROUNDS = 200,
	ROUNDS_QUICK = 5
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		if (o->own != NULL)
			state->child_inputs[0] = o->own->input;
		return 0;
	case 'q':
		o->quick = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'i':
		o->idle = arg;
		return 0;
	case 'p':
		o->poll = arg;
		return 0;
	case 'c':
		o->commit = arg;
		return 0;
	case 'h':
		o->hgrm = arg;
		return 0;
	case 'r':
		o->rounds = (unsigned)strtoul(arg, &end, 10);
		if (*end != '\0' || o->rounds == 0 || o->rounds > 10000)
			argp_error(state, "rounds: 1 to 10000");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void
pinioni_options_read(int argc, char **argv, const char *doc, struct options *o)
{
	static const struct argp_option options[] = {
		{ "quick", 'q', NULL, 0, "Few rounds: shows that it works", 0 },
		{ "json", 'j', NULL, 0, "JSON instead of a table", 0 },
		{ "rounds", 'r', "N", 0, "Turns of each system (200)", 0 },
		{ "idle", 'i', "NAME", 0, "How workers wait: adaptive (default), yield, spin", 0 },
		{ "poll", 'p', "NAME", 0,
		    "What lies between two looks, of the runtime and the floor: auto (default: as the "
		    "runtime chooses), clock, 2 clocks, pause, 2 pauses, 4 pauses, tight",
		    0 },
		{ "hgrm", 'h', "DIRECTORY", 0,
		    "Write single calls there as HdrHistogram's percentile tables", 0 },
		{ "commit", 'c', "ID", 0, "What was measured, for the first line", 0 },
		{ 0 },
	};
	const struct argp_child children[] = { { .argp = o->own == NULL ? NULL : o->own->parser },
		{ 0 } };
	const struct argp argp = {
		.options = options, .parser = parse, .doc = doc, .children = children
	};

	argp_program_version = "pinion " PINION_VERSION;
	argp_err_exit_status = EXIT_FAILURE;
	(void)argp_parse(&argp, argc, argv, 0, NULL, o); /* exits by itself */
	if (o->rounds == 0)
		o->rounds = o->quick ? ROUNDS_QUICK : ROUNDS;
}
