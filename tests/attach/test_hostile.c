/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever a process that has attached writes where it may write: its calls fail, and nothing of anybody else's does.
 * Method  In one process, a port as such a process gets it, written to between two turns of a caller-driven runtime. A test each
 *         way in which that once ended, stopped or misled the runtime; behind each, a call of our own, and the census.
 */
#include "tests/attach/kinds.h"

#include "core/cancel.h"
#include "core/custody.h"

/* ---- requests --------------------------------------------------------------------------------- */

/* Alike to the last bit: sent again, when what stands for the first was written over. */
static void
push_twice(const struct message *m, uint64_t deadline)
{
	struct call_terms terms = { .deadline = deadline + 1000, .door = FAULT_NOWHERE };

	hostile_memory(&guest)->terms[m->slot] = terms;
	push(m);
	hostile_set_word(&guest, m->slot, slot_word(guest.generations[m->slot], SLOT_DONE));
	guest.generations[m->slot]++;
	cancel(m->slot);
	guest.generations[m->slot]--;
	hostile_set_word(&guest, m->slot, slot_word(guest.generations[m->slot] - 1, SLOT_DONE));
	terms.deadline = deadline;
	hostile_memory(&guest)->terms[m->slot] = terms;
	push(m);
}

static void
a_deadline_ends_the_request_that_it_is_of_and_not_one_like_it(void **state)
{
	struct message m;
	struct record_ref ref;

	(void)state;
	leave_pending(0);
	m = call_of("add", 1);
	ref = hostile_ref(&guest, 0, REF_RESULT);
	m.refs = 1;
	m.function = MESSAGE_TERMS;
	hostile_put(&m, &ref, sizeof ref);
	push_twice(&m, 1000);
	atomic_store(&now_ns, 1500);
	hostile_turns(&guest, TURNS);
	const struct custody_entry *e = worker_custody(&rt->workers[0], guest.port->index, 0);

	assert_non_null(e->here);
	for (const struct pinion_request *r = e->here->dependents; r != NULL; r = r->next)
		assert_int_equal(r->state, REQUEST_WAITING);
}

static void
a_cancel_beyond_its_ports_slots_is_refused(void **state)
{
	struct worker *w = &rt->workers[0];
	const struct message m = { .call = 1 << 16,
		.slot = HOSTILE_SLOTS / 2,
		.port = guest.port->index,
		.target = REPLICA_NONE,
		.kind = MESSAGE_CANCEL };

	(void)state;
	hostile_set_word(&guest, m.slot, slot_word(0, SLOT_DONE));
	guest.port->memory.slot_count = HOSTILE_SLOTS / 4;
	pinioni_cancel_take(w, &m);
	guest.port->memory.slot_count = HOSTILE_SLOTS;
	assert_int_equal(w->placeholders, 0);
}

static void
a_replica_that_did_not_start_runs_nothing(void **state)
{
	pinion_handle handle;
	struct message m = call_of("add", 0);

	(void)state;
	assert_int_equal(pinion_run(rt, build_broken, &handle, .name = "broken"), -EPERM);
	m.target = (uint16_t)(registry_replicas(&rt->registry)->count - 1);
	push(&m);
	assert_ended(0, -ECANCELED);
	assert_int_equal(seen.without_state, 0);
}

static int
task(pinion_request *req)
{
	seen.tasks++;
	return pinion_reply(req, (int64_t)0);
}

/* Function 0 of those that were ever given to pinion_task. */
static void
no_handle_names_what_runs_tasks(void **state)
{
	pinion_response r = pinion_task_on(rt, task, PINION_ARGS());
	pinion_handle forged = handle_make(rt->key, DEPLOYMENT_TASK, 0, 0);
	struct message m = call_of("forward", 0);
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	pinion_release(r);
	r = pinion_call(forged, PINION_ARGS());
	assert_int_equal(pinion_result(r, &x), -EINVAL);
	hostile_put(&m, &forged, sizeof forged);
	set_place(0, PLACE_AT, ROOM);
	push(&m);
	assert_ended(0, -EINVAL);
	assert_int_equal(seen.tasks, 1);
}

