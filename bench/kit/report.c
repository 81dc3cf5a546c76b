/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/report.c - tables for people, JSON for programs.
 */
#include "bench/kit/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/machine.h"
#include "bench/kit/series.h"

bool
pinioni_report_add(struct report *r, const struct row *row)
{
	if (r->count == r->room) {
		unsigned room = r->room == 0 ? 64 : 2 * r->room;
		struct row *rows = realloc(r->rows, room * sizeof *rows);

		if (rows == NULL)
			return false;
		r->rows = rows;
		r->room = room;
	}
	r->rows[r->count++] = *row;
	return true;
}

void
pinioni_report_free(struct report *r)
{
	free(r->rows);
	*r = (struct report){ .kit = r->kit };
}

/* ---- tables --------------------------------------------------------------------------------- */

static void
print_number(double x, int width)
{
	if (x == 0)
		printf(" %*s", width, "-");
	else
		printf(" %*.0f", width, x);
}

static void
print_row(const struct row *row)
{
	bool met = row->is_rate ? row->ratio >= row->bound : row->ratio <= row->bound;

	printf("  %-38s %8llu %9.1f %-5s", row->name, (unsigned long long)row->samples, row->value,
	    row->unit);
	if (row->ratio == 0)
		printf(" %6s", "-");
	else
		printf(" %6.2f", row->ratio);
	print_number(row->p50, 7);
	print_number(row->p99, 7);
	print_number(row->p999, 7);
	print_number(row->max, 9);
	if (row->bound != 0)
		printf(
		    "   %s %.2f %s", row->is_rate ? ">=" : "<=", row->bound, met ? "ok" : "over");
	printf("\n");
}

static bool
is_placed(const struct row *row, const char *placement)
{
	return row->placement == NULL || placement == NULL ? row->placement == placement
							   : strcmp(row->placement, placement) == 0;
}

static void
print_placement(const struct report *r, const char *placement)
{
	bool begun = false;

	for (unsigned i = 0; i < r->count; i++) {
		if (!is_placed(&r->rows[i], placement))
			continue;
		if (!begun)
			printf("\n%-40s %8s %9s %-5s %6s %7s %7s %7s %9s   %s\n",
			    placement == NULL ? "" : placement, "samples", "", "", "ratio", "p50",
			    "p99", "p99.9", "max", "bound");
		begun = true;
		print_row(&r->rows[i]);
	}
}

static void
print_tables(const struct report *r)
{
	pinioni_machine_print(r->kit);
	print_placement(r, NULL);
	for (enum placement p = 0; p < PLACED_MIXED; p++)
		print_placement(r, pinioni_placement_name(p));
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *
number(double x)
{
	return x == 0 ? json_null() : json_real(x);
}

static json_t *
json_row(const struct report *r, const struct row *row)
{
	return json_pack("{s:s, s:s, s:s, s:s?, s:i, s:I, s:f, s:s, s:o, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:o}",
	    "bench", r->kit->bench, "case", row->case_name, "system", row->system, "placement",
	    row->placement, "payload_bytes", (int)row->payload_bytes, "samples",
	    (json_int_t)row->samples, "value", row->value, "unit", row->unit, "p50_ns",
	    number(row->p50), "p99_ns", number(row->p99), "p999_ns", number(row->p999), "p9999_ns",
	    number(row->p9999), "max_ns", number(row->max), "rate_per_s", number(row->rate),
	    "ratio", number(row->ratio), "bound", number(row->bound));
}

static bool
print_json(const struct report *r)
{
	json_t *results = json_array(), *all;
	bool ok = results != NULL;

	for (unsigned i = 0; i < r->count && ok; i++)
		ok = json_array_append_new(results, json_row(r, &r->rows[i])) == 0;
	all = json_pack("{s:o, s:o}", "machine", pinioni_machine_json(r->kit), "results", results);
	ok = ok && all != NULL &&
	    json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
	printf("\n");
	json_decref(all);
	return ok;
}

bool
pinioni_report_print(const struct report *r)
{
	if (r->count == 0)
		return false;
	if (r->kit->options.json)
		return print_json(r);
	print_tables(r);
	return true;
}
