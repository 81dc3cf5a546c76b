/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A stream is a body that comes item by item, as they are made, in the form that the client accepts; a client
 *         that goes, and a time that is over, cancel what runs for them; nothing is left.
 * Method  A client that reads bytes as they come; a producer that waits for the test before each further item, so
 *         that what has arrived before was not held back. The census is zero behind every test.
 */
#include "tests/ingress/client.h"

#include <sched.h>
#include <stdatomic.h>

#include <pinion/pinion.h>
#include <pinion/pinion_http.h>

#define HOUR (INT64_C(3600) * 1000000000)

static pinion_runtime *rt;
static pinion_http *http;
static unsigned port;
static struct answered answered;
static _Atomic int64_t allowed; /* items that the producer may yield */
static _Atomic int64_t started, canceled;
static _Atomic bool is_free;

/* ---- handlers ------------------------------------------------------------------------------- */

static int
end_with(int err)
{
	atomic_fetch_add(&canceled, err == -ECANCELED || err == -ETIMEDOUT);
	return err;
}

/* Each when the test allows it; then fails, if that was asked for. */
static int
count(void *replica, pinion_request *req)
{
	int64_t items = pinion_arg_i64(req, 0);
	int err = 0;

	(void)replica;
	atomic_fetch_add(&started, 1);
	for (int64_t i = 0; i < items && err == 0; i++) {
		while (atomic_load(&allowed) <= i && err == 0)
			err = pinion_sleep(req, 100000);
		if (err == 0)
			err = pinion_yield(req, i);
	}
	if (err != 0)
		return end_with(err);
	return pinion_arg_bool(req, 1) ? pinion_fail(req, -EDOM, "secret") : 0;
}

static int
spell(void *replica, pinion_request *req)
{
	static const char *const words[] = { "one", "tw\"o", "thr\nee" };
	int err = 0;

	(void)replica;
	(void)pinion_arg_i64(req, 0);
	for (int i = 0; i < 3 && err == 0; i++)
		err = pinion_yield(req, words[i]);
	return err;
}

static int
nap(void *replica, pinion_request *req)
{
	(void)replica;
	atomic_fetch_add(&started, 1);
	return end_with(pinion_sleep(req, pinion_arg_i64(req, 0)));
}

/* Hears nothing. */
static int
deaf(void *replica, pinion_request *req)
{
	(void)replica;
	(void)pinion_arg_i64(req, 0);
	atomic_fetch_add(&started, 1);
	while (!atomic_load(&is_free))
		(void)sched_yield();
	return 0;
}

#define COUNT_PARAMS .params = PINION_PARAMS(PINION_I64("items"), PINION_BOOL_OR("fails", false))
#define X_PARAMS .params = PINION_PARAMS(PINION_I64_OR("x", 0))

static const pinion_deployment counting = { .name = "Counting",
	.methods = PINION_METHODS(PINION_METHOD(
	    PINION_CALL, count, COUNT_PARAMS, .returns = PINION_RETURNS_I64, .stream = true)) };
static const pinion_deployment spelling = { .name = "Spelling",
	.methods = PINION_METHODS(PINION_METHOD(
	    PINION_CALL, spell, X_PARAMS, .returns = PINION_RETURNS_STR, .stream = true)) };
static const pinion_deployment napping = { .name = "Napping",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, nap, X_PARAMS)) };
static const pinion_deployment being_deaf = { .name = "Deaf",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, deaf, X_PARAMS)) };

/* What it is told goes on to its own caller. */
static int
ask_queue(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(*(const pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));

	return pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE });
}

static int
asking_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment asking = { .name = "Asking",
	.replica_size = sizeof(pinion_handle),
	.init = asking_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("queue")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, ask_queue, X_PARAMS)) };

static pinion_handle queue;

static pinion_node *
build_asking(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &asking, PINION_ARGS(queue));
}

static const pinion_deployment *wanted;
static int32_t wanted_queue;

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, wanted, PINION_ARGS(),
	    .max_ongoing_requests = wanted_queue == 0 ? 0 : 1, .max_queued_requests = wanted_queue);
}

