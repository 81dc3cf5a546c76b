/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/run.c - `pinion run`: runs the applications of a module or a file, and serves them until told to stop.
 *
 *   block SIGINT, SIGTERM -> load -> start -> run -> listen -> ready lines -> wait -> drain
 *
 * Threads   The signals are blocked before any other thread exists, so that the watcher alone takes
 *           them: the first lets the calls under way finish, the second ends the process at once,
 *           even from inside a replica's init that never returns.
 */
#include <argp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinion/pinion.h>
#include <pinion/pinion_http.h>

#include "config.h"
#include "start.h"
#include "verb.h"

enum {
	KEY_ROUTE_PREFIX = 256,
	KEY_NAME,
	KEY_NO_HTTP
};

struct run {
	struct config config;
	struct config_app command; /* what is said beside the file */
	const char *file;
	bool no_http;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct run *run = state->input;
	pinion_diag diag;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &run->config;
		state->child_inputs[1] = &run->config;
		return 0;
	case KEY_ROUTE_PREFIX:
		run->command.route_prefix = arg;
		return 0;
	case KEY_NAME:
		run->command.name = arg;
		return 0;
	case KEY_NO_HTTP:
		run->no_http = true;
		return 0;
	case ARGP_KEY_ARG:
		if (run->file == NULL)
			run->file = arg;
		else if (pinioni_config_say(&run->config, &run->command, arg, &diag) != 0)
			argp_failure(state, EXIT_FAILURE, 0, "%s", diag.text);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_failure(state, EXIT_FAILURE, 0, "which FILE.so or FILE.yaml?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "route-prefix", KEY_ROUTE_PREFIX, "PATH", 0, "Serve below PATH (/; when named, /NAME)",
	    0 },
	{ "name", KEY_NAME, "NAME", 0, "The application's name (default)", 0 },
	{ "no-http", KEY_NO_HTTP, NULL, 0, "Run the application, do not listen", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp_child children[] = { { &pinioni_settings_of_runtime, 0, NULL, 0 },
	{ &pinioni_settings_of_http, 0, NULL, 0 }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.children = children,
	.args_doc = "FILE.so[:symbol]|FILE.yaml [key=value ...] [DEPLOYMENT.OPTION=value ...]",
	.doc =
	    "Runs the application that FILE.so declares with PINION_APP(symbol) (app), or those of "
	    "FILE.yaml, and serves them over HTTP. Its builder gets the key=value pairs; "
	    "DEPLOYMENT.OPTION=value stands over what the code says.\v"
	    "The first Ctrl-C or SIGTERM lets the calls under way finish; the second ends it at "
	    "once.",
};

struct watcher {
	pthread_t thread;
	sigset_t signals;
	sem_t told; /* to stop */
};

static void *
watch(void *arg)
{
	struct watcher *watcher = arg;
	int signo;

	(void)sigwait(&watcher->signals, &signo);
	(void)fputs("pinion: stopping; the next signal ends it at once\n", stderr);
	(void)sem_post(&watcher->told);
	(void)sigwait(&watcher->signals, &signo);
	_exit(128 + signo);
}

static int
watcher_start(struct watcher *watcher)
{
	(void)sigemptyset(&watcher->signals);
	(void)sigaddset(&watcher->signals, SIGINT);
	(void)sigaddset(&watcher->signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &watcher->signals, NULL);
	(void)sem_init(&watcher->told, 0, 0);
	return pthread_create(&watcher->thread, NULL, watch, watcher);
}

static void
watcher_wait(struct watcher *watcher)
{
	while (sem_wait(&watcher->told) != 0 && errno == EINTR)
		;
}

static void
watcher_stop(struct watcher *watcher)
{
	(void)pthread_cancel(watcher->thread); /* sigwait is a cancellation point */
	(void)pthread_join(watcher->thread, NULL);
	(void)sem_destroy(&watcher->told);
}

static void
log_line(void *arg, const char *line)
{
	(void)arg;
	(void)fprintf(stderr, "pinion: %s\n", line);
}

static int
complain(const pinion_diag *diag)
{
	(void)fprintf(stderr, "pinion run: %s\n", diag->text);
	return EXIT_FAILURE;
}

static void
print_ready(const struct run *run, pinion_runtime *rt, pinion_http *http, const pinion_route *route)
{
	unsigned workers = pinion_worker_look(rt, 0, NULL);
	bool is_v6 = strchr(run->config.host, ':') != NULL;

	printf("pinion: app '%s' ", route->app);
	if (http != NULL)
		printf("at http://%s%s%s:%u%s", is_v6 ? "[" : "", run->config.host,
		    is_v6 ? "]" : "", pinion_http_port(http), route->prefix);
	else
		printf("without HTTP");
	printf(" (%u worker%s)", workers, workers == 1 ? "" : "s");
	if (run->config.listen != NULL)
		printf(", found as '%s'", run->config.listen);
	(void)putchar('\n');
}

/* A line for each application, all at once. */
static void
print_all_ready(const struct run *run, pinion_runtime *rt, pinion_http *http)
{
	unsigned count = pinion_route_list(rt, NULL, 0);
	pinion_route *routes = calloc(count, sizeof *routes);

	if (routes != NULL)
		(void)pinion_route_list(rt, routes, count);
	for (unsigned i = 0; routes != NULL && i < count; i++)
		print_ready(run, rt, http, &routes[i]);
	(void)fflush(stdout);
	free(routes);
}

static int
serve(const struct run *run, pinion_runtime *rt, struct watcher *watcher)
{
	const struct config *config = &run->config;
	pinion_http *http = NULL;
	pinion_diag diag = { "" };

	if (!run->no_http &&
	    pinion_http_start(rt, &http, .host = config->host, .port = config->port,
		.log = log_line, .request_timeout_ns = config->request_timeout_ns,
		.diag = &diag) != 0)
		return complain(&diag);
	print_all_ready(run, rt, http);
	watcher_wait(watcher);
	pinion_http_stop(http);
	return EXIT_SUCCESS;
}

static int
run_file(struct run *run, struct watcher *watcher)
{
	pinion_diag diag = { "" };
	pinion_runtime *rt;
	int code;

	if (pinioni_config_load(&run->config, run->file, &run->command, &diag) != 0)
		return complain(&diag);
	if (run->config.host == NULL)
		run->config.host = "127.0.0.1";
	if (pinioni_start(&run->config, log_line, &rt, &diag) != 0)
		return complain(&diag);
	code = serve(run, rt, watcher);
	pinion_stop(rt);
	return code;
}

int
pinioni_verb_run(int argc, char **argv)
{
	struct run run = { .file = NULL };
	struct watcher watcher;
	int code;

	if (argp_parse(&argp, argc, argv, 0, NULL, &run) != 0 || watcher_start(&watcher) != 0) {
		perror("pinion run");
		pinioni_config_free(&run.config);
		return EXIT_FAILURE;
	}
	code = run_file(&run, &watcher);
	watcher_stop(&watcher);
	pinioni_config_free(&run.config);
	return code;
}
