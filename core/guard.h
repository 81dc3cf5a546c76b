/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guard.h - what a message of another process may say.
 *
 *   taken from a guarded lane, copied once --> makes sense? --> accepted as any other
 *                                          \-> no: counted, its slot told -EBADMSG; VIOLATIONS_MAX: detached
 *
 * Why       What lies in a client's lanes is what it wrote there, whatever that was. It names its own port and slots, a
 *           deployment, a method: numbers, each looked up with bounds. What only workers say to each other is not for it.
 */
#ifndef PINION_CORE_GUARD_H
#define PINION_CORE_GUARD_H

#include "core/worker.h"

/* False: it makes no sense, and that was said. */
bool pinioni_guard_admits(struct worker *w, const struct lane_rx *lane, const struct message *m)
    __attribute__((noinline));

#endif
