/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats - request and reply through a NATS server on the loopback interface.
 *
 *   near  publish with reply subject --> nats-server --> far  next message, publish to its reply subject -->
 *   nats-server --> near  next message
 *
 * Method    Each message is sent at once (SendAsap), not by the library's flusher. Answers come to one subject that
 *           is subscribed to once, taken by the calling thread: the library's own request passes each answer
 *           through one more thread. The library's threads, one a connection that reads, are not pinned: it has no
 *           call for it; nor is the server.
 * Death     The server dies with this process, and with its turn.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <nats/nats.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

#define REQUESTS "pinion.peers.requests"
#define ANSWERS "pinion.peers.answers"

enum {
	CONNECT_NAP_NS = 2000000 /* between two tries, while the server starts */
};

struct side {
	natsConnection *connection;
	natsSubscription *subscription;
};

struct started {
	struct side near, far;
	pid_t server; /* 0: none */
	uint32_t bytes;
	int64_t limit_ms;
};

/* A port of the loopback interface that nobody has just now; 0: none. */
static uint16_t
port_find(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool found = fd >= 0 && bind(fd, (const struct sockaddr *)&at, size) == 0 &&
	    getsockname(fd, (struct sockaddr *)&at, &size) == 0;

	if (fd >= 0)
		(void)close(fd); /* nothing was sent */
	return found ? ntohs(at.sin_port) : 0;
}

/* In the child: only what may be called after a fork of a process with threads. */
static void
become_server(char *port)
{
	char *const arguments[] = { "nats-server", "-a", "127.0.0.1", "-p", port, NULL };
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* else it stays when this program is killed */
	if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0 || dup2(nowhere, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	(void)execv(NATS_SERVER, arguments);
	_exit(EXIT_FAILURE);
}

static bool
server_start(struct started *s, char *url, size_t room)
{
	uint16_t number = port_find();
	char port[8];

	(void)snprintf(port, sizeof port, "%u", number);
	(void)snprintf(url, room, "nats://127.0.0.1:%u", number);
	if (number == 0)
		return false;
	s->server = fork();
	if (s->server == 0)
		become_server(port);
	return s->server > 0;
}

/* Until the server listens. False: it does not. */
static bool
side_open(struct side *side, const char *url, const char *subject, int64_t limit_ms)
{
	const struct timespec nap = { .tv_nsec = CONNECT_NAP_NS };
	uint64_t end_ns = ticks_monotonic_ns() + (uint64_t)limit_ms * 1000000;
	natsOptions *options;
	natsStatus status = natsOptions_Create(&options);

	if (status != NATS_OK)
		return false;
	status = natsOptions_SetURL(options, url);
	if (status == NATS_OK)
		status = natsOptions_SetSendAsap(options, true);
	while (status == NATS_OK || status == NATS_NO_SERVER) {
		status = natsConnection_Connect(&side->connection, options);
		if (status != NATS_NO_SERVER || ticks_monotonic_ns() > end_ns)
			break;
		(void)nanosleep(&nap, NULL);
	}
	natsOptions_Destroy(options);
	if (status == NATS_OK)
		status =
		    natsConnection_SubscribeSync(&side->subscription, side->connection, subject);
	/* Behind the answer to this the server knows the subscription. */
	return status == NATS_OK &&
	    natsConnection_FlushTimeout(side->connection, limit_ms) == NATS_OK;
}

static void
side_close(struct side *side)
{
	natsSubscription_Destroy(side->subscription);
	natsConnection_Destroy(side->connection);
}

static void
stop(void *started)
{
	struct started *s = started;

	side_close(&s->near);
	side_close(&s->far);
	if (s->server > 0) {
		(void)kill(s->server, SIGKILL); /* it keeps nothing */
		while (waitpid(s->server, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	free(s);
}

static void *
start(const struct peer_setup *setup)
{
	struct started *s = calloc(1, sizeof *s);
	char url[64];

	if (s == NULL)
		return NULL;
	s->bytes = setup->bytes;
	s->limit_ms = (int64_t)setup->limit_ms;
	if (server_start(s, url, sizeof url) && side_open(&s->near, url, ANSWERS, s->limit_ms) &&
	    side_open(&s->far, url, REQUESTS, s->limit_ms))
		return s;
	stop(s);
	return NULL;
}

static bool
publish(void *started, const uint64_t *request)
{
	const struct started *s = started;

	return natsConnection_PublishRequest(
		   s->near.connection, REQUESTS, ANSWERS, request, (int)s->bytes) == NATS_OK;
}

/* The next message, copied out; what else there is of it, until it is destroyed. NULL: none, or another size. */
static natsMsg *
take(const struct started *s, const struct side *side, uint64_t *message)
{
	natsMsg *m = NULL;

	if (natsSubscription_NextMsg(&m, side->subscription, s->limit_ms) != NATS_OK)
		return NULL;
	if (natsMsg_GetDataLength(m) == (int)s->bytes) {
		memcpy(message, natsMsg_GetData(m), s->bytes);
		return m;
	}
	natsMsg_Destroy(m);
	return NULL;
}

static bool
receive(void *started, uint64_t *answer)
{
	const struct started *s = started;
	natsMsg *m = take(s, &s->near, answer);

	natsMsg_Destroy(m);
	return m != NULL;
}

static void
serve(void *started, uint64_t count)
{
	const struct started *s = started;
	uint64_t message[PEER_WORDS_MAX];
	bool ok = true;

	while (count-- != 0 && ok) {
		natsMsg *m = take(s, &s->far, message);

		if (m == NULL)
			return;
		message[0]++;
		ok = natsConnection_Publish(
			 s->far.connection, natsMsg_GetReply(m), message, (int)s->bytes) == NATS_OK;
		natsMsg_Destroy(m);
	}
}

const struct peer pinioni_peers_nats[] = {
	{ .name = "NATS",
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .pace = CALLS_SLOW,
	    .start = start,
	    .stop = stop,
	    .send = publish,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
