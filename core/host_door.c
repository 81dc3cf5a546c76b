/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/host_door.c - hosts that come, what they say, and that one has gone: core/host.h.
 *
 * Threads   The door's.
 * Death     Of a host at any step: its connection ends, or its pidfd says so; what it had claimed is wanted again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/application.h"
#include "core/brief.h"
#include "core/door.h"
#include "core/host_parts.h"

enum {
	ASKED_MS = 200 /* after which one that asked has given up */
};

/* ---- coming ----------------------------------------------------------------------------------- */

/* Of a text of two, each with its end. False: it is not. */
static bool
read_names(const char text[CONTROL_TEXT], const char **app, const char **deployment)
{
	size_t length = strnlen(text, CONTROL_TEXT);

	*app = text;
	*deployment = text + length + 1;
	return length + 1 < CONTROL_TEXT &&
	    memchr(*deployment, '\0', CONTROL_TEXT - length - 1) != NULL;
}

static bool
is_free(const struct host *h, const struct replica *r)
{
	return h->state == HOST_WANTED && h->replica == r && h->pidfd < 0 && !h->is_going;
}

/* Why none of it is to be had. */
static const char *
why_not(const struct pinion_runtime *rt, const struct deployment *d)
{
	for (uint32_t i = 0; i < d->own_count; i++)
		if (host_of(rt, d->own[i])->state == HOST_FAILED)
			return "has failed";
	return "has all its processes";
}

static struct host *
find_wanted(struct pinion_runtime *rt, const char *app, const char *deployment, uint32_t number,
    char text[CONTROL_TEXT])
{
	const char *why = "does not run there";

	for (unsigned i = 0; i < rt->registry.deployment_count; i++) {
		const struct deployment *d = registry_deployment(&rt->registry, i);

		if (strcmp(d->app, app) != 0 || strcmp(d->name, deployment) != 0)
			continue;
		why = deployment_is_isolated(d)
		    ? why_not(rt, d)
		    : "is not isolated: it runs in the process that runs the rest";
		for (uint32_t k = 0; deployment_is_isolated(d) && k < d->own_count; k++)
			if ((number == UINT32_MAX || number == k) &&
			    is_free(host_of(rt, d->own[k]), d->own[k]))
				return host_of(rt, d->own[k]);
	}
	(void)snprintf(text, CONTROL_TEXT, "%.60s of \"%.60s\" %s", deployment, app, why);
	return NULL;
}

/* Nobody else takes from its lanes; what it is told, and where it writes down what it has. */
static int
prepare(struct pinion_runtime *rt, struct host *h, int descriptors[3])
{
	int err;

	if (h->stands || h->is_changing) {
		h->asked_until = clock_monotonic_ns() + ASKED_MS * UINT64_C(1000000);
		return -EAGAIN; /* core/serve.c asks again */
	}
	err = pinioni_journal_create(&h->journal);
	if (err != 0)
		return err;
	descriptors[0] = rt->board.host_segment.fd;
	descriptors[2] = h->journal.segment.fd;
	err = pinioni_brief_write(h->replica, &descriptors[1]);
	if (err != 0)
		pinioni_journal_destroy(&h->journal);
	return err;
}

int
pinioni_host_claim(struct client *c, struct pinion_runtime *rt, struct control_message *m,
    int descriptors[3], char text[CONTROL_TEXT])
{
	const char *app, *deployment;
	struct host *h = NULL;
	int err = -EBADMSG;

	if (c->host != NULL || !read_names(m->text, &app, &deployment))
		return -EBADMSG;
	if (c->peer.pid == getpid())
		return -EINVAL; /* it would be killed for what a host does */
	if (m->host.request_size != sizeof(struct pinion_request)) {
		(void)snprintf(text, CONTROL_TEXT, "it runs another build of pinion");
		return -EPROTO;
	}
	(void)pthread_mutex_lock(&rt->lock);
	h = find_wanted(rt, app, deployment, m->host.number, text);
	err = h == NULL ? -ENOENT : prepare(rt, h, descriptors);
	if (err == 0) {
		h->known = m->from;
		h->pidfd = c->peer.pidfd;
		h->asked_until = 0;
		h->has_left = false;
		c->host = h;
		host_enter(rt, h, HOST_COMING);
		m->host = (struct control_host){ .number = h->replica->number,
			.deployment = h->replica->deployment->index,
			.worker = h->replica->worker->index,
			.replica = h->replica->index,
			.cpu = h->replica->worker->cpu };
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* All that is there, and what still goes. */
static void
tell_of_all(struct pinion_runtime *rt, struct host *h)
{
	pinioni_host_tell_deployed(rt, h);
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		pinion_port *port = runtime_port(rt, i);
		pinion_port *gone = (pinion_port *)(uintptr_t)runtime_buried(rt, i);

		if (port != NULL && port->of_host != h)
			pinioni_host_tell_of(rt, h, port);
		if (port == NULL && gone != NULL) {
			gone->known_to |= host_bit(rt, h);
			gone->to_hear |= host_bit(rt, h);
			pinioni_host_tell(h, CONTROL_BURY, i);
		}
	}
}

void
pinioni_host_join(struct client *c, struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&rt->lock);
	c->host->channel = c->channel;
	c->host->port = c->ports; /* the latest */
	tell_of_all(rt, c->host);
	(void)pthread_mutex_unlock(&rt->lock);
	pinioni_door_knock(rt->door);
}

