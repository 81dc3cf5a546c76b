/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/config.c - see config.h.
 */
#include "config.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PORT_ANY = -1, /* pinion_http.h, .port */
	PORT_MAX = 65535,
};

/* ---- memory ----------------------------------------------------------------------------------- */

struct config_block {
	struct config_block *next;
	alignas(max_align_t) unsigned char bytes[];
};

void *
pinioni_config_take(struct config *config, size_t size)
{
	struct config_block *block = calloc(1, sizeof *block + size);

	if (block == NULL) {
		(void)fputs("pinion: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	block->next = config->blocks;
	config->blocks = block;
	return block->bytes;
}

char *
pinioni_config_print(struct config *config, const char *format, ...)
{
	va_list values;
	int length;
	char *text;

	va_start(values, format);
	length = vsnprintf(NULL, 0, format, values);
	va_end(values);
	text = pinioni_config_take(config, (size_t)length + 1);
	va_start(values, format);
	(void)vsnprintf(text, (size_t)length + 1, format, values);
	va_end(values);
	return text;
}

void
pinioni_config_free(struct config *config)
{
	while (config->blocks != NULL) {
		struct config_block *block = config->blocks;

		config->blocks = block->next;
		free(block);
	}
}

/* Texts of a file may have line ends in them; what is wrong is said in one line. */
static void
make_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == '\x7f')
			*text = '?';
}

int
pinioni_config_refuse(pinion_diag *diag, const char *where, const char *format, ...)
{
	int length = 0;
	va_list values;

	if (where != NULL)
		length = snprintf(diag->text, sizeof diag->text, "%s: ", where);
	/* Else a path as long as that is what is wrong. */
	if ((size_t)length < sizeof diag->text) {
		va_start(values, format);
		(void)vsnprintf(
		    diag->text + length, sizeof diag->text - (size_t)length, format, values);
		va_end(values);
	}
	make_line(diag->text);
	return -1;
}

/* Room for one more of this size: it is doubled at each power of two. */
static void *
room_for_one(struct config *config, void *list, size_t count, size_t size)
{
	void *more;

	if ((count & (count - 1)) != 0)
		return list;
	more = pinioni_config_take(config, (count == 0 ? 1 : 2 * count) * size);
	if (count != 0)
		memcpy(more, list, count * size);
	return more;
}

/* ---- settings --------------------------------------------------------------------------------- */

const char *
pinioni_config_setting_name(enum config_setting setting)
{
	static const char *const names[SETTINGS] = {
		[SETTING_HOST] = "host",
		[SETTING_PORT] = "port",
		[SETTING_REQUEST_TIMEOUT] = "request_timeout",
		[SETTING_WORKERS] = "workers",
		[SETTING_IDLE] = "idle",
		[SETTING_POLL] = "poll",
		[SETTING_LISTEN] = "listen",
		[SETTING_LISTEN_GROUP] = "listen_group",
	};

	return names[setting];
}

static int
read_number(const char *text, int min, int max, int *number, pinion_diag *diag)
{
	char *end;

	errno = 0;
	long read = strtol(text, &end, 10);

	if (errno != 0 || end == text || *end != '\0' || read < min || read > max)
		return pinioni_config_refuse(
		    diag, NULL, "'%s' is not a number from %d to %d", text, min, max);
	*number = (int)read;
	return 0;
}

/* Seconds, also parts of one, to nanoseconds. */
static int
read_seconds(const char *text, int64_t *ns, pinion_diag *diag)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 1e-6) || seconds > 1e6)
		return pinioni_config_refuse(
		    diag, NULL, "'%s' is not a number of seconds from 0.000001 to 1000000", text);
	*ns = (int64_t)(seconds * 1e9);
	return 0;
}

static int
set(struct config *config, enum config_setting setting, const char *text, pinion_diag *diag)
{
	int err = 0;

	switch (setting) {
	case SETTING_HOST:
		config->host = text;
		break;
	case SETTING_IDLE:
		config->idle = text;
		break;
	case SETTING_POLL:
		config->poll = text;
		break;
	case SETTING_LISTEN:
		config->listen = text;
		break;
	case SETTING_LISTEN_GROUP:
		config->listen_group = text;
		break;
	case SETTING_PORT:
		err = read_number(text, 0, PORT_MAX, &config->port, diag);
		config->port = config->port == 0 ? PORT_ANY : config->port;
		break;
	case SETTING_WORKERS:
		err = read_number(text, 1, PINION_WORKERS_MAX, &config->workers, diag);
		break;
	case SETTING_REQUEST_TIMEOUT:
		err = read_seconds(text, &config->request_timeout_ns, diag);
		break;
	case SETTINGS:
		break;
	}
	return err;
}

int
pinioni_config_set(struct config *config, enum config_setting setting, const char *text,
    const char *where, pinion_diag *diag)
{
	struct config other = *config;
	pinion_diag why;

	if (set(&other, setting, text, &why) != 0)
		return where == NULL ? pinioni_config_refuse(diag, NULL, "%s", why.text)
				     : pinioni_config_refuse(diag, where, "%s: %s",
					   pinioni_config_setting_name(setting), why.text);
	if (config->settings[setting].is_said)
		return 0;
	*config = other;
	config->settings[setting].is_said = true;
	config->settings[setting].where = where;
	return 0;
}

/* ---- pairs and overrides ---------------------------------------------------------------------- */

void
pinioni_config_add_pair(
    struct config *config, struct config_app *app, const char *key, const char *value)
{
	for (size_t i = 0; i < app->pair_count; i++)
		if (strcmp(app->pairs[i].key, key) == 0) {
			app->pairs[i].value = value;
			return;
		}
	app->pairs = room_for_one(config, app->pairs, app->pair_count, sizeof *app->pairs);
	app->pairs[app->pair_count++] = (pinion_pair){ key, value };
}

