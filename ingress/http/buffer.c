/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/buffer.c - see buffer_priv.h.
 */
#include "ingress/http/buffer_priv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOM_MIN = 256
}; /* bytes: most JSON bodies fit */

bool
pinioni_http_buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t room = buffer->room < ROOM_MIN ? ROOM_MIN : buffer->room;
	unsigned char *bytes;

	if (more > SIZE_MAX / 4 - buffer->length)
		return false;
	if (buffer->length + more <= buffer->room)
		return true;
	while (room < buffer->length + more)
		room *= 2;
	bytes = realloc(buffer->bytes, room);
	if (bytes == NULL)
		return false;
	buffer->bytes = bytes;
	buffer->room = room;
	return true;
}

bool
pinioni_http_buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
	if (!pinioni_http_buffer_reserve(buffer, length))
		return false;
	if (length != 0)
		memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
	return true;
}

void
pinioni_http_buffer_free(struct buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct buffer){ 0 };
}