/* ---- messages --------------------------------------------------------------------------------- */

static void
a_post_to_a_stream_is_refused(void **state)
{
	struct message m = call_of("count", 0);

	(void)state;
	m.slot = SLOT_NONE;
	push(&m);
	assert_int_equal(guest.port->violations, 1);
}

static void
a_call_that_says_a_handler_made_it_is_refused(void **state)
{
	struct message m = call_of("put_off", 0);

	(void)state;
	m.call |= 3 << 8;
	push(&m);
	assert_ended(0, -EBADMSG);
	assert_int_equal(guest.port->violations, 1);
}

static void
arguments_lie_where_a_block_may_and_in_the_arena(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t length;
	} wrong[] = { { 8, 32 }, { HOSTILE_ARENA, 64 }, { HOSTILE_ARENA - 64, 65 },
		{ UINT64_MAX - 63, 128 } };

	(void)state;
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct message m = call_of("read_struct", i);

		hostile_put_outside(&guest, &m, wrong[i].offset, wrong[i].length);
		push(&m);
		assert_ended(i, -EBADMSG);
	}
	assert_false(seen.missed_struct);
	assert_int_equal(guest.port->violations, sizeof wrong / sizeof wrong[0]);
}

/* In requests side by side, of which some may lie well. */
static void
a_struct_that_does_not_lie_well_in_a_message_is_an_error_of_its_call(void **state)
{
	struct wide wide = { { 0 } };

	(void)state;
	for (unsigned i = 0; i < HOSTILE_SLOTS / 4; i++) {
		struct message m = call_of("read_struct", i);

		hostile_put(&m, &wide, sizeof wide);
		push(&m);
		assert_true(hostile_is_done(&guest, i));
		assert_false(seen.missed_struct);
		m = call_of("put_off", HOSTILE_SLOTS / 2 + i);
		push(&m);
	}
}

/* Looked at when it came, and written over while it waits. */
static void
arguments_that_are_written_over_name_nothing_of_others(void **state)
{
	pinion_response ours = call_add();
	struct record_ref ref;
	struct message m;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(ours, &x), 0);
	leave_pending(0);
	m = call_of("add", 1);
	ref = hostile_ref(&guest, 0, REF_RESULT);
	m.refs = 1;
	memcpy(hostile_at(&guest, RECORD_AT), &ref, sizeof ref);
	hostile_put_outside(&guest, &m, (uint64_t)RECORD_AT * ARENA_GRANULE, sizeof ref);
	push(&m);
	assert_false(hostile_is_done(&guest, 1));
	ref = (struct record_ref){ .call = ours.generation << 16,
		.at = ours.slot,
		.port = (uint16_t)(ours.port & 0xffff),
		.kind = REF_RESULT };
	memcpy(hostile_at(&guest, RECORD_AT), &ref, sizeof ref);
	hostile_pretend_done(&guest, 0, PINION_KIND_I64, 8, 0);
	cancel(0);
	assert_ended(1, -EBADMSG);
	pinion_release(ours);
}

/* ---- results ---------------------------------------------------------------------------------- */

static void
a_result_without_a_place_is_an_error_of_its_call(void **state)
{
	static const struct result_place places[] = { { 0, 0 }, { PLACE_AT, LONG - 1 },
		{ UINT32_MAX, ROOM }, { HOSTILE_ARENA / ARENA_GRANULE - 1, ROOM } };

	(void)state;
	for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
		struct message m = call_of("long", i);

		set_place(i, places[i].at, places[i].size);
		push(&m);
		assert_ended(i, -EMSGSIZE);
	}
}

static void
write_text(char *to)
{
	for (unsigned i = 0; i < LONG; i++)
		to[i] = (char)('a' + i % 26);
}

