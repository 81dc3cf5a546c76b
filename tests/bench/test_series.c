/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The p99.9 of a block is the median over blocks: one spoiled round does not make it, and there is none of
 *         fewer than 1,000 single calls of one placement.
 * Method  Turns with made-up times, in one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/kit/series.h"

enum {
	QUICK_NS = 100,
	TAIL_NS = 300,
	SPOILED_NS = 1000000,
	SAME_L3_NS = 100,
	OTHER_L3_NS = 500
};

static const struct turn_size quick = { .blocks = 1, .block_calls = 1, .singles = 1024 };
static const struct turn_size slow = { .blocks = 1, .block_calls = 1, .singles = 16 };

/* All single calls quick, but for so many, and they are so slow. */
static void
add_turn(struct series *s, unsigned others, uint64_t ns, double raw_ns)
{
	const double probes[2] = { raw_ns, raw_ns };
	struct turn t = { .size = s->size, .block = { QUICK_NS } };

	for (unsigned i = 0; i < s->size.singles; i++)
		t.single[i] = i < others ? ns : QUICK_NS;
	pinioni_series_add(s, &t, probes, 1);
}

static struct summary
summarise(const struct series *s, enum placement placed)
{
	struct summary sum;

	assert_true(pinioni_series_summarise(s, s, placed, &sum));
	return sum;
}

static void
one_spoiled_round_is_not_the_tail_of_a_block(void **state)
{
	struct series s;
	struct summary sum;

	(void)state;
	assert_true(pinioni_series_init(&s, &quick, 5));
	for (unsigned round = 0; round < 5; round++)
		add_turn(&s, round == 2 ? 500 : 2, round == 2 ? SPOILED_NS : TAIL_NS, SAME_L3_NS);
	sum = summarise(&s, PLACED_SAME_L3);
	assert_int_equal(sum.singles, 5 * 1024);
	assert_true(sum.p999 == SPOILED_NS);
	assert_true(sum.p999_block == TAIL_NS);
	pinioni_series_deinit(&s);
}

static void
slow_calls_have_a_block_of_several_turns_or_none(void **state)
{
	struct series s;

	(void)state;
	assert_true(pinioni_series_init(&s, &slow, 126));
	for (unsigned round = 0; round < 62; round++)
		add_turn(&s, 1, TAIL_NS, SAME_L3_NS);
	assert_true(summarise(&s, PLACED_SAME_L3).p999_block == 0);
	add_turn(&s, 1, TAIL_NS, SAME_L3_NS);
	assert_true(summarise(&s, PLACED_SAME_L3).p999_block == TAIL_NS);
	for (unsigned round = 0; round < 63; round++)
		add_turn(
		    &s, 0, 0, SAME_L3_NS); /* a second block, and that of the two which is above */
	assert_true(summarise(&s, PLACED_SAME_L3).p999_block == TAIL_NS);
	pinioni_series_deinit(&s);
}

static void
turns_of_another_placement_fill_no_block(void **state)
{
	struct series s;

	(void)state;
	assert_true(pinioni_series_init(&s, &slow, 63));
	for (unsigned round = 0; round < 63; round++)
		add_turn(&s, 1, TAIL_NS, round == 7 ? OTHER_L3_NS : SAME_L3_NS);
	assert_true(summarise(&s, PLACED_SAME_L3).p999_block == 0);
	assert_true(summarise(&s, PLACED_OTHER_L3).p999_block == 0);
	pinioni_series_deinit(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_spoiled_round_is_not_the_tail_of_a_block),
		cmocka_unit_test(slow_calls_have_a_block_of_several_turns_or_none),
		cmocka_unit_test(turns_of_another_placement_fill_no_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
