/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/build.c - `pinion build`: writes the file that runs an application as its code says.
 *
 *   builder --.plan--> deployments with their options --> YAML in memory, read again as a check --> FILE
 *
 * Options at their defaults are comments: whoever edits the file sees what there is.
 */
#include <argp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#include "config.h"
#include "module.h"
#include "verb.h"

enum {
	KEY_OUTPUT = 'o',
	KEY_ROUTE_PREFIX = 256,
	KEY_NAME
};

struct build {
	struct config config;
	struct config_app app;
	const char *output; /* NULL: stdout */
	FILE *to;           /* in memory */
};

/* ---- the command ------------------------------------------------------------------------------ */

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct build *build = state->input;
	pinion_diag diag;

	switch (key) {
	case KEY_OUTPUT:
		build->output = arg;
		return 0;
	case KEY_ROUTE_PREFIX:
		build->app.route_prefix = arg;
		return 0;
	case KEY_NAME:
		build->app.name = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (build->app.import_path == NULL)
			build->app.import_path = arg;
		else if (pinioni_config_say(&build->config, &build->app, arg, &diag) != 0)
			argp_failure(state, EXIT_FAILURE, 0, "%s", diag.text);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_failure(state, EXIT_FAILURE, 0, "which FILE.so?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "output", KEY_OUTPUT, "FILE", 0, "Write FILE (standard output)", 0 },
	{ "route-prefix", KEY_ROUTE_PREFIX, "PATH", 0, "Serve below PATH (/; when named, /NAME)",
	    0 },
	{ "name", KEY_NAME, "NAME", 0, "The application's name (default)", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "FILE.so[:symbol] [key=value ...] [DEPLOYMENT.OPTION=value ...]",
	.doc = "Writes the file with which `pinion run' runs the application as its code and this "
	       "command say. Nothing is started.",
};

/* ---- writing ---------------------------------------------------------------------------------- */

static bool
is_plain(const char *text)
{
	static const char *const meant[] = { "null", "Null", "NULL" };

	for (size_t i = 0; i < sizeof meant / sizeof meant[0]; i++)
		if (strcmp(text, meant[i]) == 0)
			return false;
	for (size_t i = 0; text[i] != '\0'; i++) {
		bool is_word = (text[i] >= 'a' && text[i] <= 'z') ||
		    (text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '0' && text[i] <= '9');

		if (!is_word && strchr(i == 0 ? "/._" : "/._:#-", text[i]) == NULL)
			return false;
	}
	return text[0] != '\0' && text[strlen(text) - 1] != ':';
}

static void
write_text(FILE *to, const char *text)
{
	if (is_plain(text)) {
		(void)fputs(text, to);
		return;
	}
	(void)fputc('"', to);
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\')
			(void)fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < ' ' || *text == '\x7f')
			(void)fprintf(to, "\\x%02x", (unsigned char)*text);
		else
			(void)fputc(*text, to);
	(void)fputc('"', to);
}

/* key: a text of its own, too. */
static void
write_pair(FILE *to, const char *indent, const char *key, const char *value)
{
	(void)fputs(indent, to);
	write_text(to, key);
	(void)fputs(": ", to);
	write_text(to, value);
	(void)fputc('\n', to);
}

static void
write_deployment(void *arg, const pinion_planned *planned)
{
	struct build *build = arg;

	write_pair(build->to, "      - ", "name", planned->deployment);
	for (unsigned i = 0; i < planned->option_count; i++) {
		const pinion_option *option = &planned->options[i];

		if (option->is_default)
			write_pair(build->to, "        # ", option->name,
			    option->value == NULL ? "none" : option->value);
		else
			write_pair(build->to, "        ", option->name, option->value);
	}
}

/* As seen from the folder of the file: relative where it lies in or below it. NULL: there is no such. */
static const char *
import_path(struct build *build)
{
	const char *spec = build->app.import_path;
	size_t length = pinioni_module_path_length(spec);
	const char *symbol = spec[length] == '\0' ? ":app" : spec + length;
	char *path = pinioni_config_print(&build->config, "%.*s", (int)length, spec);
	char *copy = pinioni_config_print(&build->config, "%s", path);
	char *out =
	    pinioni_config_print(&build->config, "%s", build->output == NULL ? "." : build->output);
	char *folder = realpath(dirname(copy), NULL);
	char *from = realpath(build->output == NULL ? "." : dirname(out), NULL);
	size_t above = from == NULL ? 0 : strlen(from);
	const char *found = NULL;

	if (folder != NULL && from != NULL) {
		const char *slash = strcmp(folder, "/") == 0 ? "" : "/";

		found = pinioni_config_print(
		    &build->config, "%s%s%s%s", folder, slash, basename(path), symbol);
		above -= strcmp(from, "/") == 0;
		if (strncmp(found, from, above) == 0 && found[above] == '/')
			found += above + 1;
	}
	free(folder);
	free(from);
	return found;
}

static int
write_all(struct build *build, pinion_builder *builder, pinion_runtime *rt, pinion_diag *diag)
{
	const struct config_app *app = &build->app;
	const pinion_config pairs = { app->pairs, app->pair_count };
	const char *name = app->name == NULL ? "default" : app->name;
	const char *route = app->route_prefix != NULL ? app->route_prefix
	    : strcmp(name, "default") == 0            ? "/"
					   : pinioni_config_print(&build->config, "/%s", name);
	const char *path = import_path(build);

	if (path == NULL)
		return pinioni_config_refuse(diag, NULL, "%s: %s",
		    build->output == NULL ? "." : build->output, strerror(errno));
	(void)fputs(
	    "# For `pinion run`. What is behind a # is as by default; what is left out is as in code.\n"
	    "applications:\n",
	    build->to);
	write_pair(build->to, "  - ", "name", name);
	write_pair(build->to, "    ", "import_path", path);
	write_pair(build->to, "    ", "route_prefix", route);
	if (app->pair_count != 0)
		(void)fputs("    args:\n", build->to);
	for (size_t i = 0; i < app->pair_count; i++)
		write_pair(build->to, "      ", app->pairs[i].key, app->pairs[i].value);
	(void)fputs("    deployments:\n", build->to);
	return pinion_run(rt, builder, NULL, .name = name, .route_prefix = route, .config = &pairs,
		   .overrides = { app->overrides, app->override_count }, .plan = write_deployment,
		   .plan_arg = build, .diag = diag) == 0
	    ? 0
	    : -1;
}

/* Into memory. No worker: only the graph is made. */
static int
plan(struct build *build, char **text, size_t *length, pinion_diag *diag)
{
	pinion_runtime *rt = NULL;
	pinion_builder *builder;
	int err;

	if (pinioni_module_open(build->app.import_path, &builder, diag) != 0 ||
	    pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .diag = diag) != 0)
		return -1;
	build->to = open_memstream(text, length);
	err = build->to == NULL ? pinioni_config_refuse(diag, NULL, "%s", strerror(errno))
				: write_all(build, builder, rt, diag);
	if (build->to != NULL && fclose(build->to) != 0 && err == 0)
		err = pinioni_config_refuse(diag, NULL, "%s", strerror(errno));
	pinion_stop(rt);
	return err;
}

