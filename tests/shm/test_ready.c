/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The ready set gives each slot that was added exactly once, at any size, and its edges.
 * Method  One thread against a plain array; then two threads that share only the set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shm/ready.h"
#include "tests/scale.h"

enum {
	SLOTS = 10000
};

static struct ready_set *
make(uint32_t slots)
{
	size_t size = (ready_size(slots) + PINION_LINE - 1) / PINION_LINE * PINION_LINE;
	struct ready_set *r = aligned_alloc(PINION_LINE, size);

	assert_non_null(r);
	memset(r, 0, size);
	return r;
}

static void
mark(void *arg, uint32_t slot)
{
	((unsigned *)arg)[slot]++;
}

static void
every_added_slot_comes_out_once(void **state)
{
	static const uint32_t sizes[] = { 1, 63, 64, 65, 4096, 4097, SLOTS, SLOT_COUNT_MAX };
	unsigned *seen = calloc(SLOT_COUNT_MAX + 1, sizeof *seen);

	(void)state;
	assert_non_null(seen);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct ready_set *r = make(sizes[i]);
		unsigned added = 0;

		memset(seen, 0, (SLOT_COUNT_MAX + 1) * sizeof *seen);
		assert_true(ready_is_empty(r, sizes[i]));
		for (uint32_t slot = 0; slot < sizes[i]; slot += 1 + slot / 7, added++)
			ready_add(r, slot);
		ready_add(r, 0);
		assert_false(ready_is_empty(r, sizes[i]));
		assert_int_equal(ready_drain(r, sizes[i], mark, seen), added);
		for (uint32_t slot = 0; slot < sizes[i]; slot += 1 + slot / 7)
			assert_int_equal(seen[slot], 1);
		assert_true(ready_is_empty(r, sizes[i]));
		assert_int_equal(ready_drain(r, sizes[i], mark, seen), 0);
		free(r);
	}
	free(seen);
}

static uint64_t note[SLOTS]; /* W adder before R and U   R drainer after them */

static void *
add_all(void *arg)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		note[i] = i + 1;
		ready_add(arg, i);
	}
	return NULL;
}

struct drained {
	uint64_t count, wrong;
};

static void
check_note(void *arg, uint32_t slot)
{
	struct drained *d = arg;

	d->count++;
	d->wrong += note[slot] != slot + 1;
}

static void
edge_R_shows_the_completion_to_whoever_takes_the_bit(void **state)
{
	uint64_t rounds = scaled(100);

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		struct ready_set *r = make(SLOTS);
		struct drained d = { 0 };
		pthread_t t;

		memset(note, 0, sizeof note);
		assert_int_equal(pthread_create(&t, NULL, add_all, r), 0);
		while (d.count < SLOTS)
			(void)ready_drain(r, SLOTS, check_note, &d); /* counted in d */
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(d.count, SLOTS);
		assert_int_equal(d.wrong, 0);
		free(r);
	}
}

/* R alone: the other half is done by hand, without U, so that nothing but the word orders the note. */
static void
edge_R_orders_the_word_behind_the_completion_when_adding(void **state)
{
	uint64_t rounds = scaled(200), wrong = 0;

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		struct ready_set *r = make(SLOTS);
		pthread_t t;

		memset(note, 0, sizeof note);
		assert_int_equal(pthread_create(&t, NULL, add_all, r), 0);
		for (uint32_t i = 0; i < SLOTS; i++) {
			while ((atomic_load_explicit(&r->words[i / 64], memory_order_acquire) >>
				       i % 64 &
				   1) == 0)
				;
			wrong += note[i] != i + 1;
		}
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(wrong, 0);
		free(r);
	}
}

static void *
add_without_U(void *arg)
{
	struct ready_set *r = arg;

	for (uint32_t i = 0; i < SLOTS; i++) {
		note[i] = i + 1;
		atomic_fetch_or_explicit(
		    &r->words[i / 64], UINT64_C(1) << i % 64, memory_order_release);
		atomic_fetch_or_explicit(
		    &r->summary[i / 64 / 64], UINT64_C(1) << i / 64 % 64, memory_order_relaxed);
	}
	return NULL;
}

static void
edge_R_orders_the_completion_behind_the_word_when_draining(void **state)
{
	uint64_t rounds = scaled(200);

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		struct ready_set *r = make(SLOTS);
		struct drained d = { 0 };
		pthread_t t;

		memset(note, 0, sizeof note);
		assert_int_equal(pthread_create(&t, NULL, add_without_U, r), 0);
		/* Behind a summary that orders nothing, a word may still look empty: its bit is lost. So
		 * main looks on as if every word had something. */
		while (d.count < SLOTS) {
			for (uint32_t s = 0; s * 64 * 64 < SLOTS; s++)
				atomic_fetch_or_explicit(
				    &r->summary[s], UINT64_MAX, memory_order_relaxed);
			(void)ready_drain(r, SLOTS, check_note, &d); /* counted in d */
		}
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(d.count, SLOTS);
		assert_int_equal(d.wrong, 0);
		free(r);
	}
}

/* U alone: the other half is done by hand, without R, so that nothing but the summary orders the note. */
static void
edge_U_orders_the_summary_behind_the_word_when_adding(void **state)
{
	uint64_t rounds = scaled(200), wrong = 0;

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		struct ready_set *r = make(SLOTS);
		pthread_t t;

		memset(note, 0, sizeof note);
		assert_int_equal(pthread_create(&t, NULL, add_all, r), 0);
		for (uint32_t w = 0; w < (SLOTS + 63) / 64; w++) {
			while ((atomic_load_explicit(&r->summary[w / 64], memory_order_acquire) >>
				       w % 64 &
				   1) == 0)
				;
			wrong += note[w * 64] != w * 64 + 1;
		}
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(wrong, 0);
		free(r);
	}
}

static void *
add_by_hand(void *arg)
{
	struct ready_set *r = arg;

	for (uint32_t i = 0; i < SLOTS; i += 64) {
		atomic_fetch_or_explicit(&r->words[i / 64], 1, memory_order_relaxed);
		note[i] = i + 1;
		atomic_fetch_or_explicit(
		    &r->summary[i / 64 / 64], UINT64_C(1) << i / 64 % 64, memory_order_release);
	}
	return NULL;
}

static void
edge_U_orders_the_word_behind_the_summary_when_draining(void **state)
{
	uint64_t rounds = scaled(200);

	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		struct ready_set *r = make(SLOTS);
		struct drained d = { 0 };
		pthread_t t;

		memset(note, 0, sizeof note);
		assert_int_equal(pthread_create(&t, NULL, add_by_hand, r), 0);
		while (d.count < (SLOTS + 63) / 64)
			(void)ready_drain(r, SLOTS, check_note, &d); /* counted in d */
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(d.wrong, 0);
		free(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_added_slot_comes_out_once),
		cmocka_unit_test(edge_R_shows_the_completion_to_whoever_takes_the_bit),
		cmocka_unit_test(edge_R_orders_the_word_behind_the_completion_when_adding),
		cmocka_unit_test(edge_R_orders_the_completion_behind_the_word_when_draining),
		cmocka_unit_test(edge_U_orders_the_summary_behind_the_word_when_adding),
		cmocka_unit_test(edge_U_orders_the_word_behind_the_summary_when_draining),
	};

	return cmocka_run_group_tests_name("ready", tests, NULL, NULL);
}
