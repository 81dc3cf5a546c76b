/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/replica.h - the life of a replica: asked for by any thread, done on its worker.
 *
 *   start: init, reconfigure, warm_up --> runs --> reconfigure: pauses until nothing of it runs, then goes on
 *                                          |
 *                                          '--> end, leave: nothing begins; what runs ends, is canceled; deinit
 *                                                leave: what waits and what still comes goes to a sibling
 */
#ifndef PINION_CORE_REPLICA_H
#define PINION_CORE_REPLICA_H

#include "core/registry.h"
#include "shm/format.h"

/* 0, or what init, reconfigure or warm_up said; text: why. Also of one that has left. */
int pinioni_replica_start(struct replica *r, char text[FAULT_TEXT])
    __attribute__((warn_unused_result));
/* What runs has so long to end, and as long again when it was canceled. */
void pinioni_replica_end(struct replica *r, int64_t limit_ns);
void pinioni_replica_leave(struct replica *r, int64_t limit_ns);
/* Requests that may run at once, from now on; 0: none begins. */
void pinioni_replica_limit(struct replica *r, uint32_t max_ongoing);
/* Requests that may wait there, of those that may in all of the deployment. */
void pinioni_replica_share(struct replica *r, uint32_t share, uint32_t all);
/* Calls the deployment's reconfigure while nothing of the replica runs. -ETIMEDOUT, or what that said. */
int pinioni_replica_reconfigure(struct replica *r, int64_t limit_ns, char text[FAULT_TEXT])
    __attribute__((warn_unused_result));

#endif
