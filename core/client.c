/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/client.c - see core/client.h.
 */
#include "core/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/guest.h"
#include "core/host.h"
#include "core/thread.h"

__attribute__((format(printf, 4, 5))) static int
send_refusal(
    const struct client *c, const struct control_message *asked, int err, const char *format, ...)
{
	struct control_message m = pinioni_control_message((enum control_kind)asked->kind);
	va_list list;

	m.serial = asked->serial;
	m.err = err;
	va_start(list, format);
	(void)vsnprintf(m.text, sizeof m.text, format, list); /* cut short: fine */
	va_end(list);
	return pinioni_control_send(c->channel, &m, NULL, 0);
}

static int
send_error(const struct client *c, const struct control_message *asked, int err)
{
	return send_refusal(c, asked, err, "%s", strerror(-err));
}

void
pinioni_client_turn_away(int channel, int err, const char *why)
{
	const struct client c = { .channel = channel };
	const struct control_message hello = { .kind = CONTROL_HELLO };

	(void)!send_refusal(&c, &hello, err, "%s", why); /* it may have gone */
}

void
pinioni_client_say_stopping(const struct client *c)
{
	struct control_message m = pinioni_control_message(CONTROL_STOPPING);

	(void)!pinioni_control_send(c->channel, &m, NULL, 0); /* it is shown out anyway */
}

/* ---- what they ask ---------------------------------------------------------------------------- */

static int
answer_hello(struct client *c, struct pinion_runtime *rt, const struct control_message *asked)
{
	int descriptors[] = { rt->board.segment.fd, rt->board.bell_segment.fd,
		rt->directory.segment.fd, -1 };
	bool has_hosts = runtime_host_count(rt) != 0;
	int err;
	struct control_message m = pinioni_control_message(CONTROL_HELLO);

	if (asked->version != CONTROL_VERSION ||
	    asked->layout_hash != pinioni_segment_layout_hash())
		return send_refusal(c, asked, -EPROTO,
		    "it runs another build of pinion (version %d, layout %llx; yours %u, %llx)",
		    CONTROL_VERSION, (unsigned long long)pinioni_segment_layout_hash(),
		    asked->version, (unsigned long long)asked->layout_hash);
	m.serial = asked->serial;
	m.terms = (struct control_terms){
		.key = rt->key,
		.workers = rt->worker_count,
		.host_workers = runtime_host_count(rt),
		.slots = rt->slots,
		.lane_cells = rt->lane_cells,
		.mode = rt->mode,
		/* relaxed: as where it is read. */
		.pace = atomic_load_explicit(&rt->pace, memory_order_relaxed),
		.clock = pinioni_clock_scale(&rt->clock),
	};
	(void)snprintf(m.terms.name, sizeof m.terms.name, "%s", rt->name);
	err = has_hosts ? pinioni_board_open_hosts(&rt->board, &descriptors[3]) : 0;
	if (err != 0)
		return send_error(c, asked, err);
	c->is_known = true;
	err = pinioni_control_send(c->channel, &m, descriptors, has_hosts ? 4 : 3);
	if (has_hosts)
		(void)close(descriptors[3]); /* the other has its own */
	return err;
}

static int
answer_catalog(
    const struct client *c, struct pinion_runtime *rt, const struct control_message *asked)
{
	struct control_message m = pinioni_control_message(CONTROL_CATALOG);
	int fd, err;

	(void)pthread_mutex_lock(&rt->lock);
	err = pinioni_catalog_write(rt, asked->from, &fd);
	(void)pthread_mutex_unlock(&rt->lock);
	if (err != 0)
		return send_error(c, asked, err);
	m.serial = asked->serial;
	err = pinioni_control_send(c->channel, &m, &fd, 1);
	(void)close(fd); /* the other has its own */
	return err;
}

static bool
size_makes_sense(const struct pinion_runtime *rt, uint64_t bytes)
{
	return bytes >= ARENA_STEP && bytes <= rt->arena_bytes && (bytes & (bytes - 1)) == 0;
}

static void
close_descriptor(int *fd)
{
	(void)close(*fd); /* the mapping stays */
	*fd = -1;
}

static int
make_port(struct client *c, struct pinion_runtime *rt, struct control_message *m,
    uint64_t arena_bytes, bool is_workers)
{
	pinion_port *port;
	int descriptors[2];
	int err = pinioni_guest_create(rt, (size_t)arena_bytes, &m->port, &port);

	if (err != 0)
		return err;
	port->of_host = c->host;
	port->is_foreign = c->peer.uid != getuid() && c->peer.uid != 0;
	if (is_workers) {
		port->worker = c->host->replica->worker;
		port->is_trusted = true;
	}
	err = pinioni_port_enter_runtime(rt, port);
	if (err != 0) {
		pinioni_port_destroy(port);
		return err;
	}
	m->port.index = port->index;
	descriptors[0] = port->memory.segment.fd;
	descriptors[1] = port->lanes.segment.fd;
	port->next = c->ports;
	c->ports = port;
	c->port_count++;
	err = pinioni_control_send(c->channel, m, descriptors, 2);
	if (rt->hosts == NULL) { /* else those that come are told of it */
		close_descriptor(&port->memory.segment.fd);
		close_descriptor(&port->lanes.segment.fd);
	}
	return err == 0 ? 0 : -EPIPE;
}

