/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Ports open and close while calls fly, and nothing of them is left; what runs out is refused by name
 *         and comes back; a port serves an event loop.
 * Method  Threads that come, call and go beside one that never stops; limits so small that they are reached.
 */
#include "tests/core/graph.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

static pinion_runtime *rt;
static pinion_handle worker;

static int
start(void **state)
{
	(void)state;
	if (pinion_start(&rt, .workers = 2) != 0)
		return -1;
	return pinion_run(rt, graph_build_workers, &worker);
}

static int
start_small(void **state)
{
	(void)state;
	if (pinion_start(&rt, .workers = 1, .slots = 64, .lane_cells = 2, .arena_bytes = 1 << 21) !=
	    0)
		return -1;
	return pinion_run(rt, graph_build_workers, &worker);
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* ---- coming and going ----------------------------------------------------------------------- */

static _Atomic int going;

static void *
call_on_and_on(void *arg)
{
	intptr_t wrong = 0;

	(void)arg;
	for (int64_t i = 0; atomic_load(&going) != 0; i++) {
		pinion_response a = pinion_call(worker, PINION_ARGS(i));
		pinion_response b = pinion_call(worker, PINION_ARGS(a));
		int64_t x = 0;

		wrong += pinion_result(b, &x) != 0 || x != i + 2;
		pinion_release(a);
		pinion_release(b);
	}
	return (void *)wrong;
}

/* Leaves with calls outstanding and responses not released. */
static void *
call_and_go(void *arg)
{
	pinion_handle nap = pinion_method_of(worker, "nap");
	intptr_t wrong = 0;

	(void)arg;
	for (int64_t i = 0; i < 8; i++) {
		pinion_response r = pinion_call(worker, PINION_ARGS(i));
		int64_t x = 0;

		wrong += pinion_response_error(pinion_call(nap, PINION_ARGS(50000))).code != 0;
		wrong += pinion_result(r, &x) != 0 || x != i + 1;
	}
	return (void *)wrong;
}

static void
wait_until_gone(unsigned ports)
{
	pinion_census c;

	do {
		pinion_census_take(rt, &c);
	} while (c.ports != ports || c.custody != 0 || c.fibers != 0);
}

static void
behaviour_21_ports_come_and_go_under_load(void **state)
{
	pthread_t steady, t[4];
	void *wrong;

	(void)state;
	atomic_store(&going, 1);
	assert_int_equal(pthread_create(&steady, NULL, call_on_and_on, NULL), 0);
	for (uint64_t round = 0; round < scaled(200); round++) {
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&t[i], NULL, call_and_go, NULL), 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(t[i], &wrong);
			assert_null(wrong);
		}
	}
	atomic_store(&going, 0);
	pthread_join(steady, &wrong);
	assert_null(wrong);
	wait_until_gone(0);
	graph_assert_clean(rt, 0);
}

static void
an_explicit_port_is_its_threads_until_closed(void **state)
{
	pinion_port *port;
	pinion_port_status s;

	(void)state;
	for (uint64_t i = 0; i < scaled(200); i++) {
		int64_t x;

		assert_int_equal(pinion_port_open(rt, &port), 0);
		assert_int_equal(pinion_port_warm(port), 0);
		pinion_response r = pinion_call_on(port, worker, PINION_ARGS(1));

		assert_int_equal(pinion_result_on(port, r, &x), 0);
		assert_int_equal(x, 2);
		pinion_port_look(port, &s);
		assert_int_equal(s.slots_taken, 1);
		pinion_release_on(port, r);
		pinion_port_look(port, &s);
		assert_int_equal(s.slots_taken, 0);
		pinion_port_close(port);
	}
	wait_until_gone(0);
}

/* A port has two. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void
too_many_ports_are_refused_and_come_back(void **state)
{
	static pinion_port *ports[512];
	unsigned count = 0;
	int err;

	(void)state;
	raise_descriptors();
	while ((err = pinion_port_open(rt, &ports[count])) == 0)
		count++;
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(count, 512 - 1); /* the worker has one */
	pinion_port_close(ports[--count]);
	wait_until_gone(count);
	assert_int_equal(pinion_port_open(rt, &ports[count++]), 0);
	while (count > 0)
		pinion_port_close(ports[--count]);
	wait_until_gone(0);
}

/* ---- running out ---------------------------------------------------------------------------- */

static void
refused(pinion_response r, const char *why)
{
	pinion_error e = pinion_response_error(r);

	assert_int_equal(e.code, -ENOBUFS);
	assert_non_null(strstr(e.text.data, why));
	assert_int_equal(pinion_result(r, &(int64_t){ 0 }), -ENOBUFS);
	pinion_release(r);
}

/* One worker, held up by a handler that spins, takes nothing out of its lane of two. */
static _Atomic int held, hold;

static int
hold_up(pinion_request *req)
{
	atomic_store(&held, 1);
	while (atomic_load(&hold) != 0)
		continue;
	return pinion_reply(req, (int64_t)1);
}

