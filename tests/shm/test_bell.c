/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A sleeper that announces, looks and waits is woken by whatever was made visible before; rings
 *         reach event loops as such; nothing wakes it without a ring but its limit.
 * Method  Arrows in one thread; then a million hand-overs with a thread that really sleeps, counting the
 *         sleeps that only the limit ended. The order S itself is tests/models/sleep.pml's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "shm/bell.h"
#include "tests/scale.h"

static void
the_epoch_is_odd_from_announcement_to_awakening(void **state)
{
	_Atomic uint64_t epoch = 0;

	(void)state;
	assert_false(epoch_is_asleep(epoch_look(&epoch)));
	epoch_announce(&epoch, EPOCH_FUTEX);
	assert_true(epoch_is_asleep(epoch_look(&epoch)));
	epoch_awake(&epoch);
	assert_false(epoch_is_asleep(epoch_look(&epoch)));
	assert_int_equal(epoch_look(&epoch), EPOCH_STATES);
	epoch_awake(&epoch);
	assert_int_equal(epoch_look(&epoch), EPOCH_STATES);
	epoch_announce(&epoch, EPOCH_EVENT);
	assert_true(epoch_is_asleep(epoch_look(&epoch)));
	epoch_awake(&epoch);
	assert_int_equal(epoch_look(&epoch), 2 * EPOCH_STATES);
}

static void
a_ring_tells_who_sleeps_in_an_event_loop(void **state)
{
	_Atomic uint64_t epoch = 0;
	_Atomic uint32_t bell = 0;

	(void)state;
	epoch_announce(&epoch, EPOCH_EVENT);
	assert_true(bell_ring(&bell, epoch_look(&epoch)));
	epoch_awake(&epoch);
	epoch_announce(&epoch, EPOCH_FUTEX);
	assert_false(bell_ring(&bell, epoch_look(&epoch)));
	assert_int_equal(bell_read(&bell), 2);
}

static void
a_wait_ends_at_once_when_the_bell_has_rung_since_it_was_read(void **state)
{
	_Atomic uint32_t bell = 0;
	uint32_t seen = bell_read(&bell);

	(void)state;
	assert_int_equal(pinioni_futex_wait(&bell, seen, 1000), -ETIMEDOUT);
	assert_false(bell_ring(&bell, EPOCH_FUTEX));
	errno = 7;
	assert_int_equal(pinioni_futex_wait(&bell, seen, 60000000000), 0);
	assert_int_equal(errno, 7);
}

/* One direction: `things` counts up, the sleeper follows. */
struct side {
	alignas(PINION_LINE) _Atomic uint64_t things;
	alignas(PINION_LINE) _Atomic uint64_t epoch;
	alignas(PINION_LINE) _Atomic uint32_t bell;
	uint64_t sleeps, rescued; /* W sleeper   R main after join */
};

static void
give(struct side *s, uint64_t number)
{
	uint64_t epoch;

	atomic_store_explicit(&s->things, number, memory_order_release);
	bell_order();
	epoch = epoch_look(&s->epoch);
	if (epoch_is_asleep(epoch))
		(void)bell_ring(&s->bell, epoch); /* nobody here sits in an event loop */
}

static bool
is_there(struct side *s, uint64_t number)
{
	return atomic_load_explicit(&s->things, memory_order_acquire) >= number;
}

static void
await(struct side *s, uint64_t number)
{
	while (!is_there(s, number)) {
		uint32_t seen = bell_read(&s->bell);

		epoch_announce(&s->epoch, EPOCH_FUTEX);
		if (!is_there(s, number)) {
			s->sleeps++;
			if (pinioni_futex_wait(&s->bell, seen, 2000000000) == -ETIMEDOUT)
				s->rescued++;
		}
		epoch_awake(&s->epoch);
	}
}

struct pair {
	struct side there, back;
	uint64_t rounds;
};

static void *
answer(void *arg)
{
	struct pair *p = arg;

	for (uint64_t n = 1; n <= p->rounds; n++) {
		await(&p->there, n);
		give(&p->back, n);
	}
	return NULL;
}

static void
a_million_races_between_sleep_and_wake_lose_nothing(void **state)
{
	static struct pair p;
	pthread_t t;

	(void)state;
	memset(&p, 0, sizeof p);
	p.rounds = scaled(1000000) / 2;
	assert_int_equal(pthread_create(&t, NULL, answer, &p), 0);
	for (uint64_t n = 1; n <= p.rounds; n++) {
		give(&p.there, n);
		await(&p.back, n);
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(p.there.rescued + p.back.rescued, 0);
	printf("slept %llu times in %llu hand-overs\n",
	    (unsigned long long)(p.there.sleeps + p.back.sleeps),
	    (unsigned long long)(2 * p.rounds));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_epoch_is_odd_from_announcement_to_awakening),
		cmocka_unit_test(a_ring_tells_who_sleeps_in_an_event_loop),
		cmocka_unit_test(a_wait_ends_at_once_when_the_bell_has_rung_since_it_was_read),
		cmocka_unit_test(a_million_races_between_sleep_and_wake_lose_nothing),
	};

	return cmocka_run_group_tests_name("bell", tests, NULL, NULL);
}
