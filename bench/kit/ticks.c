/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/ticks.c - the length of a tick, its step, and what timing costs.
 */
#include "bench/kit/ticks.h"

#include "bench/kit/median.h"

enum {
	READINGS = 4096,
	CALIBRATE_NS = 50000000
};

struct ticks_scale
pinioni_ticks_measure(void)
{
	struct ticks_scale s = { .empty_ns = 0 };
	double between[READINGS];
	size_t moved = 0;
	uint64_t start_ns = ticks_monotonic_ns(), start = ticks_now(), ns;

	while ((ns = ticks_monotonic_ns() - start_ns) < CALIBRATE_NS)
		continue;
	s.per_ns = (double)(ticks_now() - start) / (double)ns;
	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = ticks_now();
		uint64_t after = ticks_now();

		between[i] = (double)(after - before) / s.per_ns;
		s.empty_ns += between[i] < 1000 ? between[i] / READINGS : 0;
		if (after != before)
			between[moved++] = between[i];
	}
	median_sort(between, moved);
	/* Not the smallest: a hypervisor that scales the counter rounds some steps to almost nothing. */
	s.step_ns = quantile(between, moved, 0.5);
	return s;
}
