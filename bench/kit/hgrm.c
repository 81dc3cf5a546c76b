/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/hgrm.c - values into a histogram, and that into a file.
 */
#include "bench/kit/hgrm.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shm/histogram.h"
#include "shm/histogram_print.h"

enum {
	PATH_ROOM = 512,
	PART_ROOM = 96
};

static const char *
plain(const char *text, char to[PART_ROOM])
{
	size_t at = 0;

	for (; text[at] != '\0' && at + 1 < PART_ROOM; at++)
		to[at] = isalnum((unsigned char)text[at]) != 0 ? text[at] : '-';
	to[at] = '\0';
	return to;
}

static FILE *
open_file(const char *directory, const struct hgrm_name *name)
{
	char path[PATH_ROOM], part[4][PART_ROOM];
	FILE *f;

	(void)mkdir(directory, 0777); /* else fopen says what is wrong */
	(void)snprintf(path, sizeof path, "%s/%s.%s.%s.%u.%s.hgrm", directory,
	    plain(name->bench, part[0]), plain(name->case_name, part[1]),
	    plain(name->system, part[2]), name->payload_bytes, plain(name->placement, part[3]));
	f = fopen(path, "w");
	if (f == NULL)
		fprintf(stderr, "%s: %s: %s\n", name->bench, path, strerror(errno));
	return f;
}

/* Counted in `memory`, copied into s. */
static int
count_all(void *memory, struct histogram_snapshot *s, const double *ns, size_t count)
{
	struct histogram_recorder recorder;
	struct histogram_reader reader;
	int err;

	pinioni_histogram_init(&recorder, memory, HISTOGRAM_HOUR);
	for (size_t i = 0; i < count; i++)
		histogram_record(&recorder, (uint64_t)(ns[i] + 0.5));
	err = pinioni_histogram_attach(&reader, memory, histogram_size(HISTOGRAM_HOUR));
	return err != 0 ? err : pinioni_histogram_take(&reader, s);
}

bool
pinioni_hgrm_write(
    const char *directory, const struct hgrm_name *name, const double *ns, size_t count)
{
	size_t bytes =
	    (histogram_size(HISTOGRAM_HOUR) + PINION_LINE - 1) / PINION_LINE * PINION_LINE;
	void *memory = aligned_alloc(PINION_LINE, bytes);
	struct histogram_snapshot *s = malloc(bytes);
	FILE *f = NULL;
	int err = memory == NULL || s == NULL ? -ENOMEM : count_all(memory, s, ns, count);

	if (err == 0) {
		f = open_file(directory, name);
		err = f == NULL ? -EIO : pinioni_histogram_print(s, 1, f);
	}
	if (f != NULL && fclose(f) != 0)
		err = -EIO;
	free(memory);
	free(s);
	if (err != 0)
		fprintf(stderr, "%s: a histogram: %s\n", name->bench, strerror(-err));
	return err == 0;
}
