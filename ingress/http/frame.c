/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/frame.c - see frame_priv.h.
 */
#include "ingress/http/frame_priv.h"

#include <string.h>

void
pinioni_http_frame_put(struct frame_writer *writer, const void *bytes, size_t length)
{
	if (writer->at != NULL && length != 0)
		memcpy(writer->at + writer->length, bytes, length);
	writer->length += length;
}

static void
put_u32(struct frame_writer *writer, uint32_t number)
{
	pinioni_http_frame_put(writer, &number, sizeof number);
}

void
pinioni_http_frame_put_head(struct frame_writer *writer, const struct frame_head *head)
{
	put_u32(writer, head->magic);
	put_u32(writer, head->size);
	put_u32(writer, head->number);
	put_u32(writer, head->header_count);
	put_u32(writer, head->pair_count);
}

void
pinioni_http_frame_put_text(struct frame_writer *writer, pinion_str text)
{
	put_u32(writer, (uint32_t)text.len);
	pinioni_http_frame_put(writer, text.data, text.len);
}

void
pinioni_http_frame_set_size(unsigned char *frame, uint32_t size)
{
	memcpy(frame + offsetof(struct frame_head, size), &size, sizeof size);
}

static bool
take(struct frame_reader *reader, size_t length, const unsigned char **bytes)
{
	if (length > reader->left)
		return false;
	*bytes = reader->at;
	reader->at += length;
	reader->left -= length;
	return true;
}

static bool
take_u32(struct frame_reader *reader, uint32_t *number)
{
	const unsigned char *bytes;

	if (!take(reader, sizeof *number, &bytes))
		return false;
	memcpy(number, bytes, sizeof *number);
	return true;
}

bool
pinioni_http_frame_open(
    struct frame_reader *reader, pinion_bytes frame, uint32_t magic, struct frame_head *head)
{
	*reader = (struct frame_reader){ frame.data, frame.len };
	return take_u32(reader, &head->magic) && take_u32(reader, &head->size) &&
	    take_u32(reader, &head->number) && take_u32(reader, &head->header_count) &&
	    take_u32(reader, &head->pair_count) && head->magic == magic && head->size == frame.len;
}

bool
pinioni_http_frame_take_text(struct frame_reader *reader, pinion_str *text)
{
	const unsigned char *bytes;
	uint32_t length;

	if (!take_u32(reader, &length) || !take(reader, length, &bytes))
		return false;
	*text = (pinion_str){ (const char *)bytes, length };
	return true;
}

bool
pinioni_http_frame_take_pair(struct frame_reader *reader, pinion_str *name, pinion_str *value)
{
	return pinioni_http_frame_take_text(reader, name) &&
	    pinioni_http_frame_take_text(reader, value);
}

bool
pinioni_http_frame_take_pairs(struct frame_reader *reader, uint32_t count, pinion_bytes *pairs)
{
	const unsigned char *begin = reader->at;
	pinion_str name, value;

	/* Ends: each round takes 8 bytes or more, or fails. */
	for (uint32_t i = 0; i < count; i++)
		if (!pinioni_http_frame_take_pair(reader, &name, &value))
			return false;
	*pairs = (pinion_bytes){ begin, (size_t)(reader->at - begin) };
	return true;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; /* tolower asks the locale */
}

bool
pinioni_http_name_is(pinion_str name, const char *other)
{
	size_t i = 0;

	while (i < name.len && other[i] != '\0' && lower(name.data[i]) == lower(other[i]))
		i++;
	return i == name.len && other[i] == '\0';
}

static bool
is_of_ingress(pinion_str name)
{
	static const char *const names[] = { "Connection", "Content-Length", "Date", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
		"X-Request-ID" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pinioni_http_name_is(name, names[i]))
			return true;
	return false;
}

bool
pinioni_http_header_is_sendable(pinion_str name, pinion_str value)
{
	if (name.len == 0 || is_of_ingress(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' ||
		    strchr("\"(),/:;<=>?@[\\]{}", name.data[i]) != NULL)
			return false;
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.data[i] < ' ' || value.data[i] == '\x7f')
			return false; /* a line end here would be a header of its own */
	return true;
}

bool
pinioni_http_status_is_sendable(int64_t status)
{
	return status >= 200 && status <= 599;
}
