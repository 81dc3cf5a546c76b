/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/report.h - what a program prints: the machine, then a table a placement, or all of it as JSON.
 */
#ifndef PINION_BENCH_REPORT_H
#define PINION_BENCH_REPORT_H

#include "bench/series.h"

struct report {
	const char *bench;  /* the program */
	const char *commit; /* NULL: not said */
	const char *idle;
	int near_cpu, far_cpu;
	struct ticks_scale ticks;
	const struct series *series; /* the floor first */
	unsigned count;
};

/* False: no memory, or nothing measured. */
bool pinioni_report_table(const struct report *r) __attribute__((warn_unused_result));
bool pinioni_report_json(const struct report *r) __attribute__((warn_unused_result));

#endif
