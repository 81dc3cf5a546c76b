/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve - a program of its own, with deployments that other processes call (`client` is one), or run (`host`).
 *
 *   serve [NAME]       until Ctrl-C; NAME is what others find it by (prices)
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "risk.h"

struct book {
	int64_t mid; /* hundredths */
};

static int
book_init(void *replica, pinion_init *init)
{
	struct book *book = replica;

	book->mid = pinion_init_i64(init, 0);
	return 0;
}

/* What so many would cost. */
static int
quote(void *replica, pinion_request *req)
{
	const struct book *book = replica;

	return pinion_reply(req, book->mid * pinion_arg_i64(req, 0));
}

/* Prices as they come; whoever reads them is in another process. */
static int
ticks(void *replica, pinion_request *req)
{
	struct book *book = replica;

	for (int64_t i = 0; i < pinion_arg_i64(req, 0); i++) {
		int err = pinion_yield(req, book->mid + i % 3);

		if (err != 0)
			return err; /* it has closed the stream, or has died */
	}
	return 0;
}

static int
with_fee(void *replica, pinion_request *req)
{
	int64_t amount = pinion_arg_i64(req, 0);

	(void)replica;
	return pinion_reply(req, amount + amount / 1000);
}

static const pinion_deployment book_deployment = {
	.name = "Book",
	.replica_size = sizeof(struct book),
	.init = book_init,
	.init_params = PINION_PARAMS(PINION_I64("mid")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, quote, .params = PINION_PARAMS(PINION_I64("count")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("ticks", ticks, .params = PINION_PARAMS(PINION_I64("count")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static const pinion_deployment fee_deployment = {
	.name = "Fee",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, with_fee,
	    .params = PINION_PARAMS(PINION_I64("amount")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(build, &fee_deployment, PINION_ARGS());
	(void)risk_bind(build); /* calls to it fail until `host` has come */
	return pinion_bind(build, &book_deployment, PINION_ARGS(10150), .num_replicas = 2);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "prices";
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	pinion_handle handle;
	sigset_t signals;
	int signo;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads */
	if (pinion_start(&rt, .listen = name, .host_workers = 1, .diag = &diag) != 0 ||
	    pinion_run(rt, app, &handle, .diag = &diag) != 0) {
		(void)fprintf(stderr, "serve: %s\n", diag.text);
		pinion_stop(rt);
		return EXIT_FAILURE;
	}
	printf("serve: found as '%s'\n", name);
	(void)fflush(stdout);
	(void)sigwait(&signals, &signo);
	pinion_stop(rt);
	return EXIT_SUCCESS;
}
