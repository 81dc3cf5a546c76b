/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    What one thread tells another, and the end of a runtime, arrive with all that came before: edges
 *         B, A, T, F, N, K, I, at every place that relies on them.
 * Method  In tests/core/edge.h.
 */
#include "tests/core/edge.h"

#include "core/thread.h"
#include "shm/bell.h"

/* ---- B -------------------------------------------------------------------------------------- */

static struct letter {
	uint64_t sent;     /* W main before B   R worker after B */
	uint64_t answered; /* W worker before B   R main after B */
} letter;

static void
read_letter(struct worker *w, void *arg)
{
	struct letter *l = arg;

	(void)w;
	l->answered = l->sent + 1;
}

static void
edge_B_carries_a_letter_there_and_its_answer_back(void **state)
{
	pinion_runtime *rt = start(1, "spin");
	uint64_t rounds = scaled(2000), wrong = 0;

	(void)state;
	for (uint64_t i = 0; i < rounds; i++) {
		letter.sent = i;
		pinioni_worker_control(&rt->workers[0], read_letter, &letter);
		wrong += letter.answered != i + 1;
	}
	assert_int_equal(wrong, 0);
	pinion_stop(rt);
}

/* ---- F -------------------------------------------------------------------------------------- */

static struct {
	_Atomic uint64_t is_found, is_rung;
	uint64_t note; /* W owner before F   R ringer after F */
	int err;       /* W owner   R main after join */
} events;

static void *
sleep_in_an_event_loop(void *arg)
{
	pinion_port *port;
	int fd;

	events.err = pinion_port_open(arg, &port);
	if (events.err != 0)
		return NULL;
	(void)await_flag(&events.is_found); /* so that O says nothing of the note */
	events.note = 7;
	fd = pinion_port_fd(port);
	events.err = fd < 0 ? fd : pinion_port_arm(port) ? -EBUSY : 0;
	(void)await_flag(&events.is_rung);
	pinion_port_close(port);
	return NULL;
}

static void
edge_F_shows_the_descriptor_to_whoever_rings(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pinion_port *port = NULL;
	uint64_t seen;
	pthread_t t;

	(void)state;
	set_flag(&events.is_found, 0);
	set_flag(&events.is_rung, 0);
	assert_int_equal(pthread_create(&t, NULL, sleep_in_an_event_loop, rt), 0);
	while (port == NULL)
		port = runtime_port(rt, 1); /* 0 is the worker's */
	set_flag(&events.is_found, 1);
	while (!epoch_is_asleep(epoch_look(&port->memory.doors->epoch)))
		(void)sched_yield(); /* cannot fail on Linux */
	pinioni_port_ring(port);
	seen = events.note;
	set_flag(&events.is_rung, 1);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(events.err, 0);
	assert_int_equal(seen, 7);
	pinion_stop(rt);
}

/* ---- A -------------------------------------------------------------------------------------- */

enum {
	TURNS = 100 /* of each of two threads */
};

static _Atomic uint64_t turn;

/* Every other turn, beginning with `first`. */
static void
drive_every_other(pinion_runtime *rt, uint64_t first)
{
	for (uint64_t i = first; i < 2 * TURNS; i += 2) {
		while (flag(&turn) != i)
			(void)sched_yield(); /* cannot fail on Linux */
		(void)pinion_work(rt);       /* there may be nothing to do */
		set_flag(&turn, i + 1);
	}
}

static void *
drive_odd_turns(void *rt)
{
	drive_every_other(rt, 1);
	return NULL;
}

static void
edge_A_hands_a_worker_to_the_next_thread_that_drives_it(void **state)
{
	pinion_runtime *rt = start(PINION_CALLER_DRIVEN, NULL);
	pthread_t t;

	(void)state;
	set_flag(&turn, 0);
	assert_int_equal(pthread_create(&t, NULL, drive_odd_turns, rt), 0);
	drive_every_other(rt, 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	pinion_stop(rt);
}

/* ---- T -------------------------------------------------------------------------------------- */

static struct {
	_Atomic uint64_t generation, place; /* of the token, without any order */
	_Atomic uint64_t is_warm;
	int err; /* W answerer   R main after join */
} deferred;

static int
defer_call(pinion_request *req)
{
	pinion_token token;
	int err = pinion_defer(req, &token);

	if (err != 0)
		return err;
	set_flag(&deferred.place, (uint64_t)token.port << 32 | token.slot);
	set_flag(&deferred.generation, token.generation);
	return 0;
}

static void *
answer_deferred(void *arg)
{
	pinion_token token;
	int64_t one = 0;

	/* Opens this thread's port and shows it the worker's pool, so that T is left to show the request. */
	deferred.err =
	    pinion_result(pinion_task((pinion_runtime *)arg, answer_one, PINION_ARGS()), &one);
	set_flag(&deferred.is_warm, 1);
	token.generation = await_flag(&deferred.generation);
	token.port = (uint32_t)(await_flag(&deferred.place) >> 32);
	token.slot = (uint32_t)flag(&deferred.place);
	if (deferred.err == 0)
		deferred.err = pinion_token_reply(token, (int64_t)7);
	return NULL;
}

static void
edge_T_shows_a_deferred_request_to_whoever_has_its_token(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, answer_deferred, rt), 0);
	(void)await_flag(&deferred.is_warm);
	assert_int_equal(graph_i64(pinion_task(rt, defer_call, PINION_ARGS())), 7);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(deferred.err, 0);
	pinion_stop(rt);
}

