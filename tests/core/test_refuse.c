/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Bad input gets an error that names the culprit, and loses nothing.
 * Method  One wrong thing a test; code and text are checked, then a right call, then the census.
 */
#include "tests/core/graph.h"

/* How a text about the worker's arguments begins. */
#define WHOSE "Worker." PINION_CALL ": "

static pinion_runtime *rt;
static pinion_handle worker;

static int
start(void **state)
{
	pinion_diag diag;

	(void)state;
	assert_int_equal(
	    pinion_start(&rt, .workers = 1, .slots = 8, .lane_cells = 16, .diag = &diag), 0);
	assert_int_equal(pinion_run(rt, graph_build_single, &worker, .diag = &diag), 0);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

static void
assert_error(pinion_response r, int code, const char *part)
{
	int err = pinion_result_into(r, (pinion_into){ .kind = PINION_KIND_NONE });
	pinion_error e = pinion_response_error(r);
	char text[300];

	(void)snprintf(text, sizeof text, "%.*s", PINION_STR_FMT(e.text));
	if (err != code || strstr(text, part) == NULL)
		print_message("got %d: %s\n", err, text);
	assert_int_equal(err, code);
	assert_int_equal(e.code, code);
	assert_non_null(strstr(text, part));
	pinion_release(r);
	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
	graph_assert_clean(rt, 1);
}

static void
an_unknown_method_is_named_with_those_there_are(void **state)
{
	(void)state;
	assert_error(
	    pinion_call(pinion_method_of(worker, "nope"), PINION_ARGS()), -EINVAL, "\"nope\"");
	assert_error(pinion_call(pinion_method_of(worker, "nope"), PINION_ARGS()), -EINVAL, "echo");
}

static void
wrong_arguments_are_named(void **state)
{
	(void)state;
	assert_error(
	    pinion_call(worker, PINION_ARGS(1, 2)), -EINVAL, "takes 1 arguments and got 2");
	assert_error(pinion_call(worker, PINION_ARGS()), -EINVAL, "\"x\"");
	assert_error(pinion_call(worker, PINION_ARGS("text")), -EINVAL, "wants i64 and got str");
	assert_error(
	    pinion_call(worker, PINION_ARGS(PINION_NAMED("y", 1))), -EINVAL, "no parameter \"y\"");
	assert_error(pinion_call(worker, PINION_ARGS(UINT64_MAX)), -ERANGE,
	    "\"x\" wants i64: 18446744073709551615 does not fit");
	assert_error(
	    pinion_call(pinion_method_of(worker, "echo"), PINION_ARGS(((pinion_str){ NULL, 5 }))),
	    -EINVAL, "parameter \"text\" is NULL with a length of 5");
}

static void
an_unknown_name_is_named_also_when_there_are_too_many(void **state)
{
	(void)state;
	assert_error(pinion_call(worker, PINION_ARGS(PINION_NAMED("x", 1), PINION_NAMED("y", 1))),
	    -EINVAL, "no parameter \"y\"");
}

static void
all_that_is_wrong_with_arguments_begins_with_whose_they_are(void **state)
{
	pinion_value many[PINION_ARGS_MAX + 1] = { { 0 } };
	pinion_args too_many = { many, PINION_KIND_LATE, PINION_ARGS_MAX + 1 };

	(void)state;
	assert_error(pinion_call(worker, PINION_ARGS()), -EINVAL, WHOSE "parameter \"x\"");
	assert_error(pinion_call(worker, PINION_ARGS("text")), -EINVAL, WHOSE "parameter \"x\"");
	assert_error(pinion_call(worker, PINION_ARGS(UINT64_MAX)), -ERANGE, WHOSE);
	assert_error(pinion_call(worker, PINION_ARGS(1, 2)), -EINVAL, WHOSE);
	assert_error(pinion_call(worker, PINION_ARGS(PINION_NAMED("y", 1))), -EINVAL, WHOSE);
	assert_error(pinion_call(worker, too_many), -E2BIG, WHOSE "more than 16");
}

static void
what_does_not_fit_says_both_sizes(void **state)
{
	static char text[2000];
	pinion_str s = { text, sizeof text };

	(void)state;
	assert_error(
	    pinion_call(pinion_method_of(worker, "echo"), PINION_ARGS(s)), -EMSGSIZE, "2000");
}

static void
a_handler_that_says_nothing_or_fails_is_an_error(void **state)
{
	(void)state;
	assert_error(pinion_call(pinion_method_of(worker, "silent"), PINION_ARGS()), -EPROTO,
	    "without a reply");
	assert_error(
	    pinion_call(pinion_method_of(worker, "broken"), PINION_ARGS(3)), -EDOM, "broken by 3");
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(worker, "twice"), PINION_ARGS())), 1);
}

