/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/hgrm.h - single calls as a percentile table in HdrHistogram's form, which its tools draw.
 */
#ifndef PINION_BENCH_KIT_HGRM_H
#define PINION_BENCH_KIT_HGRM_H

#include <stdbool.h>
#include <stddef.h>

/* directory/BENCH.CASE.SYSTEM.BYTES.PLACEMENT.hgrm: whatever else than letters and digits a part has becomes '-'. The
 * directory is made. ns: count of them. False: it could not be written, and why was said. */
struct hgrm_name {
	const char *bench, *case_name, *system, *placement;
	unsigned payload_bytes;
};
bool pinioni_hgrm_write(const char *directory, const struct hgrm_name *name, const double *ns,
    size_t count) __attribute__((warn_unused_result));

#endif
