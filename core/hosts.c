/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/hosts.c - what hosts are told: of deployments and ports, and asked: core/host.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/host_parts.h"

enum {
	LOOK_MS = 10 /* between two looks whether a process that was started has ended */
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
		rt->hosts[i].channel = rt->hosts[i].pidfd = -1;
	return 0;
}

void
pinioni_hosts_free(struct pinion_runtime *rt)
{
	free(rt->hosts);
}

/* ---- telling ---------------------------------------------------------------------------------- */

static int
tell(const struct host *h, struct control_message m, const int *descriptors, unsigned count)
{
	return pinioni_control_send(h->channel, &m, descriptors, count);
}

int
pinioni_host_tell(const struct host *h, enum control_kind kind, uint32_t from)
{
	struct control_message m = pinioni_control_message(kind);

	m.from = from;
	return tell(h, m, NULL, 0);
}

/* Of one port. */
int
pinioni_host_tell_of(const struct pinion_runtime *rt, struct host *h, pinion_port *port)
{
	struct control_message m = pinioni_control_message(CONTROL_GUEST);
	const int descriptors[] = { port->memory.segment.fd, port->lanes.segment.fd };
	int err;

	m.from = port->worker == NULL ? 0 : port->worker->index + 1;
	m.port = (struct control_port){ .arena_bytes = port->memory.arena_size,
		.index = port->index,
		.flags = port->is_guest && !port->is_trusted ? 0 : CONTROL_PORT_TRUSTED };
	err = tell(h, m, descriptors, 2);
	if (err == 0)
		port->known_to |= host_bit(rt, h);
	return err;
}

int
pinioni_host_tell_deployed(struct pinion_runtime *rt, struct host *h)
{
	struct control_message m = pinioni_control_message(CONTROL_DEPLOYED);
	int fd, err;

	if (h->known == rt->registry.deployment_count)
		return 0;
	err = pinioni_catalog_write(rt, h->known, &fd);
	if (err != 0)
		return err;
	err = tell(h, m, &fd, 1);
	(void)close(fd); /* the other has its own */
	if (err == 0)
		h->known = rt->registry.deployment_count;
	return err;
}

/* One that has ended is told nothing; that it has is heard elsewhere. */
static bool
is_refusal(int err)
{
	return err != 0 && err != -EPIPE;
}

int
pinioni_hosts_tell_deployed(struct pinion_runtime *rt)
{
	int err = 0;

	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt) && !is_refusal(err);
	     i++)
		if (rt->hosts[i].channel >= 0)
			err = pinioni_host_tell_deployed(rt, &rt->hosts[i]);
	return is_refusal(err) ? err : 0;
}

static void
tell_all(struct pinion_runtime *rt, enum control_kind kind)
{
	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt); i++)
		if (rt->hosts[i].channel >= 0)
			(void)!pinioni_host_tell(
			    &rt->hosts[i], kind, 0); /* it is killed if it does not listen */
	(void)pthread_mutex_unlock(&rt->lock);
}

void
pinioni_hosts_cancel(struct pinion_runtime *rt)
{
	tell_all(rt, CONTROL_CANCEL);
}

/* ---- ports ------------------------------------------------------------------------------------ */

int
pinioni_hosts_announce(struct pinion_runtime *rt, pinion_port *port)
{
	int err = 0;

	for (unsigned i = 0; rt->hosts != NULL && i < runtime_host_count(rt) && !is_refusal(err);
	     i++)
		if (rt->hosts[i].channel >= 0 && port->of_host != &rt->hosts[i])
			err = pinioni_host_tell_of(rt, &rt->hosts[i], port);
	return is_refusal(err) ? err : 0;
}

void
pinioni_hosts_bury(struct pinion_runtime *rt, pinion_port *port)
{
	(void)rt;
	port->to_bury = port->to_hear = port->known_to;
}

/* Those of the mask who take it are no more in it. */
static void
tell_masked(struct pinion_runtime *rt, uint64_t *mask, enum control_kind kind, uint32_t port)
{
	for (uint64_t left = *mask; left != 0; left &= left - 1) {
		const struct host *h = &rt->hosts[__builtin_ctzll(left)];

		if (pinioni_host_tell(h, kind, port) != -EAGAIN)
			*mask &= ~host_bit(rt, h);
	}
}

bool
pinioni_hosts_have_buried(struct pinion_runtime *rt, pinion_port *port)
{
	bool all;

	(void)pthread_mutex_lock(&rt->lock);
	tell_masked(rt, &port->to_bury, CONTROL_BURY, port->index);
	all = (port->to_bury | port->to_hear) == 0;
	(void)pthread_mutex_unlock(&rt->lock);
	return all;
}

bool
pinioni_hosts_forget(struct pinion_runtime *rt, pinion_port *port)
{
	tell_masked(rt, &port->known_to, CONTROL_FORGET, port->index);
	return port->known_to == 0;
}

/* The host has gone: nobody waits for what it would say. */
void
pinioni_host_leave_out(struct pinion_runtime *rt, const struct host *h)
{
	uint64_t others = ~host_bit(rt, h);

	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *port = runtime_port(rt, i);

		if (port == NULL)
			port = (pinion_port *)(uintptr_t)runtime_buried(rt, i);
		if (port == NULL)
			continue;
		port->known_to &= others;
		port->to_bury &= others;
		port->to_hear &= others;
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
		if (h->channel >= 0)
			(void)!tell(h, m, NULL, 0); /* then it has not answered */
	}
	all = have_answered(rt, &left);
	for (unsigned i = 0; i < 2 && !all; i++) {
		pinioni_hosts_wait_a_little(rt);
		all = have_answered(rt, &left);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return all ? left : UINT32_MAX;
}
