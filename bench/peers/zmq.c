/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zmq - ZeroMQ, in the process and by ipc.
 *
 *   inproc   near  PAIR <---> PAIR  far            one context, both sides ask without blocking
 *   ipc      near  DEALER <-- Unix socket --> DEALER  far    a context and its I/O thread a side, both sides block
 *
 * Method    inproc: PAIR, which its guide has for two threads (REQ and REP add a frame and a sixth of the time),
 *           and ZMQ_DONTWAIT: asleep at once it takes ten times as long. ipc: DEALER to DEALER, the guide's way
 *           of one peer to one peer without an envelope; two I/O threads and two that poll have not enough
 *           cpus in two, so these block. Each I/O thread is pinned beside its side's own (inproc's, which no message
 *           passes, to the near cpu); left free, they take
 *           as long: what takes it is that two threads a cpu wake each other four times a round trip.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <zmq.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

struct side {
	void *context, *socket;
};

struct started {
	struct side near, far;
	uint32_t bytes;
	int flags; /* of a receive */
	uint64_t limit;
};

/* Closing takes what was not opened, and says so; there is nothing to do for it. */
static void
stop(void *started)
{
	struct started *s = started;

	(void)zmq_close(s->near.socket);
	(void)zmq_close(s->far.socket);
	(void)zmq_ctx_term(s->near.context);
	if (s->far.context != s->near.context)
		(void)zmq_ctx_term(s->far.context);
	free(s);
}

static bool
side_open(struct side *side, int type, int limit_ms)
{
	const int linger = 0; /* what is still under way when it ends is nobody's */

	side->socket = zmq_socket(side->context, type);
	return side->socket != NULL &&
	    zmq_setsockopt(side->socket, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
	    zmq_setsockopt(side->socket, ZMQ_RCVTIMEO, &limit_ms, sizeof limit_ms) == 0;
}

/* Its I/O thread beside the thread that it serves. */
static bool
pin_io(const struct side *side, int cpu)
{
	return zmq_ctx_set(side->context, ZMQ_THREAD_AFFINITY_CPU_ADD, cpu) == 0;
}

/* contexts: 1, shared, or 2. */
static void *
start(const struct peer_setup *setup, unsigned contexts, int type, const char *endpoint)
{
	struct started *s = calloc(1, sizeof *s);
	int limit_ms = (int)setup->limit_ms;

	if (s == NULL)
		return NULL;
	s->bytes = setup->bytes;
	s->flags = contexts == 1 ? ZMQ_DONTWAIT : 0;
	s->limit = setup->limit;
	s->near.context = zmq_ctx_new();
	s->far.context = contexts == 1 ? s->near.context : zmq_ctx_new();
	if (pin_io(&s->near, setup->near_cpu) &&
	    (contexts == 1 || pin_io(&s->far, setup->far_cpu)) &&
	    side_open(&s->near, type, limit_ms) && side_open(&s->far, type, limit_ms) &&
	    zmq_bind(s->far.socket, endpoint) == 0 && zmq_connect(s->near.socket, endpoint) == 0)
		return s;
	stop(s);
	return NULL;
}

static void *
start_inproc(const struct peer_setup *setup)
{
	return start(setup, 1, ZMQ_PAIR, "inproc://peers");
}

/* An abstract name, nothing to remove from a folder; a new one each time: the last may be bound for a while yet. */
static void *
start_ipc(const struct peer_setup *setup)
{
	char endpoint[64];

	(void)snprintf(endpoint, sizeof endpoint, "ipc://@pinion-peers-%ld-%llu", (long)getpid(),
	    (unsigned long long)ticks_now());
	return start(setup, 2, ZMQ_DEALER, endpoint);
}

static bool
put(const struct started *s, const struct side *side, const uint64_t *message)
{
	return zmq_send(side->socket, message, s->bytes, 0) == (int)s->bytes;
}

static bool
take(const struct started *s, const struct side *side, uint64_t *message)
{
	uint64_t start = ticks_now();
	int got;

	do
		got = zmq_recv(side->socket, message, s->bytes, s->flags);
	while (got < 0 && errno == EAGAIN && ticks_now() - start <= s->limit);
	return got == (int)s->bytes;
}

static bool
send(void *started, const uint64_t *request)
{
	const struct started *s = started;

	return put(s, &s->near, request);
}

static bool
receive(void *started, uint64_t *answer)
{
	const struct started *s = started;

	return take(s, &s->near, answer);
}

static void
serve(void *started, uint64_t count)
{
	const struct started *s = started;
	uint64_t message[PEER_WORDS_MAX];

	while (count-- != 0 && take(s, &s->far, message)) {
		message[0]++;
		if (!put(s, &s->far, message))
			return;
	}
}

const struct peer pinioni_peers_zmq[] = {
	{ .name = "ZeroMQ inproc",
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .pace = CALLS_US,
	    .start = start_inproc,
	    .stop = stop,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ .name = "ZeroMQ ipc",
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .pace = CALLS_SLOW,
	    .start = start_ipc,
	    .stop = stop,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
