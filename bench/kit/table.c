/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/table.c - columns.
 */
#include "bench/kit/table.h"

#include <stdio.h>
#include <string.h>

#include "bench/kit/series.h"

/* Times of microseconds and more are shown in their unit, with a digit behind the point. */
static void
print_time(double ns, const char *unit, int width)
{
	double scale = pinioni_unit_ns(unit);

	if (ns == 0)
		printf(" %*s", width, "-");
	else
		printf(" %*.*f", width, scale > 1 ? 1 : 0, ns / scale);
}

static void
print_value(const struct row *row)
{
	int digits = strcmp(row->unit, "%") == 0 ? 3 : strcmp(row->unit, "bytes") == 0 ? 0 : 1;

	printf(" %9.*f %-5s", digits, row->value, row->unit);
}

static void
print_bound(const struct row *row)
{
	double figure = row->bounds_value ? row->value : row->ratio;
	bool few = row->rounds != 0 && row->rounds < ROW_ROUNDS_MIN;
	bool met = row->is_rate ? figure >= row->bound : figure <= row->bound;

	printf("   %s ", row->is_rate ? ">=" : "<=");
	if (row->bounds_value)
		printf("%g %s", row->bound, row->unit);
	else
		printf("%.2f", row->bound);
	printf(" %s", few ? "(few rounds)" : met ? "ok" : "over");
}

static void
print_row(const struct row *row)
{
	printf("  %-38s %8llu", row->name, (unsigned long long)row->samples);
	print_value(row);
	if (row->each == 0)
		printf(" %7s", "-");
	else
		printf(" %7.1f", row->each);
	if (row->ratio == 0)
		printf(" %6s", "-");
	else
		printf(" %6.2f", row->ratio);
	print_time(row->p50, row->unit, 8);
	print_time(row->p99, row->unit, 8);
	print_time(row->p999, row->unit, 8);
	print_time(row->max, row->unit, 9);
	if (row->bound != 0 && (row->bounds_value || row->ratio != 0))
		print_bound(row);
	printf("\n");
}

static void
print_heading(const char *bench, const char *placement)
{
	char heading[64];

	(void)snprintf(heading, sizeof heading, "%s%s%s", bench, placement == NULL ? "" : ", ",
	    placement == NULL ? "" : placement);
	printf("\n%-40s %8s %9s %-5s %7s %6s %8s %8s %8s %9s   %s\n", heading, "samples", "", "",
	    "each", "ratio", "p50", "p99", "p99.9", "max", "bound");
}

static bool
is_placed(const struct row *row, const char *placement)
{
	return row->placement == NULL || placement == NULL ? row->placement == placement
							   : strcmp(row->placement, placement) == 0;
}

static void
print_placement(const struct row *rows, unsigned count, const char *placement)
{
	bool begun = false;

	for (unsigned i = 0; i < count; i++) {
		if (!is_placed(&rows[i], placement))
			continue;
		if (!begun)
			print_heading(rows[i].bench, placement);
		begun = true;
		print_row(&rows[i]);
	}
}

static void
print_bench(const struct row *rows, unsigned count)
{
	print_placement(rows, count, NULL);
	for (enum placement p = 0; p < PLACED_MIXED; p++)
		print_placement(rows, count, pinioni_placement_name(p));
}

void
pinioni_table_print(const struct row *rows, unsigned count)
{
	for (unsigned first = 0, next; first < count; first = next) {
		for (next = first + 1; next < count; next++)
			if (strcmp(rows[next].bench, rows[first].bench) != 0)
				break;
		print_bench(&rows[first], next - first);
	}
}
