/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/route.c - the policies.
 */
#include "core/route.h"

#include "core/call.h"
#include "core/worker.h"

/* Of many, some: those whose turn is next; one that has nothing to do ends the search. */
static uint32_t
least_loaded(const pinion_port *port, struct directory_copy *route)
{
	uint32_t best = route->first, least = UINT32_MAX;
	uint32_t looks = route->count < LEAST_OF ? route->count : LEAST_OF;

	for (uint32_t i = 0; i < looks && least != 0; i++) {
		uint32_t at = route->turn + i;
		uint32_t r = route->first + (at < route->count ? at : at - route->count);

		if (port->inflight[r] < least) {
			least = port->inflight[r];
			best = r;
		}
	}
	route->turn = best + 1 - route->first == route->count ? 0 : best + 1 - route->first;
	return best;
}

static uint32_t
in_turn(struct directory_copy *route)
{
	uint32_t r = route->first + route->turn;

	route->turn = route->turn + 1 == route->count ? 0 : route->turn + 1;
	return r;
}

/* A hash of 64 bits to 64 (the end of splitmix64). */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Of the replicas that a key, which has moved to one of [q, 2q) at least, moved to when there were more and more: the
 * last below n. 0: all lie above. The last of all is any of them alike; the one before it any below, or none of these. */
static uint32_t
last_move(uint64_t key, uint32_t q, uint32_t n)
{
	uint64_t draw = mix(key + q * UINT64_C(0x9e3779b97f4a7c15));
	uint32_t at = q | ((uint32_t)draw & (q - 1));

	while (at >= n) {
		uint32_t before;

		draw = mix(draw);
		before = (uint32_t)draw & (2 * q - 1);
		if (before < q)
			return 0;
		if (before < at)
			at = before;
	}
	return at;
}

/* With one more of n, one of n + 1 keys moves, and only to it: the k-th draws a key with probability 1 / k. Of the q that make
 * 2q out of q one or more do so for half of all keys: a bit for each such doubling says whether. So what jump
 * consistent hash (Lamping, Veach) does forwards, with a division a step, is done backwards in one step or two (Ertl). */
static uint32_t
by_key(const struct directory_copy *route, uint64_t key)
{
	uint32_t n = route->count, at = 0;
	uint32_t moved = (uint32_t)mix(key) & (n < 2 ? 0 : UINT32_MAX >> __builtin_clz(n - 1));

	while (moved != 0 && at == 0) {
		uint32_t q = UINT32_C(1) << (31 - __builtin_clz(moved));

		at = last_move(key, q, n);
		moved ^= q;
	}
	return route->first + at;
}

/* FNV-1a: a model goes where it went before. */
static uint64_t
key_of(const char *model)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);

	for (; *model != '\0'; model++)
		key = (key ^ (unsigned char)*model) * UINT64_C(0x100000001b3);
	return key;
}

/* The least loaded of those that are as near as can be. Of a thread that is no worker, all are. */
static uint32_t
nearest(const pinion_port *port, struct directory_copy *route)
{
	const struct worker *workers = port->runtime->workers, *self = port->worker;
	uint32_t best = UINT32_MAX;
	bool best_is_here = false;

	for (uint32_t i = 0; self != NULL && i < route->count; i++) {
		uint32_t r = route->first + i;
		const struct worker *w = &workers[port->replica_worker[r]];
		bool is_here = w == self;

		if (!is_here && (best_is_here || w->node != self->node))
			continue;
		if (best == UINT32_MAX || (is_here && !best_is_here) ||
		    port->inflight[r] < port->inflight[best]) {
			best = r;
			best_is_here = is_here;
		}
	}
	return best != UINT32_MAX ? best : least_loaded(port, route);
}

__attribute__((noinline)) uint32_t
pinioni_route_choose(pinion_port *port, struct directory_copy *route, const struct deployment *d,
    const struct call_how *how)
{
	if (how->to != 0)
		return route->first + (how->to <= route->count ? how->to - 1 : 0);
	if (how->terms != NULL && how->terms->model != NULL)
		return by_key(route, key_of(how->terms->model));
	switch (d->rules.routing) {
	case ROUTE_ROUND_ROBIN:
		return in_turn(route);
	case ROUTE_BY_KEY:
		return by_key(route, how->has_key ? how->key : port->index);
	case ROUTE_LOCAL:
		return nearest(port, route);
	case ROUTE_LEAST_LOADED:
		break;
	}
	return least_loaded(port, route);
}
