/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/options.h - what every program here can be told.
 */
#ifndef PINION_BENCH_KIT_OPTIONS_H
#define PINION_BENCH_KIT_OPTIONS_H

#include <stdbool.h>

struct options {
	bool quick, json;
	unsigned rounds;
	const char *idle, *poll, *commit;
};

/* doc: one line for --help. Exits by itself when they make no sense, or with --help and --version. */
void pinioni_options_read(int argc, char **argv, const char *doc, struct options *o);

#endif
