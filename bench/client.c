/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - what it costs to be another process: a call, attaching, and a death on either side.
 *
 *   near cpu   caller: a thread of the runtime's process, and a process that has attached, in turns
 *   far cpu    the worker of both
 *
 *   client dies      kill ---> the kernel says that it has ended ---> the door has seen it, and takes back what it had
 *   controller dies  kill ---> the last of 64 pending calls has ended with -EOWNERDEAD
 *
 * Processes  This program once more, told by its environment what to be, over a pipe each way.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	PENDING = 64,
	NAP_S = 1000
};

static struct kit kit;
static struct rig rig;
static char folder[] = "/tmp/pinion-bench-XXXXXX";

/* ---- calls ------------------------------------------------------------------------------------ */

struct caller {
	pinion_port *port;
	pinion_handle to;
};

static bool
call(void *arg, uint64_t i)
{
	const struct caller *c = arg;
	pinion_response r = pinion_call_on(c->port, c->to, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result_on(c->port, r, &got);

	pinion_release_on(c->port, r);
	return err == 0 && got == i + 1;
}

/* ---- the other process ------------------------------------------------------------------------ */

struct other {
	pid_t pid;
	int to, from; /* pipes */
};

static bool
whole(ssize_t done, size_t size)
{
	return done == (ssize_t)size;
}

/* role: what it is to be; its pipes are its standard input and output. */
static bool
other_start(struct other *o, const char *role)
{
	char *const arguments[] = { (char[]){ "client" }, NULL };
	posix_spawn_file_actions_t files;
	int to[2], from[2];
	bool ok;

	if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
		return false;
	(void)setenv("PINION_BENCH_ROLE", role, 1);
	ok = posix_spawn_file_actions_init(&files) == 0 &&
	    posix_spawn_file_actions_adddup2(&files, to[0], STDIN_FILENO) == 0 &&
	    posix_spawn_file_actions_adddup2(&files, from[1], STDOUT_FILENO) == 0 &&
	    posix_spawn(&o->pid, "/proc/self/exe", &files, NULL, arguments, environ) == 0;
	(void)unsetenv("PINION_BENCH_ROLE");
	(void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
	(void)close(to[0]);                             /* the other's */
	(void)close(from[1]);
	o->to = to[1];
	o->from = from[0];
	return ok;
}

static void
other_end(struct other *o)
{
	(void)kill(o->pid, SIGKILL);
	(void)waitpid(o->pid, NULL, 0); /* it was not awaited yet */
	(void)close(o->to);
	(void)close(o->from);
}

static bool
other_is_ready(const struct other *o)
{
	char byte;

	return read(o->from, &byte, 1) == 1;
}

static bool
say_ready(void)
{
	return write(STDOUT_FILENO, "r", 1) == 1;
}

static bool
attach(struct caller *c, pinion_runtime **rt, const char *name)
{
	return pinion_attach(rt, name, .idle = getenv("PINION_BENCH_IDLE")) == 0 &&
	    pinion_handle_find(*rt, "default", NULL, &c->to) == 0 &&
	    pinion_port_open(*rt, &c->port) == 0 && pinion_port_warm(c->port) == 0;
}

/* Turns, as they are asked for. */
static int
be_client(void)
{
	static struct turn turn;
	const char *cpu = getenv("PINION_BENCH_CPU");
	pinion_runtime *rt;
	struct caller c;

	if (cpu == NULL || !pinioni_cpus_pin(atoi(cpu)) || !attach(&c, &rt, "bench") ||
	    !say_ready())
		return 1;
	while (whole(read(STDIN_FILENO, &turn.size, sizeof turn.size), sizeof turn.size)) {
		turn_drive(&turn, call, &c);
		if (!whole(write(STDOUT_FILENO, &turn, sizeof turn), sizeof turn))
			return 1;
	}
	pinion_stop(rt);
	return 0;
}

static int
nap(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, (int64_t)NAP_S * 1000000000);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static const pinion_deployment sleeper = { .name = "Sleeper",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, nap,
	    .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64)) };

static pinion_node *
build_sleeper(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &sleeper, PINION_ARGS());
}

/* A runtime whose calls do not end, until it is killed. */
static int
be_controller(void)
{
	pinion_runtime *rt;
	pinion_handle to;

	if (pinion_start(&rt, .workers = 1, .listen = "dying") != 0 ||
	    pinion_run(rt, build_sleeper, &to) != 0 || !say_ready())
		return 1;
	for (;;)
		(void)pause();
}

/* ---- turns ------------------------------------------------------------------------------------ */

static struct caller here;
static struct other client;

static bool
turn_here(void *arg, struct turn *t)
{
	turn_drive(t, call, arg);
	return true;
}

static bool
turn_there(void *arg, struct turn *t)
{
	const struct other *o = arg;
	char *at = (char *)t;
	size_t left = sizeof *t;

	if (!whole(write(o->to, &t->size, sizeof t->size), sizeof t->size))
		return false;
	while (left != 0) {
		ssize_t got = read(o->from, at, left);

		if (got <= 0)
			return false;
		at += got;
		left -= (size_t)got;
	}
	return true;
}

static bool
measure_calls(struct report *report)
{
	const struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		{ .name = "a thread's call",
		    .case_name = "thread",
		    .system = "pinion",
		    .turn = turn_here,
		    .arg = &here },
		{ .name = "a client's call, another process",
		    .case_name = "client",
		    .system = "pinion",
		    .turn = turn_there,
		    .arg = &client,
		    .against = 1,
		    .bound = 1.05 },
	};

	return other_start(&client, "client") && other_is_ready(&client) &&
	    pinioni_suite_run(report, systems, sizeof systems / sizeof systems[0]);
}

