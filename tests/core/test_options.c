/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Options are what the code says, and over it what overrides say; what cannot be is refused by name and place,
 *         and leaves nothing running.
 * Method  One thread, replicas counted by their init. What a graph would be is asked with .plan, which runs nothing.
 */
#include "tests/core/graph.h"

static pinion_runtime *rt;
static _Atomic int inits;

static int
start(void **state)
{
	(void)state;
	atomic_store(&inits, 0);
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

/* ---- applications --------------------------------------------------------------------------- */

static int
count_init(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	atomic_fetch_add(&inits, 1);
	return 0;
}

static const pinion_deployment counted = {
	.name = "Counted",
	.init = count_init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, graph_sum,
	    .params = PINION_PARAMS(PINION_I64("a"), PINION_I64("b")),
	    .returns = PINION_RETURNS_I64)),
};

static pinion_bind_options said;

static pinion_node *
build_said(pinion_app *build, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(build, &graph_worker, PINION_ARGS());
	return pinion_bind_with(build, &counted, &said);
}

static int
run_over(const pinion_override *list, size_t count, pinion_diag *diag)
{
	pinion_handle handle;

	return pinion_run(rt, build_said, &handle, .overrides = { list, count }, .diag = diag);
}

static void
assert_says(const pinion_diag *diag, const char *part)
{
	if (strstr(diag->text, part) == NULL)
		print_message("got: %s\nand not: %s\n", diag->text, part);
	assert_non_null(strstr(diag->text, part));
}

/* What is planned of Counted, and how many there are. */
struct plan {
	char values[16][32];
	char names[16][32];
	bool is_default[16];
	unsigned option_count, deployment_count, ingress;
};

static void
note_plan(void *arg, const pinion_planned *planned)
{
	struct plan *p = arg;

	if (planned->is_ingress)
		p->ingress = p->deployment_count;
	p->deployment_count++;
	if (strcmp(planned->deployment, "Counted") != 0)
		return;
	p->option_count = planned->option_count;
	for (unsigned i = 0; i < planned->option_count; i++) {
		(void)snprintf(p->names[i], sizeof p->names[i], "%s", planned->options[i].name);
		(void)snprintf(p->values[i], sizeof p->values[i], "%s",
		    planned->options[i].value == NULL ? "none" : planned->options[i].value);
		p->is_default[i] = planned->options[i].is_default;
	}
}

static struct plan
plan_over(const pinion_override *list, size_t count)
{
	struct plan p = { .option_count = 0 };
	pinion_diag diag = { "" };

	assert_int_equal(pinion_run(rt, build_said, NULL, .overrides = { list, count },
			     .plan = note_plan, .plan_arg = &p, .diag = &diag),
	    0);
	assert_string_equal(diag.text, "");
	return p;
}

static void
assert_option(const struct plan *p, const char *name, const char *value, bool is_default)
{
	for (unsigned i = 0; i < p->option_count; i++)
		if (strcmp(p->names[i], name) == 0) {
			assert_string_equal(p->values[i], value);
			assert_int_equal(p->is_default[i], is_default);
			return;
		}
	fail_msg("%s is not told", name);
}

/* ---- in code -------------------------------------------------------------------------------- */

static void
behaviour_11_a_negative_number_is_refused_by_its_name(void **state)
{
	static const struct {
		pinion_bind_options options;
		const char *name;
	} cases[] = {
		{ { .num_replicas = -1 }, "Counted: num_replicas is -1, and may not be negative" },
		{ { .max_ongoing_requests = -2 }, "Counted: max_ongoing_requests is -2" },
		{ { .max_queued_requests = INT32_MIN }, "max_queued_requests is -2147483648" },
		{ { .queue_timeout_ns = INT64_MIN }, "queue_timeout_ns is -9223372036854775808" },
		{ { .max_batch_size = 65537 },
		    "Counted: max_batch_size is 65537, and may be 65536" },
		{ { .routing = "random" },
		    "routing is \"random\": it may be least_loaded, round_robin, by_key, local" },
		{ { .routing = "" }, "routing is \"\"" },
	};
	pinion_diag diag;

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		said = cases[i].options;
		assert_int_equal(run_over(NULL, 0, &diag), -EINVAL);
		assert_says(&diag, cases[i].name);
	}
	assert_int_equal(pinion_deployment_count(rt), 0);
}

static void
what_nobody_says_is_the_default(void **state)
{
	struct plan p;

	(void)state;
	said = (pinion_bind_options){ .num_replicas = 0 };
	p = plan_over(NULL, 0);
	assert_option(&p, "num_replicas", "1", true);
	assert_option(&p, "max_ongoing_requests", "100", true);
	assert_option(&p, "max_queued_requests", "none", true);
	assert_option(&p, "queue_timeout_ns", "none", true);
	assert_option(&p, "routing", "least_loaded", true);
}

/* ---- over it -------------------------------------------------------------------------------- */

static void
behaviour_12_overrides_stand_over_code_and_leave_the_rest(void **state)
{
	static const pinion_override list[] = {
		{ "Counted", "num_replicas", "5", "a.yaml:3" },
		{ "Counted", "queue_timeout_ns", "1500us", NULL },
		{ "Counted", "routing", "local", NULL },
		{ "Worker", "max_queued_requests", "9", NULL },
		{ "Counted", "num_replicas", "4", "the command" },
	};
	struct plan p;
	pinion_diag diag;

	(void)state;
	said = (pinion_bind_options){
		.num_replicas = 2, .max_ongoing_requests = 7, .routing = "by_key"
	};
	p = plan_over(list, 5);
	assert_option(&p, "num_replicas", "4", false);
	assert_option(&p, "max_ongoing_requests", "7", false);
	assert_option(&p, "queue_timeout_ns", "1500us", false);
	assert_option(&p, "routing", "local", false);
	assert_option(&p, "max_queued_requests", "none", true);
	assert_int_equal(run_over(list, 5, &diag), 0);
	assert_int_equal(atomic_load(&inits), 4);
}

