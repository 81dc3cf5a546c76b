/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - a feed, sent through a desk when each tick is due, whatever is still under way.
 *
 *   when a tick is due: the last of its symbol is stale, if it is still under way: canceled
 *                       four calls, each with the one before as its argument; the last is tagged
 *   meanwhile:          what has ended is harvested, by its tag
 *
 * Where nothing is due for long, and nothing under way, it sleeps; else it looks all the time, and keeps a cpu busy.
 * Every tick ends as one of enum ending. Times count from when a tick was due: who sends late, sends what is late.
 */
#ifndef TRADING_SESSION_H
#define TRADING_SESSION_H

#include <stdbool.h>

#include "desk.h"

enum ending {
	ENDED_NOT,
	ENDED_ORDER,
	ENDED_HOLD,
	ENDED_REJECTED,
	ENDED_STALE,   /* canceled: a newer tick of its symbol came */
	ENDED_LATE,    /* its deadline */
	ENDED_REFUSED, /* anything else: session.why says what the first was */
	ENDINGS
};
extern const char *const ending_names[ENDINGS];

struct trade {
	struct quote quote; /* of an order, a hold, a rejection */
	int64_t due_ns, done_ns;
	enum ending ending;
};

struct session_options {
	double speed;        /* of the feed's own times */
	int64_t deadline_ns; /* of a tick, from when it is due; 0: none */
	bool cancel_stale;
};

struct session {
	pinion_runtime *runtime;
	pinion_port *port;
	pinion_handle stages[STAGES];
	struct session_options options;
	const struct feed *feed;
	struct trade *trades; /* one a tick */
	struct chain *chains; /* those under way */
	size_t under_way;
	int64_t moves, orders; /* of the desk meanwhile, whether a tick came to tell of it or not */
	int64_t *last;         /* tick of each symbol that was sent last; -1: none */
	int64_t start_ns;
	char why[512];
};

/* A runtime with a desk. workers: 0 leaves it to pinion_start. 0, or session.why says what is wrong. */
int session_open(struct session *s, int workers);
/* Again with other options, if you like: a desk remembers. 0 or -errno; the trades are there until the next. */
int session_run(struct session *s, const struct feed *feed, const struct session_options *options);
void session_close(struct session *s);

#endif
