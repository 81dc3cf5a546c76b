/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What a client gets: results by kind, errors by status, request ids, routes, the ingress' own pages.
 * Method  A runtime, an ingress on a free port, raw HTTP over a socket; every answer is read to its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>

#include <pinion/pinion_http.h>

#include "tests/ingress/client.h"

enum {
	BODY_MAX = 4096
};

/* What the ingress logs; from its thread. */
static struct log {
	pthread_mutex_t lock;
	unsigned lines;
	char last[1024];
} the_log = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct answered answered;
static pinion_runtime *rt;
static pinion_http *http;
static unsigned port;

static void
log_line(void *arg, const char *line)
{
	struct log *log = arg;

	(void)pthread_mutex_lock(&log->lock);
	log->lines++;
	(void)snprintf(log->last, sizeof log->last, "%s", line);
	(void)pthread_mutex_unlock(&log->lock);
}

static bool
was_logged(const char *part)
{
	bool found;

	(void)pthread_mutex_lock(&the_log.lock);
	found = strstr(the_log.last, part) != NULL;
	(void)pthread_mutex_unlock(&the_log.lock);
	return found;
}

/* ---- applications ---------------------------------------------------------------------------- */

static int
greet(void *replica, pinion_request *req)
{
	pinion_str name = pinion_arg_str(req, 0), language = pinion_arg_str(req, 1);

	(void)replica;
	return pinion_reply_fmt(req, "%.*s %.*s", pinion_str_is(language, "spanish") ? 4 : 5,
	    pinion_str_is(language, "spanish") ? "Hola" : "Hello", PINION_STR_FMT(name));
}

static const pinion_deployment greeter = {
	.name = "Greeter",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, greet,
	    .params = PINION_PARAMS(PINION_STR("name"), PINION_STR_OR("language", "english")),
	    .returns = PINION_RETURNS_STR)),
};

static int
greeting_forward(void *replica, pinion_request *req)
{
	pinion_str name = pinion_arg_str(req, 0), language = pinion_arg_str(req, 1);

	return pinion_forward(req, *(pinion_handle *)replica, PINION_ARGS(name, language));
}

static int
front_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

/* Forwards what the greeter does not take: no fault of the client's. */
static int
greeting_misforward(void *replica, pinion_request *req)
{
	return pinion_forward(req, *(pinion_handle *)replica, PINION_ARGS(INT64_C(1)));
}

static const pinion_deployment wrong_front = {
	.name = "WrongFront",
	.replica_size = sizeof(pinion_handle),
	.init = front_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("greeter")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, greeting_misforward, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment front = {
	.name = "Front",
	.replica_size = sizeof(pinion_handle),
	.init = front_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("greeter")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, greeting_forward,
	    .params = PINION_PARAMS(PINION_STR("name"), PINION_STR_OR("language", "english")),
	    .returns = PINION_RETURNS_STR)),
};

/* Its caller's caller is the ingress. */
static int
say_id(void *replica, pinion_request *req)
{
	pinion_context context;

	(void)replica;
	pinion_request_context(req, &context);
	return pinion_reply(req, context.request_id);
}

static const pinion_deployment traced = {
	.name = "Traced",
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, say_id, .returns = PINION_RETURNS_STR)),
};

static int
ask_below(void *replica, pinion_request *req)
{
	return pinion_reply_response(
	    req, pinion_call(*(const pinion_handle *)replica, PINION_ARGS()));
}

static const pinion_deployment tracing = {
	.name = "Tracing",
	.replica_size = sizeof(pinion_handle),
	.init = front_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("traced")),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, ask_below, .returns = PINION_RETURNS_STR)),
};

static int
fail_always(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_fail(req, -EINVAL, "secret\n%lld", (long long)pinion_arg_i64(req, 0));
}

static const pinion_deployment failing = {
	.name = "Failing",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, fail_always,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_STR)),
};

/* One deployment for each kind of result; `x` says which value. */
#define GIVER(kind, value, ...) \
	static int give_##kind(void *replica, pinion_request *req) \
	{ \
		int64_t x = pinion_arg_i64(req, 0); \
		(void)replica; \
		(void)x; \
		return pinion_reply(req, value); \
	} \
	static const pinion_deployment giver_##kind = { \
		.name = "Giver_" #kind, \
		.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, give_##kind, \
		    .params = PINION_PARAMS(PINION_I64_OR("x", 0)), .returns = __VA_ARGS__)), \
	}

