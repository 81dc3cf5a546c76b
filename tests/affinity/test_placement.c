/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A core for callers and one for each worker, siblings left empty while there are cores,
 *         neighbours under one L3; with too few cpus the plan says so.
 * Method  Synthetic machines only; the plan's cpus are looked up in the topology that it was made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "affinity/placement.h"

#define EVEN "node:2 l3:1 core:4 pu:2"
#define LARGE "node:2 l3:4 core:12 pu:2"

static struct topology t;
static struct placement plan;

static void
plan_for(const char *description, unsigned workers)
{
	assert_int_equal(pinioni_topology_load_synthetic(&t, description, NULL, 0), 0);
	pinioni_placement_plan(&t, workers, true, &plan);
}

static void
assert_cpus(unsigned count, const int *cpus)
{
	assert_int_equal(plan.worker_count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(plan.workers[i].cpu, cpus[i]);
}

static void
assert_says(const char *part)
{
	if (strstr(plan.text, part) == NULL)
		print_message("\"%s\" is not in: %s\n", part, plan.text);
	assert_non_null(strstr(plan.text, part));
}

static const struct topology_cpu *
cpu_of(unsigned worker)
{
	for (unsigned i = 0; i < t.cpu_count; i++)
		if (t.cpus[i].number == plan.workers[worker].cpu)
			return &t.cpus[i];
	fail_msg("worker %u is on no cpu", worker);
	return NULL;
}

/* Nobody shares a cpu with another worker or with callers, and nodes are the cpus'. */
static void
assert_apart(void)
{
	for (unsigned i = 0; i < plan.worker_count; i++) {
		assert_int_not_equal(plan.workers[i].cpu, plan.callers_cpu);
		assert_int_equal(plan.workers[i].node, cpu_of(i)->node);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(plan.workers[i].cpu, plan.workers[k].cpu);
	}
}

static void
one_cpu_is_for_worker_and_callers(void **state)
{
	(void)state;
	plan_for("core:1 pu:1", 0);
	assert_cpus(1, (const int[]){ 0 });
	assert_int_equal(plan.callers_cpu, CPU_ANY);
	assert_false(plan.shares_cpus);
	assert_says("1 worker on 1 core, 1 cpu, 1 node");
	assert_says("no cpu is left for callers");
}

static void
of_one_core_callers_get_the_sibling(void **state)
{
	(void)state;
	plan_for("core:1 pu:2", 0);
	assert_cpus(1, (const int[]){ 0 });
	assert_int_equal(plan.callers_cpu, 1);
}

static void
of_two_cores_the_first_is_for_callers(void **state)
{
	(void)state;
	plan_for("core:2 pu:1", 0);
	assert_cpus(1, (const int[]){ 1 });
	assert_int_equal(plan.callers_cpu, 0);
	assert_says("cpu 0 is for callers; worker 0 on cpu 1");
	plan_for("core:2 pu:1", 2);
	assert_cpus(2, (const int[]){ 1, 0 });
	assert_int_equal(plan.callers_cpu, CPU_ANY);
}

static void
by_default_siblings_stay_empty(void **state)
{
	(void)state;
	plan_for(EVEN, 0);
	assert_cpus(7, (const int[]){ 2, 4, 6, 8, 10, 12, 14 });
	assert_int_equal(plan.callers_cpu, 0);
	assert_false(plan.shares_cores);
	assert_int_equal(plan.cpu_count, 16);
	assert_int_equal(plan.node_count, 2);
	assert_int_equal(plan.workers[2].node, 0);
	assert_int_equal(plan.workers[3].node, 1);
	assert_apart();
	assert_says("7 workers on 8 cores, 16 cpus, 2 nodes; cpu 0 is for callers");
	assert_says("; worker 3 on cpu 8 node 1");
}

static void
as_many_workers_as_cores_take_the_callers_core(void **state)
{
	(void)state;
	plan_for(EVEN, 8);
	assert_cpus(8, (const int[]){ 2, 4, 6, 8, 10, 12, 14, 0 });
	assert_int_equal(plan.callers_cpu, 1);
	assert_false(plan.shares_cores);
	assert_apart();
}

static void
more_workers_than_cores_use_siblings(void **state)
{
	(void)state;
	plan_for(EVEN, 10);
	assert_cpus(10, (const int[]){ 2, 4, 6, 8, 10, 12, 14, 0, 3, 5 });
	assert_int_equal(plan.callers_cpu, 1);
	assert_true(plan.shares_cores);
	assert_says("too few cores: workers share them");
	assert_apart();
	plan_for(EVEN, 16);
	assert_int_equal(plan.callers_cpu, CPU_ANY);
	assert_false(plan.shares_cpus);
	assert_apart();
}

static void
more_workers_than_cpus_are_left_to_the_kernel(void **state)
{
	(void)state;
	plan_for(EVEN, 17);
	assert_true(plan.shares_cpus);
	assert_int_equal(plan.worker_count, 17);
	for (unsigned i = 0; i < 17; i++) {
		assert_int_equal(plan.workers[i].cpu, CPU_ANY);
		assert_int_equal(plan.workers[i].node, NODE_UNKNOWN);
	}
	assert_says("too few: workers share cpus");
	plan_for("core:2 pu:1", 3);
	assert_true(plan.shares_cpus);
	assert_int_equal(plan.workers[2].node, 0); /* there is but one */
}

static void
workers_that_are_not_pinned_have_no_cpu(void **state)
{
	(void)state;
	assert_int_equal(pinioni_topology_load_synthetic(&t, EVEN, NULL, 0), 0);
	pinioni_placement_plan(&t, 3, false, &plan);
	assert_cpus(3, (const int[]){ CPU_ANY, CPU_ANY, CPU_ANY });
	assert_int_equal(plan.callers_cpu, CPU_ANY);
	assert_int_equal(plan.workers[0].node, NODE_UNKNOWN);
	assert_says("not pinned");
	assert_null(strstr(plan.text, "share"));
}

static void
a_large_machine_gets_as_many_workers_as_there_may_be(void **state)
{
	unsigned changes = 0;

	(void)state;
	plan_for(LARGE, 0);
	assert_int_equal(t.core_count, 96);
	assert_int_equal(plan.worker_count, PLACEMENT_WORKERS_MAX);
	assert_apart();
	for (unsigned i = 1; i < plan.worker_count; i++) {
		assert_int_equal(cpu_of(i)->sibling, 0);
		assert_int_not_equal(cpu_of(i)->core, cpu_of(i - 1)->core);
		if (cpu_of(i)->l3 != cpu_of(i - 1)->l3)
			changes++;
	}
	/* 11 on the first L3, then 12 on each: neighbours are parted no more often than they must. */
	assert_int_equal(changes, 5);
	assert_says("; worker 63 on cpu 128 node 1");
}

static void
a_seat_does_not_depend_on_how_many_there_are(void **state)
{
	struct placement before;

	(void)state;
	plan_for(LARGE, 1);
	for (unsigned workers = 2; workers <= PLACEMENT_WORKERS_MAX; workers++) {
		before = plan;
		plan_for(LARGE, workers);
		for (unsigned i = 0; i < before.worker_count; i++)
			assert_int_equal(plan.workers[i].cpu, before.workers[i].cpu);
	}
}

static void
only_what_may_be_used_is_planned_with(void **state)
{
	static const int allowed[] = { 5, 8, 9, 12 };

	(void)state;
	assert_int_equal(pinioni_topology_load_synthetic(&t, EVEN, allowed, 4), 0);
	pinioni_placement_plan(&t, 0, true, &plan);
	assert_cpus(2, (const int[]){ 8, 12 });
	assert_int_equal(plan.callers_cpu, 5);
	assert_apart();
	pinioni_placement_plan(&t, 4, true, &plan);
	assert_cpus(4, (const int[]){ 8, 12, 5, 9 });
	assert_true(plan.shares_cores);
}

static void
the_longest_text_is_whole(void **state)
{
	(void)state;
	/* Numbers as long as they get: four digits each. */
	assert_int_equal(pinioni_topology_load_synthetic(&t, "node:64 core:16 pu:1", NULL, 0), 0);
	for (unsigned i = 0; i < t.cpu_count; i++) {
		t.cpus[i].number = 9999 - (int)i;
		t.cpus[i].node = 1023;
	}
	pinioni_placement_plan(&t, PLACEMENT_WORKERS_MAX, true, &plan);
	assert_says("; worker 63 on cpu 9935 node 1023");
	print_message("%zu bytes\n", strlen(plan.text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_cpu_is_for_worker_and_callers),
		cmocka_unit_test(of_one_core_callers_get_the_sibling),
		cmocka_unit_test(of_two_cores_the_first_is_for_callers),
		cmocka_unit_test(by_default_siblings_stay_empty),
		cmocka_unit_test(as_many_workers_as_cores_take_the_callers_core),
		cmocka_unit_test(more_workers_than_cores_use_siblings),
		cmocka_unit_test(more_workers_than_cpus_are_left_to_the_kernel),
		cmocka_unit_test(workers_that_are_not_pinned_have_no_cpu),
		cmocka_unit_test(a_large_machine_gets_as_many_workers_as_there_may_be),
		cmocka_unit_test(a_seat_does_not_depend_on_how_many_there_are),
		cmocka_unit_test(only_what_may_be_used_is_planned_with),
		cmocka_unit_test(the_longest_text_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
