/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/belongings.h - what this process has of the machine, to be the same before and after: descriptors, threads, mappings;
 * and how much memory.
 */
#ifndef PINION_TESTS_ATTACH_BELONGINGS_H
#define PINION_TESTS_ATTACH_BELONGINGS_H

#include "tests/attach/serve.h"

#include <dirent.h>

static inline unsigned
entries_in(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static inline unsigned
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned count = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		count += strstr(line, "pinion-") != NULL;
	(void)fclose(f);
	return count;
}

/* What a process has, before and after. */
struct belongings {
	unsigned descriptors, maps, threads;
};

static inline struct belongings
belongings(void)
{
	return (struct belongings){ .descriptors = entries_in("/proc/self/fd"),
		.maps = mappings(),
		.threads = entries_in("/proc/self/task") };
}

static inline bool
is_same(struct belongings a, struct belongings b)
{
	return a.descriptors == b.descriptors && a.maps == b.maps && a.threads == b.threads;
}

/* kB of memory of its own. */
static inline long
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all, mine, shared;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld %ld", &all, &mine, &shared), 3);
	(void)fclose(f);
	return (mine - shared) * 4;
}

#endif
