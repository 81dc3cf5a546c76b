/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/start.c - see start.h.
 */
#include "start.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

static int
open_modules(const struct config *config, pinion_builder **builders, pinion_diag *diag)
{
	for (size_t i = 0; i < config->app_count; i++) {
		const struct config_app *app = &config->apps[i];
		pinion_diag why = { "" };

		if (pinioni_module_open(app->import_path, &builders[i], &why) != 0)
			return pinioni_config_refuse(diag, app->import_where, "%s", why.text);
	}
	return 0;
}

/* It begins with the option's name, whose place we may know. */
static int
refuse_start(const struct config *config, const pinion_diag *why, pinion_diag *diag)
{
	for (int i = 0; i < SETTINGS; i++) {
		const char *name = pinioni_config_setting_name((enum config_setting)i);

		if (strncmp(why->text, name, strlen(name)) == 0)
			return pinioni_config_refuse(
			    diag, config->settings[i].where, "%s", why->text);
	}
	return pinioni_config_refuse(diag, NULL, "%s", why->text);
}

/* What is wrong with an override says so itself; of the rest we know the application. */
static int
refuse_run(const struct config_app *app, const pinion_diag *why, pinion_diag *diag)
{
	const char *where = app->where;

	for (size_t i = 0; i < app->override_count; i++) {
		const char *own = app->overrides[i].where;

		if (own != NULL && strncmp(why->text, own, strlen(own)) == 0)
			where = NULL;
	}
	return pinioni_config_refuse(diag, where, "%s", why->text);
}

/* ---- isolated deployments --------------------------------------------------------------------- */

/* Of one application, each replica of which is a process. */
static void
count_hosts(void *count, const pinion_planned *planned)
{
	bool is_isolated = false;
	int replicas = 0;

	for (unsigned i = 0; i < planned->option_count; i++) {
		const pinion_option *o = &planned->options[i];

		if (strcmp(o->name, "isolation") == 0)
			is_isolated = strcmp(o->value, "process") == 0;
		else if (strcmp(o->name, "num_replicas") == 0)
			replicas = atoi(o->value); /* as it was checked */
	}
	if (is_isolated)
		*(int *)count += replicas;
}

/* How many are needed is known before the runtime is made that has room for them: by one in which nothing runs. */
static int
plan_hosts(const struct config *config, pinion_builder **builders, int *count, pinion_diag *diag)
{
	pinion_diag why = { "" };
	pinion_runtime *rt;
	int err = 0;

	*count = 0;
	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .diag = &why) != 0)
		return refuse_start(config, &why, diag);
	for (size_t i = 0; i < config->app_count && err == 0; i++) {
		const struct config_app *app = &config->apps[i];
		const pinion_config pairs = { app->pairs, app->pair_count };
		pinion_handle handle;

		if (pinion_run(rt, builders[i], &handle, .name = app->name,
			.route_prefix = app->route_prefix, .config = &pairs, .diag = &why,
			.overrides = { app->overrides, app->override_count }, .plan = count_hosts,
			.plan_arg = count) != 0)
			err = refuse_run(app, &why, diag);
	}
	pinion_stop(rt);
	return err;
}

static void
free_command(const char **words)
{
	for (size_t i = 3; words != NULL && words[i] != NULL; i++)
		free((char *)(uintptr_t)words[i]);
	free(words);
}

/* `pinion host` with the module and its pairs; the runtime adds what it is to serve. NULL: no memory. */
static const char **
host_command(const struct config_app *app)
{
	const char **words = calloc(app->pair_count + 4, sizeof *words);
	size_t count = 0;

	if (words == NULL)
		return NULL;
	words[count++] = "/proc/self/exe";
	words[count++] = "host";
	words[count++] = app->import_path;
	for (size_t i = 0; i < app->pair_count; i++) {
		char *pair;

		if (asprintf(&pair, "%s=%s", app->pairs[i].key, app->pairs[i].value) < 0) {
			free_command(words);
			return NULL;
		}
		words[count++] = pair;
	}
	return words;
}

/* A name under which nobody but its own processes looks for it. */
static const char *
own_name(char room[32])
{
	(void)snprintf(room, 32, "run-%ld", (long)getpid());
	return room;
}

/* ---- starting -------------------------------------------------------------------------------- */

static int
run_all(
    const struct config *config, pinion_builder **builders, pinion_runtime *rt, pinion_diag *diag)
{
	for (size_t i = 0; i < config->app_count; i++) {
		const struct config_app *app = &config->apps[i];
		const pinion_config pairs = { app->pairs, app->pair_count };
		const char **command = host_command(app);
		pinion_diag why = { "" };
		pinion_handle handle;
		int err;

		if (command == NULL)
			return pinioni_config_refuse(diag, NULL, "out of memory");
		err = pinion_run(rt, builders[i], &handle, .name = app->name,
		    .route_prefix = app->route_prefix, .config = &pairs, .diag = &why,
		    .overrides = { app->overrides, app->override_count }, .host_command = command);
		free_command(command);
		if (err != 0)
			return refuse_run(app, &why, diag);
	}
	return 0;
}

int
pinioni_start(
    const struct config *config, pinion_log_fn *log, pinion_runtime **rt, pinion_diag *diag)
{
	pinion_builder **builders = calloc(config->app_count, sizeof(pinion_builder *));
	const char *listen = config->listen;
	pinion_diag why = { "" };
	char room[32];
	int hosts, err = -1;

	if (builders == NULL) {
		err = pinioni_config_refuse(diag, NULL, "out of memory");
	} else if (open_modules(config, builders, diag) == 0 &&
	    plan_hosts(config, builders, &hosts, diag) == 0) {
		if (listen == NULL && hosts != 0)
			listen = own_name(room);
		err = pinion_start(rt, .workers = config->workers, .idle = config->idle,
		    .poll = config->poll, .log = log, .diag = &why, .name = config->listen,
		    .listen = listen, .listen_group = config->listen_group, .host_workers = hosts);
		if (err != 0)
			err = refuse_start(config, &why, diag);
		else
			err = run_all(config, builders, *rt, diag);
		if (err != 0)
			pinion_stop(*rt);
	}
	free(builders);
	return err;
}
