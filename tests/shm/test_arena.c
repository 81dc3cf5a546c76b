/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The arena gives blocks that nobody else has, aligned to their size, splits and joins them, refuses
 *         only what is not to be had, and knows its loans.
 * Method  Arrows: one thread, small arenas. Stress: random takes and gives against a shadow map with a byte
 *         a granule, which also says whether a refusal was right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/arena.h"
#include "tests/scale.h"

enum {
	BASE = 8192, /* where the arena begins in its segment */
	SMALL = ARENA_STEP,
	LARGE = 4 * ARENA_STEP,
};

static struct segment segment;
static struct arena arena;

static struct arena *
make(size_t size)
{
	struct segment_plan plan = {
		.name = "pinion test", .kind = SEGMENT_PORT, .size = BASE + size
	};

	assert_int_equal(pinioni_segment_create(&segment, &plan), 0);
	assert_int_equal(pinioni_arena_init(&arena, &segment, BASE, size), 0);
	return &arena;
}

static void
drop(void)
{
	pinioni_arena_deinit(&arena);
	pinioni_segment_destroy(&segment);
}

static uint32_t
take(struct arena *a, size_t bytes)
{
	uint32_t at = ARENA_NONE;

	assert_int_equal(pinioni_arena_take_joined(a, bytes, &at), 0);
	return at;
}

static void
a_size_belongs_to_the_smallest_class_that_holds_it(void **state)
{
	(void)state;
	assert_int_equal(arena_class(0), 0);
	assert_int_equal(arena_class(1), 0);
	for (unsigned class = 0; class < ARENA_CLASSES; class ++) {
		assert_int_equal(arena_class((size_t)ARENA_GRANULE << class), class);
		assert_int_equal(arena_class(((size_t)ARENA_GRANULE << class) + 1), class + 1);
	}
	assert_true(arena_class(SIZE_MAX) >= ARENA_CLASSES);
}

static void
every_class_gives_aligned_blocks_of_its_size(void **state)
{
	struct arena *a = make(LARGE);

	(void)state;
	for (size_t bytes = ARENA_GRANULE; bytes <= LARGE; bytes *= 2) {
		uint32_t at = take(a, bytes - 1);

		assert_int_equal(pinioni_arena_block_size(a, at), bytes);
		assert_int_equal((size_t)at * ARENA_GRANULE % bytes, 0);
		assert_true((size_t)at * ARENA_GRANULE + bytes <= LARGE);
		assert_ptr_equal(arena_at(a, at), segment.base + BASE + (size_t)at * ARENA_GRANULE);
		memset(arena_at(a, at), 0x5a, bytes);
		assert_int_equal(a->blocks, 1);
		arena_give(a, at);
		assert_int_equal(a->blocks, 0);
	}
	drop();
}

static void
an_arena_of_an_impossible_size_is_refused(void **state)
{
	static const size_t sizes[] = { 0, ARENA_STEP - 1, ARENA_STEP / 2, ARENA_STEP + 64,
		3 * ARENA_STEP, (size_t)ARENA_GRANULE << ARENA_CLASSES };
	struct arena a;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		assert_int_equal(pinioni_arena_init(&a, &segment, 0, sizes[i]), -EINVAL);
}

static void
the_block_given_back_last_is_taken_first(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t one = take(a, 100), two = take(a, 100);
	size_t used = a->used;

	(void)state;
	assert_int_not_equal(one, two);
	arena_give(a, one);
	arena_give(a, two);
	assert_int_equal(take(a, 128), two);
	assert_int_equal(take(a, 65), one);
	assert_int_equal(a->used, used);
	drop();
}

static void
what_alignment_skips_is_not_lost(void **state)
{
	struct arena *a = make(SMALL);
	size_t used;

	(void)state;
	assert_int_equal(take(a, 64), 0);
	assert_int_equal(take(a, 4096), 4096 / ARENA_GRANULE);
	used = a->used;
	assert_int_equal(used, 8192);
	for (size_t bytes = 64; bytes < 4096; bytes *= 2)
		assert_int_equal((size_t)take(a, bytes) * ARENA_GRANULE, bytes);
	assert_int_equal(a->used, used);
	drop();
}

