/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/series.c - collecting turns, and what they come to.
 */
#include "bench/series.h"

#include <assert.h>
#include <string.h>

#include "bench/median.h"

const char *
pinioni_placement_name(enum placement p)
{
	static const char *const names[PLACEMENTS] = { "siblings", "same L3", "other L3", "moved" };

	return names[p];
}

enum placement
pinioni_placement_of(double raw_ns)
{
	return raw_ns < 80 ? PLACED_SIBLINGS : raw_ns < 250 ? PLACED_SAME_L3 : PLACED_OTHER_L3;
}

bool
pinioni_series_init(struct series *s, unsigned rounds_max)
{
	s->rounds = 0;
	s->placed = calloc(rounds_max, sizeof *s->placed);
	s->raw_ns = calloc(rounds_max, sizeof *s->raw_ns);
	s->middle_ns = calloc(rounds_max, sizeof *s->middle_ns);
	s->blocks_ns = calloc(rounds_max, TURN_BLOCKS * sizeof *s->blocks_ns);
	s->singles_ns = calloc(rounds_max, TURN_SINGLES * sizeof *s->singles_ns);
	return s->placed != NULL && s->raw_ns != NULL && s->middle_ns != NULL &&
	    s->blocks_ns != NULL && s->singles_ns != NULL;
}

void
pinioni_series_deinit(struct series *s)
{
	free(s->placed);
	free(s->raw_ns);
	free(s->middle_ns);
	free(s->blocks_ns);
	free(s->singles_ns);
}

void
pinioni_series_add(
    struct series *s, const struct turn *t, const double raw_ns[2], double ticks_per_ns)
{
	enum placement before = pinioni_placement_of(raw_ns[0]);
	enum placement after = pinioni_placement_of(raw_ns[1]);
	double *blocks = &s->blocks_ns[s->rounds * TURN_BLOCKS];
	double *singles = &s->singles_ns[s->rounds * TURN_SINGLES];
	double sorted[TURN_BLOCKS];

	assert(t->blocks == TURN_BLOCKS);
	for (unsigned b = 0; b < TURN_BLOCKS; b++)
		blocks[b] = (double)t->block[b] / ticks_per_ns / BLOCK_CALLS;
	s->has_singles = t->singles == TURN_SINGLES;
	for (unsigned i = 0; i < t->singles; i++)
		singles[i] = (double)t->single[i] / ticks_per_ns;
	memcpy(sorted, blocks, sizeof sorted);
	median_sort(sorted, TURN_BLOCKS);
	s->middle_ns[s->rounds] = quantile(sorted, TURN_BLOCKS, 0.5);
	s->raw_ns[s->rounds] = raw_ns[1];
	s->placed[s->rounds++] = before == after ? after : PLACED_MIXED;
}

static double
ratio_to(const struct series *s, const struct series *floor, enum placement placed, double *room)
{
	size_t count = 0;

	for (unsigned r = 0; r < s->rounds && r < floor->rounds; r++)
		if (s->placed[r] == placed && floor->placed[r] == placed)
			room[count++] = s->middle_ns[r] / floor->middle_ns[r];
	median_sort(room, count);
	return quantile(room, count, 0.5);
}

bool
pinioni_series_summarise(
    const struct series *s, const struct series *floor, enum placement placed, struct summary *out)
{
	double *room = calloc((size_t)s->rounds + 1, TURN_SINGLES * sizeof *room);
	size_t count = 0;

	*out = (struct summary){ .blocks = 0 };
	if (room == NULL)
		return false;
	out->ratio = ratio_to(s, floor, placed, room);
	for (unsigned r = 0; r < s->rounds; r++)
		if (s->placed[r] == placed)
			room[count++] = s->raw_ns[r];
	median_sort(room, count);
	out->raw_ns = quantile(room, count, 0.5);
	count = 0;
	for (unsigned r = 0; r < s->rounds; r++)
		for (unsigned b = 0; b < TURN_BLOCKS && s->placed[r] == placed; b++)
			room[count++] = s->blocks_ns[r * TURN_BLOCKS + b];
	median_sort(room, count);
	out->blocks = count;
	out->middle_ns = quantile(room, count, 0.5);
	count = 0;
	for (unsigned r = 0; r < s->rounds && s->has_singles; r++)
		for (unsigned i = 0; i < TURN_SINGLES && s->placed[r] == placed; i++)
			room[count++] = s->singles_ns[r * TURN_SINGLES + i];
	median_sort(room, count);
	out->singles = count;
	out->p50 = quantile(room, count, 0.5);
	out->p99 = quantile(room, count, 0.99);
	out->p999 = quantile(room, count, 0.999);
	out->max = quantile(room, count, 1);
	free(room);
	return true;
}
