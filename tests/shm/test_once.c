/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What is read once is what lies there, whatever it was written as.
 * Method  Fields of the format, written as such.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shm/format.h"
#include "shm/once.h"

static void
a_field_is_read_as_it_was_written(void **state)
{
	struct slot slot = { .stamp = UINT64_C(1) << 63 | 1, .status = -5, .length = 7 };

	(void)state;
	assert_true(once_u64(&slot.stamp) == slot.stamp);
	assert_int_equal((int32_t)once_u32(&slot.status), -5);
	assert_int_equal(once_u32(&slot.length), 7);
}

static void
words_are_copied_and_nothing_behind_them(void **state)
{
	alignas(8) const struct record_ref from = {
		.call = UINT64_MAX - 1, .at = 3, .port = 4, .kind = REF_STREAM
	};
	struct record_ref to[2] = { { 0 }, { .at = 9 } };

	(void)state;
	once_copy(to, &from, sizeof from);
	assert_memory_equal(&to[0], &from, sizeof from);
	assert_int_equal(to[1].at, 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_field_is_read_as_it_was_written),
		cmocka_unit_test(words_are_copied_and_nothing_behind_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
