/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	UNDER_WAY_MAX = 1024, /* ticks; then the next waits, and its time runs */
	HARVEST = 64,
	LONG_NS = 1000000, /* until a tick is due: time to sleep, */
	EARLY_NS = 200000  /* and to wake so long before it */
};

const char *const ending_names[ENDINGS] = { "not ended", "orders", "held", "rejected by risk",
	"canceled as stale", "late", "refused" };

struct chain {
	pinion_response calls[STAGES];
};

/* ---- opening -------------------------------------------------------------------------------- */

static int
find_stages(struct session *s)
{
	int err = 0;

	for (int i = 0; i < STAGES && err == 0; i++)
		err = pinion_handle_find(s->runtime, "default", stage_names[i], &s->stages[i]);
	return err;
}

int
session_open(struct session *s, int workers)
{
	pinion_handle ingress;
	pinion_diag diag = { "no room for a port" };
	int err;

	*s = (struct session){ .runtime = NULL };
	err = pinion_start(&s->runtime, .name = "trading", .workers = workers,
	    .slots = (STAGES + 1) * UNDER_WAY_MAX, .lane_cells = STAGES * UNDER_WAY_MAX,
	    .diag = &diag);
	if (err == 0)
		err = pinion_run(s->runtime, desk_build, &ingress, .diag = &diag);
	if (err == 0)
		err = find_stages(s);
	if (err == 0)
		err = pinion_port_open(s->runtime, &s->port);
	if (err != 0)
		(void)snprintf(s->why, sizeof s->why, "%s: %s", diag.text, strerror(-err));
	return err;
}

void
session_close(struct session *s)
{
	free(s->trades);
	free(s->chains);
	free(s->last);
	if (s->port != NULL)
		pinion_port_close(s->port);
	pinion_stop(s->runtime);
}

/* ---- what has ended ------------------------------------------------------------------------- */

static enum ending
ending_of(struct session *s, int err, const struct quote *q, pinion_response last)
{
	static const enum ending by_verdict[] = { [VERDICT_HOLD] = ENDED_HOLD,
		[VERDICT_ORDER] = ENDED_ORDER,
		[VERDICT_REJECTED] = ENDED_REJECTED };
	pinion_error e;

	if (err == 0)
		return by_verdict[q->verdict];
	if (err == -ECANCELED)
		return ENDED_STALE;
	if (err == -ETIMEDOUT)
		return ENDED_LATE;
	e = pinion_response_error(last);
	if (s->why[0] == '\0')
		(void)snprintf(
		    s->why, sizeof s->why, "%.*s: %s", PINION_STR_FMT(e.text), strerror(-err));
	return ENDED_REFUSED;
}

static void
settle(struct session *s, size_t i)
{
	struct chain *c = &s->chains[i % UNDER_WAY_MAX];
	struct trade *t = &s->trades[i];
	int err = pinion_result(c->calls[STAGES - 1], &t->quote);

	t->done_ns = desk_now();
	t->ending = ending_of(s, err, &t->quote, c->calls[STAGES - 1]);
	for (int k = STAGES; k-- > 0;)
		pinion_release_on(s->port, c->calls[k]);
	s->under_way--;
}

