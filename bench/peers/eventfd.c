/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventfd - a message in shared memory, and an eventfd a direction that says it is there.
 *
 *   near  message := request, write --there--> read  far  counts up in place, write --back--> read  near
 *
 * Method    Blocking, which is what it is for. It carries no messages, so there is no pipelined form. The kernel
 *           orders what lies before a write and behind the read that it wakes, and loses nothing: no wait has a limit.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/peers/peer.h"

struct started {
	uint64_t message[PEER_WORDS_MAX]; /* of whoever was woken last */
	uint32_t bytes;
	int there, back; /* -1: not open */
};

static void
stop(void *started)
{
	struct started *s = started;

	if (s->there >= 0)
		(void)close(s->there); /* nothing is buffered */
	if (s->back >= 0)
		(void)close(s->back); /* as above */
	free(s);
}

static void *
start(const struct peer_setup *setup)
{
	struct started *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->bytes = setup->bytes;
	s->there = eventfd(0, EFD_CLOEXEC);
	s->back = eventfd(0, EFD_CLOEXEC);
	if (s->there >= 0 && s->back >= 0)
		return s;
	stop(s);
	return NULL;
}

static bool
wake(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof one) == sizeof one;
}

static bool
wait(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof count) == sizeof count;
}

static bool
send(void *started, const uint64_t *request)
{
	struct started *s = started;

	memcpy(s->message, request, s->bytes);
	return wake(s->there);
}

static bool
receive(void *started, uint64_t *answer)
{
	struct started *s = started;

	if (!wait(s->back))
		return false;
	memcpy(answer, s->message, s->bytes);
	return true;
}

static void
serve(void *started, uint64_t count)
{
	struct started *s = started;

	while (count-- != 0 && wait(s->there)) {
		s->message[0]++;
		if (!wake(s->back))
			return;
	}
}

const struct peer pinioni_peers_eventfd[] = {
	{ .name = "eventfd",
	    .window = 1,
	    .pace = CALLS_SLOW,
	    .start = start,
	    .stop = stop,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