static void
an_upstream_error_comes_with_the_name_of_where_it_arose(void **state)
{
	pinion_response bad = pinion_call(pinion_method_of(worker, "broken"), PINION_ARGS(4));
	pinion_response next = pinion_call(worker, PINION_ARGS(bad));
	pinion_response last = pinion_call(worker, PINION_ARGS(next));
	pinion_error e;

	(void)state;
	assert_int_equal(pinion_result(last, &(int64_t){ 0 }), -EDOM);
	e = pinion_response_error(last);
	assert_int_equal(e.origin, PINION_ORIGIN_UPSTREAM);
	assert_true(pinion_str_is(e.method, "broken"));
	assert_true(pinion_str_is(e.text, "broken by 4"));
	pinion_release(bad);
	pinion_release(next);
	pinion_release(last);
	graph_assert_clean(rt, 1);
}

static void
no_free_slot_recovers_when_one_comes_back(void **state)
{
	pinion_response held[8];

	(void)state;
	for (int i = 0; i < 8; i++)
		held[i] = pinion_call(worker, PINION_ARGS(i));
	pinion_response refused = pinion_call(worker, PINION_ARGS(9));

	assert_int_equal(pinion_result(refused, &(int64_t){ 0 }), -ENOBUFS);
	for (int i = 0; i < 8; i++)
		assert_int_equal(graph_i64(held[i]), i + 1);
	assert_error(refused, -ENOBUFS, "8 slots");
}

/* Also of a call that could not be sent at all. */
static void
a_dependent_of_an_unsent_call_names_where_it_arose(void **state)
{
	pinion_response first = pinion_call(worker, PINION_ARGS("text"));
	pinion_response second =
	    pinion_call(pinion_method_of(worker, "sum"), PINION_ARGS(first, 1));
	pinion_response third = pinion_call(pinion_method_of(worker, "nap"), PINION_ARGS(second));
	pinion_error e = pinion_response_error(third);

	(void)state;
	assert_int_equal(pinion_response_error(first).origin, PINION_ORIGIN_CALLER);
	assert_int_equal(e.code, -EINVAL);
	assert_int_equal(e.origin, PINION_ORIGIN_UPSTREAM);
	assert_true(pinion_str_is(e.deployment, "Worker"));
	assert_true(pinion_str_is(e.method, PINION_CALL));
	pinion_release(first);
	pinion_release(second);
	pinion_release(third);
}

static void
stale_and_foreign_responses_are_refused(void **state)
{
	const pinion_response nowhere = { 1, 2, 3 };
	pinion_response r = pinion_call(worker, PINION_ARGS(1));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), 0);
	pinion_release(r);
	assert_int_equal(pinion_result(r, &x), -ESTALE);
	assert_error(pinion_call(worker, PINION_ARGS(r)), -ESTALE, "released");
	assert_int_equal(pinion_result(nowhere, &x), -ESTALE);
}

static void
behaviour_10_after_stop_everything_is_stale(void **state)
{
	pinion_handle handle;
	pinion_runtime *other;
	pinion_response r;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_start(&other, .workers = 1, .drain_ns = 1000000), 0);
	assert_int_equal(pinion_run(other, graph_build_single, &handle), 0);
	r = pinion_call(pinion_method_of(handle, "nap"), PINION_ARGS(INT64_C(1) << 50));
	pinion_stop(other);
	assert_int_equal(pinion_result(r, &x), -ESTALE);
	r = pinion_call(handle, PINION_ARGS(1));
	assert_int_equal(pinion_result(r, &x), -ESTALE);
}

static pinion_node *
build_failing(pinion_app *build, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(build, &graph_worker, PINION_ARGS());
	return pinion_bind(build, &graph_worker, PINION_ARGS(-1), .name = "Unlucky");
}

static pinion_node *
build_negative(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .num_replicas = -1);
}

static pinion_node *
build_null(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &graph_relay, PINION_ARGS((pinion_node *)NULL));
}

static pinion_node *
build_twins(pinion_app *build, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(build, &graph_worker, PINION_ARGS(), .name = "Twin");
	return pinion_bind(build, &graph_worker, PINION_ARGS(), .name = "Twin");
}

