/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A raw method gets the request as it came and answers as it likes; an answer that would break HTTP, or
 *         is no answer at all, is refused.
 * Method  One raw handler that shows all it got, one that answers with bytes made here, after
 *         ingress/http/frame_priv.h. The application is at "/".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pinion/pinion_http.h>

#include "tests/ingress/client.h"

enum {
	RESULT_MAX = 4096
};

static struct answered answered;
static pinion_runtime *rt;
static pinion_http *http;
static unsigned port;

/* Every part between brackets, and the X-Two header twice. */
static int
show(void *replica, pinion_request *req)
{
	pinion_http_request r;
	char text[1024];
	pinion_str agent, key;
	int n;

	(void)replica;
	if (pinion_http_request_read(pinion_arg_bytes(req, 0), &r) != 0)
		return pinion_fail(req, -EBADMSG, "no request");
	agent = pinion_http_header(&r, "user-agent");
	key = pinion_http_query(&r, "key");
	n = snprintf(text, sizeof text, "[%.*s][%.*s][%.*s][%.*s][%.*s][%.*s][%.*s][%.*s]",
	    PINION_STR_FMT(r.verb), PINION_STR_FMT(r.path), PINION_STR_FMT(r.rest),
	    PINION_STR_FMT(r.query), PINION_STR_FMT(r.id), PINION_STR_FMT(agent),
	    PINION_STR_FMT(key), (int)r.body.len, (const char *)r.body.data);
	return pinion_http_reply(req, 201,
	    PINION_HTTP_HEADERS(
		{ "Content-Type", "text/x-shown" }, { "X-Two", "1" }, { "x-two", "2" }),
	    (pinion_bytes){ text, (size_t)n });
}

static const pinion_deployment shower = {
	.name = "Shower",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, show, .params = PINION_HTTP_PARAMS,
	    .returns = PINION_RETURNS_BYTES, .result_max = RESULT_MAX)),
};

/* What the next request is answered with: by the query's `how`. */
static int
misbehave(void *replica, pinion_request *req)
{
	static const pinion_bytes none = { "", 0 };
	static const char big[RESULT_MAX];
	pinion_http_request r;
	pinion_str how;

	(void)replica;
	if (pinion_http_request_read(pinion_arg_bytes(req, 0), &r) != 0)
		return -EBADMSG;
	how = pinion_http_query(&r, "how");
	if (pinion_str_is(how, "status"))
		return pinion_http_reply(req, 100, PINION_HTTP_NO_HEADERS, none);
	if (pinion_str_is(how, "split"))
		return pinion_http_reply(
		    req, 200, PINION_HTTP_HEADERS({ "X-A", "1\r\nX-B: 2" }), none);
	if (pinion_str_is(how, "name"))
		return pinion_http_reply(req, 200, PINION_HTTP_HEADERS({ "X A", "1" }), none);
	if (pinion_str_is(how, "length"))
		return pinion_http_reply(
		    req, 200, PINION_HTTP_HEADERS({ "content-length", "1" }), none);
	if (pinion_str_is(how, "big"))
		return pinion_http_reply(
		    req, 200, PINION_HTTP_NO_HEADERS, (pinion_bytes){ big, sizeof big });
	if (pinion_str_is(how, "empty"))
		return pinion_http_reply(req, 204, PINION_HTTP_HEADERS({ "X-Empty", "" }), none);
	return pinion_reply(req, r.body); /* the client's bytes as the whole answer */
}

static const pinion_deployment misbehaver = {
	.name = "Misbehaver",
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, misbehave, .params = PINION_HTTP_PARAMS,
		.returns = PINION_RETURNS_BYTES, .result_max = RESULT_MAX)),
};

static int
say_verb(void *replica, pinion_request *req)
{
	pinion_http_request r;

	(void)replica;
	if (pinion_http_request_read(pinion_arg_bytes(req, 0), &r) != 0)
		return -EBADMSG;
	return pinion_reply(req, r.rest);
}

