/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A worker that can get no more memory loses nothing: what it cannot take waits in its lane, what it cannot
 *         keep ends with -ENOMEM, and it goes on when there is memory again.
 * Method  Linked with mmap behind a door. A handler on worker 0 closes it and takes all that its heap still has;
 *         when its request has ended, all is there again.
 */
#include <sched.h>
#include <sys/mman.h>

#include "core/runtime.h"
#include "tests/core/graph.h"

enum {
	SLOTS = 8192,
	LANE_CELLS = 256,
	POOL_CHUNK = 64 /* core/pool.c takes as many requests at once */
};

void *__real_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset);

static _Atomic bool is_denied;

void *
__wrap_mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (atomic_load(&is_denied)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(at, length, protection, flags, fd, offset);
}

static pinion_runtime *rt;
static pinion_handle doors[2]; /* of deployments on worker 0 and 1 */
static pinion_token tokens[SLOTS];
static _Atomic uint32_t token_count;
static _Atomic bool may_go_on;

static void
use_up(pinion_request *req)
{
	atomic_store(&is_denied, true);
	for (size_t size = 1 << 20; size >= 16; size /= 2)
		while (pinion_alloc(req, size - 64 > size ? 16 : size) != NULL)
			continue;
}

static int
defer_one(void *replica, pinion_request *req)
{
	uint32_t at = atomic_load(&token_count); /* one worker only defers */
	int err = pinion_defer(req, &tokens[at]);

	(void)replica;
	atomic_store(&token_count, at + 1);
	return err;
}

static int
hold(void *replica, pinion_request *req)
{
	(void)replica;
	while (!atomic_load(&may_go_on))
		(void)sched_yield(); /* cannot fail on Linux */
	return pinion_reply(req, (int64_t)1);
}

/* Holds all memory while its worker goes on. Suspended once before, so that there is a stack to go on with. */
static int
starve(void *replica, pinion_request *req)
{
	int err = pinion_sleep(req, 1000000);

	(void)replica;
	use_up(req);
	while (err == 0 && !atomic_load(&may_go_on))
		err = pinion_sleep(req, 100000);
	return err != 0 ? err : pinion_reply(req, (int64_t)1);
}

/* Calls, without memory, until one fails. Returns how many did not. */
static int
call_until_refused(void *replica, pinion_request *req)
{
	pinion_handle to = pinion_arg_handle(req, 0), self = pinion_arg_handle(req, 1);
	int64_t sent = 0, which;
	int err = -EAGAIN;

	(void)replica;
	/* Once with memory, so that what a worker keeps for a caller is there. */
	if (pinion_result(pinion_call(pinion_method_of(self, "which"), PINION_ARGS()), &which) != 0)
		return pinion_fail(req, -EPROTO, "could not be called");
	use_up(req);
	while (err == -EAGAIN && sent < SLOTS / 2) {
		pinion_response r = pinion_call(to, PINION_ARGS());

		err = pinion_result_within(r, 0, &which);
		sent += err == -EAGAIN;
		if (err != -EAGAIN &&
		    strstr(pinion_response_error(r).text.data, "no memory") == NULL)
			err = -EPROTO;
		if (err == -EAGAIN)
			continue; /* it goes with this request */
		pinion_release(r);
	}
	atomic_store(&is_denied, false);
	atomic_store(&may_go_on, true);
	return err == -ENOMEM ? pinion_reply(req, sent) : pinion_fail(req, err, "not as expected");
}

static const pinion_deployment door = {
	.name = "Door",
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, defer_one, .returns = PINION_RETURNS_I64),
		PINION_METHOD("hold", hold, .returns = PINION_RETURNS_I64),
		PINION_METHOD("starve", starve, .returns = PINION_RETURNS_I64),
		PINION_METHOD("call_until_refused", call_until_refused,
		    .params = PINION_PARAMS(PINION_HANDLE("to"), PINION_HANDLE("self")),
		    .returns = PINION_RETURNS_I64),
		PINION_METHOD("which", graph_which, .returns = PINION_RETURNS_I64)),
	.replica_size = sizeof(struct graph_state),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &door, PINION_ARGS(), .max_ongoing_requests = SLOTS);
}

