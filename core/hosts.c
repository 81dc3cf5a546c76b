/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/hosts.c - what hosts are told: of deployments and ports, and asked: core/host.h.
 *
 * Threads   Any, under the runtime's lock. None waits for a host: what one does not read is kept, and said in the door's turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/host_parts.h"

enum {
	UNSAID_MAX = 8192, /* messages that a host has not read, before it is ended */
	LOOK_MS = 10       /* between two looks whether a process that was started has ended */
};

int
pinioni_hosts_make(struct pinion_runtime *rt)
{
	unsigned count = runtime_host_count(rt);

	if (count == 0)
		return 0;
	rt->hosts = calloc(count, sizeof *rt->hosts);
	if (rt->hosts == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		rt->hosts[i] = HOST_NONE;
	return 0;
}

void
pinioni_hosts_free(struct pinion_runtime *rt)
{
	free(rt->hosts);
}

/* ---- telling ---------------------------------------------------------------------------------- */

/* What it has not read yet, in order: a host may be stopped, and others do not wait for it. */
struct unsaid {
	struct unsaid *next;
	struct control_message m;
	int descriptors[2];
	unsigned count;
};

void
pinioni_host_kill(const struct host *h)
{
	if (h->pidfd >= 0)
		(void)syscall(
		    SYS_pidfd_send_signal, h->pidfd, SIGKILL, NULL, 0); /* or it has ended */
	else if (h->spawned != 0)
		(void)kill(h->spawned, SIGKILL);
}

static void
free_unsaid(struct unsaid *u)
{
	for (unsigned i = 0; i < u->count; i++)
		(void)close(u->descriptors[i]); /* nothing could be done about it */
	free(u);
}

void
pinioni_host_unsay(struct host *h)
{
	for (struct unsaid *u = h->unsaid, *next; u != NULL; u = next) {
		next = u->next;
		free_unsaid(u);
	}
	h->unsaid = NULL;
	h->unsaid_count = 0;
}

static bool
keep(struct host *h, const struct control_message *m, const int *descriptors, unsigned count)
{
	struct unsaid *u = h->unsaid_count == UNSAID_MAX ? NULL : calloc(1, sizeof *u);
	struct unsaid **end = &h->unsaid;

	if (u == NULL)
		return false;
	u->m = *m;
	for (; u->count < count; u->count++) {
		u->descriptors[u->count] = fcntl(descriptors[u->count], F_DUPFD_CLOEXEC, 0);
		if (u->descriptors[u->count] < 0) {
			free_unsaid(u);
			return false;
		}
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = u;
	h->unsaid_count++;
	return true;
}

/* One that has ended is told nothing; that it has is heard elsewhere. One that would miss something is ended: it would wait for
 * what never comes. */
static void
say(struct host *h, const struct control_message *m, const int *descriptors, unsigned count)
{
	struct control_message copy = *m;
	int err = -EAGAIN;

	if (h->channel < 0)
		return;
	if (h->unsaid == NULL)
		err = pinioni_control_send(h->channel, &copy, descriptors, count);
	if (err == 0 || err == -EPIPE)
		return;
	if (!keep(h, m, descriptors, count))
		pinioni_host_kill(h);
}

bool
pinioni_host_say_rest(struct host *h)
{
	while (h->unsaid != NULL && h->channel >= 0) {
		struct unsaid *u = h->unsaid;

		if (pinioni_control_send(h->channel, &u->m, u->descriptors, u->count) == -EAGAIN)
			break;
		h->unsaid = u->next;
		h->unsaid_count--;
		free_unsaid(u);
	}
	return h->unsaid != NULL;
}

void
pinioni_host_tell(struct host *h, enum control_kind kind, uint32_t from)
{
	struct control_message m = pinioni_control_message(kind);

	m.from = from;
	say(h, &m, NULL, 0);
}

void
pinioni_host_tell_of(const struct pinion_runtime *rt, struct host *h, pinion_port *port)
{
	struct control_message m = pinioni_control_message(CONTROL_GUEST);
	const int descriptors[] = { port->memory.segment.fd, port->lanes.segment.fd };

	m.from = port->worker == NULL ? 0 : port->worker->index + 1;
	m.port = (struct control_port){ .arena_bytes = port->memory.arena_size,
		.index = port->index,
		.flags = (port->is_guest && !port->is_trusted ? 0u : CONTROL_PORT_TRUSTED) |
		    (port->is_foreign ? CONTROL_PORT_FOREIGN : 0u) };
	say(h, &m, descriptors, 2);
	port->known_to |= host_bit(rt, h);
}

void
pinioni_host_tell_deployed(struct pinion_runtime *rt, struct host *h)
{
	struct control_message m = pinioni_control_message(CONTROL_DEPLOYED);
	int fd;

	if (h->known == rt->registry.deployment_count)
		return;
	if (pinioni_catalog_write(rt, h->known, &fd) != 0) {
		pinioni_host_kill(h); /* no memory to tell it what it has to know */
		return;
	}
	say(h, &m, &fd, 1);
	(void)close(fd); /* the other has its own */
	h->known = rt->registry.deployment_count;
}

void
pinioni_hosts_tell_deployed(struct pinion_runtime *rt)
{
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		if (rt->hosts[i].channel >= 0)
			pinioni_host_tell_deployed(rt, &rt->hosts[i]);
}

void
pinioni_hosts_cancel(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		pinioni_host_tell(&rt->hosts[i], CONTROL_CANCEL, 0);
	(void)pthread_mutex_unlock(&rt->lock);
}

/* ---- ports ------------------------------------------------------------------------------------ */

void
pinioni_hosts_announce(struct pinion_runtime *rt, pinion_port *port)
{
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		if (rt->hosts[i].channel >= 0 && port->of_host != &rt->hosts[i])
			pinioni_host_tell_of(rt, &rt->hosts[i], port);
}

static void
tell_masked(struct pinion_runtime *rt, uint64_t mask, enum control_kind kind, uint32_t port)
{
	for (; mask != 0; mask &= mask - 1)
		pinioni_host_tell(&rt->hosts[__builtin_ctzll(mask)], kind, port);
}

/* Something of it lies in its lanes yet. */
static bool
is_in_lanes(const struct host *h)
{
	return h->state == HOST_DEAD || h->bereaved != NULL;
}

void
pinioni_hosts_bury(struct pinion_runtime *rt, pinion_port *port)
{
	port->to_hear = port->known_to;
	tell_masked(rt, port->known_to, CONTROL_BURY, port->index);
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		if (is_in_lanes(&rt->hosts[i]))
			port->to_drain |= host_bit(rt, &rt->hosts[i]);
}

bool
pinioni_hosts_have_buried(struct pinion_runtime *rt, pinion_port *port)
{
	bool all;

	(void)pthread_mutex_lock(&rt->lock);
	for (uint64_t left = port->to_drain; left != 0; left &= left - 1)
		if (!is_in_lanes(&rt->hosts[__builtin_ctzll(left)]))
			port->to_drain &= ~host_bit(rt, &rt->hosts[__builtin_ctzll(left)]);
	all = (port->to_drain | port->to_hear) == 0;
	(void)pthread_mutex_unlock(&rt->lock);
	return all;
}

void
pinioni_hosts_forget(struct pinion_runtime *rt, pinion_port *port)
{
	tell_masked(rt, port->known_to, CONTROL_FORGET, port->index);
	port->known_to = 0;
}

void
pinioni_host_leave_out(struct pinion_runtime *rt, const struct host *h)
{
	uint64_t bit = host_bit(rt, h);

	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *port = (pinion_port *)(uintptr_t)runtime_buried(rt, i);

		if (port != NULL)
			port->to_drain |= port->to_hear & bit; /* what it had sent may name it */
		if (port == NULL)
			port = runtime_port(rt, i);
		if (port == NULL)
			continue;
		port->known_to &= ~bit;
		port->to_hear &= ~bit;
	}
}

/* ---- asking ------------------------------------------------------------------------------------ */

void
pinioni_hosts_wait_a_little(struct pinion_runtime *rt)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
	until.tv_nsec += LOOK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&rt->hosts_cond, &rt->lock, &until); /* either way: a look */
}

