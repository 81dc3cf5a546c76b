/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/histogram.c - making, taking and reading histograms.
 *
 * Numbers are worked out as HdrHistogram does, count by count from the lowest and in doubles, so that the
 * same counts give the same digits: a count's values are all taken for the middle of its width.
 */
#include "shm/histogram.h"

#include <errno.h>
#include <math.h>

/* The last value of so many buckets. */
static uint64_t
highest_of(unsigned buckets)
{
	return ((uint64_t)HISTOGRAM_SUB_BUCKETS << (buckets - 1)) - 1;
}

void
pinioni_histogram_init(struct histogram_recorder *r, void *memory, uint64_t highest)
{
	unsigned buckets = histogram_bucket(highest) + 1;

	assert(highest <= HISTOGRAM_HIGHEST);
	assert((uintptr_t)memory % PINION_LINE == 0);
	*r = (struct histogram_recorder){ .shared = memory, .highest = highest_of(buckets) };
	pinioni_histogram_reset(r);
	/* relaxed: whoever sees it before the zeroes sees those that lay there already. */
	atomic_store_explicit(&r->shared->mark, HISTOGRAM_MARK | buckets, memory_order_relaxed);
}

void
pinioni_histogram_reset(const struct histogram_recorder *r)
{
	size_t last = histogram_index(r->highest);

	/* relaxed twice: numbers that promise nothing of others. */
	atomic_store_explicit(&r->shared->above, 0, memory_order_relaxed);
	for (size_t i = 0; i <= last; i++)
		atomic_store_explicit(&r->shared->counts[i], 0, memory_order_relaxed);
}

int
pinioni_histogram_attach(struct histogram_reader *r, const void *memory, size_t room)
{
	const struct histogram *shared = memory;
	uint64_t mark, buckets;

	if ((uintptr_t)memory % PINION_LINE != 0 || room < sizeof *shared)
		return -EBADMSG;
	/* relaxed: the one word says all, and the counts behind it are zeroes or better. */
	mark = atomic_load_explicit(&shared->mark, memory_order_relaxed);
	if (mark == 0)
		return -EAGAIN;
	buckets = mark ^ HISTOGRAM_MARK;
	if (buckets == 0 || buckets > HISTOGRAM_BUCKETS_MAX ||
	    room < histogram_size(highest_of((unsigned)buckets)))
		return -EBADMSG;
	*r = (struct histogram_reader){
		.shared = shared,
		.highest = highest_of((unsigned)buckets),
	};
	return 0;
}

int
pinioni_histogram_take(const struct histogram_reader *r, struct histogram_snapshot *s)
{
	size_t last = histogram_index(r->highest);

	*s = (struct histogram_snapshot){ .highest = r->highest };
	for (size_t i = 0; i <= last; i++) {
		/* relaxed: each count is read once, and the total is of what was read. */
		s->counts[i] = atomic_load_explicit(&r->shared->counts[i], memory_order_relaxed);
		if (s->counts[i] > HISTOGRAM_HIGHEST - s->total)
			return -EBADMSG;
		s->total += s->counts[i];
	}
	/* relaxed: it may be of another moment, and is bounded by the count it belongs to. */
	s->above = atomic_load_explicit(&r->shared->above, memory_order_relaxed);
	if (s->above > s->counts[last])
		s->above = s->counts[last];
	return 0;
}

int
pinioni_histogram_add(struct histogram_snapshot *s, const struct histogram_snapshot *from)
{
	size_t last = histogram_index(s->highest);

	if (s->highest != from->highest)
		return -EINVAL;
	if (from->total > HISTOGRAM_HIGHEST - s->total)
		return -EOVERFLOW;
	for (size_t i = 0; i <= last; i++)
		s->counts[i] += from->counts[i];
	s->total += from->total;
	s->above += from->above;
	return 0;
}

size_t
pinioni_histogram_find(const struct histogram_snapshot *s, double percentile, uint64_t *seen)
{
	size_t at = 0;

	assert(s->total != 0);
	*seen = s->counts[0];
	/* Compared as a percentile: a count worked out of one can be rounded past a whole number. */
	while (*seen < s->total &&
	    (s->counts[at] == 0 || 100.0 * (double)*seen / (double)s->total < percentile))
		*seen += s->counts[++at];
	return at;
}

uint64_t
pinioni_histogram_value_at(const struct histogram_snapshot *s, double percentile)
{
	uint64_t seen;

	if (s->total == 0)
		return 0;
	if (percentile <= 0)
		return pinioni_histogram_min(s);
	return histogram_last(pinioni_histogram_find(s, percentile, &seen));
}

uint64_t
pinioni_histogram_min(const struct histogram_snapshot *s)
{
	uint64_t seen;

	return s->total == 0 ? 0 : histogram_first(pinioni_histogram_find(s, 0, &seen));
}

uint64_t
pinioni_histogram_max(const struct histogram_snapshot *s)
{
	uint64_t seen;

	return s->total == 0 ? 0 : histogram_last(pinioni_histogram_find(s, 100, &seen));
}

static double
middle(size_t index)
{
	return (double)(histogram_first(index) + histogram_width(index) / 2);
}

double
pinioni_histogram_mean(const struct histogram_snapshot *s)
{
	size_t last = histogram_index(s->highest);
	double sum = 0;

	for (size_t i = 0; i <= last; i++)
		sum += middle(i) * (double)s->counts[i];
	return s->total == 0 ? 0 : sum / (double)s->total;
}

double
pinioni_histogram_deviation(const struct histogram_snapshot *s)
{
	size_t last = histogram_index(s->highest);
	double mean = pinioni_histogram_mean(s);
	double sum = 0;

	for (size_t i = 0; i <= last; i++) {
		double off = middle(i) - mean;

		sum += off * off * (double)s->counts[i];
	}
	return s->total == 0 ? 0 : sqrt(sum / (double)s->total);
}
