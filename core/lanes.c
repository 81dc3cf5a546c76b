/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/lanes.c - which of its lanes a worker looks at in a turn: a few hot ones, those that rang, one more.
 *
 *   table (all lanes) --> hot: every turn   <-- two doorbells in a short time ---.
 *                     \                      --- quiet for long, or for a while and another wants in --> dozing
 *                      '-> dozing: when its bell has rung (shm/doorbell.h), and one after the other, one a turn
 *
 * Why       So that a call costs the same beside 1 and beside 500 callers that do nothing just then. Callers
 *           that take turns stay dozing: `dozing` would change with each of their calls.
 * Threads   The worker's own.
 */
#include "core/worker.h"

#include <string.h>

#include "core/runtime.h"
#include "core/serve.h"
#include "shm/doorbell.h"

enum {
	COOLING = 64 /* turns between two looks for a hot lane that has become cold */
};

/* A call could not be taken. What would free memory may lie behind it: it waits for a time, not for ever. True: it
 * has failed. */
__attribute__((noinline, cold)) static bool
starve(struct worker *w, struct lane_rx *rx)
{
	uint64_t now = clock_ticks();

	if (w->starved_since == 0)
		w->starved_since = now;
	return now - w->starved_since > STARVED_MS * 1000 * w->runtime->ticks_us &&
	    pinioni_request_reject_next(w, rx);
}

static inline bool
has_taken(struct worker *w, struct lane_rx *rx, unsigned taken)
{
	if (taken == 0)
		return false;
	board_count(w->line, COUNT_TAKEN, taken); /* before it looks empty: see runtime.c */
	lane_settle(rx);
	w->work += taken;
	return true;
}

/* The same as below of what another process writes, or is taken by a host. Apart, so that our own are not asked each time. */
__attribute__((noinline)) static bool
empty_careful_lane(struct worker *w, struct lane_rx *rx)
{
	unsigned taken = 0;

	/* What it sends on may lie here, while the worker that it is for is in a long handler: no more than so much. */
	if (rx->guarded != 0 && w->outbox_messages > 2 * w->runtime->lane_cells)
		return false;
	do {
		if (w->runtime->serving != NULL && !pinioni_serve_may_take(w, rx))
			break;
		if (pinioni_request_take_careful(w, rx))
			w->starved_since = 0;
		else if (!starve(w, rx))
			break;
		taken++;
	} while (taken < LANE_BURST && lane_peek(rx) != NULL);
	return has_taken(w, rx, taken);
}

/* There is something in it. False: which has to stay there. Not inline: in most looks there is nothing. */
__attribute__((noinline)) static bool
empty_lane(struct worker *w, struct lane_rx *rx)
{
	unsigned taken = 0;

	if (rx->careful)
		return empty_careful_lane(w, rx);
	do {
		if (pinioni_request_take(w, rx))
			w->starved_since = 0;
		else if (!starve(w, rx))
			break;
		taken++;
	} while (taken < LANE_BURST && lane_peek(rx) != NULL);
	return has_taken(w, rx, taken);
}

/* False: nothing was taken. */
static inline bool
poll_lane(struct worker *w, struct lane_rx *rx)
{
	return lane_peek(rx) != NULL && empty_lane(w, rx);
}

/* Of a lane that is not looked at every turn: what is left in it has rung, so to say. */
static void
poll_dozing(struct worker *w, const struct lane_entry *lane)
{
	if (poll_lane(w, lane->rx) && lane_peek(lane->rx) != NULL)
		doorbell_ring(w->doors, lane->port);
}

/* ---- hot and dozing ------------------------------------------------------------------------- */

static void
make_hot(struct worker *w, struct hot_lane *place, const struct lane_entry *lane)
{
	*place = (struct hot_lane){ .rx = lane->rx, .port = lane->port, .turn = w->watch.turn };
	doorbell_doze(w->line, lane->port, false);
}

static void
make_doze(struct worker *w, struct hot_lane *lane)
{
	struct lane_watch *watch = &w->watch;

	doorbell_doze(w->line, lane->port, true);
	doorbell_ring(w->doors, lane->port); /* for whoever pushed meanwhile */
	*lane = watch->hot[--watch->hot_count];
}

static bool
is_among(const struct hot_lane *hot, uint32_t count, unsigned port)
{
	for (uint32_t i = 0; i < count; i++)
		if (hot[i].port == port)
			return true;
	return false;
}

static bool
is_hot(const struct lane_watch *watch, unsigned port)
{
	return is_among(watch->hot, watch->hot_count, port);
}

