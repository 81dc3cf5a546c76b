/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/histogram_print.h - a snapshot's percentiles in HdrHistogram's classic text, which is what a .hgrm
 * file holds.
 *
 *          Value     Percentile TotalCount 1/(1-Percentile)
 *
 *          1.000 0.000000000000          1           1.00
 *   ...
 *   #[Mean    =     5000.500, StdDeviation   =     2886.751]
 *   #[Max     =     9999.000, Total count    =        10000]
 *   #[Buckets =           32, SubBuckets     =         2048]
 *
 * Why       Plotters and log processors read this. It is what the Java original writes, five rows to each
 *           halving of the distance to 1, byte for byte; HdrHistogram_c's columns are others.
 * Threads   Anybody's; the snapshot and the file are the caller's.
 * Progress  blocking: it writes a file.
 */
#ifndef PINION_SHM_HISTOGRAM_PRINT_H
#define PINION_SHM_HISTOGRAM_PRINT_H

#include <stdio.h>

#include "shm/histogram.h"

/* Values are divided by `scale`: 1000 shows nanoseconds as microseconds. With a point whatever the locale.
 * The caller opens and closes `to`. 0, -EIO: it did not take all of it, -ENOMEM: no locale. */
int pinioni_histogram_print(const struct histogram_snapshot *s, double scale, FILE *to)
    __attribute__((warn_unused_result));

#endif