static pinion_handle
run(const pinion_deployment *deployment, const char *name, int32_t max_queued)
{
	pinion_handle handle;

	wanted = deployment;
	wanted_queue = max_queued;
	assert_int_equal(pinion_run(rt, build, &handle, .name = name), 0);
	return handle;
}

static int
set_up_with(int64_t request_timeout_ns)
{
	pinion_handle handle;

	assert_int_equal(pinion_start(&rt, .workers = 2, .no_pin = true), 0);
	(void)run(&counting, "count", 0);
	(void)run(&spelling, "spell", 0);
	(void)run(&napping, "nap", 0);
	queue = run(&napping, "queue", 1);
	(void)run(&being_deaf, "deaf", 0);
	(void)run(&being_deaf, "busy", 1);
	assert_int_equal(pinion_run(rt, build_asking, &handle, .name = "asking"), 0);
	atomic_store(&allowed, INT64_MAX);
	atomic_store(&started, 0);
	atomic_store(&canceled, 0);
	atomic_store(&is_free, false);
	assert_int_equal(
	    pinion_http_start(rt, &http, .port = -1, .request_timeout_ns = request_timeout_ns), 0);
	port = pinion_http_port(http);
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	return set_up_with(0);
}

static int
set_up_impatient(void **state)
{
	(void)state;
	return set_up_with(20000000);
}

static int
tear_down(void **state)
{
	pinion_census census;

	(void)state;
	atomic_store(&is_free, true);
	pinion_http_stop(http);
	do /* what was canceled last may still be ending */
		pinion_census_take(rt, &census);
	while (census.custody != 0 || census.fibers != 0 || census.ports > 0);
	assert_int_equal(census.slots, 0);
	assert_int_equal(census.blocks, 0);
	pinion_stop(rt);
	return 0;
}

/* ---- a client that reads what has come ------------------------------------------------------ */

static void
ask(struct client *client, const char *verb, const char *target, const char *accept)
{
	char request[512];

	(void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: t\r\nAccept: %s\r\n\r\n",
	    verb, target, accept);
	client_send(client, request);
}

/* The size of the chunk that is whole at the front of what has come; -1: none is. */
static long
whole_chunk(const struct client *client, size_t *head)
{
	char *end;
	long size = strtol(client->data, &end, 16);

	if (end == client->data || strncmp(end, "\r\n", 2) != 0)
		return -1;
	*head = (size_t)(end - client->data) + 2;
	return client->length >= *head + (size_t)size + 2 ? size : -1;
}

/* Appends the next chunk's bytes. 1, 0: the last one, -1: it was cut off. */
static int
next_chunk(struct client *client, char *body, size_t room)
{
	size_t head = 0, all, length = strlen(body);
	long size;

	while ((size = whole_chunk(client, &head)) < 0)
		if (!client_receive(client))
			return -1;
	assert_true(length + (size_t)size < room);
	memcpy(body + length, client->data + head, (size_t)size);
	body[length + (size_t)size] = '\0';
	all = head + (size_t)size + 2;
	client->length -= all;
	memmove(client->data, client->data + all, client->length + 1);
	return size != 0;
}

static int
read_all(struct client *client, char *body, size_t room)
{
	int more;

	body[0] = '\0';
	while ((more = next_chunk(client, body, room)) == 1)
		continue;
	return more;
}

static void
assert_body(const char *target, const char *accept, const char *type, const char *expected)
{
	struct client *client = client_open(port);
	char body[4096];

	ask(client, "GET", target, accept);
	client_read(client, &answered);
	assert_int_equal(answered.status, 200);
	assert_true(header_is(&answered, "Content-Type", type));
	assert_non_null(header_in(answered.head, "X-Request-ID"));
	assert_int_equal(read_all(client, body, sizeof body), 0);
	assert_string_equal(body, expected);
	ask(client, "GET", "/-/healthz", "*/*"); /* and the connection lives on */
	client_read(client, &answered);
	assert_string_equal(answered.body, "success");
	client_close(client);
}