static void
a_graph_that_cannot_be_is_refused_with_the_culprit(void **state)
{
	static const struct {
		pinion_builder *builder;
		const char *part;
	} cases[] = { { build_failing, "Unlucky: init of replica 0 failed: the number is -1" },
		{ build_negative, "num_replicas" }, { build_null, "NULL node" },
		{ build_twins, "\"Twin\"" } };
	pinion_handle handle;
	pinion_diag diag;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(
		    pinion_run(rt, cases[i].builder, &handle, .name = "bad", .diag = &diag) < 0);
		if (strstr(diag.text, cases[i].part) == NULL)
			print_message("got: %s\n", diag.text);
		assert_non_null(strstr(diag.text, cases[i].part));
	}
	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
}

static pinion_node *
build_named(pinion_app *build, const pinion_config *config)
{
	return pinion_bind(
	    build, &graph_worker, PINION_ARGS(1), .name = pinion_config_get(config, "name", NULL));
}

static void
names_that_cannot_be_shown_are_refused(void **state)
{
	static const char *const names[] = { "", "two\nlines", "\x1b[2J", "\x7f" };
	pinion_handle handle;
	pinion_diag diag;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const pinion_pair pair = { "name", names[i] };
		const pinion_config config = { &pair, 1 };
		const char *part = i == 0 ? "is empty" : "has a control character";

		assert_int_equal(pinion_run(rt, build_named, &handle, .name = names[i],
				     .route_prefix = "/good", .diag = &diag),
		    -EINVAL);
		assert_non_null(strstr(diag.text, "application's name"));
		assert_non_null(strstr(diag.text, part));
		assert_int_equal(pinion_run(rt, build_named, &handle, .name = "good",
				     .config = &config, .diag = &diag),
		    -EINVAL);
		assert_non_null(strstr(diag.text, "deployment's name"));
		assert_non_null(strstr(diag.text, part));
		assert_int_equal(pinion_run(rt, build_named, &handle, .name = "good",
				     .route_prefix = names[i], .diag = &diag),
		    -EINVAL);
		assert_non_null(strstr(diag.text, "route_prefix"));
	}
	assert_int_equal(pinion_run(rt, build_named, &handle, .name = "D\xc3\xb6ra"), 0);
}

static void
behaviour_14_the_ingress_own_prefixes_are_refused(void **state)
{
	static const char *const prefixes[] = { "/-", "/-/", "/-/healthz", "/-/other" };
	pinion_handle handle;
	pinion_diag diag;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pinion_run(rt, build_named, &handle, .name = "good",
				     .route_prefix = prefixes[i], .diag = &diag),
		    -EINVAL);
		assert_non_null(strstr(diag.text, prefixes[i]));
	}
	assert_int_equal(
	    pinion_run(rt, build_named, &handle, .name = "good", .route_prefix = "/-x"), 0);
	assert_int_equal(pinion_run(rt, build_named, &handle, .name = "other",
			     .route_prefix = "/-x/", .diag = &diag),
	    -EINVAL); /* the same paths */
	assert_non_null(strstr(diag.text, "is taken by \"good\""));
}

static void
behaviour_11_options_that_cannot_be_are_refused(void **state)
{
	pinion_runtime *none;
	pinion_diag diag;

	(void)state;
	assert_int_equal(pinion_start(&none, .workers = -1, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "workers"));
	assert_int_equal(pinion_start(&none, .lane_cells = 3, .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "lane_cells"));
	assert_int_equal(pinion_start(&none, .idle = "never", .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "never"));
	assert_null(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    an_unknown_method_is_named_with_those_there_are, start, stop),
		cmocka_unit_test_setup_teardown(wrong_arguments_are_named, start, stop),
		cmocka_unit_test_setup_teardown(
		    an_unknown_name_is_named_also_when_there_are_too_many, start, stop),
		cmocka_unit_test_setup_teardown(
		    all_that_is_wrong_with_arguments_begins_with_whose_they_are, start, stop),
		cmocka_unit_test_setup_teardown(what_does_not_fit_says_both_sizes, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_handler_that_says_nothing_or_fails_is_an_error, start, stop),
		cmocka_unit_test_setup_teardown(
		    an_upstream_error_comes_with_the_name_of_where_it_arose, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_dependent_of_an_unsent_call_names_where_it_arose, start, stop),
		cmocka_unit_test_setup_teardown(
		    no_free_slot_recovers_when_one_comes_back, start, stop),
		cmocka_unit_test_setup_teardown(
		    stale_and_foreign_responses_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_10_after_stop_everything_is_stale, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_graph_that_cannot_be_is_refused_with_the_culprit, start, stop),
		cmocka_unit_test_setup_teardown(
		    names_that_cannot_be_shown_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_14_the_ingress_own_prefixes_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_11_options_that_cannot_be_are_refused, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
