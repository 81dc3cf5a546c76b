/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/settings.c - the settings of a file as options of a command, for the parsers of its verbs to take in.
 */
#include <argp.h>
#include <stdlib.h>

#include "config.h"

enum {
	KEY_SETTING = 512 /* + enum config_setting; beside a verb's own */
};

/* Input: the config that it is said to. */
static error_t
parse(int key, char *arg, struct argp_state *state)
{
	pinion_diag diag;

	if (key < KEY_SETTING || key >= KEY_SETTING + SETTINGS)
		return ARGP_ERR_UNKNOWN;
	if (pinioni_config_set(
		state->input, (enum config_setting)(key - KEY_SETTING), arg, NULL, &diag) != 0)
		argp_failure(state, EXIT_FAILURE, 0, "%s", diag.text);
	return 0;
}

static const struct argp_option of_runtime[] = {
	{ "workers", KEY_SETTING + SETTING_WORKERS, "NUMBER", 0,
	    "Worker threads (a core each but one)", 0 },
	{ "idle", KEY_SETTING + SETTING_IDLE, "STRATEGY", 0,
	    "When a worker has nothing to do: adaptive (spin, then sleep), spin or yield", 0 },
	{ "poll", KEY_SETTING + SETTING_POLL, "PACE", 0,
	    "Between two looks of who waits: auto (tried at start), clock, 2 clocks, pause, 2 pauses, 4 pauses or tight",
	    0 },
	{ "listen", KEY_SETTING + SETTING_LISTEN, "NAME", 0,
	    "Let other processes attach by this name (none may)", 0 },
	{ "listen-group", KEY_SETTING + SETTING_LISTEN_GROUP, "GROUP", 0,
	    "And those of this group, beside our own user's", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp_option of_http[] = {
	{ "host", KEY_SETTING + SETTING_HOST, "ADDRESS", 0, "Listen on ADDRESS (127.0.0.1)", 0 },
	{ "port", KEY_SETTING + SETTING_PORT, "NUMBER", 0,
	    "Listen on this port (8000); 0: any free one", 0 },
	{ "request-timeout", KEY_SETTING + SETTING_REQUEST_TIMEOUT, "SECONDS", 0,
	    "Answer 408 after so long, and cancel the call (never)", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

const struct argp pinioni_settings_of_runtime = { .options = of_runtime, .parser = parse };
const struct argp pinioni_settings_of_http = { .options = of_http, .parser = parse };
