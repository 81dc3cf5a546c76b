/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Applications, their deployments and methods are found by name, from threads, handlers and init; what does not
 *         run is not found.
 * Method  Two applications in one runtime, the one calling the other; what is wrong is asked for by one thread.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;

static int
start(void **state)
{
	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 2), 0);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Adds with the other application's Worker, which it finds in init and again in each call. */
static int
finder_init(void *replica, pinion_init *init)
{
	return pinion_handle_find(pinion_init_runtime(init), "sums", NULL, replica);
}

static int
finder_call(void *replica, pinion_request *req)
{
	pinion_handle again;
	int err = pinion_handle_find(pinion_request_runtime(req), "sums", "Worker", &again);

	if (err == 0 && again.id != ((const pinion_handle *)replica)->id)
		err = -EPROTO;
	return err != 0 ? err : pinion_forward(req, again, PINION_ARGS(pinion_arg_i64(req, 0)));
}

static const pinion_deployment finder = {
	.name = "Finder",
	.replica_size = sizeof(pinion_handle),
	.init = finder_init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, finder_call,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_finder(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &finder, PINION_ARGS());
}

static void
behaviour_32_applications_call_each_other_by_name(void **state)
{
	pinion_handle handle;
	(void)state;
	assert_int_equal(pinion_run(rt, build_finder, &handle, .name = "finds"), -ENOENT);
	assert_int_equal(pinion_run(rt, graph_build_single, &handle, .name = "sums"), 0);
	assert_int_equal(pinion_run(rt, build_finder, &handle, .name = "finds"), 0);
	assert_int_equal(graph_i64(pinion_call(handle, PINION_ARGS(41))), 42);
	graph_assert_clean(rt, 1);
}

static void
what_runs_is_found_and_nothing_else(void **state)
{
	pinion_handle ingress, found;

	(void)state;
	assert_int_equal(pinion_handle_find(rt, "default", NULL, &found), -ENOENT);
	assert_int_equal(pinion_run(rt, graph_build, &ingress), 0);
	assert_int_equal(pinion_handle_find(rt, "default", NULL, &found), 0);
	assert_true(found.id == ingress.id);
	assert_int_equal(pinion_handle_find(rt, "default", "Relay", &found), 0);
	assert_true(found.id == ingress.id);
	assert_int_equal(pinion_handle_find(rt, "default", "Worker", &found), 0);
	assert_int_equal(graph_i64(pinion_call(found, PINION_ARGS(1))), 2);
	assert_int_equal(
	    graph_i64(pinion_call(pinion_method_of(found, "sum"), PINION_ARGS(1))), 101);
	assert_int_equal(pinion_handle_find(rt, "default", "Nobody", &found), -ENOENT);
	assert_int_equal(pinion_handle_find(rt, "other", "Worker", &found), -ENOENT);
	assert_int_equal(pinion_handle_find(rt, "default", "task", &found), -ENOENT);
	assert_int_equal(pinion_handle_find(NULL, "default", NULL, &found), -EINVAL);
}

static void
names_are_listed(void **state)
{
	const char *names[2] = { NULL, NULL };
	pinion_methods methods;
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_deployment_list(rt, "default", names, 2), 0);
	assert_int_equal(pinion_run(rt, graph_build, &handle), 0);
	assert_int_equal(pinion_deployment_list(rt, "default", names, 1), 2);
	assert_string_equal(names[0], "Worker");
	assert_null(names[1]);
	assert_int_equal(pinion_deployment_list(rt, "default", names, 2), 2);
	assert_string_equal(names[1], "Relay");
	assert_int_equal(pinion_handle_methods(handle, &methods), 0);
	assert_int_equal(methods.count, 4);
	assert_string_equal(methods.list[1].name, "forward");
	assert_int_equal(pinion_handle_methods(pinion_method_of(handle, "no"), &methods), 0);
	pinion_stop(rt);
	rt = NULL;
	assert_int_equal(pinion_handle_methods(handle, &methods), -ESTALE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    behaviour_32_applications_call_each_other_by_name, start, stop),
		cmocka_unit_test_setup_teardown(what_runs_is_found_and_nothing_else, start, stop),
		cmocka_unit_test_setup_teardown(names_are_listed, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