static int
answer_port(struct client *c, struct pinion_runtime *rt, const struct control_message *asked)
{
	struct control_message m = pinioni_control_message(CONTROL_PORT);
	bool is_workers = asked->port.flags == CONTROL_PORT_WORKER;
	int err;

	m.serial = asked->serial;
	if (!size_makes_sense(rt, asked->port.arena_bytes))
		return send_refusal(c, asked, -EINVAL,
		    "a port of %llu bytes: a power of two, %d to %zu",
		    (unsigned long long)asked->port.arena_bytes, ARENA_STEP, rt->arena_bytes);
	if (runtime_phase(rt) != RUNTIME_RUNNING)
		return send_refusal(c, asked, -ECANCELED, "the runtime is stopping");
	if (c->port_count == CLIENT_PORTS_MAX)
		return send_refusal(
		    c, asked, -ENOSPC, "a process has %d ports at most", CLIENT_PORTS_MAX);
	if (is_workers && (c->host == NULL || c->host->channel >= 0))
		return -EBADMSG; /* the one port of a host's worker */
	err = make_port(c, rt, &m, asked->port.arena_bytes, is_workers);
	if (err == 0 && is_workers)
		pinioni_host_join(c, rt);
	return err == 0 || err == -EPIPE ? err : send_error(c, asked, err);
}

/* In its list; NULL: it is not this client's. */
static pinion_port **
find_port(struct client *c, uint32_t number)
{
	pinion_port **at = &c->ports;

	while (*at != NULL && (*at)->index != number)
		at = &(*at)->next;
	return *at == NULL ? NULL : at;
}

/* Once a port: another end than the first would be another's to close. */
static int
answer_event(struct client *c, const struct control_message *asked)
{
	struct control_message m = pinioni_control_message(CONTROL_EVENT);
	pinion_port **at = find_port(c, asked->from);
	int ends[2], err;

	/* relaxed: only this thread writes it. */
	if (at == NULL || atomic_load_explicit(&(*at)->event_fd, memory_order_relaxed) >= 0)
		return send_error(c, asked, at == NULL ? -EBADMSG : -EALREADY);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return send_error(c, asked, -errno);
	m.serial = asked->serial;
	/* F */
	atomic_store_explicit(&(*at)->event_fd, ends[0], memory_order_release);
	err = pinioni_control_send(c->channel, &m, &ends[1], 1);
	(void)close(ends[1]); /* the other has its own */
	return err;
}

/* Our own user's processes alone: what they do is not guarded. */
static int
answer_host(struct client *c, struct pinion_runtime *rt, const struct control_message *asked)
{
	struct control_message m = *asked;
	char text[CONTROL_TEXT] = "";
	int descriptors[3], err;

	if (c->peer.uid != getuid() && c->peer.uid != 0)
		return send_refusal(c, asked, -EACCES, "it runs for another user");
	err = pinioni_host_claim(c, rt, &m, descriptors, text);
	if (err != 0)
		return send_refusal(c, asked, err, "%s", text[0] != '\0' ? text : strerror(-err));
	err = pinioni_control_send(c->channel, &m, descriptors, 3);
	(void)close(descriptors[1]); /* the other has its own */
	return err;
}

static int
take_close(struct client *c, const struct control_message *asked, pinion_port **closed)
{
	pinion_port **at = find_port(c, asked->from);

	if (at == NULL || (c->host != NULL && *at == c->host->port))
		return -EBADMSG;
	*closed = *at;
	/* relaxed: it only grows, and the door alone takes from it. */
	c->violations += atomic_exchange_explicit(&(*at)->violations, 0, memory_order_relaxed);
	*at = (*at)->next;
	c->port_count--;
	return 0;
}

/* Not 0: it is shown out. */
static int
answer(struct client *c, struct pinion_runtime *rt, const struct control_message *asked,
    pinion_port **closed)
{
	if (!c->is_known && asked->kind != CONTROL_HELLO)
		return -EBADMSG;
	switch (asked->kind) {
	case CONTROL_HELLO:
		return answer_hello(c, rt, asked);
	case CONTROL_CATALOG:
		return answer_catalog(c, rt, asked);
	case CONTROL_PORT:
		return answer_port(c, rt, asked);
	case CONTROL_EVENT:
		return answer_event(c, asked);
	case CONTROL_CLOSE:
		return take_close(c, asked, closed);
	case CONTROL_HOST:
		return answer_host(c, rt, asked);
	case CONTROL_READY:
	case CONTROL_BURIED:
	case CONTROL_RING:
	case CONTROL_REFUSED:
	case CONTROL_COUNT:
	case CONTROL_ENDED:
		return pinioni_host_said(c, rt, asked);
	default:
		return -EBADMSG;
	}
}

/* Of another build as much as its greeting, which has what stays the same. Nobody brings descriptors. */
static bool
is_question(const struct control_message *m, const struct parcel *p)
{
	if (p->descriptor_count != 0 || p->size < offsetof(struct control_message, kind) + 4 ||
	    m->magic != CONTROL_MAGIC)
		return false;
	return p->size == sizeof *m || m->kind == CONTROL_HELLO;
}

int
pinioni_client_listen(struct client *c, struct pinion_runtime *rt, pinion_port **closed)
{
	struct control_message m = { .magic = 0 };
	struct parcel p = { .bytes = &m, .size = sizeof m };
	int err = pinioni_channel_receive(c->channel, &p);

	*closed = NULL;
	if (err != 0)
		return err;
	err = is_question(&m, &p) ? answer(c, rt, &m, closed) : -EBADMSG;
	pinioni_parcel_close(&p);
	return err == -EAGAIN ? -EPIPE : err; /* it does not read what it asked for */
}
