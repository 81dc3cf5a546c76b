/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    An ingress starts where it may, serves many, loses nothing when clients go away, says when it is full,
 *         and stops without dropping what is under way.
 * Method  A handler that defers its answer: the test holds the tokens, and so decides what is under way. Nothing
 *         is timed. At the end nothing is taken from the runtime any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include <pinion/pinion_http.h>

#include "tests/ingress/client.h"
#include "tests/scale.h"

enum {
	HELD_MAX = 64
};

/* Tokens of requests that wait for the test. */
static struct held {
	pthread_mutex_t lock;
	pthread_cond_t came;
	unsigned count;
	pinion_token tokens[HELD_MAX];
} held = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };

static struct answered answered;
static pinion_runtime *rt;
static pinion_http *http;
static unsigned port;
static uint64_t ports_before; /* its workers' and this thread's */

static int
hold(void *replica, pinion_request *req)
{
	pinion_token token;
	int err = pinion_defer(req, &token);

	(void)replica;
	if (err != 0)
		return err;
	(void)pthread_mutex_lock(&held.lock);
	held.tokens[held.count++ % HELD_MAX] = token;
	(void)pthread_cond_signal(&held.came);
	(void)pthread_mutex_unlock(&held.lock);
	return 0;
}

static const pinion_deployment holder = {
	.name = "Holder",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hold,
	    .params = PINION_PARAMS(PINION_STR_OR("text", "")), .returns = PINION_RETURNS_STR)),
};

static int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment echoer = {
	.name = "Echoer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_holder(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &holder, PINION_ARGS());
}

static pinion_node *
build_echoer(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &echoer, PINION_ARGS());
}

static void
wait_for_held(unsigned count)
{
	(void)pthread_mutex_lock(&held.lock);
	while (held.count < count)
		(void)pthread_cond_wait(&held.came, &held.lock);
	(void)pthread_mutex_unlock(&held.lock);
}

static void
let_go(unsigned index)
{
	pinion_str done = { "done", 4 };

	assert_int_equal(pinion_token_reply(held.tokens[index], done), 0);
}

static void
run_apps(void)
{
	pinion_handle handle;

	pinion_census census;

	assert_non_null(pinion_port_mine(rt)); /* which tokens are answered through */
	pinion_census_take(rt, &census);
	ports_before = census.ports;
	held.count = 0;
	assert_int_equal(pinion_run(rt, build_holder, &handle, .name = "hold"), 0);
	assert_int_equal(pinion_run(rt, build_echoer, &handle, .name = "echo"), 0);
	assert_int_equal(pinion_http_start(rt, &http, .port = -1), 0);
	port = pinion_http_port(http);
	assert_true(port > 0 && port < 65536);
}

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 2, .no_pin = true), 0);
	run_apps();
	return 0;
}

static int
tear_down(void **state)
{
	pinion_census census;

	(void)state;
	pinion_http_stop(http);
	pinion_census_take(rt, &census);
	assert_int_equal(census.slots, 0);
	assert_int_equal(census.blocks, 0);
	assert_int_equal(census.custody, 0);
	assert_int_equal(census.borrowed, 0);
	assert_int_equal(census.ports, ports_before); /* the ingress' is gone, so it held nothing */
	pinion_stop(rt);
	return 0;
}

/* ---- serving --------------------------------------------------------------------------------- */

static void
one_connection_carries_many_requests(void **state)
{
	struct client *client = client_open(port);
	char text[32];

	(void)state;
	for (uint64_t i = 0, count = scaled(20000); i < count; i++) {
		(void)snprintf(text, sizeof text, "{\"x\": %llu}", (unsigned long long)i);
		client_post(client, "POST", "/echo", text);
		client_read(client, &answered);
		assert_int_equal(answered.status, 200);
		assert_int_equal(strtoull(answered.body, NULL, 10), i);
	}
	client_close(client);
}

