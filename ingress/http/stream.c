/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/stream.c - see stream_priv.h.
 */
#include "ingress/http/stream_priv.h"

#include <string.h>
#include <sys/socket.h>

#include "ingress/http/answer_priv.h"

enum {
	FILL_MAX = 16384, /* bytes of text that are made ahead of the client */
	BLOCK = 8192      /* that MHD asks for at once */
};

static void
cut(struct streaming *s)
{
	s->has_ended = true;
	s->is_cut = true;
}

static void
cannot_be_shown(struct streaming *s, int err)
{
	pinioni_http_log(s->service, "http: request %s to %s: an item %s", s->id, s->app,
	    err == -ENOMEM ? "for which there is no memory" : "that cannot be shown");
	cut(s);
}

/* It ended so, behind items that the client has. */
static void
end_with_error(struct streaming *s)
{
	pinion_error error = pinion_stream_error(s->stream);
	struct answer answer;

	if (pinioni_http_answer_error(&answer, &error))
		pinioni_http_log(s->service, "http: request %s to %s: %.*s", s->id, s->app,
		    PINION_STR_FMT(error.text));
	(void)!pinioni_http_form_error(s->form, answer.status,
	    MHD_get_reason_phrase_for(answer.status), s->id, &s->text); /* it is cut anyhow */
	cut(s);
}

/* What is there becomes text. 0, or what the stream says: -EAGAIN, its error. */
static int
fill(struct streaming *s)
{
	pinion_value value;
	int got = 0;

	s->text.length = s->sent = 0;
	while (!s->has_ended && s->text.length < FILL_MAX) {
		got = pinion_next_value(s->stream, 0, &value);
		if (got == 0)
			s->has_ended = true;
		if (got <= 0)
			break;
		got = pinioni_http_form_item(s->form, &value, &s->text);
		if (got != 0)
			cannot_be_shown(s, got);
	}
	return got < 0 && !s->is_cut ? got : 0;
}

int
pinioni_http_stream_begin(struct streaming *s, const char *accept)
{
	pinion_value first;
	int got = pinion_next_value(s->stream, 0, &first);

	if (got < 0)
		return got;
	s->has_ended = got == 0;
	s->form = pinioni_http_form_choose(accept, got == 0 ? PINION_KIND_STR : first.kind);
	if (got == 1 && (got = pinioni_http_form_item(s->form, &first, &s->text)) != 0)
		cannot_be_shown(s, got);
	return 1;
}

/* MHD's callback. */
static ssize_t
read_some(void *streaming, uint64_t position, char *to, size_t room)
{
	struct streaming *s = streaming;
	size_t left;
	int err;

	/* The answer has begun, and is not read over any more: request.c, resume(). */
	if (position == 0)
		(void)MHD_set_connection_option(
		    s->connection, MHD_CONNECTION_OPTION_TIMEOUT, s->service->timeout_s);
	if (s->sent == s->text.length && !s->has_ended) {
		err = fill(s);
		if (err != 0 && err != -EAGAIN)
			end_with_error(s);
	}
	left = s->text.length - s->sent;
	if (left != 0) {
		size_t length = left < room ? left : room;

		memcpy(to, s->text.bytes + s->sent, length);
		s->sent += length;
		s->taken += length;
		return (ssize_t)length;
	}
	if (s->has_ended)
		return s->is_cut ? MHD_CONTENT_READER_END_WITH_ERROR
				 : MHD_CONTENT_READER_END_OF_STREAM;
	s->is_waiting = true;
	MHD_suspend_connection(s->connection);
	return 0;
}

static bool
add(struct MHD_Response *response, const char *name, const char *value)
{
	return MHD_add_response_header(response, name, value) == MHD_YES;
}

bool
pinioni_http_stream_send(struct streaming *s, bool close)
{
	struct MHD_Response *response =
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_some, s, NULL);
	bool sent;

	if (response == NULL)
		return false;
	sent = add(response, MHD_HTTP_HEADER_CONTENT_TYPE, pinioni_http_form_type(s->form)) &&
	    add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
	    add(response, "X-Request-ID", s->id) &&
	    (!close || add(response, MHD_HTTP_HEADER_CONNECTION, "close")) &&
	    MHD_queue_response(s->connection, MHD_HTTP_OK, response) == MHD_YES;
	MHD_destroy_response(response);
	return sent;
}

void
pinioni_http_stream_ready(struct streaming *s)
{
	if (!s->is_waiting)
		return; /* it is read when the client has taken what there is */
	s->is_waiting = false;
	MHD_resume_connection(s->connection);
}

void
pinioni_http_stream_cut(struct streaming *s)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	cut(s);
	if (info != NULL)
		(void)shutdown(info->connect_fd, SHUT_RDWR); /* closed already: fine */
}

void
pinioni_http_stream_end(struct streaming *s)
{
	if (s->is_open)
		pinion_stream_close(s->stream);
	s->is_open = false;
	pinioni_http_buffer_free(&s->text);
}
