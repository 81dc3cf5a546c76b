/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/encode.h - typed arguments, checked against a declaration, become a record.
 *
 * When all kinds match and all are scalars, one compare of a constant word is the check and a loop of
 * 8-byte copies the record; everything else takes the way round by items.
 *
 * Threads   The port's owner.
 * Memory    A long record goes to a block of the port's arena; what must be kept is pinned in the note.
 */
#ifndef PINION_CORE_ENCODE_H
#define PINION_CORE_ENCODE_H

#include <string.h>

#include "core/port.h"
#include "core/value.h"

/* What a call could not be made of. */
struct complaint {
	int code;
	const char *deployment; /* where an argument's own failure arose; NULL: here */
	const char *method;
	char text[FAULT_TEXT];
};

/* Sets and returns c->code. */
int pinioni_complain(struct complaint *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* All arguments are scalars of the declared kinds, in order, and their bits fit the message. */
static inline bool
args_are_plain(const struct method *method, const pinion_args *args)
{
	return args->signature == method->signature && args->count == method->param_count &&
	    args->count <= MESSAGE_RECORD / 8;
}

static inline void
encode_plain_bits(const pinion_args *args, struct message *m)
{
	for (uint32_t i = 0; i < args->count; i++) {
		uint64_t bits = value_bits(&args->values[i]);

		memcpy(m->record + (size_t)i * 8, &bits, 8);
	}
	m->length = (uint8_t)(args->count * 8);
	m->refs = 0;
}

enum {
	HOME_NONE = -1
};

/* Each a scalar as declared, or a call of this port that will answer one: what most stages of chains are called
 * with. *home: the worker that has the first that is not there yet; HOME_NONE: all are. */
bool pinioni_args_are_scalars(
    const pinion_port *port, const struct method *method, const pinion_args *args, int *home);
/* Fills the record, length and refs of such a message; the calls are pinned in `note`. */
void pinioni_encode_scalars(
    pinion_port *port, const pinion_args *args, struct message *m, struct slot_note *note);

/* Of a call of note->method: fills m's record, length and refs; what must be kept is pinned in `note`, also on failure.
 * forwards: the request that is handed on by it; NULL: none. */
int pinioni_encode(pinion_port *port, pinion_args args, struct message *m, struct slot_note *note,
    struct pinion_request *forwards, struct complaint *c) __attribute__((warn_unused_result));

/* Constructor arguments: the same rules without a port, into at most `room` bytes. */
int pinioni_encode_plain(const struct method *method, pinion_args args, unsigned char *record,
    size_t room, size_t *length, struct complaint *c) __attribute__((warn_unused_result));

#endif
