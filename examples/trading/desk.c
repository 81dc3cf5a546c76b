/* SPDX-License-Identifier: Apache-2.0 */
#include "desk.h"

#include <stdlib.h>

enum {
	EDGE = 64 * 60,      /* by how much the averages differ, before it is traded */
	POSITION_MAX = 20,   /* of a symbol, either way */
	OPEN_BOOKS_NS = 1000 /* for each batch, whatever is in it */
};

const char *const stage_names[STAGES] = { "Normalise", "Signal", "Risk", "Gateway" };

int64_t
desk_now(void)
{
	static pinion_clock clock;

	if (clock.now == NULL)
		clock = pinion_clock_tsc();
	return (int64_t)clock.now(clock.arg);
}

/* ---- what the stages do ---------------------------------------------------------------------- */

static void
normalise(const struct tick *t, struct quote *q)
{
	*q = (struct quote){ .price = t->price, .symbol = t->symbol };
}

static void
signal_of(struct averages *a, struct quote *q)
{
	int64_t *fast = &a->fast[q->symbol], *slow = &a->slow[q->symbol], price = q->price * 64;

	*fast = *fast == 0 ? price : *fast + (price - *fast) / 4;
	*slow = *slow == 0 ? price : *slow + (price - *slow) / 16;
	q->quantity = *fast - *slow > EDGE ? 1 : *slow - *fast > EDGE ? -1 : 0;
}

static void
check_risk(struct positions *p, struct quote *q)
{
	int32_t then = p->held[q->symbol] + q->quantity;

	if (q->quantity == 0)
		return;
	q->verdict = abs(then) > POSITION_MAX ? VERDICT_REJECTED : VERDICT_ORDER;
	if (q->verdict == VERDICT_ORDER) {
		p->held[q->symbol] = then;
		p->moves++;
	}
}

static void
send_order(uint32_t *orders, struct quote *q)
{
	if (q->verdict == VERDICT_ORDER)
		q->order = ++*orders;
}

static void
open_books(void)
{
	int64_t until = desk_now() + OPEN_BOOKS_NS;

	while (desk_now() < until)
		continue;
}

void
desk_plain(struct plain_desk *desk, const struct tick *tick, struct quote *quote)
{
	normalise(tick, quote);
	quote->done_ns[STAGE_NORMALISE] = desk_now();
	signal_of(&desk->averages, quote);
	quote->done_ns[STAGE_SIGNAL] = desk_now();
	open_books();
	check_risk(&desk->positions, quote);
	quote->done_ns[STAGE_RISK] = desk_now();
	send_order(&desk->orders, quote);
	quote->done_ns[STAGE_GATEWAY] = desk_now();
}

/* ---- the same as deployments ------------------------------------------------------------------ */

static int
reply(pinion_request *req, struct quote *q, enum stage stage)
{
	q->done_ns[stage] = desk_now();
	return pinion_reply_value(req, PINION_STRUCT_OF(*q));
}

static int
handle_tick(void *replica, pinion_request *req)
{
	struct quote q;

	(void)replica;
	normalise(pinion_arg_struct(req, 0, struct tick), &q);
	return reply(req, &q, STAGE_NORMALISE);
}

static int
handle_signal(void *replica, pinion_request *req)
{
	struct quote q = *pinion_arg_struct(req, 0, struct quote);

	signal_of(replica, &q);
	return reply(req, &q, STAGE_SIGNAL);
}

static int
handle_risk(void *replica, pinion_request *const *requests, unsigned count)
{
	int err = 0;

	open_books();
	for (unsigned i = 0; i < count && err == 0; i++) {
		struct quote q = *pinion_arg_struct(requests[i], 0, struct quote);

		check_risk(replica, &q);
		err = reply(requests[i], &q, STAGE_RISK);
	}
	return err;
}

static int
handle_order(void *replica, pinion_request *req)
{
	struct quote q = *pinion_arg_struct(req, 0, struct quote);

	send_order(replica, &q);
	return reply(req, &q, STAGE_GATEWAY);
}

static int
tell_moves(void *replica, pinion_request *req)
{
	return pinion_reply(req, ((const struct positions *)replica)->moves);
}

static int
tell_orders(void *replica, pinion_request *req)
{
	return pinion_reply(req, (int64_t) * (const uint32_t *)replica);
}

#define QUOTE .params = PINION_PARAMS(PINION_STRUCT("quote", struct quote))
#define GIVES_QUOTE .returns = PINION_RETURNS_STRUCT(struct quote)

static const pinion_deployment normaliser = {
	.name = "Normalise",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, handle_tick,
	    .params = PINION_PARAMS(PINION_STRUCT("tick", struct tick)), GIVES_QUOTE)),
};

static const pinion_deployment signaler = {
	.name = "Signal",
	.replica_size = sizeof(struct averages),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, handle_signal, QUOTE, GIVES_QUOTE)),
};

static const pinion_deployment risk = {
	.name = "Risk",
	.replica_size = sizeof(struct positions),
	.methods = PINION_METHODS(
	    PINION_BATCH_METHOD(PINION_CALL, handle_risk, QUOTE, GIVES_QUOTE, .max_batch_size = 32),
	    PINION_METHOD("moves", tell_moves, .returns = PINION_RETURNS_I64)),
};

static const pinion_deployment gateway = {
	.name = "Gateway",
	.replica_size = sizeof(uint32_t),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, handle_order, QUOTE, GIVES_QUOTE),
	    PINION_METHOD("orders", tell_orders, .returns = PINION_RETURNS_I64)),
};

pinion_node *
desk_build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(app, &normaliser, PINION_ARGS());
	(void)pinion_bind(app, &signaler, PINION_ARGS(), .num_replicas = 2, .routing = "by_key",
	    .max_ongoing_requests = 1000);
	/* Of one replica each, and by key for the order of the ticks. */
	(void)pinion_bind(
	    app, &risk, PINION_ARGS(), .routing = "by_key", .max_ongoing_requests = 1000);
	return pinion_bind(app, &gateway, PINION_ARGS(), .routing = "by_key");
}
