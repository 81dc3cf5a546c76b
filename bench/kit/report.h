/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/report.h - what a program has measured: rows, printed as tables or as JSON.
 */
#ifndef PINION_BENCH_KIT_REPORT_H
#define PINION_BENCH_KIT_REPORT_H

#include "bench/kit/kit.h"
#include "bench/kit/row.h"

struct report {
	struct kit *kit;
	struct row *rows;
	unsigned count, room;
};

/* The row is copied, its texts are not. False: no memory. */
bool pinioni_report_add(struct report *r, const struct row *row)
    __attribute__((warn_unused_result));
/* The last row added of that case, a text, and placement; NULL: there is none. Good until another is added. */
const struct row *pinioni_report_find(
    const struct report *r, const void *case_name, const char *placement);

/* A row that comes of two others of one placement. */
struct derived {
	/* One of the two, by what it is said to be; NULL: there is none. */
	const struct row *(*choose)(
	    const struct report *r, const void *wanted, const char *placement);
	const void *of, *from; /* as choose wants them */
	/* Value, ratio, and what else is not `of`'s: placement, payload, against, the fewer rounds are set. */
	void (*compute)(struct row *row, const struct row *of, const struct row *from);
	struct row row; /* what does not depend on them */
};
/* Adds it for each placement that has both. False: no memory. */
bool pinioni_report_derive(struct report *r, const struct derived *d)
    __attribute__((warn_unused_result));
/* To stdout, in the form that was asked for. False: no memory, or there is no row. */
bool pinioni_report_print(const struct report *r) __attribute__((warn_unused_result));
void pinioni_report_free(struct report *r);

#endif
