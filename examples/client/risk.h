/* SPDX-License-Identifier: Apache-2.0 */
/*
 * risk.h - a deployment that `serve` binds and `host` runs, in a process of its own: both know what it takes, and what it does.
 */
#ifndef PINION_EXAMPLES_RISK_H
#define PINION_EXAMPLES_RISK_H

#include <pinion/pinion.h>

struct risk {
	int64_t limit;
};

static inline int
risk_init(void *replica, pinion_init *init)
{
	struct risk *risk = replica;

	risk->limit = pinion_init_i64(init, 0);
	return 0;
}

static inline int
risk_check(void *replica, pinion_request *req)
{
	const struct risk *risk = replica;
	int64_t amount = pinion_arg_i64(req, 0);

	if (amount > risk->limit)
		return pinion_reply_fmt(
		    req, "no: %lld is more than %lld", (long long)amount, (long long)risk->limit);
	return pinion_reply_fmt(req, "yes");
}

static const pinion_deployment risk_deployment = {
	.name = "Risk",
	.replica_size = sizeof(struct risk),
	.init = risk_init,
	.init_params = PINION_PARAMS(PINION_I64("limit")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, risk_check,
	    .params = PINION_PARAMS(PINION_I64("amount")), .returns = PINION_RETURNS_STR)),
};

/* Bound to a limit of so much; that it is isolated is why another process runs it. */
static inline pinion_node *
risk_bind(pinion_app *build)
{
	return pinion_bind(
	    build, &risk_deployment, PINION_ARGS(INT64_C(50000)), .isolation = "process");
}

#endif
