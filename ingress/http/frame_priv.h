/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/frame_priv.h - an HTTP request or answer as one value of bytes.
 *
 *   offset  bytes  what
 *        0      4  magic: FRAME_REQUEST or FRAME_REPLY
 *        4      4  size of it all, bytes
 *        8      4  request: bytes of the path in front of `rest`; answer: the status
 *       12      4  count of headers
 *       16      4  count of the query's pairs; answer: 0
 *       20         request: the texts verb, path, query, id
 *                  headers: two texts each, name and value
 *                  pairs: two texts each, key and value
 *                  body: the rest
 *   text: 4 bytes of length, that many bytes. Integers in the machine's order, unaligned.
 *
 * Why       A raw method takes one argument and gives one result, so that it is called and forwarded like
 *           any other. The body comes last and has no length of its own: it is received right behind the
 *           head, in the memory that is the argument.
 * Trust     A handler may be called with any bytes, and may answer with any. A reader checks each length
 *           against what is left, on every walk; nothing read once is believed later.
 */
#ifndef PINION_INGRESS_HTTP_FRAME_PRIV_H
#define PINION_INGRESS_HTTP_FRAME_PRIV_H

#include <pinion/pinion.h>

enum {
	FRAME_REQUEST = 0x31515250, /* "PRQ1" */
	FRAME_REPLY = 0x31505250,   /* "PRP1" */
	FRAME_HEAD = 20             /* bytes before the first text */
};

struct frame_head {
	uint32_t magic, size, number, header_count, pair_count;
};

/* Writes to `at`, or only counts when that is NULL: so one function says how much and writes. */
struct frame_writer {
	unsigned char *at;
	size_t length;
};

struct frame_reader {
	const unsigned char *at;
	size_t left;
};

void pinioni_http_frame_put_head(struct frame_writer *writer, const struct frame_head *head);
void pinioni_http_frame_put(struct frame_writer *writer, const void *bytes, size_t length);
void pinioni_http_frame_put_text(struct frame_writer *writer, pinion_str text);
/* A body of this size follows now. */
void pinioni_http_frame_set_size(unsigned char *frame, uint32_t size);

/* False: another magic, or not exactly as long as it says. */
bool pinioni_http_frame_open(struct frame_reader *reader, pinion_bytes frame, uint32_t magic,
    struct frame_head *head) PINION_MUST_CHECK;
/* False: longer than what is left. */
bool pinioni_http_frame_take_text(struct frame_reader *reader, pinion_str *text) PINION_MUST_CHECK;
bool pinioni_http_frame_take_pair(
    struct frame_reader *reader, pinion_str *name, pinion_str *value) PINION_MUST_CHECK;
/* So many pairs, as the bytes they are. */
bool pinioni_http_frame_take_pairs(
    struct frame_reader *reader, uint32_t count, pinion_bytes *pairs) PINION_MUST_CHECK;

/* May a handler send this header: well formed, and not one that the ingress sends? */
bool pinioni_http_header_is_sendable(pinion_str name, pinion_str value) PINION_MUST_CHECK;
bool pinioni_http_status_is_sendable(int64_t status) PINION_MUST_CHECK;
/* Header names: letters of A to Z in any case. */
bool pinioni_http_name_is(pinion_str name, const char *other) PINION_MUST_CHECK;

#endif