static void
harvest(struct session *s)
{
	pinion_finished finished[HARVEST];
	unsigned count = pinion_harvest(s->port, finished, HARVEST);

	for (unsigned i = 0; i < count; i++)
		settle(s, (size_t)finished[i].tag);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Newest first: what waits for another is told before that one ends. */
static void
cancel(struct session *s, size_t i)
{
	for (int k = STAGES; k-- > 0;)
		pinion_cancel(s->chains[i % UNDER_WAY_MAX].calls[k]);
}

static void
send(struct session *s, size_t i, int64_t left_ns)
{
	const struct tick *tick = &s->feed->ticks[i];
	pinion_response *r = s->chains[i % UNDER_WAY_MAX].calls;

	r[0] = pinion_call_with(s->stages[STAGE_NORMALISE], PINION_ARGS(PINION_STRUCT_OF(*tick)),
	    .port = s->port, .timeout_ns = left_ns);
	r[1] = pinion_call_with(s->stages[STAGE_SIGNAL], PINION_ARGS(r[0]), .port = s->port,
	    .timeout_ns = left_ns, .key = tick->symbol, .has_key = true);
	r[2] = pinion_call_with(
	    s->stages[STAGE_RISK], PINION_ARGS(r[1]), .port = s->port, .timeout_ns = left_ns);
	r[3] = pinion_call_with(s->stages[STAGE_GATEWAY], PINION_ARGS(r[2]), .port = s->port,
	    .timeout_ns = left_ns, .tag = i, .tagged = true);
	s->under_way++;
	/* What could not be sent has no slot, and is not harvested; what is settled here is not, either. */
	if (pinion_response_error(r[3]).code != 0)
		settle(s, i);
}

static void
doze(int64_t left_ns)
{
	if (left_ns > LONG_NS) {
		left_ns -= EARLY_NS;
		(void)nanosleep(&(struct timespec){ .tv_sec = left_ns / 1000000000,
				    .tv_nsec = left_ns % 1000000000 },
		    NULL);
	}
}

/* Until tick i may be sent. */
static void
wait_until_due(struct session *s, size_t i)
{
	struct trade *t = &s->trades[i];

	t->due_ns = s->start_ns + (int64_t)((double)s->feed->ticks[i].at_ns / s->options.speed);
	do {
		harvest(s);
		if (s->under_way == 0)
			doze(t->due_ns - desk_now());
	} while (desk_now() < t->due_ns ||
	    (i >= UNDER_WAY_MAX && s->trades[i - UNDER_WAY_MAX].ending == ENDED_NOT));
}

static void
trade(struct session *s, size_t i)
{
	int64_t *last = &s->last[s->feed->ticks[i].symbol];
	int64_t deadline = s->options.deadline_ns, left = 0;
	struct trade *t = &s->trades[i];

	wait_until_due(s, i);
	if (s->options.cancel_stale && *last >= 0 && s->trades[*last].ending == ENDED_NOT)
		cancel(s, (size_t)*last);
	if (deadline != 0)
		left = t->due_ns + deadline - desk_now();
	if (left < 0 || (deadline != 0 && left == 0)) {
		t->done_ns = desk_now();
		t->ending = ENDED_LATE;
		return;
	}
	send(s, i, left);
	*last = (int64_t)i;
}

/* ---- what nobody heard of ------------------------------------------------------------------- */

static int
ask(const struct session *s, enum stage stage, const char *method, int64_t *number)
{
	pinion_response r = pinion_call(pinion_method_of(s->stages[stage], method), PINION_ARGS());
	int err = pinion_result(r, number);

	pinion_release(r);
	return err;
}

/* What the desk has done since it did so much, once nothing runs any more. */
static int
count_deeds(struct session *s, int64_t moves, int64_t orders)
{
	pinion_census census;
	int err;

	do
		pinion_census_take(s->runtime, &census);
	while (census.custody != 0 || census.slots != 0);
	err = ask(s, STAGE_RISK, "moves", &s->moves);
	if (err == 0)
		err = ask(s, STAGE_GATEWAY, "orders", &s->orders);
	s->moves -= moves;
	s->orders -= orders;
	return err;
}

/* ---- a session ------------------------------------------------------------------------------ */

int
session_run(struct session *s, const struct feed *feed, const struct session_options *options)
{
	int64_t moves, orders;
	int err;

	free(s->trades);
	free(s->chains);
	free(s->last);
	s->feed = feed;
	s->options = *options;
	s->trades = calloc(feed->count, sizeof *s->trades);
	s->chains = calloc(UNDER_WAY_MAX, sizeof *s->chains);
	s->last = malloc(SYMBOLS_MAX * sizeof *s->last);
	if (s->trades == NULL || s->chains == NULL || s->last == NULL)
		return -ENOMEM;
	if ((err = count_deeds(s, 0, 0)) != 0)
		return err;
	moves = s->moves;
	orders = s->orders;
	for (int i = 0; i < SYMBOLS_MAX; i++)
		s->last[i] = -1;
	s->start_ns = desk_now();
	for (size_t i = 0; i < feed->count; i++)
		trade(s, i);
	while (s->under_way != 0)
		harvest(s);
	return count_deeds(s, moves, orders);
}
