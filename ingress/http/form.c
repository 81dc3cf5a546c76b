/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/form.c - see form_priv.h.
 */
#include "ingress/http/form_priv.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingress/json/scalar.h"

static const struct {
	const char *type;
	enum form form;
} named[] = {
	{ "text/event-stream", FORM_EVENTS },
	{ "application/x-ndjson", FORM_LINES },
	{ "application/ndjson", FORM_LINES },
	{ "application/jsonl", FORM_LINES },
	{ "application/json", FORM_LINES },
	{ "text/plain", FORM_TEXT },
	{ "application/octet-stream", FORM_OCTETS },
};

static enum form
form_of_kind(pinion_kind kind)
{
	return kind == PINION_KIND_BYTES ? FORM_OCTETS : FORM_TEXT;
}

/* Of one range of Accept, up to its comma: from 0 to 1; what cannot be read is 1. */
static double
quality_of(const char *range, size_t length)
{
	for (size_t i = 0; i + 3 < length; i++)
		if (range[i] == ';') {
			size_t at = i + 1;

			while (at < length && range[at] == ' ')
				at++;
			if (at + 2 < length && strncasecmp(range + at, "q=", 2) == 0)
				return range[at + 2] != '0' ? 1
				    : at + 4 < length && range[at + 3] == '.'
				    ? (double)(range[at + 4] - '0') / 10
				    : 0;
		}
	return 1;
}

static bool
is_named(const char *range, size_t length, const char *type)
{
	size_t own = strlen(type);

	return length >= own && strncasecmp(range, type, own) == 0 &&
	    (length == own || range[own] == ';' || range[own] == ' ');
}

enum form
pinioni_http_form_choose(const char *accept, pinion_kind kind)
{
	enum form best = form_of_kind(kind);
	double most = 0;

	for (const char *at = accept; at != NULL && *at != '\0';) {
		size_t length;

		at += strspn(at, " \t,");
		length = strcspn(at, ",");
		for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
			if (is_named(at, length, named[i].type) && quality_of(at, length) > most) {
				most = quality_of(at, length);
				best = named[i].form;
			}
		at += length;
	}
	return best;
}

const char *
pinioni_http_form_type(enum form form)
{
	switch (form) {
	case FORM_EVENTS:
		return "text/event-stream";
	case FORM_LINES:
		return "application/x-ndjson";
	case FORM_OCTETS:
		return "application/octet-stream";
	case FORM_TEXT:
		break;
	}
	return "text/plain; charset=utf-8";
}

static int
append(struct buffer *out, const char *text, size_t length)
{
	return pinioni_http_buffer_append(out, text, length) ? 0 : -ENOMEM;
}

static int
append_text(struct buffer *out, const char *text)
{
	return append(out, text, strlen(text));
}

/* NULL: memory is short, or it is no UTF-8. */
static json_t *
text_json(const pinion_value *value)
{
	return value->kind == PINION_KIND_STR
	    ? json_stringn(value->as.str.data, value->as.str.len)
	    : json_stringn(value->as.bytes.data, value->as.bytes.len);
}

static int
append_json(struct buffer *out, const pinion_value *value)
{
	char number[JSON_SCALAR_ROOM];
	json_t *json;
	char *text;
	int err;

	if (value->kind != PINION_KIND_STR && value->kind != PINION_KIND_BYTES)
		return pinioni_json_scalar_print(value, number, sizeof number)
		    ? append_text(out, number)
		    : -EINVAL;
	json = text_json(value);
	text = json == NULL ? NULL : json_dumps(json, JSON_ENCODE_ANY);
	json_decref(json);
	err = text == NULL ? -EINVAL : append_text(out, text);
	free(text);
	return err;
}

static int
append_framed(enum form form, struct buffer *out, const pinion_value *value)
{
	int err = form == FORM_EVENTS ? append_text(out, "data: ") : 0;

	if (err == 0)
		err = append_json(out, value);
	return err != 0 ? err : append_text(out, form == FORM_EVENTS ? "\n\n" : "\n");
}

int
pinioni_http_form_item(enum form form, const pinion_value *value, struct buffer *out)
{
	bool is_plain = form == FORM_TEXT || form == FORM_OCTETS;

	if (is_plain && value->kind == PINION_KIND_STR)
		return append(out, value->as.str.data, value->as.str.len);
	if (is_plain && value->kind == PINION_KIND_BYTES)
		return append(out, value->as.bytes.data, value->as.bytes.len);
	return append_framed(form, out, value);
}

int
pinioni_http_form_error(
    enum form form, unsigned status, const char *text, const char *id, struct buffer *out)
{
	json_t *json;
	char *line;
	int err;

	if (form == FORM_TEXT || form == FORM_OCTETS)
		return 0;
	json = json_pack(
	    "{s:{s:i,s:s,s:s}}", "error", "status", (int)status, "text", text, "request_id", id);
	line = json == NULL ? NULL : json_dumps(json, 0);
	json_decref(json);
	err = line == NULL ? -ENOMEM : 0;
	if (err == 0 && form == FORM_EVENTS)
		err = append_text(out, "event: error\ndata: ");
	if (err == 0)
		err = append_text(out, line);
	if (err == 0)
		err = append_text(out, form == FORM_EVENTS ? "\n\n" : "\n");
	free(line);
	return err;
}
