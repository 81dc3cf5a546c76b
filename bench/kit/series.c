/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/series.c - collecting turns, and what they come to.
 */
#include "bench/kit/series.h"

#include <assert.h>
#include <string.h>

#include "bench/kit/median.h"

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
pinioni_series_init(struct series *s, const struct turn_size *size, unsigned rounds_max)
{
	assert(size->blocks <= TURN_BLOCKS_MAX && size->singles <= TURN_SINGLES_MAX);
	*s = (struct series){ .size = *size };
	s->placed = calloc(rounds_max, sizeof *s->placed);
	s->raw_ns = calloc(rounds_max, sizeof *s->raw_ns);
	s->middle_ns = calloc(rounds_max, sizeof *s->middle_ns);
	s->blocks_ns = calloc(rounds_max, size->blocks * sizeof *s->blocks_ns);
	s->singles_ns = calloc(rounds_max, (size->singles + 1) * sizeof *s->singles_ns);
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
	double *blocks = &s->blocks_ns[s->rounds * s->size.blocks];
	double *singles = &s->singles_ns[s->rounds * s->size.singles];
	double sorted[TURN_BLOCKS_MAX];

	for (unsigned b = 0; b < s->size.blocks; b++)
		sorted[b] = blocks[b] = (double)t->block[b] / ticks_per_ns / s->size.block_calls;
	for (unsigned i = 0; i < s->size.singles; i++)
		singles[i] = (double)t->single[i] / ticks_per_ns;
	median_sort(sorted, s->size.blocks);
	s->middle_ns[s->rounds] = quantile(sorted, s->size.blocks, 0.5);
	s->raw_ns[s->rounds] = raw_ns[1];
	s->placed[s->rounds++] = before == after ? after : PLACED_MIXED;
}

static void
compare(const struct series *s, const struct series *other, enum placement placed, double *room,
    struct summary *out)
{
	size_t count = 0;

	for (unsigned r = 0; r < s->rounds && r < other->rounds; r++)
		if (s->placed[r] == placed && other->placed[r] == placed)
			room[count++] = s->middle_ns[r] / other->middle_ns[r];
	median_sort(room, count);
	out->ratio = quantile(room, count, 0.5);
	out->rounds = (unsigned)count;
}

/* The rows of `all`, `width` a round, of the rounds that had the placement; sorted. */
static size_t
gather(const struct series *s, enum placement placed, const double *all, unsigned width, double *to)
{
	size_t count = 0;

	for (unsigned r = 0; r < s->rounds; r++)
		if (s->placed[r] == placed) {
			memcpy(&to[count], &all[r * width], width * sizeof *to);
			count += width;
		}
	median_sort(to, count);
	return count;
}

size_t
pinioni_series_singles(const struct series *s, enum placement placed, double *to)
{
	return gather(s, placed, s->singles_ns, s->size.singles, to);
}

/* room: for all single calls; each block is put behind the p99.9s of those before it. */
static double
find_block_tail(const struct series *s, enum placement placed, double *room)
{
	const size_t full = SERIES_TAIL_SINGLES;
	const unsigned width = s->size.singles;
	size_t blocks = 0, count = 0;

	for (unsigned r = 0; r < s->rounds && width != 0; r++) {
		double *block = &room[blocks];

		if (s->placed[r] != placed)
			continue;
		memcpy(&block[count], &s->singles_ns[(size_t)r * width], width * sizeof *block);
		count += width;
		if (count < full)
			continue;
		median_sort(block, count);
		room[blocks++] = quantile(block, count, 0.999);
		count = 0;
	}
	median_sort(room, blocks);
	return quantile(room, blocks, 0.5);
}

bool
pinioni_series_summarise(
    const struct series *s, const struct series *other, enum placement placed, struct summary *out)
{
	size_t most = s->size.singles > s->size.blocks ? s->size.singles : s->size.blocks;
	double *room = calloc((size_t)s->rounds + 1, most * sizeof *room);
	size_t count;

	*out = (struct summary){ .blocks = 0 };
	if (room == NULL)
		return false;
	compare(s, other, placed, room, out);
	out->p999_block = find_block_tail(s, placed, room);
	count = gather(s, placed, s->raw_ns, 1, room);
	out->raw_ns = quantile(room, count, 0.5);
	count = out->blocks = gather(s, placed, s->blocks_ns, s->size.blocks, room);
	out->middle_ns = quantile(room, count, 0.5);
	if (s->size.singles != 0)
		count = out->singles = gather(s, placed, s->singles_ns, s->size.singles, room);
	out->p50 = quantile(room, count, 0.5);
	out->p99 = quantile(room, count, 0.99);
	out->p999 = quantile(room, count, 0.999);
	out->p9999 = quantile(room, count, 0.9999);
	out->max = quantile(room, count, 1);
	free(room);
	return true;
}
