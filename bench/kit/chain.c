/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/chain.c - the calls of a chain, by a thread or a handler.
 */
#include "bench/kit/chain.h"

static pinion_response
call(const struct chain *c, pinion_handle to, pinion_args args)
{
	return c->port == NULL ? pinion_call(to, args) : pinion_call_on(c->port, to, args);
}

static int
read_number(const struct chain *c, pinion_response r, uint64_t *x)
{
	return c->port == NULL ? pinion_result(r, x) : pinion_result_on(c->port, r, x);
}

static void
release(const struct chain *c, pinion_response r)
{
	if (c->port == NULL)
		pinion_release(r);
	else
		pinion_release_on(c->port, r);
}

/* Not a stage's number % handles: its division would be measured, too. */
static unsigned
next(const struct chain *c, unsigned at)
{
	return at + 1 == c->handles ? 0 : at + 1;
}

bool
pinioni_chain_at_once(void *chain, uint64_t i)
{
	const struct chain *c = chain;
	pinion_response r[CHAIN_STAGES_MAX];
	unsigned at = 0;
	uint64_t got = 0;
	int err;

	r[0] = call(c, c->to[at], PINION_ARGS(i));
	for (unsigned k = 1; k < c->stages; k++) {
		at = next(c, at);
		r[k] = call(c, c->to[at], PINION_ARGS(r[k - 1]));
	}
	err = read_number(c, r[c->stages - 1], &got);
	for (unsigned k = 0; k < c->stages; k++)
		release(c, r[k]);
	return err == 0 && got == i + c->stages;
}

bool
pinioni_chain_one_by_one(void *chain, uint64_t i)
{
	const struct chain *c = chain;
	uint64_t x = i;
	unsigned at = 0;
	int err = 0;

	for (unsigned k = 0; k < c->stages && err == 0; k++) {
		pinion_response r = call(c, c->to[at], PINION_ARGS(x));

		err = read_number(c, r, &x);
		release(c, r);
		at = next(c, at);
	}
	return err == 0 && x == i + c->stages;
}
