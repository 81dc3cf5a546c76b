/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/client.h - a process that has attached, as its controller sees it; what it asks is answered here.
 *
 *   HELLO -> known -> CATALOG, PORT, EVENT, CLOSE in any order        anything else: -EBADMSG, and it is shown out
 *
 * Threads   The door's.
 */
#ifndef PINION_CORE_CLIENT_H
#define PINION_CORE_CLIENT_H

#include "core/control.h"
#include "core/runtime.h"
#include "shm/channel.h"

struct client {
	int channel; /* -1: nobody is here */
	uint32_t
	    serial; /* no other had it: what the kernel still tells of one who has gone is not this one's */
	struct channel_peer peer;
	bool is_known;      /* it has said HELLO */
	pinion_port *ports; /* by their `next` */
	uint32_t port_count;
	uint32_t violations; /* messages that made no sense */
	struct host *host;   /* that it is; NULL: it only calls */
};

#define CLIENT_NONE ((struct client){ .channel = -1, .peer.pidfd = -1 })

/* Reads one message and answers it. 0; -EAGAIN: there is none; else it is to be shown out. closed: a port that it does not
 * want any more, to be buried; NULL: none. */
int pinioni_client_listen(struct client *c, struct pinion_runtime *rt, pinion_port **closed)
    __attribute__((warn_unused_result));
/* Why whoever connects is not let in. */
void pinioni_client_turn_away(int channel, int err, const char *why);
/* The runtime stops. */
void pinioni_client_say_stopping(const struct client *c);

#endif
