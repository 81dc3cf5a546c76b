/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/raw.c - a handler's side of requests as they came: read one, answer it.
 */
#include <string.h>

#include "ingress/http/frame_priv.h"
#include "ingress/http/pinion_http.h"

int
pinion_http_request_read(pinion_bytes bytes, pinion_http_request *request)
{
	pinion_http_request out = { 0 };
	struct frame_reader reader;
	struct frame_head head;

	*request = out;
	if (!pinioni_http_frame_open(&reader, bytes, FRAME_REQUEST, &head) ||
	    !pinioni_http_frame_take_text(&reader, &out.verb) ||
	    !pinioni_http_frame_take_text(&reader, &out.path) ||
	    !pinioni_http_frame_take_text(&reader, &out.query) ||
	    !pinioni_http_frame_take_text(&reader, &out.id) ||
	    !pinioni_http_frame_take_pairs(&reader, head.header_count, &out.headers_) ||
	    !pinioni_http_frame_take_pairs(&reader, head.pair_count, &out.queries_) ||
	    head.number > out.path.len)
		return -EBADMSG;
	out.rest = (pinion_str){ out.path.data + head.number, out.path.len - head.number };
	out.header_count = head.header_count;
	out.query_count = head.pair_count;
	out.body = (pinion_bytes){ reader.at, reader.left };
	*request = out;
	return 0;
}

static bool
pair_at(pinion_bytes pairs, uint32_t index, pinion_str *name, pinion_str *value)
{
	struct frame_reader reader = { pairs.data, pairs.len };

	for (uint32_t i = 0; pinioni_http_frame_take_pair(&reader, name, value); i++)
		if (i == index)
			return true;
	*name = *value = (pinion_str){ NULL, 0 };
	return false;
}

bool
pinion_http_header_at(
    const pinion_http_request *request, uint32_t index, pinion_str *name, pinion_str *value)
{
	return pair_at(request->headers_, index, name, value);
}

bool
pinion_http_query_at(
    const pinion_http_request *request, uint32_t index, pinion_str *key, pinion_str *value)
{
	return pair_at(request->queries_, index, key, value);
}

pinion_str
pinion_http_header(const pinion_http_request *request, const char *name)
{
	struct frame_reader reader = { request->headers_.data, request->headers_.len };
	pinion_str found, value;

	while (pinioni_http_frame_take_pair(&reader, &found, &value))
		if (pinioni_http_name_is(found, name))
			return value;
	return (pinion_str){ NULL, 0 };
}

pinion_str
pinion_http_query(const pinion_http_request *request, const char *key)
{
	struct frame_reader reader = { request->queries_.data, request->queries_.len };
	size_t length = strlen(key);
	pinion_str found, value;

	while (pinioni_http_frame_take_pair(&reader, &found, &value))
		if (found.len == length && memcmp(found.data, key, length) == 0)
			return value;
	return (pinion_str){ NULL, 0 };
}

static pinion_str
text_of(const char *text)
{
	return (pinion_str){ text, text == NULL ? 0 : strlen(text) };
}

static bool
is_sendable(int status, pinion_http_fields headers)
{
	if (!pinioni_http_status_is_sendable(status) || headers.count > UINT32_MAX)
		return false;
	for (size_t i = 0; i < headers.count; i++)
		if (!pinioni_http_header_is_sendable(
			text_of(headers.list[i].name), text_of(headers.list[i].value)))
			return false;
	return true;
}

static void
reply_write(struct frame_writer *writer, const struct frame_head *head, pinion_http_fields headers,
    pinion_bytes body)
{
	pinioni_http_frame_put_head(writer, head);
	for (size_t i = 0; i < headers.count; i++) {
		pinioni_http_frame_put_text(writer, text_of(headers.list[i].name));
		pinioni_http_frame_put_text(writer, text_of(headers.list[i].value));
	}
	pinioni_http_frame_put(writer, body.data, body.len);
}

int
pinion_http_reply(pinion_request *req, int status, pinion_http_fields headers, pinion_bytes body)
{
	struct frame_head head = { .magic = FRAME_REPLY,
		.number = (uint32_t)status,
		.header_count = (uint32_t)headers.count };
	struct frame_writer writer = { NULL, 0 };

	if (!is_sendable(status, headers))
		return -EINVAL;
	reply_write(&writer, &head, headers, body);
	if (writer.length > UINT32_MAX)
		return -EMSGSIZE;
	head.size = (uint32_t)writer.length;
	writer = (struct frame_writer){ pinion_result_buffer(req, head.size), 0 };
	if (writer.at == NULL)
		return -EMSGSIZE;
	reply_write(&writer, &head, headers, body);
	return pinion_reply_buffer(req, head.size);
}
