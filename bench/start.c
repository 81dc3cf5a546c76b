/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start - how long until something can be called: the command from exec, a runtime in this process, a port.
 *
 *   exec ---> line of `pinion version`                 loads what it is linked with, no more
 *   exec ---> ready line of `pinion run hello.so` ---> told to stop, awaited
 *
 *   pinion_start | pinion_run | port: open | first call | close | pinion_stop
 *
 * Ports     16 MiB of arena, taken as it is used; or prefaulted: all of it touched, and locked where that is
 *           allowed, when the port is opened.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinion/pinion.h>

#include "bench/kit/report.h"

enum {
	READY_MAX_MS = 10000
};

static struct kit kit;

/* ---- what is timed -------------------------------------------------------------------------- */

enum timed {
	VERSION,
	READY,
	READY_HTTP,
	START,
	RUN,
	OPEN,
	FIRST,
	CLOSE,
	STOP,
	TIMED_ONCE,
	/* START to STOP once more, with all memory touched */
	TIMED = 2 * TIMED_ONCE - START
};

#define MS(name_, case_, ...) \
	{ \
		.name = (name_), .case_name = (case_), .system = "pinion", .unit = "ms", \
		.bounds_value = true, __VA_ARGS__ \
	}
#define US(name_, case_, ...) \
	{ \
		.name = (name_), .case_name = (case_), .system = "pinion", .unit = "us", \
		.bounds_value = true, __VA_ARGS__ \
	}

static const struct row rows[TIMED] = {
	[VERSION] = MS("pinion version, from exec to its line", "version", .bound = 0),
	[READY] = MS("pinion run --no-http, to its ready line", "ready", .bound = 50),
	[READY_HTTP] = MS("pinion run, to its ready line", "ready-http", .bound = 50),
	[START] = MS("pinion_start", "start", .bound = 0),
	[RUN] = MS("pinion_run, 3 deployments, 5 replicas", "run", .bound = 0),
	[OPEN] = US("port, opened", "open", .bound = 1000),
	[FIRST] = US("port, its first call", "first", .bound = 0),
	[CLOSE] = US("port, closed", "close", .bound = 1000),
	[STOP] = MS("pinion_stop", "stop", .bound = 0),
	[TIMED_ONCE] = MS("pinion_start, prefaulted", "start-prefault", .bound = 0),
	MS("pinion_run, prefaulted", "run-prefault", .bound = 0),
	US("port, prefaulted, opened", "open-prefault", .bound = 0),
	US("port, prefaulted, its first call", "first-prefault", .bound = 0),
	US("port, prefaulted, closed", "close-prefault", .bound = 0),
	MS("pinion_stop, prefaulted", "stop-prefault", .bound = 0),
};

static double *samples[TIMED]; /* ns, one a round */

/* What has passed since `since`, which becomes now. */
static void
lap(unsigned timed, unsigned round, uint64_t *since)
{
	uint64_t now = ticks_monotonic_ns();

	samples[timed][round] = (double)(now - *since);
	*since = now;
}

/* ---- the command ---------------------------------------------------------------------------- */

struct command {
	char *const arguments[5];
	const char *line; /* how the awaited one begins */
	bool stays;       /* until it is told to stop */
};

static const struct command commands[] = {
	[VERSION] = { { BENCH_COMMAND, "version" }, "pinion ", false },
	[READY] = { { BENCH_COMMAND, "run", BENCH_MODULE, "--no-http" },
	    "pinion: app 'default' without HTTP", true },
	[READY_HTTP] = { { BENCH_COMMAND, "run", BENCH_MODULE, "--port=0" },
	    "pinion: app 'default' at http://", true },
};

/* False: it does not run. */
static bool
spawn(const struct command *c, int out, pid_t *child)
{
	posix_spawn_file_actions_t files;
	bool ok;

	if (posix_spawn_file_actions_init(&files) != 0)
		return false;
	ok = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO) == 0 &&
	    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ==
		0 &&
	    posix_spawn(child, c->arguments[0], &files, NULL, c->arguments, environ) == 0;
	(void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
	return ok;
}

/* False: its first line is another, or does not come. */
static bool
await_line(int in, const char *wanted)
{
	struct pollfd waits = { .fd = in, .events = POLLIN };
	char text[256];
	size_t size = 0;

	while (memchr(text, '\n', size) == NULL) {
		ssize_t got = poll(&waits, 1, READY_MAX_MS) == 1
		    ? read(in, text + size, sizeof text - size)
		    : 0;

		if (got <= 0)
			return false;
		size += (size_t)got;
	}
	return size >= strlen(wanted) && memcmp(text, wanted, strlen(wanted)) == 0;
}

