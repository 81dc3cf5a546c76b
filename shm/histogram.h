/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/histogram.h - how often each value came: exact below 2048, within a thousandth above.
 *
 *   value  0 .. 2047 | 2048 .. 4095 | 4096 .. 8191 |   ...   | highest     HdrHistogram's layout for
 *   bucket     0     |      1       |      2       |         |             3 digits: its tools read what
 *   width      1     |      2       |      4       | 2^bucket|             shm/histogram_print.h writes
 *   counts   2048    |     1024     |     1024     |   1024  |
 *
 *   recorder: one count up ---> histogram ---> reader: takes a copy ---> snapshot: percentiles, mean, ...
 *
 * Why       Nothing is kept but counts. A total kept beside them would disagree with those that a reader
 *           sees; a sum, a least and a greatest would cost each record another word and two comparisons,
 *           and all of it is in the counts, as exact as HdrHistogram says it.
 * Threads   histogram_record, reset: the recorder's. attach, take: anybody's, in any process. A snapshot:
 *           one at a time.
 * Progress  wait-free. A record loads and stores one count; take copies them all. A snapshot is consistent
 *           in itself, as its total is the sum of its counts; what was recorded while it was taken may be
 *           in it or not.
 * Memory    Its user's, private or in a segment, where others need not be able to write. histogram_size:
 *           264 KiB for an hour of nanoseconds, 168 KiB for a second, 128 bytes more. Others may map it
 *           before init where it lies in fresh zeroes; elsewhere they must not see it before.
 * Death     A dead recorder's histogram stays as it was. Killed between the two counts of a value too high,
 *           it has counted one more as too high than there are: take says no more than the last count.
 */
#ifndef PINION_SHM_HISTOGRAM_H
#define PINION_SHM_HISTOGRAM_H

#include "shm/format.h"

enum {
	HISTOGRAM_SUB_BUCKETS = 2048, /* twice 10^3, as a power of two */
	HISTOGRAM_HALF_SHIFT = 10,    /* half of them are new in each further bucket */
	HISTOGRAM_BUCKETS_MAX = 53,   /* up to 2^63 - 1: HdrHistogram's values have a sign */
};

#define HISTOGRAM_HIGHEST ((UINT64_C(1) << 63) - 1)
#define HISTOGRAM_HOUR UINT64_C(3600000000000) /* nanoseconds */

/* Given by init; by value, the recorder's own. */
struct histogram_recorder {
	struct histogram *shared;
	uint64_t highest; /* last value of the last bucket */
};

/* Given by attach, after every check: what is in shared memory later cannot lead out of it. */
struct histogram_reader {
	const struct histogram *shared;
	uint64_t highest;
};

struct histogram_snapshot {
	uint64_t highest;
	uint64_t total;    /* the sum of counts, at most HISTOGRAM_HIGHEST */
	uint64_t above;    /* of these, too high: in the last count */
	uint64_t counts[]; /* histogram_index(highest) + 1 */
};
static_assert(sizeof(struct histogram_snapshot) <= sizeof(struct histogram), "histogram_size");

/* In `memory` of histogram_size(highest) bytes on a line's boundary, lent until nobody records or reads any
 * more. Touches all of it, so that no record has to fetch a page. highest: at most HISTOGRAM_HIGHEST;
 * rounded up to the end of its bucket. */
void pinioni_histogram_init(struct histogram_recorder *r, void *memory, uint64_t highest);

/* The recorder: all counts are 0 again. A snapshot taken meanwhile has some of them. */
void pinioni_histogram_reset(const struct histogram_recorder *r);

/* To read what lies in the `room` bytes at `memory`, which may be another process's and mapped for reading
 * alone; lent until the last take. 0. -EAGAIN: none there yet. -EBADMSG: no histogram, or cut short. */
int pinioni_histogram_attach(struct histogram_reader *r, const void *memory, size_t room)
    __attribute__((warn_unused_result));

/* Copies what it shows now into s, of histogram_size(r->highest) bytes. 0. -EBADMSG: the counts make no
 * sense, as no recorder's do; s then means nothing. */
int pinioni_histogram_take(const struct histogram_reader *r, struct histogram_snapshot *s)
    __attribute__((warn_unused_result));

/* Adds the counts of `from`. 0. -EINVAL: another highest. -EOVERFLOW: too many. s is then as it was. */
int pinioni_histogram_add(struct histogram_snapshot *s, const struct histogram_snapshot *from)
    __attribute__((warn_unused_result));

/* The least value that at least `percentile` of 100 do not exceed, as the end of its width; of 0: as min. All
 * of these are 0 where nothing was recorded. */
uint64_t pinioni_histogram_value_at(const struct histogram_snapshot *s, double percentile);
uint64_t pinioni_histogram_min(const struct histogram_snapshot *s); /* the beginning of its width */
uint64_t pinioni_histogram_max(const struct histogram_snapshot *s); /* the end of its width */
double pinioni_histogram_mean(const struct histogram_snapshot *s);
double pinioni_histogram_deviation(const struct histogram_snapshot *s); /* the standard deviation */

/* Which count that is in, and in `seen` how many values it and those before it have. For total != 0. */
size_t pinioni_histogram_find(
    const struct histogram_snapshot *s, double percentile, uint64_t *seen);

/* 53 is what 64 bits have beyond a sub-bucket's 11, too. */
static inline unsigned
histogram_bucket(uint64_t value)
{
	return HISTOGRAM_BUCKETS_MAX -
	    (unsigned)__builtin_clzll(value | (HISTOGRAM_SUB_BUCKETS - 1));
}

/* Which count a value is in. */
static inline size_t
histogram_index(uint64_t value)
{
	unsigned bucket = histogram_bucket(value);

	return ((size_t)bucket << HISTOGRAM_HALF_SHIFT) + (size_t)(value >> bucket);
}

/* How many values a count is of. */
static inline uint64_t
histogram_width(size_t index)
{
	return index < HISTOGRAM_SUB_BUCKETS ? 1
					     : UINT64_C(1) << ((index >> HISTOGRAM_HALF_SHIFT) - 1);
}

/* The first of these. */
static inline uint64_t
histogram_first(size_t index)
{
	size_t half = (size_t)1 << HISTOGRAM_HALF_SHIFT;

	return index < HISTOGRAM_SUB_BUCKETS
	    ? index
	    : (half + (index & (half - 1))) * histogram_width(index);
}

/* The last of these. */
static inline uint64_t
histogram_last(size_t index)
{
	return histogram_first(index) + (histogram_width(index) - 1);
}

/* Bytes of a histogram up to that value, and of a snapshot of it. */
static inline size_t
histogram_size(uint64_t highest)
{
	size_t counts = ((size_t)histogram_bucket(highest) + 2) << HISTOGRAM_HALF_SHIFT;

	assert(highest <= HISTOGRAM_HIGHEST);
	return sizeof(struct histogram) + counts * sizeof(uint64_t);
}

static inline void
histogram_count(_Atomic uint64_t *count)
{
	/* relaxed twice: one recorder, so no locked addition; numbers that promise nothing of others. */
	uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, now + 1, memory_order_relaxed);
}

/* The recorder, a dozen instructions. A value too high counts as the highest. */
static inline void
histogram_record(const struct histogram_recorder *r, uint64_t value)
{
	if (value > r->highest) {
		histogram_count(&r->shared->above);
		value = r->highest;
	}
	histogram_count(&r->shared->counts[histogram_index(value)]);
}

#endif
