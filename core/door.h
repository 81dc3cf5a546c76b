/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/door.h - where other processes come in: who they are, what they are given, and what is taken back when they end.
 *
 *   connects -> its user is checked -> HELLO: board, bells, directory -> PORT ...: ports of its own
 *       ends, says nonsense, is told to go  --> its ports are buried (core/guest.h), and it is forgotten
 *
 * Why       What a client may use is memory that this process made, sized and sealed: it brings nothing. When it ends, the
 *           kernel says so by its pidfd, not a clock: one that is stopped keeps what it has.
 * Threads   One of its own does all of it; workers and pinion_stop knock.
 * Progress  Waits for no client: what one does not read is not sent, and it is shown out.
 * Death     Of a client, at any step: the connection and the pidfd end. Of this process: clients see both end.
 */
#ifndef PINION_CORE_DOOR_H
#define PINION_CORE_DOOR_H

#include "core/runtime.h"

/* Others find the runtime by this name. 0 or -errno; diag says why. */
int pinioni_door_open(struct pinion_runtime *rt, const char *name, const char *group,
    pinion_diag *diag) __attribute__((warn_unused_result));
/* Nobody else comes in; who is in is told that the runtime stops. NULL: there is none, here and below. */
void pinioni_door_say_stopping(struct door *door);
/* Whoever is still in is shown out; returns when nothing of theirs is left. */
void pinioni_door_empty(struct door *door);
void pinioni_door_close(struct door *door);
/* In a forked child: nobody finds it there. */
void pinioni_door_forked(const struct door *door);
/* Somebody is to be looked at. Any thread. */
void pinioni_door_knock(struct door *door) __attribute__((cold));

#endif