void
pinioni_config_add_override(
    struct config *config, struct config_app *app, const pinion_override *override)
{
	app->overrides =
	    room_for_one(config, app->overrides, app->override_count, sizeof *app->overrides);
	app->overrides[app->override_count++] = *override;
}

static bool
is_said(const struct config_app *app, const char *deployment, const char *key)
{
	for (size_t i = 0; deployment == NULL && i < app->pair_count; i++)
		if (strcmp(app->pairs[i].key, key) == 0)
			return true;
	for (size_t i = 0; deployment != NULL && i < app->override_count; i++)
		if (strcmp(app->overrides[i].deployment, deployment) == 0 &&
		    strcmp(app->overrides[i].option, key) == 0)
			return true;
	return false;
}

int
pinioni_config_say(struct config *config, struct config_app *app, char *text, pinion_diag *diag)
{
	char *equals = strchr(text, '='), *dot;
	const char *deployment = NULL, *key = text;

	if (equals == NULL || equals == text)
		return pinioni_config_refuse(diag, NULL, "'%s' is not key=value", text);
	*equals = '\0';
	/* Deployments' names may have dots, options have none. */
	dot = strrchr(text, '.');
	if (dot != NULL && (dot == text || dot[1] == '\0'))
		return pinioni_config_refuse(diag, NULL,
		    "'%s' is not DEPLOYMENT.OPTION, as in Greeter.num_replicas=3", text);
	if (dot != NULL) {
		*dot = '\0';
		deployment = text;
		key = dot + 1;
	}
	if (is_said(app, deployment, key))
		return pinioni_config_refuse(diag, NULL, "'%s%s%s' is given twice",
		    deployment == NULL ? "" : deployment, deployment == NULL ? "" : ".", key);
	if (deployment == NULL)
		pinioni_config_add_pair(config, app, key, equals + 1);
	else
		pinioni_config_add_override(config, app,
		    &(const pinion_override){
			.deployment = deployment, .option = key, .value = equals + 1 });
	return 0;
}

/* ---- file and command ------------------------------------------------------------------------- */

static const char *
name_of(const struct config_app *app)
{
	return app->name == NULL ? "default" : app->name;
}

/* As pinion_run has it. */
static const char *
route_of(struct config *config, const struct config_app *app)
{
	if (app->route_prefix != NULL)
		return app->route_prefix;
	return strcmp(name_of(app), "default") == 0
	    ? "/"
	    : pinioni_config_print(config, "/%s", name_of(app));
}

/* Below which the same paths lie: with or without a slash at the end. */
static bool
route_is(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b);

	m -= m > 1 && a[m - 1] == '/';
	n -= n > 1 && b[n - 1] == '/';
	return m == n && memcmp(a, b, m) == 0;
}

/* What pinion_run would refuse as well, but not know the place of. */
static int
check_apps(struct config *config, pinion_diag *diag)
{
	for (size_t i = 0; i < config->app_count; i++) {
		const struct config_app *app = &config->apps[i];
		const char *route = route_of(config, app);
		const char *route_where =
		    app->route_prefix != NULL ? app->route_prefix_where : app->where;

		if (route[0] != '/')
			return pinioni_config_refuse(
			    diag, route_where, "route_prefix '%s' does not begin with /", route);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(name_of(&config->apps[k]), name_of(app)) == 0)
				return pinioni_config_refuse(diag,
				    app->name_where != NULL ? app->name_where : app->where,
				    "name '%s' is another application's", name_of(app));
			if (route_is(route_of(config, &config->apps[k]), route))
				return pinioni_config_refuse(diag, route_where,
				    "route_prefix '%s' is that of '%s'", route,
				    name_of(&config->apps[k]));
		}
	}
	return 0;
}

static bool
says_anything(const struct config_app *command)
{
	return command->name != NULL || command->route_prefix != NULL || command->pair_count != 0 ||
	    command->override_count != 0;
}

static int
lay_over(struct config *config, const struct config_app *command, pinion_diag *diag)
{
	struct config_app *app = config->apps;

	if (!says_anything(command))
		return 0;
	if (config->app_count != 1)
		return pinioni_config_refuse(diag, NULL,
		    "the file has %zu applications: what is said of one of them belongs there",
		    config->app_count);
	if (command->name != NULL) {
		app->name = command->name;
		app->name_where = NULL;
	}
	if (command->route_prefix != NULL) {
		app->route_prefix = command->route_prefix;
		app->route_prefix_where = NULL;
	}
	for (size_t i = 0; i < command->pair_count; i++)
		pinioni_config_add_pair(
		    config, app, command->pairs[i].key, command->pairs[i].value);
	for (size_t i = 0; i < command->override_count; i++) {
		pinion_override o = command->overrides[i];

		o.where = "beside the file"; /* the application's place is not this one's */
		pinioni_config_add_override(config, app, &o);
	}
	return 0;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), own = strlen(end);

	return length >= own && strcmp(text + length - own, end) == 0;
}

int
pinioni_config_load(
    struct config *config, const char *file, const struct config_app *command, pinion_diag *diag)
{
	if (ends_with(file, ".yaml") || ends_with(file, ".yml")) {
		if (pinioni_config_read_file(config, file, diag) != 0 ||
		    lay_over(config, command, diag) != 0)
			return -1;
	} else {
		config->apps = pinioni_config_take(config, sizeof *config->apps);
		config->app_count = 1;
		config->apps[0] = *command;
		config->apps[0].import_path = file;
	}
	return check_apps(config, diag);
}
