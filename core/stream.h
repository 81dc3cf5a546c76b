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
 *           each item. The producer says in the ring on which worker it waits for room; the reader looks
 *           there behind each batch that it gives back, and rings that worker when it sleeps.
 */
#ifndef PINION_CORE_STREAM_H
#define PINION_CORE_STREAM_H

#include <urcu/list.h>

#include "core/port.h"
#include "core/request.h"

/* A handler that waits for room in its ring. */
struct starved {
	struct cds_list_head link;
	struct fiber *fiber;
	struct ring_tx *tx;
	uint32_t looks; /* that found nothing */
	bool listed;
};

/* A ring for the items of the call that has this slot. 0 or -errno, then nothing was taken. */
int pinioni_stream_reserve(pinion_port *port, struct slot_note *note, uint32_t window)
    __attribute__((warn_unused_result));
/* Nobody listens any more to what is not DONE yet. Owner. */
void pinioni_stream_close(pinion_port *port, struct slot_note *note);
/* Resumes those that have room now; looks at some, in turn: at most at those that have not waited long. */
void pinioni_stream_look_at_starved(struct worker *w);
/* The same, at all. */
void pinioni_stream_look_at_all_starved(struct worker *w);
/* For stop. */
void pinioni_stream_resume_starved(struct worker *w);

#endif
