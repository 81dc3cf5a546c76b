/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/run.c - `pinion run`: loads a module, runs its application, serves it until told to stop.
 *
 *   block SIGINT, SIGTERM -> load -> start -> run -> listen -> ready line -> wait -> drain
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

#include "module.h"
#include "verb.h"

enum {
	PORT_ANY = -1, /* pinion_http.h, .port */
	PORT_MAX = 65535,
	WORKERS_MAX = 64, /* pinion.h, .workers */
	KEY_HOST = 256,
	KEY_PORT,
	KEY_ROUTE_PREFIX,
	KEY_NAME,
	KEY_NO_HTTP,
	KEY_WORKERS,
	KEY_IDLE,
	KEY_POLL,
	KEY_REQUEST_TIMEOUT
};

struct run {
	const char *file, *host, *route_prefix, *name, *idle, *poll;
	int port, workers;
	int64_t request_timeout_ns; /* 0: none */
	bool no_http;
	pinion_pair *pairs; /* room for every argument */
	size_t pair_count;
};

static int
number_parse(struct argp_state *state, const char *text, int min, int max)
{
	char *end;

	errno = 0;
	long number = strtol(text, &end, 10);

	if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
		argp_failure(
		    state, EXIT_FAILURE, 0, "'%s' is not a number from %d to %d", text, min, max);
	return (int)number;
}

/* Seconds, also parts of one, to nanoseconds. */
static int64_t
seconds_parse(struct argp_state *state, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds >= 1e-6) || seconds > 1e6)
		argp_failure(state, EXIT_FAILURE, 0,
		    "'%s' is not a number of seconds from 0.000001 to 1000000", text);
	return (int64_t)(seconds * 1e9);
}

static void
pair_parse(struct argp_state *state, char *text)
{
	struct run *run = state->input;
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text)
		argp_failure(state, EXIT_FAILURE, 0, "'%s' is not key=value", text);
	*equals = '\0';
	for (size_t i = 0; i < run->pair_count; i++)
		if (strcmp(run->pairs[i].key, text) == 0)
			argp_failure(state, EXIT_FAILURE, 0, "'%s' is given twice", text);
	run->pairs[run->pair_count++] = (pinion_pair){ text, equals + 1 };
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct run *run = state->input;

	switch (key) {
	case KEY_HOST:
		run->host = arg;
		return 0;
	case KEY_PORT:
		run->port = number_parse(state, arg, 0, PORT_MAX);
		if (run->port == 0)
			run->port = PORT_ANY;
		return 0;
	case KEY_ROUTE_PREFIX:
		run->route_prefix = arg;
		return 0;
	case KEY_NAME:
		run->name = arg;
		return 0;
	case KEY_NO_HTTP:
		run->no_http = true;
		return 0;
	case KEY_WORKERS:
		run->workers = number_parse(state, arg, 1, WORKERS_MAX);
		return 0;
	case KEY_IDLE:
		run->idle = arg;
		return 0;
	case KEY_POLL:
		run->poll = arg;
		return 0;
	case KEY_REQUEST_TIMEOUT:
		run->request_timeout_ns = seconds_parse(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (run->file == NULL)
			run->file = arg;
		else
			pair_parse(state, arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_failure(state, EXIT_FAILURE, 0, "which FILE.so?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "host", KEY_HOST, "ADDRESS", 0, "Listen on ADDRESS (127.0.0.1)", 0 },
	{ "port", KEY_PORT, "NUMBER", 0, "Listen on this port (8000); 0: any free one", 0 },
	{ "route-prefix", KEY_ROUTE_PREFIX, "PATH", 0, "Serve below PATH (/; when named, /NAME)",
	    0 },
	{ "name", KEY_NAME, "NAME", 0, "The application's name (default)", 0 },
	{ "no-http", KEY_NO_HTTP, NULL, 0, "Run the application, do not listen", 0 },
	{ "workers", KEY_WORKERS, "NUMBER", 0, "Worker threads (a core each but one)", 0 },
	{ "idle", KEY_IDLE, "STRATEGY", 0,
	    "When a worker has nothing to do: adaptive (spin, then sleep), spin or yield", 0 },
	{ "poll", KEY_POLL, "PACE", 0,
	    "Between two looks of who waits: auto (tried at start), clock, pause or tight", 0 },
	{ "request-timeout", KEY_REQUEST_TIMEOUT, "SECONDS", 0,
	    "Answer 408 after so long, and cancel the call (never)", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "FILE.so[:symbol] [key=value ...]",
	.doc =
	    "Runs the application that FILE.so declares with PINION_APP(symbol) (app), and serves "
	    "it over HTTP. Its builder gets the key=value pairs.\v"
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
print_ready(const struct run *run, pinion_runtime *rt, pinion_http *http)
{
	unsigned workers = pinion_worker_look(rt, 0, NULL);
	bool is_v6 = strchr(run->host, ':') != NULL;
	pinion_route route;

	printf("pinion: app '%s' ", run->name);
	if (http != NULL && pinion_route_list(rt, &route, 1) > 0)
		printf("at http://%s%s%s:%u%s", is_v6 ? "[" : "", run->host, is_v6 ? "]" : "",
		    pinion_http_port(http), route.prefix);
	else
		printf("without HTTP");
	printf(" (%u worker%s)\n", workers, workers == 1 ? "" : "s");
	(void)fflush(stdout);
}

static int
serve(const struct run *run, pinion_runtime *rt, struct watcher *watcher)
{
	pinion_http *http = NULL;
	pinion_diag diag = { "" };

	if (!run->no_http &&
	    pinion_http_start(rt, &http, .host = run->host, .port = run->port, .log = log_line,
		.request_timeout_ns = run->request_timeout_ns, .diag = &diag) != 0)
		return complain(&diag);
	print_ready(run, rt, http);
	watcher_wait(watcher);
	pinion_http_stop(http);
	return EXIT_SUCCESS;
}

static int
run_builder(const struct run *run, pinion_builder *builder, struct watcher *watcher)
{
	const pinion_config config = { run->pairs, run->pair_count };
	pinion_runtime *rt = NULL;
	pinion_handle handle;
	pinion_diag diag = { "" };
	int code;

	if (pinion_start(&rt, .workers = run->workers, .idle = run->idle, .poll = run->poll,
		.log = log_line, .diag = &diag) != 0)
		return complain(&diag);
	if (pinion_run(rt, builder, &handle, .name = run->name, .route_prefix = run->route_prefix,
		.config = &config, .diag = &diag) != 0)
		code = complain(&diag);
	else
		code = serve(run, rt, watcher);
	pinion_stop(rt);
	return code;
}

int
pinioni_verb_run(int argc, char **argv)
{
	struct run run = { .host = "127.0.0.1", .name = "default" };
	struct watcher watcher;
	pinion_builder *builder;
	pinion_diag diag = { "" };
	int code;

	run.pairs = calloc((size_t)argc, sizeof *run.pairs);
	if (run.pairs == NULL || argp_parse(&argp, argc, argv, 0, NULL, &run) != 0 ||
	    watcher_start(&watcher) != 0) {
		perror("pinion run");
		free(run.pairs);
		return EXIT_FAILURE;
	}
	if (pinioni_module_open(run.file, &builder, &diag) != 0)
		code = complain(&diag);
	else
		code = run_builder(&run, builder, &watcher);
	watcher_stop(&watcher);
	free(run.pairs);
	return code;
}
