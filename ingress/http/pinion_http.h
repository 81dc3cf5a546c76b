/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pinion_http.h - applications of a runtime, answered over HTTP.
 *
 *   pinion_http_start     one thread that listens and calls the application whose route fits
 *   pinion_http_stop      no new requests; returns when those under way are answered
 *
 *   A request's arguments are a JSON object's fields (POST, PUT) or the query's values (GET), by name.
 *   A method whose .params are PINION_HTTP_PARAMS takes the request as it came instead:
 *     pinion_http_request_read   verb, path, query, headers, body
 *     pinion_http_reply          status, headers, body
 *
 * Returns   0 or -errno, and must be checked.
 * Threads   Start, stop and port: any thread, one at a time, never a handler. The rest: a handler.
 */
#ifndef PINION_PINION_HTTP_H
#define PINION_PINION_HTTP_H

#include <pinion/pinion.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pinion_http pinion_http;

typedef struct pinion_http_options {
	pinion_http **http;
	struct pinion_only_named *only_named_;
	size_t size_;
	const char *host;   /* address or name to listen on; "127.0.0.1" */
	int32_t port;       /* 8000; -1: any free one */
	int64_t body_max;   /* bytes of a request's body; 1 MiB, at most 1 GiB */
	int64_t timeout_ns; /* a connection silent for so long is closed; 60 s, rounded up to 1 s */
	pinion_diag *diag;
	pinion_log_fn *log; /* what clients are not told, from the ingress thread; NULL: silent */
	void *log_arg;
	int64_t
	    request_timeout_ns; /* from the request to its answer's end: then 408, and the call is canceled; 0: none */
} pinion_http_options;

/* -EINVAL (also: an application whose ingress has no PINION_CALL), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES,
 * -ENOMEM, -EMFILE, -EAGAIN (no thread), -ENOSPC (no port of the runtime); diag names the culprit. The
 * runtime must outlive it. */
PINION_EXPORT int pinion_http_start_with(
    pinion_runtime *rt, const pinion_http_options *options) PINION_MUST_CHECK;
/* Waits, without limit, for the calls that were made, and cancels streams; before pinion_stop. NULL is fine. */
PINION_EXPORT void pinion_http_stop(pinion_http *http);
/* The TCP port it listens on. */
PINION_EXPORT unsigned pinion_http_port(const pinion_http *http);

/* ---- requests as they came ----------------------------------------------------------------------- */

#define PINION_HTTP_REQUEST "pinion.http.request"

/* Views into the handler's argument: they hold until the request is answered or handed on. */
typedef struct pinion_http_request {
	pinion_str verb;  /* "GET" */
	pinion_str path;  /* percent-decoded, from "/" on */
	pinion_str rest;  /* of the path, behind the application's prefix: "" or from "/" on */
	pinion_str query; /* as sent, behind the "?" */
	pinion_str id;    /* X-Request-ID, the client's or one made for it */
	pinion_bytes body;
	uint32_t header_count, query_count;
	pinion_bytes headers_, queries_;
} pinion_http_request;

typedef struct pinion_http_field {
	const char *name, *value;
} pinion_http_field;
typedef struct pinion_http_fields {
	const pinion_http_field *list;
	size_t count;
} pinion_http_fields;

/* bytes: pinion_arg_bytes(req, 0). -EBADMSG: they are no request, nothing is read. */
PINION_EXPORT int pinion_http_request_read(
    pinion_bytes bytes, pinion_http_request *request) PINION_MUST_CHECK;
/* The first header of that name, in any case; data is NULL when there is none. */
PINION_EXPORT pinion_str pinion_http_header(const pinion_http_request *request, const char *name);
/* The first value of that key, decoded; data is NULL when there is none, "" for a key alone. */
PINION_EXPORT pinion_str pinion_http_query(const pinion_http_request *request, const char *key);
/* By position, from 0 on; false when there are no more. */
PINION_EXPORT bool pinion_http_header_at(
    const pinion_http_request *request, uint32_t index, pinion_str *name, pinion_str *value);
PINION_EXPORT bool pinion_http_query_at(
    const pinion_http_request *request, uint32_t index, pinion_str *key, pinion_str *value);

/* Answers with this status, these headers and this body; the method returns bytes. -EINVAL: a status that
 * is not 200 to 599, a header that cannot be sent, or that the ingress sends itself (Connection, Date,
 * Content-Length, Transfer-Encoding, X-Request-ID and the like); -EMSGSIZE: larger than the method's
 * .result_max, or answered before. */
PINION_EXPORT int pinion_http_reply(pinion_request *req, int status, pinion_http_fields headers,
    pinion_bytes body) PINION_MUST_CHECK;

#ifdef __cplusplus
}
#else

#define pinion_http_start(rt, ...) \
	pinion_http_start_with((rt), \
	    &(const pinion_http_options){ \
		.size_ = sizeof(pinion_http_options), .http = __VA_ARGS__ })

/* .params of a method that takes requests as they came. */
#define PINION_HTTP_PARAMS PINION_PARAMS(PINION_BYTES(PINION_HTTP_REQUEST))

/* PINION_HTTP_HEADERS({ "Content-Type", "text/html" }, { "Vary", "Accept" }) */
#define PINION_HTTP_HEADERS(...) \
	((pinion_http_fields){ .list = (const pinion_http_field[]){ __VA_ARGS__ }, \
	    .count = \
		sizeof((const pinion_http_field[]){ __VA_ARGS__ }) / sizeof(pinion_http_field) })
#define PINION_HTTP_NO_HEADERS ((pinion_http_fields){ NULL, 0 })

#endif
#endif
