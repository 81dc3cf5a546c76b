/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/hosted_load.h - who calls what hosts run, until told to end: each answer is right, or its call ended with a process;
 * none began twice.
 */
#ifndef PINION_TESTS_ATTACH_HOSTED_LOAD_H
#define PINION_TESTS_ATTACH_HOSTED_LOAD_H

#include "tests/attach/hosted.h"

#include <sys/prctl.h>

static _Atomic bool is_over;
static _Atomic uint64_t right, dead;

struct under_way {
	pinion_response response;
	int64_t id, wanted;
	unsigned char before; /* in the ledger: its numbers come round */
};

static inline void
settle(const struct under_way *u)
{
	int64_t x = -1;
	int err = pinion_result(u->response, &x);
	unsigned char began = (unsigned char)(atomic_load(&ledger[u->id]) - u->before);

	if (err == 0) {
		WANT(x == u->wanted);
		WANT(began == 1);
		atomic_fetch_add(&right, 1);
	} else {
		if (err != -EOWNERDEAD)
			(void)fprintf(stderr, "%d: %.*s\n", err,
			    PINION_STR_FMT(pinion_response_error(u->response).text));
		WANT(err == -EOWNERDEAD);
		WANT(began <= 1);
		atomic_fetch_add(&dead, 1);
	}
	pinion_release(u->response);
}

static inline void
call_one(pinion_runtime *where, struct under_way *u, unsigned kind)
{
	static const char *const to[][2] = { { "one", "work" }, { "two", "work" },
		{ "there", "forward" }, { "there", "ask" } };
	pinion_response first;

	u->id = atomic_fetch_add(next_call, 1) % LEDGER;
	u->before = atomic_load(&ledger[u->id]);
	u->wanted = u->id + 1;
	if (kind < 4) {
		u->response = pinion_call(
		    handle_in(where, to[kind][0], to[kind][1]), PINION_ARGS(u->id, u->id));
		return;
	}
	/* A chain: two, here, one. */
	u->wanted = 3;
	first = pinion_call(handle_in(where, "two", "work"), PINION_ARGS(INT64_C(-1), 0));
	u->response = pinion_call(
	    handle_in(where, kind == 4 ? "here" : "one", "work"), PINION_ARGS(INT64_C(-1), first));
	pinion_release(first);
	first = u->response;
	u->response = pinion_call(handle_in(where, "one", "work"), PINION_ARGS(u->id, first));
	pinion_release(first);
}

static inline void *
call_on(void *where)
{
	struct under_way under_way[16];
	unsigned kind = 0;

	while (!atomic_load(&is_over)) {
		for (unsigned i = 0; i < 16; i++)
			call_one(where, &under_way[i], kind++ % 6);
		for (unsigned i = 0; i < 16; i++)
			settle(&under_way[i]);
	}
	return NULL;
}

static inline void *
stream_on(void *where)
{
	while (!atomic_load(&is_over)) {
		pinion_stream s =
		    pinion_call_stream(handle_in(where, "two", "count"), PINION_ARGS(50));
		int64_t x, wanted = 0;
		int err;

		while ((err = pinion_next(s, &x)) == 1)
			WANT(x == wanted++);
		if (err == 0)
			WANT(wanted == 50);
		else
			WANT(err == -EOWNERDEAD);
		pinion_stream_close(s);
	}
	return NULL;
}

/* A process that calls, until it is killed. */
static inline int
hosted_play_client(const char *name)
{
	pinion_runtime *mine;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that ends early is not called for ever */
	open_ledger();
	if (pinion_attach(&mine, name) != 0)
		return 1;
	(void)call_on(mine);
	return 0;
}

#endif
