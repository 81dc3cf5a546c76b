/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counted - that many calls in a caller-driven runtime, for callgrind: on one thread its counts repeat.
 *
 *   counted CALLS remote   submit, turn, read, release: each is one function of the public interface
 *   counted CALLS local    by a handler to its own worker: read runs what was submitted
 *   counted CALLS chain    as local, each with a stage more
 *   counted CALLS beside   as remote, beside 400 ports that do nothing
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

enum {
	OTHERS = 400
};

static int
increment(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

/* That many calls to its own worker; how many went wrong. */
static int
call_locally(void *replica, pinion_request *req)
{
	int64_t calls = pinion_arg_i64(req, 1), wrong = 0;

	(void)replica;
	for (int64_t i = 0; i < calls; i++) {
		pinion_response r = pinion_call(pinion_arg_handle(req, 0), PINION_ARGS(i));
		int64_t x = 0;

		wrong += pinion_result(r, &x) != 0 || x != i + 1;
		pinion_release(r);
	}
	return pinion_reply(req, wrong);
}

/* The same with a stage more, which takes what the first answers. */
static int
chain_locally(void *replica, pinion_request *req)
{
	pinion_handle to = pinion_arg_handle(req, 0);
	int64_t calls = pinion_arg_i64(req, 1), wrong = 0;

	(void)replica;
	for (int64_t i = 0; i < calls; i++) {
		pinion_response first = pinion_call(to, PINION_ARGS(i));
		pinion_response r = pinion_call(to, PINION_ARGS(first));
		int64_t x = 0;

		wrong += pinion_result(r, &x) != 0 || x != i + 2;
		pinion_release(r);
		pinion_release(first);
	}
	return pinion_reply(req, wrong);
}

static const pinion_deployment worker = {
	.name = "Worker",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, increment, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("call_locally", call_locally,
		.params = PINION_PARAMS(PINION_HANDLE("to"), PINION_I64("calls")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("chain_locally", chain_locally,
		.params = PINION_PARAMS(PINION_HANDLE("to"), PINION_I64("calls")),
		.returns = PINION_RETURNS_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &worker, PINION_ARGS());
}

static int64_t
count_remote(pinion_runtime *rt, pinion_port *port, pinion_handle handle, int64_t calls)
{
	int64_t wrong = 0;

	for (int64_t i = 0; i < calls; i++) {
		pinion_response r = pinion_call_on(port, handle, PINION_ARGS(i));
		int64_t x = 0;

		wrong += pinion_work(rt) == 0;
		wrong += pinion_result_on(port, r, &x) != 0 || x != i + 1;
		pinion_release_on(port, r);
		wrong += pinion_work(rt) != 0; /* an idle turn: what a poll costs */
	}
	return wrong;
}

static int64_t
count_beside(pinion_runtime *rt, pinion_port *port, pinion_handle handle, int64_t calls)
{
	static pinion_port *others[OTHERS];
	int64_t wrong = 0;

	for (unsigned i = 0; i < OTHERS; i++)
		wrong += pinion_port_open(rt, &others[i]) != 0;
	wrong += count_remote(rt, port, handle, calls);
	for (unsigned i = 0; i < OTHERS; i++)
		pinion_port_close(others[i]);
	return wrong;
}

static int64_t
count_in_handler(pinion_port *port, pinion_handle handle, const char *method, int64_t calls)
{
	pinion_response r =
	    pinion_call_on(port, pinion_method_of(handle, method), PINION_ARGS(handle, calls));
	int64_t wrong = 0;

	if (pinion_result_on(port, r, &wrong) != 0)
		wrong = 1;
	pinion_release_on(port, r);
	return wrong;
}

int
main(int argc, char **argv)
{
	int64_t calls = argc == 3 ? strtoll(argv[1], NULL, 10) : 0, wrong;
	const char *mode = argc == 3 ? argv[2] : "";
	pinion_runtime *rt = NULL;
	pinion_port *port = NULL;
	pinion_handle handle;

	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .arena_bytes = 1 << 18) != 0 ||
	    pinion_run(rt, build, &handle) != 0 || pinion_port_open(rt, &port) != 0 ||
	    pinion_port_warm(port) != 0)
		return 1;
	if (strcmp(mode, "local") == 0)
		wrong = count_in_handler(port, handle, "call_locally", calls);
	else if (strcmp(mode, "chain") == 0)
		wrong = count_in_handler(port, handle, "chain_locally", calls);
	else if (strcmp(mode, "beside") == 0)
		wrong = count_beside(rt, port, handle, calls);
	else
		wrong = count_remote(rt, port, handle, calls);
	pinion_port_close(port);
	pinion_stop(rt);
	printf("%" PRId64 " calls, %" PRId64 " wrong\n", calls, wrong);
	return wrong == 0 ? 0 : 1;
}