static void
await(_Atomic int64_t *number, int64_t value)
{
	while (atomic_load(number) != value)
		(void)sched_yield();
}

/* Its socket is reset. */
static void
close_hard(struct client *client)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	client_close(client);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
behaviour_50_items_come_as_they_are_made(void **state)
{
	struct client *client = client_open(port);
	char body[256] = "";

	(void)state;
	atomic_store(&allowed, 1);
	ask(client, "GET", "/count?items=4", "*/*");
	client_read(client, &answered);
	assert_int_equal(answered.status, 200);
	for (int64_t i = 0; i < 4; i++) {
		char expected[256];

		while (strlen(body) < 2 * (size_t)(i + 1))
			assert_int_equal(next_chunk(client, body, sizeof body), 1);
		(void)snprintf(expected, sizeof expected, "%.*s", 2 * (int)(i + 1), "0\n1\n2\n3\n");
		assert_string_equal(body, expected);
		atomic_store(&allowed, i + 2); /* only now the next is made */
	}
	assert_int_equal(next_chunk(client, body, sizeof body), 0);
	client_close(client);
}

static void
accept_says_the_form(void **state)
{
	static const char numbers[] = "0\n1\n2\n";
	static const char events[] = "data: 0\n\ndata: 1\n\ndata: 2\n\n";

	(void)state;
	assert_body("/count?items=3", "*/*", "text/plain; charset=utf-8", numbers);
	assert_body("/count?items=3", "text/event-stream", "text/event-stream", events);
	assert_body("/count?items=3", "application/x-ndjson", "application/x-ndjson", numbers);
	assert_body("/count?items=3", "text/html, application/json;q=0.5, text/event-stream;q=0.9",
	    "text/event-stream", events);
	assert_body("/count?items=3", "text/event-stream;q=0, application/jsonl;q=0.1",
	    "application/x-ndjson", numbers);
	assert_body("/spell", "*/*", "text/plain; charset=utf-8", "onetw\"othr\nee");
	assert_body("/spell", "text/event-stream", "text/event-stream",
	    "data: \"one\"\n\ndata: \"tw\\\"o\"\n\ndata: \"thr\\nee\"\n\n");
	assert_body("/spell", "application/json", "application/x-ndjson",
	    "\"one\"\n\"tw\\\"o\"\n\"thr\\nee\"\n");
	assert_body("/count?items=0", "*/*", "text/plain; charset=utf-8", "");
}

static void
behaviour_46_an_error_before_any_item_is_an_answer(void **state)
{
	(void)state;
	get(port, "/count?items=0&fails=true", &answered);
	assert_int_equal(answered.status, 500);
	assert_string_equal(answered.body, "Internal Server Error");
	get(port, "/count?items=x", &answered);
	assert_int_equal(answered.status, 400);
	get(port, "/count", &answered);
	assert_int_equal(answered.status, 400);
}

static void
an_error_behind_items_cuts_the_body_off(void **state)
{
	static const char *const forms[] = { "*/*", "application/x-ndjson", "text/event-stream" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct client *client = client_open(port);
		char body[1024];

		ask(client, "GET", "/count?items=2&fails=true", forms[i]);
		client_read(client, &answered);
		assert_int_equal(answered.status, 200);
		assert_int_equal(read_all(client, body, sizeof body), -1);
		assert_non_null(strchr(body, '1'));
		assert_null(strstr(body, "secret"));
		assert_true((strstr(body, "\"error\": {\"status\": 500") != NULL) == (i != 0));
		assert_true((strstr(body, "event: error\ndata: {") != NULL) == (i == 2));
		client_close(client);
	}
}

static void
behaviour_51_a_client_that_goes_cancels_its_stream(void **state)
{
	(void)state;
	for (int64_t i = 0; i < 4; i++) {
		struct client *client = client_open(port);
		char body[CLIENT_ROOM] = "";

		atomic_store(&allowed, i % 2 == 0 ? 1 : INT64_MAX);
		ask(client, "GET", "/count?items=1000000000000", "*/*");
		client_read(client, &answered);
		assert_int_equal(
		    next_chunk(client, body, sizeof body), 1); /* and the next one waits */
		if (i / 2 == 0)
			close_hard(client);
		else
			client_close(client);
		if (i / 2 != 0) /* a closed one shows when there is more to write */
			atomic_store(&allowed, INT64_MAX);
		await(&canceled, i + 1);
	}
}

