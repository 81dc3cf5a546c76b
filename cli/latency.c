/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/latency.c - see latency.h.
 */
#include "latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OUTSTANDING_MAX = 512, /* of a port's 1024 slots */
	HARVEST_MAX = 64
};

struct measure {
	struct latency *latency;
	pinion_port *port;
	pinion_clock clock;
	pinion_handle handle;
	pinion_args args;
	size_t count;
	uint64_t start; /* of call 0 */
	double interval_ns;
};

static bool
begins_with(pinion_str text, pinion_str start)
{
	return text.len >= start.len && memcmp(text.data, start.data, start.len) == 0;
}

void
pinioni_error_print(const pinion_error *error, char *text, size_t room)
{
	bool says_where = error->deployment.len == 0 || begins_with(error->text, error->deployment);

	if (says_where)
		(void)snprintf(text, room, "%.*s (%s)", PINION_STR_FMT(error->text),
		    strerror(-error->code)); /* cut short is fine */
	else
		(void)snprintf(text, room, "%.*s.%.*s: %.*s (%s)",
		    PINION_STR_FMT(error->deployment), PINION_STR_FMT(error->method),
		    PINION_STR_FMT(error->text), strerror(-error->code));
}

static uint64_t
now(const struct measure *m)
{
	return m->clock.now(m->clock.arg);
}

static uint64_t
intended(const struct measure *m, size_t call)
{
	return m->start + (uint64_t)((double)call * m->interval_ns);
}

/* It has ended, and is given back. */
static void
note(struct measure *m, pinion_response response, int err, uint64_t since)
{
	struct latency *l = m->latency;
	uint64_t end = now(m);

	if (err == 0) {
		l->samples[l->count++] = end - since;
	} else if (l->failed++ == 0) {
		pinion_error error = pinion_response_error(response);

		pinioni_error_print(&error, l->first_error, sizeof l->first_error);
	}
	pinion_release_on(m->port, response);
}

static void
measure_closed(struct measure *m)
{
	const pinion_into nothing = { .kind = PINION_KIND_NONE };

	for (size_t i = 0; i < m->count; i++) {
		uint64_t since = now(m);
		pinion_response response = pinion_call_on(m->port, m->handle, m->args);
		int err = pinion_result_on_into(m->port, response, nothing);

		note(m, response, err, since);
	}
}

/* False: it was refused, and counts as failed. */
static bool
send_one(struct measure *m, size_t call)
{
	pinion_response response = pinion_call_tagged(m->port, m->handle, m->args, call);
	pinion_error error = pinion_response_error(response);

	if (error.code == 0)
		return true;
	note(m, response, error.code, 0); /* given back, it is not harvested any more */
	return false;
}

static size_t
take_ended(struct measure *m)
{
	const pinion_into nothing = { .kind = PINION_KIND_NONE };
	pinion_finished finished[HARVEST_MAX];
	unsigned count = pinion_harvest(m->port, finished, HARVEST_MAX);

	for (unsigned i = 0; i < count; i++) {
		pinion_response response = finished[i].response;
		int err = pinion_result_on_into(m->port, response, nothing);

		note(m, response, err, intended(m, finished[i].tag));
	}
	return count;
}

/* Behind its time it sends one a turn, so that what has ended is never looked at late. */
static void
measure_at_rate(struct measure *m)
{
	size_t sent = 0, outstanding = 0;

	m->start = now(m);
	while (sent < m->count || outstanding != 0) {
		if (sent < m->count && outstanding < OUTSTANDING_MAX && intended(m, sent) <= now(m))
			outstanding += send_one(m, sent++);
		outstanding -= take_ended(m);
	}
}

int
pinioni_latency_measure(struct latency *latency, pinion_runtime *rt, pinion_handle handle,
    pinion_args args, size_t count, double rate)
{
	struct measure m = { .latency = latency,
		.clock = pinion_clock_tsc(),
		.handle = handle,
		.args = args,
		.count = count };
	int err;

	*latency = (struct latency){ .samples = calloc(count, sizeof *latency->samples) };
	if (latency->samples == NULL)
		return -ENOMEM;
	err = pinion_port_open(rt, &m.port);
	if (err != 0)
		return err;
	err = pinion_port_warm(m.port);
	if (err == 0 && rate > 0) {
		m.interval_ns = 1e9 / rate;
		measure_at_rate(&m);
	} else if (err == 0) {
		measure_closed(&m);
	}
	pinion_port_close(m.port);
	return err;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

/* The least that so many thousandths of the samples do not exceed. */
static uint64_t
percentile(const struct latency *l, size_t thousandths)
{
	size_t rank = (l->count * thousandths + 999) / 1000;

	return l->samples[rank == 0 ? 0 : rank - 1];
}

void
pinioni_latency_print(struct latency *l)
{
	qsort(l->samples, l->count, sizeof *l->samples, compare);
	printf("%10s %10s %12s %12s %12s %12s\n", "calls", "failed", "p50 ns", "p99 ns", "p99.9 ns",
	    "max ns");
	printf("%10zu %10zu", l->count + l->failed, l->failed);
	if (l->count == 0)
		printf(" %12s %12s %12s %12s\n", "-", "-", "-", "-");
	else
		printf(" %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n",
		    percentile(l, 500), percentile(l, 990), percentile(l, 999),
		    l->samples[l->count - 1]);
}

void
pinioni_latency_end(struct latency *latency)
{
	free(latency->samples);
}
