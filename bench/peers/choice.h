/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/peers/choice.h - which peers are measured, and with which payloads.
 */
#ifndef PINION_BENCH_PEERS_CHOICE_H
#define PINION_BENCH_PEERS_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/kit/options.h"

enum {
	CHOICE_PAYLOADS = 3
};

struct choice {
	const char *only; /* names, by commas; NULL: all */
	unsigned payload_count;
	uint32_t payloads[CHOICE_PAYLOADS]; /* the first is 8 */
	struct options_own own;             /* for the kit */
};

/* 8 bytes, all peers. c: stays where it is while the options are read. */
void pinioni_choice_init(struct choice *c);
/* By the beginning of its name, in whichever case. */
bool pinioni_choice_has(const struct choice *c, const char *name);

#endif
