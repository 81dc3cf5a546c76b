/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/raw_request_priv.h - the frame that a raw method gets: its head, then the body behind it.
 *
 *   raw_request_begin -> buffer_append (the body, piece by piece) -> raw_request_end: the argument
 */
#ifndef PINION_INGRESS_HTTP_RAW_REQUEST_PRIV_H
#define PINION_INGRESS_HTTP_RAW_REQUEST_PRIV_H

#include <microhttpd.h>

#include "ingress/http/buffer_priv.h"
#include "ingress/http/target_priv.h"

struct raw_request {
	struct MHD_Connection *connection; /* whose headers */
	const char *verb, *prefix, *id;
	const struct target *target;
};

/* Does a method with these parameters take requests as they came? */
bool pinioni_http_params_are_raw(pinion_params params);
/* buffer: empty before, the head after. False: no memory. */
bool pinioni_http_raw_request_begin(
    const struct raw_request *raw, struct buffer *buffer) PINION_MUST_CHECK;
/* A view of the buffer. */
pinion_bytes pinioni_http_raw_request_end(struct buffer *buffer);

#endif
