/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/row.h - one figure: what was measured, of whom, and what it came to.
 *
 *   program --row_json--> build/bench/<program>.json --row_read--> collect
 */
#ifndef PINION_BENCH_KIT_ROW_H
#define PINION_BENCH_KIT_ROW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROW_ROUNDS_MIN = 20, /* with less there is no verdict on a bound */
	ROW_JSON_FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(6) /* how documents are written */
};

/* What was not measured is 0 or NULL, and null in JSON. */
struct row {
	const char *bench;     /* the program; NULL: the report's own */
	const char *name;      /* for tables */
	const char *case_name; /* for programs: "call", "chain-2" */
	const char *system;    /* "pinion", "floor", a peer's name */
	const char *placement; /* where the cpus were; NULL: it does not matter */
	unsigned payload_bytes;
	uint64_t samples;
	double value; /* what the row is about */
	const char *unit;
	double each;                       /* the share of one of its parts, in the same unit */
	double p50, p99, p999, p9999, max; /* ns */
	double p999_block;                 /* ns; median over blocks, by series.h */
	double rate;                       /* a second */
	double ratio;
	const char *against; /* whose row the ratio is to; NULL: as the name says */
	unsigned rounds;     /* that the ratio is a median over; 0: it is none */
	double bound;        /* on the ratio */
	bool bounds_value;   /* on the value instead, in its unit */
	bool is_rate;        /* more is better: the bound is the least */
};

/* Of a unit of time; 1 of others: then percentiles are shown in ns. */
double pinioni_unit_ns(const char *unit);
/* Sorts the samples, which are times; fills in their count, their percentiles, and as the value, in the row's unit,
 * their median. */
void pinioni_row_fill(struct row *row, double *ns, size_t count);
/* NULL: no memory. */
json_t *pinioni_row_json(const struct row *row);
/* The texts are the document's. False: it is no row, and why is written to `why`. */
bool pinioni_row_read(json_t *document, struct row *row, json_error_t *why)
    __attribute__((warn_unused_result));

#endif