static void
times_have_units(void **state)
{
	static const char *const cases[][2] = { { "7", "7ns" }, { "7ns", "7ns" }, { "7000", "7us" },
		{ "20ms", "20ms" }, { "3s", "3s" }, { "1001ms", "1001ms" } };

	(void)state;
	said = (pinion_bind_options){ .num_replicas = 1 };
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const pinion_override o = { "Counted", "queue_timeout_ns", cases[i][0], NULL };
		struct plan p = plan_over(&o, 1);

		assert_option(&p, "queue_timeout_ns", cases[i][1], false);
	}
}

static void
what_cannot_be_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *option, *value;
	} cases[] = { { "num_replicas", "0" }, { "num_replicas", "-1" }, { "num_replicas", "" },
		{ "num_replicas", "two" }, { "num_replicas", "1.5" }, { "num_replicas", " 1" },
		{ "num_replicas", "2147483648" }, { "num_replicas", "99999999999999999999" },
		{ "max_ongoing_requests", "0" }, { "max_queued_requests", "-5" },
		{ "queue_timeout_ns", "0" }, { "queue_timeout_ns", "0s" },
		{ "queue_timeout_ns", "-1ms" }, { "queue_timeout_ns", "5 ms" },
		{ "queue_timeout_ns", "5h" }, { "queue_timeout_ns", "10000000000s" },
		{ "max_batch_size", "65537" }, { "routing", "random" }, { "routing", "" } };
	char part[128];
	pinion_diag diag;

	(void)state;
	said = (pinion_bind_options){ .num_replicas = 1 };
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const pinion_override o = { "Counted", cases[i].option, cases[i].value,
			"app.yaml:12" };

		(void)snprintf(part, sizeof part, "app.yaml:12: Counted: %s is \"%s\": it may be ",
		    o.option, o.value);
		assert_int_equal(run_over(&o, 1, &diag), -EINVAL);
		assert_says(&diag, part);
	}
	assert_int_equal(atomic_load(&inits), 0);
	assert_int_equal(pinion_deployment_count(rt), 0);
	assert_int_equal(run_over(NULL, 0, &diag), 0);
}

static void
what_there_is_not_is_refused_with_what_there_is(void **state)
{
	static const struct {
		pinion_override override;
		const char *part;
	} cases[] = {
		{ { "Greeter", "num_replicas", "1", "a.yaml:4" },
		    "a.yaml:4: there is no deployment \"Greeter\" in \"default\"; it has: Worker, "
		    "Counted" },
		{ { "Counted", "replicas", "1", "a.yaml:5" },
		    "a.yaml:5: Counted: there is no option \"replicas\"; there are: num_replicas, "
		    "max_ongoing_requests, " },
		{ { "Counted", "name", "x", NULL }, "Counted: there is no option \"name\"" },
		{ { NULL, "num_replicas", "1", NULL }, "override 0 lacks its deployment" },
		{ { "Counted", NULL, "1", NULL }, "override 0 lacks its deployment" },
		{ { "Counted", "routing", NULL, NULL }, "override 0 lacks its deployment" },
	};
	pinion_diag diag;

	(void)state;
	said = (pinion_bind_options){ .num_replicas = 1 };
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(run_over(&cases[i].override, 1, &diag), -EINVAL);
		assert_says(&diag, cases[i].part);
	}
	assert_int_equal(pinion_deployment_count(rt), 0);
}

static void
a_plan_runs_nothing_and_refuses_what_a_run_would(void **state)
{
	const pinion_override wrong = { "Counted", "num_replicas", "0", NULL };
	struct plan p;
	pinion_diag diag;

	(void)state;
	said = (pinion_bind_options){ .num_replicas = 3 };
	p = plan_over(NULL, 0);
	assert_int_equal(p.deployment_count, 2);
	assert_int_equal(p.ingress, 1);
	assert_int_equal(atomic_load(&inits), 0);
	assert_int_equal(pinion_deployment_count(rt), 0);
	p.deployment_count = 0;
	assert_int_equal(pinion_run(rt, build_said, NULL, .overrides = { &wrong, 1 },
			     .plan = note_plan, .plan_arg = &p, .diag = &diag),
	    -EINVAL);
	assert_int_equal(p.deployment_count, 0);
	assert_int_equal(run_over(NULL, 0, &diag), 0);
	assert_int_equal(atomic_load(&inits), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    behaviour_11_a_negative_number_is_refused_by_its_name, start, stop),
		cmocka_unit_test_setup_teardown(what_nobody_says_is_the_default, start, stop),
		cmocka_unit_test_setup_teardown(
		    behaviour_12_overrides_stand_over_code_and_leave_the_rest, start, stop),
		cmocka_unit_test_setup_teardown(times_have_units, start, stop),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_is_refused_with_its_place, start, stop),
		cmocka_unit_test_setup_teardown(
		    what_there_is_not_is_refused_with_what_there_is, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_plan_runs_nothing_and_refuses_what_a_run_would, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