struct pair {
	int64_t a, b;
};
static const char long_text[2000];
static const double reals[] = { 0.1, 3.0, 1e300, -2.5e-7, NAN, INFINITY };

GIVER(bool, x != 0, PINION_RETURNS_BOOL);
GIVER(i64, x, PINION_RETURNS_I64);
GIVER(u64, UINT64_MAX, PINION_RETURNS_U64);
GIVER(f64, reals[x], PINION_RETURNS_F64);
GIVER(bytes, ((pinion_bytes){ "\0\xff\n", 3 }), PINION_RETURNS_BYTES);
GIVER(long, ((pinion_str){ long_text, sizeof long_text }), PINION_RETURNS_STR);
GIVER(struct, PINION_STRUCT_OF((struct pair){ x, x }), PINION_RETURNS_STRUCT(struct pair));

static int
give_nothing(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 0;
}

static const pinion_deployment giver_nothing = {
	.name = "Giver_nothing",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, give_nothing)),
};

struct built {
	const char *name;
	const pinion_deployment *deployment;
};
static const struct built apps[] = {
	{ "greet", &greeter },
	{ "fail", &failing },
	{ "bool", &giver_bool },
	{ "i64", &giver_i64 },
	{ "u64", &giver_u64 },
	{ "f64", &giver_f64 },
	{ "bytes", &giver_bytes },
	{ "long", &giver_long },
	{ "struct", &giver_struct },
	{ "nothing", &giver_nothing },
};
enum {
	APPS = sizeof apps / sizeof *apps
};

static pinion_node *
build_one(pinion_app *build, const pinion_config *config)
{
	const char *name = pinion_config_get(config, "name", "");

	for (unsigned i = 0; i < APPS; i++)
		if (strcmp(apps[i].name, name) == 0)
			return pinion_bind(build, apps[i].deployment, PINION_ARGS());
	return pinion_build_fail(build, "no %s", name);
}

static pinion_node *
build_front(pinion_app *build, const pinion_config *config)
{
	pinion_node *node = pinion_bind(build, &greeter, PINION_ARGS());

	(void)config;
	return pinion_bind(build, &front, PINION_ARGS(node));
}

static pinion_node *
build_tracing(pinion_app *build, const pinion_config *config)
{
	pinion_node *node = pinion_bind(build, &traced, PINION_ARGS());

	(void)config;
	return pinion_bind(build, &tracing, PINION_ARGS(node));
}

static pinion_node *
build_wrong_front(pinion_app *build, const pinion_config *config)
{
	pinion_node *node = pinion_bind(build, &greeter, PINION_ARGS());

	(void)config;
	return pinion_bind(build, &wrong_front, PINION_ARGS(node));
}

static int
set_up(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 2, .no_pin = true), 0);
	for (unsigned i = 0; i < APPS; i++) {
		const pinion_pair pair = { "name", apps[i].name };
		const pinion_config config = { &pair, 1 };

		assert_int_equal(
		    pinion_run(rt, build_one, &handle, .name = apps[i].name, .config = &config), 0);
	}
	assert_int_equal(
	    pinion_run(rt, build_front, &handle, .name = "front", .route_prefix = "/front/door"),
	    0);
	assert_int_equal(pinion_run(rt, build_wrong_front, &handle, .name = "wrong"), 0);
	assert_int_equal(pinion_run(rt, build_tracing, &handle, .name = "tracing"), 0);
	assert_int_equal(pinion_http_start(rt, &http, .port = -1, .body_max = BODY_MAX,
			     .log = log_line, .log_arg = &the_log),
	    0);
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

/* ---- tests ----------------------------------------------------------------------------------- */

static void
expect(int status, const char *type, const char *body)
{
	assert_string_equal(answered.body, body);
	assert_int_equal(answered.status, status);
	assert_true(header_is(&answered, "Content-Type", type));
	assert_non_null(header_in(answered.head, "X-Request-ID"));
}

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

static void
a_forwarded_call_answers_like_any_other(void **state)
{
	(void)state;
	post(port, "/front/door", "{\"name\": \"Dora\", \"language\": \"spanish\"}", &answered);
	expect(200, TEXT, "Hola Dora");
}