/* ---- coming and going ------------------------------------------------------------------------- */

enum timed {
	ATTACH,
	FIRST,
	KILLED,
	SEEN,
	ENDED,
	TIMED
};

static const struct row rows[TIMED] = {
	[ATTACH] = { .name = "pinion_attach",
	    .case_name = "attach",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true,
	    .bound = 2000 },
	[FIRST] = { .name = "its first port and call",
	    .case_name = "attach-first",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true },
	[KILLED] = { .name = "a client is killed, until its pidfd tells",
	    .case_name = "kill-client",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true },
	[SEEN] = { .name = "and until the door has seen it",
	    .case_name = "death-client",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true,
	    .bound = 1000 },
	[ENDED] = { .name = "the controller's, 64 pending calls ended",
	    .case_name = "death-controller",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true,
	    .bound = 5000 },
};

static double *samples[TIMED]; /* ns, one a round */

static bool
time_controller(unsigned round)
{
	pinion_response pending[PENDING];
	struct other controller;
	pinion_runtime *rt = NULL;
	struct caller c;
	uint64_t since, got;
	bool ok = other_start(&controller, "controller") && other_is_ready(&controller);

	since = ticks_monotonic_ns();
	ok = ok && pinion_attach(&rt, "dying") == 0;
	samples[ATTACH][round] = (double)(ticks_monotonic_ns() - since);
	since = ticks_monotonic_ns();
	ok = ok && pinion_handle_find(rt, "default", NULL, &c.to) == 0 &&
	    pinion_port_open(rt, &c.port) == 0;
	for (unsigned i = 0; ok && i < PENDING; i++)
		pending[i] = pinion_call_on(c.port, c.to, PINION_ARGS((uint64_t)i));
	samples[FIRST][round] = (double)(ticks_monotonic_ns() - since);
	since = ticks_monotonic_ns();
	(void)kill(controller.pid, SIGKILL);
	for (unsigned i = 0; ok && i < PENDING; i++)
		ok = pinion_result_on(c.port, pending[i], &got) == -EOWNERDEAD;
	samples[ENDED][round] = (double)(ticks_monotonic_ns() - since);
	other_end(&controller);
	if (rt != NULL)
		pinion_stop(rt);
	return ok;
}

static bool
time_client(unsigned round)
{
	struct other dying;
	unsigned before = pinion_client_look(rig.runtime, 0, NULL);
	bool ok = other_start(&dying, "client") && other_is_ready(&dying);
	struct pollfd ends = { .fd = ok ? (int)syscall(SYS_pidfd_open, dying.pid, 0) : -1,
		.events = POLLIN };
	uint64_t since = ticks_monotonic_ns();

	(void)kill(dying.pid, SIGKILL);
	ok = ok && poll(&ends, 1, 10000) == 1;
	samples[KILLED][round] = (double)(ticks_monotonic_ns() - since);
	since = ticks_monotonic_ns();
	while (ok && pinion_client_look(rig.runtime, 0, NULL) != before)
		continue;
	samples[SEEN][round] = (double)(ticks_monotonic_ns() - since);
	(void)close(ends.fd);
	other_end(&dying);
	return ok;
}

static bool
measure_deaths(struct report *report)
{
	const unsigned rounds = kit.options.rounds;
	bool ok = pinioni_cpus_free(kit.cpus);

	for (unsigned i = 0; i < TIMED && ok; i++) {
		samples[i] = calloc(rounds, sizeof *samples[i]);
		ok = samples[i] != NULL;
	}
	for (unsigned round = 0; round < rounds && ok; round++)
		ok = time_controller(round) && time_client(round);
	for (unsigned i = 0; i < TIMED && ok; i++) {
		struct row row = rows[i];

		pinioni_row_fill(&row, samples[i], rounds);
		ok = pinioni_report_add(report, &row);
	}
	for (unsigned i = 0; i < TIMED; i++)
		free(samples[i]);
	return ok;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static bool
measure(struct report *report)
{
	char cpu[16];
	bool ok;

	(void)snprintf(cpu, sizeof cpu, "%d", kit.cpus[CPU_NEAR]);
	if (mkdtemp(folder) == NULL || setenv("PINION_RUNTIME_DIR", folder, 1) != 0 ||
	    setenv("PINION_BENCH_CPU", cpu, 1) != 0 ||
	    (kit.options.idle != NULL && setenv("PINION_BENCH_IDLE", kit.options.idle, 1) != 0))
		return false;
	ok = pinioni_rig_start(
		 &rig, &kit, "client", 1, (pinion_start_options){ .listen = "bench" }) &&
	    pinion_run(rig.runtime, pinioni_rig_build, &here.to,
		.config = &pinioni_rig_number_app.config, .diag = &rig.diag) == 0;
	here.port = rig.port;
	ok = ok && measure_calls(report) && measure_deaths(report) && pinioni_report_print(report);
	other_end(&client);
	pinioni_rig_stop(&rig);
	(void)rmdir(folder); /* or it is left in /tmp */
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	const char *role = getenv("PINION_BENCH_ROLE");
	int code;
	bool ok;

	if (role != NULL)
		return strcmp(role, "client") == 0 ? be_client() : be_controller();
	code = pinioni_kit_start(&kit, "client",
	    "What a call from another process costs, attaching, and a death on either side.", argc,
	    argv);
	if (code != 0)
		return code;
	ok = measure(&report);
	if (!ok)
		fprintf(
		    stderr, "client: %s\n", rig.diag.text[0] != '\0' ? rig.diag.text : "it broke");
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
