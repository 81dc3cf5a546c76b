/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/form_priv.h - how the items of a stream are written, by what the client accepts.
 *
 *   Accept                         an item                       an error after items
 *   text/event-stream              data: JSON, an empty line     event: error, data: JSON
 *   application/x-ndjson, .jsonl,  a line of JSON                a line {"error": ...}
 *     application/json
 *   else: str as text/plain        the text                      nothing
 *         bytes as octet-stream    the bytes                     nothing
 *         others as text/plain     a line of JSON                nothing
 *
 *   In each case the body of a stream that ended with an error is cut off without its last chunk.
 */
#ifndef PINION_INGRESS_HTTP_FORM_PRIV_H
#define PINION_INGRESS_HTTP_FORM_PRIV_H

#include <pinion/pinion.h>

#include "ingress/http/buffer_priv.h"

enum form {
	FORM_TEXT,
	FORM_EVENTS,
	FORM_LINES,
	FORM_OCTETS
};

/* accept: NULL, there is none. What is named and has the highest quality; of a wildcard: what suits the kind. */
enum form pinioni_http_form_choose(const char *accept, pinion_kind kind);
const char *pinioni_http_form_type(enum form form);
/* Appends. -ENOMEM; -EINVAL: it cannot be shown. */
int pinioni_http_form_item(
    enum form form, const pinion_value *value, struct buffer *out) PINION_MUST_CHECK;
/* What the client is told of an error after items. -ENOMEM. */
int pinioni_http_form_error(enum form form, unsigned status, const char *text, const char *id,
    struct buffer *out) PINION_MUST_CHECK;

#endif