/* Arguments and results, or items, one over the other: whole all the same. */
static void
a_result_may_be_said_to_lie_over_its_arguments(void **state)
{
	char text[LONG], *record = hostile_at(&guest, PLACE_AT + 4), *place;
	struct message m = call_of("echo", 0);

	(void)state;
	write_text(text);
	write_text(record);
	set_place(0, PLACE_AT + 5, ROOM);
	hostile_put_outside(&guest, &m, (PLACE_AT + 4) * ARENA_GRANULE, LONG);
	push(&m);
	assert_ended(0, 0);
	assert_memory_equal(hostile_at(&guest, PLACE_AT + 5), text, LONG);
	m = call_of("yield", 1);
	ring_init(hostile_at(&guest, PLACE_AT), 1, (uint32_t)ring_stride(LONG));
	set_place(1, PLACE_AT, (uint32_t)ring_size(1, ring_stride(LONG)));
	place = (char *)hostile_at(&guest, PLACE_AT) + sizeof(struct ring) +
	    offsetof(struct ring_item, bytes);
	write_text(record);
	hostile_put_outside(&guest, &m, (PLACE_AT + 4) * ARENA_GRANULE, LONG);
	push(&m);
	assert_ended(1, 0);
	assert_memory_equal(place, text, LONG);
}

static void
take_place(void)
{
	set_place(0, PLACE_AT, 0);
}

static void
a_place_that_goes_while_its_buffer_is_filled_is_an_error_of_its_call(void **state)
{
	struct message m = call_of("in_place", 0);

	(void)state;
	seen.meanwhile = take_place;
	set_place(0, PLACE_AT, ROOM);
	push(&m);
	assert_ended(0, -EMSGSIZE);
}

static void
a_place_that_goes_before_an_answer_comes_is_an_error_of_its_call(void **state)
{
	struct message m = call_of("put_off", 0);
	pinion_value value = { .kind = PINION_KIND_STR, .as.str = { xs, LONG } };

	(void)state;
	set_place(0, PLACE_AT, ROOM);
	push(&m);
	assert_int_equal(pinion_token_reply_value(seen.token, value), 0);
	take_place();
	hostile_turns(&guest, TURNS);
	assert_ended(0, -EMSGSIZE);
}

static pinion_ref
ref_to(unsigned slot)
{
	return (pinion_ref){ .generation = REF_TAG | guest.generations[slot],
		.port = guest.port->word,
		.slot = slot };
}

static void
a_result_that_is_no_result_is_not_read_by_reference(void **state)
{
	int64_t x = VALUE;
	pinion_str text;

	(void)state;
	leave_pending(0);
	hostile_pretend_done(&guest, 0, PINION_KIND_I64, 8, 5);
	assert_int_equal(pinion_ref_get(ref_to(0), &x), -EBADMSG);
	hostile_pretend_done(&guest, 0, PINION_KIND_I64, 3, 0);
	assert_int_equal(pinion_ref_get(ref_to(0), &x), -EINVAL);
	assert_int_equal(x, VALUE);
	set_place(0, 0, UINT32_MAX);
	hostile_pretend_done(&guest, 0, PINION_KIND_STR, UINT32_MAX, 0);
	assert_int_equal(pinion_ref_get(ref_to(0), &text), -ESTALE);
	assert_true(pinioni_self.copy_size < HOSTILE_ARENA);
}

static int
read_any_stream(pinion_request *req)
{
	int64_t x;

	seen.got = pinion_next(pinion_arg_stream(req, 0), &x);
	return pinion_reply(req, (int64_t)0);
}

/* Its bytes are the other's, where a reader's end of ours would be. */
static void
a_result_that_says_it_is_a_stream_is_no_argument(void **state)
{
	pinion_response r;
	int64_t x;

	(void)state;
	leave_pending(0);
	set_place(0, PLACE_AT, ROOM);
	memset(hostile_at(&guest, PLACE_AT), 0x41, ROOM);
	for (uint32_t length = 64; length <= 128; length += 8) {
		hostile_pretend_done(&guest, 0, PINION_KIND_STREAM, length, 0);
		r = pinion_task_on(rt, read_any_stream, PINION_ARGS(ref_to(0)));
		assert_int_equal(pinion_result(r, &x), -EBADMSG);
		pinion_release(r);
	}
}

