/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/stream.h - one call, many results: what the rest of the runtime asks of streams.
 *
 *   reader                                          producer (a handler)
 *     call: a slot, and a ring for its result         yield: an item, or waits for room
 *     next: an item, the end (slot DONE), or waits    returns: slot DONE, after its items
 *     close: nobody listens                           the next yield says -ECANCELED
 *
 * Told      The reader asks in the slot's word, like who waits for a result; the producer looks there behind
 *           each item. The producer that waits for room is core/starved.h's. A stream that is another call's
 *           argument is read there: core/piped.h.
 */
#ifndef PINION_CORE_STREAM_H
#define PINION_CORE_STREAM_H

#include "core/port.h"
#include "core/request.h"

/* A ring for the items of the call that has this slot. 0 or -errno, then nothing was taken. */
int pinioni_stream_reserve(pinion_port *port, struct slot_note *note, uint32_t window)
    __attribute__((warn_unused_result));
/* Nobody listens any more to what is not DONE yet. Owner. */
void pinioni_stream_close(pinion_port *port, struct slot_note *note);
/* The block that is reserved for that call's items, and its bytes: a ring's at least. NULL: what the port says of it does not
 * fit. */
struct ring *pinioni_stream_ring(const pinion_port *port, uint32_t slot, uint64_t *bytes);
/* What was taken is said, to a producer that sleeps as well. */
void pinioni_stream_give_room(struct pinion_runtime *rt, struct ring_rx *rx);
/* An item of another process, maybe: 1, or why it stays. Its views stay until the next is asked for. */
int pinioni_stream_read_item(struct pinion_runtime *rt, struct ring_rx *rx,
    const struct ring_item *item, const pinion_into *into, pinion_value *value);

enum {
	STREAM_NOTHING = 2
};

/* What its slot says, which is no more than that: not that there is an item, or that one is to come. */
static inline int
stream_end(int status)
{
	return status > 0 ? -EBADMSG : status;
}

/* 1: *item is the next; 0, or why there is no more: the end; STREAM_NOTHING: it is still to come. */
static inline int
stream_look(const struct ring_rx *rx, const struct slot *slot, uint64_t generation,
    const struct ring_item **item)
{
	*item = ring_peek(rx);
	if (*item == NULL && slot_poll(slot, generation)) {
		*item = ring_peek(rx); /* the last ones came before the end */
		if (*item == NULL)
			return stream_end(slot_status(slot));
	}
	return *item != NULL ? 1 : STREAM_NOTHING;
}

#endif
