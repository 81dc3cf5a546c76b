/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A segment is sealed, committed and published last; whatever is not such a segment is refused
 *         before anything in it is used; offsets never lead outside; edge M.
 * Method  One process maps its own segments a second time, as another would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/segment.h"
#include "tests/scale.h"

static struct segment_plan
small_plan(void)
{
	return (struct segment_plan){ .name = "pinion test",
		.kind = SEGMENT_PORT,
		.size = 3 * 4096,
		.counts = { 1, 2, 3, 4 } };
}

static void
what_is_published_can_be_attached(void **state)
{
	struct segment_plan plan = small_plan();
	struct segment mine, theirs;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_commit(&mine, 0, mine.size), 0);
	assert_int_equal(pinioni_segment_publish(&mine, &plan, false), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, false), 0);
	assert_int_equal(theirs.size, mine.size);
	mine.base[5000] = 7;
	assert_int_equal(theirs.base[5000], 7);
	pinioni_segment_destroy(&theirs);
	pinioni_segment_destroy(&mine);
}

static void
an_unpublished_segment_is_not_there_yet(void **state)
{
	struct segment_plan plan = small_plan();
	struct segment mine, theirs;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, false),
	    -EBADMSG); /* not sealed */
	assert_int_equal(fcntl(mine.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, false), -EAGAIN);
	assert_null(theirs.base);
	pinioni_segment_destroy(&mine);
}

static void
attach_after(void (*spoil)(struct segment_header *), int expected)
{
	struct segment_plan plan = small_plan();
	struct segment mine, theirs;

	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_publish(&mine, &plan, false), 0);
	spoil((struct segment_header *)mine.base);
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, false), expected);
	assert_null(theirs.base);
	pinioni_segment_destroy(&mine);
}

static void
spoil_magic(struct segment_header *h)
{
	atomic_store(&h->magic, 99);
}

static void
spoil_version(struct segment_header *h)
{
	h->version++;
}

static void
spoil_hash(struct segment_header *h)
{
	h->layout_hash ^= 1;
}

static void
spoil_kind(struct segment_header *h)
{
	h->kind = SEGMENT_BOARD;
}

static void
spoil_size(struct segment_header *h)
{
	h->size += 4096;
}

static void
a_foreign_header_is_refused_by_its_reason(void **state)
{
	int pipes[2];
	struct segment theirs;

	(void)state;
	attach_after(spoil_magic, -EBADMSG);
	attach_after(spoil_version, -EPROTO);
	attach_after(spoil_hash, -EPROTO);
	attach_after(spoil_kind, -EBADMSG);
	attach_after(spoil_size, -EBADMSG);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, pipes[0], SEGMENT_PORT, true), -EBADMSG);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void
a_segment_shorter_than_a_header_is_refused(void **state)
{
	int fd = memfd_create("pinion test", MFD_ALLOW_SEALING);
	struct segment theirs;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, fd, SEGMENT_PORT, true), -EBADMSG);
	(void)close(fd);
}

static void
nobody_can_shrink_grow_or_unseal_it(void **state)
{
	struct segment_plan plan = small_plan();
	struct segment mine;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_publish(&mine, &plan, false), 0);
	assert_int_equal(ftruncate(mine.fd, 0), -1);
	assert_int_equal(ftruncate(mine.fd, 1 << 20), -1);
	assert_int_equal(fcntl(mine.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	pinioni_segment_destroy(&mine);
}

static void
a_read_only_segment_can_be_mapped_for_writing_by_its_creator_alone(void **state)
{
	struct segment_plan plan = small_plan();
	struct segment mine, theirs;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_publish(&mine, &plan, true), 0);
	mine.base[4096] = 1;
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, false), -EPERM);
	assert_int_equal(pinioni_segment_attach(&theirs, mine.fd, SEGMENT_PORT, true), 0);
	assert_int_equal(theirs.base[4096], 1);
	assert_int_equal(mprotect(theirs.base, theirs.size, PROT_READ | PROT_WRITE), -1);
	pinioni_segment_destroy(&theirs);
	pinioni_segment_destroy(&mine);
}