/* It has not even an answer yet. */
static void
behaviour_60_a_client_that_is_reset_cancels_its_call(void **state)
{
	char target[64];

	(void)state;
	(void)snprintf(target, sizeof target, "/nap?x=%lld", (long long)HOUR);
	for (int64_t i = 0; i < 3; i++) {
		struct client *client = client_open(port);

		ask(client, "GET", target, "*/*");
		await(&started, i + 1);
		close_hard(client);
		await(&canceled, i + 1);
	}
}

static void
who_does_not_read_holds_up_nobody(void **state)
{
	struct client *idle = client_open(port);

	(void)state;
	ask(idle, "GET", "/count?items=1000000000000", "*/*");
	await(&started, 1);
	for (int i = 0; i < 20; i++)
		assert_body("/count?items=3", "*/*", "text/plain; charset=utf-8", "0\n1\n2\n");
	close_hard(idle);
	await(&canceled, 1);
}

static void
behaviour_50_several_come_at_once(void **state)
{
	enum {
		CLIENTS = 20
	};
	struct client *clients[CLIENTS];
	static char body[CLIENT_ROOM];

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_open(port);
		ask(clients[i], "GET", "/count?items=5000", "application/json");
	}
	for (int i = CLIENTS; i-- > 0;) {
		client_read(clients[i], &answered);
		assert_int_equal(read_all(clients[i], body, sizeof body), 0);
		assert_non_null(strstr(body, "\n4999\n"));
		client_close(clients[i]);
	}
}

static void
head_has_no_body(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	ask(client, "HEAD", "/count?items=1000000000000", "*/*");
	assert_true(client_read_to(client, true, &answered));
	assert_int_equal(answered.status, 200);
	await(&canceled, 1);
	client_close(client);
}

static void
stop_cuts_streams_off(void **state)
{
	struct client *client = client_open(port);
	static char body[CLIENT_ROOM];

	(void)state;
	atomic_store(&allowed, 2);
	ask(client, "GET", "/count?items=1000000000000", "*/*");
	client_read(client, &answered);
	pinion_http_stop(http);
	assert_int_equal(read_all(client, body, sizeof body), -1);
	client_close(client);
	http = NULL;
}

/* ---- time and room -------------------------------------------------------------------------- */

static void
behaviour_70_and_71_a_time_that_is_over_is_408(void **state)
{
	char target[64];

	(void)state;
	(void)snprintf(target, sizeof target, "/nap?x=%lld", (long long)HOUR);
	get(port, target, &answered);
	assert_int_equal(answered.status, 408);
	(void)snprintf(target, sizeof target, "/asking?x=%lld", (long long)HOUR);
	get(port, target, &answered); /* a child's */
	assert_int_equal(answered.status, 408);
	get(port, "/deaf", &answered); /* which is not waited for */
	assert_int_equal(answered.status, 408);
	atomic_store(&allowed, 0);
	get(port, "/count?items=1", &answered); /* without any item */
	assert_int_equal(answered.status, 408);
}

static void
behaviour_70_a_stream_that_has_begun_is_cut_off(void **state)
{
	struct client *client = client_open(port);
	char body[1024];

	(void)state;
	atomic_store(&allowed, 1);
	ask(client, "GET", "/count?items=2", "application/json");
	client_read(client, &answered);
	if (answered.status == 200) { /* on a busy machine not even that */
		assert_int_equal(read_all(client, body, sizeof body), -1);
		assert_non_null(strstr(body, "\"status\": 408"));
	} else {
		assert_int_equal(answered.status, 408);
	}
	client_close(client);
}

/* It takes nothing, and gets no error behind what it has: its connection ends. */
static void
a_client_that_takes_nothing_is_cut_off_in_time(void **state)
{
	struct client *client = client_open(port);

	(void)state;
	ask(client, "GET", "/count?items=1000000000000", "*/*");
	await(&canceled, 1);
	while (client_receive(client)) /* what lay between us */
		client->length = 0;
	client_close(client);
}

