/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/host_deploy.c - an isolated deployment gets its processes, and ends them: core/host.h.
 *
 * Threads   Whoever deploys, one at a time; it waits, for as long as init and deinit take.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/door.h"
#include "core/host_parts.h"

enum {
	LATE =
	    3 /* times the limit: what runs has so long to end, as long when canceled, and it has to go */
};

extern char **environ;

void
pinioni_host_reap(struct host *h)
{
	if (h->spawned != 0 && waitpid(h->spawned, NULL, WNOHANG) != 0)
		h->spawned = 0;
}

/* In a group of its own: what stops us by the terminal is ours to tell it. */
int
pinioni_host_spawn(const struct pinion_runtime *rt, const struct deployment *d, struct host *h)
{
	posix_spawnattr_t how;
	char number[16];
	char **words;
	sigset_t none;
	size_t count = 0;
	int err;

	while (d->host_command[count] != NULL)
		count++;
	words = calloc(count + 5, sizeof *words);
	if (words == NULL)
		return -ENOMEM;
	memcpy(words, d->host_command, count * sizeof *words);
	(void)snprintf(number, sizeof number, "%u", h->replica->number);
	words[count] = (char *)(uintptr_t)rt->listen;
	words[count + 1] = (char *)(uintptr_t)d->app;
	words[count + 2] = (char *)(uintptr_t)d->name;
	words[count + 3] = number;
	(void)sigemptyset(&none);
	(void)posix_spawnattr_init(&how);
	(void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawnattr_setsigmask(&how, &none);
	err = -posix_spawnp(&h->spawned, words[0], NULL, &how, words, environ);
	(void)posix_spawnattr_destroy(&how);
	free(words);
	return err;
}

/* ---- deploying -------------------------------------------------------------------------------- */

struct worker *
pinioni_host_place(struct pinion_runtime *rt, struct replica *r)
{
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		if (rt->hosts[i].state == HOST_FREE) {
			rt->hosts[i].replica = r;
			rt->hosts[i].state = HOST_WANTED;
			return &rt->workers[rt->host_first + i];
		}
	return NULL;
}

enum progress {
	PROGRESS_DONE,   /* all serve */
	PROGRESS_WAITS,  /* some do not yet */
	PROGRESS_FAILED, /* one cannot */
};

/* Locked. */
static enum progress
look(struct pinion_runtime *rt, const struct deployment *d, uint32_t from, uint32_t count,
    char text[FAULT_TEXT], int *err)
{
	enum progress progress = PROGRESS_DONE;

	for (uint32_t i = from; i < count; i++) {
		struct host *h = host_of(rt, d->own[i]);

		pinioni_host_reap(h);
		if (h->state == HOST_FAILED) {
			(void)snprintf(text, FAULT_TEXT, "%s", h->text);
			*err = h->err;
			return PROGRESS_FAILED;
		}
		if (h->state == HOST_WANTED && h->spawned == 0) {
			(void)snprintf(text, FAULT_TEXT,
			    "the process of replica %u (%.100s) has ended and served nothing", i,
			    d->host_command[0]);
			*err = -ECHILD;
			return PROGRESS_FAILED;
		}
		if (h->state != HOST_SERVING)
			progress = PROGRESS_WAITS;
	}
	return progress;
}

int
pinioni_hosts_start(struct pinion_runtime *rt, struct deployment *d, uint32_t from, uint32_t count,
    char text[FAULT_TEXT])
{
	int err = 0;

	(void)pthread_mutex_lock(&rt->lock);
	for (uint32_t i = from; i < count; i++)
		if (host_of(rt, d->own[i])->state == HOST_IDLE)
			host_enter(rt, host_of(rt, d->own[i]), HOST_WANTED);
	if (d->host_command == NULL)
		count = from; /* they come when they come */
	for (uint32_t i = from; i < count && err == 0; i++) {
		err = pinioni_host_spawn(rt, d, host_of(rt, d->own[i]));
		if (err != 0)
			(void)snprintf(text, FAULT_TEXT, "\"%.100s\" cannot be started: %s",
			    d->host_command[0], strerror(-err));
	}
	while (err == 0 && look(rt, d, from, count, text, &err) == PROGRESS_WAITS)
		pinioni_hosts_wait_a_little(rt);
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* ---- ending ----------------------------------------------------------------------------------- */

/* Locked. */
static void
tell_end(struct host *h)
{
	if (h->state == HOST_SERVING || h->state == HOST_COMING) {
		h->state = HOST_LEAVING;
		if (h->channel < 0)
			pinioni_host_kill(h); /* it cannot be told */
		pinioni_host_tell(h, CONTROL_END, 0);
	} else if (h->state == HOST_WANTED || h->state == HOST_FAILED) {
		pinioni_host_kill(h); /* one that was started, and has not come yet */
	}
	h->is_going = true;
}

/* Locked. */
static bool
has_gone(const struct pinion_runtime *rt, struct host *h)
{
	pinioni_host_reap(h);
	return h->pidfd < 0 && h->spawned == 0 && h->state != HOST_DEAD && h->bereaved == NULL &&
	    !h->stands && !h->is_changing && pinioni_host_lanes_are_empty(rt, h);
}

static bool
all_have_gone(struct pinion_runtime *rt, const struct deployment *d, uint32_t from)
{
	bool all = true;

	for (uint32_t i = from; i < d->own_count; i++)
		all = has_gone(rt, host_of(rt, d->own[i])) && all;
	return all;
}

/* Its replica may be wanted again. */
static void
leave_place(struct host *h, bool for_good)
{
	struct replica *r = h->replica;

	*h = HOST_NONE;
	if (for_good)
		return;
	h->replica = r;
	h->state = HOST_IDLE;
}

bool
pinioni_hosts_serve(const struct pinion_runtime *rt, const struct deployment *d)
{
	for (uint32_t i = 0; i < d->wanted; i++)
		if (host_of(rt, d->own[i])->state != HOST_SERVING)
			return false;
	return true;
}

void
pinioni_hosts_end(
    struct pinion_runtime *rt, struct deployment *d, uint32_t from, int64_t limit_ns, bool for_good)
{
	uint64_t start = clock_monotonic_ns();
	bool is_late = false;

	(void)pthread_mutex_lock(&rt->lock);
	for (uint32_t i = from; i < d->own_count; i++)
		tell_end(host_of(rt, d->own[i]));
	pinioni_door_knock(rt->door);
	/* As long as it takes there: what runs has so long to end, and as long when canceled. */
	while (!all_have_gone(rt, d, from)) {
		if (clock_monotonic_ns() - start > LATE * (uint64_t)limit_ns) {
			is_late = true;
			for (uint32_t i = from; i < d->own_count; i++)
				pinioni_host_kill(host_of(rt, d->own[i]));
		}
		pinioni_hosts_wait_a_little(rt);
	}
	for (uint32_t i = from; i < d->own_count; i++)
		leave_place(host_of(rt, d->own[i]), for_good);
	pinioni_door_knock(rt->door); /* somebody is to look after places that are kept */
	(void)pthread_mutex_unlock(&rt->lock);
	if (is_late)
		pinioni_runtime_log(
		    rt, "%s: a process of it did not end in time, and was killed", d->name);
}