/* A place for one more; NULL: all that are hot are in use. */
static struct hot_lane *
hot_place(struct worker *w)
{
	struct lane_watch *watch = &w->watch;
	struct hot_lane *oldest = &watch->hot[0];

	if (watch->hot_count == LANES_HOT) {
		for (uint32_t i = 1; i < watch->hot_count; i++)
			if (watch->turn - watch->hot[i].turn > watch->turn - oldest->turn)
				oldest = &watch->hot[i];
		if (watch->turn - oldest->turn < LANE_COOL)
			return NULL;
		make_doze(w, oldest);
	}
	return &watch->hot[watch->hot_count++];
}

/* Ports have come or gone: those hot lanes that are still there stay, others fill up, the rest dozes. */
__attribute__((noinline, cold)) static void
renew(struct worker *w, const struct lane_table *table)
{
	struct lane_watch *watch = &w->watch;
	struct hot_lane old[LANES_HOT];
	uint32_t old_count = watch->hot_count;

	memcpy(old, watch->hot, sizeof old);
	watch->serial = table->serial;
	watch->hot_count = 0;
	memset(watch->at, 0, sizeof watch->at);
	for (uint32_t i = 0; i < table->count; i++) {
		const struct lane_entry *lane = &table->lanes[i];

		watch->at[lane->port] = (uint16_t)(i + 1);
		if (is_among(old, old_count, lane->port))
			make_hot(w, &watch->hot[watch->hot_count++], lane);
	}
	for (uint32_t i = 0; i < table->count; i++) {
		const struct lane_entry *lane = &table->lanes[i];

		if (is_hot(watch, lane->port))
			continue;
		if (watch->hot_count < LANES_HOT)
			make_hot(w, &watch->hot[watch->hot_count++], lane);
		else
			doorbell_doze(w->line, lane->port, true);
		poll_dozing(w, lane); /* it may be new, and nobody rang */
	}
}

/* ---- a turn --------------------------------------------------------------------------------- */

static void
poll_hot(struct worker *w)
{
	struct lane_watch *watch = &w->watch;

	for (uint32_t i = 0; i < watch->hot_count; i++)
		if (poll_lane(w, watch->hot[i].rx))
			watch->hot[i].turn = watch->turn;
}

/* One that rang twice in a short time is polled from now on. */
static void
answer(struct worker *w, const struct lane_entry *lane)
{
	struct lane_watch *watch = &w->watch;
	bool is_warm = watch->turn - watch->rang[lane->port] < LANE_WARM;
	struct hot_lane *place;

	watch->rang[lane->port] = watch->turn;
	poll_dozing(w, lane);
	if (!is_warm || is_hot(watch, lane->port))
		return;
	place = hot_place(w);
	if (place != NULL)
		make_hot(w, place, lane);
}

static void
answer_doorbells(struct worker *w, const struct lane_table *table)
{
	for (unsigned word = 0; word < LANE_WORDS; word++)
		for (uint64_t bits = doorbell_take(w->doors, word); bits != 0; bits &= bits - 1) {
			unsigned port = word * 64 + (unsigned)__builtin_ctzll(bits);

			/* Anybody can ring for anybody. */
			if (w->watch.at[port] != 0)
				answer(w, &table->lanes[w->watch.at[port] - 1]);
		}
}

/* Its bell may have been missed. */
static void
look_at_next(struct worker *w, const struct lane_table *table)
{
	struct lane_watch *watch = &w->watch;

	if (++watch->next >= table->count)
		watch->next = 0;
	poll_dozing(w, &table->lanes[watch->next]);
}

/* Looks at one of the hot ones. */
static void
cool_down(struct worker *w)
{
	struct lane_watch *watch = &w->watch;
	struct hot_lane *hot = &watch->hot[watch->turn / COOLING % watch->hot_count];

	if (watch->hot_count > LANES_KEPT && watch->turn - hot->turn > LANE_COLD)
		make_doze(w, hot);
}

static inline void
poll_some(struct worker *w)
{
	/* L; also under RCU: the table is not kept beyond this function, nor are hot lanes used before it was seen
	 * to be the one they were taken from. */
	const struct lane_table *table = atomic_load_explicit(&w->lanes, memory_order_acquire);

	if (table == NULL)
		return;
	w->watch.turn++;
	if (table->serial != w->watch.serial)
		renew(w, table);
	poll_hot(w);
	if (table->count <= LANES_KEPT)
		return; /* all are hot */
	answer_doorbells(w, table);
	look_at_next(w, table);
	if (w->watch.turn % COOLING == 0)
		cool_down(w);
}

void
pinioni_lanes_poll(struct worker *w)
{
	poll_some(w);
}

void
pinioni_lanes_look_out(struct worker *w)
{
	poll_some(w);
}

bool
pinioni_lanes_are_empty(const struct worker *w)
{
	/* L */
	const struct lane_table *table = atomic_load_explicit(&w->lanes, memory_order_acquire);

	for (uint32_t i = 0; table != NULL && i < table->count; i++)
		if (lane_peek(table->lanes[i].rx) != NULL)
			return false;
	return true;
}