static int64_t
result_of(pinion_response r)
{
	int64_t x = -1;
	int err = pinion_result(r, &x);

	if (err != 0)
		print_message("%d: %s\n", err, pinion_response_error(r).text.data);
	pinion_release(r);
	return err != 0 ? err : x;
}

/* A replica on each worker; the runtime says where. */
static void
start(int workers)
{
	bool have[2] = { false, false };

	atomic_store(&is_denied, false); /* as a failed test may leave it */
	atomic_store(&token_count, 0);
	atomic_store(&may_go_on, false);
	assert_int_equal(pinion_start(&rt, .workers = workers, .slots = SLOTS,
			     .lane_cells = LANE_CELLS, .no_pin = true),
	    0);
	for (int i = 0; i < 8 && !(have[0] && (workers == 1 || have[1])); i++) {
		char name[8] = { 'a', (char)('0' + i), '\0' };
		pinion_handle h;
		int64_t w;

		assert_int_equal(pinion_run(rt, build, &h, .name = name), 0);
		w = result_of(pinion_call(pinion_method_of(h, "which"), PINION_ARGS())) / 1000000;
		have[w] = true;
		doors[w] = h;
	}
	assert_true(have[0] && (workers == 1 || have[1]));
}

static void
answer_all(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		while (atomic_load(&token_count) <= i)
			(void)sched_yield(); /* cannot fail on Linux */
		assert_int_equal(pinion_token_reply(tokens[i], (int64_t)i), 0);
	}
}

static uint64_t
failed_calls(void)
{
	pinion_worker_status status;
	uint64_t failed = 0;
	unsigned workers = pinion_worker_look(rt, 0, NULL);

	for (unsigned i = 0; i < workers; i++) {
		(void)pinion_worker_look(rt, i, &status);
		failed += status.failed;
	}
	return failed;
}

/* Calls that a handler sent and gave back. On a busy machine their worker may lack memory for a second: then they fail. */
static void
answer_all_sent(uint32_t sent, uint64_t failed_before)
{
	uint32_t answered = 0;
	pinion_census c;

	do {
		for (; answered < atomic_load(&token_count); answered++)
			assert_int_equal(
			    pinion_token_reply(tokens[answered], (int64_t)answered), 0);
		pinion_census_take(rt, &c);
	} while (c.slots != 0);
	assert_in_range(answered, sent - (failed_calls() - failed_before), sent);
}

/* From r[at] on. What could not be taken has failed, the others have the numbers of their tokens. Returns how many
 * failed. */
static uint32_t
collect(const pinion_response *r, uint32_t at, uint32_t count)
{
	uint32_t answered = at, failed = 0;

	while (at < count) {
		int64_t x;
		int err;

		for (; answered < atomic_load(&token_count); answered++)
			assert_int_equal(
			    pinion_token_reply(tokens[answered], (int64_t)answered), 0);
		err = pinion_result_within(r[at], 1000000, &x);
		if (err == -EAGAIN)
			continue;
		assert_true(err == -ENOMEM || (err == 0 && x == (int64_t)(at - failed)));
		failed += err != 0;
		pinion_release(r[at++]);
	}
	return failed;
}

/* Nothing is left, once the last answers are taken. */
static void
stop(void)
{
	pinion_census c;

	do
		pinion_census_take(rt, &c);
	while (c.slots + c.custody + c.fibers + c.borrowed != 0);
	pinion_stop(rt);
}

