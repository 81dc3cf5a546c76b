/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect - makes one document and one table of what the programs of this folder have printed with --json.
 *
 *   floor.json   { machine, results } --.
 *   call.json    { machine, results } --+--> --output: { machine, results, hiccups }
 *   hiccup.json  { machine, results } --'--> stdout: the tables of all, as each would have printed its own
 *
 * hiccups   What hiccup saw of the machine lies beside the results, so that no reader takes it for ours. Its samples
 *           (hiccup --before) are rows of the program that comes next, by system "machine".
 * Machine   The same for all: what was measured on another one, of another commit, or with waits of another
 *           kind, is refused.
 * Checked   Each document before anything is written; the first that is broken is named.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#include "bench/kit/machine.h"
#include "bench/kit/report.h"
#include "bench/kit/table.h"

struct collection {
	json_t *documents; /* by which all texts live */
	json_t *machine;   /* borrowed: the first document's */
	json_t *results, *hiccups;
	struct report report;
};

static bool
complain(const char *path, const char *what)
{
	fprintf(stderr, "collect: %s: %s\n", path, what);
	return false;
}

/* ---- one document --------------------------------------------------------------------------- */

static bool
add_row(struct collection *c, json_t *document, const char *path)
{
	json_error_t why = { .text = "" };
	struct row row;

	if (!pinioni_row_read(document, &row, &why))
		return complain(path, why.text);
	return (pinioni_report_add(&c->report, &row) &&
		   json_array_append(strcmp(row.bench, "hiccup") == 0 ? c->hiccups : c->results,
		       document) == 0) ||
	    complain(path, "no memory");
}

/* All but the clock, which each program has measured for itself. */
static bool
is_same_machine(json_t *a, json_t *b)
{
	const char *key;
	json_t *value;

	json_object_foreach(a, key, value) if (strcmp(key, "clock") != 0 &&
	    !json_equal(value, json_object_get(b, key))) return false;
	return true;
}

static bool
add_document(struct collection *c, json_t *document, const char *path)
{
	json_t *machine = json_object_get(document, "machine");
	json_t *results = json_object_get(document, "results"), *row;
	size_t i;

	if (!json_is_object(machine))
		return complain(path, "it has no machine");
	if (c->machine == NULL)
		c->machine = machine;
	if (!is_same_machine(c->machine, machine))
		return complain(path, "of another machine, commit, idle strategy or pace of polls");
	if (json_array_size(results) == 0)
		return complain(path, "it has no results");
	json_array_foreach(results, i, row) if (!add_row(c, row, path)) return false;
	return true;
}

static bool
read_file(struct collection *c, const char *path)
{
	json_error_t why;
	json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	char text[sizeof why.text + 32];

	if (document == NULL) {
		if (why.line <= 0)
			return complain(path, why.text); /* it was not opened */
		(void)snprintf(text, sizeof text, "line %d: %s", why.line, why.text);
		return complain(path, text);
	}
	if (json_array_append_new(c->documents, document) != 0)
		return complain(path, "no memory");
	return add_document(c, document, path);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static bool
write_output(const struct collection *c, const char *path)
{
	json_t *all = json_pack(
	    "{s:O, s:O, s:O}", "machine", c->machine, "results", c->results, "hiccups", c->hiccups);
	bool ok = all != NULL && json_dump_file(all, path, ROW_JSON_FLAGS) == 0;

	json_decref(all);
	return ok || complain(path, "it cannot be written");
}

static bool
collect(struct collection *c, char *const *paths, const char *output)
{
	for (char *const *path = paths; *path != NULL; path++)
		if (!read_file(c, *path))
			return false;
	if (!pinioni_machine_print(c->machine))
		return complain(paths[0], "its machine is not described");
	if (!write_output(c, output))
		return false;
	pinioni_table_print(c->report.rows, c->report.count);
	return true;
}

/* ---- what it is told -------------------------------------------------------------------------------- */

struct told {
	const char *output;
	char **paths; /* then NULL: argp leaves them at argv's end */
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct told *o = state->input;

	switch (key) {
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_ARGS:
		o->paths = &state->argv[state->next];
		return 0;
	case ARGP_KEY_END:
		if (o->output == NULL || o->paths == NULL)
			argp_error(state, "--output and at least one file are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "output", 'o', "FILE", 0, "Where the one document is written", 0 },
		{ 0 },
	};
	const struct argp argp = { .options = options,
		.parser = parse,
		.args_doc = "FILE...",
		.doc = "One document and one table of what programs printed with --json." };
	struct collection c = {
		.documents = json_array(), .results = json_array(), .hiccups = json_array()
	};
	struct told o = { .output = NULL };
	bool ok;

	argp_program_version = "pinion " PINION_VERSION;
	argp_err_exit_status = EXIT_FAILURE;
	(void)argp_parse(&argp, argc, argv, 0, NULL, &o); /* exits by itself */
	ok = collect(&c, o.paths, o.output);
	pinioni_report_free(&c.report);
	json_decref(c.hiccups);
	json_decref(c.results);
	json_decref(c.documents);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