/* ---- streams ---------------------------------------------------------------------------------- */

/* Its call fails for another reason; then its stream is closed. */
static void
a_stream_in_less_than_a_ring_is_left_alone(void **state)
{
	uint32_t *words = hostile_at(&guest, PLACE_AT);
	struct message m;

	(void)state;
	leave_pending(0);
	for (uint32_t size = 0; size < sizeof(struct ring); size += 8) {
		memset(words, 0x77, sizeof(struct ring));
		set_place(0, PLACE_AT, size);
		m = read_it();
		m.method = (uint8_t)handle_method(pinion_method_of(app, "add"));
		push(&m);
		for (size_t i = 0; i < sizeof(struct ring) / sizeof *words; i++)
			assert_int_equal(words[i], 0x77777777);
	}
}

static void
a_stream_ends_with_an_error_or_none(void **state)
{
	static const struct {
		int32_t said;
		int got;
	} ends[] = { { 1, -EBADMSG }, { 2, -EBADMSG }, { INT32_MAX, -EBADMSG }, { 0, 0 },
		{ -EPIPE, -EPIPE } };

	(void)state;
	for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct message m;

		leave_pending(0);
		(void)make_ring(0, 8);
		hostile_pretend_done(&guest, 0, PINION_KIND_NONE, 0, ends[i].said);
		m = read_it();
		push(&m);
		assert_ended(1, 0);
		assert_int_equal(seen.got, ends[i].got);
		assert_int_equal(seen.error.code, ends[i].got);
	}
}

static void
an_error_has_no_more_text_than_there_is(void **state)
{
	struct fault *fault = &hostile_memory(&guest)->faults[0];
	struct message m;

	(void)state;
	leave_pending(0);
	(void)make_ring(0, 8);
	*fault = (struct fault){ .deployment = (uint16_t)handle_deployment(app),
		.method = UINT8_MAX,
		.length = UINT8_MAX };
	memset(fault->text, 'x', sizeof fault->text);
	hostile_pretend_done(&guest, 0, PINION_KIND_NONE, 0, -EPIPE);
	m = read_it();
	push(&m);
	assert_ended(1, 0);
	assert_int_equal(seen.error.text.len, FAULT_TEXT);
	assert_int_equal(seen.error.method.len, 0);
}

/* Undefined, when one is taken from the least of numbers. */
static void
whoever_waits_for_a_ring_is_a_worker_or_nobody(void **state)
{
	struct message m = call_of("count", 0);
	struct ring *ring = make_ring(0, 8);

	(void)state;
	/* relaxed twice: one thread. */
	atomic_store_explicit(&ring->hungry, UINT32_C(1) << 31, memory_order_relaxed);
	atomic_store_explicit(&ring->starved, UINT32_C(1) << 31, memory_order_relaxed);
	push(&m);
	assert_ended(0, 0);
	assert_int_equal(ring_hungry(ring), INT32_MAX);
	assert_int_equal(ring_starved(ring), INT32_MAX);
}

/* ---- terms ------------------------------------------------------------------------------------ */

static void
a_models_name_is_as_long_as_a_name_may_be(void **state)
{
	static const char name[255] = { 'm' };
	struct message m = call_of("model", 0);

	(void)state;
	m.function = MESSAGE_TERMS;
	carry(0, (struct call_terms){ .model_length = sizeof name }, name, sizeof name);
	push(&m);
	assert_ended(0, -EINVAL);
	assert_true(seen.id_length == SIZE_MAX);
	m = call_of("model", 0);
	m.function = MESSAGE_TERMS;
	carry(0, (struct call_terms){ .model_length = PINION_NAME_MAX }, name, PINION_NAME_MAX);
	push(&m);
	assert_ended(0, 0);
	assert_int_equal(seen.id_length, PINION_NAME_MAX);
}

