/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/buffer_priv.h - bytes that arrive piece by piece, in one block of memory.
 *
 * Memory   malloc, grown by doubling; zeroed is empty; buffer_free gives it back.
 */
#ifndef PINION_INGRESS_HTTP_BUFFER_PRIV_H
#define PINION_INGRESS_HTTP_BUFFER_PRIV_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	unsigned char *bytes;
	size_t length, room;
};

/* Room for `more` bytes behind what is there. False: no memory, nothing has changed. */
bool pinioni_http_buffer_reserve(struct buffer *buffer, size_t more)
    __attribute__((warn_unused_result));
bool pinioni_http_buffer_append(struct buffer *buffer, const void *bytes, size_t length)
    __attribute__((warn_unused_result));
void pinioni_http_buffer_free(struct buffer *buffer);

#endif
