/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Values lie where HdrHistogram puts them, and what is read of them is what it reads; a copy taken
 *         while somebody records is consistent in itself; what is no histogram is refused.
 * Method  The expected numbers are those of HdrHistogram 2.1.11, from the same values. A second, read-only
 *         mapping stands for another process. A histogram has no edge: its numbers are each whole and
 *         promise nothing about each other. Only the main thread asserts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shm/histogram.h"
#include "shm/segment.h"
#include "tests/scale.h"

/* A histogram, and both ends of it. */
struct fixture {
	void *memory;
	struct histogram_recorder recorder;
	struct histogram_reader reader;
	struct histogram_snapshot *seen;
};

static struct fixture
make(uint64_t highest)
{
	size_t size = histogram_size(highest);
	struct fixture f = { .memory = aligned_alloc(PINION_LINE, size), .seen = malloc(size) };

	assert_non_null(f.memory);
	assert_non_null(f.seen);
	memset(f.memory, 0xa5, size);
	pinioni_histogram_init(&f.recorder, f.memory, highest);
	assert_int_equal(pinioni_histogram_attach(&f.reader, f.memory, size), 0);
	assert_int_equal(f.reader.highest, f.recorder.highest);
	return f;
}

static void
destroy(struct fixture *f)
{
	free(f->memory);
	free(f->seen);
}

static void
record(struct fixture *f, uint64_t value, uint64_t times)
{
	for (uint64_t i = 0; i < times; i++)
		histogram_record(&f->recorder, value);
}

static const struct histogram_snapshot *
take(struct fixture *f)
{
	assert_int_equal(pinioni_histogram_take(&f->reader, f->seen), 0);
	return f->seen;
}

static void
assert_near(double value, double expected)
{
	assert_true(fabs(value - expected) <= fabs(expected) * 1e-10);
}

static void
values_below_2048_have_a_count_each(void **state)
{
	(void)state;
	for (uint64_t value = 0; value < 2048; value++) {
		assert_int_equal(histogram_index(value), value);
		assert_int_equal(histogram_first(value), value);
		assert_int_equal(histogram_width(value), 1);
		assert_int_equal(histogram_last(value), value);
	}
	assert_int_equal(histogram_index(2048), 2048);
	assert_int_equal(histogram_index(2049), 2048);
	assert_int_equal(histogram_index(2050), 2049);
}

static void
the_width_doubles_with_each_power_of_two(void **state)
{
	(void)state;
	for (unsigned power = 11; power < 63; power++) {
		uint64_t begin = UINT64_C(1) << power;
		size_t index = histogram_index(begin);

		assert_int_equal(index, 2048 + (power - 11) * 1024);
		assert_int_equal(histogram_width(index), begin / 1024);
		assert_int_equal(histogram_first(index), begin);
		assert_int_equal(histogram_width(index - 1), power == 11 ? 1 : begin / 2048);
		assert_int_equal(histogram_last(index - 1), begin - 1);
		assert_int_equal(histogram_index(begin - 1), index - 1);
	}
	assert_int_equal(histogram_last(histogram_index(HISTOGRAM_HIGHEST)), HISTOGRAM_HIGHEST);
}

