/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/row.c - rows from samples, to JSON and back.
 */
#include "bench/kit/row.h"

#include <string.h>

#include "bench/kit/median.h"

double
pinioni_unit_ns(const char *unit)
{
	return strcmp(unit, "us") == 0 ? 1e3 : strcmp(unit, "ms") == 0 ? 1e6 : 1;
}

void
pinioni_row_fill(struct row *row, double *ns, size_t count)
{
	median_sort(ns, count);
	row->samples = count;
	row->p50 = quantile(ns, count, 0.5);
	row->p99 = quantile(ns, count, 0.99);
	row->p999 = quantile(ns, count, 0.999);
	row->p9999 = quantile(ns, count, 0.9999);
	row->max = quantile(ns, count, 1);
	row->value = row->p50 / pinioni_unit_ns(row->unit);
}

static json_t *
number(double x)
{
	return x == 0 ? json_null() : json_real(x);
}

json_t *
pinioni_row_json(const struct row *row)
{
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:f, s:s, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o, s:o, s:o, s:s?, s:o, s:o, s:b, s:b}",
	    "bench", row->bench, "name", row->name, "case", row->case_name, "system", row->system,
	    "placement", row->placement, "payload_bytes", (json_int_t)row->payload_bytes, "samples",
	    (json_int_t)row->samples, "value", row->value, "unit", row->unit, "each",
	    number(row->each), "p50_ns", number(row->p50), "p99_ns", number(row->p99), "p999_ns",
	    number(row->p999), "p9999_ns", number(row->p9999), "max_ns", number(row->max),
	    "p999_block_ns", number(row->p999_block), "rate_per_s", number(row->rate), "ratio",
	    number(row->ratio), "against", row->against, "rounds", number(row->rounds), "bound",
	    number(row->bound), "bounds_value", row->bounds_value, "is_rate", row->is_rate);
}

static bool
read_texts(json_t *document, struct row *row, json_error_t *why)
{
	row->placement = json_string_value(json_object_get(document, "placement")); /* or null */
	row->against = json_string_value(json_object_get(document, "against"));
	return json_unpack_ex(document, why, 0, "{s:s, s:s, s:s, s:s, s:s}", "bench", &row->bench,
		   "name", &row->name, "case", &row->case_name, "system", &row->system, "unit",
		   &row->unit) == 0;
}

static bool
read_counts(json_t *document, struct row *row, json_error_t *why)
{
	json_int_t bytes = 0, samples = 0;
	int bounds_value = 0, is_rate = 0;

	if (json_unpack_ex(document, why, 0, "{s:I, s:I, s:b, s:b}", "payload_bytes", &bytes,
		"samples", &samples, "bounds_value", &bounds_value, "is_rate", &is_rate) != 0)
		return false;
	row->payload_bytes = (unsigned)bytes;
	row->samples = (uint64_t)samples;
	row->bounds_value = bounds_value;
	row->is_rate = is_rate;
	return true;
}

/* null is 0; what is neither is refused. */
static bool
read_numbers(json_t *document, struct row *row, json_error_t *why)
{
	double rounds = 0;
	const struct {
		const char *key;
		double *to;
	} numbers[] = {
		{ "value", &row->value },
		{ "each", &row->each },
		{ "p50_ns", &row->p50 },
		{ "p99_ns", &row->p99 },
		{ "p999_ns", &row->p999 },
		{ "p9999_ns", &row->p9999 },
		{ "max_ns", &row->max },
		{ "p999_block_ns", &row->p999_block },
		{ "rate_per_s", &row->rate },
		{ "ratio", &row->ratio },
		{ "rounds", &rounds },
		{ "bound", &row->bound },
	};

	for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		json_t *found = json_object_get(document, numbers[i].key);

		if (!json_is_number(found) && !json_is_null(found)) {
			(void)snprintf(why->text, sizeof why->text, "%s: %s", numbers[i].key,
			    found == NULL ? "missing" : "not a number");
			return false;
		}
		*numbers[i].to = json_number_value(found);
	}
	row->rounds = rounds < 0 ? 0 : (unsigned)rounds;
	return true;
}

bool
pinioni_row_read(json_t *document, struct row *row, json_error_t *why)
{
	*row = (struct row){ .samples = 0 };
	return read_texts(document, row, why) && read_counts(document, row, why) &&
	    read_numbers(document, row, why);
}
