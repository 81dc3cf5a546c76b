/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/control.h - what a process that attaches and the one it attaches to say to each other.
 *
 *   client                                            controller
 *     HELLO  layout, version                     ->
 *                                                <-   HELLO  err, text; or sizes, and board, bells, directory
 *     CATALOG  of deployments from this one on   ->
 *                                                <-   CATALOG  declarations, a sealed file
 *     PORT                                       ->
 *                                                <-   PORT  its number, generation, first tickets; port, lanes
 *     EVENT  of that port                        ->
 *                                                <-   EVENT  a socket that becomes readable when it is rung
 *     CLOSE  that port; nothing of it is in use  ->
 *                                                <-   STOPPING, whenever that begins
 *   the connection ends: all that it had goes
 *
 *   host: a client that runs a replica (core/host.h)
 *     HOST  of which deployment                  ->
 *                                                <-   HOST  its worker, its replica; hosts' lines, what is known of it
 *     PORT  its worker's                         ->
 *                                                <-   PORT as above, and from now on, as it happens:
 *                                                     GUEST  another's port: memory, lanes   BURY  it   FORGET  it
 *                                                     DEPLOYED  declarations   CANCEL  all   END  its replica
 *                                                     COUNT  what it has
 *     READY  its init has run, or why not        ->
 *     BURIED  a port   RING  a port   REFUSED  messages of a port   COUNT   ENDED  ->
 *
 * Rules     As of all that another process writes: copied once, checked, never read twice. The first five fields stay
 *           as they are in every version, so that one of another version can be told so.
 */
#ifndef PINION_CORE_CONTROL_H
#define PINION_CORE_CONTROL_H

#include <stdint.h>

#include "core/clock.h"
#include "shm/format.h"

#define CONTROL_MAGIC UINT64_C(0x01016e6f696e6970) /* "pinion", 1, 1 */

enum {
	CONTROL_VERSION = 2,
	CONTROL_TEXT = 240
};

enum control_kind {
	CONTROL_HELLO = 1,
	CONTROL_CATALOG,
	CONTROL_PORT,
	CONTROL_EVENT,
	CONTROL_CLOSE,
	CONTROL_STOPPING,
	CONTROL_HOST,
	CONTROL_READY,
	CONTROL_BURIED,
	CONTROL_RING,
	CONTROL_REFUSED,
	CONTROL_COUNT,
	CONTROL_ENDED,
	CONTROL_GUEST,
	CONTROL_BURY,
	CONTROL_FORGET,
	CONTROL_DEPLOYED,
	CONTROL_CANCEL,
	CONTROL_END,
};

/* Of HELLO's answer. */
struct control_terms {
	uint64_t key; /* of the runtime, in handles and references */
	uint32_t workers, slots, lane_cells;
	uint32_t mode;            /* enum board_mode */
	uint32_t pace;            /* enum pace */
	uint32_t host_workers;    /* of the workers, the last so many */
	struct clock_scale clock; /* that its workers have */
	char name[16];
};

struct control_port {
	uint64_t generation, first;
	uint64_t arena_bytes; /* asked for, and given */
	uint32_t index;
	uint32_t flags; /* enum control_port_flag */
};
enum control_port_flag {
	CONTROL_PORT_WORKER = 1,  /* a worker calls from it: of a host, its own */
	CONTROL_PORT_TRUSTED = 2, /* what comes from it is not guarded */
	CONTROL_PORT_FOREIGN = 4, /* it is another user's */
};

/* Of HOST. The question's text: application, deployment, each with its end. */
struct control_host {
	uint32_t number;     /* of the replica among its siblings; UINT32_MAX: any */
	uint32_t deployment; /* the answer's, as are: */
	uint32_t worker, replica;
	int32_t cpu;           /* to be pinned to; -1: none */
	uint32_t request_size; /* of what both have by size */
};

struct control_message {
	uint64_t magic;
	uint32_t version;
	int32_t err; /* of an answer: 0 or -errno, and text says why */
	uint64_t layout_hash;
	char text[CONTROL_TEXT];
	uint32_t kind; /* enum control_kind */
	/* CATALOG, HOST: deployments that are known; of a port: its number; GUEST: the worker that calls from it, and one; COUNT: how
	 * much. */
	uint32_t from;
	uint64_t serial; /* of the question, and of its answer */
	union {
		struct control_terms terms;
		struct control_port port;
		struct control_host host;
	};
};
static_assert(sizeof(struct control_message) == 352, "control format");
static_assert(offsetof(struct control_message, kind) == 264, "control format");

/* What a port consists of, of which the descriptors are the caller's. */
struct port_grant {
	struct control_port port;
	int memory, lanes;
};

/* With what all have. */
struct control_message pinioni_control_message(enum control_kind kind);
/* As pinioni_channel_send. */
int pinioni_control_send(int channel, struct control_message *m, const int *descriptors,
    unsigned count) __attribute__((warn_unused_result));

#endif