static const pinion_deployment teller = {
	.name = "Teller",
	.methods = PINION_METHODS(PINION_METHOD(
	    PINION_CALL, say_verb, .params = PINION_HTTP_PARAMS, .returns = PINION_RETURNS_STR)),
};

static pinion_node *
build_shower(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &shower, PINION_ARGS());
}

static pinion_node *
build_misbehaver(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &misbehaver, PINION_ARGS());
}

static pinion_node *
build_teller(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &teller, PINION_ARGS());
}

static int
set_up(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 2, .no_pin = true), 0);
	assert_int_equal(pinion_run(rt, build_shower, &handle), 0);
	assert_int_equal(pinion_run(rt, build_misbehaver, &handle, .name = "bad"), 0);
	assert_int_equal(pinion_run(rt, build_teller, &handle, .name = "tell"), 0);
	assert_int_equal(pinion_http_start(rt, &http, .port = -1), 0);
	port = pinion_http_port(http);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pinion_http_stop(http);
	pinion_stop(rt);
	return 0;
}

static void
a_raw_method_gets_the_request_as_it_came(void **state)
{
	(void)state;
	exchange(port,
	    "PATCH /a%20b/c?key=v+1&key=2&x HTTP/1.1\r\nHost: test\r\nUser-Agent: me\r\n"
	    "X-Request-ID: id-7\r\nContent-Length: 4\r\n\r\nbody",
	    &answered);
	assert_int_equal(answered.status, 201);
	assert_string_equal(
	    answered.body, "[PATCH][/a b/c][/a b/c][key=v+1&key=2&x][id-7][me][v 1][body]");
	assert_true(header_is(&answered, "Content-Type", "text/x-shown"));
	assert_true(header_is(&answered, "X-Request-ID", "id-7"));
	assert_non_null(strstr(answered.head, "X-Two: 1\r\n"));
	assert_non_null(strstr(answered.head, "x-two: 2\r\n"));
}

static void
a_request_without_body_query_and_headers_has_empty_parts(void **state)
{
	(void)state;
	get(port, "/", &answered);
	assert_int_equal(answered.status, 201);
	assert_int_equal(strncmp(answered.body, "[GET][/][/][][", 14), 0);
	assert_non_null(strstr(answered.body, "][][][]"));
}

static void
rest_is_what_is_behind_the_prefix(void **state)
{
	static const char *const cases[][2] = { { "/tell", "" }, { "/tell/", "/" },
		{ "/tell/a/b?c", "/a/b" }, { "/tell%2Fx", "/x" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		get(port, cases[i][0], &answered);
		assert_int_equal(answered.status, 200);
		assert_string_equal(answered.body, cases[i][1]);
		assert_true(header_is(&answered, "Content-Type", "text/plain; charset=utf-8"));
	}
}

static void
head_is_answered_without_a_body(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	client_send(client, "HEAD /x HTTP/1.1\r\nHost: test\r\n\r\n");
	assert_true(client_read_to(client, true, &answered));
	assert_int_equal(answered.status, 201);
	client_send(client, "GET /y HTTP/1.1\r\nHost: test\r\n\r\n");
	client_read(client, &answered);
	assert_int_equal(strncmp(answered.body, "[GET][/y]", 9), 0);
	client_close(client);
}

static void
a_body_arrives_whole(void **state)
{
	enum {
		LENGTH = 300000
	};
	struct client *client = client_open(port);
	char *body = malloc(LENGTH + 1);

	(void)state;
	assert_non_null(body);
	memset(body, 'x', LENGTH);
	body[LENGTH] = '\0';
	client_post(client, "POST", "/tell/long", body);
	client_read(client, &answered);
	assert_string_equal(answered.body, "/long");
	client_close(client);
	free(body);
}

static void
replies_that_would_break_http_are_refused(void **state)
{
	static const char *const hows[] = { "status", "split", "name", "length", "big" };
	char target[64];

	(void)state;
	for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
		(void)snprintf(target, sizeof target, "/bad?how=%s", hows[i]);
		get(port, target, &answered);
		assert_int_equal(answered.status, 500);
		assert_string_equal(answered.body, "Internal Server Error");
	}
	get(port, "/bad?how=empty", &answered);
	assert_int_equal(answered.status, 204);
}

