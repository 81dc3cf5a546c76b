/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counted - that many calls in a caller-driven runtime, for callgrind: on one thread its counts repeat.
 *
 *   counted CALLS     submit, turn, read, release: each is one function of the public interface
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <pinion/pinion.h>

static int
increment(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static const pinion_deployment worker = {
	.name = "Worker",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, increment,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &worker, PINION_ARGS());
}

int
main(int argc, char **argv)
{
	int64_t calls = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000, wrong = 0;
	pinion_runtime *rt = NULL;
	pinion_port *port = NULL;
	pinion_handle handle;

	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN) != 0 ||
	    pinion_run(rt, build, &handle) != 0 || pinion_port_open(rt, &port) != 0 ||
	    pinion_port_warm(port) != 0)
		return 1;
	for (int64_t i = 0; i < calls; i++) {
		pinion_response r = pinion_call_on(port, handle, PINION_ARGS(i));
		int64_t x = 0;

		wrong += pinion_work(rt) == 0;
		wrong += pinion_result_on(port, r, &x) != 0 || x != i + 1;
		pinion_release_on(port, r);
		wrong += pinion_work(rt) != 0; /* an idle turn: what a poll costs */
	}
	pinion_port_close(port);
	pinion_stop(rt);
	printf("%" PRId64 " calls, %" PRId64 " wrong\n", calls, wrong);
	return wrong == 0 ? 0 : 1;
}