static void
await_custody(uint64_t count)
{
	pinion_census census;

	do
		pinion_census_take(rt, &census);
	while (census.custody != count);
}

/* What runs does not hear that its time is over, and keeps its place. */
static void
behaviour_70_one_in_the_queue_is_408_and_never_starts(void **state)
{
	struct client *runs = client_open(port);

	(void)state;
	ask(runs, "GET", "/busy", "*/*");
	await(&started, 1);
	get(port, "/busy", &answered);
	assert_int_equal(answered.status, 408);
	client_read(runs, &answered);
	assert_int_equal(answered.status, 408);
	client_close(runs);
	atomic_store(&is_free, true);
	await_custody(0);
	assert_int_equal(atomic_load(&started), 1);
}

static void
behaviour_72_a_client_that_goes_leaves_the_queue(void **state)
{
	struct client *runs = client_open(port);
	char target[64];

	(void)state;
	(void)snprintf(target, sizeof target, "/queue?x=%lld", (long long)HOUR);
	ask(runs, "GET", target, "*/*");
	await(&started, 1);
	for (int i = 0; i < 3; i++) {
		struct client *waits = client_open(port);

		ask(waits, "GET", target, "*/*");
		await_custody(2);
		get(port, target, &answered);
		assert_int_equal(answered.status, 503);
		close_hard(waits);
		await_custody(1);
	}
	assert_int_equal(atomic_load(&started), 1);
	close_hard(runs);
}

static void
behaviour_68_and_69_a_full_queue_is_503_and_soon_again(void **state)
{
	struct client *first = client_open(port), *second = client_open(port);
	pinion_census census;
	char target[64];

	(void)state;
	(void)snprintf(target, sizeof target, "/queue?x=%lld", (long long)HOUR);
	ask(first, "GET", target, "*/*");
	ask(second, "GET", target, "*/*");
	do
		pinion_census_take(rt, &census);
	while (census.custody < 2); /* one runs, one waits */
	for (int i = 0; i < 10; i++) {
		get(port, "/queue?x=0", &answered);
		assert_int_equal(answered.status, 503);
		assert_true(header_is(&answered, "Retry-After", "1"));
	}
	get(port, "/asking",
	    &answered); /* also when it is a child's, and its parent passes it on */
	assert_int_equal(answered.status, 503);
	close_hard(first);
	close_hard(second);
}

static void
wrong_options_are_refused(void **state)
{
	pinion_http *other;
	pinion_diag diag;

	(void)state;
	assert_int_equal(
	    pinion_http_start(rt, &other, .port = -1, .request_timeout_ns = -1, .diag = &diag),
	    -EINVAL);
	assert_non_null(strstr(diag.text, "request_timeout_ns"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define IMPATIENT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_impatient, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(behaviour_50_items_come_as_they_are_made),
		TEST(accept_says_the_form),
		TEST(behaviour_46_an_error_before_any_item_is_an_answer),
		TEST(an_error_behind_items_cuts_the_body_off),
		TEST(behaviour_51_a_client_that_goes_cancels_its_stream),
		TEST(behaviour_60_a_client_that_is_reset_cancels_its_call),
		TEST(who_does_not_read_holds_up_nobody),
		TEST(behaviour_50_several_come_at_once),
		TEST(head_has_no_body),
		TEST(stop_cuts_streams_off),
		IMPATIENT_TEST(behaviour_70_and_71_a_time_that_is_over_is_408),
		IMPATIENT_TEST(behaviour_70_a_stream_that_has_begun_is_cut_off),
		IMPATIENT_TEST(a_client_that_takes_nothing_is_cut_off_in_time),
		IMPATIENT_TEST(behaviour_70_one_in_the_queue_is_408_and_never_starts),
		TEST(behaviour_72_a_client_that_goes_leaves_the_queue),
		TEST(behaviour_68_and_69_a_full_queue_is_503_and_soon_again),
		TEST(wrong_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