static void
a_larger_block_is_split_before_fresh_memory_is_carved(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t large = take(a, 65536);
	uint32_t end = large + 65536 / ARENA_GRANULE;

	(void)state;
	assert_int_equal(take(a, 65536), end);
	arena_give(a, large);
	for (int i = 0; i < 65536 / 1024; i++) {
		uint32_t at = take(a, 1024);

		assert_true(at >= large && at < end);
	}
	assert_int_equal(a->used, 2 * 65536);
	assert_true(take(a, 1024) >= 2 * end);
	drop();
}

static void
fresh_memory_is_committed_in_steps(void **state)
{
	struct arena *a = make(LARGE);

	(void)state;
	assert_int_equal(a->committed, 0);
	(void)take(a, 1);
	assert_int_equal(a->committed, ARENA_STEP);
	(void)take(a, ARENA_STEP / 2);
	assert_int_equal(a->committed, ARENA_STEP);
	(void)take(a, ARENA_STEP);
	assert_int_equal(a->committed, 2 * ARENA_STEP);
	drop();
}

static void
a_full_arena_refuses_and_recovers(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t at, other;

	(void)state;
	for (int i = 0; i < SMALL / 1024; i++)
		memset(arena_at(a, take(a, 1024)), i, 1024);
	assert_int_equal(pinioni_arena_take_joined(a, 1, &at), -ENOBUFS);
	assert_int_equal(pinioni_arena_take_joined(a, 1024, &at), -ENOBUFS);
	assert_int_equal(a->blocks, SMALL / 1024);
	for (uint32_t i = 0; i < SMALL / 1024; i++) {
		const unsigned char *p = arena_at(a, i * 16);

		assert_int_equal(p[0], (unsigned char)i);
		assert_int_equal(p[1023], (unsigned char)i);
	}
	arena_give(a, 16);
	arena_give(a, 48);
	assert_int_equal(
	    pinioni_arena_take_joined(a, 2048, &at), -ENOBUFS); /* free, but not side by side */
	arena_give(a, 32);
	assert_int_equal(arena_take(a, 2048, &at), -ENOBUFS); /* not joined unasked */
	assert_int_equal(take(a, 2048), 32);
	other = take(a, 512);
	at = take(a, 512);
	assert_int_equal(at ^ other, 8);
	assert_int_equal(at & 16, 16);
	assert_int_equal(pinioni_arena_take_joined(a, 1, &at), -ENOBUFS);
	drop();
}

static void
free_buddies_are_joined_when_nothing_else_serves(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t at;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < SMALL / ARENA_GRANULE; i++)
			(void)take(a, 1);
		for (uint32_t i = 0; i < SMALL / ARENA_GRANULE; i++)
			arena_give(a, i);
		at = take(a, SMALL);
		assert_int_equal(at, 0);
		arena_give(a, at);
	}
	drop();
}

static void
free_memory_at_the_end_joins_what_was_never_touched(void **state)
{
	struct arena *a = make(LARGE);
	uint32_t low, high;

	(void)state;
	low = take(a, 64);
	high = take(a, LARGE / 2);
	arena_give(a, low);
	arena_give(a, high);
	assert_int_equal(take(a, LARGE), 0);
	drop();

	a = make(LARGE);
	low = take(a, LARGE / 2);
	high = take(a, 64);
	arena_give(a, high);
	assert_int_equal(take(a, LARGE / 2), LARGE / 2 / ARENA_GRANULE);
	drop();
}

static void
what_is_larger_than_the_arena_is_too_large_for_ever(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t at;

	(void)state;
	assert_int_equal(pinioni_arena_take_joined(a, SMALL + 1, &at), -EMSGSIZE);
	assert_int_equal(
	    pinioni_arena_take_joined(a, (size_t)ARENA_GRANULE << ARENA_CLASSES, &at), -EMSGSIZE);
	assert_int_equal(pinioni_arena_take_joined(a, SIZE_MAX, &at), -EMSGSIZE);
	assert_int_equal(take(a, SMALL), 0);
	drop();
}

