/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Every arrow of the diagram in shm/slot.h, the races out of "pending", and its edges.
 * Method  Arrows: one thread, no timing. Races: two threads meet at a barrier. Edges: two threads that
 *         share nothing but the edge under test. Only the main thread asserts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "shm/slot.h"
#include "tests/scale.h"

enum {
	KIND = 3
};

static struct slot *
fresh(uint64_t generation)
{
	static struct slot slot;

	memset(&slot, 0, sizeof slot);
	atomic_store(&slot.word, slot_word(generation, SLOT_DONE));
	return &slot;
}

static void
a_slot_is_pending_without_any_store_of_its_owner(void **state)
{
	struct slot *s = fresh(41);

	(void)state;
	assert_true(slot_poll(s, 41));
	assert_false(slot_poll(s, 42));
	assert_int_equal(slot_look(s, 42), SLOT_IS_PENDING);
	assert_int_equal(slot_look(s, 43), SLOT_IS_STALE);
	assert_int_equal(slot_look(s, 40), SLOT_IS_STALE);
}

static void
complete_makes_it_done_and_says_nobody_asked(void **state)
{
	struct slot *s = fresh(41);

	(void)state;
	assert_int_equal(slot_complete(s, 42, KIND), 0);
	assert_true(slot_poll(s, 42));
	assert_int_equal(slot_word_kind(atomic_load(&s->word)), KIND);
	assert_int_equal(slot_look(s, 43), SLOT_IS_PENDING);
	assert_int_equal(slot_look(s, 41), SLOT_IS_STALE);
}

static void
complete_tells_who_asked(void **state)
{
	struct slot *s = fresh(1);

	(void)state;
	assert_int_equal(slot_ask(s, 2), SLOT_IS_PENDING);
	assert_int_equal(slot_ask(s, 2), SLOT_IS_PENDING);
	assert_int_equal(slot_look(s, 2), SLOT_IS_PENDING);
	assert_int_equal(slot_watch(s, 2), SLOT_IS_PENDING);
	assert_int_equal(slot_complete(s, 2, KIND), SLOT_TELL | SLOT_FOREIGN);
	assert_int_equal(slot_ask(s, 2), SLOT_IS_DONE);
	assert_int_equal(slot_watch(s, 2), SLOT_IS_DONE);
	assert_int_equal(slot_ask(s, 1), SLOT_IS_STALE);
	assert_int_equal(slot_watch(s, 5), SLOT_IS_STALE);
	assert_int_equal(slot_complete(s, 3, KIND), 0); /* the next call starts without flags */
}

static void
a_late_flag_of_an_older_call_changes_nothing(void **state)
{
	struct slot *s = fresh(7);

	(void)state;
	assert_int_equal(slot_ask(s, 8), SLOT_IS_PENDING);
	assert_int_equal(slot_ask(s, 7), SLOT_IS_STALE);
	assert_int_equal(slot_complete(s, 8, KIND), SLOT_TELL);
}

static void
generations_wrap_within_their_48_bits(void **state)
{
	struct slot *s = fresh(GENERATION_MASK);

	(void)state;
	assert_int_equal(slot_look(s, GENERATION_MASK + 1), SLOT_IS_PENDING);
	assert_int_equal(slot_ask(s, GENERATION_MASK + 1), SLOT_IS_PENDING);
	assert_int_equal(slot_complete(s, 0, KIND), SLOT_TELL);
	assert_true(slot_poll(s, 0));
}

static void
ending_survives_the_completion(void **state)
{
	struct slot *s = fresh(1);

	(void)state;
	assert_true(slot_end(s, 2));
	assert_int_equal(slot_ask(s, 2), SLOT_IS_PENDING);
	assert_int_equal(slot_complete(s, 2, KIND), SLOT_TELL | SLOT_ENDED);
	assert_true((atomic_load(&s->word) & SLOT_ENDED) != 0);
	assert_true(slot_poll(s, 2));
	assert_int_equal(slot_complete(s, 3, KIND), 0);
	assert_true(slot_end(s, 3));
	assert_true(slot_poll(s, 3));
	assert_false(slot_end(s, 2));
	assert_int_equal(slot_look(s, 4), SLOT_IS_PENDING);
}

static void
a_retired_slot_refuses_its_old_references(void **state)
{
	struct slot *s = fresh(1);
	uint64_t out = 0, in = 99;

	(void)state;
	slot_write(s, &in, sizeof in);
	assert_int_equal(slot_complete(s, 2, KIND), 0);
	assert_true(slot_copy(s, 2, &out, sizeof out));
	assert_int_equal(out, 99);
	slot_retire(s, 2);
	assert_false(slot_copy(s, 2, &out, sizeof out));
	assert_int_equal(slot_look(s, 2), SLOT_IS_STALE);
	assert_int_equal(slot_watch(s, 2), SLOT_IS_STALE);
	assert_false(slot_end(s, 2));
	assert_int_equal(slot_look(s, 4), SLOT_IS_PENDING); /* the next call is one further */
}

