/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/leftover.c - what the kernel says this process has: threads, descriptors, our mappings.
 */
#include "stress.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static unsigned
entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	if (d == NULL)
		give_up("no %s", path);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	(void)closedir(d); /* read only */
	return n;
}

static unsigned
our_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	if (f == NULL)
		give_up("no /proc/self/maps");
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, "memfd:pinion") != NULL;
	(void)fclose(f); /* read only */
	return n;
}

struct leftover
leftover_look(void)
{
	return (struct leftover){ .threads = entries("/proc/self/task"),
		.descriptors = entries("/proc/self/fd"),
		.mappings = our_mappings() };
}

void
leftover_check(struct leftover before)
{
	struct leftover now = leftover_look();

	/* A thread that was joined may be in the kernel's list a moment longer. */
	for (unsigned i = 0; i < 1000 && now.threads > before.threads; i++) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* early is fine */
		now = leftover_look();
	}
	if (now.threads > before.threads || now.descriptors != before.descriptors ||
	    now.mappings != before.mappings)
		give_up("left after the stop: %u threads (%u before), %u descriptors (%u), %u "
			"mappings (%u)",
		    now.threads, before.threads, now.descriptors, before.descriptors, now.mappings,
		    before.mappings);
}
