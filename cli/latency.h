/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/latency.h - how long calls take: one after the other, or at a rate.
 *
 *   closed   the next call begins when the last has ended: a slow one delays those behind it, and hides them
 *   at rate  call i is meant to begin at start + i / rate, and its time counts from then, however late it is sent
 *
 * Threads   The caller's own; it never sleeps while it measures, but in a closed call's wait.
 * Memory    A sample for each call, until pinioni_latency_end.
 */
#ifndef PINION_CLI_LATENCY_H
#define PINION_CLI_LATENCY_H

#include <pinion/pinion.h>

enum {
	LATENCY_CALLS_MAX = 10000000 /* 80 MB of samples */
};

struct latency {
	uint64_t *samples; /* ns, of those that did not fail */
	size_t count, failed;
	char first_error[256];
};

/* rate: a second; 0: one after the other. -errno: it could not be measured; a failed call is only counted. */
int pinioni_latency_measure(struct latency *latency, pinion_runtime *rt, pinion_handle handle,
    pinion_args args, size_t count, double rate) PINION_MUST_CHECK;
/* The table, on stdout. */
void pinioni_latency_print(struct latency *latency);
void pinioni_latency_end(struct latency *latency);

/* What is said of an error: where it arose, its text, what its code is. */
void pinioni_error_print(const pinion_error *error, char *text, size_t room);

#endif
