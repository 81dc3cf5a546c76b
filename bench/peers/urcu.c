/* SPDX-License-Identifier: Apache-2.0 */
/*
 * urcu - liburcu's wfcqueue: wait-free enqueue, one consumer.
 *
 *   near  node := request, enqueue --there--> dequeue  far: counts up in place, enqueue --back--> dequeue  near
 *
 * Method    Its nodes are the caller's: the far side answers in the node that the request came in, and nothing is
 *           copied there. The dequeue that does not block: the other sleeps 10 ms when it finds an enqueue half done.
 *           Compiled in line (_LGPL_SOURCE), as its documentation has it for speed.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <urcu/wfcqueue.h>

#include "bench/kit/ticks.h"
#include "bench/peers/peer.h"

struct node {
	alignas(128) struct cds_wfcq_node link;
	uint64_t words[PEER_WORDS_MAX];
};

struct queue {
	alignas(128) struct __cds_wfcq_head head; /* the consumer's */
	alignas(128) struct cds_wfcq_tail tail;   /* producers' */
};

struct started {
	struct queue there, back;
	alignas(128) uint64_t sent; /* near's */
	uint32_t bytes;
	struct poll_steps steps;
	uint64_t limit;
	struct node nodes[PEER_ROOM];
};

static void
enqueue(struct queue *q, struct node *n)
{
	cds_wfcq_node_init(&n->link);
	(void)cds_wfcq_enqueue(&q->head, &q->tail, &n->link); /* whether it was empty */
}

/* NULL: there is none, or its enqueue is half done. */
static struct node *
dequeue_now(struct queue *q)
{
	struct cds_wfcq_node *n = __cds_wfcq_dequeue_nonblocking(&q->head, &q->tail);

	return n == NULL || n == CDS_WFCQ_WOULDBLOCK ? NULL
						     : caa_container_of(n, struct node, link);
}

/* NULL: nothing came in time. */
static struct node *
dequeue(const struct started *s, struct queue *q)
{
	struct node *n = dequeue_now(q);
	struct polling polling;
	uint64_t start;

	if (n != NULL)
		return n;
	polling = polling_begin(s->steps);
	for (start = polling.now; n == NULL && polling_step(&polling) - start <= s->limit;)
		n = dequeue_now(q);
	return n;
}

static void *
start(const struct peer_setup *setup)
{
	struct started *s = aligned_alloc(alignof(struct started), sizeof *s);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s); /* touches each page */
	s->bytes = setup->bytes;
	s->steps = setup->steps;
	s->limit = setup->limit;
	__cds_wfcq_init(&s->there.head, &s->there.tail);
	__cds_wfcq_init(&s->back.head, &s->back.tail);
	return s;
}

static bool
send(void *started, const uint64_t *request)
{
	struct started *s = started;
	struct node *n = &s->nodes[s->sent++ % PEER_ROOM]; /* back long since: they come in order */

	memcpy(n->words, request, s->bytes);
	enqueue(&s->there, n);
	return true;
}

static bool
receive(void *started, uint64_t *answer)
{
	struct started *s = started;
	const struct node *n = dequeue(s, &s->back);

	if (n != NULL)
		memcpy(answer, n->words, s->bytes);
	return n != NULL;
}

static void
serve(void *started, uint64_t count)
{
	struct started *s = started;
	struct node *n;

	while (count-- != 0 && (n = dequeue(s, &s->there)) != NULL) {
		n->words[0]++;
		enqueue(&s->back, n);
	}
}

const struct peer pinioni_peers_urcu[] = {
	{ .name = "liburcu wfcqueue",
	    .window = PEER_WINDOW,
	    .start = start,
	    .stop = free,
	    .send = send,
	    .receive = receive,
	    .serve = serve },
	{ 0 },
};
