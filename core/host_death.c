/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/host_death.c - a host that has died: what it had is seen to, and it is started again, or not: core/host.h.
 *
 * Threads   The door's, in turns; a worker reads the journal and stands in, by letters.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/host_parts.h"

enum {
	TURN_MS = 1, /* while one that has ended is seen to */
	CRASHES_MAX =
	    6, /* in a row, none of which has answered anything, before it is not started again */
	STEADY_MS = 10000, /* that one has served is an answer */
	BACKOFF_MS = 10, /* before the second restart in a row; twice as long before each further */
};

/* ---- when one has died ------------------------------------------------------------------------ */

static void
begin_inheritance(struct pinion_runtime *rt, struct host *h)
{
	struct pollfd ends = { .fd = h->dying, .events = POLLIN };
	struct inheritance *n;

	/* The kernel says that it runs no more; or it has said so itself. */
	if (!h->has_left && h->dying >= 0 && poll(&ends, 1, 0) != 1)
		return;
	n = pinioni_lines_take(sizeof *n);
	if (n == NULL)
		return; /* tried again */
	n->runtime = rt;
	n->host = h;
	n->journal = h->journal;
	n->from = h->port;
	h->inheritance = n;
	pinioni_inherit(n);
}

/* What its worker had sent on is others' calls: it is taken before the port goes. */
static bool
is_taken(const struct pinion_runtime *rt, const pinion_port *port)
{
	for (unsigned i = 0; port->is_trusted && i < rt->worker_count; i++)
		if (!lane_is_taken(&port->lanes, i, rt->lane_cells - 1))
			return false;
	return true;
}

/* Its ports are buried as those of a thread here are. */
static void
bury_ports(struct pinion_runtime *rt, struct host *h)
{
	for (pinion_port **at = &h->bereaved; *at != NULL;) {
		pinion_port *port = *at;

		if (!h->is_going && !is_taken(rt, port)) {
			at = &port->next;
			continue;
		}
		*at = port->next;
		port->next = rt->dying;
		rt->dying = port;
	}
}

static uint64_t
backoff_ns(uint32_t crashes)
{
	return crashes < 2 ? 0 : (uint64_t)BACKOFF_MS * 1000000 << (crashes - 2);
}

/* It is to be served again, or not. */
static void
decide(struct pinion_runtime *rt, struct host *h)
{
	uint64_t now = clock_monotonic_ns();

	const struct deployment *d = h->replica->deployment;

	if (h->is_ended && !h->is_going && d->host_command != NULL)
		h->restart_at = now;
	if (h->is_ended || d->host_command == NULL) {
		host_enter(rt, h, !h->has_served && h->err != 0 ? HOST_FAILED : HOST_WANTED);
		return;
	}
	if (!h->has_served && h->err != 0) {
		host_enter(rt, h, HOST_FAILED);
		return;
	}
	h->crashes++;
	if (h->crashes >= CRASHES_MAX) {
		h->err = -EOWNERDEAD;
		(void)snprintf(h->text, sizeof h->text,
		    "%.80s failed: the process of its replica %u has ended %u times and answered nothing",
		    h->replica->deployment->name, h->replica->number, h->crashes);
		(void)snprintf(h->said, sizeof h->said, "%.200s: it is not started again", h->text);

		host_enter(rt, h, HOST_FAILED);
		return;
	}
	h->restart_at = now + backoff_ns(h->crashes);
	host_enter(rt, h, HOST_WANTED);
}

/* Beside what it was in when it ended. */
static bool
has_answered(const struct pinion_runtime *rt, struct host *h, uint32_t unanswered)
{
	uint64_t before = h->started;

	h->started =
	    board_read(rt->board.workers[rt->host_first + host_number(rt, h)], COUNT_STARTED);
	return h->started - before > unanswered;
}

static void
end_inheritance(struct pinion_runtime *rt, struct host *h)
{
	struct inheritance *n = h->inheritance;

	if (!h->is_ended && h->has_served)
		(void)snprintf(h->said, sizeof h->said,
		    "%.80s: the process of replica %u has ended; %u of its calls had started and failed, "
		    "%u had not and go on",
		    h->replica->deployment->name, h->replica->number, n->failed, n->redirected);
	if (has_answered(rt, h, n->failed + n->repeated) ||
	    clock_monotonic_ns() - h->served_at > STEADY_MS * UINT64_C(1000000))
		h->crashes = 0;
	if (h->dying >= 0)
		(void)close(h->dying); /* nothing could be done about it */
	h->dying = -1;
	pinioni_journal_destroy(&h->journal);
	free(n);
	h->inheritance = NULL;
	h->port = NULL;
	for (pinion_port *port = h->bereaved; port != NULL; port = port->next)
		port->of_host = NULL; /* the next process there hears of them as of any other's */
	decide(rt, h);
}