static void
only_the_first_granule_names_a_block(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t at = take(a, 256);

	(void)state;
	assert_int_equal(pinioni_arena_block_size(a, at), 256);
	for (uint32_t i = 1; i < 4; i++)
		assert_int_equal(pinioni_arena_block_size(a, at + i), 0);
	assert_int_equal(pinioni_arena_block_size(a, at + 4), 0); /* not carved yet */
	assert_int_equal(pinioni_arena_block_size(a, SMALL / ARENA_GRANULE), 0);
	assert_int_equal(pinioni_arena_block_size(a, UINT32_MAX), 0);
	drop();
}

static void
a_loan_is_found_where_it_begins(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t plain = take(a, 1024), loaned = take(a, 1024), found = ARENA_NONE;
	unsigned char *p = arena_at(a, loaned);

	(void)state;
	assert_false(arena_find_loan(a, p, 1, &found));
	pinioni_arena_loan(a, loaned);
	assert_true(arena_find_loan(a, p, 1024, &found));
	assert_int_equal(found, loaned);
	assert_false(arena_find_loan(a, p, 1025, &found));
	assert_false(arena_find_loan(a, p, SIZE_MAX, &found));
	for (size_t i = 1; i < 1024; i++) /* it begins at its beginning */
		assert_false(arena_find_loan(a, p + i, 1, &found));
	assert_false(arena_find_loan(a, p - 1, 1, &found));
	assert_false(arena_find_loan(a, p + 1024, 1, &found));
	assert_false(arena_find_loan(a, arena_at(a, plain), 1, &found));
	assert_false(arena_find_loan(a, segment.base, 1, &found));
	assert_false(arena_find_loan(a, segment.base + BASE + SMALL, 1, &found));
	assert_false(arena_find_loan(a, &found, 1, &found));
	drop();
}

static void
a_loan_ends_once(void **state)
{
	struct arena *a = make(SMALL);
	uint32_t at = take(a, 128), found;

	(void)state;
	assert_false(pinioni_arena_unloan(a, at));
	pinioni_arena_loan(a, at);
	assert_int_equal(pinioni_arena_block_size(a, at), 128);
	assert_false(pinioni_arena_unloan(a, at + 1));
	assert_false(pinioni_arena_unloan(a, SMALL / ARENA_GRANULE));
	assert_false(pinioni_arena_unloan(a, ARENA_NONE));
	assert_true(pinioni_arena_unloan(a, at));
	assert_false(pinioni_arena_unloan(a, at));
	assert_false(arena_find_loan(a, arena_at(a, at), 1, &found));
	pinioni_arena_loan(a, at);
	arena_give(a, at); /* given back while on loan: the loan goes with it */
	assert_false(pinioni_arena_unloan(a, at));
	assert_int_equal(take(a, 128), at);
	drop();
}

enum {
	HELD = 512,
	GRANULES = LARGE / ARENA_GRANULE,
};

/* What the stress test believes. */
static struct {
	struct {
		uint32_t at;
		size_t bytes;
		uint64_t mark;
		bool loaned;
	} held[HELD];
	unsigned count;
	uint8_t owned[GRANULES];
	uint64_t random;
} shadow;

static bool
shadow_is_free(size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		if (shadow.owned[i] != 0)
			return false;
	return true;
}

/* A refusal is right if no aligned place of that size is free. */
static bool
shadow_has_room(size_t granules)
{
	for (size_t i = 0; i < GRANULES; i += granules)
		if (shadow_is_free(i, granules))
			return true;
	return false;
}

