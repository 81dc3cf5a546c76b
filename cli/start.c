/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/start.c - see start.h.
 */
#include "start.h"

#include <stdlib.h>
#include <string.h>

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

static int
run_all(
    const struct config *config, pinion_builder **builders, pinion_runtime *rt, pinion_diag *diag)
{
	for (size_t i = 0; i < config->app_count; i++) {
		const struct config_app *app = &config->apps[i];
		const pinion_config pairs = { app->pairs, app->pair_count };
		pinion_diag why = { "" };
		pinion_handle handle;

		if (pinion_run(rt, builders[i], &handle, .name = app->name,
			.route_prefix = app->route_prefix, .config = &pairs, .diag = &why,
			.overrides = { app->overrides, app->override_count }) != 0)
			return refuse_run(app, &why, diag);
	}
	return 0;
}

int
pinioni_start(
    const struct config *config, pinion_log_fn *log, pinion_runtime **rt, pinion_diag *diag)
{
	pinion_builder **builders = calloc(config->app_count, sizeof(pinion_builder *));
	pinion_diag why = { "" };
	int err = -1;

	if (builders == NULL) {
		err = pinioni_config_refuse(diag, NULL, "out of memory");
	} else if (open_modules(config, builders, diag) == 0) {
		err = pinion_start(rt, .workers = config->workers, .idle = config->idle,
		    .poll = config->poll, .log = log, .diag = &why, .name = config->listen,
		    .listen = config->listen, .listen_group = config->listen_group);
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
