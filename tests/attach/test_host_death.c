/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    When the process of an isolated replica dies, at any moment: what it had started fails, what it had not goes on, in
 *         another or in the one that is started in its place; nobody waits in vain, nothing runs twice, nothing is left.
 * Method  This program once more as those processes, which are killed while threads and other processes call; a ledger of each
 *         call, shared by all, says how often its handler began.
 */
#include "tests/attach/belongings.h"
#include "tests/attach/hosted_load.h"

enum {
	CALLERS = 2
};

/* ---- one death -------------------------------------------------------------------------------- */

static void
what_had_started_fails_and_it_serves_again(void **state)
{
	pinion_handle work_of = handle_of("one", "work");
	pid_t before = (pid_t)number(pinion_call(handle_of("one", "process"), PINION_ARGS()));
	pinion_response r = pinion_call(handle_of("one", "crash"), PINION_ARGS());
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EOWNERDEAD);
	e = pinion_response_error(r);
	assert_true(pinion_str_is(e.deployment, "one"));
	pinion_release(r);
	for (int i = 0; i < 10; i++)
		assert_int_equal(number(pinion_call(work_of, PINION_ARGS(i, i))), i + 1);
	assert_int_not_equal(
	    number(pinion_call(handle_of("one", "process"), PINION_ARGS())), before);
}

static void
what_had_not_started_goes_on(void **state)
{
	pid_t victim = (pid_t)number(pinion_call(handle_of("one", "process"), PINION_ARGS()));
	pinion_response first = pinion_call(handle_of("one", "long"), PINION_ARGS(0, 0));
	pinion_response rest[20];
	int64_t x;

	(void)state;
	for (int i = 0; i < 20; i++)
		rest[i] = pinion_call(handle_of("one", "work"), PINION_ARGS(i + 1, i));
	while (atomic_load(&ledger[0]) == 0)
		(void)sched_yield();
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(pinion_result(first, &x), -EOWNERDEAD);
	pinion_release(first);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(number(rest[i]), i + 1);
		assert_int_equal(atomic_load(&ledger[i + 1]), 1);
	}
	assert_int_equal(atomic_load(&ledger[0]), 1);
}

static void
a_chain_behind_it_is_told(void **state)
{
	pinion_response a = pinion_call(handle_of("one", "crash"), PINION_ARGS());
	pinion_response b = pinion_call(handle_of("here", "work"), PINION_ARGS(1, a));
	pinion_response c = pinion_call(handle_of("two", "work"), PINION_ARGS(2, b));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(c, &x), -EOWNERDEAD);
	assert_true(pinion_str_is(pinion_response_error(c).deployment, "one"));
	assert_int_equal(atomic_load(&ledger[1]), 0);
	assert_int_equal(atomic_load(&ledger[2]), 0);
	pinion_release(a);
	pinion_release(b);
	pinion_release(c);
}

static void
a_stream_ends_behind_its_items(void **state)
{
	pinion_stream s = pinion_call_stream(handle_of("one", "count_and_crash"), PINION_ARGS());
	int64_t x = 0;

	(void)state;
	assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(x, 1);
	assert_int_equal(pinion_next(s, &x), -EOWNERDEAD);
	pinion_stream_close(s);
}

/* Once: one that ends each process that runs it would end all. */
static void
what_is_idempotent_is_begun_once_more(void **state)
{
	pinion_handle to = handle_of("one", "crash_once");
	pinion_response r = pinion_call(to, PINION_ARGS(1, 1));
	int64_t x;

	(void)state;
	assert_int_equal(number(r), 7);
	assert_int_equal(atomic_load(&ledger[1]), 2);
	r = pinion_call(to, PINION_ARGS(2, 100));
	assert_int_equal(pinion_result(r, &x), -EOWNERDEAD);
	assert_int_equal(atomic_load(&ledger[2]), 2);
	pinion_release(r);
}