static void
what_cannot_be_taken_waits_in_its_lane(void **state)
{
	static pinion_response r[SLOTS];
	pinion_response starving;
	uint32_t count = 0, failed;
	uint64_t begun;
	bool is_late = false;

	(void)state;
	start(1);
	starving = pinion_call(pinion_method_of(doors[0], "starve"), PINION_ARGS());
	while (!atomic_load(&is_denied))
		(void)sched_yield(); /* cannot fail on Linux */
	/* Until the lane is full and stays so; or, on a busy machine, longer than its worker lets it wait. */
	begun = clock_ticks();
	for (unsigned refused = 0; refused < 100 && !is_late;) {
		int code;

		r[count] = pinion_call(doors[0], PINION_ARGS());
		code = pinion_response_error(r[count]).code;
		is_late = clock_ticks() - begun > STARVED_MS * 1000 * rt->ticks_us;
		if (code == 0 || (code == -ENOMEM && is_late)) {
			assert_in_range(count, 0, SLOTS - 2);
			count++;
			continue;
		}
		assert_int_equal(code, -ENOBUFS);
		/* Once it has taken what it can. */
		refused += atomic_load(&token_count) > POOL_CHUNK / 2;
		(void)sched_yield(); /* cannot fail on Linux */
	}
	if (!is_late)
		assert_in_range(count, LANE_CELLS + POOL_CHUNK / 2, LANE_CELLS + 4 * POOL_CHUNK);
	atomic_store(&is_denied, false);
	is_late = clock_ticks() - begun > STARVED_MS * 1000 * rt->ticks_us;
	atomic_store(&may_go_on, true);
	assert_int_equal(result_of(starving), 1);
	failed = collect(r, 0, count);
	assert_true(failed == 0 || is_late);
	stop();
}

/* They would free memory, and the call in front of them cannot be taken. */
static void
answers_behind_a_call_that_cannot_be_taken_arrive(void **state)
{
	static pinion_response r[SLOTS];
	pinion_response starving;
	uint32_t count = 0, deferred;

	(void)state;
	start(1);
	starving = pinion_call(pinion_method_of(doors[0], "starve"), PINION_ARGS());
	while (!atomic_load(&is_denied))
		(void)sched_yield(); /* cannot fail on Linux */
	/* More than there is room for, less than the lane has. */
	for (; count < LANE_CELLS - POOL_CHUNK; count++)
		r[count] = pinion_call(doors[0], PINION_ARGS());
	deferred = POOL_CHUNK / 2;
	answer_all(deferred);
	for (uint32_t i = 0; i < deferred; i++)
		assert_int_equal(result_of(r[i]), i);
	atomic_store(&is_denied, false);
	atomic_store(&may_go_on, true);
	assert_int_equal(result_of(starving), 1);
	(void)collect(r, deferred, count);
	stop();
}

static void
a_local_call_without_memory_fails(void **state)
{
	int64_t sent;
	uint64_t failed;
	pinion_response r;

	(void)state;
	start(1);
	failed = failed_calls();
	r = pinion_call(
	    pinion_method_of(doors[0], "call_until_refused"), PINION_ARGS(doors[0], doors[0]));
	sent = result_of(r);
	assert_in_range(sent, POOL_CHUNK / 2, SLOTS / 2 - 1);
	answer_all_sent((uint32_t)sent, failed);
	stop();
}

static void
a_call_that_no_outbox_can_keep_fails(void **state)
{
	int64_t sent;
	uint64_t failed;
	pinion_response held, r;

	(void)state;
	start(2);
	failed = failed_calls();
	held = pinion_call(pinion_method_of(doors[1], "hold"), PINION_ARGS());
	r = pinion_call(
	    pinion_method_of(doors[0], "call_until_refused"), PINION_ARGS(doors[1], doors[0]));
	sent = result_of(r);
	assert_in_range(sent, LANE_CELLS, SLOTS / 2 - 1);
	assert_int_equal(result_of(held), 1);
	answer_all_sent((uint32_t)sent, failed);
	stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_taken_waits_in_its_lane),
		cmocka_unit_test(answers_behind_a_call_that_cannot_be_taken_arrive),
		cmocka_unit_test(a_local_call_without_memory_fails),
		cmocka_unit_test(a_call_that_no_outbox_can_keep_fails),
	};

	return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