/* True: it ended well. */
static bool
finish(const struct command *c, pid_t child, bool came)
{
	int status = -1;

	if (!came || c->stays)
		(void)kill(child, came ? SIGTERM : SIGKILL); /* it is not awaited yet */
	return waitpid(child, &status, 0) == child && status == 0;
}

static bool
time_command(unsigned timed, unsigned round)
{
	const struct command *c = &commands[timed];
	uint64_t since;
	bool ok = false;
	pid_t child;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	since = ticks_monotonic_ns();
	if (spawn(c, ends[1], &child)) {
		(void)close(ends[1]); /* so that its end is seen */
		ends[1] = -1;
		ok = await_line(ends[0], c->line);
		lap(timed, round, &since);
		ok = finish(c, child, ok) && ok;
	}
	(void)close(ends[0]); /* nothing is written to it */
	if (ends[1] >= 0)
		(void)close(ends[1]); /* the same */
	if (!ok)
		fprintf(stderr, "start: %s: it did not run\n", rows[timed].name);
	return ok;
}

/* ---- a runtime, a port ------------------------------------------------------------------------ */

static int
number(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

#define NUMBER \
	PINION_METHODS(PINION_METHOD(PINION_CALL, number, \
	    .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64))

static const pinion_deployment one = { .name = "One", .methods = NUMBER };
static const pinion_deployment three = { .name = "Three", .methods = NUMBER };
static const pinion_deployment ingress = { .name = "Ingress",
	.init_params = PINION_PARAMS(PINION_HANDLE("one"), PINION_HANDLE("three")),
	.methods = NUMBER };

/* As large as hello's graph. */
static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *a = pinion_bind(app, &one, PINION_ARGS());
	pinion_node *b = pinion_bind(app, &three, PINION_ARGS(), .num_replicas = 3);

	(void)config;
	return pinion_bind(app, &ingress, PINION_ARGS(a, b));
}

static bool
call(pinion_port *port, pinion_handle to)
{
	pinion_response r = pinion_call_on(port, to, PINION_ARGS(UINT64_C(1)));
	uint64_t got = 0;
	int err = pinion_result_on(port, r, &got);

	pinion_release_on(port, r);
	return err == 0 && got == 2;
}

static bool
time_runtime(unsigned round, bool prefault)
{
	unsigned more = prefault ? TIMED_ONCE - START : 0;
	uint64_t since = ticks_monotonic_ns();
	pinion_diag diag = { "" };
	pinion_runtime *rt = NULL;
	pinion_handle to;
	pinion_port *port;
	bool ok =
	    pinion_start(&rt, .idle = kit.options.idle, .prefault = prefault, .diag = &diag) == 0;

	lap(START + more, round, &since);
	ok = ok && pinion_run(rt, build, &to, .diag = &diag) == 0;
	lap(RUN + more, round, &since);
	if (ok && pinion_port_open(rt, &port) == 0) {
		lap(OPEN + more, round, &since);
		ok = call(port, to);
		lap(FIRST + more, round, &since);
		pinion_port_close(port);
		lap(CLOSE + more, round, &since);
	} else {
		ok = false;
	}
	pinion_stop(rt);
	lap(STOP + more, round, &since);
	if (!ok)
		fprintf(stderr, "start: a runtime or its port did not work: %s\n", diag.text);
	return ok;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool
add_rows(struct report *report)
{
	double least = 0;
	bool ok = true;

	for (unsigned i = 0; i < TIMED && ok; i++) {
		struct row row = rows[i];

		pinioni_row_fill(&row, samples[i], kit.options.rounds);
		if (i == VERSION)
			least = row.value;
		if (i <= READY_HTTP)
			row.ratio = row.value / least;
		ok = pinioni_report_add(report, &row);
	}
	return ok;
}

static bool
measure(struct report *report)
{
	const unsigned rounds = kit.options.rounds;
	bool ok = true;

	for (unsigned i = 0; i < TIMED && ok; i++) {
		samples[i] = calloc(rounds, sizeof *samples[i]);
		ok = samples[i] != NULL;
	}
	for (unsigned round = 0; round < rounds && ok; round++)
		ok = time_command(VERSION, round) && time_command(READY, round) &&
		    time_command(READY_HTTP, round) && time_runtime(round, false) &&
		    time_runtime(round, true);
	return ok && add_rows(report) && pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "start", "Time until the command, a runtime and a port are ready.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = measure(&report);
	for (unsigned i = 0; i < TIMED; i++)
		free(samples[i]);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