static void
stress_take(struct arena *a)
{
	size_t limit = (size_t)1 << next_random(&shadow.random) % 19;
	size_t bytes = (size_t)(next_random(&shadow.random) % limit) + 1;
	size_t granules = (size_t)1 << arena_class(bytes);
	uint64_t mark = next_random(&shadow.random);
	unsigned i = shadow.count;
	uint32_t at;
	int err = pinioni_arena_take_joined(a, bytes, &at);

	if (err != 0) {
		assert_int_equal(err, -ENOBUFS);
		assert_false(shadow_has_room(granules));
		return;
	}
	assert_int_equal(pinioni_arena_block_size(a, at), granules * ARENA_GRANULE);
	assert_int_equal(at % granules, 0);
	assert_true(at + granules <= GRANULES);
	assert_true(shadow_is_free(at, granules));
	memset(shadow.owned + at, 1, granules);
	memcpy(arena_at(a, at), &mark, sizeof mark);
	memcpy(
	    (char *)arena_at(a, at) + granules * ARENA_GRANULE - sizeof mark, &mark, sizeof mark);
	shadow.held[i].at = at;
	shadow.held[i].bytes = granules * ARENA_GRANULE;
	shadow.held[i].mark = mark;
	shadow.held[i].loaned = next_random(&shadow.random) % 4 == 0;
	if (shadow.held[i].loaned)
		pinioni_arena_loan(a, at);
	shadow.count++;
}

static void
stress_give(struct arena *a, unsigned i)
{
	uint32_t at = shadow.held[i].at, found;
	size_t bytes = shadow.held[i].bytes;
	const char *p = arena_at(a, at);

	assert_memory_equal(p, &shadow.held[i].mark, sizeof shadow.held[i].mark);
	assert_memory_equal(p + bytes - sizeof shadow.held[i].mark, &shadow.held[i].mark,
	    sizeof shadow.held[i].mark);
	assert_int_equal(arena_find_loan(a, p, bytes, &found), shadow.held[i].loaned);
	if (shadow.held[i].loaned) {
		assert_int_equal(found, at);
		assert_true(pinioni_arena_unloan(a, at));
	}
	arena_give(a, at);
	memset(shadow.owned + at, 0, bytes / ARENA_GRANULE);
	shadow.held[i] = shadow.held[--shadow.count];
}

static void
random_use_never_gives_a_granule_twice_nor_refuses_what_is_there(void **state)
{
	struct arena *a = make(LARGE);
	uint64_t steps = scaled(400000);

	(void)state;
	memset(&shadow, 0, sizeof shadow);
	shadow.random = seed() | 1;
	for (uint64_t step = 0; step < steps; step++) {
		/* Fills for a while, then empties for a while. */
		bool filling = step / 2000 % 2 == 0;
		bool take_one = next_random(&shadow.random) % 8 < (filling ? 6 : 2);

		if (take_one && shadow.count < HELD)
			stress_take(a);
		else if (shadow.count != 0)
			stress_give(a, (unsigned)(next_random(&shadow.random) % shadow.count));
		if (next_random(&shadow.random) % 1000 == 0)
			pinioni_arena_join(a);
		assert_int_equal(a->blocks, shadow.count);
	}
	while (shadow.count != 0)
		stress_give(a, 0);
	assert_int_equal(take(a, LARGE), 0);
	drop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_belongs_to_the_smallest_class_that_holds_it),
		cmocka_unit_test(every_class_gives_aligned_blocks_of_its_size),
		cmocka_unit_test(an_arena_of_an_impossible_size_is_refused),
		cmocka_unit_test(the_block_given_back_last_is_taken_first),
		cmocka_unit_test(what_alignment_skips_is_not_lost),
		cmocka_unit_test(a_larger_block_is_split_before_fresh_memory_is_carved),
		cmocka_unit_test(fresh_memory_is_committed_in_steps),
		cmocka_unit_test(a_full_arena_refuses_and_recovers),
		cmocka_unit_test(free_buddies_are_joined_when_nothing_else_serves),
		cmocka_unit_test(free_memory_at_the_end_joins_what_was_never_touched),
		cmocka_unit_test(what_is_larger_than_the_arena_is_too_large_for_ever),
		cmocka_unit_test(only_the_first_granule_names_a_block),
		cmocka_unit_test(a_loan_is_found_where_it_begins),
		cmocka_unit_test(a_loan_ends_once),
		cmocka_unit_test(random_use_never_gives_a_granule_twice_nor_refuses_what_is_there),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
