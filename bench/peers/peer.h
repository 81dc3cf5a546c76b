/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/peers/peer.h - what a peer is: another way to have a request answered by a thread on another cpu.
 *
 *   near   send, receive               one request outstanding, or as many as the window has
 *   far    serve                       takes so many requests, answers each; or the peer has threads of its own
 *
 *   request   [ i | ... | hash ]       answer   [ i + 1 | the rest as it came ]
 *
 * Why       One list of them, one program that drives and checks them all, and a file for each: what is
 *           particular to a peer is how it is driven, and that its file says.
 * Threads   start, send, receive and stop by the near thread, serve by the far one, between start and stop.
 * Memory    Messages are the caller's. What start hands out is stop's.
 *
 * For C and C++.
 */
#ifndef PINION_BENCH_PEERS_PEER_H
#define PINION_BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/kit/polls.h"
#include "bench/kit/turn.h"

enum {
	PEER_BYTES_MAX = 1024,
	PEER_WORDS_MAX = PEER_BYTES_MAX / 8,
	PEER_WINDOW = 32, /* requests outstanding in the pipelined form */
	PEER_ROOM =
	    64 /* messages that a queue has room for: more than the window, a power of two */
};

struct peer_setup {
	uint32_t bytes;          /* of each message, a multiple of 8 */
	struct poll_steps steps; /* between two looks, unless another pace is the peer's best */
	uint64_t limit;          /* ticks that one wait may take */
	uint64_t limit_ms;       /* the same, for those who are told */
	int near_cpu, far_cpu;   /* for the peer's own threads */
};

struct peer {
	const char *name; /* NULL: the end of a list */
	uint32_t bytes;   /* the one size of messages that it is for; 0: any */
	unsigned window;  /* requests outstanding at most; 1: it has no pipelined form */
	bool has_answers; /* its interface has requests and their responses, not messages alone */
	enum system_pace pace; /* of one request at a time */
	/* NULL: it cannot; what it has to say of that went to stderr. */
	void *(*start)(const struct peer_setup *setup);
	void (*stop)(void *started);
	/* False: broken; nothing more is asked of it but stop. */
	bool (*send)(void *started, const uint64_t *request);
	bool (*receive)(void *started, uint64_t *answer);
	/* Returns early when it is broken. NULL: the peer's own threads serve. */
	void (*serve)(void *started, uint64_t count);
};

/* What was not built, and the Debian packages that it wants for that. */
struct peer_absent {
	const char *name, *wants;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Lists, one a file. */
extern const struct peer pinioni_peers_aeron[], pinioni_peers_boost[], pinioni_peers_caf[],
    pinioni_peers_ck[], pinioni_peers_descriptor[], pinioni_peers_dpdk[], pinioni_peers_eventfd[],
    pinioni_peers_futex[], pinioni_peers_iceoryx[], pinioni_peers_lanes[],
    pinioni_peers_moodycamel[], pinioni_peers_nats[], pinioni_peers_nng[], pinioni_peers_pinion[],
    pinioni_peers_tbb[], pinioni_peers_tbb_flow[], pinioni_peers_urcu[], pinioni_peers_zmq[];

/* Those that were built, by the table that CMake wrote; NULL and {} end. */
extern const struct peer *const pinioni_peers_built[];
extern const struct peer_absent pinioni_peers_absent[];

#ifdef __cplusplus
}
#endif

#endif
