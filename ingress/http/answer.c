/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/answer.c - see answer_priv.h.
 */
#include "ingress/http/answer_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http/frame_priv.h"
#include "ingress/json/scalar.h"

static const char text_plain[] = "text/plain; charset=utf-8";
static const char application_json[] = "application/json";

void
pinioni_http_answer_text(struct answer *answer, unsigned status, const char *text)
{
	*answer = (struct answer){ .status = status, .type = text_plain };
	(void)snprintf(answer->text, sizeof answer->text, "%s", text); /* cut short is fine */
	answer->body = (pinion_bytes){ answer->text, strlen(answer->text) };
}

void
pinioni_http_answer_status(struct answer *answer, unsigned status)
{
	pinioni_http_answer_text(answer, status, MHD_get_reason_phrase_for(status));
}

void
pinioni_http_answer_json(struct answer *answer, const char *body)
{
	*answer = (struct answer){
		.status = MHD_HTTP_OK, .type = application_json, .body = { body, strlen(body) }
	};
}

/* A handler made these bytes: they may be anything. */
static bool
reply_read(struct answer *answer, pinion_bytes bytes)
{
	struct frame_reader reader, walk;
	struct frame_head head;
	pinion_str name, value;

	if (!pinioni_http_frame_open(&reader, bytes, FRAME_REPLY, &head) || head.pair_count != 0 ||
	    !pinioni_http_frame_take_pairs(&reader, head.header_count, &answer->headers) ||
	    !pinioni_http_status_is_sendable(head.number))
		return false;
	walk = (struct frame_reader){ answer->headers.data, answer->headers.len };
	while (pinioni_http_frame_take_pair(&walk, &name, &value))
		if (!pinioni_http_header_is_sendable(name, value))
			return false;
	answer->status = head.number;
	answer->body = (pinion_bytes){ reader.at, reader.left };
	return true;
}

static const char *
cannot_be_shown(struct answer *answer, const char *why)
{
	pinioni_http_answer_text(answer, MHD_HTTP_INTERNAL_SERVER_ERROR, why);
	return why;
}

const char *
pinioni_http_answer_value(struct answer *answer, const pinion_value *value, bool is_raw)
{
	*answer = (struct answer){ .status = MHD_HTTP_OK };
	switch (value->kind) {
	case PINION_KIND_STR:
		answer->type = text_plain;
		answer->body = (pinion_bytes){ value->as.str.data, value->as.str.len };
		return NULL;
	case PINION_KIND_BYTES:
		if (is_raw)
			return reply_read(answer, value->as.bytes)
			    ? NULL
			    : cannot_be_shown(answer, "these bytes are no HTTP answer");
		answer->type = "application/octet-stream";
		answer->body = value->as.bytes;
		return NULL;
	case PINION_KIND_STRUCT:
		return cannot_be_shown(answer, "a struct cannot be shown");
	case PINION_KIND_HANDLE:
		return cannot_be_shown(answer, "a handle cannot be shown");
	case PINION_KIND_REF:
		return cannot_be_shown(answer, "a reference cannot be shown");
	default:
		answer->type = application_json;
		if (!pinioni_json_scalar_print(value, answer->text, sizeof answer->text))
			return cannot_be_shown(answer, "this number cannot be shown");
		answer->body = (pinion_bytes){ answer->text, strlen(answer->text) };
		return NULL;
	}
}

/* "The caller" is the client: what a handler passes on wrongly is the handler's. */
static unsigned
status_of(const pinion_error *error)
{
	bool is_callers = error->origin == PINION_ORIGIN_CALLER;
	bool is_ours = is_callers || error->origin == PINION_ORIGIN_RUNTIME;

	if (is_callers && (error->code == -EINVAL || error->code == -ERANGE))
		return MHD_HTTP_BAD_REQUEST;
	if (is_callers && error->code == -EMSGSIZE)
		return MHD_HTTP_CONTENT_TOO_LARGE;
	/* Also when a handler passes on what it was told. */
	if (error->code == -ETIMEDOUT)
		return MHD_HTTP_REQUEST_TIMEOUT;
	if (error->code == -ENOBUFS)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	if (is_ours && (error->code == -ESTALE || error->code == -ECANCELED))
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

bool
pinioni_http_answer_error(struct answer *answer, const pinion_error *error)
{
	pinioni_http_answer_status(answer, status_of(error));
	answer->is_busy = error->code == -ENOBUFS;
	if (answer->status == MHD_HTTP_BAD_REQUEST && error->text.len != 0) {
		(void)snprintf(answer->text, sizeof answer->text, "%.*s",
		    PINION_STR_FMT(error->text)); /* cut short is fine */
		answer->body.len = strlen(answer->text);
	}
	return answer->status == MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* MHD wants strings that end with a zero byte. */
static bool
add_header(struct MHD_Response *response, pinion_str name, pinion_str value)
{
	char *text = malloc(name.len + value.len + 2);
	bool added;

	if (text == NULL)
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	memcpy(text + name.len + 1, value.data, value.len);
	text[name.len + 1 + value.len] = '\0';
	/* MHD takes no empty value: such a header says nothing, and is left out. */
	added = value.len == 0 ||
	    MHD_add_response_header(response, text, text + name.len + 1) == MHD_YES;
	free(text);
	return added;
}

static bool
add_headers(const struct answer *answer, struct MHD_Response *response)
{
	struct frame_reader reader = { answer->headers.data, answer->headers.len };
	pinion_str name, value;

	while (pinioni_http_frame_take_pair(&reader, &name, &value))
		if (!add_header(response, name, value))
			return false;
	return true;
}

static bool
add_optional(struct MHD_Response *response, const char *name, const char *value)
{
	return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

bool
pinioni_http_answer_send(
    const struct answer *answer, struct MHD_Connection *connection, const char *id, bool close)
{
	/* A copy, so that the call's slot is free before a slow client has read it all. MHD does not write
	 * through the pointer. */
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    answer->body.len, (void *)(uintptr_t)answer->body.data, MHD_RESPMEM_MUST_COPY);
	bool sent;

	if (response == NULL)
		return false;
	sent = add_headers(answer, response) &&
	    add_optional(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) &&
	    add_optional(response, MHD_HTTP_HEADER_ALLOW, answer->allow) &&
	    add_optional(response, MHD_HTTP_HEADER_RETRY_AFTER, answer->is_busy ? "1" : NULL) &&
	    add_optional(response, "X-Request-ID", id) &&
	    add_optional(response, MHD_HTTP_HEADER_CONNECTION, close ? "close" : NULL) &&
	    MHD_queue_response(connection, answer->status, response) == MHD_YES;
	MHD_destroy_response(response);
	return sent;
}
