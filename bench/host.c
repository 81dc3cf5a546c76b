/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - what it costs that a replica is a process of its own: a call, and its death.
 *
 *   near cpu   caller
 *   far cpu    the worker of the runtime, and the one of the host, in turns
 *
 *   host dies    kill ---> the last of 64 calls that it had started has ended ---> the next call is answered, by the process
 *                that was started in its place
 *
 * Processes  This program once more, with what pinion_run puts behind its name.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	PENDING = 64,
	NAP_S = 1000,
	WORDS = 5 /* of a host's command line */
};

static struct kit kit;
static struct rig rig;
static char folder[] = "/tmp/pinion-bench-XXXXXX";

/* ---- what runs -------------------------------------------------------------------------------- */

static int
nap(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, (int64_t)NAP_S * 1000000000);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static int
process_of(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (uint64_t)getpid());
}

static const pinion_deployment number = { .name = "Number",
	.methods = PINION_METHODS(RIG_NUMBER,
	    PINION_METHOD("nap", nap, .params = PINION_PARAMS(PINION_U64("x")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("process", process_of, .returns = PINION_RETURNS_U64)) };

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(app, &number, PINION_ARGS(), .name = "Here");
	return pinion_bind(app, &number, PINION_ARGS(), .name = "There", .isolation = "process");
}

static int
be_host(char **words)
{
	const char *cpu = getenv("PINION_BENCH_CPU");
	pinion_diag diag = { "" };
	pinion_runtime *rt;

	if (cpu == NULL || !pinioni_cpus_pin(atoi(cpu)) ||
	    pinion_host(&rt, words[1], build, .app = words[2], .deployment = words[3],
		.replica = words[4], .diag = &diag) != 0) {
		(void)fprintf(stderr, "host: %s\n", diag.text);
		return EXIT_FAILURE;
	}
	(void)!pinion_host_wait(rt);
	pinion_stop(rt);
	return EXIT_SUCCESS;
}

/* ---- calls ------------------------------------------------------------------------------------ */

static pinion_handle here, there;

static bool
call(void *arg, uint64_t i)
{
	const pinion_handle *to = arg;
	pinion_response r = pinion_call_on(rig.port, *to, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result_on(rig.port, r, &got);

	pinion_release_on(rig.port, r);
	return err == 0 && got == i + 1;
}

static bool
turn(void *arg, struct turn *t)
{
	turn_drive(t, call, arg);
	return true;
}

static bool
measure_calls(struct report *report)
{
	const struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		{ .name = "call to a replica of the runtime's process",
		    .case_name = "call",
		    .system = "pinion",
		    .payload_bytes = 8,
		    .turn = turn,
		    .arg = &here },
		{ .name = "call to a replica in a process of its own",
		    .case_name = "call-host",
		    .system = "pinion",
		    .payload_bytes = 8,
		    .turn = turn,
		    .arg = &there,
		    .against = 1,
		    .bound = 1.05 },
	};

	return pinioni_suite_run(report, systems, sizeof systems / sizeof systems[0]);
}

/* ---- deaths ----------------------------------------------------------------------------------- */

enum timed {
	ENDED,
	AGAIN,
	TIMED
};

static const struct row rows[TIMED] = {
	[ENDED] = { .name = "a host is killed, 64 calls that it had started ended",
	    .case_name = "death-host",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true,
	    .bound = 5000 },
	[AGAIN] = { .name = "and the next is answered, by another process",
	    .case_name = "restart-host",
	    .system = "pinion",
	    .unit = "us",
	    .bounds_value = true,
	    .bound = 50000 },
};

static double *samples[TIMED]; /* ns, one a round */

static bool
time_host(unsigned round)
{
	pinion_response pending[PENDING];
	pinion_response r =
	    pinion_call_on(rig.port, pinion_method_of(there, "process"), PINION_ARGS());
	pinion_handle napping = pinion_method_of(there, "nap");
	uint64_t pid = 0, since, got;
	bool ok = pinion_result_on(rig.port, r, &pid) == 0 && pid != 0;

	pinion_release_on(rig.port, r);
	for (unsigned i = 0; i < PENDING; i++)
		pending[i] = pinion_call_on(rig.port, napping, PINION_ARGS((uint64_t)i));
	ok = ok && call(&there, 1); /* behind them: they have started */
	since = ticks_monotonic_ns();
	if (ok)
		(void)kill((pid_t)pid, SIGKILL);
	for (unsigned i = 0; ok && i < PENDING; i++)
		ok = pinion_result_on(rig.port, pending[i], &got) == -EOWNERDEAD;
	samples[ENDED][round] = (double)(ticks_monotonic_ns() - since);
	for (unsigned i = 0; i < PENDING; i++)
		pinion_release_on(rig.port, pending[i]);
	ok = ok && call(&there, 2);
	samples[AGAIN][round] = (double)(ticks_monotonic_ns() - since);
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
		ok = time_host(round);
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
	static const char *const command[] = { "/proc/self/exe", NULL };
	pinion_handle ingress;
	char cpu[16];
	bool ok;

	(void)snprintf(cpu, sizeof cpu, "%d", kit.cpus[CPU_FAR]);
	if (mkdtemp(folder) == NULL || setenv("PINION_RUNTIME_DIR", folder, 1) != 0 ||
	    setenv("PINION_BENCH_CPU", cpu, 1) != 0)
		return false;
	ok = pinioni_rig_start(&rig, &kit, "host", 1,
		 (pinion_start_options){ .listen = "bench", .host_workers = 1 }) &&
	    pinion_run(rig.runtime, build, &ingress, .name = "bench", .host_command = command,
		.diag = &rig.diag) == 0 &&
	    pinion_handle_find(rig.runtime, "bench", "Here", &here) == 0 &&
	    pinion_handle_find(rig.runtime, "bench", "There", &there) == 0 &&
	    measure_calls(report) && measure_deaths(report) && pinioni_report_print(report);
	pinioni_rig_stop(&rig);
	(void)rmdir(folder); /* or it is left in /tmp */
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code;
	bool ok;

	if (argc == WORDS && getenv("PINION_BENCH_CPU") != NULL)
		return be_host(argv);
	code = pinioni_kit_start(&kit, "host",
	    "What it costs that a replica is a process of its own: a call, and its death.", argc,
	    argv);
	if (code != 0)
		return code;
	ok = measure(&report);
	if (!ok)
		fprintf(
		    stderr, "host: %s\n", rig.diag.text[0] != '\0' ? rig.diag.text : "it broke");
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
