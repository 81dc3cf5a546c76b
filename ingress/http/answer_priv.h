/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/answer_priv.h - what a client is told: a status, headers, a body.
 *
 *   result         answered as                       failure              answered as
 *   str            text/plain; charset=utf-8         wrong arguments      400 and what is wrong
 *   bytes          application/octet-stream          too large arguments  413
 *   bytes, raw     what pinion_http_reply was given  no room, stopping    503
 *                                                    out of time          408
 *   bool, number   JSON                              a handler's          500; the text is logged
 *   nothing        JSON null
 *   other kinds    500: cannot be shown
 */
#ifndef PINION_INGRESS_HTTP_ANSWER_PRIV_H
#define PINION_INGRESS_HTTP_ANSWER_PRIV_H

#include <microhttpd.h>
#include <pinion/pinion.h>

struct answer {
	unsigned status;
	const char *type;     /* NULL: among the headers */
	const char *allow;    /* NULL: not said */
	bool is_busy;         /* it may be tried again soon */
	pinion_bytes headers; /* pairs of a checked frame */
	pinion_bytes body;
	char text[256]; /* a body made here */
};

/* The status and its usual words. */
void pinioni_http_answer_status(struct answer *answer, unsigned status);
/* The status and these words. */
void pinioni_http_answer_text(struct answer *answer, unsigned status, const char *text);
/* body: borrowed until the answer is sent off. */
void pinioni_http_answer_json(struct answer *answer, const char *body);
/* NULL, or why it cannot be shown; then the answer says 500. The value is borrowed until it is sent off. */
const char *pinioni_http_answer_value(
    struct answer *answer, const pinion_value *value, bool is_raw) PINION_MUST_CHECK;
/* True: the text is for the log, not for the client. */
bool pinioni_http_answer_error(struct answer *answer, const pinion_error *error) PINION_MUST_CHECK;

/* Copies the answer and queues it. False: no memory. */
bool pinioni_http_answer_send(const struct answer *answer, struct MHD_Connection *connection,
    const char *id, bool close) PINION_MUST_CHECK;

#endif