static bool
sibling_serves(const struct pinion_runtime *rt, const struct deployment *d)
{
	for (uint32_t i = 0; i < d->own_count; i++)
		if (host_of(rt, d->own[i])->state == HOST_SERVING)
			return true;
	return false;
}

/* A process is on its way: nobody else is to take from its lanes when it comes. */
static bool
is_expected(const struct host *h)
{
	return h->spawned != 0 || clock_monotonic_ns() < h->asked_until;
}

/* Whether somebody is to take what comes for it. */
static bool
is_to_stand(const struct pinion_runtime *rt, const struct host *h)
{
	const struct deployment *d;

	if (h->replica == NULL || h->pidfd >= 0 || is_expected(h) ||
	    (h->state != HOST_WANTED && h->state != HOST_FAILED && h->state != HOST_IDLE))
		return false;
	if (h->is_going)
		return !pinioni_host_lanes_are_empty(rt, h);
	d = h->replica->deployment;
	if (h->state == HOST_FAILED || h->state == HOST_IDLE ||
	    runtime_phase(rt) != RUNTIME_RUNNING)
		return true;
	if (!h->has_served)
		return false;
	/* One that is started again takes it: soon, unless it was not the first time. */
	return d->host_command == NULL ||
	    (d->rules.routing != ROUTE_BY_KEY && sibling_serves(rt, d));
}

bool
pinioni_host_lanes_are_empty(const struct pinion_runtime *rt, const struct host *h)
{
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		const pinion_port *port = runtime_port(rt, i);

		if (port != NULL &&
		    !lane_is_taken(
			&port->lanes, rt->host_first + host_number(rt, h), rt->lane_cells - 1))
			return false;
	}
	return true;
}

static void
change_standing(struct pinion_runtime *rt, struct host *h, bool stands)
{
	h->standing.worker = rt->host_first + host_number(rt, h);
	h->is_changing = true;
	h->stands = stands;
	if (stands)
		pinioni_stand_in_begin(rt, &h->standing);
	else
		pinioni_stand_in_end(rt, &h->standing);
}

static void
restart(struct pinion_runtime *rt, struct host *h)
{
	int err = pinioni_host_spawn(rt, h->replica->deployment, h);

	if (err == 0)
		return;
	h->spawned = 0;
	(void)snprintf(h->said, sizeof h->said,
	    "%.80s: the process of replica %u cannot be started again: %s",
	    h->replica->deployment->name, h->replica->number, strerror(-err));
	h->is_ended = false;
	decide(rt, h);
}

/* True: it is to be looked at again soon. */
static bool
host_turn(struct pinion_runtime *rt, struct host *h)
{
	bool stands, again = false;

	if (h->state == HOST_DEAD && h->inheritance == NULL)
		begin_inheritance(rt, h);
	else if (h->state == HOST_DEAD && control_is_done(&h->inheritance->letter))
		end_inheritance(rt, h);
	if (h->inheritance == NULL && h->state != HOST_DEAD)
		bury_ports(rt, h);
	if (pinioni_host_say_rest(h))
		again = true;
	if (h->is_changing && control_is_done(&h->standing.letter)) {
		h->is_changing = false;
		host_enter(rt, h, h->state);
	}
	if (h->spawned != 0 && h->pidfd < 0)
		pinioni_host_reap(h);
	stands = is_to_stand(rt, h);
	if (!h->is_changing && stands != h->stands)
		change_standing(rt, h, stands);
	if (h->restart_at != 0 && !h->is_going && clock_monotonic_ns() >= h->restart_at &&
	    h->state == HOST_WANTED && runtime_phase(rt) == RUNTIME_RUNNING) {
		h->restart_at = 0;
		restart(rt, h);
	}
	return again || h->state == HOST_DEAD || h->is_going || h->bereaved != NULL ||
	    h->is_changing || h->restart_at != 0 || (h->pidfd < 0 && is_expected(h));
}

/* The user's function may ask us something. */
static void
log_all(struct pinion_runtime *rt)
{
	for (unsigned i = 0; i < runtime_host_count(rt); i++) {
		char said[FAULT_TEXT];

		(void)pthread_mutex_lock(&rt->lock);
		memcpy(said, rt->hosts[i].said, sizeof said);
		rt->hosts[i].said[0] = '\0';
		(void)pthread_mutex_unlock(&rt->lock);
		if (said[0] != '\0')
			pinioni_runtime_log(rt, "%s", said);
	}
}

int
pinioni_hosts_turn(struct pinion_runtime *rt)
{
	bool again = false;

	if (rt->hosts == NULL)
		return -1;
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; i < runtime_host_count(rt); i++)
		if (rt->hosts[i].state != HOST_FREE)
			again |= host_turn(rt, &rt->hosts[i]);
	(void)pthread_mutex_unlock(&rt->lock);
	log_all(rt);
	return again ? TURN_MS : -1;
}
