/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/http.c - what a client sends to the HTTP ingress.
 *
 *   input:  a byte, 7 bits: bytes sent at once, 0: all; the 8th: leaves without an answer | the connection's bytes
 *
 * Goal    Whatever is sent, the connection is answered or closed, and others are answered; nothing is kept when it stops.
 * Method  The ingress in this process, over a loopback socket: it listens on TCP and takes no socket that is open already. The input's
 *         end is the end of what the client says, so that the server closes when it has answered. Another connection is open
 *         all the time. All is stopped and started again every STOP_EVERY inputs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pinion/pinion_http.h>

#include "apps.h"
#include "fuzz.h"

enum {
	INPUT_MAX = 8192,   /* bytes: never more than a socket has room for */
	BODY_MAX = 1024,    /* of a request, so that inputs can have more */
	ASK_EVERY = 64,     /* inputs: a right request */
	STOP_EVERY = 16384, /* inputs */
	PIECES_MAX = 64,    /* sends */
	LATE_NS = 300000,
	DRIPS = 4,        /* items */
	WAIT_S = 30,      /* for a server that hangs */
	SOURCES = 1 << 16 /* addresses of 127.0.0.0/8: a port rests for a minute when it was used */
};

static pinion_runtime *rt;
static pinion_http *http;
static int idle_fd; /* a connection that says nothing */

/* ---- applications beside those of apps.h ----------------------------------------------------- */

/* Looks at all there is, and answers with what it was told to. */
static int
show(void *replica, pinion_request *req)
{
	pinion_http_request r;
	pinion_str name, value, key;
	uint32_t headers = 0, pairs = 0;
	char text[160];

	(void)replica;
	if (pinion_http_request_read(pinion_arg_bytes(req, 0), &r) != 0)
		return pinion_fail(req, -EBADMSG, "no request");
	while (pinion_http_header_at(&r, headers, &name, &value))
		headers++;
	while (pinion_http_query_at(&r, pairs, &key, &value))
		pairs++;
	fuzz_check(headers == r.header_count && pairs == r.query_count, "a count is wrong", "");
	value = pinion_http_query(&r, "value");
	(void)snprintf(text, sizeof text, "%.*s", PINION_STR_FMT(value));
	if (pinion_http_reply(req, 200 + (int)(r.body.len % 400),
		PINION_HTTP_HEADERS({ "X-Value", text }), r.body) != 0)
		return pinion_http_reply(req, 400, PINION_HTTP_NO_HEADERS, r.body);
	return 0;
}

/* The body is the answer, with its head; or it is read as a request. */
static int
parrot(void *replica, pinion_request *req)
{
	pinion_http_request r, inner;

	(void)replica;
	if (pinion_http_request_read(pinion_arg_bytes(req, 0), &r) != 0)
		return pinion_fail(req, -EBADMSG, "no request");
	if (pinion_http_request_read(r.body, &inner) == 0) {
		pinion_str host = pinion_http_header(&inner, "Host");

		return pinion_http_reply(req, host.data == NULL ? 201 : 202, PINION_HTTP_NO_HEADERS,
		    (pinion_bytes){ inner.rest.data, inner.rest.len });
	}
	return pinion_reply(req, r.body);
}

/* Long enough for a client to go meanwhile. */
static int
wait_a_little(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_sleep(req, LATE_NS);
}

static int
drip(void *replica, pinion_request *req)
{
	int err = 0;

	for (int64_t i = 0; err == 0 && i < DRIPS; i++) {
		err = pinion_yield(req, i);
		if (err == 0)
			err = wait_a_little(replica, req);
	}
	return err;
}

#define RAW(app, handler) \
	{ \
		.name = (app), \
		.methods = PINION_METHODS( \
		    PINION_METHOD(PINION_CALL, handler, .params = PINION_HTTP_PARAMS, \
			.returns = PINION_RETURNS_BYTES, .result_max = FUZZ_RESULT_MAX)) \
	}

static const pinion_deployment deployments[] = {
	RAW("show", show),
	RAW("parrot", parrot),
	{ .name = "late", .methods = PINION_METHODS(PINION_METHOD(PINION_CALL, wait_a_little)) },
	{ .name = "drip",
	    .methods = PINION_METHODS(
		PINION_METHOD(PINION_CALL, drip, .returns = PINION_RETURNS_I64, .stream = true)) },
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	const char *number = pinion_config_get(config, "number", "0");

	return pinion_bind(app, &deployments[number[0] - '0'], PINION_ARGS());
}

static void
run_others(void)
{
	for (unsigned i = 0; i < sizeof deployments / sizeof *deployments; i++) {
		const char number[] = { (char)('0' + i), '\0' };
		const pinion_pair pair = { "number", number };
		const pinion_config config = { &pair, 1 };
		pinion_diag diag = { "" };
		pinion_handle handle;
		int err = pinion_run(rt, build, &handle, .name = deployments[i].name,
		    .config = &config, .diag = &diag);

		fuzz_check(err == 0, "it does not run", diag.text);
	}
}

