/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/host.c - `pinion host`: this process runs one replica of an isolated deployment. `pinion run` starts one for each.
 *
 *   load -> pinion_host: claim a replica, run its init -> wait until told to end, or nobody is there -> leave
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#include "config.h"
#include "module.h"
#include "verb.h"

enum {
	WORDS_MAX = 4 /* behind the file, and beside key=value */
};

struct host {
	struct config config;
	struct config_app app;
	const char *words[WORDS_MAX]; /* runtime, application, deployment, replica */
	unsigned word_count;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct host *host = state->input;
	pinion_diag diag;

	switch (key) {
	case ARGP_KEY_ARG:
		if (host->app.import_path == NULL)
			host->app.import_path = arg;
		else if (strchr(arg, '=') != NULL) {
			if (pinioni_config_say(&host->config, &host->app, arg, &diag) != 0)
				argp_failure(state, EXIT_FAILURE, 0, "%s", diag.text);
		} else if (host->word_count == WORDS_MAX)
			return ARGP_ERR_UNKNOWN;
		else
			host->words[host->word_count++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (host->word_count < WORDS_MAX - 1)
			argp_failure(state, EXIT_FAILURE, 0,
			    "which FILE.so, and of which NAME, APPLICATION and DEPLOYMENT?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "FILE.so[:symbol] [key=value ...] NAME APPLICATION DEPLOYMENT [REPLICA]",
	.doc =
	    "Runs a replica of a deployment that is isolated, for what listens by NAME: the one of that number, or any that "
	    "has no process yet. `pinion run' starts these processes itself, and starts them again.\v"
	    "It ends when it is told to, or when what listened has ended.",
};

static void
log_line(void *arg, const char *line)
{
	const struct host *host = arg;

	(void)fprintf(stderr, "pinion host: %s: %s\n", host->words[2], line);
}

static int
complain(const struct host *host, const pinion_diag *diag)
{
	(void)fprintf(stderr, "pinion host: %s: %s\n", host->words[2], diag->text);
	return EXIT_FAILURE;
}

static int
serve(struct host *host)
{
	const pinion_config pairs = { host->app.pairs, host->app.pair_count };
	pinion_diag diag = { "" };
	pinion_builder *builder;
	pinion_runtime *rt;
	int err;

	if (pinioni_module_open(host->app.import_path, &builder, &diag) != 0 ||
	    pinion_host(&rt, host->words[0], builder, .app = host->words[1],
		.deployment = host->words[2], .replica = host->words[3], .config = &pairs,
		.log = log_line, .log_arg = host, .diag = &diag) != 0)
		return complain(host, &diag);
	err = pinion_host_wait(rt);
	pinion_stop(rt);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
pinioni_verb_host(int argc, char **argv)
{
	struct host host = { .word_count = 0 };
	int code;

	if (argp_parse(&argp, argc, argv, 0, NULL, &host) != 0) {
		perror("pinion host");
		pinioni_config_free(&host.config);
		return EXIT_FAILURE;
	}
	code = serve(&host);
	pinioni_config_free(&host.config);
	return code;
}