static void
results_are_shown_by_their_kind(void **state)
{
	static const char *const reals_shown[] = { "0.1", "3.0", "1e300", "-2.5e-7" };
	char body[32];

	(void)state;
	post(port, "/bool", "{\"x\": 1}", &answered);
	expect(200, JSON, "true");
	post(port, "/bool", "", &answered);
	expect(200, JSON, "false");
	post(port, "/i64", "{\"x\": -9223372036854775808}", &answered);
	expect(200, JSON, "-9223372036854775808");
	post(port, "/u64", "", &answered);
	expect(200, JSON, "18446744073709551615");
	post(port, "/nothing", "", &answered);
	expect(200, JSON, "null");
	for (unsigned i = 0; i < sizeof reals_shown / sizeof *reals_shown; i++) {
		(void)snprintf(body, sizeof body, "{\"x\": %u}", i);
		post(port, "/f64", body, &answered);
		expect(200, JSON, reals_shown[i]);
	}
	post(port, "/bytes", "", &answered);
	assert_int_equal(answered.length, 3);
	assert_memory_equal(answered.body, "\0\xff\n", 3);
	assert_true(header_is(&answered, "Content-Type", "application/octet-stream"));
}

static void
results_that_no_text_can_show_are_errors(void **state)
{
	(void)state;
	post(port, "/struct", "", &answered);
	expect(500, TEXT, "a struct cannot be shown");
	assert_true(was_logged("a struct cannot be shown"));
	post(port, "/f64", "{\"x\": 4}", &answered);
	expect(500, TEXT, "this number cannot be shown");
	post(port, "/f64", "{\"x\": 5}", &answered);
	expect(500, TEXT, "this number cannot be shown");
}

static void
a_handlers_error_is_logged_and_not_shown(void **state)
{
	(void)state;
	exchange(port,
	    "POST /fail HTTP/1.1\r\nHost: test\r\nX-Request-ID: abc-1\r\n"
	    "Content-Length: 8\r\n\r\n{\"x\": 7}",
	    &answered);
	expect(500, TEXT, "Internal Server Error");
	assert_true(was_logged("abc-1"));
	assert_true(was_logged("Failing"));
	assert_true(was_logged("secret?7")); /* a line end could forge a line */
	post(port, "/wrong", "", &answered);
	expect(500, TEXT, "Internal Server Error");
	assert_true(was_logged("name"));
}

static uint64_t
calls_that_failed(void)
{
	unsigned workers = pinion_worker_look(rt, 0, NULL);
	pinion_worker_status status;
	uint64_t failed = 0;

	for (unsigned i = 0; i < workers; i++) {
		(void)pinion_worker_look(rt, i, &status);
		failed += status.failed;
	}
	return failed;
}

static void
behaviour_27_the_log_says_once_where_an_error_arose(void **state)
{
	static const struct {
		const char *target, *body, *log;
	} cases[] = {
		{ "/long", "", " to long: Giver_long.__call__ replies 2000 bytes" },
		{ "/fail", "{\"x\": 7}", " to fail: Failing.__call__: secret?7" },
	};

	uint64_t failed = calls_that_failed();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		post(port, cases[i].target, cases[i].body, &answered);
		assert_int_equal(answered.status, 500);
		assert_true(was_logged(cases[i].log));
		assert_int_equal(calls_that_failed(), ++failed);
	}
	get(port, "/greet?name=x", &answered);
	assert_int_equal(answered.status, 200);
	assert_int_equal(calls_that_failed(), failed);
}

static void
unknown_paths_are_not_found(void **state)
{
	static const char *const targets[] = { "/", "/gree", "/greeting", "/front", "/front/doors",
		"/-/other", "/-/routes/x" };

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		get(port, targets[i], &answered);
		expect(404, TEXT, "Not Found");
	}
	post(port, "/", "{}", &answered);
	expect(404, TEXT, "Not Found");
}

static void
paths_below_a_prefix_are_its_applications(void **state)
{
	(void)state;
	get(port, "/greet/some/where?name=x", &answered);
	expect(200, TEXT, "Hello x");
	get(port, "/greet/?name=x", &answered);
	expect(200, TEXT, "Hello x");
	get(port, "/%67reet?name=x", &answered);
	expect(200, TEXT, "Hello x");
}

static void
other_verbs_are_refused_with_those_allowed(void **state)
{
	static const char *const verbs[] = { "DELETE", "PATCH", "OPTIONS", "BREW" };
	char request[128];

	(void)state;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		(void)snprintf(request, sizeof request,
		    "%s /greet?name=x HTTP/1.1\r\nHost: test\r\n\r\n", verbs[i]);
		exchange(port, request, &answered);
		assert_int_equal(answered.status, 405);
		assert_true(header_is(&answered, "Allow", "GET, HEAD, POST, PUT"));
	}
	post(port, "/-/healthz", "", &answered);
	assert_int_equal(answered.status, 405);
	assert_true(header_is(&answered, "Allow", "GET, HEAD"));
}

