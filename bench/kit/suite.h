/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/suite.h - systems measured in turns (A B A B ...), each turn labelled with where the cpus were.
 *
 *   round:  probe | turn of system 0 | probe | turn of system 1 | probe ...
 *
 * Method    turn.h; a system whose calls are slow takes shorter turns. A row is written for each placement
 *           under which a system was seen.
 */
#ifndef PINION_BENCH_KIT_SUITE_H
#define PINION_BENCH_KIT_SUITE_H

#include "bench/kit/report.h"
#include "bench/kit/series.h"

struct system {
	const char *name, *case_name, *system; /* as in struct row */
	unsigned payload_bytes;
	enum system_pace pace;
	bool is_rate;     /* of pipelined calls: the ratio is of rates */
	unsigned parts;   /* that a call consists of: what each costs is shown, too; 0: it is one */
	unsigned against; /* index of the system that the ratio is to */
	double bound;
	/* What the turn needs running, and nothing else does; NULL: nothing. False: it cannot. */
	bool (*begin)(void *arg);
	/* turn->size is set. False: it broke. */
	bool (*turn)(void *arg, struct turn *turn);
	void (*end)(void *arg);
	void *arg;
};

/* The first of every program, which ratios are to; then the lines of a call without the model. */
#define SYSTEM_FLOOR(kit) \
	{ \
		.name = "floor: two-line ping-pong", .case_name = "floor", .system = "floor", \
		.turn = pinioni_kit_floor, .arg = (kit) \
	}
#define SYSTEM_RAW_PAIR(kit) \
	{ \
		.name = "raw pair: message and result", .case_name = "raw", .system = "baseline", \
		.turn = pinioni_kit_rawpair, .arg = (kit) \
	}

/* All rounds; rows are added to the report. False: something broke or answered wrongly, and why was said. */
bool pinioni_suite_run(struct report *r, const struct system *systems, unsigned count)
    __attribute__((warn_unused_result));

#endif
