/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/request.c - see request_priv.h.
 */
#include "ingress/http/request_priv.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingress/http/page_priv.h"
#include "ingress/http/hangup_priv.h"
#include "ingress/http/query_priv.h"
#include "ingress/http/raw_request_priv.h"
#include "ingress/http/stream_priv.h"

enum {
	CATCH_UP_MS = 500 /* in which a client has to take something of what is there for it */
};

enum request_state {
	REQUEST_NAMED,
	REQUEST_RECEIVING,
	REQUEST_CALLING,
	REQUEST_STREAMING,
	REQUEST_BEHIND, /* the same, when its time is over and its client has not taken what there is */
	REQUEST_CUT, /* its client took nothing more; its connection is being closed */
	REQUEST_ANSWERED
};

struct request {
	struct service *service;
	struct MHD_Connection *connection;
	enum request_state state;
	bool is_under_way; /* counted in the service */
	bool is_raw, is_get, is_stream;
	bool is_uncallable; /* the ingress deployment has no PINION_CALL */
	unsigned refused;   /* a status; 0: not refused */
	const char *allow;  /* with 405 */
	enum page page;     /* PAGE_NONE: the application of `route` */
	pinion_route route;
	pinion_params params;
	int target_error;
	struct target target;
	size_t head_length; /* of `body`: what a raw request has in front of it */
	struct buffer body;
	pinion_response response;
	struct streaming streaming; /* is_stream */
	TAILQ_ENTRY(request) calls; /* while its call is under way */
	uint64_t due_ms; /* it is to have ended; 0: never. BEHIND: it is looked at again */
	uint64_t taken;  /* BEHIND: bytes that its client had, then */
	char id[REQUEST_ID_ROOM];
};

/* ---- answering ------------------------------------------------------------------------------- */

/* Its call is under way no more. */
static void
call_over(struct request *r)
{
	if (r->state != REQUEST_CALLING && r->state != REQUEST_STREAMING &&
	    r->state != REQUEST_BEHIND)
		return;
	if (r->state == REQUEST_BEHIND)
		TAILQ_REMOVE(&r->service->behind, r, calls);
	else
		TAILQ_REMOVE(&r->service->calls, r, calls);
	pinioni_http_hangup_watch(r->connection, NULL);
}

static enum MHD_Result
request_answer(struct request *r, const struct answer *answer)
{
	call_over(r);
	r->state = REQUEST_ANSWERED;
	return pinioni_http_answer_send(answer, r->connection, r->id, r->service->is_stopping)
	    ? MHD_YES
	    : MHD_NO;
}

static enum MHD_Result
request_refuse(struct request *r, unsigned status)
{
	struct answer answer;

	pinioni_http_answer_status(&answer, status);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		answer.allow = r->allow;
	return request_answer(r, &answer);
}

static enum MHD_Result
request_show(struct request *r)
{
	struct answer answer;
	char *memory;
	enum MHD_Result sent;

	pinioni_http_page_write(r->page, r->service->runtime, &answer, &memory);
	sent = request_answer(r, &answer);
	free(memory);
	return sent;
}

/* ---- admission, when the headers are there --------------------------------------------------- */

static bool
verb_is_any(const char *verb, const char *const *verbs)
{
	for (; *verbs != NULL; verbs++)
		if (strcmp(verb, *verbs) == 0)
			return true;
	return false;
}

static unsigned
admit_verb(struct request *r, const char *verb)
{
	static const char *const of_page[] = { "GET", "HEAD", NULL };
	static const char *const of_call[] = { "GET", "HEAD", "POST", "PUT", NULL };

	r->is_get = verb_is_any(verb, of_page); /* of HEAD's answer MHD leaves out the body */
	r->allow = r->page == PAGE_NONE ? "GET, HEAD, POST, PUT" : "GET, HEAD";
	if (r->is_raw || verb_is_any(verb, r->page == PAGE_NONE ? of_call : of_page))
		return 0;
	return MHD_HTTP_METHOD_NOT_ALLOWED;
}