static void
requests_sent_before_their_answers_are_answered_in_order(void **state)
{
	enum {
		COUNT = 100
	};
	struct client *client = client_open(port);
	char text[128];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(text, sizeof text,
		    "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n"
		    "{\"x\":%2d}",
		    i % 10);
		client_send(client, text);
	}
	for (int i = 0; i < COUNT; i++) {
		client_read(client, &answered);
		assert_int_equal(answered.status, 200);
		assert_int_equal(atoi(answered.body), i % 10);
	}
	client_close(client);
}

static void
a_slow_request_does_not_hold_up_other_connections(void **state)
{
	struct client *slow = client_open(port), *quick = client_open(port);

	(void)state;
	client_post(slow, "POST", "/hold", "");
	wait_for_held(1);
	client_post(quick, "POST", "/echo", "{\"x\": 5}");
	client_read(quick, &answered);
	assert_string_equal(answered.body, "5");
	let_go(0);
	client_read(slow, &answered);
	assert_string_equal(answered.body, "done");
	client_close(slow);
	client_close(quick);
}

static void
many_connections_wait_at_once_and_end_in_any_order(void **state)
{
	struct client *clients[HELD_MAX];

	(void)state;
	for (unsigned i = 0; i < HELD_MAX; i++) {
		clients[i] = client_open(port);
		client_post(clients[i], "POST", "/hold", "");
	}
	wait_for_held(HELD_MAX);
	for (unsigned i = HELD_MAX; i-- > 0;)
		let_go(i);
	for (unsigned i = 0; i < HELD_MAX; i++) {
		client_read(clients[i], &answered);
		assert_int_equal(answered.status, 200);
		client_close(clients[i]);
	}
}

static void
a_client_that_says_close_is_let_go(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	client_send(client, "GET /-/healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
	client_read(client, &answered);
	assert_int_equal(answered.status, 200);
	assert_false(client_receive(client));
	client_close(client);
}

/* ---- clients that go away -------------------------------------------------------------------- */

static void
close_hard(struct client *client)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 }; /* a reset */

	assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	client_close(client);
}

/* Who resets is gone, and its call canceled; who only closes may have half closed, and its call goes on. */
static void
a_client_that_goes_while_its_call_runs_leaves_nothing(void **state)
{
	struct client *hard = client_open(port), *soft = client_open(port);
	pinion_str late = { "late", 4 };
	pinion_census census;
	int err;

	(void)state;
	client_post(hard, "POST", "/hold", "{\"text\": \"x\"}");
	wait_for_held(1);
	client_post(soft, "POST", "/hold", "");
	wait_for_held(2);
	close_hard(hard);
	client_close(soft);
	do
		pinion_census_take(rt, &census);
	while (census.custody > 1);
	err = pinion_token_reply(held.tokens[1], late);
	assert_true(err == 0 || err == -EALREADY); /* long after its request it was gone, too */
	assert_int_equal(pinion_token_reply(held.tokens[0], late), -EALREADY);
	get(port, "/echo?x=a", &answered); /* refused, and so answered */
	assert_int_equal(answered.status, 400);
}

static void
a_client_that_goes_while_it_sends_leaves_nothing(void **state)
{
	static const char *const starts[] = { "", "GE", "GET /ec", "GET /echo?x=1 HTTP/1.1\r\n",
		"GET /echo HTTP/1.1\r\nHost: t",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n{\"x\"" };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof starts / sizeof *starts; i++) {
		struct client *client = client_open(port);

		client_send(client, starts[i / 2]);
		if (i % 2 == 0)
			close_hard(client);
		else
			client_close(client);
	}
	post(port, "/echo", "{\"x\": 3}", &answered);
	assert_string_equal(answered.body, "3");
}

/* Half closed: the end of the stream comes with the last bytes, or while the call is under way. Beside one that was silent for
 * longer, whom libmicrohttpd looks at first. */
static void
a_client_that_has_said_all_is_answered_and_then_closed(void **state)
{
	struct client *silent = client_open(port), *quick = client_open(port),
		      *slow = client_open(port);

	(void)state;
	client_post(slow, "POST", "/hold", "");
	(void)shutdown(slow->fd, SHUT_WR);
	wait_for_held(1);
	client_post(quick, "POST", "/echo", "{\"x\": 3}");
	(void)shutdown(quick->fd, SHUT_WR);
	client_read(quick, &answered);
	assert_string_equal(answered.body, "3");
	assert_false(client_receive(quick));
	let_go(0);
	client_read(slow, &answered);
	assert_string_equal(answered.body, "done");
	assert_false(client_receive(slow));
	client_close(silent);
	client_close(quick);
	client_close(slow);
}

