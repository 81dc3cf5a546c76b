/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/terms.h - what most calls do not have: a deadline, a class, an id, a model's name, values that travel.
 *
 *   port.memory.terms[slot]  deadline | priority | whose ingress it came by | what is carried:
 *                                                                             v
 *   a block of the arena:    request id | model | name 0 value 0 name 0 value 0 ...
 *
 * Why       A call that has none of it sends no byte for it, and looks nothing up: MESSAGE_TERMS says so.
 * Inherits  A handler's calls have all that its request has, but the model; what they say themselves comes first.
 * Memory    The caller's, until the call is DONE: views hold until its handler has answered. Of a caller in another process
 *           a copy, made when its handler first asks.
 */
#ifndef PINION_CORE_TERMS_H
#define PINION_CORE_TERMS_H

#include "core/call.h"
#include "core/encode.h"
#include "core/request.h"

/* What is left of the calling handler's time, or less. 0: it has all time; else *now is read. */
uint64_t pinioni_terms_deadline(const pinion_port *port, const struct call_how *how, uint64_t *now);
/* Whether the calling handler, if one is calling, hands something down. */
bool pinioni_terms_are_inherited(const pinion_port *port);
/* Writes those of the call that has this slot, if it has any. 0, or -errno with a reason. */
int pinioni_terms_write(pinion_port *port, struct slot_note *note, const struct call_how *how,
    uint64_t deadline, struct complaint *c) __attribute__((warn_unused_result));
/* It came with terms: its timer is started, and it is marked. */
void pinioni_terms_read(struct pinion_request *r);
/* "": it names none. */
pinion_str pinioni_terms_model(struct pinion_request *r);

#endif
