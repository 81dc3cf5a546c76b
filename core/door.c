/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/door.c - see core/door.h.
 */
#include "core/door.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "affinity/pin.h"
#include "core/client.h"
#include "core/guest.h"
#include "core/host.h"
#include "shm/futex.h"
#include "shm/rendezvous.h"

static_assert((int)CLIENTS_MAX == (int)DIRECTORY_CLIENTS, "a line for each");

enum {
	EVENTS = 16,
	TURN_MS = 1 /* while something is being buried */
};

/* Of an event: what it is of; a client's is its place, and its serial. */
enum event_of {
	OF_LISTENER,
	OF_KNOCK,
	OF_CHANNEL,
	OF_PROCESS
};

enum door_wish {
	WISH_NOTHING,
	WISH_SAY_STOPPING,
	WISH_EMPTY,
	WISH_CLOSE
};

/* A look at how many requests of each guest the workers have. */
struct guests_look {
	struct control letter;
	uint32_t counts[PORTS_MAX];
};

struct door {
	struct pinion_runtime *runtime;
	struct rendezvous rendezvous;
	gid_t group;
	int poll, knock, spare;
	pthread_t thread;
	_Atomic uint32_t wish;    /* W stop  R door   enum door_wish */
	_Atomic uint32_t granted; /* W door  R stop   the wish that was done last */
	bool lets_in;
	uint32_t serial; /* of who came last */
	uint32_t client_count;
	struct client clients[CLIENTS_MAX];
	struct burial *burials[PORTS_MAX];
	uint32_t burial_count;
	struct guests_look *looks; /* one a worker; */
	bool is_looking;           /* letters are under way, */
	uint64_t looked_ns;        /* since then */
	int hosts_ms;              /* of the next turn of hosts; -1: none is to come */
};

/* ---- coming and going ------------------------------------------------------------------------- */

/* What tools see of whoever has this place. */
static void
show(const struct door *d, const struct client *c)
{
	struct directory_client *line = &d->runtime->directory.clients[c - d->clients];
	bool is_here = c->channel >= 0;

	directory_say32(&line->uid, is_here ? (uint32_t)c->peer.uid : 0);
	directory_say32(&line->ports, c->port_count);
	directory_say32(&line->violations, c->violations);
	directory_say32(&line->pid, is_here ? (uint32_t)c->peer.pid : 0);
}

