/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/config.h - what a file and a command say: applications with their options, and how they are served.
 *
 *   FILE.yaml --------> applications, settings
 *   FILE.so[:symbol] -> one application
 *   --host=, key=value, DEPLOYMENT.OPTION=value --> over it
 *
 * What is said remembers where, so that whoever finds it wrong later can say so too: "app.yaml:12".
 *
 * Memory   Texts of a command are argv's. All else is the config's until pinioni_config_free. Where memory is short the
 *          command says so and ends: it has nothing to lose.
 */
#ifndef PINION_CLI_CONFIG_H
#define PINION_CLI_CONFIG_H

#include <pinion/pinion.h>

struct argp;

/* In where: NULL, a command said it, or nobody. */
struct config_app {
	const char *name, *name_where;                 /* NULL: default */
	const char *import_path, *import_where;        /* FILE.so[:symbol], from where we are */
	const char *route_prefix, *route_prefix_where; /* NULL: by its name */
	const char *where;
	pinion_pair *pairs; /* for its builder */
	size_t pair_count;
	pinion_override *overrides;
	size_t override_count;
};

enum config_setting {
	SETTING_HOST,
	SETTING_PORT,
	SETTING_REQUEST_TIMEOUT,
	SETTING_WORKERS,
	SETTING_IDLE,
	SETTING_POLL,
	SETTING_LISTEN,
	SETTING_LISTEN_GROUP,
	SETTINGS
};

struct config {
	struct config_app *apps;
	size_t app_count;
	const char *host, *idle, *poll, *listen, *listen_group;
	int port; /* as in pinion_http.h: -1 is any free one */
	int workers;
	int64_t request_timeout_ns;
	struct {
		bool is_said;
		const char *where;
	} settings[SETTINGS];
	struct config_block *blocks;
};

/* As in a file: "host", "request_timeout". */
const char *pinioni_config_setting_name(enum config_setting setting);
/* What was said before stays, and this is only looked at: a command comes before its file. -1, with what is wrong. */
int pinioni_config_set(struct config *config, enum config_setting setting, const char *text,
    const char *where, pinion_diag *diag) PINION_MUST_CHECK;
/* settings.c: the settings as options; a verb's parser has them as children, whose input is its config. */
extern const struct argp pinioni_settings_of_runtime, pinioni_settings_of_http;
/* key=value or DEPLOYMENT.OPTION=value of a command; cuts the text. -1, with what is wrong. */
int pinioni_config_say(
    struct config *config, struct config_app *app, char *text, pinion_diag *diag) PINION_MUST_CHECK;
void pinioni_config_add_pair(
    struct config *config, struct config_app *app, const char *key, const char *value);
void pinioni_config_add_override(
    struct config *config, struct config_app *app, const pinion_override *override);

/* Reads a file (.yaml, .yml), or takes it as a module; with what the command says of its one application. -1, with
 * what is wrong, and where. */
int pinioni_config_load(struct config *config, const char *file, const struct config_app *command,
    pinion_diag *diag) PINION_MUST_CHECK;
/* config_file.c: the applications and settings of a YAML file, or of a text that is called so. */
int pinioni_config_read_file(
    struct config *config, const char *path, pinion_diag *diag) PINION_MUST_CHECK;
int pinioni_config_read_text(struct config *config, const char *called, pinion_str text,
    pinion_diag *diag) PINION_MUST_CHECK;

/* Zeroed. */
void *pinioni_config_take(struct config *config, size_t size);
char *pinioni_config_print(struct config *config, const char *format, ...) PINION_PRINTF(2, 3);
/* In diag; returns -1. where: NULL, nowhere. */
int pinioni_config_refuse(pinion_diag *diag, const char *where, const char *format, ...)
    PINION_PRINTF(3, 4) PINION_MUST_CHECK;
void pinioni_config_free(struct config *config);

#endif
