/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/report.h - what a program has measured: rows, printed as a table a placement or as JSON.
 */
#ifndef PINION_BENCH_KIT_REPORT_H
#define PINION_BENCH_KIT_REPORT_H

#include "bench/kit/kit.h"

/* What was not measured is 0 or NULL, and null in JSON. */
struct row {
	const char *name;      /* for tables */
	const char *case_name; /* for programs: "call", "chain-2" */
	const char *system;    /* "pinion", "floor", a peer's name */
	const char *placement; /* where the cpus were; NULL: it does not matter */
	unsigned payload_bytes;
	uint64_t samples;
	double value; /* what the row is about */
	const char *unit;
	double p50, p99, p999, p9999, max; /* ns */
	double rate;                       /* a second */
	double ratio;
	double bound; /* on the ratio */
	bool is_rate; /* more is better: the bound is the least */
};

struct report {
	struct kit *kit;
	struct row *rows;
	unsigned count, room;
};

/* The row is copied, its texts are not. False: no memory. */
bool pinioni_report_add(struct report *r, const struct row *row)
    __attribute__((warn_unused_result));
/* To stdout, in the form that was asked for. False: no memory, or there is no row. */
bool pinioni_report_print(const struct report *r) __attribute__((warn_unused_result));
void pinioni_report_free(struct report *r);

#endif
