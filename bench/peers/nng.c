/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nng - nanomsg next generation, in the process and by ipc.
 *
 *   near  pair socket <--- the library's threads ---> pair socket  far
 *
 * Method    Pair sockets, as nng's own latency program uses, with room for the window; REQ and REP take a tenth
 *           longer and have one request at a time. The message that came is the one that goes back: nothing is
 *           copied on the far side. Both sides block: the library's threads need the cpus that a poll would take.
 *           These threads stay, asleep, when sockets are closed. They are not pinned: this version has no call for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

struct started {
	nng_socket near, far; /* id 0: not open */
	uint32_t bytes;
};

static void
stop(void *started)
{
	struct started *s = started;

	if (nng_socket_id(s->near) > 0)
		(void)nng_close(s->near); /* what is under way is nobody's */
	if (nng_socket_id(s->far) > 0)
		(void)nng_close(s->far); /* as above */
	free(s);
}

static bool
side_open(nng_socket *side, nng_duration limit_ms)
{
	return nng_pair0_open(side) == 0 &&
	    nng_socket_set_ms(*side, NNG_OPT_RECVTIMEO, limit_ms) == 0 &&
	    nng_socket_set_ms(*side, NNG_OPT_SENDTIMEO, limit_ms) == 0 &&
	    nng_socket_set_int(*side, NNG_OPT_RECVBUF, PEER_ROOM) == 0 &&
	    nng_socket_set_int(*side, NNG_OPT_SENDBUF, PEER_ROOM) == 0;
}

static void *
start(const struct peer_setup *setup, const char *address)
{
	struct started *s = calloc(1, sizeof *s);
	nng_duration limit_ms = (nng_duration)setup->limit_ms;

	if (s == NULL)
		return NULL;
	s->bytes = setup->bytes;
	if (side_open(&s->near, limit_ms) && side_open(&s->far, limit_ms) &&
	    nng_listen(s->far, address, NULL, 0) == 0 && nng_dial(s->near, address, NULL, 0) == 0)
		return s;
	stop(s);
	return NULL;
}

static void *
start_inproc(const struct peer_setup *setup)
{
	return start(setup, "inproc://peers");
}

/* Its ipc under an abstract name, nothing to remove from a folder; a new one each time: the last may be bound yet. */
static void *
start_ipc(const struct peer_setup *setup)
{
	char address[64];

	(void)snprintf(address, sizeof address, "abstract://pinion-peers-%ld-%llu", (long)getpid(),
	    (unsigned long long)ticks_now());
	return start(setup, address);
}

/* The message is given, also when it fails. */
static bool
put(nng_socket to, nng_msg *m)
{
	if (nng_sendmsg(to, m, 0) == 0)
		return true;
	nng_msg_free(m);
	return false;
}

/* NULL: none in time, or of another size. */
static nng_msg *
take(nng_socket from, uint32_t bytes)
{
	nng_msg *m;

	if (nng_recvmsg(from, &m, 0) != 0)
		return NULL;
	if (nng_msg_len(m) == bytes)
		return m;
	nng_msg_free(m);
	return NULL;
}

static bool
send(void *started, const uint64_t *request)
{
	const struct started *s = started;
	nng_msg *m;

	if (nng_msg_alloc(&m, s->bytes) != 0)
		return false;
	memcpy(nng_msg_body(m), request, s->bytes);
	return put(s->near, m);
}

static bool
receive(void *started, uint64_t *answer)
{
	const struct started *s = started;
	nng_msg *m = take(s->near, s->bytes);

	if (m == NULL)
		return false;
	memcpy(answer, nng_msg_body(m), s->bytes);
	nng_msg_free(m);
	return true;
}

static void
serve(void *started, uint64_t count)
{
	const struct started *s = started;
	nng_msg *m;

	while (count-- != 0 && (m = take(s->far, s->bytes)) != NULL) {
		uint64_t word;

		memcpy(&word, nng_msg_body(m), sizeof word);
		word++;
		memcpy(nng_msg_body(m), &word, sizeof word);
		if (!put(s->far, m))
			return;
	}
}

const struct peer pinioni_peers_nng[] = {
	{ .name = "nng inproc",
	    .window = PEER_WINDOW,
	    .has_answers = true,
	    .pace = CALLS_SLOW,
	    .start = start_inproc,
	    .stop = stop,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ .name = "nng ipc",
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