/* Locked. */
static bool
have_answered(const struct pinion_runtime *rt, uint32_t *left)
{
	bool all = true;

	*left = 0;
	for (unsigned i = 0; i < runtime_host_count(rt); i++) {
		const struct host *h = &rt->hosts[i];

		all = all && h->state != HOST_DEAD;
		if (h->channel < 0)
			continue;
		all = all && h->answered == h->asked;
		*left += h->left;
	}
	return all;
}

uint32_t
pinioni_hosts_left(struct pinion_runtime *rt)
{
	struct control_message m = pinioni_control_message(CONTROL_COUNT);
	uint32_t left = 0;
	bool all;

	if (rt->hosts == NULL)
		return 0;
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; i < runtime_host_count(rt); i++) {
		struct host *h = &rt->hosts[i];

		m.serial = ++h->asked;
		say(h, &m, NULL, 0);
	}
	all = have_answered(rt, &left);
	for (unsigned i = 0; i < 2 && !all; i++) {
		pinioni_hosts_wait_a_little(rt);
		all = have_answered(rt, &left);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return all ? left : UINT32_MAX;
}

void
pinioni_hosts_end_silent(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++) {
		const struct host *h = &rt->hosts[i];

		if (h->channel >= 0 && (h->answered != h->asked || h->left != 0))
			pinioni_host_kill(h);
	}
	(void)pthread_mutex_unlock(&rt->lock);
}
