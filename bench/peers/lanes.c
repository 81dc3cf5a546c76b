/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lanes - the raw lane pair, as a peer: two lanes without the model (kit/rawlane.h).
 *
 * Why       The baseline that pipelined rates are ratios to: one line a message and direction, and a head now and
 *           then. What is in its messages it writes and checks itself.
 */
#include <stdlib.h>

#include "bench/kit/rawlane.h"
#include "bench/peers/peer.h"

struct started {
	struct rawlanes lanes;
	uint64_t sent, received; /* near's */
};

static void *
start(const struct peer_setup *setup)
{
	struct started *s = aligned_alloc(alignof(struct started), sizeof *s);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s); /* touches each page */
	rawlane_reset(&s->lanes, setup->steps, setup->limit);
	return s;
}

static bool
send(void *started, const uint64_t *request)
{
	struct started *s = started;

	(void)request;
	return rawlane_send(&s->lanes, ++s->sent);
}

/* Message n says n - 1: they count from 1. */
static bool
receive(void *started, uint64_t *answer)
{
	struct started *s = started;

	answer[0] = ++s->received;
	return rawlane_take(&s->lanes, s->received);
}

static void
serve(void *started, uint64_t count)
{
	struct started *s = started;

	(void)rawlane_answer(&s->lanes, count); /* near counts what is missing */
}

const struct peer pinioni_peers_lanes[] = {
	{ .name = "raw lane pair",
	    .bytes = 8,
	    .window = PEER_WINDOW,
	    .start = start,
	    .stop = free,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