static void
values_lie_where_hdrhistogram_puts_them(void **state)
{
	static const struct {
		uint64_t value, first, last, width;
	} rows[] = {
		{ 2500, 2500, 2501, 2 },
		{ 4095, 4094, 4095, 2 },
		{ 4096, 4096, 4099, 4 },
		{ 8180, 8180, 8183, 4 },
		{ 8191, 8188, 8191, 4 },
		{ 8193, 8192, 8199, 8 },
		{ 9995, 9992, 9999, 8 },
		{ 10007, 10000, 10007, 8 },
		{ 10008, 10008, 10015, 8 },
		{ 1000000, 999936, 1000447, 512 },
		{ HISTOGRAM_HOUR, 3599182594048, 3601330077695, 2147483648 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t index = histogram_index(rows[i].value);

		assert_int_equal(histogram_first(index), rows[i].first);
		assert_int_equal(histogram_last(index), rows[i].last);
		assert_int_equal(histogram_width(index), rows[i].width);
	}
}

static void
every_value_lies_in_its_count_within_a_thousandth(void **state)
{
	uint64_t random = seed() | 1;

	(void)state;
	for (uint64_t i = 0; i < scaled(2000000); i++) {
		uint64_t value = next_random(&random) >> (1 + i % 63);
		size_t index = histogram_index(value);

		assert_in_range(value, histogram_first(index), histogram_last(index));
		assert_int_equal(histogram_last(index) + 1, histogram_first(index + 1));
		assert_true((histogram_width(index) - 1) * 1000 <= value);
	}
}

static void
the_size_is_that_of_the_buckets(void **state)
{
	static const struct {
		uint64_t highest, last;
		unsigned buckets;
	} rows[] = {
		{ 0, 2047, 1 },
		{ 2047, 2047, 1 },
		{ 2048, 4095, 2 },
		{ 4095, 4095, 2 },
		{ 4096, 8191, 3 },
		{ 1000000000, 1073741823, 20 },
		{ HISTOGRAM_HOUR, 4398046511103, 32 },
		{ UINT64_C(1) << 62, HISTOGRAM_HIGHEST, 53 },
		{ HISTOGRAM_HIGHEST, HISTOGRAM_HIGHEST, 53 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fixture f = make(rows[i].highest);

		assert_int_equal(f.recorder.highest, rows[i].last);
		assert_int_equal(
		    histogram_size(rows[i].highest), 128 + (rows[i].buckets + 1) * 1024 * 8);
		assert_int_equal(histogram_size(rows[i].last), histogram_size(rows[i].highest));
		record(&f, rows[i].last, 1);
		record(&f, 0, 1);
		assert_int_equal(pinioni_histogram_max(take(&f)), rows[i].last);
		assert_int_equal(f.seen->above, 0);
		destroy(&f);
	}
	assert_int_equal(histogram_size(HISTOGRAM_HOUR), 264 * 1024 + 128);
	assert_int_equal(histogram_size(1000000000), 168 * 1024 + 128);
}

static void
of_nothing_all_is_zero(void **state)
{
	struct fixture f = make(HISTOGRAM_HOUR);
	const struct histogram_snapshot *s = take(&f);

	(void)state;
	assert_int_equal(s->total, 0);
	assert_int_equal(s->above, 0);
	assert_int_equal(pinioni_histogram_min(s), 0);
	assert_int_equal(pinioni_histogram_max(s), 0);
	assert_int_equal(pinioni_histogram_value_at(s, 0), 0);
	assert_int_equal(pinioni_histogram_value_at(s, 50), 0);
	assert_int_equal(pinioni_histogram_value_at(s, 100), 0);
	assert_true(pinioni_histogram_mean(s) == 0);
	assert_true(pinioni_histogram_deviation(s) == 0);
	destroy(&f);
}

static void
of_one_value_every_percentile_is_it(void **state)
{
	struct fixture f = make(HISTOGRAM_HOUR);
	const struct histogram_snapshot *s;

	(void)state;
	record(&f, 10003, 1);
	s = take(&f);
	assert_int_equal(s->total, 1);
	assert_int_equal(pinioni_histogram_min(s), 10000);
	assert_int_equal(pinioni_histogram_max(s), 10007);
	assert_int_equal(pinioni_histogram_value_at(s, 0), 10000);
	for (double percentile = 0.001; percentile < 200; percentile *= 3)
		assert_int_equal(pinioni_histogram_value_at(s, percentile), 10007);
	assert_near(pinioni_histogram_mean(s), 10004);
	assert_true(pinioni_histogram_deviation(s) == 0);
	destroy(&f);
}

static void
percentiles_of_a_ramp_are_its_values(void **state)
{
	struct fixture f = make(HISTOGRAM_HOUR);
	const struct histogram_snapshot *s;

	(void)state;
	for (uint64_t value = 1; value <= 100000; value++)
		record(&f, value, 1);
	s = take(&f);
	assert_int_equal(s->total, 100000);
	for (uint64_t value = 1; value <= 100000; value += 1 + value / 64) {
		uint64_t found = pinioni_histogram_value_at(s, (double)value / 1000);

		assert_int_equal(found, histogram_last(histogram_index(value)));
		assert_in_range(found, value, value + value / 1000);
	}
	assert_int_equal(pinioni_histogram_value_at(s, 100), pinioni_histogram_max(s));
	destroy(&f);
}

static void
rare_high_values_show_in_the_tail_alone(void **state)
{
	struct fixture f = make(HISTOGRAM_HOUR);
	const struct histogram_snapshot *s;

	(void)state;
	record(&f, 1000, 10000);
	record(&f, 100000000, 1);
	s = take(&f);
	assert_int_equal(s->total, 10001);
	assert_int_equal(pinioni_histogram_min(s), 1000);
	assert_int_equal(pinioni_histogram_max(s), 100007935);
	assert_int_equal(pinioni_histogram_value_at(s, 99.99), 1000);
	assert_int_equal(pinioni_histogram_value_at(s, 99.999), 100007935);
	assert_near(pinioni_histogram_mean(s), 1.0996417158e+04);
	assert_near(pinioni_histogram_deviation(s), 9.9964171583e+05);
	destroy(&f);
}

static void
a_value_too_high_counts_as_the_highest_and_apart(void **state)
{
	struct fixture f = make(5000), small = make(0);
	const struct histogram_snapshot *s;

	(void)state;
	record(&small, 2048, 1);
	assert_int_equal(take(&small)->counts[2047], 1);
	assert_int_equal(small.seen->above, 1);
	destroy(&small);
	record(&f, 8191, 2);
	record(&f, 8192, 3);
	record(&f, UINT64_MAX, 4);
	s = take(&f);
	assert_int_equal(s->total, 9);
	assert_int_equal(s->above, 7);
	assert_int_equal(s->counts[histogram_index(8191)], 9);
	assert_int_equal(pinioni_histogram_max(s), 8191);
	destroy(&f);
}

static void
reset_leaves_nothing(void **state)
{
	struct fixture f = make(5000);

	(void)state;
	record(&f, 17, 5);
	record(&f, 10000, 5);
	pinioni_histogram_reset(&f.recorder);
	assert_int_equal(take(&f)->total, 0);
	assert_int_equal(f.seen->above, 0);
	record(&f, 18, 1);
	assert_int_equal(take(&f)->total, 1);
	assert_int_equal(pinioni_histogram_min(f.seen), 18);
	destroy(&f);
}

static void
two_snapshots_add_up(void **state)
{
	struct fixture a = make(1000000), b = make(1000000), both = make(1000000);
	size_t size = offsetof(struct histogram_snapshot, counts) +
	    (histogram_index(a.recorder.highest) + 1) * sizeof(uint64_t);

	(void)state;
	for (uint64_t i = 0; i < 3000; i++) {
		record(i % 3 == 0 ? &a : &b, i * 401, 1);
		record(&both, i * 401, 1);
	}
	(void)take(&a);
	assert_int_equal(pinioni_histogram_add(a.seen, take(&b)), 0);
	assert_memory_equal(a.seen, take(&both), size);
	assert_true(a.seen->above != 0);
	destroy(&a);
	destroy(&b);
	destroy(&both);
}

static void
what_does_not_add_up_is_refused_and_changes_nothing(void **state)
{
	struct fixture a = make(5000), other = make(9000);

	(void)state;
	record(&a, 7, 3);
	record(&other, 7, 3);
	(void)take(&a);
	(void)take(&other);
	assert_int_equal(pinioni_histogram_add(a.seen, other.seen), -EINVAL);
	assert_int_equal(a.seen->total, 3);
	assert_int_equal(a.seen->counts[7], 3);
	atomic_store_explicit(
	    &a.recorder.shared->counts[7], HISTOGRAM_HIGHEST, memory_order_relaxed);
	(void)take(&a);
	assert_int_equal(pinioni_histogram_add(a.seen, a.seen), -EOVERFLOW);
	assert_int_equal(a.seen->total, HISTOGRAM_HIGHEST);
	assert_int_equal(a.seen->counts[7], HISTOGRAM_HIGHEST);
	destroy(&a);
	destroy(&other);
}

static void
set_mark(struct fixture *f, uint64_t mark)
{
	atomic_store_explicit(&f->recorder.shared->mark, mark, memory_order_relaxed);
}

static void
what_is_no_histogram_is_refused(void **state)
{
	struct fixture f = make(5000);
	size_t size = histogram_size(5000);
	struct histogram_reader r;

	(void)state;
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, size - 1), -EBADMSG);
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, PINION_LINE - 1), -EBADMSG);
	/* Behind the memory, where nothing may be looked at. */
	assert_int_equal(
	    pinioni_histogram_attach(&r, (unsigned char *)f.memory + size, 0), -EBADMSG);
	assert_int_equal(
	    pinioni_histogram_attach(&r, (unsigned char *)f.memory + 8, size - 8), -EBADMSG);
	set_mark(&f, 0);
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, size), -EAGAIN);
	set_mark(&f, HISTOGRAM_MARK);
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, size), -EBADMSG);
	set_mark(&f, HISTOGRAM_MARK | 4); /* one bucket more than there is room for */
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, size), -EBADMSG);
	set_mark(&f, HISTOGRAM_MARK | (HISTOGRAM_BUCKETS_MAX + 1));
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, SIZE_MAX), -EBADMSG);
	for (unsigned bit = 8; bit < 64; bit++) {
		set_mark(&f, (HISTOGRAM_MARK | 3) ^ (UINT64_C(1) << bit));
		assert_int_equal(pinioni_histogram_attach(&r, f.memory, size), -EBADMSG);
	}
	set_mark(&f, HISTOGRAM_MARK | 3);
	assert_int_equal(pinioni_histogram_attach(&r, f.memory, size), 0);
	destroy(&f);
}

