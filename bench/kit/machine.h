/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/machine.h - what was measured on: without it no figure means anything.
 */
#ifndef PINION_BENCH_KIT_MACHINE_H
#define PINION_BENCH_KIT_MACHINE_H

#include <jansson.h>

#include "bench/kit/kit.h"

/* NULL: no memory. */
json_t *pinioni_machine_json(const struct kit *k);
/* Two lines, to stdout. False: that is no machine. */
bool pinioni_machine_print(json_t *machine) __attribute__((warn_unused_result));

#endif