static int
watch(const struct door *d, int fd, enum event_of of, unsigned place, uint32_t serial)
{
	struct epoll_event e = { .events = EPOLLIN,
		.data.u64 = (uint64_t)of << 48 | (uint64_t)place << 32 | serial };

	return epoll_ctl(d->poll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

/* False: no memory; it is tried again. */
static bool
bury(struct door *d, pinion_port *port)
{
	struct burial *b = pinioni_guest_bury(port);

	if (b == NULL)
		return false;
	d->burials[d->burial_count++] = b; /* there are no more than ports */
	return true;
}

/* Nobody is here any more, once all ports are being buried. */
static void
show_out(struct door *d, struct client *c)
{
	pinioni_host_gone(c, d->runtime);
	if (c->channel >= 0)
		(void)shutdown(c->channel, SHUT_RDWR); /* and it hears no more from us */
	while (c->ports != NULL) {
		pinion_port *port = c->ports, *next = port->next;

		if (!bury(d, port))
			return;
		c->ports = next;
		c->port_count--;
	}
	/* A forked child may have copies, which would stay in the poll. */
	(void)epoll_ctl(d->poll, EPOLL_CTL_DEL, c->channel, NULL);
	(void)epoll_ctl(d->poll, EPOLL_CTL_DEL, c->peer.pidfd, NULL);
	(void)close(c->channel); /* nothing could be done about any */
	(void)close(c->peer.pidfd);
	*c = CLIENT_NONE;
	show(d, c);
	d->client_count--;
}

static bool
may_come_in(const struct door *d, int channel, const struct channel_peer *peer)
{
	return peer->uid == getuid() || peer->uid == 0 ||
	    (d->group != (gid_t)RENDEZVOUS_NO_GROUP &&
		pinioni_channel_peer_is_in(channel, peer, d->group));
}

static struct client *
free_place(struct door *d)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (d->clients[i].channel < 0)
			return &d->clients[i];
	return NULL;
}

static int
let_in(struct door *d, int channel)
{
	struct client *c = free_place(d);
	struct channel_peer peer;
	uint32_t serial;
	int err = pinioni_channel_peer(channel, &peer);

	if (err != 0)
		return err;
	if (!may_come_in(d, channel, &peer)) {
		pinioni_client_turn_away(
		    channel, -EACCES, "it runs for another user, and lets in none but its own");
		err = -EACCES;
	} else if (c == NULL) {
		pinioni_client_turn_away(
		    channel, -EUSERS, "too many processes have attached to it");
		err = -EUSERS;
	}
	serial = ++d->serial;
	if (err == 0)
		err = watch(d, channel, OF_CHANNEL, (unsigned)(c - d->clients), serial);
	if (err == 0)
		err = watch(d, peer.pidfd, OF_PROCESS, (unsigned)(c - d->clients), serial);
	if (err != 0) {
		(void)close(peer.pidfd); /* nothing could be done about it */
		return err;
	}
	*c = (struct client){ .channel = channel, .serial = serial, .peer = peer };
	show(d, c);
	d->client_count++;
	return 0;
}

/* There is no descriptor for it: whoever waits longest is told so by being closed, or it would be heard knocking for ever. */
static void
close_unheard(struct door *d)
{
	(void)close(d->spare);
	(void)close(accept4(d->rendezvous.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	d->spare = open("/dev/null", O_RDONLY | O_CLOEXEC); /* nothing could be done about any */
}

/* All that wait, at most a burst. */
static void
answer_knocks_from_outside(struct door *d)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		int channel =
		    accept4(d->rendezvous.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (channel < 0 && (errno == EMFILE || errno == ENFILE))
			close_unheard(d);
		if (channel < 0)
			return; /* none, or it has gone */
		if (!d->lets_in)
			pinioni_client_turn_away(channel, -ECANCELED, "it is stopping");
		if (!d->lets_in || let_in(d, channel) != 0)
			(void)close(channel); /* nothing could be done about it */
	}
}

static void
listen_to(struct door *d, struct client *c)
{
	pinion_port *closed;
	int err = pinioni_client_listen(c, d->runtime, &closed);

	if (closed != NULL && !bury(d, closed)) {
		closed->next = c->ports; /* no memory: it stays until its client goes */
		c->ports = closed;
		c->port_count++;
	}
	if (err == -EBADMSG)
		pinioni_runtime_log(d->runtime,
		    "process %ld, which had attached, is shown out: it asked what makes no sense",
		    (long)c->peer.pid);
	if (err != 0 && err != -EAGAIN)
		show_out(d, c);
	else
		show(d, c);
}

/* Of all its ports, also of those that are gone. */
static void
count_violations(struct client *c)
{
	for (pinion_port *p = c->ports; p != NULL; p = p->next) {
		/* relaxed: it only grows, and this thread alone takes from it. */
		uint32_t more = atomic_exchange_explicit(&p->violations, 0, memory_order_relaxed);

		c->violations += more;
	}
}

static void
show_out_violators(struct door *d)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &d->clients[i];

		if (c->channel < 0)
			continue;
		count_violations(c);
		show(d, c);
		if (c->violations < VIOLATIONS_MAX)
			continue;
		pinioni_runtime_log(d->runtime,
		    "process %ld, which had attached, is shown out: %u of its messages made no sense",
		    (long)c->peer.pid, c->violations);
		show_out(d, c);
	}
}

static void
count_guests(struct worker *w, void *arg)
{
	pinioni_guests_count(w, arg);
}

/* Letters to all workers, one look at a time. A client that is idle is not looked for. */
static void
ask_for_guests(struct door *d)
{
	struct pinion_runtime *rt = d->runtime;

	for (unsigned i = 0; i < rt->own_count; i++) {
		struct guests_look *l = &d->looks[i];

		*l = (struct guests_look){ .letter = { .run = count_guests, .arg = l->counts } };
		pinioni_worker_control_send(runtime_own(rt, i), &l->letter);
	}
	d->is_looking = true;
}

/* False: not all have answered yet. */
static bool
hear_of_guests(struct door *d, uint32_t counts[PORTS_MAX])
{
	memset(counts, 0, PORTS_MAX * sizeof counts[0]);
	for (unsigned i = 0; i < d->runtime->own_count; i++) {
		if (!control_is_done(&d->looks[i].letter))
			return false;
		for (unsigned port = 0; port < PORTS_MAX; port++)
			counts[port] += d->looks[i].counts[port];
	}
	d->is_looking = false;
	return true;
}

/* Whoever has more under way than its slots can answer: it is no caller, but a flood. */
static void
show_out_floods(struct door *d)
{
	uint32_t counts[PORTS_MAX];

	if (!hear_of_guests(d, counts))
		return;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &d->clients[i];
		const pinion_port *p = c->channel < 0 ? NULL : c->ports;

		while (p != NULL &&
		    (p->is_trusted || counts[p->index] <= CLIENT_REQUESTS * d->runtime->slots))
			p = p->next;
		if (p == NULL)
			continue;
		pinioni_runtime_log(d->runtime,
		    "process %ld, which had attached, is shown out: %u requests of one port, which has %u slots",
		    (long)c->peer.pid, counts[p->index], d->runtime->slots);
		show_out(d, c);
	}
}