static void
offsets_are_checked_without_wrapping(void **state)
{
	unsigned char bytes[100];
	struct segment s = { .base = bytes, .size = sizeof bytes };

	(void)state;
	assert_ptr_equal(segment_at(&s, 0, 100), bytes);
	assert_ptr_equal(segment_at(&s, 100, 0), bytes + 100);
	assert_ptr_equal(segment_at(&s, 40, 60), bytes + 40);
	assert_null(segment_at(&s, 41, 60));
	assert_null(segment_at(&s, UINT64_MAX, 2));
	assert_null(segment_at(&s, 2, UINT64_MAX));
	assert_null(segment_at(&s, UINT64_MAX - 10, 50));
}

static void
prefault_touches_every_page_and_keeps_what_is_there(void **state)
{
	struct segment_plan plan = small_plan();
	struct segment mine;
	unsigned char resident[3];
	int err;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	mine.base[8192] = 9;
	err = pinioni_segment_prefault(&mine, 0, mine.size);
	assert_true(err == 0 || err == -EPERM || err == -ENOMEM);
	assert_int_equal(mincore(mine.base, mine.size, resident), 0);
	assert_true((resident[0] & resident[1] & resident[2] & 1) != 0);
	assert_int_equal(mine.base[8192], 9);
	pinioni_segment_destroy(&mine);
}

static void
huge_pages_fall_back_and_say_to_what(void **state)
{
	struct segment_plan plan = {
		.name = "pinion test", .kind = SEGMENT_PORT, .size = 4 << 20, .huge_pages = true
	};
	struct segment mine;
	enum segment_pages got;

	(void)state;
	assert_int_equal(pinioni_segment_create(&mine, &plan), 0);
	assert_int_equal(pinioni_segment_commit(&mine, 0, mine.size), 0);
	memset(mine.base, 1, mine.size);
	got = pinioni_segment_pages(&mine);
	assert_true(got == PAGES_SMALL || got == PAGES_TRANSPARENT || got == PAGES_HUGE);
	assert_int_equal(mine.huge_refused < 0, got != PAGES_HUGE);
	printf("4 MiB got %s pages\n",
	    got == PAGES_SMALL      ? "small"
		: got == PAGES_HUGE ? "huge"
				    : "transparent huge");
	assert_int_equal(pinioni_segment_publish(&mine, &plan, false), 0);
	pinioni_segment_destroy(&mine);
}

/* Both sides through one mapping: TSan takes two mappings of one page for two places. */
static struct segment published;

static void *
publish_all(void *arg)
{
	struct segment_plan plan = small_plan();

	return pinioni_segment_publish(&published, &plan, false) == 0 ? NULL : arg;
}

static void
edge_M_makes_the_header_readable(void **state)
{
	uint64_t rounds = scaled(2000), wrong = 0;

	(void)state;
	for (uint64_t i = 0; i < rounds; i++) {
		struct segment_plan plan = small_plan();
		pthread_t t;
		void *failed;
		int err;

		assert_int_equal(pinioni_segment_create(&published, &plan), 0);
		assert_int_equal(pthread_create(&t, NULL, publish_all, &plan), 0);
		do
			err = pinioni_segment_check((const struct segment_header *)published.base,
			    SEGMENT_PORT, published.size);
		while (err == -EAGAIN);
		wrong += err != 0;
		assert_int_equal(pthread_join(t, &failed), 0);
		assert_null(failed);
		pinioni_segment_destroy(&published);
	}
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_published_can_be_attached),
		cmocka_unit_test(an_unpublished_segment_is_not_there_yet),
		cmocka_unit_test(a_foreign_header_is_refused_by_its_reason),
		cmocka_unit_test(a_segment_shorter_than_a_header_is_refused),
		cmocka_unit_test(nobody_can_shrink_grow_or_unseal_it),
		cmocka_unit_test(
		    a_read_only_segment_can_be_mapped_for_writing_by_its_creator_alone),
		cmocka_unit_test(offsets_are_checked_without_wrapping),
		cmocka_unit_test(prefault_touches_every_page_and_keeps_what_is_there),
		cmocka_unit_test(huge_pages_fall_back_and_say_to_what),
		cmocka_unit_test(edge_M_makes_the_header_readable),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
