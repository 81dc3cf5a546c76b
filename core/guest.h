/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guest.h - a port of another process, whose calls are run here; and its burial.
 *
 *   made, its descriptors handed over --> found by workers --> closed by its process, or that has ended: buried
 *
 *   burial   LANES   nobody finds the port; workers do not look at its lanes any more
 *            ASKS    each worker, on its own thread: cancels what it has of the port, counts it, and says how far it has
 *            HEARS   written in its lanes. Something was left: once more
 *            WAITS   until all that had been written is taken: who takes what names the port drops it
 *            ENDS    nothing names it. Its number is free; after a grace period it is unmapped
 *
 * Why       What a dead process asked for may be anywhere: queued, running, on its way between two workers. Nobody counts
 *           that on the data path. So it is counted when it matters, by those who have it.
 * Model     tests/models/detach.pml.
 * Threads   Of the door; looks run on the workers.
 * Progress  Waits for nobody: each turn sends letters, or looks whether they were answered.
 */
#ifndef PINION_CORE_GUEST_H
#define PINION_CORE_GUEST_H

#include "core/control.h"
#include "core/runtime.h"

/* The same of one that another process made and handed over, to be run by a worker here. */
int pinioni_port_map_guest(struct pinion_runtime *rt, const struct port_grant *grant,
    pinion_port **out) __attribute__((warn_unused_result));
/* All its memory is committed. terms: what its process has to know, but for its number. 0 or -errno. */
int pinioni_guest_create(struct pinion_runtime *rt, size_t arena_bytes, struct control_port *terms,
    pinion_port **out) __attribute__((warn_unused_result));

struct burial; /* one that is under way */

/* Nobody finds it from now on. NULL: no memory; then it is still found, and is to be buried later. */
struct burial *pinioni_guest_bury(pinion_port *port);
/* True: nothing in this process names it. */
bool pinioni_burial_turn(struct burial *b);
/* When it is so in all. True: its number is free, it is unmapped after a grace period, and the burial is freed; else it is tried
 * again. */
bool pinioni_burial_end(struct burial *b);

/* How many requests of each guest this worker has: what is added to counts[its number]. core/cancel_many.c */
void pinioni_guests_count(struct worker *w, uint32_t counts[PORTS_MAX]);
/* Ends what this worker has of the port, as far as it can be ended; how much is left. core/cancel.c */
uint32_t pinioni_cancel_port(struct worker *w, const pinion_port *port);

#endif