static void
what_others_write_later_leads_nowhere(void **state)
{
	struct fixture f = make(5000);
	const struct histogram_snapshot *s;

	(void)state;
	record(&f, 8191, 2);
	set_mark(&f, HISTOGRAM_MARK | HISTOGRAM_BUCKETS_MAX);
	atomic_store_explicit(&f.recorder.shared->above, UINT64_MAX, memory_order_relaxed);
	s = take(&f);
	assert_int_equal(s->highest, 8191);
	assert_int_equal(s->above, 2);
	atomic_store_explicit(&f.recorder.shared->counts[3], UINT64_MAX, memory_order_relaxed);
	assert_int_equal(pinioni_histogram_take(&f.reader, f.seen), -EBADMSG);
	atomic_store_explicit(
	    &f.recorder.shared->counts[3], HISTOGRAM_HIGHEST - 1, memory_order_relaxed);
	assert_int_equal(pinioni_histogram_take(&f.reader, f.seen), -EBADMSG);
	atomic_store_explicit(
	    &f.recorder.shared->counts[3], HISTOGRAM_HIGHEST - 2, memory_order_relaxed);
	assert_int_equal(take(&f)->total, HISTOGRAM_HIGHEST);
	destroy(&f);
}

static void
others_read_it_through_a_mapping_for_reading_alone(void **state)
{
	struct segment_plan plan = {
		.name = "pinion test",
		.kind = SEGMENT_BOARD,
		.size = sizeof(struct segment_header) + histogram_size(HISTOGRAM_HOUR),
	};
	struct segment ours, theirs;
	struct fixture f = make(HISTOGRAM_HOUR);
	const void *shown;
	size_t room;

	(void)state;
	assert_int_equal(pinioni_segment_create(&ours, &plan), 0);
	assert_int_equal(pinioni_segment_commit(&ours, 0, ours.size), 0);
	assert_int_equal(pinioni_segment_publish(&ours, &plan, true), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, ours.fd, SEGMENT_BOARD, true), 0);
	shown = theirs.base + sizeof(struct segment_header);
	room = theirs.size - sizeof(struct segment_header);
	assert_int_equal(pinioni_histogram_attach(&f.reader, shown, room), -EAGAIN);
	pinioni_histogram_init(
	    &f.recorder, ours.base + sizeof(struct segment_header), HISTOGRAM_HOUR);
	assert_int_equal(pinioni_histogram_attach(&f.reader, shown, room), 0);
	record(&f, 1234, 5);
	pinioni_segment_destroy(&ours); /* its process is gone */
	assert_int_equal(take(&f)->total, 5);
	assert_int_equal(pinioni_histogram_max(f.seen), 1234);
	pinioni_segment_destroy(&theirs);
	destroy(&f);
}

