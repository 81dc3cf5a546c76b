/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A port segment's parts lie as shm/format.h draws them, apart from each other and inside the
 *         segment, at any number of slots; published, another process finds every slot DONE.
 * Method  Sizes at the edges of bitmap words and pages; a second mapping stands for the other process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "shm/port_memory.h"
#include "shm/slot.h"

enum {
	ARENA_BYTES = 1 << 18,
	GENERATION = 41,
};

static const uint32_t slot_counts[] = { 1, 2, 63, 64, 65, 1000, 4096, 4097, SLOT_COUNT_MAX };
enum {
	SLOT_COUNTS = sizeof slot_counts / sizeof slot_counts[0]
};

static struct port_memory
make(uint32_t slots)
{
	struct port_memory m;

	assert_int_equal(pinioni_port_memory_map(&m, "pinion test", slots, ARENA_BYTES, false), 0);
	assert_int_equal(pinioni_port_memory_publish(&m, GENERATION), 0);
	return m;
}

static void
the_parts_follow_each_other_without_overlap(void **state)
{
	(void)state;
	for (int i = 0; i < SLOT_COUNTS; i++) {
		struct port_memory m = make(slot_counts[i]);
		const struct {
			const void *start;
			size_t size;
		} parts[] = {
			{ m.segment.base, sizeof(struct segment_header) },
			{ m.doors, sizeof *m.doors },
			{ m.ready, ready_size(m.slot_count) },
			{ m.places, m.slot_count * sizeof *m.places },
			{ m.slots, m.slot_count * sizeof *m.slots },
			{ m.faults, m.slot_count * sizeof *m.faults },
			{ m.segment.base + m.arena_base, m.arena_size },
		};
		uintptr_t end = (uintptr_t)m.segment.base;

		assert_int_equal(m.slot_count, slot_counts[i]);
		for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
			uintptr_t start = (uintptr_t)parts[p].start;

			assert_true(start >= end);
			assert_int_equal(start % PINION_LINE, 0); /* a writer of its own */
			end = start + parts[p].size;
		}
		assert_true(end <= (uintptr_t)m.segment.base + m.segment.size);
		port_memory_unmap(&m);
	}
}

static void
the_arena_begins_on_a_page_and_has_its_size(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	for (int i = 0; i < SLOT_COUNTS; i++) {
		struct port_memory m = make(slot_counts[i]);

		assert_int_equal(m.arena_base % page, 0);
		assert_int_equal(m.arena_size, ARENA_BYTES);
		assert_int_equal(port_memory_fixed(&m), m.arena_base);
		assert_non_null(segment_at(&m.segment, m.arena_base, m.arena_size));
		port_memory_unmap(&m);
	}
}

static void
every_part_can_be_written_once_it_is_published(void **state)
{
	struct port_memory m = make(SLOT_COUNT_MAX);
	uint32_t last = SLOT_COUNT_MAX - 1;

	(void)state;
	m.places[last].size = 1;
	m.faults[last].text[FAULT_TEXT - 1] = 'x';
	ready_add(m.ready, last);
	slot_write(&m.slots[last], "y", 1);
	assert_int_equal(slot_complete(&m.slots[last], GENERATION + 1, 0), 0);
	assert_int_equal(m.places[last].size, 1);
	assert_int_equal(m.faults[last].text[FAULT_TEXT - 1], 'x');
	assert_false(ready_is_empty(m.ready, m.slot_count));
	assert_true(slot_poll(&m.slots[last], GENERATION + 1));
	port_memory_unmap(&m);
}

static void
every_slot_starts_as_done_with_the_generation_given(void **state)
{
	struct port_memory m = make(1000);

	(void)state;
	for (uint32_t i = 0; i < m.slot_count; i++) {
		assert_int_equal(atomic_load(&m.slots[i].word), slot_word(GENERATION, SLOT_DONE));
		assert_int_equal(slot_look(&m.slots[i], GENERATION + 1), SLOT_IS_PENDING);
	}
	assert_true(ready_is_empty(m.ready, m.slot_count));
	port_memory_unmap(&m);
}

static void
another_process_finds_the_same_port(void **state)
{
	struct port_memory m = make(65);
	struct segment theirs;
	const struct segment_header *header;
	const struct slot *slot;

	(void)state;
	assert_int_equal(pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_PORT, false), 0);
	header = (const struct segment_header *)theirs.base;
	assert_int_equal(header->counts[0], 65);
	assert_int_equal(header->counts[1], m.arena_base);
	assert_int_equal(header->counts[2], m.arena_size);
	slot = (const struct slot *)(theirs.base +
	    ((const unsigned char *)&m.slots[64] - m.segment.base));
	assert_true(slot_poll(slot, GENERATION));
	assert_int_equal(slot_complete(&m.slots[64], GENERATION + 1, 0), 0);
	assert_true(slot_poll(slot, GENERATION + 1));
	pinioni_segment_destroy(&theirs);
	port_memory_unmap(&m);
}

static void
a_port_is_not_to_be_had_before_it_is_published(void **state)
{
	struct port_memory m;
	struct segment theirs;

	(void)state;
	assert_int_equal(pinioni_port_memory_map(&m, "pinion test", 64, ARENA_BYTES, false), 0);
	assert_int_equal(
	    pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_PORT, false), -EBADMSG);
	assert_int_equal(pinioni_port_memory_publish(&m, 0), 0);
	assert_int_equal(pinioni_segment_attach(&theirs, m.segment.fd, SEGMENT_PORT, false), 0);
	pinioni_segment_destroy(&theirs);
	port_memory_unmap(&m);
	assert_null(m.segment.base);
	assert_int_equal(m.segment.fd, -1);
}

static void
huge_pages_are_a_wish(void **state)
{
	struct port_memory m;

	(void)state;
	assert_int_equal(pinioni_port_memory_map(&m, "pinion test", 64, ARENA_BYTES, true), 0);
	assert_int_equal(pinioni_port_memory_publish(&m, 0), 0);
	assert_int_equal(pinioni_segment_commit(&m.segment, m.arena_base, m.arena_size), 0);
	m.segment.base[m.arena_base + m.arena_size - 1] = 1;
	port_memory_unmap(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_follow_each_other_without_overlap),
		cmocka_unit_test(the_arena_begins_on_a_page_and_has_its_size),
		cmocka_unit_test(every_part_can_be_written_once_it_is_published),
		cmocka_unit_test(every_slot_starts_as_done_with_the_generation_given),
		cmocka_unit_test(another_process_finds_the_same_port),
		cmocka_unit_test(a_port_is_not_to_be_had_before_it_is_published),
		cmocka_unit_test(huge_pages_are_a_wish),
	};

	return cmocka_run_group_tests_name("port_memory", tests, NULL, NULL);
}