/* Longer than what is read at once. */
static void
a_client_that_goes_behind_a_long_body_is_closed(void **state)
{
	enum {
		LENGTH = 400000
	};
	char *body = malloc(LENGTH + 16);

	(void)state;
	assert_non_null(body);
	(void)snprintf(body, LENGTH + 16, "{\"text\": \"%0*d", LENGTH, 0); /* and no end */
	for (int i = 0; i < 20; i++) {
		struct client *client = client_open(port);

		client_send(
		    client, "POST /hold HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n");
		client_send(client, body);
		(void)shutdown(client->fd, SHUT_WR);
		while (client_receive(client))
			continue;
		client_close(client);
	}
	free(body);
}

static void
nonsense_is_refused_and_the_next_client_served(void **state)
{
	static const char *const nonsense[] = { "\r\n\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
		"GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
		struct client *client = client_open(port);

		client_send(client, nonsense[i]);
		(void)shutdown(client->fd, SHUT_WR);
		while (client_receive(client))
			continue; /* whatever it says */
		client_close(client);
	}
	post(port, "/echo", "{\"x\": 3}", &answered);
	assert_string_equal(answered.body, "3");
}

/* A head that is too long may be reset while it is still sent: what came back is read all the same. */
static void
send_too_long(struct client *client, const char *begin)
{
	static char head[40000];
	size_t length = strlen(begin);

	memset(head, 'a', sizeof head);
	memcpy(head, begin, length);
	(void)!send(client->fd, head, sizeof head, MSG_NOSIGNAL);
}

static void
what_libmicrohttpd_refuses_alone_has_no_id(void **state)
{
	static const struct {
		const char *begin;
		bool is_long;
		int status;
	} cases[] = {
		{ "GET /-/healthz HTTP/1.1\r\nHost: t\r\nX-Request-ID: b\r\nX-Long: ", true, 431 },
		{ "GET /", true, 414 },
		{ "GET /-/healthz HTTP/1.1\r\nX-Request-ID: b\r\n\r\n", false, 400 },
		{ "GET /-/healthz HTTP/2.0\r\nHost: t\r\nX-Request-ID: b\r\n\r\n", false, 505 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct client *client = client_open(port);

		if (cases[i].is_long)
			send_too_long(client, cases[i].begin);
		else
			client_send(client, cases[i].begin);
		client_read(client, &answered);
		client_close(client);
		assert_int_equal(answered.status, cases[i].status);
		assert_null(header_in(answered.head, "X-Request-ID"));
		assert_true(header_is(&answered, "Connection", "close"));
	}
}

/* ---- full ------------------------------------------------------------------------------------ */

enum {
	FEW = 4,
	SMALL_ARENA = 1 << 18 /* bytes: the smallest that there is */
};

static int
set_up_small(void **state)
{
	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 1, .no_pin = true, .slots = FEW,
			     .arena_bytes = SMALL_ARENA),
	    0);
	run_apps();
	return 0;
}

static void
without_a_slot_the_answer_is_unavailable_until_one_is_free(void **state)
{
	struct client *clients[FEW], *late = client_open(port);

	(void)state;
	for (unsigned i = 0; i < FEW; i++) {
		clients[i] = client_open(port);
		client_post(clients[i], "POST", "/hold", "");
		wait_for_held(i + 1);
	}
	client_post(late, "POST", "/echo", "{\"x\": 1}");
	client_read(late, &answered);
	assert_int_equal(answered.status, 503);
	assert_string_equal(answered.body, "Service Unavailable");
	for (unsigned i = 0; i < FEW; i++) {
		let_go(i);
		client_read(clients[i], &answered);
		assert_int_equal(answered.status, 200);
		client_close(clients[i]);
	}
	client_post(late, "POST", "/echo", "{\"x\": 1}");
	client_read(late, &answered);
	assert_int_equal(answered.status, 200);
	client_close(late);
}

