/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A doorbell is rung only for a lane that dozes, is taken once, and names its port.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "shm/doorbell.h"

enum {
	PORTS = 64 * LANE_WORDS
};

static void
only_a_lane_that_dozes_wants_its_bell_rung(void **state)
{
	static struct board_worker w;

	(void)state;
	for (unsigned port = 0; port < PORTS; port++) {
		assert_false(doorbell_is_wanted(&w, port));
		doorbell_doze(&w, port, true);
		doorbell_doze(&w, port, true);
		assert_true(doorbell_is_wanted(&w, port));
		assert_false(doorbell_is_wanted(&w, (port + 1) % PORTS));
		doorbell_doze(&w, port, false);
		assert_false(doorbell_is_wanted(&w, port));
	}
}

static void
a_ring_is_taken_once_and_names_its_port(void **state)
{
	static struct worker_doors doors;

	(void)state;
	for (unsigned port = 0; port < PORTS; port++) {
		doorbell_ring(&doors, port);
		doorbell_ring(&doors, port);
		for (unsigned word = 0; word < LANE_WORDS; word++)
			assert_int_equal(doorbell_take(&doors, word),
			    word == port / 64 ? UINT64_C(1) << port % 64 : 0);
		assert_int_equal(doorbell_take(&doors, port / 64), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_lane_that_dozes_wants_its_bell_rung),
		cmocka_unit_test(a_ring_is_taken_once_and_names_its_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
