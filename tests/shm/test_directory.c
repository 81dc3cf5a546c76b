/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A copy of the directory that read_same confirms is whole and newest; one torn, made while the
 *         writer was at it, or stale is refused; each half of edge Q.
 * Method  Arrows: one thread. Edges: two threads that share nothing but the operation under test and a
 *         plain note that only it orders, so that weakening it is a data race. Then readers copy tables
 *         whose every entry says which version it belongs to. Only the main thread asserts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "shm/directory.h"
#include "tests/scale.h"

static struct directory
make(void)
{
	struct directory d;

	assert_int_equal(pinioni_directory_create(&d, "pinion test"), 0);
	return d;
}

static void
a_new_directory_is_empty_and_even(void **state)
{
	struct directory d = make();

	(void)state;
	assert_int_equal(directory_version(&d), 0);
	assert_int_equal(directory_get64(&d.head->deployment_count), 0);
	assert_int_equal(directory_get64(&d.head->replica_count), 0);
	assert_true(directory_read_same(&d, directory_read_begin(&d)));
	pinioni_directory_destroy(&d);
	assert_null(d.segment.base);
}

static void
its_tables_lie_apart_and_inside(void **state)
{
	struct directory d = make();
	uintptr_t base = (uintptr_t)d.segment.base;

	(void)state;
	assert_int_equal((uintptr_t)d.head - base, sizeof(struct segment_header));
	assert_true((uintptr_t)d.deployments >= (uintptr_t)(d.head + 1));
	assert_int_equal((uintptr_t)d.deployments % PINION_LINE, 0);
	assert_true((uintptr_t)d.replicas >= (uintptr_t)(d.deployments + DIRECTORY_DEPLOYMENTS));
	assert_true((uintptr_t)(d.replicas + DIRECTORY_REPLICAS) <= base + d.segment.size);
	pinioni_directory_destroy(&d);
}

static void
a_copy_is_refused_while_and_after_the_writer_was_at_it(void **state)
{
	struct directory d = make();
	uint64_t before = directory_read_begin(&d), between;

	(void)state;
	directory_begin(&d);
	assert_false(directory_read_same(&d, before));
	between = directory_read_begin(&d);
	assert_int_equal(between & 1, 1);
	assert_false(directory_read_same(&d, between));
	directory_put32(&d.deployments[0].count, 2);
	directory_end(&d);
	assert_false(directory_read_same(&d, before));
	assert_false(directory_read_same(&d, between));
	assert_int_equal(directory_version(&d), before + 2);
	assert_int_equal(directory_get32(&d.deployments[0].count), 2);
	assert_true(directory_read_same(&d, before + 2));
	pinioni_directory_destroy(&d);
}

static void
a_writer_that_died_leaves_readers_their_old_copies(void **state)
{
	struct directory d = make();

	(void)state;
	directory_begin(&d);
	directory_put32(&d.replicas[0].worker, 9);
	for (int i = 0; i < 3; i++)
		assert_false(directory_read_same(&d, directory_read_begin(&d)));
	pinioni_directory_destroy(&d);
}

static void
others_read_it_and_never_write_it(void **state)
{
	struct directory d = make(), seen = d;

	(void)state;
	assert_int_equal(
	    pinioni_segment_attach(&seen.segment, d.segment.fd, SEGMENT_DIRECTORY, false), -EPERM);
	assert_int_equal(
	    pinioni_segment_attach(&seen.segment, d.segment.fd, SEGMENT_DIRECTORY, true), 0);
	seen.head = (struct directory_head *)(seen.segment.base + sizeof(struct segment_header));
	directory_begin(&d);
	directory_put64(&d.head->replica_count, 5);
	directory_end(&d);
	assert_int_equal(directory_read_begin(&seen), 2);
	assert_int_equal(directory_get64(&seen.head->replica_count), 5);
	assert_true(directory_read_same(&seen, 2));
	pinioni_segment_destroy(&seen.segment);
	pinioni_directory_destroy(&d);
}

enum {
	ROUNDS = 20000
};

static uint64_t notes[ROUNDS]; /* W writer before Q   R reader after it */

static void *
turn_versions(void *arg)
{
	struct directory *d = arg;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		directory_begin(d);
		notes[i] = i + 1;
		directory_end(d);
	}
	return NULL;
}

static void
edge_Q_shows_what_came_before_the_end_to_read_begin(void **state)
{
	struct directory d = make();
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	memset(notes, 0, sizeof notes);
	assert_int_equal(pthread_create(&t, NULL, turn_versions, &d), 0);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		while (directory_read_begin(&d) < 2 * (i + 1))
			;
		wrong += notes[i] != i + 1;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
	pinioni_directory_destroy(&d);
}

