/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/peers/pinion.h - Pinion as a peer: its runtime is started before the first turn.
 */
#ifndef PINION_BENCH_PEERS_PINION_H
#define PINION_BENCH_PEERS_PINION_H

#include "bench/kit/kit.h"

/* False: it did not start, and why was said. */
bool pinioni_pinion_begin(const struct kit *k) __attribute__((warn_unused_result));
void pinioni_pinion_end(void);

#endif