static void
a_full_lane_is_refused_and_recovers(void **state)
{
	pinion_response r[3];

	(void)state;
	atomic_store(&held, 0);
	atomic_store(&hold, 1);
	r[0] = pinion_task(rt, hold_up, PINION_ARGS());
	while (atomic_load(&held) == 0)
		continue;
	r[1] = pinion_call(worker, PINION_ARGS(1));
	r[2] = pinion_call(worker, PINION_ARGS(2));
	refused(pinion_call(worker, PINION_ARGS(3)), "lane");
	assert_int_equal(pinion_post(worker, PINION_ARGS(3)), -ENOBUFS);
	atomic_store(&hold, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), i + 1);
	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(3))), 4);
	graph_assert_clean(rt, 1);
}

static void
a_used_up_arena_is_refused_and_recovers(void **state)
{
	pinion_handle fill = pinion_method_of(worker, "fill");
	pinion_response r[2];
	unsigned count = 0;

	(void)state;
	for (;;) { /* a MiB each, of two */
		pinion_response x = pinion_call(fill, PINION_ARGS(100000));

		if (pinion_response_error(x).code != 0) {
			refused(x, "arena");
			break;
		}
		assert_true(count < 2);
		r[count++] = x;
	}
	assert_true(count != 0);
	while (count > 0) {
		pinion_bytes b;

		assert_int_equal(pinion_result(r[--count], &b), 0);
		assert_int_equal(b.len, 100000);
		pinion_release(r[count]);
	}
	r[0] = pinion_call(fill, PINION_ARGS(100000));
	assert_int_equal(pinion_result(r[0], &(pinion_bytes){ .len = 0 }), 0);
	pinion_release(r[0]);
	graph_assert_clean(rt, 1);
}

/* ---- an event loop -------------------------------------------------------------------------- */

static void
an_eventfd_wakes_the_loop_for_every_call(void **state)
{
	pinion_port *port;
	pinion_finished done[4];
	pinion_handle nap = pinion_method_of(worker, "nap");
	uint64_t next = 0, ended = 0, n = scaled(20000), random = seed() | 1;

	(void)state;
	assert_int_equal(pinion_port_open(rt, &port), 0);
	struct pollfd p = { .fd = pinion_port_fd(port), .events = POLLIN };

	assert_true(p.fd >= 0);
	while (ended < n) {
		while (next < n && next - ended < 4) {
			assert_int_not_equal(
			    pinion_call_tagged(port, nap,
				PINION_ARGS((int64_t)(next_random(&random) % 20000)), next)
				.slot,
			    UINT32_MAX);
			next++;
		}
		if (!pinion_port_arm(port))
			assert_int_equal(
			    poll(&p, 1, -1), 1); /* a lost wake-up would never return */
		unsigned count = pinion_harvest(port, done, 4);

		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(
			    pinion_result_on(port, done[i].response, &(int64_t){ 0 }), 0);
			pinion_release_on(port, done[i].response);
		}
		ended += count;
	}
	pinion_port_close(port);
	wait_until_gone(0);
	graph_assert_clean(rt, 0);
}

static void
wait_any_says_which(void **state)
{
	pinion_handle defer = pinion_method_of(worker, "defer");
	pinion_response r[3];
	pinion_token token[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		atomic_store(&graph_deferred, 0);
		r[i] = pinion_call(defer, PINION_ARGS());
		while (atomic_load(&graph_deferred) == 0)
			continue;
		token[i] = graph_token;
	}
	assert_int_equal(pinion_wait_any(r, 3, 0), -EAGAIN);
	assert_int_equal(pinion_wait_any(r, 3, 1000000), -EAGAIN);
	assert_int_equal(pinion_token_reply(token[1], 5), 0);
	assert_int_equal(pinion_wait_any(r, 3, -1), 1);
	assert_int_equal(pinion_wait_any(r, 0, -1), -EINVAL);
	assert_int_equal(pinion_token_reply(token[0], 5), 0);
	assert_int_equal(pinion_token_reply(token[2], 5), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(graph_i64(r[i]), 5);
	assert_int_equal(pinion_wait_any(r, 3, -1), -ESTALE);
	graph_assert_clean(rt, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    behaviour_21_ports_come_and_go_under_load, start, stop),
		cmocka_unit_test_setup_teardown(
		    an_explicit_port_is_its_threads_until_closed, start, stop),
		cmocka_unit_test_setup_teardown(
		    too_many_ports_are_refused_and_come_back, start_small, stop),
		cmocka_unit_test_setup_teardown(
		    a_full_lane_is_refused_and_recovers, start_small, stop),
		cmocka_unit_test_setup_teardown(
		    a_used_up_arena_is_refused_and_recovers, start_small, stop),
		cmocka_unit_test_setup_teardown(
		    an_eventfd_wakes_the_loop_for_every_call, start, stop),
		cmocka_unit_test_setup_teardown(wait_any_says_which, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