static unsigned
admit_route(struct request *r)
{
	pinion_returns returns;
	int err;

	if (r->target_error != 0)
		return r->target_error == -ENOMEM ? MHD_HTTP_SERVICE_UNAVAILABLE
						  : MHD_HTTP_BAD_REQUEST;
	r->page = pinioni_http_page_find(r->target.path);
	if (r->page != PAGE_NONE)
		return 0;
	if (!pinion_route_find(r->service->runtime, r->target.path.data, &r->route))
		return MHD_HTTP_NOT_FOUND;
	err = pinion_handle_describe(r->route.handle, &r->params, &returns);
	if (err == -ESTALE)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	/* Run after the ingress had started, which would have refused it. The call says what is wrong. */
	r->is_uncallable = err != 0;
	r->is_raw = err == 0 && pinioni_http_params_are_raw(r->params);
	r->is_stream = pinion_handle_streams(r->route.handle);
	return 0;
}

static unsigned
admit_raw(struct request *r, const char *verb)
{
	const struct raw_request raw = { .connection = r->connection,
		.verb = verb,
		.prefix = r->route.prefix,
		.id = r->id,
		.target = &r->target };

	if (!pinioni_http_raw_request_begin(&raw, &r->body))
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	r->head_length = r->body.length;
	return 0;
}