/* ---- a client ----------------------------------------------------------------------------------- */

static int
connection_open(void)
{
	static uint32_t source;
	const struct timeval wait = { .tv_sec = WAIT_S };
	const int on = 1;
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffff0000) + 2 + source++ % SOURCES);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		fuzz_check(false, "no socket", strerror(errno));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)pinion_http_port(http));
	while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EISCONN)
		fuzz_check(errno == EINTR || errno == EALREADY, "nobody can connect",
		    strerror(errno)); /* or libFuzzer's alarm */
	return fd;
}

/* A server that closes early is one that has answered, or was told nonsense. */
static void
connection_say(int fd, const uint8_t *data, size_t size, size_t piece)
{
	if (piece == 0 || size / piece > PIECES_MAX)
		piece = size;
	while (size > 0) {
		ssize_t sent = send(fd, data, size < piece ? size : piece, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return;
		data += sent < 0 ? 0 : sent;
		size -= sent < 0 ? 0 : (size_t)sent;
	}
}

/* To the server's end; what has no room is dropped. */
static void
connection_hear(int fd, char *text, size_t room)
{
	size_t length = 0;
	char rest[4096];
	ssize_t got;

	(void)shutdown(fd, SHUT_WR);
	do {
		bool fits = length + 1 < room;

		got = recv(
		    fd, fits ? text + length : rest, fits ? room - 1 - length : sizeof rest, 0);
		if (got > 0 && fits)
			length += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	fuzz_check(got == 0 || errno == ECONNRESET, "the server neither answers nor closes",
	    strerror(errno));
	text[length] = '\0';
}

static void
connection_leave(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* a reset */
}

/* A call and a stream, one behind the other. */
static void
ask(void)
{
	static const char request[] = "GET /i64?x=7 HTTP/1.1\r\nHost: here\r\n\r\n"
				      "GET /count?items=2 HTTP/1.1\r\nHost: here\r\n\r\n";
	static const char ok[] = "HTTP/1.1 200 ", end[] = "\r\n0\r\n\r\n";
	char text[1024];
	size_t length;
	int fd = connection_open();

	connection_say(fd, (const uint8_t *)request, sizeof request - 1, 0);
	connection_hear(fd, text, sizeof text);
	(void)close(fd);
	length = strlen(text);
	fuzz_check(strncmp(text, ok, sizeof ok - 1) == 0 &&
		strstr(text, "\r\n\r\n7HTTP/1.1 200 ") != NULL &&
		strcmp(text + length - (sizeof end - 1), end) == 0,
	    "a right request is not answered", text);
}

static void
talk(uint8_t how, const uint8_t *data, size_t size)
{
	static const char begin[] = "HTTP/1.1 ";
	char text[1024];
	int fd = connection_open();

	connection_say(fd, data, size, how & 0x7f);
	if ((how & 0x80) != 0) {
		connection_leave(fd);
	} else {
		connection_hear(fd, text, sizeof text);
		fuzz_check(text[0] == '\0' || strncmp(text, begin, sizeof begin - 1) == 0,
		    "this is no answer", text);
	}
	(void)close(fd);
}

/* ---- start and stop ----------------------------------------------------------------------------- */

static void
stop(void)
{
	pinion_census census;

	ask();
	(void)close(idle_fd);
	pinion_http_stop(http);
	pinion_census_take(rt, &census);
	fuzz_check(census.slots == 0 && census.blocks == 0 && census.requests == 0,
	    "something is not given back", "");
	pinion_stop(rt);
	http = NULL;
	rt = NULL;
}

static void
at_exit(void)
{
	if (rt != NULL)
		stop();
}

static void
start(void)
{
	static bool is_again;
	pinion_handle handles[FUZZ_APPS];
	pinion_diag diag = { "" };
	int err = pinion_start(&rt, .workers = 1, .no_pin = true, .diag = &diag);

	fuzz_check(err == 0, "it does not start", diag.text);
	fuzz_apps_run(rt, handles);
	run_others();
	err = pinion_http_start(rt, &http, .port = -1, .body_max = BODY_MAX, .diag = &diag);
	fuzz_check(err == 0, "it does not listen", diag.text);
	idle_fd = connection_open();
	if (!is_again)
		(void)atexit(at_exit);
	is_again = true;
}

/* ---- inputs ------------------------------------------------------------------------------------- */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned count;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (rt == NULL)
		start();
	talk(data[0], data + 1, size - 1);
	if (++count % ASK_EVERY == 0)
		ask();
	if (count % STOP_EVERY == 0)
		stop();
	return 0;
}
