/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/piped.h - a stream that is an argument of another call: its items go from worker to worker, past the caller.
 *
 *   caller's port                        producer's worker           reader's worker
 *   +-----------------------------+      +------------------+        +---------------------------+
 *   | slot, ring of the stream    | <--- | yield: items     |        | pinion_next: items, taken |
 *   |   pinned by the reading call|      | DONE: the end    |        |   no item: `hungry`       |
 *   | slot of the reading call    |      | looks at `hungry`|        | ends: closes, then DONE   |
 *   +-----------------------------+      +------------------+        +---------------------------+
 *
 * Once      A ring has one reader. The caller gives up its end; what it has read is not read again. A handler
 *           that has a stream may forward it, and gives up its end in turn.
 * The end   Whoever completes the reading call, also one that never started, closes the ring first and cancels the
 *           producer: behind DONE the caller may use that memory for something else.
 * Threads   The caller's: start, undo. All else: the worker that has the reading call.
 * Memory    The reader's end lies in its request's memory, and is found by the request's place in the pool.
 */
#ifndef PINION_CORE_PIPED_H
#define PINION_CORE_PIPED_H

#include "core/port.h"
#include "core/request.h"

/* A stream as its reader's handler names it: slot = PIPED | argument << PIPED_SHIFT | the request's index. */
#define PIPED UINT32_C(0x80000000)
enum {
	PIPED_SHIFT = 24
};

static inline bool
stream_is_piped(pinion_stream s)
{
	return s.slot >> 28 == PIPED >> 28;
}

/* A stream of this port, from now on another call's. Owner. */
void pinioni_piped_start(pinion_port *port, struct slot_note *note);
/* That call was not sent: its streams are ours again. */
void pinioni_piped_undo(pinion_port *port, const struct pin *pins, unsigned count);

/* An argument, in the order of the request's parameters, becomes a reader's end. 0, -ESTALE, -EBADMSG, -ENOMEM. */
int pinioni_piped_open(struct pinion_request *r, const struct record_ref *ref, struct view *v)
    __attribute__((warn_unused_result));
/* As its handler names it; -EINVAL when v is none. */
pinion_stream pinioni_piped_stream(
    const struct pinion_request *r, unsigned index, const struct view *v);
/* The request has ended, or is handed on by `next`: then what is in there stays. */
void pinioni_piped_end(struct pinion_request *r, const struct message *next);
/* A stream that its handler hands on: it reads no more. False: it has none such. */
bool pinioni_piped_hand_on(struct pinion_request *r, pinion_stream s, struct record_ref *ref);

/* As pinion_next_within_into, or pinion_next_value where value is given, and so on. */
int pinioni_piped_next(
    pinion_stream s, int64_t timeout_ns, const pinion_into *into, pinion_value *value);
void pinioni_piped_close(pinion_stream s);
void pinioni_piped_cancel(pinion_stream s);
pinion_error pinioni_piped_error(pinion_stream s);

#endif