static void
arguments_larger_than_the_arena_are_too_large(void **state)
{
	enum {
		LENGTH = 2 * SMALL_ARENA
	};
	char *body = malloc(LENGTH + 16);

	(void)state;
	assert_non_null(body);
	(void)snprintf(body, LENGTH + 16, "{\"text\": \"%0*d\"}", LENGTH, 0);
	post(port, "/hold", body, &answered);
	assert_int_equal(answered.status, 413);
	free(body);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void *
stop(void *arg)
{
	(void)arg;
	pinion_http_stop(http);
	return NULL;
}

static void
stop_answers_what_is_under_way_and_refuses_the_rest(void **state)
{
	struct client *slow = client_open(port), *idle = client_open(port);
	pthread_t stopper;

	(void)state;
	client_post(slow, "POST", "/hold", "");
	wait_for_held(1);
	assert_int_equal(pthread_create(&stopper, NULL, stop, NULL), 0);
	do { /* until it has begun: it ends, as stop was called and can not go on without us */
		client_send(idle, "GET /-/healthz HTTP/1.1\r\nHost: test\r\n\r\n");
		client_read(idle, &answered);
	} while (answered.status == 200);
	assert_int_equal(answered.status, 503);
	assert_true(header_is(&answered, "Connection", "close"));
	assert_int_equal(connect_to(port), -1);
	let_go(0);
	client_read(slow, &answered);
	assert_int_equal(answered.status, 200);
	assert_string_equal(answered.body, "done");
	assert_int_equal(pthread_join(stopper, NULL), 0);
	http = NULL;
	client_close(slow);
	client_close(idle);
}

static void
an_ingress_can_be_started_again_on_its_port(void **state)
{
	pinion_http *again;

	(void)state;
	post(port, "/echo", "{\"x\": 1}", &answered);
	pinion_http_stop(http);
	assert_int_equal(pinion_http_start(rt, &again, .port = (int32_t)port), 0);
	http = again;
	assert_int_equal(pinion_http_port(http), port);
	post(port, "/echo", "{\"x\": 2}", &answered);
	assert_string_equal(answered.body, "2");
}

static void
two_can_serve_one_runtime(void **state)
{
	pinion_http *other;

	(void)state;
	assert_int_equal(pinion_http_start(rt, &other, .port = -1), 0);
	assert_int_not_equal(pinion_http_port(other), port);
	post(pinion_http_port(other), "/echo", "{\"x\": 2}", &answered);
	assert_string_equal(answered.body, "2");
	pinion_http_stop(other);
	post(port, "/echo", "{\"x\": 3}", &answered);
	assert_string_equal(answered.body, "3");
}

static void
a_port_in_use_is_named(void **state)
{
	pinion_http *other = NULL;
	pinion_diag diag = { "" };
	char name[32];

	(void)state;
	(void)snprintf(name, sizeof name, "127.0.0.1:%u", port);
	assert_int_equal(
	    pinion_http_start(rt, &other, .port = (int32_t)port, .diag = &diag), -EADDRINUSE);
	assert_null(other);
	assert_non_null(strstr(diag.text, name));
	assert_null(strchr(diag.text, '\n'));
}

static void
wrong_options_are_refused(void **state)
{
	pinion_http *other = NULL;
	pinion_diag diag = { "" };

	(void)state;
	assert_int_equal(pinion_http_start(rt, &other, .port = -2, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, ".port"));
	assert_int_equal(pinion_http_start(rt, &other, .port = 65536), -EINVAL);
	assert_int_equal(
	    pinion_http_start(rt, &other, .port = -1, .body_max = -1, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, ".body_max"));
	assert_int_equal(
	    pinion_http_start(rt, &other, .port = -1, .timeout_ns = -1, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, ".timeout_ns"));
	assert_int_equal(
	    pinion_http_start(rt, &other, .host = "256.0.0.1.", .port = -1, .diag = &diag),
	    -EINVAL);
	assert_non_null(strstr(diag.text, "256.0.0.1."));
	assert_int_equal(pinion_http_start(rt, NULL, .port = -1), -EINVAL);
	assert_null(other);
	pinion_http_stop(NULL);
}

static const pinion_deployment uncallable = {
	.name = "Uncallable",
	.methods =
	    PINION_METHODS(PINION_METHOD("only", echo, .params = PINION_PARAMS(PINION_I64("x")),
			       .returns = PINION_RETURNS_I64),
		PINION_METHOD("other", hold, .returns = PINION_RETURNS_STR)),
};

static pinion_node *
build_uncallable(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &uncallable, PINION_ARGS());
}

