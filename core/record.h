/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/record.h - a call's arguments as bytes, and back.
 *
 *   scalar        8 bytes, aligned 8          bool, i64, u64, f64, handle
 *   str, bytes    u32 length, then the bytes; the last parameter has no length, the record's end is its
 *                 end, so that 32 bytes travel inside the message
 *   struct        its bytes, at its alignment (8 in a message, up to 64 in the arena)
 *   reference     16 bytes, aligned 8: a declared reference, or - with its bit in message.refs - an
 *                 argument that is another call's result or a loaned block, read where it lies
 *   a task's record begins with the kinds of its arguments, 8 bytes
 *
 * Why       One rule (core/layout.h) for writing (core/encode.h) and reading.
 * Threads   The worker that has the message.
 * Memory    A record that does not fit the message lies in a block of the caller's arena, pinned until the
 *           call is DONE.
 */
#ifndef PINION_CORE_RECORD_H
#define PINION_CORE_RECORD_H

#include <string.h>

#include "core/port.h"
#include "core/request.h"

/* Of a message with lines elsewhere, they are fetched: the first of its record, and those that a long result will be
 * written to. */
void pinioni_record_want(const struct pinion_request *r);
/* Finds the arguments in place. 0, or the request has been failed. */
int pinioni_record_decode(struct pinion_request *r) __attribute__((warn_unused_result));

/* Where the call's result goes, when it is long, if there is room to say it: so its lines are fetched with the message's,
 * and not looked for in a table that the caller has just written. */
static inline void
record_name_place(struct message *m, struct result_place place)
{
	if (m->length != RECORD_OUTSIDE && m->length > RECORD_PLACE)
		return;
	memcpy(m->record + RECORD_PLACE, &place, sizeof place);
	m->function |= MESSAGE_AHEAD;
}

/* As it was named; size 0: it was not. */
static inline struct result_place
record_place(const struct message *m)
{
	struct result_place place = { 0, 0 };

	if ((m->function & MESSAGE_AHEAD) != 0)
		memcpy(&place, m->record + RECORD_PLACE, sizeof place);
	return place;
}

/* Scalars, all there: their bits are the record, and nothing is to be found. */
static inline bool
record_is_plain(const struct message *m, const struct method *method)
{
	return method->signature != UINT64_MAX && m->refs == 0 && m->length <= MESSAGE_RECORD &&
	    m->length == method->param_count * sizeof(uint64_t);
}

/* Of a record that lies at `record`. */
int pinioni_record_decode_at(struct pinion_request *r, const unsigned char *record, uint32_t length)
    __attribute__((warn_unused_result));

/* A scalar result that is about to be there. */
struct arrival {
	uint64_t bits;
	pinion_kind kind;
	uint64_t generation;
	uint16_t port;
	uint16_t slot;
};

/* Replaces references to scalar results by their values. arrival: NULL, or one not in its slot yet. */
void pinioni_record_settle(struct worker *w, struct message *m, const struct method *method,
    const struct arrival *arrival);

/* The same where it is simple: the only reference, to just what is declared. False: nothing was done. */
bool pinioni_record_settle_lone(
    struct message *m, const struct method *method, const struct arrival *arrival);

/* The same into another message, which `to` is then all of. False: not all could be replaced, and `to` is
 * nothing. */
bool pinioni_record_settle_to(struct worker *w, const struct message *m, struct message *to,
    const struct method *method, const struct arrival *arrival);

/* The references in a record, copied. Returns their number; at[i]: where each lies in the record. */
unsigned pinioni_record_refs(const struct pinion_runtime *rt, const struct message *m,
    const struct method *method, struct record_ref refs[PINION_ARGS_MAX]);

#endif