static const char *
header_of(struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

static bool
body_is_too_long(struct request *r)
{
	const char *length = header_of(r, MHD_HTTP_HEADER_CONTENT_LENGTH);

	/* MHD has checked that it is a number; one too large for us is ULLONG_MAX here. */
	return length != NULL && strtoull(length, NULL, 10) > r->service->body_max;
}

static enum MHD_Result
request_admit(struct request *r, const char *verb)
{
	r->state = REQUEST_RECEIVING;
	pinioni_http_request_id(r->service, header_of(r, "X-Request-ID"), r->id);
	r->refused = r->service->is_stopping ? MHD_HTTP_SERVICE_UNAVAILABLE : admit_route(r);
	if (r->refused == 0)
		r->refused = admit_verb(r, verb);
	/* Refused right now, so that it is not sent; MHD then closes the connection. Other refusals wait for
	 * the end of the body, and the connection lives on. */
	if (body_is_too_long(r))
		return request_refuse(r, r->refused == 0 ? MHD_HTTP_CONTENT_TOO_LARGE : r->refused);
	if (r->refused == 0 && r->is_raw)
		r->refused = admit_raw(r, verb);
	return MHD_YES;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void
request_receive(struct request *r, const char *data, size_t size)
{
	if (r->refused != 0)
		return;
	if (size > r->service->body_max - (r->body.length - r->head_length))
		r->refused = MHD_HTTP_CONTENT_TOO_LARGE;
	else if (!pinioni_http_buffer_append(&r->body, data, size))
		r->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
	if (r->refused != 0)
		pinioni_http_buffer_free(&r->body);
}

/* ---- calls that fail -------------------------------------------------------------------------- */

static bool
skip(pinion_str *text, pinion_str part)
{
	if (text->len < part.len || memcmp(text->data, part.data, part.len) != 0)
		return false;
	*text = (pinion_str){ text->data + part.len, text->len - part.len };
	return true;
}

/* Most texts of the runtime begin with "Deployment.method", a handler's do not. */
static bool
text_says_where(const pinion_error *error)
{
	pinion_str text = error->text;

	return error->deployment.len == 0 ||
	    (skip(&text, error->deployment) && skip(&text, (pinion_str){ ".", 1 }) &&
		skip(&text, error->method));
}

static void
log_failure(const struct request *r, const pinion_error *error)
{
	if (text_says_where(error))
		pinioni_http_log(r->service, "http: request %s to %s: %.*s (%s)", r->id,
		    r->route.app, PINION_STR_FMT(error->text), strerror(-error->code));
	else
		pinioni_http_log(r->service, "http: request %s to %s: %.*s.%.*s: %.*s (%s)", r->id,
		    r->route.app, PINION_STR_FMT(error->deployment), PINION_STR_FMT(error->method),
		    PINION_STR_FMT(error->text), strerror(-error->code));
}

static pinion_error
error_of(const struct request *r)
{
	return r->is_stream ? pinion_stream_error(r->streaming.stream)
			    : pinion_response_error(r->response);
}

/* code: what reading the result gave. */
static void
error_answer(const struct request *r, int code, struct answer *answer)
{
	pinion_error error = error_of(r);

	if (error.code == 0) {
		error.code = code;
		error.origin = PINION_ORIGIN_RUNTIME;
	}
	if (r->is_uncallable)
		error.origin = PINION_ORIGIN_HANDLER; /* no client can do better */
	if (pinioni_http_answer_error(answer, &error))
		log_failure(r, &error);
}

/* ---- calling --------------------------------------------------------------------------------- */

static void
give_back(struct request *r)
{
	if (r->is_stream)
		pinioni_http_stream_end(&r->streaming);
	else
		pinion_release(r->response);
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
call_begun(struct request *r)
{
	struct service *service = r->service;

	r->state = REQUEST_CALLING;
	if (service->request_timeout_ns != 0) /* a little later than the runtime's */
		r->due_ms = now_ms() + (uint64_t)service->request_timeout_ns / 1000000 + 2;
	TAILQ_INSERT_TAIL(&service->calls, r, calls);
	pinioni_http_hangup_watch(r->connection, r);
}

/* Its first item is there, or its end, or an error. False: nothing yet. */
static bool
stream_answered(struct request *r, enum MHD_Result *sent)
{
	struct answer answer;
	int got = pinioni_http_stream_begin(&r->streaming, header_of(r, MHD_HTTP_HEADER_ACCEPT));

	if (got == -EAGAIN)
		return false;
	if (got < 0) {
		error_answer(r, got, &answer);
		*sent = request_answer(r, &answer);
		give_back(r);
		return true;
	}
	r->state = REQUEST_STREAMING;
	*sent = pinioni_http_stream_send(&r->streaming, r->service->is_stopping) ? MHD_YES : MHD_NO;
	return true;
}

static enum MHD_Result
request_called(struct request *r)
{
	enum MHD_Result sent;
	struct answer answer;

	pinioni_http_buffer_free(&r->body);
	if (!r->is_stream && error_of(r).code != 0) {
		/* Not sent, or failed already: released now, it will not be harvested. */
		error_answer(r, 0, &answer);
		give_back(r);
		return request_answer(r, &answer);
	}
	call_begun(r);
	if (r->is_stream && stream_answered(r, &sent))
		return sent;
	MHD_suspend_connection(r->connection);
	return MHD_YES;
}

static void
call(struct request *r, pinion_args args)
{
	const struct service *service = r->service;

	if (!r->is_stream) {
		r->response = pinion_call_with(r->route.handle, args, .port = service->port,
		    .tag = (uintptr_t)r, .tagged = true, .timeout_ns = service->request_timeout_ns,
		    .terms.request_id = r->id);
		return;
	}
	r->streaming = (struct streaming){ .service = service,
		.connection = r->connection,
		.id = r->id,
		.app = r->route.app,
		.is_open = true };
	r->streaming.stream = pinion_call_stream(r->route.handle, args, .port = service->port,
	    .tag = (uintptr_t)r, .tagged = true, .timeout_ns = service->request_timeout_ns,
	    .terms.request_id = r->id);
}

static enum MHD_Result
request_call_raw(struct request *r)
{
	pinion_bytes frame = pinioni_http_raw_request_end(&r->body);

	call(r, PINION_ARGS(frame));
	return request_called(r);
}

static enum MHD_Result
request_call(struct request *r)
{
	const struct json_text body = { .bytes = { r->body.bytes, r->body.length },
		.whose = "the body" };
	struct json_arguments arguments;
	pinion_diag diag = { "" };
	struct answer answer;
	int err = r->is_get ? pinioni_http_query_read(&arguments, r->params, &r->target, &diag)
			    : pinioni_json_arguments_read(&arguments, r->params, &body, &diag);

	if (err == -ENOMEM)
		return request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE);
	if (err != 0) {
		pinioni_http_answer_text(&answer, MHD_HTTP_BAD_REQUEST, diag.text);
		return request_answer(r, &answer);
	}
	call(r, json_arguments_view(&arguments));
	pinioni_json_arguments_end(&arguments);
	return request_called(r);
}

static enum MHD_Result
request_received(struct request *r)
{
	r->is_under_way = true;
	r->service->under_way++;
	if (r->refused == 0 && r->service->is_stopping)
		r->refused = MHD_HTTP_SERVICE_UNAVAILABLE; /* since its headers came */
	if (r->refused != 0)
		return request_refuse(r, r->refused);
	if (r->page != PAGE_NONE)
		return request_show(r);
	if (r->is_uncallable) {
		call(r, PINION_ARGS());
		return request_called(r);
	}
	return r->is_raw ? request_call_raw(r) : request_call(r);
}

/* ---- the call's end -------------------------------------------------------------------------- */

/* Before MHD 0.9.75 looks whether a resumed connection has an answer, it reads from it, and takes the end of what its client
 * says for the end of all, unless it is the one that was silent longest. But those with a time limit of their own are all
 * looked at before any is read. They are few: it is taken back when the answer has been sent, or a stream has begun. */
static void
resume(struct request *r)
{
	(void)MHD_set_connection_option(
	    r->connection, MHD_CONNECTION_OPTION_TIMEOUT, r->service->timeout_s + 1);
	MHD_resume_connection(r->connection);
}

/* Not queued for want of memory: MHD asks for it again, and is told to close. */
static void
finish(struct request *r, const struct answer *answer)
{
	(void)request_answer(r, answer);
	give_back(r);
	resume(r);
}

static void
on_result(struct request *r)
{
	pinion_value value;
	struct answer answer;
	int code = pinion_result_value(r->response, &value);

	if (code != 0) {
		error_answer(r, code, &answer);
	} else {
		const char *why = pinioni_http_answer_value(&answer, &value, r->is_raw);

		if (why != NULL)
			pinioni_http_log(
			    r->service, "http: request %s to %s: %s", r->id, r->route.app, why);
	}
	finish(r, &answer);
}

static void
on_progress(struct request *r)
{
	enum MHD_Result
	    sent; /* not for want of memory: MHD asks for it again, and is told to close */

	if (r->state == REQUEST_CUT)
		return;
	if (r->state == REQUEST_STREAMING || r->state == REQUEST_BEHIND)
		pinioni_http_stream_ready(&r->streaming);
	else if (!r->is_stream)
		on_result(r);
	else if (stream_answered(r, &sent))
		resume(r);
}

void
pinioni_http_on_finished(const pinion_finished *finished)
{
	on_progress((struct request *)(uintptr_t)finished->tag); /* put there by call() */
}

/* ---- calls that nobody waits for any more ---------------------------------------------------- */

void
pinioni_http_on_gone(struct request *r)
{
	if (r->is_stream)
		pinion_stream_cancel(r->streaming.stream);
	else
		pinion_cancel(r->response);
}

/* The runtime has ended it, or does so now; a handler that hears nothing is not waited for. */
static bool
is_late(const struct request *r)
{
	pinion_into nowhere = { .kind = PINION_KIND_NONE };

	return r->is_stream || pinion_result_within_into(r->response, 0, nowhere) != -EAGAIN;
}

/* Its time is over, but its client has something to take first, and is given time for that. */
static bool
is_behind(const struct request *r)
{
	return r->state == REQUEST_STREAMING && !r->streaming.is_waiting;
}

static void
let_it_catch_up(struct request *r, uint64_t now)
{
	if (r->state == REQUEST_BEHIND)
		TAILQ_REMOVE(&r->service->behind, r, calls);
	else
		TAILQ_REMOVE(&r->service->calls, r, calls);
	r->state = REQUEST_BEHIND;
	r->taken = r->streaming.taken;
	r->due_ms = now + CATCH_UP_MS;
	TAILQ_INSERT_TAIL(&r->service->behind, r, calls);
}

/* It takes nothing: there is nobody to tell. */
static void
cut(struct request *r)
{
	call_over(r);
	r->state = REQUEST_CUT;
	pinioni_http_stream_cut(&r->streaming);
}

static void
look_at_those_behind(struct service *service, uint64_t now)
{
	struct request *r;

	while ((r = TAILQ_FIRST(&service->behind)) != NULL && r->due_ms <= now) {
		if (!r->streaming.is_waiting && r->streaming.taken == r->taken) {
			cut(r);
			continue;
		}
		on_progress(r); /* it may wait for what comes no more */
		let_it_catch_up(r, now);
	}
}

static int
ms_until(const struct request *r)
{
	uint64_t now = now_ms();

	return r->due_ms <= now ? 0 : r->due_ms - now > INT_MAX ? INT_MAX : (int)(r->due_ms - now);
}

int
pinioni_http_calls_timeout(const struct service *service)
{
	const struct request *r = TAILQ_FIRST(&service->calls), *b = TAILQ_FIRST(&service->behind);
	int ms = -1;

	if (service->request_timeout_ns == 0)
		return -1;
	if (r != NULL)
		ms = ms_until(r);
	if (b != NULL && (ms < 0 || ms_until(b) < ms))
		ms = ms_until(b);
	return ms;
}

void
pinioni_http_calls_expire(struct service *service)
{
	struct request *r, *next;
	uint64_t now = service->request_timeout_ns == 0 ? 0 : now_ms();

	for (r = TAILQ_FIRST(&service->calls); r != NULL && r->due_ms <= now; r = next) {
		next = TAILQ_NEXT(r, calls);
		if (now == 0)
			return;
		if (is_behind(r))
			let_it_catch_up(r, now);
		else if (is_late(r))
			on_progress(r);
		else
			r->due_ms = now + 1; /* by the runtime's clock it has a little left */
	}
	if (now != 0)
		look_at_those_behind(service, now);
}

void
pinioni_http_calls_end_streams(struct service *service)
{
	struct request *r;

	TAILQ_FOREACH(r, &service->calls, calls)
	if (r->is_stream)
		pinion_stream_cancel(r->streaming.stream);
	TAILQ_FOREACH(r, &service->behind, calls)
	pinion_stream_cancel(r->streaming.stream);
}

/* ---- what MHD calls -------------------------------------------------------------------------- */

void *
pinioni_http_on_uri(void *service, const char *uri, struct MHD_Connection *connection)
{
	struct request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL; /* the access callback then closes the connection */
	r->service = service;
	r->connection = connection;
	r->target_error = pinioni_http_target_parse(uri, &r->target);
	return r;
}

enum MHD_Result
pinioni_http_on_access(void *service, struct MHD_Connection *connection, const char *url,
    const char *verb, const char *version, const char *data, size_t *data_size, void **request)
{
	struct request *r = *request;
	size_t size = *data_size;

	(void)service;
	(void)connection;
	(void)url; /* cut and decoded by MHD; target.c has its own */
	(void)version;
	if (r == NULL)
		return MHD_NO;
	if (r->state == REQUEST_NAMED)
		return request_admit(r, verb);
	if (r->state != REQUEST_RECEIVING)
		return MHD_NO;
	if (size == 0)
		return request_received(r);
	*data_size = 0;
	request_receive(r, data, size);
	return MHD_YES;
}

void
pinioni_http_on_completed(void *service, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode why)
{
	struct request *r = *request;

	(void)service;
	(void)why;
	*request = NULL;
	if (r == NULL)
		return;
	if (r->is_under_way)
		r->service->under_way--;
	(void)MHD_set_connection_option(
	    connection, MHD_CONNECTION_OPTION_TIMEOUT, r->service->timeout_s);
	call_over(r);
	pinioni_http_stream_end(&r->streaming);
	pinioni_http_buffer_free(&r->body);
	pinioni_http_target_free(&r->target);
	free(r);
}