static void
completing_ones_own_slot_says_the_same(void **state)
{
	struct slot *s = fresh(1);

	(void)state;
	assert_int_equal(slot_complete_own(s, 2, KIND), 0);
	assert_true(slot_poll(s, 2));
	assert_int_equal(slot_word_kind(atomic_load(&s->word)), KIND);
	assert_int_equal(slot_ask(s, 3), SLOT_IS_PENDING);
	assert_int_equal(slot_complete_own(s, 3, KIND), SLOT_TELL);
	assert_int_equal(slot_complete_own(s, 4, KIND), 0);
}

static void
bytes_of_any_length_come_back(void **state)
{
	static const char text[] = "0123456789abcdefghijklmnopqrstuv";
	char copy[SLOT_BYTES];

	(void)state;
	for (uint32_t length = 0; length <= SLOT_BYTES; length++) {
		struct slot *s = fresh(1);

		slot_write(s, text, length);
		assert_int_equal(slot_complete(s, 2, KIND), 0);
		memset(copy, 0, sizeof copy);
		assert_true(slot_copy(s, 2, copy, length));
		assert_memory_equal(copy, text, length);
	}
}

struct race {
	struct slot *slot;
	pthread_barrier_t line;
	uint64_t rounds;
	unsigned flags; /* W completer before a barrier   R main after it */
};

static void *
complete_each_round(void *arg)
{
	struct race *r = arg;

	for (uint64_t g = 1; g <= r->rounds; g++) {
		pthread_barrier_wait(&r->line);
		r->flags = slot_complete(r->slot, g, KIND);
		pthread_barrier_wait(&r->line);
	}
	return NULL;
}

static void
asking_and_completing_have_exactly_one_outcome(void **state)
{
	struct race r = { .slot = fresh(0), .rounds = scaled(40000) };
	uint64_t wrong = 0, told = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_barrier_init(&r.line, NULL, 2), 0);
	assert_int_equal(pthread_create(&t, NULL, complete_each_round, &r), 0);
	for (uint64_t g = 1; g <= r.rounds; g++) {
		enum slot_state asked;

		pthread_barrier_wait(&r.line);
		asked = slot_ask(r.slot, g);
		pthread_barrier_wait(&r.line);
		wrong += (asked == SLOT_IS_PENDING) != (r.flags == SLOT_TELL);
		wrong += asked == SLOT_IS_STALE || !slot_poll(r.slot, g);
		told += asked == SLOT_IS_PENDING;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(pthread_barrier_destroy(&r.line), 0);
	assert_int_equal(wrong, 0);
	printf("asked in time in %llu of %llu rounds\n", (unsigned long long)told,
	    (unsigned long long)r.rounds);
}

static void *
complete_every_second(void *arg)
{
	struct race *r = arg;

	for (uint64_t g = 1; g <= r->rounds; g++) {
		pthread_barrier_wait(&r->line);
		(void)slot_complete(r->slot, 2 * g, KIND); /* ENDED: known to the other side */
		pthread_barrier_wait(&r->line);
	}
	return NULL;
}

/* The callee's mark comes after DONE, when the owner may have gone on. */
static void
a_late_mark_of_ending_does_not_reach_the_next_generation(void **state)
{
	struct race r = { .slot = fresh(1), .rounds = scaled(20000) };
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_barrier_init(&r.line, NULL, 2), 0);
	assert_int_equal(pthread_create(&t, NULL, complete_every_second, &r), 0);
	for (uint64_t g = 1; g <= r.rounds; g++) {
		wrong += !slot_end(r.slot, 2 * g);
		pthread_barrier_wait(&r.line);
		while (!slot_poll(r.slot, 2 * g))
			;
		slot_retire(r.slot, 2 * g);
		pthread_barrier_wait(&r.line);
		wrong += atomic_load(&r.slot->word) != slot_word(2 * g + 1, SLOT_DONE);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(pthread_barrier_destroy(&r.line), 0);
	assert_int_equal(wrong, 0);
}

enum {
	EDGE_SLOTS = 20000
};

static struct slot edge_slots[EDGE_SLOTS];

static void *
complete_all(void *arg)
{
	(void)arg;
	for (int i = 0; i < EDGE_SLOTS; i++) {
		edge_slots[i].status = i;
		(void)slot_complete(&edge_slots[i], 1, KIND); /* nobody asks here */
	}
	return NULL;
}

static void *
complete_all_own(void *arg)
{
	(void)arg;
	for (int i = 0; i < EDGE_SLOTS; i++) {
		edge_slots[i].status = i;
		(void)slot_complete_own(&edge_slots[i], 1, KIND); /* nobody asks here */
	}
	return NULL;
}

