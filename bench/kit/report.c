/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/report.c - keeping rows, and printing them.
 */
#include "bench/kit/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/machine.h"
#include "bench/kit/series.h"
#include "bench/kit/table.h"

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
	r->rows[r->count] = *row;
	if (row->bench == NULL)
		r->rows[r->count].bench = r->kit->bench;
	r->count++;
	return true;
}

const struct row *
pinioni_report_find(const struct report *r, const void *case_name, const char *placement)
{
	for (unsigned i = r->count; i-- != 0;) {
		const struct row *row = &r->rows[i];

		if (strcmp(row->case_name, case_name) == 0 && row->placement != NULL &&
		    strcmp(row->placement, placement) == 0)
			return row;
	}
	return NULL;
}

bool
pinioni_report_derive(struct report *r, const struct derived *d)
{
	bool ok = true;

	for (enum placement p = 0; p < PLACED_MIXED && ok; p++) {
		const char *placement = pinioni_placement_name(p);
		const struct row *of = d->choose(r, d->of, placement);
		const struct row *from = d->choose(r, d->from, placement);
		struct row row = d->row;

		if (of == NULL || from == NULL)
			continue;
		row.placement = placement;
		row.payload_bytes = of->payload_bytes;
		row.against = of->against;
		row.rounds = of->rounds < from->rounds ? of->rounds : from->rounds;
		d->compute(&row, of, from);
		ok = pinioni_report_add(r, &row);
	}
	return ok;
}

void
pinioni_report_free(struct report *r)
{
	free(r->rows);
	*r = (struct report){ .kit = r->kit };
}

static bool
print_json(const struct report *r, json_t *machine)
{
	json_t *results = json_array(), *all;
	bool ok = results != NULL;

	for (unsigned i = 0; i < r->count && ok; i++)
		ok = json_array_append_new(results, pinioni_row_json(&r->rows[i])) == 0;
	all = json_pack("{s:O, s:o}", "machine", machine, "results", results);
	ok = ok && all != NULL && json_dumpf(all, stdout, ROW_JSON_FLAGS) == 0;
	printf("\n");
	json_decref(all);
	return ok;
}

static bool
print_tables(const struct report *r, json_t *machine)
{
	if (!pinioni_machine_print(machine))
		return false;
	pinioni_table_print(r->rows, r->count);
	return true;
}

bool
pinioni_report_print(const struct report *r)
{
	json_t *machine = pinioni_machine_json(r->kit);
	bool ok = machine != NULL && r->count != 0 &&
	    (r->kit->options.json ? print_json : print_tables)(r, machine);

	json_decref(machine);
	return ok;
}
