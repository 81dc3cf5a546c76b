/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed - Pinion inside a program with an event loop of its own; no HTTP, no waiting in a call.
 *
 *   $ embed 100000
 *   100000 answers, all right
 *
 * 32 calls are kept outstanding. The loop takes what has ended, sends as many again, and sleeps in
 * epoll_wait only when there is nothing to do, as it would for its sockets.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <pinion/pinion.h>

enum {
	OUTSTANDING_MAX = 32
};

static int
square(void *replica, pinion_request *req)
{
	int64_t x = pinion_arg_i64(req, 0);

	(void)replica;
	return pinion_reply(req, x * x);
}

static const pinion_deployment squarer = {
	.name = "Squarer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, square,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &squarer, PINION_ARGS());
}

struct client {
	pinion_port *port;
	pinion_handle handle;
	int epoll;
	int64_t sent, answered, goal;
};

/* pinion_harvest gives the responses back; the tag says which call it was. */
static int
send_more(struct client *self)
{
	while (self->sent < self->goal && self->sent - self->answered < OUTSTANDING_MAX) {
		pinion_response response = pinion_call_tagged(
		    self->port, self->handle, PINION_ARGS(self->sent), (uint64_t)self->sent);
		pinion_error error = pinion_response_error(response);

		if (error.code != 0) {
			fprintf(stderr, "not sent: %.*s\n", PINION_STR_FMT(error.text));
			return -1;
		}
		self->sent++;
	}
	return 0;
}

static int
take(struct client *self, const pinion_finished *finished)
{
	int64_t x = (int64_t)finished->tag, value = 0;
	int err = pinion_result_on(self->port, finished->response, &value);

	pinion_release_on(self->port, finished->response);
	self->answered++;
	if (err == 0 && value == x * x)
		return 0;
	fprintf(stderr, "call %" PRId64 ": %s, value %" PRId64 "\n", x, strerror(-err), value);
	return -1;
}

/* Armed, the port makes its descriptor readable; edge-triggered, so nobody has to read it. */
static int
wait_for_more(struct client *self)
{
	struct epoll_event event;

	if (pinion_port_arm(self->port))
		return 0; /* something has come meanwhile */
	if (epoll_wait(self->epoll, &event, 1, -1) >= 0 || errno == EINTR)
		return 0;
	perror("epoll_wait");
	return -1;
}

static int
loop(struct client *self)
{
	pinion_finished finished[OUTSTANDING_MAX];
	int err = 0;

	while (err == 0 && self->answered < self->goal) {
		unsigned count = pinion_harvest(self->port, finished, OUTSTANDING_MAX);

		for (unsigned i = 0; i < count && err == 0; i++)
			err = take(self, &finished[i]);
		if (err == 0)
			err = send_more(self);
		if (err == 0 && count == 0)
			err = wait_for_more(self);
	}
	return err;
}

static int
watch_port(struct client *self)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int fd = pinion_port_fd(self->port);

	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (fd >= 0 && self->epoll >= 0 && epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	perror("epoll");
	return -1;
}

/* How many calls; -1: that is no number of calls. */
static int64_t
goal_parse(const char *text)
{
	char *end;
	long long goal;

	errno = 0;
	goal = strtoll(text, &end, 10);
	return errno != 0 || end == text || *end != '\0' || goal <= 0 ? -1 : goal;
}

int
main(int argc, char **argv)
{
	struct client client = { .goal = argc > 1 ? goal_parse(argv[1]) : 100000 };
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	int err = -1;

	if (argc > 2 || client.goal < 0) {
		fprintf(stderr, "usage: embed [CALLS], 1 or more; 100000 when not given\n");
		return 1;
	}
	if (pinion_start(&rt, .name = "embed", .diag = &diag) != 0 ||
	    pinion_run(rt, build_app, &client.handle, .diag = &diag) != 0)
		fprintf(stderr, "%s\n", diag.text);
	else if (pinion_port_open(rt, &client.port) == 0 && watch_port(&client) == 0)
		err = loop(&client);
	if (err == 0)
		printf("%" PRId64 " answers, all right\n", client.answered);
	if (client.port != NULL)
		pinion_port_close(client.port);
	pinion_stop(rt); /* NULL is fine */
	return err == 0 ? 0 : 1;
}