/* ---- what it says ----------------------------------------------------------------------------- */

static int
take_ready(struct pinion_runtime *rt, struct host *h, const struct control_message *m)
{
	struct deployment *d;

	if (h->state != HOST_COMING || m->err > 0)
		return h->state == HOST_LEAVING ? 0 : -EBADMSG;
	d = (struct deployment *)(uintptr_t)h->replica->deployment;
	if (m->err != 0) {
		h->err = m->err;
		(void)snprintf(h->text, sizeof h->text, "init of replica %u failed: %.160s",
		    h->replica->number, m->text[0] != '\0' ? m->text : strerror(-m->err));
		host_enter(rt, h, HOST_FAILED);
		return 0;
	}
	h->has_served = true;
	h->served_at = clock_monotonic_ns();

	host_enter(rt, h, HOST_SERVING);
	if (pinioni_hosts_serve(rt, d))
		pinioni_deployment_publish(rt, d, d->wanted);
	return 0;
}

static pinion_port *
find_port(struct pinion_runtime *rt, uint32_t number)
{
	pinion_port *port = runtime_port(rt, number);

	return port != NULL ? port : (pinion_port *)(uintptr_t)runtime_buried(rt, number);
}

static int
take_of_port(struct pinion_runtime *rt, struct host *h, const struct control_message *m)
{
	pinion_port *port;

	if (m->from >= PORTS_MAX)
		return -EBADMSG;
	port = find_port(rt, m->from);
	if (port == NULL)
		return 0;
	if (m->kind == CONTROL_BURIED)
		port->to_hear &= ~host_bit(rt, h);
	else if (m->kind == CONTROL_RING)
		pinioni_port_ring(port);
	else if (m->port.first < UINT32_MAX) {
		/* relaxed: as in core/guard.c. */
		atomic_fetch_add_explicit(
		    &port->violations, (uint32_t)m->port.first, memory_order_relaxed);
		pinioni_door_knock(rt->door);
	}
	return 0;
}

static int
said_locked(struct pinion_runtime *rt, struct host *h, const struct control_message *m)
{
	switch (m->kind) {
	case CONTROL_READY:
		return take_ready(rt, h, m);
	case CONTROL_ENDED:
		h->has_left = true;
		host_enter(rt, h, HOST_LEAVING);
		return 0;
	case CONTROL_COUNT:
		h->left = m->from;
		h->answered = m->serial;
		host_enter(rt, h, h->state);
		return 0;
	default:
		return take_of_port(rt, h, m);
	}
}

int
pinioni_host_said(struct client *c, struct pinion_runtime *rt, const struct control_message *m)
{
	int err;

	if (c->host == NULL)
		return -EBADMSG;
	(void)pthread_mutex_lock(&rt->lock);
	err = said_locked(rt, c->host, m);
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* Out of the client's hands: they are buried when its journal has been read. */
static void
take_ports(struct client *c, struct host *h)
{
	pinion_port **end = &h->bereaved; /* some of the process before it may still be there */

	while (*end != NULL)
		end = &(*end)->next;
	*end = c->ports;
	c->ports = NULL;
	c->port_count = 0;
}

void
pinioni_host_gone(struct client *c, struct pinion_runtime *rt)
{
	struct host *h = c->host;

	if (h == NULL)
		return;
	(void)pthread_mutex_lock(&rt->lock);
	c->host = NULL;
	if (!h->has_left)
		pinioni_host_kill(
		    h); /* it may only have been cut off: what it has is another's from now on */
	h->dying = fcntl(h->pidfd, F_DUPFD_CLOEXEC, 0);
	h->channel = h->pidfd = -1;
	pinioni_host_unsay(h);
	pinioni_host_leave_out(rt, h);
	pinioni_host_reap(h);
	take_ports(c, h);
	if (h->state == HOST_COMING && !h->has_served) {
		h->err = -EOWNERDEAD;
		(void)snprintf(h->text, sizeof h->text, "the process of replica %u has ended",
		    h->replica->number);
	}
	h->is_ended = h->state == HOST_LEAVING;
	host_enter(rt, h, HOST_DEAD);
	(void)pthread_mutex_unlock(&rt->lock);
	pinioni_door_knock(rt->door);
}
