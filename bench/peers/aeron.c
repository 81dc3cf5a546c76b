/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aeron - Aeron IPC: a log in shared memory a direction, its driver inside this process.
 *
 *   near  claim, write, commit --stream 1--> far  poll: claim, write, commit --stream 2--> near  poll
 *
 * Method    Exclusive publications and try_claim, which its documentation calls the least latency: messages are
 *           written where they are read. Polled. The driver has one thread (shared mode) and backs off when it has
 *           nothing to do, but on two cpus it takes a little of those that are measured. Its thread and the client's
 *           are not pinned: no message passes them, and beside a side that polls they would take turns with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <aeronc.h>
#include <aeronmd.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

enum {
	STREAM_REQUESTS = 1,
	STREAM_ANSWERS = 2,
	TERM_BYTES = 1 << 20,   /* of the log's three parts: more than all that is outstanding */
	CONNECT_NAP_NS = 100000 /* between two looks, while the driver works */
};

struct side {
	aeron_exclusive_publication_t *out;
	aeron_subscription_t *in;
	uint32_t bytes;
	uint64_t limit;
	uint64_t *got; /* near's: where the next answer is to be */
	bool broken;
};

struct started {
	aeron_driver_context_t *driver_context;
	aeron_driver_t *driver;
	aeron_context_t *context;
	aeron_t *client;
	struct side near, far;
};

static bool
driver_start(struct started *s, const char *directory)
{
	aeron_driver_context_t *c;

	if (aeron_driver_context_init(&s->driver_context) < 0)
		return false;
	c = s->driver_context;
	return aeron_driver_context_set_dir(c, directory) == 0 &&
	    aeron_driver_context_set_dir_delete_on_start(c, true) == 0 &&
	    aeron_driver_context_set_dir_delete_on_shutdown(c, true) == 0 &&
	    aeron_driver_context_set_threading_mode(c, AERON_THREADING_MODE_SHARED) == 0 &&
	    aeron_driver_context_set_ipc_term_buffer_length(c, TERM_BYTES) == 0 &&
	    aeron_driver_init(&s->driver, c) == 0 && aeron_driver_start(s->driver, false) == 0;
}

static bool
client_start(struct started *s, const char *directory)
{
	return aeron_context_init(&s->context) == 0 &&
	    aeron_context_set_dir(s->context, directory) == 0 &&
	    aeron_init(&s->client, s->context) == 0 && aeron_start(s->client) == 0;
}

/* Until the driver has made both and found them each other's. */
static bool
side_open(struct started *s, struct side *side, int32_t out, int32_t in)
{
	const struct timespec nap = { .tv_nsec = CONNECT_NAP_NS };
	aeron_async_add_exclusive_publication_t *publication;
	aeron_async_add_subscription_t *subscription;
	uint64_t start = ticks_now();

	if (aeron_async_add_exclusive_publication(&publication, s->client, "aeron:ipc", out) < 0 ||
	    aeron_async_add_subscription(
		&subscription, s->client, "aeron:ipc", in, NULL, NULL, NULL, NULL) < 0)
		return false;
	while (side->out == NULL || side->in == NULL) {
		if ((side->out == NULL &&
			aeron_async_add_exclusive_publication_poll(&side->out, publication) < 0) ||
		    (side->in == NULL &&
			aeron_async_add_subscription_poll(&side->in, subscription) < 0) ||
		    ticks_now() - start > side->limit)
			return false;
		(void)nanosleep(&nap, NULL);
	}
	return true;
}

static bool
side_connect(const struct side *side)
{
	const struct timespec nap = { .tv_nsec = CONNECT_NAP_NS };
	uint64_t start = ticks_now();

	while (!aeron_exclusive_publication_is_connected(side->out)) {
		if (ticks_now() - start > side->limit)
			return false;
		(void)nanosleep(&nap, NULL);
	}
	return true;
}

/* Closing takes what was not begun. */
static void
stop(void *started)
{
	struct started *s = started;

	if (s->client != NULL)
		(void)aeron_close(s->client); /* publications and subscriptions with it */
	if (s->context != NULL)
		(void)aeron_context_close(s->context); /* nothing is left to do for it */
	if (s->driver != NULL)
		(void)aeron_driver_close(s->driver); /* as above */
	if (s->driver_context != NULL)
		(void)aeron_driver_context_close(s->driver_context); /* as above */
	free(s);
}

static void *
start(const struct peer_setup *setup)
{
	const struct side side = { .bytes = setup->bytes, .limit = setup->limit };
	struct started *s = calloc(1, sizeof *s);
	char directory[64];

	if (s == NULL)
		return NULL;
	s->near = s->far = side;
	(void)snprintf(
	    directory, sizeof directory, "/dev/shm/pinion-peers-aeron-%ld", (long)getpid());
	if (driver_start(s, directory) && client_start(s, directory) &&
	    side_open(s, &s->near, STREAM_REQUESTS, STREAM_ANSWERS) &&
	    side_open(s, &s->far, STREAM_ANSWERS, STREAM_REQUESTS) && side_connect(&s->near) &&
	    side_connect(&s->far))
		return s;
	stop(s);
	return NULL;
}

/* Adds to the first word. False: no room in time. */
static bool
put(const struct side *side, const void *message, uint64_t add)
{
	aeron_buffer_claim_t claim;
	uint64_t start = ticks_now(), word;

	while (aeron_exclusive_publication_try_claim(side->out, side->bytes, &claim) < 0)
		if (ticks_now() - start > side->limit)
			return false;
	memcpy(claim.data, message, side->bytes);
	memcpy(&word, message, sizeof word);
	word += add;
	memcpy(claim.data, &word, sizeof word);
	return aeron_buffer_claim_commit(&claim) == 0;
}

static bool
send(void *started, const uint64_t *request)
{
	const struct started *s = started;

	return put(&s->near, request, 0);
}

/* Handlers: of one message each. */
static void
keep_answer(void *side, const uint8_t *message, size_t bytes, aeron_header_t *header)
{
	struct side *near = side;

	(void)header;
	near->broken = near->broken || bytes != near->bytes;
	if (!near->broken)
		memcpy(near->got, message, bytes);
}

static void
answer_request(void *side, const uint8_t *message, size_t bytes, aeron_header_t *header)
{
	struct side *far = side;

	(void)header;
	far->broken = far->broken || bytes != far->bytes || !put(far, message, 1);
}

/* One message to the handler. False: none in time. */
static bool
poll_one(struct side *side, aeron_fragment_handler_t handler)
{
	uint64_t start = ticks_now();

	while (aeron_subscription_poll(side->in, handler, side, 1) == 0)
		if (ticks_now() - start > side->limit)
			return false;
	return !side->broken;
}

static bool
receive(void *started, uint64_t *answer)
{
	struct started *s = started;

	s->near.got = answer;
	return poll_one(&s->near, keep_answer);
}

static void
serve(void *started, uint64_t count)
{
	struct started *s = started;

	while (count-- != 0 && poll_one(&s->far, answer_request))
		continue;
}

const struct peer pinioni_peers_aeron[] = {
	{ .name = "Aeron IPC",
	    .window = PEER_WINDOW,
	    .start = start,
	    .stop = stop,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
