/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/polls.c - paces by their names, and asking a runtime for its own.
 */
#include "bench/kit/polls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#define HEARD "polls: " /* how that line begins; then the name, and in brackets why */

enum {
	STEPS_MAX = 64 /* of one pace: more are no name */
};

/* A pinion_log_fn. name: char[POLLS_NAME_ROOM], which is set when the line says what was chosen. */
static void
hear(void *name, const char *line)
{
	const char *from = line + strlen(HEARD), *end;

	if (strncmp(line, HEARD, strlen(HEARD)) != 0)
		return;
	end = strstr(from, " (");
	(void)snprintf(name, POLLS_NAME_ROOM, "%.*s",
	    end == NULL ? (int)strlen(from) : (int)(end - from), from);
}

/* "clock", "2 clocks", "pause", "4 pauses", "tight". False: no such name. */
static bool
read_steps(const char *name, struct poll_steps *steps)
{
	char *word;
	unsigned long count = strtoul(name, &word, 10);

	if (word == name)
		count = 1;
	else if (*word == ' ')
		word++;
	*steps = (struct poll_steps){ 0, 0 };
	if (count == 0 || count > STEPS_MAX)
		return false;
	if (strcmp(word, count == 1 ? "clock" : "clocks") == 0 && count <= 2)
		steps->reads = (uint32_t)count;
	else if (strcmp(word, count == 1 ? "pause" : "pauses") == 0)
		steps->pauses = (uint32_t)count;
	else
		return strcmp(name, "tight") == 0;
	return true;
}

/* Without a trial it is the clock's. False: it did not start. */
static bool
ask_runtime(char name[POLLS_NAME_ROOM], const char *bench)
{
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	int err;

	(void)snprintf(name, POLLS_NAME_ROOM, "clock");
	err = pinion_start(
	    &rt, .name = bench, .workers = 1, .log = hear, .log_arg = name, .diag = &diag);
	pinion_stop(rt);
	if (err != 0)
		fprintf(stderr, "%s: %s: %s\n", bench, strerror(-err), diag.text);
	return err == 0;
}

bool
pinioni_polls_choose(struct polls *p, const char *bench, const char *told)
{
	if (told == NULL || strcmp(told, "auto") == 0) {
		if (!ask_runtime(p->name, bench))
			return false;
	} else {
		(void)snprintf(p->name, sizeof p->name, "%s", told);
	}
	if (read_steps(p->name, &p->steps))
		return true;
	fprintf(stderr, "%s: no pace of polls: \"%s\"\n", bench, p->name);
	return false;
}
