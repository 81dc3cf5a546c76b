/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/machine.h - what was measured on: without it no figure means anything.
 */
#ifndef PINION_BENCH_KIT_MACHINE_H
#define PINION_BENCH_KIT_MACHINE_H

#include <jansson.h>

#include "bench/kit/kit.h"

void pinioni_machine_print(const struct kit *k);
/* NULL: no memory. */
json_t *pinioni_machine_json(const struct kit *k);

#endif
