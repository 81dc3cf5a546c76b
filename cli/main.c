/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/main.c - the `pinion` command: finds the verb and hands over to it.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#include "verb.h"

static const struct verb {
	const char *name;
	char *called; /* argv[0] of the verb, as its --help shows it */
	pinion_verb *start;
} verbs[] = {
	{ "build", "pinion build", pinioni_verb_build },
	{ "call", "pinion call", pinioni_verb_call },
	{ "host", "pinion host", pinioni_verb_host },
	{ "run", "pinion run", pinioni_verb_run },
	{ "status", "pinion status", pinioni_verb_status },
	{ "version", "pinion version", pinioni_verb_version },
};

struct command {
	const struct verb *verb;
	int argc;
	char **argv;
};

static const char doc[] =
    "Composes deployments in shared memory.\v"
    "Verbs:\n"
    "  build FILE.so[:symbol] [key=value ...]                   writes a file that runs it\n"
    "  call FILE.so[:symbol] [[DEPLOYMENT.]METHOD] [JSON]       calls it once, or often\n"
    "  call NAME[.DEPLOYMENT[.METHOD]] [JSON]                   the same of what runs\n"
    "  host FILE.so[:symbol] NAME APPLICATION DEPLOYMENT        runs an isolated replica of it\n"
    "  run FILE.so[:symbol]|FILE.yaml [key=value ...]           serves it over HTTP\n"
    "  status [NAME]                                            shows what runs, and how it does\n"
    "  version                                                  says what this is made of\n"
    "\n"
    "`pinion VERB --help' tells more.";

static const struct verb *
verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct command *command = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (strcmp(arg, "help") == 0)
			argp_state_help(state, stdout, ARGP_HELP_STD_HELP); /* and exits, with 0 */
		command->verb = verb_find(arg);
		if (command->verb == NULL)
			argp_failure(state, EXIT_FAILURE, 0,
			    "there is no verb '%s' (try pinion --help)", arg);
		command->argc = state->argc - state->next + 1;
		command->argv = state->argv + state->next - 1;
		state->next = state->argc; /* the rest is the verb's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
main(int argc, char **argv)
{
	static const struct argp argp = { .parser = parse, .args_doc = "VERB ...", .doc = doc };
	struct command command = { .verb = NULL };

	argp_program_version = "pinion " PINION_VERSION;
	argp_err_exit_status = EXIT_FAILURE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &command) != 0)
		return EXIT_FAILURE;
	command.argv[0] = command.verb->called;
	return command.verb->start(command.argc, command.argv);
}