/* ---- N, K, I -------------------------------------------------------------------------------- */

static struct {
	_Atomic uint64_t is_ready, is_over;
	uint64_t note; /* W main before N, K   R the other after them */
	uint64_t seen; /* W the other   R main after join */
} stopping;

static void
forget_stopping(void)
{
	set_flag(&stopping.is_ready, 0);
	set_flag(&stopping.is_over, 0);
	stopping.note = stopping.seen = 0;
}

static int
last_until_over(pinion_request *req)
{
	while (atomic_load(&stopping.is_over) == 0)
		(void)sched_yield(); /* cannot fail on Linux */
	return pinion_reply(req, (int64_t)1);
}

static void *
look_at_phase(void *arg)
{
	pinion_runtime *rt = arg;

	set_flag(&stopping.is_ready, 1);
	while (runtime_phase(rt) == RUNTIME_RUNNING)
		(void)sched_yield(); /* cannot fail on Linux */
	stopping.seen = stopping.note;
	atomic_store(&stopping.is_over, 1); /* back, in order: the runtime may end, and be freed */
	return NULL;
}

static void
edge_N_tells_everybody_that_the_runtime_stops(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pthread_t t;

	(void)state;
	forget_stopping();
	pinion_release(pinion_task(rt, last_until_over, PINION_ARGS()));
	assert_int_equal(pthread_create(&t, NULL, look_at_phase, rt), 0);
	(void)await_flag(&stopping.is_ready);
	stopping.note = 7;
	pinion_stop(rt);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(stopping.seen, 7);
}

/* Takes and gives back in its port until that is closed under it; touches no lock. */
static void *
use_until_closed(void *arg)
{
	pinion_runtime *rt = arg;
	pinion_port *port;
	void *loan;

	if (pinion_port_open(rt, &port) != 0)
		return NULL;
	set_flag(&stopping.is_ready, 1);
	while ((loan = pinion_loan(port, 64)) != NULL)
		pinion_loan_end(port, loan);
	stopping.seen = stopping.note;
	pinion_port_close(port);
	return NULL;
}

static void
edge_K_tells_a_caller_that_its_port_was_closed(void **state)
{
	pinion_runtime *rt = start(1, "adaptive");
	pthread_t t;

	(void)state;
	forget_stopping();
	assert_int_equal(pthread_create(&t, NULL, use_until_closed, rt), 0);
	(void)await_flag(&stopping.is_ready);
	stopping.note = 7;
	pinion_stop(rt);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(stopping.seen, 7);
}

enum {
	LATE = 32 /* responses given back last */
};

/* What is done after the last push, and before the port is closed, reaches the stopper by I alone. */
static void *
release_late(void *arg)
{
	pinion_runtime *rt = arg;
	pinion_response r[LATE];
	pinion_port *port;
	int64_t one = 0, all = 0;

	for (unsigned i = 0; i < LATE; i++) {
		r[i] = pinion_task(rt, answer_one, PINION_ARGS());
		all += pinion_result(r[i], &one) == 0 ? one : 0;
	}
	stopping.seen = (uint64_t)all; /* main compares it */
	port = pinion_port_mine(rt);
	for (unsigned i = 0; i < LATE; i++)
		pinion_release(r[i]);
	set_flag(&stopping.is_ready, 1);
	while (pinion_loan(port, 1 << 30) == NULL && flag(&stopping.is_over) == 0)
		(void)sched_yield(); /* refused either way: too large, or closed */
	return NULL;
}

static void
stop_over_a_late_release(void)
{
	pinion_runtime *rt = start(1, "adaptive");
	pthread_t t;

	forget_stopping();
	assert_int_equal(pthread_create(&t, NULL, release_late, rt), 0);
	(void)await_flag(&stopping.is_ready);
	pinion_stop(rt);
	set_flag(&stopping.is_over, 1);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(stopping.seen, LATE);
}

/* Some rounds: in some the stopper comes so late that something else has ordered it. */
static void
edge_I_tells_the_stopper_what_the_last_call_did(void **state)
{
	(void)state;
	for (int round = 0; round < 12; round++)
		stop_over_a_late_release();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edge_B_carries_a_letter_there_and_its_answer_back),
		cmocka_unit_test(edge_F_shows_the_descriptor_to_whoever_rings),
		cmocka_unit_test(edge_A_hands_a_worker_to_the_next_thread_that_drives_it),
		cmocka_unit_test(edge_T_shows_a_deferred_request_to_whoever_has_its_token),
		cmocka_unit_test(edge_N_tells_everybody_that_the_runtime_stops),
		cmocka_unit_test(edge_K_tells_a_caller_that_its_port_was_closed),
		cmocka_unit_test(edge_I_tells_the_stopper_what_the_last_call_did),
	};

	return cmocka_run_group_tests_name("edges of threads", tests, NULL, NULL);
}
