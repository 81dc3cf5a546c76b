/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/options.c - the command line.
 */
#include "stress.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = {
	.seconds = 10, .workers = 2, .callers = 2, .replicas = 3, .max_ongoing = 100
};

static const struct argp_option list[] = {
	{ "seconds", 's', "N", 0,
	    "How long to go on (10); PINION_TEST_DIVISOR divides it, "
	    "down to 2",
	    0 },
	{ "seed", 'r', "S", 0, "Repeats a run's graphs (from the clock)", 0 },
	{ "workers", 'w', "N", 0, "Worker threads (2)", 0 },
	{ "idle", 'i', "NAME", 0, "adaptive, spin or yield", 0 },
	{ "lane-cells", 'l', "N", 0, "Messages per lane, a power of two", 0 },
	{ "slots", 'n', "N", 0, "Calls outstanding per port", 0 },
	{ "callers", 'c', "N", 0, "Threads that call (2); they are joined by some that come and go",
	    0 },
	{ "max-ongoing", 'm', "N", 0, "Requests that a replica runs at once (100)", 0 },
	{ "replicas", 'p', "N", 0, "Of each deployment (3)", 0 },
	{ "caller-driven", 'd', NULL, 0, "No worker thread: one caller drives", 0 },
	{ "stop-every", 't', "MS", 0, "Stops and starts the runtime under load", 0 },
	{ "quiet", 'q', NULL, 0, "No line a second", 0 },
	{ 0 },
};

static int
number(const char *text, int least, int most, struct argp_state *state)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least || n > most)
		argp_error(state, "\"%s\" is not a number from %d to %d", text, least, most);
	return (int)n;
}

static error_t
parse(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		settings.seconds = number(text, 1, 1000000, state);
		return 0;
	case 'r':
		settings.seed = strtoull(text, NULL, 0);
		settings.is_seeded = true;
		return 0;
	case 'w':
		settings.workers = number(text, 1, PINION_WORKERS_MAX, state);
		return 0;
	case 'i':
		settings.idle = text;
		return 0;
	case 'l':
		settings.lane_cells = number(text, 2, 65536, state);
		return 0;
	case 'n':
		settings.slots = number(text, 32, 65535, state);
		return 0;
	case 'c':
		settings.callers = number(text, 1, CALLERS_MAX - 1, state);
		return 0;
	case 'm':
		settings.max_ongoing = number(text, 1, 100000, state);
		return 0;
	case 'p':
		settings.replicas = number(text, 1, 64, state);
		return 0;
	case 'd':
		settings.driven = true;
		settings.callers = 1;
		settings.workers = PINION_CALLER_DRIVEN;
		return 0;
	case 't':
		settings.stop_every = number(text, 1, 100000, state);
		return 0;
	case 'q':
		settings.quiet = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void
options_read(int argc, char **argv)
{
	static const struct argp argp = { list, parse, NULL,
		"Makes random graphs of calls and checks every answer.\v"
		"Exit status: 0 all answers were right and nothing is left; 1 one was wrong, or something "
		"is left; 2 nothing went on for 20 s.",
		NULL, NULL, NULL };
	const char *divisor = getenv("PINION_TEST_DIVISOR");

	if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0)
		exit(EXIT_WRONG);
	if (settings.driven) {
		settings.callers = 1;
		settings.stop_every = 0;
	}
	if (divisor != NULL && strtod(divisor, NULL) > 1)
		settings.seconds /= strtod(divisor, NULL);
	if (settings.seconds < 2)
		settings.seconds = 2;
	if (!settings.is_seeded)
		settings.seed = (uint64_t)time(NULL);
}
