/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/options.h - what every program here can be told.
 */
#ifndef PINION_BENCH_KIT_OPTIONS_H
#define PINION_BENCH_KIT_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

/* What one program can be told beside these. */
struct options_own {
	const struct argp *parser;
	void *input; /* the parser's */
};

struct options {
	const struct options_own *own; /* lent while they are read; NULL: none */
	bool quick, json;
	unsigned rounds;
	const char *idle, *poll, *commit;
	const char *hgrm; /* directory for percentile tables; NULL: none */
};

/* doc: one line for --help. Exits by itself when they make no sense, or with --help and --version. */
void pinioni_options_read(int argc, char **argv, const char *doc, struct options *o);

#endif
