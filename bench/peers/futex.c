/* SPDX-License-Identifier: Apache-2.0 */
/*
 * futex - a message in shared memory, and a word a direction that the other side sleeps on.
 *
 *   near  message := request, there += 1, wake     far  counts up in place, back += 1, wake
 *
 * Method    FUTEX_WAIT and FUTEX_WAKE, private to the process; asleep at once, which is what it is for: with a
 *           spin before it this would be one more lane. It carries no messages, so there is no pipelined form.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   F  there, back   count_up -> wait_for   the message
 */
#include <linux/futex.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

struct started {
	alignas(128) _Atomic uint32_t there; /* W near  R far   edge F */
	alignas(128) _Atomic uint32_t back;  /* W far   R near  edge F */
	alignas(
	    128) uint64_t message[PEER_WORDS_MAX]; /* of whoever was woken last, before edge F */
	uint32_t bytes;
	uint64_t limit;
	struct timespec nap; /* as long as the limit */
	uint32_t received;   /* near's */
};

static void
count_up(_Atomic uint32_t *word)
{
	/* F */
	(void)atomic_fetch_add_explicit(word, 1, memory_order_release);
	(void)syscall(
	    SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); /* nobody asleep: fine */
}

/* Until it is no more `seen`. False: not in time. */
static bool
wait_for(const struct started *s, _Atomic uint32_t *word, uint32_t seen)
{
	uint64_t start = ticks_now();

	/* F */
	while (atomic_load_explicit(word, memory_order_acquire) == seen) {
		/* Woken, changed or interrupted: looked at again. */
		(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &s->nap, NULL, 0);
		if (ticks_now() - start > s->limit)
			return false;
	}
	return true;
}

static void *
start(const struct peer_setup *setup)
{
	struct started *s = aligned_alloc(alignof(struct started), sizeof *s);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s);
	s->bytes = setup->bytes;
	s->limit = setup->limit;
	s->nap.tv_sec = (time_t)(setup->limit_ms / 1000);
	return s;
}

static bool
send(void *started, const uint64_t *request)
{
	struct started *s = started;

	memcpy(s->message, request, s->bytes);
	count_up(&s->there);
	return true;
}

static bool
receive(void *started, uint64_t *answer)
{
	struct started *s = started;

	if (!wait_for(s, &s->back, s->received++))
		return false;
	memcpy(answer, s->message, s->bytes);
	return true;
}

static void
serve(void *started, uint64_t count)
{
	struct started *s = started;

	for (uint32_t n = 0; n < count && wait_for(s, &s->there, n); n++) {
		s->message[0]++;
		count_up(&s->back);
	}
}

const struct peer pinioni_peers_futex[] = {
	{ .name = "futex",
	    .window = 1,
	    .pace = CALLS_SLOW,
	    .start = start,
	    .stop = free,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