/* The versions stand still: only the entry orders the note, as it orders the odd version in earnest. */
static void *
put_numbers(void *arg)
{
	struct directory *d = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		notes[i] = i + 1;
		directory_put32(&d->replicas[0].worker, i + 1);
	}
	return NULL;
}

static void
edge_Q_shows_what_came_before_an_entry_to_its_reader(void **state)
{
	struct directory d = make();
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	memset(notes, 0, sizeof notes);
	assert_int_equal(pthread_create(&t, NULL, put_numbers, &d), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		while (directory_get32(&d.replicas[0].worker) < i + 1)
			;
		wrong += notes[i] != i + 1;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
	pinioni_directory_destroy(&d);
}

static void *
put_counts(void *arg)
{
	struct directory *d = arg;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		notes[i] = i + 1;
		directory_put64(&d->head->replica_count, i + 1);
	}
	return NULL;
}

static void
edge_Q_shows_what_came_before_a_count_to_its_reader(void **state)
{
	struct directory d = make();
	uint64_t wrong = 0;
	pthread_t t;

	(void)state;
	memset(notes, 0, sizeof notes);
	assert_int_equal(pthread_create(&t, NULL, put_counts, &d), 0);
	for (uint64_t i = 0; i < ROUNDS; i++) {
		while (directory_get64(&d.head->replica_count) < i + 1)
			;
		wrong += notes[i] != i + 1;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(wrong, 0);
	pinioni_directory_destroy(&d);
}

enum {
	READERS = 2,
	ENTRIES = 16, /* of each table */
};

struct reading {
	const struct directory *d;
	uint64_t last;   /* the version to stop at */
	uint64_t copies; /* W reader   R main after join */
	uint64_t torn;   /* W reader   R main after join */
	pthread_t thread;
};

/* Entry i of version v says v + i. */
static bool
copy_is_torn(const uint32_t *copy, uint64_t count, uint64_t version)
{
	if (count != version)
		return true;
	for (uint32_t i = 0; i < ENTRIES; i++)
		if (copy[i] != (uint32_t)version + i || copy[ENTRIES + i] != (uint32_t)version + i)
			return true;
	return false;
}

static void *
copy_until_last(void *arg)
{
	struct reading *r = arg;
	uint64_t version = 0;

	while (version < r->last) {
		uint32_t copy[2 * ENTRIES];
		uint64_t count;

		version = directory_read_begin(r->d);
		count = directory_get64(&r->d->head->replica_count);
		for (int i = 0; i < ENTRIES; i++) {
			copy[i] = directory_get32(&r->d->deployments[i].first);
			copy[ENTRIES + i] = directory_get32(&r->d->replicas[i].worker);
		}
		if (!directory_read_same(r->d, version))
			continue;
		r->copies++;
		if (version != 0)
			r->torn += copy_is_torn(copy, count, version);
	}
	return NULL;
}

static void
readers_never_take_a_torn_table_for_whole(void **state)
{
	struct directory d = make();
	struct reading readings[READERS];
	uint64_t rounds = scaled(200000);

	(void)state;
	for (int i = 0; i < READERS; i++) {
		readings[i] = (struct reading){ .d = &d, .last = 2 * rounds };
		assert_int_equal(
		    pthread_create(&readings[i].thread, NULL, copy_until_last, &readings[i]), 0);
	}
	for (uint64_t version = 2; version <= 2 * rounds; version += 2) {
		directory_begin(&d);
		directory_put64(&d.head->replica_count, version);
		for (uint32_t i = 0; i < ENTRIES; i++) {
			directory_put32(&d.deployments[i].first, (uint32_t)version + i);
			directory_put32(&d.replicas[i].worker, (uint32_t)version + i);
		}
		directory_end(&d);
	}
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readings[i].thread, NULL), 0);
		assert_true(readings[i].copies != 0);
		assert_int_equal(readings[i].torn, 0);
	}
	pinioni_directory_destroy(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_directory_is_empty_and_even),
		cmocka_unit_test(its_tables_lie_apart_and_inside),
		cmocka_unit_test(a_copy_is_refused_while_and_after_the_writer_was_at_it),
		cmocka_unit_test(a_writer_that_died_leaves_readers_their_old_copies),
		cmocka_unit_test(others_read_it_and_never_write_it),
		cmocka_unit_test(edge_Q_shows_what_came_before_the_end_to_read_begin),
		cmocka_unit_test(edge_Q_shows_what_came_before_an_entry_to_its_reader),
		cmocka_unit_test(edge_Q_shows_what_came_before_a_count_to_its_reader),
		cmocka_unit_test(readers_never_take_a_torn_table_for_whole),
	};

	return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
