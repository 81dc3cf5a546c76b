/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/request_priv.h - the life of one HTTP request, from its first line to its last byte.
 *
 *   MHD                              request                        runtime
 *    | request line                   |
 *    |--- uri ----------------------->| NAMED
 *    | headers                        |   admit: which page or application? refused?
 *    |--- access, no data ----------->| RECEIVING
 *    | body, in pieces                |   kept; of a refused request, dropped
 *    |--- access, data -------------->|
 *    | the end                        |   arguments
 *    |--- access, no data ----------->| CALLING  ---- call_tagged ---->| worker
 *    |<-- suspend                     |                                |
 *    |                                |   nobody waits                 |
 *    |<-- queue answer, resume -------| ANSWERED <--- harvest ---------| result
 *    | last byte, or the client gone  |
 *    |--- completed ----------------->| gone
 *
 *    of a stream, from CALLING on:
 *    |<-- queue head, resume ---------| STREAMING <-- harvest ---------| first item, or the end
 *    |--- wants bytes --------------->|   items; none: suspend         |
 *    |<-- resume ---------------------|   <------------ harvest -------| an item, the end
 *
 *   What is refused, or fails at once, goes from RECEIVING to ANSWERED.
 *
 * Threads   The ingress thread's alone; handlers see none of this.
 * Memory    One block a request, freed by "completed", which MHD says for every request that it named. A
 *           suspended connection is never completed, so a call's tag, the request's address, stays good
 *           until its harvest. That a client has gone meanwhile shows when the answer is sent.
 */
#ifndef PINION_INGRESS_HTTP_REQUEST_PRIV_H
#define PINION_INGRESS_HTTP_REQUEST_PRIV_H

#include <microhttpd.h>

#include "ingress/http/service_priv.h"

/* MHD's callbacks; service: struct service. */
void *pinioni_http_on_uri(void *service, const char *uri, struct MHD_Connection *connection);
enum MHD_Result pinioni_http_on_access(void *service, struct MHD_Connection *connection,
    const char *url, const char *verb, const char *version, const char *data, size_t *data_size,
    void **request);
void pinioni_http_on_completed(void *service, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode why);

/* A tagged call has ended, or a stream can be read: answers its request and wakes its connection. */
void pinioni_http_on_finished(const pinion_finished *finished);

/* Its client has hung up: its call is canceled. */
void pinioni_http_on_gone(struct request *request);
/* Milliseconds until the first call is out of time; -1: none will be. */
int pinioni_http_calls_timeout(const struct service *service);
/* Answers those that are. */
void pinioni_http_calls_expire(struct service *service);
/* For stop: they might go on for ever. */
void pinioni_http_calls_end_streams(struct service *service);

#endif
