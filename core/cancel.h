/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cancel.h - ending calls that nobody wants any more, and what they called.
 *
 *   owner --cancel--> the worker that has it            (or the deadline that came with it)
 *                       not started        it never starts: its slot is DONE with -ECANCELED
 *                       runs               marked: its waits say -ECANCELED, its calls are canceled, new ones refused
 *                       went elsewhere     the cancel follows
 *                       not here yet       a placeholder is marked: it ends when it comes
 *
 * Why       A cancel is a request. What the slot says is what whoever has the call wrote: one outcome, whatever
 *           it races with.
 * Path      As the call went: to the workers of the arguments that it may wait for, then to its replica's.
 */
#ifndef PINION_CORE_CANCEL_H
#define PINION_CORE_CANCEL_H

#include "core/port.h"
#include "core/request.h"

/* Owner: asks whoever has the call to end it, unless it has ended. mark: REQUEST_CANCELED or REQUEST_OVERDUE. Never
 * waits. */
void pinioni_cancel_note(pinion_port *port, struct slot_note *note, unsigned mark);
/* What found a full lane is sent again. */
void pinioni_cancel_again(pinion_port *port);
/* The call that this names, maybe of another port. */
void pinioni_cancel_ref(struct worker *w, const struct record_ref *ref);
/* A MESSAGE_CANCEL came, from wherever: its bytes are input. */
void pinioni_cancel_take(struct worker *w, const struct message *m);
/* What a handler's waits and calls say that is not to go on; 0: it is. */
int pinioni_cancel_code(const struct pinion_request *r) __attribute__((pure));
/* Whether it is not to start: ended, or too late. */
bool pinioni_cancel_bars(const struct pinion_request *r);
/* It is taken from the queue, and has marks. True: it has ended. */
bool pinioni_cancel_at_start(struct pinion_request *r);
/* It came with this deadline: it is marked, and ends then. */
void pinioni_cancel_bind(struct pinion_request *r, uint64_t deadline);
/* Its handler returned this code and no answer. True: because of a cancel or the deadline, and it has ended so. */
bool pinioni_cancel_finish(struct pinion_request *r, int err);
/* It should not go on: mark says why. Once: the first reason stands. Its handler, if it runs, is told. */
void pinioni_cancel_end(struct pinion_request *r, unsigned mark);
/* Out of the list of what is answered with some result. */
void pinioni_cancel_unlist_relay(struct worker *w, const struct pinion_request *r);

/* core/cancel_many.c. All that runs at a replica. */
void pinioni_cancel_replica(struct worker *w, const struct replica *replica);
/* Ends everything this worker has, for stop. */
void pinioni_cancel_all(struct worker *w);

#endif
