/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/kit.c - start and stop, the floor and the probe.
 */
#include "bench/kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	PROBE_BATCHES = 8,
	PROBE_PINGS = 32,
	PROBE_WARM = 64,
	PROBE_ALL = PROBE_WARM + PROBE_BATCHES * PROBE_PINGS,
	LIMIT_NS = 1000000000,   /* that a ping waits */
	PROGRESS_NS = 2000000000 /* between two lines for whoever waits */
};

static const struct poll_steps tight = { 0, 0 };

/* A port has two, and some programs open hundreds. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* else ports are refused, and say so */
}

int
pinioni_kit_start(struct kit *k, const char *bench, const char *doc, int argc, char **argv)
{
	return pinioni_kit_start_told(
	    k, &(struct kit_program){ .name = bench, .doc = doc }, argc, argv);
}

int
pinioni_kit_start_told(struct kit *k, const struct kit_program *program, int argc, char **argv)
{
	const char *bench = program->name;
	int err;

	memset(k, 0, sizeof *k);
	k->bench = bench;
	k->options.idle = "adaptive";
	k->options.own = program->options;
	pinioni_options_read(argc, argv, program->doc, &k->options);
	if (!pinioni_cpus_choose(k->cpus)) {
		fprintf(stderr, "%s: skipped: this needs two cpus\n", bench);
		return KIT_SKIPPED;
	}
	raise_descriptors();
	k->ticks = pinioni_ticks_measure();
	if (!pinioni_polls_choose(&k->polls, bench, k->options.poll))
		return EXIT_FAILURE;
	k->lines.limit = k->raw.pace.limit = (uint64_t)(LIMIT_NS * k->ticks.per_ns);
	err = pinioni_far_start(&k->far, k->cpus[CPU_FAR]);
	if (err != 0)
		fprintf(stderr, "%s: no far thread: %s\n", bench, strerror(-err));
	return err == 0 ? 0 : EXIT_FAILURE;
}

void
pinioni_kit_stop(struct kit *k)
{
	pinioni_far_stop(&k->far);
}

void
pinioni_kit_progress(struct kit *k, unsigned round, unsigned rounds)
{
	uint64_t now = ticks_monotonic_ns();

	if (k->said_ns == 0)
		k->said_ns = now;
	if (now - k->said_ns < PROGRESS_NS || isatty(STDERR_FILENO) == 0)
		return;
	fprintf(stderr, "%s: round %u of %u\n", k->bench, round, rounds);
	k->said_ns = now;
}

static void
answer_pings(void *kit)
{
	struct kit *k = kit;

	(void)pingpong_answer(&k->lines, k->count); /* near counts what is missing */
}

static void
answer_raw(void *kit)
{
	struct kit *k = kit;

	(void)rawpair_answer(&k->raw, k->count); /* as above */
}

static void
begin_pings(struct kit *k, struct poll_steps steps, bool stays, uint64_t count)
{
	pingpong_reset(&k->lines, steps, stays);
	k->count = count;
	pinioni_far_begin(&k->far, answer_pings, k);
}

double
pinioni_kit_probe(struct kit *k)
{
	uint64_t n = 0, best = UINT64_MAX;
	bool ok = true;

	begin_pings(k, tight, true, PROBE_ALL);
	while (n < PROBE_WARM && ok)
		ok = pingpong_ping(&k->lines, ++n);
	for (unsigned batch = 0; batch < PROBE_BATCHES && ok; batch++) {
		uint64_t start = ticks_now(), took;

		for (unsigned i = 0; i < PROBE_PINGS && ok; i++)
			ok = pingpong_ping(&k->lines, ++n);
		took = ticks_now() - start;
		if (took < best)
			best = took;
	}
	pinioni_far_end(&k->far);
	return ok ? (double)best / k->ticks.per_ns / PROBE_PINGS : 0;
}

static bool
ping(void *kit, uint64_t i)
{
	struct kit *k = kit;

	return pingpong_ping(&k->lines, i + 1);
}

static bool
turn_pings(struct kit *k, struct poll_steps steps, struct turn *t)
{
	begin_pings(k, steps, false, turn_calls(&t->size));
	turn_drive(t, ping, k);
	pinioni_far_end(&k->far);
	return true;
}

bool
pinioni_kit_floor(void *kit, struct turn *t)
{
	struct kit *k = kit;

	return turn_pings(k, k->polls.steps, t);
}

bool
pinioni_kit_floor_tight(void *kit, struct turn *t)
{
	return turn_pings(kit, tight, t);
}

static bool
call_raw(void *kit, uint64_t i)
{
	struct kit *k = kit;

	return rawpair_call(&k->raw, i + 1);
}

bool
pinioni_kit_rawpair(void *kit, struct turn *t)
{
	struct kit *k = kit;

	rawpair_reset(&k->raw, k->polls.steps);
	k->count = turn_calls(&t->size);
	pinioni_far_begin(&k->far, answer_raw, k);
	turn_drive(t, call_raw, k);
	pinioni_far_end(&k->far);
	return true;
}
