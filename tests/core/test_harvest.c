/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Tagged calls are told of once, and only while their response is held.
 * Method  A caller-driven runtime, so that one thread decides when a call ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/pinion.h"

static pinion_runtime *rt;
static pinion_handle echoes, forwards;
static pinion_port *port;

static int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment echoer = {
	.name = "Echoer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

/* With a text where a number is wanted. */
static int
forward_wrongly(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_forward(req, echoes, PINION_ARGS("text"));
}

static const pinion_deployment forwarder = {
	.name = "Forwarder",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, forward_wrongly, .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_echoer(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &echoer, PINION_ARGS());
}

static pinion_node *
build_forwarder(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &forwarder, PINION_ARGS());
}

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .slots = 8), 0);
	assert_int_equal(pinion_run(rt, build_echoer, &echoes, .name = "echo"), 0);
	assert_int_equal(pinion_run(rt, build_forwarder, &forwards, .name = "forward"), 0);
	assert_int_equal(pinion_port_open(rt, &port), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pinion_port_close(port);
	pinion_stop(rt);
	return 0;
}

static pinion_response
call(int64_t x)
{
	return pinion_call_tagged(port, echoes, PINION_ARGS(x), (uint64_t)x);
}

static void
work(void)
{
	while (pinion_work(rt) != 0)
		continue;
}

static void
a_call_is_harvested_once(void **state)
{
	pinion_finished finished[4];

	(void)state;
	(void)call(1); /* found by their tags */
	(void)call(2);
	assert_int_equal(pinion_harvest(port, finished, 4), 0);
	work();
	assert_int_equal(pinion_harvest(port, finished, 1), 1);
	assert_int_equal(finished[0].tag, 1);
	assert_int_equal(pinion_harvest(port, finished + 1, 3), 1);
	assert_int_equal(finished[1].tag, 2);
	assert_int_equal(pinion_harvest(port, finished + 2, 2), 0);
	pinion_release(finished[0].response);
	pinion_release(finished[1].response);
}

static void
a_response_released_before_its_call_ended_is_not_harvested(void **state)
{
	pinion_finished finished[4];
	pinion_response kept = call(1), released = call(2);

	(void)state;
	pinion_release(released);
	work();
	assert_int_equal(pinion_harvest(port, finished, 4), 1);
	assert_int_equal(finished[0].tag, 1);
	pinion_release(kept);
}

static void
a_response_released_after_its_call_ended_is_not_harvested(void **state)
{
	pinion_finished finished[4];
	pinion_response first = call(1), second = call(2), third = call(3);

	(void)state;
	work();
	assert_int_equal(pinion_harvest(port, finished, 1), 1); /* all three are in order now */
	assert_int_equal(finished[0].tag, 1);
	pinion_release(second);
	pinion_release(first);
	first = call(4); /* in a slot of those two */
	second = call(5);
	assert_int_equal(pinion_harvest(port, finished, 4), 1);
	assert_int_equal(finished[0].tag, 3);
	work();
	assert_int_equal(pinion_harvest(port, finished, 4), 2);
	assert_int_equal(finished[0].tag, 4);
	assert_int_equal(finished[1].tag, 5);
	pinion_release(first);
	pinion_release(second);
	pinion_release(third);
}

static void
what_a_handler_forwards_wrongly_is_its_own_fault(void **state)
{
	pinion_finished finished[1];
	pinion_response r = pinion_call_tagged(port, forwards, PINION_ARGS(), 7);
	pinion_error error;

	(void)state;
	work();
	assert_int_equal(pinion_harvest(port, finished, 1), 1);
	error = pinion_response_error(r);
	assert_int_equal(error.code, -EINVAL);
	assert_int_equal(error.origin, PINION_ORIGIN_HANDLER);
	pinion_release(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_harvested_once),
		cmocka_unit_test(a_response_released_before_its_call_ended_is_not_harvested),
		cmocka_unit_test(a_response_released_after_its_call_ended_is_not_harvested),
		cmocka_unit_test(what_a_handler_forwards_wrongly_is_its_own_fault),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
