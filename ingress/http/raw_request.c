/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/raw_request.c - see raw_request_priv.h.
 */
#include "ingress/http/raw_request_priv.h"

#include <assert.h>
#include <string.h>

#include "ingress/http/frame_priv.h"
#include "ingress/http/pinion_http.h"

bool
pinioni_http_params_are_raw(pinion_params params)
{
	return params.count == 1 && params.list[0].kind == PINION_KIND_BYTES &&
	    strcmp(params.list[0].name, PINION_HTTP_REQUEST) == 0;
}

static enum MHD_Result
put_header(void *writer, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	pinioni_http_frame_put_text(writer, (pinion_str){ name, strlen(name) });
	pinioni_http_frame_put_text(
	    writer, (pinion_str){ value, value == NULL ? 0 : strlen(value) });
	return MHD_YES;
}

/* The prefix "/" takes nothing away: `rest` begins with its slash. */
static uint32_t
prefix_length(const char *prefix)
{
	size_t length = strlen(prefix);

	return (uint32_t)(length != 0 && prefix[length - 1] == '/' ? length - 1 : length);
}

static void
head_write(struct frame_writer *writer, const struct raw_request *raw)
{
	int count = MHD_get_connection_values(raw->connection, MHD_HEADER_KIND, NULL, NULL);
	const struct frame_head head = { .magic = FRAME_REQUEST,
		.number = prefix_length(raw->prefix),
		.header_count = (uint32_t)count,
		.pair_count = raw->target->pair_count };

	pinioni_http_frame_put_head(writer, &head);
	pinioni_http_frame_put_text(writer, (pinion_str){ raw->verb, strlen(raw->verb) });
	pinioni_http_frame_put_text(writer, raw->target->path);
	pinioni_http_frame_put_text(writer, raw->target->query);
	pinioni_http_frame_put_text(writer, (pinion_str){ raw->id, strlen(raw->id) });
	(void)MHD_get_connection_values(raw->connection, MHD_HEADER_KIND, put_header, writer);
	for (uint32_t i = 0; i < raw->target->pair_count; i++) {
		pinioni_http_frame_put_text(writer, raw->target->pairs[i].key);
		pinioni_http_frame_put_text(writer, raw->target->pairs[i].value);
	}
}

bool
pinioni_http_raw_request_begin(const struct raw_request *raw, struct buffer *buffer)
{
	struct frame_writer writer = { NULL, 0 };

	head_write(&writer, raw);
	if (!pinioni_http_buffer_reserve(buffer, writer.length))
		return false;
	writer = (struct frame_writer){ buffer->bytes, 0 };
	head_write(&writer, raw);
	buffer->length = writer.length;
	return true;
}

pinion_bytes
pinioni_http_raw_request_end(struct buffer *buffer)
{
	assert(buffer->length <= UINT32_MAX); /* by BODY_MAX, and MHD's limit on heads */
	pinioni_http_frame_set_size(buffer->bytes, (uint32_t)buffer->length);
	return (pinion_bytes){ buffer->bytes, buffer->length };
}
