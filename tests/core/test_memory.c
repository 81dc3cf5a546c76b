/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A heap's blocks are zeroed, aligned, apart from each other and on the heap's node; what is given
 *         back is used again; nothing is left of a heap that has ended.
 * Method  One program without jemalloc, and once more with it ("jemalloc" as its argument). What is
 *         mapped is counted by the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "affinity/bind.h"
#include "core/memory.h"
#include "tests/scale.h"

enum {
	BLOCKS = 256,
	BLOCK_MAX = 20000,
	THREADS = 4,
	NO_SUCH_NODE = 1000
};

extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

static bool is_jemalloc_expected;

struct block {
	unsigned char *at;
	size_t size;
};

static size_t
size_of(uint64_t *random)
{
	return 1 + next_random(random) % (next_random(random) % 2 == 0 ? 300 : BLOCK_MAX);
}

static bool
is_filled(const unsigned char *at, size_t size, unsigned char with)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != with)
			return false;
	return true;
}

struct extent {
	size_t mapped;   /* bytes of address space */
	size_t resident; /* bytes of memory */
};

static struct extent
extent_now(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned long all = 0, resident = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &all, &resident), 2);
	(void)fclose(f);
	return (struct extent){ all * page, resident * page };
}

static void
the_allocator_is_the_one_that_is_linked(void **state)
{
	struct heap h;

	(void)state;
	pinioni_heap_init(&h, HEAP_ANY_NODE);
	assert_int_equal(heap_is_jemalloc(&h), is_jemalloc_expected);
	pinioni_heap_deinit(&h);
}

static void
blocks_are_zeroed_also_the_second_time(void **state)
{
	static const size_t sizes[] = { 1, 64, 65, 100, 4096, 4097, 70000, HEAP_CHUNK, 3000000 };
	struct heap h;

	(void)state;
	pinioni_heap_init(&h, HEAP_ANY_NODE);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			unsigned char *p = pinioni_heap_take(&h, sizes[i]);

			assert_non_null(p);
			assert_true(is_filled(p, sizes[i], 0));
			memset(p, 0xff, sizes[i]);
			pinioni_heap_give(&h, p, sizes[i]);
		}
	pinioni_heap_deinit(&h);
}

static void
blocks_are_aligned_to_their_size_up_to_a_page(void **state)
{
	struct heap h;

	(void)state;
	pinioni_heap_init(&h, HEAP_ANY_NODE);
	for (size_t size = 64; size <= HEAP_CHUNK; size *= 2) {
		size_t align = size < 4096 ? size : 4096;
		unsigned char *odd = pinioni_heap_take(&h, 1);
		unsigned char *all = pinioni_heap_take(&h, size);
		unsigned char *less = pinioni_heap_take(&h, size - 1);

		assert_non_null(odd);
		assert_int_equal((uintptr_t)all % align, 0);
		assert_int_equal((uintptr_t)less % align, 0);
		pinioni_heap_give(&h, odd, 1);
		pinioni_heap_give(&h, less, size - 1);
		pinioni_heap_give(&h, all, size);
	}
	pinioni_heap_deinit(&h);
}

static void
what_is_too_large_is_none(void **state)
{
	struct heap h;

	(void)state;
	pinioni_heap_init(&h, HEAP_ANY_NODE);
	assert_null(pinioni_heap_take(&h, ((size_t)64 << (HEAP_CLASSES - 1)) + 1));
	assert_null(pinioni_heap_take(&h, SIZE_MAX));
	pinioni_heap_give(&h, NULL, 0);
	pinioni_heap_deinit(&h);
}

/* Returns how many bytes were not as they were left. */
static unsigned
shuffle(struct heap *h, uint64_t random, uint64_t steps)
{
	struct block blocks[BLOCKS] = { { NULL, 0 } };
	unsigned wrong = 0;

	for (uint64_t step = 0; step < steps; step++) {
		unsigned i = (unsigned)(next_random(&random) % BLOCKS);
		struct block *b = &blocks[i];

		if (b->at != NULL) {
			wrong += !is_filled(b->at, b->size, (unsigned char)i);
			pinioni_heap_give(h, b->at, b->size);
		}
		b->size = size_of(&random);
		b->at = pinioni_heap_take(h, b->size);
		if (b->at == NULL)
			return wrong + 1;
		wrong += !is_filled(b->at, b->size, 0);
		memset(b->at, (int)i, b->size);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].at != NULL)
			pinioni_heap_give(h, blocks[i].at, blocks[i].size);
	return wrong;
}

static void
what_is_given_back_is_used_again(void **state)
{
	uint64_t start = seed() | 1;
	struct heap h;
	struct extent before, after;

	(void)state;
	pinioni_heap_init(&h, HEAP_ANY_NODE);
	assert_int_equal(shuffle(&h, start, scaled(20000)), 0);
	before = extent_now();
	for (unsigned round = 0; round < 10; round++)
		assert_int_equal(shuffle(&h, start, scaled(20000)), 0);
	after = extent_now();
	/* Ten rounds took some GiB; jemalloc may have mapped a little more for its own sake. */
	assert_true(after.mapped <= before.mapped + (is_jemalloc_expected ? 32u << 20 : 0));
	pinioni_heap_deinit(&h);
}

static unsigned
arena_count(void)
{
	unsigned count = 0;
	size_t size = sizeof count;

	if (mallctl != NULL)
		assert_int_equal(mallctl("arenas.narenas", &count, &size, NULL, 0), 0);
	return count;
}