/* The body left out shows when the connection is used again. */
static void
head_is_answered_as_get_is_without_the_body(void **state)
{
	static const char *const targets[] = { "/greet?name=x", "/greet", "/none", "/-/routes" };
	static const char *const same[] = { "Content-Length", "Content-Type" };
	static struct answered of_get;
	char request[128];

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		struct client *client = client_open(port);

		(void)snprintf(
		    request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: test\r\n\r\n", targets[i]);
		client_send(client, request);
		assert_true(client_read_to(client, true, &answered));
		(void)snprintf(
		    request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", targets[i]);
		client_send(client, request);
		client_read(client, &of_get);
		client_close(client);
		assert_int_equal(answered.status, of_get.status);
		for (size_t k = 0; k < sizeof same / sizeof *same; k++) {
			const char *value = header_in(of_get.head, same[k]);

			assert_non_null(value);
			assert_memory_equal(
			    header_in(answered.head, same[k]), value, strcspn(value, "\n"));
		}
		assert_non_null(header_in(answered.head, "X-Request-ID"));
	}
}

static void
behaviour_110_its_own_pages_tell_health_and_routes(void **state)
{
	(void)state;
	get(port, "/-/healthz", &answered);
	expect(200, TEXT, "success");
	exchange(port, "HEAD /-/healthz HTTP/1.1\r\nHost: test\r\n\r\n", &answered);
	assert_int_equal(answered.status, 200);
	get(port, "/-/routes", &answered);
	assert_int_equal(answered.status, 200);
	assert_true(header_is(&answered, "Content-Type", JSON));
	assert_int_equal(answered.body[0], '{');
	assert_non_null(strstr(answered.body, "\"/greet\":\"greet\""));
	assert_non_null(strstr(answered.body, "\"/front/door\":\"front\""));
}

/* A JSON string of `length` bytes, as a whole body. */
static void
send_long(struct client *client, size_t length, const char *framing)
{
	char *body = malloc(length + 1);
	char head[128];

	assert_non_null(body);
	memset(body, 'x', length);
	memcpy(body, "{\"name\":\"", 9);
	memcpy(body + length - 2, "\"}", 3);
	(void)snprintf(head, sizeof head, "POST /greet HTTP/1.1\r\nHost: test\r\n%s\r\n", framing);
	client_send(client, head);
	client_send_bytes(client, body, length);
	free(body);
}

static void
a_body_of_the_limit_is_taken_and_one_byte_more_is_not(void **state)
{
	struct client *client = client_open(port);
	char framing[64];

	(void)state;
	(void)snprintf(framing, sizeof framing, "Content-Length: %d\r\n", BODY_MAX);
	send_long(client, BODY_MAX, framing);
	client_read(client, &answered);
	assert_true(answered.status == 200 || answered.status == 500); /* result_max is less */
	/* Refused by what it says, before it is sent. */
	(void)snprintf(framing, sizeof framing,
	    "POST /greet HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", BODY_MAX + 1);
	client_send(client, framing);
	client_read(client, &answered);
	expect(413, TEXT, "Content Too Large");
	client_close(client);
}

static void
a_body_in_chunks_is_refused_when_it_has_become_too_long(void **state)
{
	struct client *client = client_open(port);
	char framing[64];

	(void)state;
	(void)snprintf(
	    framing, sizeof framing, "Transfer-Encoding: chunked\r\n\r\n%x", BODY_MAX + 1);
	send_long(client, BODY_MAX + 1, framing);
	client_send(client, "\r\n0\r\n\r\n");
	client_read(client, &answered);
	assert_int_equal(answered.status, 413);
	client_close(client);
}

static void
a_body_in_chunks_is_put_together(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	client_send(client,
	    "POST /greet HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "9\r\n{\"name\": \r\n7\r\n\"Dora\"}\r\n0\r\n\r\n");
	client_read(client, &answered);
	expect(200, TEXT, "Hello Dora");
	client_close(client);
}

static void
ask_with_id(const char *id)
{
	char request[512];

	(void)snprintf(request, sizeof request,
	    "GET /-/healthz HTTP/1.1\r\nHost: test\r\nX-Request-ID: %s\r\n\r\n", id);
	exchange(port, request, &answered);
}

static void
behaviour_111_a_plain_request_id_is_kept(void **state)
{
	char id[129];

	(void)state;
	ask_with_id("trace-7_b.C:1+2/3=4@5");
	assert_true(header_is(&answered, "X-Request-ID", "trace-7_b.C:1+2/3=4@5"));
	memset(id, 'a', 128);
	id[128] = '\0';
	ask_with_id(id);
	assert_true(header_is(&answered, "X-Request-ID", id));
}

static bool
is_uuid(const char *id)
{
	static const char shape[] = "hhhhhhhh-hhhh-4hhh-hhhh-hhhhhhhhhhhh\r";

	for (size_t i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'h' ? strchr("0123456789abcdef", id[i]) == NULL : id[i] != shape[i])
			return false;
	return true;
}

/* In a child's handler: the client's, or the one that was made for it. */
static void
behaviour_111_an_id_is_seen_in_the_calls_below(void **state)
{
	(void)state;
	exchange(port, "GET /tracing HTTP/1.1\r\nHost: test\r\nX-Request-ID: trace-7\r\n\r\n",
	    &answered);
	expect(200, TEXT, "trace-7");
	get(port, "/tracing", &answered);
	assert_true(is_uuid(header_in(answered.head, "X-Request-ID")));
	assert_int_equal(answered.length, 36);
	assert_memory_equal(answered.body, header_in(answered.head, "X-Request-ID"), 36);
}

static void
a_strange_or_missing_request_id_is_replaced(void **state)
{
	char id[130], first[40];

	(void)state;
	memset(id, 'a', 129);
	id[129] = '\0';
	ask_with_id(id);
	assert_true(is_uuid(header_in(answered.head, "X-Request-ID")));
	ask_with_id("two words");
	assert_true(is_uuid(header_in(answered.head, "X-Request-ID")));
	ask_with_id("<b>");
	assert_true(is_uuid(header_in(answered.head, "X-Request-ID")));
	get(port, "/none", &answered);
	assert_true(is_uuid(header_in(answered.head, "X-Request-ID")));
	memcpy(first, header_in(answered.head, "X-Request-ID"), 36);
	get(port, "/none", &answered);
	assert_memory_not_equal(first, header_in(answered.head, "X-Request-ID"), 36);
}

static void
a_refused_request_leaves_its_connection_usable(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	client_post(client, "POST", "/none", "{\"name\": \"x\"}");
	client_read(client, &answered);
	assert_int_equal(answered.status, 404);
	client_post(client, "POST", "/greet", "{\"name\": 1}");
	client_read(client, &answered);
	assert_int_equal(answered.status, 400);
	client_post(client, "POST", "/fail", "{\"x\": 1}");
	client_read(client, &answered);
	assert_int_equal(answered.status, 500);
	client_post(client, "PUT", "/greet", "{\"name\": \"x\"}");
	client_read(client, &answered);
	expect(200, TEXT, "Hello x"); /* and PUT is as good as POST */
	client_close(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forwarded_call_answers_like_any_other),
		cmocka_unit_test(results_are_shown_by_their_kind),
		cmocka_unit_test(results_that_no_text_can_show_are_errors),
		cmocka_unit_test(a_handlers_error_is_logged_and_not_shown),
		cmocka_unit_test(behaviour_27_the_log_says_once_where_an_error_arose),
		cmocka_unit_test(unknown_paths_are_not_found),
		cmocka_unit_test(paths_below_a_prefix_are_its_applications),
		cmocka_unit_test(other_verbs_are_refused_with_those_allowed),
		cmocka_unit_test(head_is_answered_as_get_is_without_the_body),
		cmocka_unit_test(behaviour_110_its_own_pages_tell_health_and_routes),
		cmocka_unit_test(a_body_of_the_limit_is_taken_and_one_byte_more_is_not),
		cmocka_unit_test(a_body_in_chunks_is_refused_when_it_has_become_too_long),
		cmocka_unit_test(a_body_in_chunks_is_put_together),
		cmocka_unit_test(behaviour_111_a_plain_request_id_is_kept),
		cmocka_unit_test(behaviour_111_an_id_is_seen_in_the_calls_below),
		cmocka_unit_test(a_strange_or_missing_request_id_is_replaced),
		cmocka_unit_test(a_refused_request_leaves_its_connection_usable),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
