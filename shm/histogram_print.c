/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/histogram_print.c - the rows, the footer, and the point.
 */
#include "shm/histogram_print.h"

#include <errno.h>
#include <float.h>
#include <locale.h>

enum {
	TICKS = 5 /* rows to each halving of the distance to 100: HdrHistogram's default */
};

/* The next row's percentile; 100 where doubles end. Levels add up their rounding, as HdrHistogram's do. */
static double
next_level(double level)
{
	double halves = 2;
	double next;

	while (halves <= 100 / (100 - level))
		halves *= 2;
	next = level + 100 / (TICKS * halves);
	return next > level ? next : 100;
}

/* Java rounds a double's shortest decimal half up; printf rounds its bits, which may lie just below the half.
 * With one bit more they agree: without it every table of over 4096 values differed in 0.9997802734375, to 12
 * places. Values do without: they are whole until they are scaled. A mean beyond 2^40 has no third place to
 * agree in. */
static double
half_up(double x)
{
	return x * (1 + DBL_EPSILON);
}

static void
print_rows(const struct histogram_snapshot *s, double scale, FILE *to)
{
	uint64_t seen = 0;

	for (double level = 0; seen < s->total && level < 100; level = next_level(level)) {
		size_t at = pinioni_histogram_find(s, level, &seen);

		fprintf(to, "%12.3f %2.12f %10llu %14.2f\n", (double)histogram_last(at) / scale,
		    half_up(level / 100), (unsigned long long)seen, half_up(1 / (1 - level / 100)));
	}
	if (s->total != 0)
		fprintf(to, "%12.3f %2.12f %10llu\n", (double)pinioni_histogram_max(s) / scale, 1.0,
		    (unsigned long long)s->total);
}

static void
print_footer(const struct histogram_snapshot *s, double scale, FILE *to)
{
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
	    half_up(pinioni_histogram_mean(s) / scale),
	    half_up(pinioni_histogram_deviation(s) / scale));
	fprintf(to, "#[Max     = %12.3f, Total count    = %12llu]\n",
	    (double)pinioni_histogram_max(s) / scale, (unsigned long long)s->total);
	fprintf(to, "#[Buckets = %12u, SubBuckets     = %12d]\n", histogram_bucket(s->highest) + 1,
	    HISTOGRAM_SUB_BUCKETS);
}

int
pinioni_histogram_print(const struct histogram_snapshot *s, double scale, FILE *to)
{
	locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
	locale_t usual;

	if (plain == (locale_t)0)
		return -ENOMEM;
	usual = uselocale(plain);
	fprintf(to, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
	print_rows(s, scale, to);
	print_footer(s, scale, to);
	(void)uselocale(usual); /* what it was: cannot fail */
	freelocale(plain);
	return ferror(to) ? -EIO : 0;
}
