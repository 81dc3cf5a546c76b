/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/version.c - `pinion version`: what this is made of.
 */
#include <argp.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>

#include <pinion/pinion.h>

#include "verb.h"

int
pinioni_verb_version(int argc, char **argv)
{
	static const struct argp argp = { .doc = "Says what this is made of." };
	const char *jemalloc = "unknown";
	size_t size = sizeof jemalloc;

	if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0)
		return EXIT_FAILURE;
	(void)mallctl("version", &jemalloc, &size, NULL, 0);
	printf("pinion %s\n", PINION_VERSION);
	printf("ABI %u\n", PINION_ABI);
	printf("jemalloc %s\n", jemalloc);
	return EXIT_SUCCESS;
}
