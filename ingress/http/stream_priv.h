/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/stream_priv.h - a stream as the body of an answer, item by item as they come.
 *
 *   harvest says "it can be read"         MHD wants bytes
 *     first time: begin -> answer           text left?         give it
 *     later: ready -> resume                items there?       write them as text
 *                                           else               suspend, until it is ready
 *
 * Why       The head is sent when the first item, the end or an error is known: an error before any item is
 *           an answer like others. A slow client leaves its items in the window, and so holds its own
 *           producer back, nobody else.
 * Threads   The ingress thread's alone.
 */
#ifndef PINION_INGRESS_HTTP_STREAM_PRIV_H
#define PINION_INGRESS_HTTP_STREAM_PRIV_H

#include <microhttpd.h>

#include "ingress/http/form_priv.h"
#include "ingress/http/service_priv.h"

struct streaming {
	const struct service *service;
	struct MHD_Connection *connection;
	const char *id, *app;
	pinion_stream stream;
	bool is_open;
	bool is_waiting; /* its connection is suspended for want of items */
	bool has_ended;  /* nothing comes behind `text` */
	bool is_cut;     /* and that is not the end it should have */
	enum form form;
	struct buffer text; /* of items */
	size_t sent;        /* of it */
	uint64_t taken;     /* by the client, ever */
};

/* 1: an answer can begin; -EAGAIN: nothing is there yet; else the stream's error. accept: of the request. */
int pinioni_http_stream_begin(struct streaming *s, const char *accept) PINION_MUST_CHECK;
/* Queues the answer. False: no memory. */
bool pinioni_http_stream_send(struct streaming *s, bool close) PINION_MUST_CHECK;
/* There is something to read, or it is over. */
void pinioni_http_stream_ready(struct streaming *s);
/* What its client does not take is dropped, and its connection closed. */
void pinioni_http_stream_cut(struct streaming *s);
/* At the end of its request, whatever became of it. */
void pinioni_http_stream_end(struct streaming *s);

#endif
