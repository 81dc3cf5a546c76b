/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/attach.h - a part in a runtime whose workers are another process's.
 *
 *   pinion_attach -> HELLO -> board, bells, directory, catalog mapped -> calls, as a thread of that process makes them
 *        the controller ends, or detaches us --> RUNTIME_LOST: what is pending ends with -EOWNERDEAD
 *
 * Why       A caller needs a port, and to see what workers show; both are segments. So a call from here is the same
 *           code, and as quick, as one from there: only ports are made by the other side, and handed over.
 * Threads   One of its own listens to the connection; whoever asks for a port waits for it.
 * Death     Of the controller: its pidfd tells. A stopped one is waited for, ATTACH_WAIT_MS long where somebody waits.
 */
#ifndef PINION_CORE_ATTACH_H
#define PINION_CORE_ATTACH_H

#include "core/control.h"
#include "core/runtime.h"

/* What a port consists of, of which the descriptors are the caller's. */
struct port_grant {
	struct control_port port;
	int memory, lanes;
};

/* Asks for one. 0, -ENOSPC (no port is left), -EOWNERDEAD (there is nobody), -ETIMEDOUT, or what the other side said. */
int pinioni_attached_port(struct attachment *a, size_t arena_bytes, struct port_grant *grant)
    __attribute__((warn_unused_result));
/* Nothing of it is in use. */
void pinioni_attached_close(struct attachment *a, unsigned port);
/* A descriptor that is readable when the port was rung; the caller's. As above. */
int pinioni_attached_event(struct attachment *a, unsigned port, int *fd)
    __attribute__((warn_unused_result));
/* Learns what runs there since. 0 or as above. */
int pinioni_attached_renew(struct pinion_runtime *rt) __attribute__((warn_unused_result));
/* pinion_stop of such a runtime: the last of those who attached it takes it down. */
void pinioni_attached_leave(struct pinion_runtime *rt);

/* In a forked child: the connection is its parent's. NULL: there is none. */
void pinioni_attached_forked(const struct attachment *a);

#endif