/* Now and then, while somebody is here. */
static void
look_for_floods(struct door *d)
{
	if (d->is_looking) {
		show_out_floods(d);
	} else if (d->client_count != 0 &&
	    clock_monotonic_ns() - d->looked_ns > CLIENTS_LOOK_MS * UINT64_C(1000000)) {
		d->looked_ns = clock_monotonic_ns();
		ask_for_guests(d);
	}
}

static void
say_stopping(struct door *d)
{
	d->lets_in = false;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (d->clients[i].channel >= 0)
			pinioni_client_say_stopping(&d->clients[i]);
}

/* Hosts stay until their replicas have had deinit. True: all are out. */
static bool
show_all_out(struct door *d, bool hosts)
{
	bool all = true;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &d->clients[i];
		bool stays = c->host != NULL && !hosts;

		if (c->channel >= 0 && !stays)
			show_out(d, c);
		all = all && (c->channel < 0 || stays);
	}
	return all;
}

/* Ports of threads here, which hosts know of. */
static void
bury_dying(struct door *d)
{
	struct pinion_runtime *rt = d->runtime;
	pinion_port *list;

	(void)pthread_mutex_lock(&rt->lock);
	list = rt->dying;
	rt->dying = NULL;
	(void)pthread_mutex_unlock(&rt->lock);
	for (pinion_port *next; list != NULL; list = next) {
		next = list->next;
		if (bury(d, list))
			continue;
		(void)pthread_mutex_lock(&rt->lock); /* no memory: it is tried again */
		list->next = rt->dying;
		rt->dying = list;
		(void)pthread_mutex_unlock(&rt->lock);
	}
}

static void
bury_on(struct door *d)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < d->burial_count; i++)
		if (!pinioni_burial_turn(d->burials[i]) || !pinioni_burial_end(d->burials[i]))
			d->burials[kept++] = d->burials[i];
	d->burial_count = kept;
}

/* What was wished for is done. */
static void
grant(struct door *d, uint32_t wish)
{
	/* relaxed: who waits reads nothing of ours before it has joined us. */
	atomic_store_explicit(&d->granted, wish, memory_order_relaxed);
	pinioni_futex_wake(&d->granted);
}

static void
look_at_wishes(struct door *d)
{
	/* relaxed: nothing but the wish itself, and the knock is a system call. */
	uint32_t wish = atomic_load_explicit(&d->wish, memory_order_relaxed);

	if (wish >= WISH_SAY_STOPPING && d->lets_in) {
		say_stopping(d);
		grant(d, WISH_SAY_STOPPING);
	}
	if (wish < WISH_EMPTY)
		return;
	if (show_all_out(d, wish == WISH_CLOSE) && d->burial_count == 0 && !d->is_looking)
		grant(d, wish);
}

static void
take_event(struct door *d, uint64_t data)
{
	struct client *c = &d->clients[(data >> 32 & 0xffff) % CLIENTS_MAX];
	bool is_here = c->channel >= 0 && c->serial == (uint32_t)data;
	uint64_t times;

	switch ((enum event_of)(data >> 48)) {
	case OF_LISTENER:
		answer_knocks_from_outside(d);
		break;
	case OF_KNOCK:
		(void)!read(d->knock, &times, sizeof times); /* empty is fine */
		show_out_violators(d);
		break;
	case OF_CHANNEL:
		if (is_here)
			listen_to(d, c);
		break;
	case OF_PROCESS:
		if (is_here)
			show_out(d, c);
		break;
	}
}

static bool
is_closed(const struct door *d)
{
	/* relaxed: only this thread writes it. */
	return atomic_load_explicit(&d->granted, memory_order_relaxed) == WISH_CLOSE;
}

/* Milliseconds until the next turn, if nothing comes. */
static int
patience(const struct door *d)
{
	if (d->burial_count != 0 || d->is_looking || d->hosts_ms == TURN_MS ||
	    (d->client_count != 0 && !d->lets_in))
		return TURN_MS;
	return d->client_count != 0 ? CLIENTS_LOOK_MS : -1;
}

static void *
keep_door(void *door)
{
	struct door *d = door;
	struct epoll_event events[EVENTS];
	char name[32];

	(void)snprintf(name, sizeof name, "%.10s-door", d->runtime->name);
	pinioni_thread_name(name);
	while (!is_closed(d)) {
		int count = epoll_wait(d->poll, events, EVENTS, patience(d));

		for (int i = 0; i < count; i++)
			take_event(d, events[i].data.u64);
		d->hosts_ms = pinioni_hosts_turn(d->runtime);
		look_for_floods(d);
		bury_dying(d);
		bury_on(d);
		look_at_wishes(d);
	}
	return NULL;
}

