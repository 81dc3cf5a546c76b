/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/config.c - a YAML file, and what a command says beside it.
 *
 *   input:  the file | 0 | key=value or DEPLOYMENT.OPTION=value | 0 | ...
 *
 * Goal    What is refused says so in one line, and where. What is taken has what `pinion run` relies on, and is taken as a text
 *         of memory as well as as a file.
 * Method  pinioni_config_load opens the input: the linker has it call __wrap_fopen. No other file is opened, nothing runs.
 */
#include <string.h>

#include "cli/config.h"
#include "fuzz.h"

enum {
	WORDS_MAX = 16
};

static const char called[] = "folder/app.yaml";

static struct {
	const void *bytes;
	size_t length;
	bool is_read; /* at this moment: by whom else files are opened, that is libFuzzer's */
} file;

FILE *__real_fopen(const char *path, const char *mode);
PINION_EXPORT FILE *__wrap_fopen(const char *path, const char *mode);

FILE *
__wrap_fopen(const char *path, const char *mode)
{
	if (!file.is_read)
		return __real_fopen(path, mode);
	fuzz_check(strcmp(path, called) == 0, "another file is opened", path);
	/* Read only: it does not write through the pointer. */
	return fmemopen((void *)(uintptr_t)file.bytes, file.length, "r");
}

static void
check_refusal(const pinion_diag *diag)
{
	fuzz_check(diag->text[0] != '\0', "it was refused without a word", "");
	for (const char *at = diag->text; *at != '\0'; at++)
		fuzz_check((unsigned char)*at >= ' ' && *at != '\x7f', "it is not said in one line",
		    diag->text);
}

static void
check_app(const struct config_app *app)
{
	fuzz_check(app->import_path != NULL, "an application has no import_path", "");
	fuzz_check(app->route_prefix == NULL || app->route_prefix[0] == '/',
	    "a route begins without a slash", app->route_prefix);
	for (size_t i = 0; i < app->pair_count; i++) {
		fuzz_check(app->pairs[i].value != NULL, "a key has no value", app->pairs[i].key);
		for (size_t k = 0; k < i; k++)
			fuzz_check(strcmp(app->pairs[i].key, app->pairs[k].key) != 0,
			    "a key is there twice", app->pairs[i].key);
	}
	for (size_t i = 0; i < app->override_count; i++) {
		const pinion_override *o = &app->overrides[i];

		fuzz_check(o->deployment != NULL && o->option != NULL && o->value != NULL,
		    "an override lacks something", "");
	}
}

static void
check_config(const struct config *config)
{
	fuzz_check(config->app_count > 0, "there is no application", "");
	for (size_t i = 0; i < config->app_count; i++)
		check_app(&config->apps[i]);
	fuzz_check(config->workers >= 0 && config->workers <= PINION_WORKERS_MAX,
	    "so many workers are taken", "");
	fuzz_check(config->port >= -1 && config->port <= 65535, "such a port is taken", "");
	fuzz_check(config->request_timeout_ns >= 0, "time goes backwards", "");
}

/* Whether a text of memory is taken. */
static bool
read_text(void)
{
	struct config config = { .apps = NULL };
	pinion_diag diag = { "" };
	int err = pinioni_config_read_text(
	    &config, called, (pinion_str){ file.bytes, file.length }, &diag);

	if (err != 0)
		check_refusal(&diag);
	pinioni_config_free(&config);
	return err == 0;
}

/* The words' own memory is the config's. False: one was refused. */
static bool
read_words(struct config *config, struct config_app *command, const uint8_t *data, size_t size)
{
	for (int i = 0; i < WORDS_MAX && size > 0; i++) {
		size_t length = strnlen((const char *)data, size);
		char *word = pinioni_config_print(config, "%.*s", (int)length, (const char *)data);
		pinion_diag diag = { "" };

		if (pinioni_config_say(config, command, word, &diag) != 0) {
			check_refusal(&diag);
			return false;
		}
		data += length;
		size -= length;
		data += size > 0;
		size -= size > 0;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = { .apps = NULL };
	struct config_app command = { .name = NULL };
	pinion_diag diag = { "" };
	bool is_good;
	int err;

	file.bytes = data;
	file.length = strnlen((const char *)data, size);
	is_good = read_text();
	data += file.length;
	size -= file.length;
	if (read_words(&config, &command, data + (size > 0), size - (size > 0))) {
		file.is_read = true;
		err = pinioni_config_load(&config, called, &command, &diag);
		file.is_read = false;
		fuzz_check(err != 0 || is_good, "as a text it is not what it is as a file", "");
		if (err != 0)
			check_refusal(&diag);
		else
			check_config(&config);
	}
	pinioni_config_free(&config);
	return 0;
}
