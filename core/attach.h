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

/* Asks for one. 0, -ENOSPC (no port is left), -EOWNERDEAD (there is nobody), -ETIMEDOUT, or what the other side said. */
int pinioni_attached_port(struct attachment *a, size_t arena_bytes, uint32_t flags,
    struct port_grant *grant) __attribute__((warn_unused_result));
/* Nothing of it is in use. */
void pinioni_attached_close(struct attachment *a, unsigned port);
/* A descriptor that is readable when the port was rung; the caller's. As above. */
int pinioni_attached_event(struct attachment *a, unsigned port, int *fd)
    __attribute__((warn_unused_result));
/* Learns what runs there since. 0 or as above. */
int pinioni_attached_renew(struct pinion_runtime *rt) __attribute__((warn_unused_result));
/* pinion_stop of such a runtime: the last of those who attached it takes it down. */
void pinioni_attached_leave(struct pinion_runtime *rt);

/* The same as pinion_attach, never shared: of a host. make: what makes it one, before anything is heard. */
int pinioni_attach_serving(const pinion_attach_options *o, int (*make)(struct pinion_runtime *rt))
    __attribute__((warn_unused_result));
/* A question with three descriptors in its answer, which are the caller's; not 0: m->text may say why. */
int pinioni_attached_host(struct attachment *a, struct control_message *m, int descriptors[3])
    __attribute__((warn_unused_result));
/* What needs no answer. One that cannot be told has ended, or is going to show us out. */
void pinioni_attached_tell(struct attachment *a, struct control_message *m);
/* That port's process sleeps in an event loop. */
void pinioni_attached_ring(struct attachment *a, unsigned port) __attribute__((cold));
/* Whoever sleeps looks again. */
void pinioni_attached_enter(struct pinion_runtime *rt, enum runtime_phase phase);
/* The connection is of no use any more. */
void pinioni_attached_cut(struct attachment *a);
/* The same; nothing is heard of it from here on. */
void pinioni_attached_hush(struct attachment *a);

/* In a forked child: the connection is its parent's. NULL: there is none. */
void pinioni_attached_forked(const struct attachment *a);

#endif
