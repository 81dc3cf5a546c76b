/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pinion - calls to the worker on the far cpu, driven as the peers are: by number, and by bytes that are echoed.
 *
 *   near cpu   caller, with its port     far cpu   the worker; asleep while a peer has its turn
 */
#include "bench/peers/pinion.h"

#include <errno.h>
#include <string.h>

#include "bench/kit/rig.h"
#include "bench/peers/peer.h"

static int
echo(void *replica, pinion_request *req)
{
	pinion_bytes given = pinion_arg_bytes(req, 0);
	void *to = pinion_result_buffer(req, given.len);
	uint64_t word;

	(void)replica;
	if (to == NULL || given.len < sizeof word)
		return pinion_fail(req, -EMSGSIZE, "%zu bytes", given.len);
	memcpy(to, given.data, given.len);
	memcpy(&word, to, sizeof word);
	word++;
	memcpy(to, &word, sizeof word);
	return pinion_reply_buffer(req, given.len);
}

static const pinion_deployment answer = {
	.name = "Answer",
	.methods = PINION_METHODS(RIG_NUMBER,
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_BYTES("payload")),
		.returns = PINION_RETURNS_BYTES, .result_max = PEER_BYTES_MAX),
	    RIG_WHERE),
};

static const struct rig_app answer_app = RIG_APP(&answer, .num_replicas = 1);

/* One runtime; calls that are outstanding, oldest first. */
static struct side {
	struct rig rig;
	pinion_handle number, echo;
	uint32_t bytes;
	uint64_t sent, received;
	pinion_response calls[PEER_WINDOW];
} side;

bool
pinioni_pinion_begin(const struct kit *k)
{
	if (!pinioni_rig_start(&side.rig, k, "peers", 1, (pinion_start_options){ .slots = 0 }) ||
	    !pinioni_rig_run(&side.rig, &answer_app, 0, &side.number))
		return false;
	side.echo = pinion_method_of(side.number, "echo");
	return true;
}

void
pinioni_pinion_end(void)
{
	pinioni_rig_stop(&side.rig);
}

static void *
start(const struct peer_setup *setup)
{
	side.bytes = setup->bytes;
	side.sent = side.received = 0;
	return &side;
}

static void
stop(void *started)
{
	const struct side *s = started;

	pinioni_rig_sleep(&s->rig);
}

static bool
send_number(void *started, const uint64_t *request)
{
	struct side *s = started;

	s->calls[s->sent++ % PEER_WINDOW] =
	    pinion_call_on(s->rig.port, s->number, PINION_ARGS(request[0]));
	return true;
}

static bool
receive_number(void *started, uint64_t *got)
{
	struct side *s = started;
	pinion_response r = s->calls[s->received++ % PEER_WINDOW];
	int err = pinion_result_on(s->rig.port, r, got);

	pinion_release_on(s->rig.port, r);
	return err == 0;
}

static bool
send_bytes(void *started, const uint64_t *request)
{
	struct side *s = started;

	s->calls[s->sent++ % PEER_WINDOW] = pinion_call_on(
	    s->rig.port, s->echo, PINION_ARGS(((pinion_bytes){ request, s->bytes })));
	return true;
}

static bool
receive_bytes(void *started, uint64_t *got)
{
	struct side *s = started;
	pinion_response r = s->calls[s->received++ % PEER_WINDOW];
	pinion_bytes bytes = { NULL, 0 };
	bool right = pinion_result_on(s->rig.port, r, &bytes) == 0 && bytes.len == s->bytes;

	if (right)
		memcpy(got, bytes.data, s->bytes);
	pinion_release_on(s->rig.port, r);
	return right;
}

const struct peer pinioni_peers_pinion[] = {
	{ .name = "Pinion, by number",
	    .bytes = 8,
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .start = start,
	    .stop = stop,
	    .send = send_number,
	    .receive = receive_number },
	{ .name = "Pinion, by bytes",
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .start = start,
	    .stop = stop,
	    .send = send_bytes,
	    .receive = receive_bytes },
	{ 0 },
};
