/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A message that says more of its record than a message holds is not believed: nothing is read or written
 *         beyond the record.
 */
#include "tests/core/graph.h"

#include "core/record.h"

enum {
	PARAMS = 8,
	CLAIMED = 8 * (PARAMS + 1) /* eight scalars, one of them by reference: 72 bytes */
};

/* Eight whole numbers. */
static const struct method eight = { .signature = 0x22222222, .param_count = PARAMS };

static struct message
lying_message(void)
{
	struct message m = { .length = CLAIMED, .refs = 1 };

	memset(m.record, 0x5a, sizeof m.record);
	return m;
}

static void
a_record_longer_than_a_message_has_no_references(void **state)
{
	struct message m = lying_message();
	struct record_ref refs[PINION_ARGS_MAX];

	(void)state;
	assert_int_equal(pinioni_record_refs(NULL, &m, &eight, refs), 0);
}

static void
a_record_longer_than_a_message_is_not_settled(void **state)
{
	const struct arrival arrival = { .bits = 1, .kind = PINION_KIND_I64 };
	struct message m = lying_message();
	struct {
		struct message to;
		unsigned char behind[CLAIMED];
	} lane = { .behind = { 0 } };

	(void)state;
	assert_false(pinioni_record_settle_to(NULL, &m, &lane.to, &eight, &arrival));
	for (unsigned i = 0; i < CLAIMED; i++)
		assert_int_equal(lane.behind[i], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_longer_than_a_message_has_no_references),
		cmocka_unit_test(a_record_longer_than_a_message_is_not_settled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