struct recording {
	struct histogram_recorder *recorder;
	uint64_t count;
};

/* Values of all sizes, some too high. */
static void *
record_all(void *arg)
{
	struct recording *r = arg;
	uint64_t random = 1;

	for (uint64_t i = 0; i < r->count; i++)
		histogram_record(r->recorder, next_random(&random) >> (20 + i % 44));
	return NULL;
}

/* Whether `now` can be of a later moment than `before`, and is consistent in itself. */
static bool
is_wrong(const struct histogram_snapshot *now, const struct histogram_snapshot *before)
{
	size_t last = histogram_index(now->highest);
	uint64_t sum = 0;
	bool shrunk = false;

	for (size_t i = 0; i <= last; i++) {
		sum += now->counts[i];
		shrunk |= now->counts[i] < before->counts[i];
	}
	return shrunk || sum != now->total || now->above > now->counts[last];
}

static void
a_snapshot_taken_while_somebody_records_is_consistent(void **state)
{
	struct fixture f = make(HISTOGRAM_HOUR);
	struct histogram_snapshot *before = calloc(1, histogram_size(HISTOGRAM_HOUR));
	struct recording r = { .recorder = &f.recorder, .count = scaled(20000000) };
	uint64_t wrong = 0, refused = 0;
	pthread_t t;

	(void)state;
	assert_non_null(before);
	f.seen->total = 0;
	assert_int_equal(pthread_create(&t, NULL, record_all, &r), 0);
	while (before->total < r.count && refused == 0) {
		struct histogram_snapshot *spare = before;

		refused += pinioni_histogram_take(&f.reader, f.seen) != 0;
		wrong += is_wrong(f.seen, before);
		before = f.seen;
		f.seen = spare;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(refused, 0);
	assert_int_equal(wrong, 0);
	assert_int_equal(before->total, r.count);
	assert_int_equal(before->above, take(&f)->above);
	assert_true(before->above != 0);
	free(before);
	destroy(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_below_2048_have_a_count_each),
		cmocka_unit_test(the_width_doubles_with_each_power_of_two),
		cmocka_unit_test(values_lie_where_hdrhistogram_puts_them),
		cmocka_unit_test(every_value_lies_in_its_count_within_a_thousandth),
		cmocka_unit_test(the_size_is_that_of_the_buckets),
		cmocka_unit_test(of_nothing_all_is_zero),
		cmocka_unit_test(of_one_value_every_percentile_is_it),
		cmocka_unit_test(percentiles_of_a_ramp_are_its_values),
		cmocka_unit_test(rare_high_values_show_in_the_tail_alone),
		cmocka_unit_test(a_value_too_high_counts_as_the_highest_and_apart),
		cmocka_unit_test(reset_leaves_nothing),
		cmocka_unit_test(two_snapshots_add_up),
		cmocka_unit_test(what_does_not_add_up_is_refused_and_changes_nothing),
		cmocka_unit_test(what_is_no_histogram_is_refused),
		cmocka_unit_test(what_others_write_later_leads_nowhere),
		cmocka_unit_test(others_read_it_through_a_mapping_for_reading_alone),
		cmocka_unit_test(a_snapshot_taken_while_somebody_records_is_consistent),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