/* What the ingress logs; read when it has stopped. */
static char logged[1024];

static void
log_line(void *arg, const char *line)
{
	(void)arg;
	(void)snprintf(logged, sizeof logged, "%s", line);
}

static const char uncallable_text[] = "Uncallable has no method \"__call__\"; it has: only, other";

static void
an_application_that_nothing_can_call_is_refused_at_start(void **state)
{
	pinion_handle handle;
	pinion_http *other = NULL;
	pinion_diag diag = { "" };

	(void)state;
	assert_int_equal(pinion_run(rt, build_uncallable, &handle, .name = "none"), 0);
	assert_int_equal(pinion_http_start(rt, &other, .port = -1, .diag = &diag), -EINVAL);
	assert_null(other);
	assert_non_null(strstr(diag.text, uncallable_text));
	assert_non_null(strstr(diag.text, "'none'"));
	assert_int_equal(pinion_http_start(rt, &other, .port = -1), -EINVAL);
}

static void
an_application_that_nothing_can_call_is_an_error_in_the_log(void **state)
{
	static const char *const requests[] = { "GET /none?x=1 HTTP/1.1\r\nHost: test\r\n\r\n",
		"POST /none HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\n\r\n{\"x\": 1}" };
	pinion_handle handle;
	pinion_http *other = NULL;

	(void)state;
	assert_int_equal(pinion_http_start(rt, &other, .port = -1, .log = log_line), 0);
	assert_int_equal(pinion_run(rt, build_uncallable, &handle, .name = "none"), 0);
	for (unsigned i = 0; i < 2; i++) {
		exchange(pinion_http_port(other), requests[i], &answered);
		assert_int_equal(answered.status, 500);
		assert_string_equal(answered.body, "Internal Server Error");
	}
	pinion_http_stop(other);
	assert_non_null(strstr(logged, uncallable_text));
}

#define LIFE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SMALL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LIFE_TEST(one_connection_carries_many_requests),
		LIFE_TEST(requests_sent_before_their_answers_are_answered_in_order),
		LIFE_TEST(a_slow_request_does_not_hold_up_other_connections),
		LIFE_TEST(many_connections_wait_at_once_and_end_in_any_order),
		LIFE_TEST(a_client_that_says_close_is_let_go),
		LIFE_TEST(a_client_that_goes_while_its_call_runs_leaves_nothing),
		LIFE_TEST(a_client_that_goes_while_it_sends_leaves_nothing),
		LIFE_TEST(a_client_that_has_said_all_is_answered_and_then_closed),
		LIFE_TEST(a_client_that_goes_behind_a_long_body_is_closed),
		LIFE_TEST(nonsense_is_refused_and_the_next_client_served),
		LIFE_TEST(what_libmicrohttpd_refuses_alone_has_no_id),
		SMALL_TEST(without_a_slot_the_answer_is_unavailable_until_one_is_free),
		SMALL_TEST(arguments_larger_than_the_arena_are_too_large),
		LIFE_TEST(stop_answers_what_is_under_way_and_refuses_the_rest),
		LIFE_TEST(an_ingress_can_be_started_again_on_its_port),
		LIFE_TEST(two_can_serve_one_runtime),
		LIFE_TEST(a_port_in_use_is_named),
		LIFE_TEST(wrong_options_are_refused),
		LIFE_TEST(an_application_that_nothing_can_call_is_refused_at_start),
		LIFE_TEST(an_application_that_nothing_can_call_is_an_error_in_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