/* ---- from outside ----------------------------------------------------------------------------- */

void
pinioni_door_knock(struct door *d)
{
	uint64_t one = 1;

	if (d != NULL)
		(void)!write(d->knock, &one, sizeof one); /* full: it is readable already */
}

static void
wish_for(struct door *d, enum door_wish wish)
{
	uint32_t granted;

	if (d == NULL)
		return;
	/* relaxed: as where it is read. */
	atomic_store_explicit(&d->wish, (uint32_t)wish, memory_order_relaxed);
	pinioni_door_knock(d);
	/* relaxed: as where it is written. Ended by the door's thread, when handlers that run for clients have returned. */
	while (
	    (granted = atomic_load_explicit(&d->granted, memory_order_relaxed)) < (uint32_t)wish) {
		if (d->runtime->mode == BOARD_DRIVEN)
			(void)pinioni_worker_turn(&d->runtime->workers[0]);
		else
			(void)pinioni_futex_wait(
			    &d->granted, granted, (uint64_t)SLEEP_MAX_MS * 1000000);
	}
}

void
pinioni_door_say_stopping(struct door *d)
{
	wish_for(d, WISH_SAY_STOPPING);
}

void
pinioni_door_empty(struct door *d)
{
	wish_for(d, WISH_EMPTY);
}

static void
free_door(struct door *d)
{
	pinioni_rendezvous_leave(&d->rendezvous);
	if (d->poll >= 0)
		(void)close(d->poll); /* nothing could be done about either */
	if (d->knock >= 0)
		(void)close(d->knock);
	if (d->spare >= 0)
		(void)close(d->spare);
	free(d->looks);
	free(d);
}

void
pinioni_door_close(struct door *d)
{
	if (d == NULL)
		return;
	wish_for(d, WISH_CLOSE);
	(void)pthread_join(d->thread, NULL); /* joined once */
	free_door(d);
}

void
pinioni_door_forked(const struct door *d)
{
	if (d == NULL)
		return;
	/* Without a look at what it says: nothing could be done about any. */
	(void)close(d->rendezvous.listener);
	(void)close(d->poll);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (d->clients[i].channel >= 0)
			(void)close(d->clients[i].channel);
}

static int
find_group(struct door *d, const char *group, pinion_diag *diag)
{
	const struct group *g;

	d->group = (gid_t)RENDEZVOUS_NO_GROUP;
	if (group == NULL)
		return 0;
	g = getgrnam(group);
	if (g == NULL)
		return pinioni_refuse(
		    diag, -EINVAL, "group is \"%s\": there is no such group", group);
	d->group = g->gr_gid;
	return 0;
}

static int
make_poll(struct door *d)
{
	int err;

	d->poll = epoll_create1(EPOLL_CLOEXEC);
	d->knock = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (d->poll < 0 || d->knock < 0)
		return -errno;
	err = watch(d, d->knock, OF_KNOCK, 0, 0);
	return err != 0 ? err : watch(d, d->rendezvous.listener, OF_LISTENER, 0, 0);
}

static struct door *
new_door(struct pinion_runtime *rt)
{
	struct door *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->runtime = rt;
	d->looks = calloc(rt->own_count, sizeof *d->looks);
	if (d->looks == NULL) {
		free(d);
		return NULL;
	}
	d->lets_in = true;
	d->poll = d->knock = d->rendezvous.listener = -1;
	d->spare = open("/dev/null", O_RDONLY | O_CLOEXEC); /* or there is none */
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		d->clients[i] = CLIENT_NONE;
	return d;
}

int
pinioni_door_open(struct pinion_runtime *rt, const char *name, const char *group, pinion_diag *diag)
{
	struct rendezvous_error why = { "" };
	struct door *d = new_door(rt);
	int err;

	if (d == NULL)
		return pinioni_refuse(diag, -ENOMEM, "no memory");
	err = find_group(d, group, diag);
	if (err == 0) {
		err = pinioni_rendezvous_listen(&d->rendezvous, name, d->group, &why);
		if (err != 0)
			(void)pinioni_refuse(diag, err, "listen: %s", why.text);
	}
	if (err == 0) {
		err = make_poll(d);
		if (err == 0)
			err = -pthread_create(&d->thread, NULL, keep_door, d);
		if (err != 0)
			(void)pinioni_refuse(diag, err, "listen: %s", strerror(-err));
	}
	if (err != 0) {
		free_door(d);
		return err;
	}
	rt->door = d;
	return 0;
}