/* Not every text can be in a file: one that is no UTF-8 cannot. */
static int
check(pinion_str text, pinion_diag *diag)
{
	struct config again = { .apps = NULL };
	pinion_diag why;
	int err = pinioni_config_read_text(&again, "line", text, &why);

	pinioni_config_free(&again);
	return err == 0
	    ? 0
	    : pinioni_config_refuse(diag, NULL, "this cannot be said in YAML: %s", why.text);
}

static int
save(const char *path, pinion_str text, pinion_diag *diag)
{
	FILE *to = path == NULL ? stdout : fopen(path, "we");
	bool is_saved = to != NULL && fwrite(text.data, 1, text.len, to) == text.len;

	if (to != NULL)
		is_saved = (path == NULL ? fflush(to) : fclose(to)) == 0 && is_saved;
	return is_saved ? 0
			: pinioni_config_refuse(diag, NULL, "%s: %s",
			      path == NULL ? "standard output" : path, strerror(errno));
}

int
pinioni_verb_build(int argc, char **argv)
{
	struct build build = { .output = NULL };
	char *text = NULL;
	size_t length = 0;
	pinion_diag diag = { "" };
	int code = EXIT_SUCCESS;

	if (argp_parse(&argp, argc, argv, 0, NULL, &build) != 0 ||
	    plan(&build, &text, &length, &diag) != 0 ||
	    check((pinion_str){ text, length }, &diag) != 0 ||
	    save(build.output, (pinion_str){ text, length }, &diag) != 0) {
		(void)fprintf(stderr, "pinion build: %s\n", diag.text);
		code = EXIT_FAILURE;
	}
	free(text);
	pinioni_config_free(&build.config);
	return code;
}
