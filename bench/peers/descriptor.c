/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor - bytes through the kernel: two pipes, a pair of connected Unix sockets.
 *
 *   near  write --there--> read  far  write --back--> read  near
 *
 * Method    Blocking, which is what they are for; stream sockets, quicker here than SOCK_SEQPACKET. The kernel
 *           loses nothing, so no wait has a limit.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/peer.h"

enum end {
	NEAR_READS,
	NEAR_WRITES,
	FAR_READS,
	FAR_WRITES,
	ENDS
};

struct started {
	int ends[ENDS]; /* -1: not open */
	uint32_t bytes;
};

static void
stop(void *started)
{
	struct started *s = started;

	for (enum end i = 0; i < ENDS; i++)
		if (s->ends[i] >= 0)
			(void)close(s->ends[i]); /* nothing is buffered */
	free(s);
}

static struct started *
started_new(const struct peer_setup *setup)
{
	struct started *s = malloc(sizeof *s);

	if (s != NULL)
		*s = (struct started){ .ends = { -1, -1, -1, -1 }, .bytes = setup->bytes };
	return s;
}

static void *
start_pipes(const struct peer_setup *setup)
{
	struct started *s = started_new(setup);
	int there[2], back[2];

	if (s == NULL)
		return NULL;
	if (pipe(there) == 0) {
		s->ends[FAR_READS] = there[0];
		s->ends[NEAR_WRITES] = there[1];
		if (pipe(back) == 0) {
			s->ends[NEAR_READS] = back[0];
			s->ends[FAR_WRITES] = back[1];
			return s;
		}
	}
	stop(s);
	return NULL;
}

/* A socket reads and writes. */
static void *
start_sockets(const struct peer_setup *setup)
{
	struct started *s = started_new(setup);
	int pair[2];

	if (s == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		s->ends[NEAR_READS] = pair[0];
		s->ends[FAR_READS] = pair[1];
		s->ends[NEAR_WRITES] = dup(pair[0]);
		s->ends[FAR_WRITES] = dup(pair[1]);
		if (s->ends[NEAR_WRITES] >= 0 && s->ends[FAR_WRITES] >= 0)
			return s;
	}
	stop(s);
	return NULL;
}

static bool
write_all(int fd, const uint64_t *message, uint32_t bytes)
{
	const char *at = (const char *)message;

	for (uint32_t done = 0; done < bytes;) {
		ssize_t now = write(fd, at + done, bytes - done);

		if (now <= 0)
			return false;
		done += (uint32_t)now;
	}
	return true;
}

static bool
read_all(int fd, uint64_t *message, uint32_t bytes)
{
	char *at = (char *)message;

	for (uint32_t done = 0; done < bytes;) {
		ssize_t now = read(fd, at + done, bytes - done);

		if (now <= 0)
			return false;
		done += (uint32_t)now;
	}
	return true;
}

static bool
send_bytes(void *started, const uint64_t *request)
{
	const struct started *s = started;

	return write_all(s->ends[NEAR_WRITES], request, s->bytes);
}

static bool
receive_bytes(void *started, uint64_t *answer)
{
	const struct started *s = started;

	return read_all(s->ends[NEAR_READS], answer, s->bytes);
}

static void
serve(void *started, uint64_t count)
{
	const struct started *s = started;
	uint64_t message[PEER_WORDS_MAX];

	while (count-- != 0 && read_all(s->ends[FAR_READS], message, s->bytes)) {
		message[0]++;
		if (!write_all(s->ends[FAR_WRITES], message, s->bytes))
			return;
	}
}

const struct peer pinioni_peers_descriptor[] = {
	{ .name = "pipe",
	    .window = PEER_WINDOW,
	    .pace = CALLS_SLOW,
	    .start = start_pipes,
	    .stop = stop,
	    .send = send_bytes,
	    .receive = receive_bytes,
	    .serve = serve },
	{ .name = "Unix socket",
	    .window = PEER_WINDOW,
	    .pace = CALLS_SLOW,
	    .start = start_sockets,
	    .stop = stop,
	    .send = send_bytes,
	    .receive = receive_bytes,
	    .serve = serve },
	{ 0 },
};
