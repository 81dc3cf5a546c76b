/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/median.h - quantiles of what was measured.
 */
#ifndef PINION_BENCH_KIT_MEDIAN_H
#define PINION_BENCH_KIT_MEDIAN_H

#include <stddef.h>
#include <stdlib.h>

static inline int
median_order(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static inline void
median_sort(double *x, size_t count)
{
	qsort(x, count, sizeof *x, median_order);
}

/* Of sorted numbers; 0 of none. */
static inline double
quantile(const double *sorted, size_t count, double q)
{
	size_t at = (size_t)(q * (double)count);

	return count == 0 ? 0 : sorted[at < count ? at : count - 1];
}

#endif