static void
see_all_by(enum slot_state (*look)(struct slot *, uint64_t), void *(*complete)(void *))
{
	uint64_t wrong = 0;
	pthread_t t;

	memset(edge_slots, 0, sizeof edge_slots);
	for (int i = 0; i < EDGE_SLOTS; i++)
		atomic_store(&edge_slots[i].word, slot_word(0, SLOT_DONE));
	assert_int_equal(pthread_create(&t, NULL, complete, NULL), 0);
	for (int i = 0; i < EDGE_SLOTS; i++) {
		while (look(&edge_slots[i], 1) != SLOT_IS_DONE)
			;
		wrong += edge_slots[i].status != i;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
}

static enum slot_state
by_poll(struct slot *s, uint64_t generation)
{
	return slot_poll(s, generation) ? SLOT_IS_DONE : SLOT_IS_PENDING;
}

static enum slot_state
by_look(struct slot *s, uint64_t generation)
{
	return slot_look(s, generation);
}

static void
edge_D_makes_the_result_readable_to_poll(void **state)
{
	(void)state;
	see_all_by(by_poll, complete_all);
}

static void
edge_D_makes_the_result_readable_to_look(void **state)
{
	(void)state;
	see_all_by(by_look, complete_all);
}

static void
edge_D_makes_the_result_readable_to_ask(void **state)
{
	(void)state;
	see_all_by(slot_ask, complete_all);
}

static void
edge_D_makes_the_result_of_an_own_slot_readable(void **state)
{
	(void)state;
	see_all_by(by_look, complete_all_own);
}

static struct {
	struct slot slot;
	uint64_t note; /* W writer before V   R reader after V */
} copied[EDGE_SLOTS];

/* Whole words, and what is left behind them. */
static uint32_t
edge_length(uint64_t i)
{
	return i % 2 == 0 ? 8 : 4;
}

static void *
write_all(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < EDGE_SLOTS; i++) {
		uint64_t bytes = i + 1;

		copied[i].note = i;
		slot_write(&copied[i].slot, &bytes, edge_length(i));
	}
	return NULL;
}

/* A reader that gets new bytes must see everything that came before them: the retired word above all. */
static void
edge_V_orders_new_bytes_behind_what_came_before(void **state)
{
	uint64_t wrong = 0, bytes;
	pthread_t t;

	(void)state;
	memset(copied, 0, sizeof copied);
	assert_int_equal(pthread_create(&t, NULL, write_all, NULL), 0);
	for (uint64_t i = 0; i < EDGE_SLOTS; i++) {
		bytes = 0;
		do
			(void)slot_copy(&copied[i].slot, 0, &bytes,
			    edge_length(i)); /* only the bytes matter here */
		while (bytes == 0);
		wrong += bytes != i + 1 || copied[i].note != i;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
}

static struct {
	struct slot slot;
	int note; /* W main before Z, as one who reads a kept result would read it   W owner after Z */
} ended[EDGE_SLOTS];

static void *
use_again_what_is_ended(void *arg)
{
	(void)arg;
	for (int i = 0; i < EDGE_SLOTS; i++) {
		while (!slot_is_ended(&ended[i].slot))
			;
		ended[i].note++;
	}
	return NULL;
}

static void
edge_Z_orders_the_last_reading_before_the_slot_is_used_again(void **state)
{
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	memset(ended, 0, sizeof ended);
	for (int i = 0; i < EDGE_SLOTS; i++)
		atomic_store(&ended[i].slot.word, slot_word(1, SLOT_DONE));
	assert_int_equal(pthread_create(&t, NULL, use_again_what_is_ended, NULL), 0);
	for (int i = 0; i < EDGE_SLOTS; i++) {
		ended[i].note = i;
		wrong += !slot_end(&ended[i].slot, 1);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	for (int i = 0; i < EDGE_SLOTS; i++)
		wrong += ended[i].note != i + 1;
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_pending_without_any_store_of_its_owner),
		cmocka_unit_test(complete_makes_it_done_and_says_nobody_asked),
		cmocka_unit_test(complete_tells_who_asked),
		cmocka_unit_test(a_late_flag_of_an_older_call_changes_nothing),
		cmocka_unit_test(generations_wrap_within_their_48_bits),
		cmocka_unit_test(ending_survives_the_completion),
		cmocka_unit_test(a_retired_slot_refuses_its_old_references),
		cmocka_unit_test(completing_ones_own_slot_says_the_same),
		cmocka_unit_test(bytes_of_any_length_come_back),
		cmocka_unit_test(asking_and_completing_have_exactly_one_outcome),
		cmocka_unit_test(a_late_mark_of_ending_does_not_reach_the_next_generation),
		cmocka_unit_test(edge_D_makes_the_result_readable_to_poll),
		cmocka_unit_test(edge_D_makes_the_result_readable_to_look),
		cmocka_unit_test(edge_D_makes_the_result_readable_to_ask),
		cmocka_unit_test(edge_D_makes_the_result_of_an_own_slot_readable),
		cmocka_unit_test(edge_V_orders_new_bytes_behind_what_came_before),
		cmocka_unit_test(edge_Z_orders_the_last_reading_before_the_slot_is_used_again),
	};

	return cmocka_run_group_tests_name("slot", tests, NULL, NULL);
}
