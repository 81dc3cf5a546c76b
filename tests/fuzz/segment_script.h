/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/segment_script.h - the bytes of an input as a script, and what it may write into a port of another process.
 *
 *   byte, half, number, slot_number: the next of it; 0 when it is over
 *   write_some: one write, of a word, a place, a ring, ... that nearly makes sense, or of anything anywhere
 *   meddle: the same from within a handler, so that what was looked at changes before it is used
 */
#ifndef PINION_TESTS_FUZZ_SEGMENT_SCRIPT_H
#define PINION_TESTS_FUZZ_SEGMENT_SCRIPT_H

#include "tests/attach/hostile.h"

enum {
	MEDDLES = 4 /* steps of the script that one look of a handler takes */
};

static struct hostile guest;
static uint64_t now_ns = 1;
static bool is_buried; /* nobody writes there any more */
static const unsigned char *script, *script_end;

/* ---- the script ------------------------------------------------------------------------------- */

static inline unsigned
byte(void)
{
	return script < script_end ? *script++ : 0;
}

static inline uint32_t
half(void)
{
	return byte() | byte() << 8;
}

/* Those at which something changes, more often than others. */
static inline uint64_t
number(void)
{
	static const uint64_t odd[] = { 0, 1, 2, 7, 8, 32, 33, 64, 127, 128, 255, 0x7fff, 0xffff,
		INT32_MAX, UINT32_C(1) << 31, UINT32_MAX, INT64_MAX, UINT64_MAX, HOSTILE_ARENA,
		HOSTILE_ARENA / ARENA_GRANULE, HOSTILE_ARENA - 64 };
	unsigned which = byte();
	uint64_t x = 0;

	if (which < sizeof odd / sizeof odd[0])
		return odd[which];
	for (unsigned i = 0; i <= which % 8; i++)
		x = x << 8 | byte();
	return x;
}

static inline unsigned
slot_number(void)
{
	return byte() % 8; /* few, so that what is written meets */
}

/* ---- writes ----------------------------------------------------------------------------------- */

static inline unsigned char *
region(unsigned which, size_t *size)
{
	struct port_memory *m = &guest.port->memory;

	switch (which) {
	case 0:
		*size = HOSTILE_SLOTS * sizeof *m->slots;
		return (unsigned char *)m->slots;
	case 1:
		*size = HOSTILE_SLOTS * sizeof *m->places;
		return (unsigned char *)m->places;
	case 2:
		*size = HOSTILE_SLOTS * sizeof *m->terms;
		return (unsigned char *)m->terms;
	case 3:
		*size = HOSTILE_SLOTS * sizeof *m->faults;
		return (unsigned char *)m->faults;
	case 4:
		*size = 16384;
		return m->segment.base + m->arena_base;
	case 5:
		*size = m->segment.size;
		return m->segment.base;
	default:
		*size = guest.port->lanes.segment.size;
		return guest.port->lanes.segment.base;
	}
}

static inline void
write_anywhere(void)
{
	size_t size, bytes, at;
	unsigned char *base = region(byte() % 7, &size);
	uint64_t x;

	at = half() * 4 % size;
	bytes = (size_t)1 << byte() % 4;
	x = number();
	memcpy(base + at, &x, bytes < size - at ? bytes : size - at);
}

static inline void
write_word(void)
{
	unsigned slot = slot_number(), flags = byte();

	hostile_set_word(&guest, slot,
	    slot_word(guest.generations[slot] + byte() % 3 - 1, flags & 15) |
		(uint64_t)(flags >> 4) << 56);
}

static inline void
write_done(void)
{
	static const int32_t statuses[] = { 0, 0, 0, 1, 2, -5, INT32_MIN, INT32_MAX };
	unsigned slot = slot_number(), kind = byte();
	uint32_t length = kind % 3 == 0 ? 8 : (uint32_t)number();

	hostile_pretend_done(&guest, slot, kind % 16, length, statuses[byte() % 8]);
}

static inline void
write_place(void)
{
	uint32_t at = byte(), size = (uint32_t)number();

	if ((at & 1) != 0)
		at = (uint32_t)number();
	hostile_memory(&guest)->places[slot_number()] =
	    (struct result_place){ .at = at, .size = size };
}

/* Short ones may fit. */
static inline unsigned
length_of_name(void)
{
	unsigned x = byte();

	return x < 128 ? x % 8 : x;
}

static inline void
write_terms(void)
{
	unsigned slot = slot_number();
	struct call_terms t = { .deadline = byte() % 2 * (now_ns + byte()),
		.at = byte(),
		.length = (uint16_t)number(),
		.door = (uint16_t)(byte() % 8),
		.priority = (uint8_t)byte(),
		.id_length = (uint8_t)length_of_name(),
		.model_length = (uint8_t)length_of_name() };

	hostile_memory(&guest)->terms[slot] = t;
	for (unsigned i = 0; t.length < 64 && i < t.length; i++)
		((char *)hostile_at(&guest, t.at))[i] = (char)(byte() % 3 * 'a');
}

static inline void
write_ring(void)
{
	unsigned slot = slot_number(), at = byte(), window = 1u << byte() % 5;
	uint32_t stride = CELL_SIZE * (1 + byte() % 8);
	struct ring *ring = hostile_at(&guest, at);

	ring_init(ring, window, stride);
	hostile_memory(&guest)->places[slot] =
	    (struct result_place){ .at = at, .size = (uint32_t)ring_size(window, stride) };
}

/* Of a ring where there may be one. */
static inline void
write_item(void)
{
	struct ring *ring = hostile_at(&guest, byte());
	uint32_t n = byte() % 16;
	struct ring_item *item = ring_item_at(ring, n, 15, CELL_SIZE);

	item->kind = byte() % 16;
	item->length = (uint32_t)number();
	/* relaxed twice: one thread. */
	atomic_store_explicit(&item->sequence, n + 1, memory_order_relaxed);
	atomic_store_explicit(&ring->taken, number(), memory_order_relaxed);
}

static inline void
write_some(void)
{
	static void (*const writes[])(void) = { write_anywhere, write_word, write_done, write_place,
		write_terms, write_ring, write_item, write_anywhere };

	writes[byte() % 8]();
}

/* What a handler does between two looks. */
static inline void
meddle(void)
{
	for (unsigned i = 0; i < MEDDLES && script < script_end && !is_buried; i++)
		write_some();
}

#endif
