/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - attaches to what `serve` runs: calls, chains, reads a stream. Each call costs what it costs a thread of `serve`.
 *
 *   client [NAME]      of what to attach to (prices)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

static int
call(pinion_handle book)
{
	pinion_response price = pinion_call(book, PINION_ARGS(3));
	int64_t amount;
	int err = pinion_result(price, &amount);

	if (err == 0)
		printf("3 cost %" PRId64 "\n", amount);
	pinion_release(price);
	return err;
}

/* The second call waits for the first over there: nothing comes back in between. */
static int
chain(pinion_handle book, pinion_handle fee)
{
	pinion_response price = pinion_call(book, PINION_ARGS(3));
	pinion_response all = pinion_call(fee, PINION_ARGS(price));
	int64_t amount;
	int err = pinion_result(all, &amount);

	if (err == 0)
		printf("with the fee %" PRId64 "\n", amount);
	pinion_release(price);
	pinion_release(all);
	return err;
}

static int
stream(pinion_handle book)
{
	pinion_stream prices =
	    pinion_call_stream(pinion_method_of(book, "ticks"), PINION_ARGS(1000000));
	int64_t price;
	int err = 0;

	for (int i = 0; i < 4 && err == 0; i++)
		if ((err = pinion_next(prices, &price)) > 0) {
			printf("tick %" PRId64 "\n", price);
			err = 0;
		}
	pinion_stream_close(prices); /* before its end: its producer is told */
	return err;
}

/* Book, Fee and Risk may be in three processes, and none of them waits for another. */
static int
check(pinion_handle book, pinion_handle risk)
{
	pinion_response price = pinion_call(book, PINION_ARGS(5));
	pinion_response verdict = pinion_call(risk, PINION_ARGS(price));
	pinion_str text;
	int err = pinion_result(verdict, &text);
	bool is_away = err == -ENOENT || err == -EOWNERDEAD; /* none has come; it has ended */

	if (err == 0)
		printf("may 5 be bought? %.*s\n", PINION_STR_FMT(text));
	else if (is_away)
		printf("may 5 be bought? nobody can say: no `host' runs\n");
	pinion_release(price);
	pinion_release(verdict);
	return is_away ? 0 : err;
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "prices";
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	pinion_handle book, fee, risk;
	int err;

	if (pinion_attach(&rt, name, .diag = &diag) != 0) {
		(void)fprintf(stderr, "client: %s\n", diag.text);
		return EXIT_FAILURE;
	}
	err = pinion_handle_find(rt, "default", NULL, &book);
	if (err == 0)
		err = pinion_handle_find(rt, "default", "Fee", &fee);
	if (err == 0)
		err = pinion_handle_find(rt, "default", "Risk", &risk);
	if (err == 0)
		err = call(book);
	if (err == 0)
		err = chain(book, fee);
	if (err == 0)
		err = check(book, risk);
	if (err == 0)
		err = stream(book);
	pinion_stop(rt);
	if (err != 0)
		(void)fprintf(stderr, "client: %s\n", strerror(-err));
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