static void
write_over_what_is_carried(void)
{
	memcpy(hostile_at(&guest, CARRIED_AT), "a\0two", 6);
}

static void
what_a_call_carries_is_what_it_was_when_its_handler_first_asked(void **state)
{
	struct message m = call_of("read_values", 0);

	(void)state;
	m.function = MESSAGE_TERMS;
	carry(0, (struct call_terms){ .door = 0 }, "a\0one", 6);
	seen.meanwhile = write_over_what_is_carried;
	push(&m);
	assert_ended(0, 0);
	assert_string_equal(seen.first, "one");
	assert_string_equal(seen.second, "one");
}

static void
write_over_the_record(void)
{
	memcpy(hostile_at(&guest, RECORD_AT), "zzzz", 4);
}

/* One of our own user's is read where it lies; another user cannot change what a handler has read. */
static void
what_another_user_says_is_copied_in(void **state)
{
	struct message m = call_of("read_twice", 0);

	(void)state;
	seen.meanwhile = write_over_the_record;
	memset(hostile_at(&guest, RECORD_AT), 'x', LONG);
	hostile_put_outside(&guest, &m, RECORD_AT * ARENA_GRANULE, LONG);
	push(&m);
	assert_ended(0, 0);
	assert_memory_equal(seen.second, "zzzz", 4);
	guest.port->is_foreign = true;
	m = call_of("read_twice", 1);
	memset(hostile_at(&guest, RECORD_AT), 'x', LONG);
	hostile_put_outside(&guest, &m, RECORD_AT * ARENA_GRANULE, LONG);
	push(&m);
	assert_ended(1, 0);
	assert_memory_equal(seen.first, "xxxx", 4);
	assert_memory_equal(seen.second, "xxxx", 4);
}

/* What lies behind it is another's. */
static void
a_name_without_a_value_is_not_handed_down(void **state)
{
	struct message m = call_of("hand_down", 0);

	(void)state;
	m.function = MESSAGE_TERMS;
	carry(0, (struct call_terms){ .door = 0 }, "a\0behind", 9);
	hostile_memory(&guest)->terms[0].length = 2;
	push(&m);
	assert_ended(0, 0);
	assert_string_equal(seen.first, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_another_user_says_is_copied_in),
		TEST(a_deadline_ends_the_request_that_it_is_of_and_not_one_like_it),
		TEST(a_cancel_beyond_its_ports_slots_is_refused),
		TEST(a_replica_that_did_not_start_runs_nothing),
		TEST(no_handle_names_what_runs_tasks),
		TEST(a_post_to_a_stream_is_refused),
		TEST(a_call_that_says_a_handler_made_it_is_refused),
		TEST(arguments_lie_where_a_block_may_and_in_the_arena),
		TEST(a_struct_that_does_not_lie_well_in_a_message_is_an_error_of_its_call),
		TEST(arguments_that_are_written_over_name_nothing_of_others),
		TEST(a_result_without_a_place_is_an_error_of_its_call),
		TEST(a_result_may_be_said_to_lie_over_its_arguments),
		TEST(a_place_that_goes_while_its_buffer_is_filled_is_an_error_of_its_call),
		TEST(a_place_that_goes_before_an_answer_comes_is_an_error_of_its_call),
		TEST(a_result_that_is_no_result_is_not_read_by_reference),
		TEST(a_result_that_says_it_is_a_stream_is_no_argument),
		TEST(a_stream_in_less_than_a_ring_is_left_alone),
		TEST(a_stream_ends_with_an_error_or_none),
		TEST(an_error_has_no_more_text_than_there_is),
		TEST(whoever_waits_for_a_ring_is_a_worker_or_nobody),
		TEST(a_models_name_is_as_long_as_a_name_may_be),
		TEST(what_a_call_carries_is_what_it_was_when_its_handler_first_asked),
		TEST(a_name_without_a_value_is_not_handed_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
