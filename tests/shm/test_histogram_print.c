/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The text of a snapshot is HdrHistogram's, byte for byte, and ends whatever the counts.
 * Method  The texts are what HdrHistogram 2.1.11 printed of the same values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/histogram_print.h"

/* So many of a value; a list of them ends with none. */
struct values {
	uint64_t value, count;
};

/* A snapshot of these. For free(). */
static struct histogram_snapshot *
snapshot(uint64_t highest, const struct values *values)
{
	size_t size = histogram_size(highest);
	void *memory = aligned_alloc(PINION_LINE, size);
	struct histogram_snapshot *s = malloc(size);
	struct histogram_recorder recorder;
	struct histogram_reader reader;

	assert_non_null(memory);
	assert_non_null(s);
	pinioni_histogram_init(&recorder, memory, highest);
	for (; values->count != 0; values++)
		atomic_store_explicit(&recorder.shared->counts[histogram_index(values->value)],
		    values->count, memory_order_relaxed);
	assert_int_equal(pinioni_histogram_attach(&reader, memory, size), 0);
	assert_int_equal(pinioni_histogram_take(&reader, s), 0);
	free(memory);
	return s;
}

/* What is printed of these. For free(). */
static char *
print(uint64_t highest, const struct values *values, double scale)
{
	struct histogram_snapshot *s = snapshot(highest, values);
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	assert_non_null(to);
	assert_int_equal(pinioni_histogram_print(s, scale, to), 0);
	assert_int_equal(fclose(to), 0);
	free(s);
	return text;
}

static void
the_text_is_hdrhistograms(void **state)
{
	static const char expected[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
				       "\n"
				       "       0.100 0.000000000000         10           1.00\n"
				       "       0.100 0.100000000000         10           1.11\n"
				       "       0.100 0.200000000000         10           1.25\n"
				       "       0.100 0.300000000000         10           1.43\n"
				       "       0.100 0.400000000000         10           1.67\n"
				       "       0.100 0.500000000000         10           2.00\n"
				       "       1.500 0.550000000000         15           2.22\n"
				       "       1.500 0.600000000000         15           2.50\n"
				       "       1.500 0.650000000000         15           2.86\n"
				       "       1.500 0.700000000000         15           3.33\n"
				       "       1.500 0.750000000000         15           4.00\n"
				       "       2.501 0.775000000000         18           4.44\n"
				       "       2.501 0.800000000000         18           5.00\n"
				       "       2.501 0.825000000000         18           5.71\n"
				       "       2.501 0.850000000000         18           6.67\n"
				       "       2.501 0.875000000000         18           8.00\n"
				       "       2.501 0.887500000000         18           8.89\n"
				       "       2.501 0.900000000000         18          10.00\n"
				       "    1000.447 0.912500000000         19          11.43\n"
				       "    1000.447 0.925000000000         19          13.33\n"
				       "    1000.447 0.937500000000         19          16.00\n"
				       "    1000.447 0.943750000000         19          17.78\n"
				       "    1000.447 0.950000000000         19          20.00\n"
				       "    4001.791 0.956250000000         20          22.86\n"
				       "    4001.791 1.000000000000         20\n"
				       "#[Mean    =      250.848, StdDeviation   =      887.357]\n"
				       "#[Max     =     4001.791, Total count    =           20]\n"
				       "#[Buckets =           20, SubBuckets     =         2048]\n";
	static const struct values values[] = {
		{ 100, 10 },
		{ 1500, 5 },
		{ 2500, 3 },
		{ 1000000, 1 },
		{ 4000001, 1 },
		{ 0, 0 },
	};
	char *text = print(1000000000, values, 1000);

	(void)state;
	assert_string_equal(text, expected);
	free(text);
}

static void
halves_are_rounded_as_hdrhistogram_rounds_them(void **state)
{
	static const struct values sixteenth[] = { { 0, 15 }, { 1, 1 }, { 0, 0 } };
	static const struct values many[] = { { 1, 4998 }, { 2, 1 }, { 3, 1 }, { 0, 0 } };
	char *text = print(HISTOGRAM_HOUR, many, 1);

	(void)state;
	/* 0.9997802734375, which lies a little below that in a double. */
	assert_non_null(strstr(text, "       2.000 0.999780273438       4999        4551.11\n"));
	free(text);
	text = print(HISTOGRAM_HOUR, sixteenth, 1);
	assert_non_null(strstr(text, "#[Mean    =        0.063, StdDeviation   =        0.242]\n"));
	free(text);
}

static void
the_text_of_nothing_has_no_rows(void **state)
{
	char *text = print(HISTOGRAM_HOUR, &(struct values){ 0 }, 1);

	(void)state;
	assert_string_equal(text,
	    "       Value     Percentile TotalCount 1/(1-Percentile)\n"
	    "\n"
	    "#[Mean    =        0.000, StdDeviation   =        0.000]\n"
	    "#[Max     =        0.000, Total count    =            0]\n"
	    "#[Buckets =           32, SubBuckets     =         2048]\n");
	free(text);
}

static void
the_text_ends_for_any_count(void **state)
{
	static const struct values values[] = {
		{ 1, HISTOGRAM_HIGHEST - 1 },
		{ HISTOGRAM_HIGHEST, 1 },
		{ 0, 0 },
	};
	char *text = print(HISTOGRAM_HIGHEST, values, 1);

	(void)state;
	assert_non_null(strstr(text, "Total count    = 9223372036854775807]\n"));
	free(text);
}

static void
a_file_that_takes_nothing_is_an_error(void **state)
{
	struct histogram_snapshot *s = snapshot(0, &(struct values){ 0 });
	FILE *full = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(full);
	assert_int_equal(setvbuf(full, NULL, _IONBF, 0), 0);
	assert_int_equal(pinioni_histogram_print(s, 1, full), -EIO);
	(void)fclose(full); /* its error is the one expected */
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_hdrhistograms),
		cmocka_unit_test(halves_are_rounded_as_hdrhistogram_rounds_them),
		cmocka_unit_test(the_text_of_nothing_has_no_rows),
		cmocka_unit_test(the_text_ends_for_any_count),
		cmocka_unit_test(a_file_that_takes_nothing_is_an_error),
	};

	return cmocka_run_group_tests_name("histogram_print", tests, NULL, NULL);
}
