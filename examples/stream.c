/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream - one call, many results; the producer pauses while the reader is behind.
 */
#include <inttypes.h>
#include <stdio.h>

#include <pinion/pinion.h>

static int
count(void *replica, pinion_request *req)
{
	int64_t limit = pinion_arg_i64(req, 0);

	(void)replica;
	for (int64_t i = 0; i < limit; i++) {
		int err = pinion_yield(req, i); /* waits for room; -ECANCELED: nobody listens */

		if (err != 0)
			return err;
	}
	return 0;
}

/* A stage between: reads a stream, yields a stream. */
static int
relay(void *replica, pinion_request *req)
{
	pinion_handle streamer = *(const pinion_handle *)replica;
	pinion_stream numbers = pinion_call_stream(streamer, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t i;
	int err;

	while ((err = pinion_next(numbers, &i)) > 0) /* 1 an item, 0 the end, or -errno */
		if ((err = pinion_yield(req, i)) != 0)
			break;
	pinion_stream_close(numbers);
	return err;
}

static int
print_all(pinion_handle handle)
{
	pinion_stream numbers = pinion_call_stream(handle, PINION_ARGS(10));
	int64_t i;
	int err;

	while ((err = pinion_next(numbers, &i)) > 0)
		printf("%" PRId64 "\n", i);
	pinion_stream_close(numbers);
	return err;
}

static int
relay_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment streamer_deployment = {
	.name = "Streamer",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, count, .params = PINION_PARAMS(PINION_I64("limit")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static const pinion_deployment caller = {
	.name = "Caller",
	.replica_size = sizeof(pinion_handle),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("streamer")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, relay, .params = PINION_PARAMS(PINION_I64("limit")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

PINION_APP(app);

pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	pinion_node *streamer = pinion_bind(build, &streamer_deployment, PINION_ARGS());

	return pinion_bind(build, &caller, PINION_ARGS(streamer));
}

int
main(void)
{
	pinion_runtime *rt = NULL;
	pinion_handle handle;
	int err = 1;

	if (pinion_start(&rt) == 0 && pinion_run(rt, app, &handle) == 0)
		err = print_all(handle);
	pinion_stop(rt);
	return err == 0 ? 0 : 1;
}