static void
use_and_end(int node)
{
	struct heap h;

	pinioni_heap_init(&h, node);
	for (unsigned k = 0; k < 8; k++) {
		unsigned char *p = pinioni_heap_take(&h, HEAP_CHUNK);

		assert_non_null(p);
		memset(p, 1, HEAP_CHUNK);
	}
	pinioni_heap_deinit(&h); /* without giving them back */
}

static void
nothing_is_left_of_a_heap_that_ended(void **state)
{
	unsigned rounds = (unsigned)scaled(200), arenas;
	struct extent before, after;

	(void)state;
	use_and_end(HEAP_ANY_NODE);
	use_and_end(0);
	before = extent_now();
	arenas = arena_count();
	for (unsigned i = 0; i < rounds; i++)
		use_and_end(i % 2 == 0 ? HEAP_ANY_NODE : 0);
	after = extent_now();
	print_message("%td KiB more resident, %td KiB more mapped after %u heaps\n",
	    (ptrdiff_t)(after.resident - before.resident) / 1024,
	    (ptrdiff_t)(after.mapped - before.mapped) / 1024, rounds);
	/* Each had 8 MiB. jemalloc keeps 2 MiB of addresses of a destroyed arena, without memory. */
	assert_true(after.resident < before.resident + (32u << 20));
	if (is_jemalloc_expected)
		assert_true(after.mapped < before.mapped + rounds * (4u << 20) + (32u << 20));
	else
		assert_true(after.mapped <= before.mapped);
	assert_true(arena_count() <= arenas + 1);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void
a_heaps_blocks_lie_on_its_node(void **state)
{
	struct memory_census census;
	struct heap h;
	unsigned char *p;

	(void)state;
	pinioni_heap_init(&h, 0);
	assert_int_equal(heap_is_jemalloc(&h), is_jemalloc_expected);
	p = pinioni_heap_take(&h, HEAP_CHUNK);
	assert_non_null(p);
	memset(p, 1, HEAP_CHUNK);
	if (pinioni_memory_bind(p, 1, 0) == 0 &&
	    pinioni_memory_census(p, HEAP_CHUNK, 0, &census) == 0) {
		assert_int_equal(census.here, (size_t)HEAP_CHUNK / (size_t)sysconf(_SC_PAGESIZE));
		assert_int_equal(census.elsewhere, 0);
	}
	pinioni_heap_give(&h, p, HEAP_CHUNK);
	pinioni_heap_deinit(&h);
}

static void
a_node_that_is_not_there_harms_nothing(void **state)
{
	struct heap h;

	(void)state;
	pinioni_heap_init(&h, NO_SUCH_NODE);
	assert_int_equal(shuffle(&h, 1, scaled(2000)), 0);
	pinioni_heap_deinit(&h);
}

static void
heaps_side_by_side_keep_to_themselves(void **state)
{
	struct heap heaps[2];
	unsigned char *a, *b;

	(void)state;
	pinioni_heap_init(&heaps[0], 0);
	pinioni_heap_init(&heaps[1], NO_SUCH_NODE);
	a = pinioni_heap_take(&heaps[0], 1000);
	b = pinioni_heap_take(&heaps[1], 1000);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	memset(a, 1, 1000);
	pinioni_heap_give(&heaps[1], b, 1000);
	pinioni_heap_deinit(&heaps[1]);
	assert_true(is_filled(a, 1000, 1));
	pinioni_heap_give(&heaps[0], a, 1000);
	pinioni_heap_deinit(&heaps[0]);
}

/* ---- threads -------------------------------------------------------------------------------- */

struct crew {
	struct heap heap;
	pthread_barrier_t start;
	_Atomic unsigned wrong, number;
};

static void *
shuffle_in_thread(void *crew)
{
	struct crew *c = crew;
	/* relaxed: only told apart by it. */
	uint64_t number = atomic_fetch_add_explicit(&c->number, 1, memory_order_relaxed) + 1;
	unsigned wrong;

	(void)pthread_barrier_wait(&c->start);
	wrong = shuffle(&c->heap, number, scaled(5000));
	/* relaxed: read after the join. */
	(void)atomic_fetch_add_explicit(&c->wrong, wrong, memory_order_relaxed);
	return NULL;
}

static void
threads_may_share_a_heap(void **state)
{
	static struct crew c;
	pthread_t threads[THREADS];

	(void)state;
	pinioni_heap_init(&c.heap, HEAP_ANY_NODE);
	assert_int_equal(pthread_barrier_init(&c.start, NULL, THREADS), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, shuffle_in_thread, &c), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* relaxed: joined. */
	assert_int_equal(atomic_load_explicit(&c.wrong, memory_order_relaxed), 0);
	assert_int_equal(pthread_barrier_destroy(&c.start), 0);
	pinioni_heap_deinit(&c.heap);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_allocator_is_the_one_that_is_linked),
		cmocka_unit_test(blocks_are_zeroed_also_the_second_time),
		cmocka_unit_test(blocks_are_aligned_to_their_size_up_to_a_page),
		cmocka_unit_test(what_is_too_large_is_none),
		cmocka_unit_test(what_is_given_back_is_used_again),
		cmocka_unit_test(nothing_is_left_of_a_heap_that_ended),
		cmocka_unit_test(a_heaps_blocks_lie_on_its_node),
		cmocka_unit_test(a_node_that_is_not_there_harms_nothing),
		cmocka_unit_test(heaps_side_by_side_keep_to_themselves),
		cmocka_unit_test(threads_may_share_a_heap),
	};

	is_jemalloc_expected = argc > 1 && strcmp(argv[1], "jemalloc") == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
