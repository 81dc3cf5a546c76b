/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/kit.h - what every program has before it measures: options, two cpus, the clock, the pace of polls, the
 * far thread, the floor's lines.
 *
 *   kit_start --> the program starts its runtimes (both cpus allowed) --> suite_run (near pinned) --> kit_stop
 */
#ifndef PINION_BENCH_KIT_KIT_H
#define PINION_BENCH_KIT_KIT_H

#include "bench/kit/cpus.h"
#include "bench/kit/far.h"
#include "bench/kit/options.h"
#include "bench/kit/pingpong.h"
#include "bench/kit/polls.h"
#include "bench/kit/rawpair.h"
#include "bench/kit/turn.h"

enum {
	KIT_SKIPPED = 77 /* exit code: not on this machine */
};

struct kit_program {
	const char *name, *doc; /* doc: one line for --help */
	const struct options_own *options;
};

struct kit {
	const char *bench;
	struct options options;
	int cpus[CPUS];
	struct ticks_scale ticks;
	struct polls polls; /* the runtime's, and so the floor's */
	struct far far;
	struct pingpong lines;
	struct rawpair raw;
	uint64_t count;   /* pings of this turn */
	uint64_t said_ns; /* when progress was last shown; 0: never asked */
};

/* doc: one line for --help. 0, or the exit code, and why was said. */
int pinioni_kit_start(struct kit *k, const char *bench, const char *doc, int argc, char **argv)
    __attribute__((warn_unused_result));
/* The same, for a program with options of its own. */
int pinioni_kit_start_told(struct kit *k, const struct kit_program *program, int argc, char **argv)
    __attribute__((warn_unused_result));
void pinioni_kit_stop(struct kit *k);
/* A line on a terminal's stderr every two seconds, for whoever waits. */
void pinioni_kit_progress(struct kit *k, unsigned round, unsigned rounds);

/* Round trip of tight ping-pongs, ns; the quickest of some batches: it says where the cpus are. 0: no answer. */
double pinioni_kit_probe(struct kit *k);
/* Turns of the floor, of the same polled tightly, and of the lines of a call without the model; arg: the kit. */
bool pinioni_kit_floor(void *kit, struct turn *t);
bool pinioni_kit_floor_tight(void *kit, struct turn *t);
bool pinioni_kit_rawpair(void *kit, struct turn *t);

#endif