/* ---- answers made of the client's bytes ------------------------------------------------------- */

struct frame {
	char bytes[256];
	size_t length;
};

static void
put(struct frame *frame, const void *bytes, size_t length)
{
	memcpy(frame->bytes + frame->length, bytes, length);
	frame->length += length;
}

static void
put_u32(struct frame *frame, uint32_t number)
{
	put(frame, &number, sizeof number);
}

static struct frame
reply_frame(uint32_t status, const char *name, const char *value)
{
	struct frame frame = { .length = 0 };
	uint32_t size;

	put_u32(&frame, 0x31505250);
	put_u32(&frame, 0);
	put_u32(&frame, status);
	put_u32(&frame, 1);
	put_u32(&frame, 0);
	put_u32(&frame, (uint32_t)strlen(name));
	put(&frame, name, strlen(name));
	put_u32(&frame, (uint32_t)strlen(value));
	put(&frame, value, strlen(value));
	put(&frame, "hi", 2);
	size = (uint32_t)frame.length;
	memcpy(frame.bytes + 4, &size, sizeof size);
	return frame;
}

static void
answer_with(struct client *client, const struct frame *frame, size_t length)
{
	char head[128];

	(void)snprintf(head, sizeof head,
	    "POST /bad HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n", length);
	client_send(client, head);
	client_send_bytes(client, frame->bytes, length);
	client_read(client, &answered);
}

static void
bytes_that_are_no_reply_are_a_servers_error(void **state)
{
	struct client *client = client_open(port);
	struct frame frame = reply_frame(418, "X-Tea", "pot");

	(void)state;
	answer_with(client, &frame, frame.length);
	assert_int_equal(answered.status, 418);
	assert_true(header_is(&answered, "X-Tea", "pot"));
	assert_string_equal(answered.body, "hi");
	for (size_t length = 0; length < frame.length; length++) {
		answer_with(client, &frame, length);
		assert_int_equal(answered.status, 500);
	}
	for (size_t at = 0; at + 4 <= frame.length - 2; at++) {
		struct frame bad = frame;

		memcpy(bad.bytes + at, "\xff\xff\xff\x7f", 4);
		answer_with(client, &bad, bad.length);
		assert_true(answered.status == 500 || at >= 32); /* a header's value may be that */
	}
	client_close(client);
}

static void
a_made_up_reply_cannot_break_http(void **state)
{
	struct client *client = client_open(port);
	const struct frame frames[] = {
		reply_frame(199, "X-A", "1"),
		reply_frame(600, "X-A", "1"),
		reply_frame(UINT32_MAX, "X-A", "1"),
		reply_frame(200, "", "1"),
		reply_frame(200, "X-A:", "1"),
		reply_frame(200, "X-A", "1\r\nX-B: 2"),
		reply_frame(200, "Transfer-Encoding", "chunked"),
		reply_frame(200, "X-Request-ID", "mine"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		answer_with(client, &frames[i], frames[i].length);
		assert_int_equal(answered.status, 500);
	}
	client_close(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_raw_method_gets_the_request_as_it_came),
		cmocka_unit_test(a_request_without_body_query_and_headers_has_empty_parts),
		cmocka_unit_test(rest_is_what_is_behind_the_prefix),
		cmocka_unit_test(head_is_answered_without_a_body),
		cmocka_unit_test(a_body_arrives_whole),
		cmocka_unit_test(replies_that_would_break_http_are_refused),
		cmocka_unit_test(bytes_that_are_no_reply_are_a_servers_error),
		cmocka_unit_test(a_made_up_reply_cannot_break_http),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
