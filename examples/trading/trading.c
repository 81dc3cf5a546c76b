/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trading - what Pinion is for: ticks of prices go through four stages to a gateway, each with a deadline.
 *
 *   $ trading --ticks=40000 --rate=20000
 *   40000 ticks: 22265 orders, 7631 held, 9327 rejected by risk, 777 canceled as stale, 0 late, 0 refused
 *   777 did not go through: 2 of these were ordered, 1 moved a position without an order
 *   (how long each stage took, and all of them)
 *
 * feed.h makes ticks, desk.h decides what becomes of one, session.h sends them when they are due, report.h prints.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

struct options {
	struct feed_shape shape;
	struct session_options session;
	int64_t workers;
	const char *read, *write, *plot;
	bool check;
};

enum {
	KEY_TICKS = 256,
	KEY_SYMBOLS,
	KEY_SEED,
	KEY_RATE,
	KEY_SPEED,
	KEY_DEADLINE,
	KEY_KEEP_STALE,
	KEY_WORKERS,
	KEY_FEED,
	KEY_WRITE,
	KEY_PLOT,
	KEY_CHECK
};

static const struct argp_option option_list[] = {
	{ "ticks", KEY_TICKS, "NUMBER", 0, "Of the feed that is made (40000)", 1 },
	{ "symbols", KEY_SYMBOLS, "NUMBER", 0, "That it has, at most 1024 (64)", 1 },
	{ "rate", KEY_RATE, "NUMBER", 0, "Ticks a second, on average (20000)", 1 },
	{ "seed", KEY_SEED, "NUMBER", 0, "The same number makes the same feed (1)", 1 },
	{ "write-feed", KEY_WRITE, "FILE", 0, "Write the feed there, and trade nothing", 2 },
	{ "feed", KEY_FEED, "FILE", 0, "Read it from there", 2 },
	{ "speed", KEY_SPEED, "PERCENT", 0, "How fast its times go by (100)", 3 },
	{ "deadline", KEY_DEADLINE, "US", 0, "Of a tick, in us from when it is due (5000)", 3 },
	{ "keep-stale", KEY_KEEP_STALE, NULL, 0,
	    "Do not cancel a tick when a newer one of its symbol comes", 3 },
	{ "workers", KEY_WORKERS, "NUMBER", 0, "Threads, up to 64 (a core each but one)", 3 },
	{ "plot", KEY_PLOT, "DIR", 0, "Draw the stages' times there", 4 },
	{ "check", KEY_CHECK, NULL, 0,
	    "Without deadline and cancel; compare with the same on one thread", 4 },
	{ 0 },
};

static void
read_number(struct argp_state *state, const char *name, const char *text, int64_t most, int64_t *to)
{
	char *end;

	errno = 0;
	*to = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *to < 1 || *to > most)
		argp_error(
		    state, "--%s is \"%s\": it may be 1 to %lld", name, text, (long long)most);
}

static error_t
parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;
	int64_t n;

	switch (key) {
	case KEY_TICKS:
		read_number(state, "ticks", text, 100000000, &n);
		o->shape.ticks = (size_t)n;
		break;
	case KEY_SYMBOLS:
		read_number(state, "symbols", text, SYMBOLS_MAX, &n);
		o->shape.symbols = (uint32_t)n;
		break;
	case KEY_RATE:
		read_number(state, "rate", text, 10000000, &n);
		o->shape.rate = (uint32_t)n;
		break;
	case KEY_SEED:
		read_number(state, "seed", text, INT64_MAX, &n);
		o->shape.seed = (uint64_t)n;
		break;
	case KEY_SPEED:
		read_number(state, "speed", text, 1000000, &n);
		o->session.speed = (double)n / 100;
		break;
	case KEY_DEADLINE:
		read_number(state, "deadline", text, 1000000000, &n);
		o->session.deadline_ns = n * 1000;
		break;
	case KEY_WORKERS:
		read_number(state, "workers", text, PINION_WORKERS_MAX, &o->workers);
		break;
	case KEY_KEEP_STALE:
		o->session.cancel_stale = false;
		break;
	case KEY_FEED:
		o->read = text;
		break;
	case KEY_WRITE:
		o->write = text;
		break;
	case KEY_PLOT:
		o->plot = text;
		break;
	case KEY_CHECK:
		o->check = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int
complain(const char *what, int err)
{
	fprintf(stderr, "trading: %s%s%s\n", what, err == 0 ? "" : ": ",
	    err == 0 ? "" : strerror(-err));
	return EXIT_FAILURE;
}

static int
run(struct options *o, const struct feed *feed)
{
	struct session s;
	bool ok = true;
	int err = session_open(&s, (int)o->workers);

	if (err != 0) {
		complain(s.why, 0);
		session_close(&s);
		return EXIT_FAILURE;
	}
	if (o->check)
		o->session = (struct session_options){ .speed = o->session.speed };
	err = session_run(&s, feed, &o->session);
	if (err == 0)
		err = report_print(&s);
	if (err == 0 && o->check)
		ok = report_check(&s);
	if (err == 0 && o->plot != NULL)
		err = report_plot(&s, o->plot);
	session_close(&s);
	return err != 0 ? complain(o->plot != NULL ? o->plot : "no memory", err)
	    : ok        ? EXIT_SUCCESS
			: EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = { option_list, parse, NULL,
		"A feed of ticks through four stages, on time.", NULL, NULL, NULL };
	struct options o = { .shape = { .seed = 1, .ticks = 40000, .symbols = 64, .rate = 20000 },
		.session = { .speed = 1, .deadline_ns = 5000000, .cancel_stale = true } };
	struct feed feed;
	char why[256];
	int err, code;

	argp_err_exit_status = EXIT_FAILURE;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return EXIT_FAILURE;
	if (o.read != NULL && feed_read(&feed, o.read, why, sizeof why) != 0)
		return complain(why, 0);
	if (o.read == NULL && (err = feed_make(&feed, &o.shape)) != 0)
		return complain("the feed", err);
	if (o.write != NULL) {
		err = feed_write(&feed, o.write);
		code = err != 0 ? complain(o.write, err) : EXIT_SUCCESS;
	} else {
		code = run(&o, &feed);
	}
	feed_free(&feed);
	return code;
}