static void
a_crash_loop_fails_with_its_reason(void **state)
{
	pinion_response r;
	int64_t x;
	int err = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		r = pinion_call(handle_of("one", "crash"), PINION_ARGS());
		err = pinion_result(r, &x);
		assert_int_equal(err, -EOWNERDEAD);
		if (memmem(pinion_response_error(r).text.data, pinion_response_error(r).text.len,
			"times", 5) != NULL)
			break;
		pinion_release(r);
		r = pinion_call(handle_of("here", "work"), PINION_ARGS(1, 1));
		assert_int_equal(pinion_result(r, &x), 0);
		pinion_release(r);
		r = (pinion_response){ 0 };
	}
	assert_non_null(memmem(pinion_response_error(r).text.data,
	    pinion_response_error(r).text.len, "answered nothing", 16));
	pinion_release(r);
	assert_int_equal(number(pinion_call(handle_of("two", "work"), PINION_ARGS(3, 1))), 2);
}

static void
start_load(pthread_t threads[CALLERS + 1])
{
	atomic_store(&is_over, false);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_on, rt), 0);
	assert_int_equal(pthread_create(&threads[CALLERS], NULL, stream_on, rt), 0);
}

static void
end_load(pthread_t threads[CALLERS + 1])
{
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < CALLERS + 1; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Now at once again, now when more has been called. */
static void
call_some(uint64_t turn)
{
	for (unsigned k = 0; k < turn % 5 * 20; k++)
		(void)number(pinion_call(handle_of("here", "work"), PINION_ARGS(INT64_C(-1), 0)));
}

static const char *const deployments[] = { "one", "two", "there" };

/* Beside threads of the runtime's, and a process that is killed, too. */
static void
kills_lose_and_double_nothing(void **state)
{
	uint64_t kills = scaled(5000);
	pthread_t threads[CALLERS + 1];
	struct belongings before;
	pid_t client;
	long memory = 0;

	(void)state;
	call_some(4);
	before = belongings();
	start_load(threads);
	client = guest_start("client", own_name);
	for (uint64_t i = 0; i < kills; i++) {
		pid_t victim = victim_of(deployments[i % 3]);

		if (victim != 0)
			(void)kill(victim, SIGKILL);
		if (i % 16 == 0) {
			assert_int_equal(kill(client, SIGKILL), 0);
			assert_int_equal(guest_wait(client), -SIGKILL);
			client = guest_start("client", own_name);
		}
		if (i == kills / 10)
			memory = resident();
		if (i % 1000 == 999)
			print_message("%llu of %llu killed\n", (unsigned long long)i + 1,
			    (unsigned long long)kills);
		call_some(i);
	}
	assert_int_equal(kill(client, SIGKILL), 0);
	assert_int_equal(guest_wait(client), -SIGKILL);
	end_load(threads);
	print_message("%llu answers, %llu ended with their process; %ld kB more\n",
	    (unsigned long long)atomic_load(&right), (unsigned long long)atomic_load(&dead),
	    resident() - memory);
	assert_nothing_left();
	for (unsigned i = 0; i < 3; i++) /* all that was killed last serves again */
		while (victim_of(deployments[i]) == 0)
			continue;
	while (!is_same(before, belongings()))
		(void)sched_yield(); /* when it has been buried */
}

static void
stops_are_no_deaths(void **state)
{
	uint64_t stops = scaled(2000);
	pthread_t threads[CALLERS + 1];
	uint64_t dead_before = atomic_load(&dead);

	(void)state;
	start_load(threads);
	for (uint64_t i = 0; i < stops; i++) {
		pid_t victim = victim_of(deployments[i % 3]);

		assert_int_not_equal(victim, 0);
		assert_int_equal(kill(victim, SIGSTOP), 0);
		call_some(i);
		assert_int_equal(kill(victim, SIGCONT), 0);
	}
	end_load(threads);
	assert_int_equal(atomic_load(&dead), dead_before);
	assert_nothing_left();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_had_started_fails_and_it_serves_again, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    what_had_not_started_goes_on, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    a_chain_behind_it_is_told, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    a_stream_ends_behind_its_items, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    what_is_idempotent_is_begun_once_more, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    a_crash_loop_fails_with_its_reason, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(
		    kills_lose_and_double_nothing, hosted_start, hosted_stop),
		cmocka_unit_test_setup_teardown(stops_are_no_deaths, hosted_start, hosted_stop),
	};

	static const struct role roles[] = { { "client", hosted_play_client }, { NULL, NULL } };
	int code;

	if (argc == 6)
		return hosted_serve(argv);
	code = guest_main(argc, argv, roles);
	if (code >= 0)
		return code;
	return cmocka_run_group_tests(tests, hosted_make, hosted_remove);
}
