/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    The array says of each cpu what hwloc's tree says, holds only what may be used, and is there
 *         even where hwloc is not.
 * Method  Synthetic descriptions, also with cpus taken away; of this machine only what holds on any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "affinity/pin.h"
#include "affinity/topology.h"

static struct topology t;

static void
load(const char *description)
{
	assert_int_equal(pinioni_topology_load_synthetic(&t, description, NULL, 0), 0);
}

static void
assert_counts(unsigned cpus, unsigned cores, unsigned l3s, unsigned nodes)
{
	assert_int_equal(t.cpu_count, cpus);
	assert_int_equal(t.core_count, cores);
	assert_int_equal(t.l3_count, l3s);
	assert_int_equal(t.node_count, nodes);
	assert_false(t.is_guess);
}

static void
assert_cpu(unsigned at, struct topology_cpu expected)
{
	assert_int_equal(t.cpus[at].number, expected.number);
	assert_int_equal(t.cpus[at].core, expected.core);
	assert_int_equal(t.cpus[at].l3, expected.l3);
	assert_int_equal(t.cpus[at].node, expected.node);
	assert_int_equal(t.cpus[at].sibling, expected.sibling);
}

static void
the_smallest_machine_is_one_of_each(void **state)
{
	(void)state;
	load("node:1 l3:1 core:1 pu:1");
	assert_counts(1, 1, 1, 1);
	assert_cpu(0, (struct topology_cpu){ .number = 0 });
}

static void
nodes_caches_cores_and_siblings_are_told_apart(void **state)
{
	(void)state;
	load("node:2 l3:2 core:2 pu:2");
	assert_counts(16, 8, 4, 2);
	assert_cpu(0, (struct topology_cpu){ .number = 0 });
	assert_cpu(1, (struct topology_cpu){ .number = 1, .sibling = 1 });
	assert_cpu(
	    6, (struct topology_cpu){ .number = 6, .core = 3, .l3 = 1, .node = 0, .sibling = 0 });
	assert_cpu(
	    15, (struct topology_cpu){ .number = 15, .core = 7, .l3 = 3, .node = 1, .sibling = 1 });
}

static void
numbers_are_the_kernels_and_the_order_the_machines(void **state)
{
	(void)state;
	/* As most machines count: all first siblings, then all second. */
	load("node:1 l3:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)");
	assert_counts(8, 4, 1, 1);
	assert_cpu(1, (struct topology_cpu){ .number = 4, .sibling = 1 });
	assert_cpu(2, (struct topology_cpu){ .number = 1, .core = 1 });
	assert_cpu(7, (struct topology_cpu){ .number = 7, .core = 3, .sibling = 1 });
}

static void
a_nodes_number_is_the_kernels_too(void **state)
{
	(void)state;
	load("node:2(indexes=0,8) l3:1 core:1 pu:1");
	assert_counts(2, 2, 2, 2);
	assert_int_equal(t.cpus[1].node, 8);
}

static void
memory_of_a_package_is_that_packages(void **state)
{
	(void)state;
	load("package:2 [numa] l3:2 core:2 pu:1");
	assert_counts(8, 8, 4, 2);
	assert_int_equal(t.cpus[3].node, 0);
	assert_int_equal(t.cpus[4].node, 1);
	/* Of two memories under one package, the first. */
	load("package:2 [numa] [numa] core:2 pu:1");
	assert_counts(4, 4, 2, 2);
	assert_int_equal(t.cpus[3].node, 2);
}

static void
without_an_l3_a_node_counts_as_one(void **state)
{
	(void)state;
	load("node:2 core:2 pu:1");
	assert_counts(4, 4, 2, 2);
	assert_int_equal(t.cpus[1].l3, 0);
	assert_int_equal(t.cpus[2].l3, 1);
}

static void
without_cores_a_cpu_counts_as_one(void **state)
{
	(void)state;
	load("node:1 l3:1 pu:3");
	assert_counts(3, 3, 1, 1);
	assert_cpu(2, (struct topology_cpu){ .number = 2, .core = 2 });
}

static void
a_cpu_that_may_not_be_used_is_not_there(void **state)
{
	static const int allowed[] = { 3, 5, 6, 7, 99 };

	(void)state;
	assert_int_equal(
	    pinioni_topology_load_synthetic(&t, "node:2 l3:1 core:2 pu:2", allowed, 5), 0);
	assert_counts(4, 3, 2, 2);
	/* The second sibling of a core, alone there, is its first. */
	assert_cpu(0, (struct topology_cpu){ .number = 3 });
	assert_cpu(1, (struct topology_cpu){ .number = 5, .core = 1, .l3 = 1, .node = 1 });
	assert_cpu(
	    3, (struct topology_cpu){ .number = 7, .core = 2, .l3 = 1, .node = 1, .sibling = 1 });
}

static void
what_describes_no_machine_is_refused(void **state)
{
	static const int none[] = { 9 };

	(void)state;
	assert_int_equal(pinioni_topology_load_synthetic(&t, "hello", NULL, 0), -EINVAL);
	assert_int_equal(pinioni_topology_load_synthetic(&t, "core:2 pu:1", none, 1), -EINVAL);
}

static void
a_machine_larger_than_a_cpu_set_is_cut(void **state)
{
	(void)state;
	load("node:8 l3:4 core:32 pu:2");
	assert_counts(TOPOLOGY_CPUS_MAX, TOPOLOGY_CPUS_MAX / 2, 16, 4);
}

/* ---- this machine --------------------------------------------------------------------------- */

static void
assert_same_as_allowed(void)
{
	int allowed[TOPOLOGY_CPUS_MAX];
	unsigned count = pinioni_cpus_allowed(allowed, TOPOLOGY_CPUS_MAX);

	assert_int_equal(t.cpu_count, count);
	for (unsigned i = 0; i < count; i++) {
		unsigned found = 0;

		for (unsigned k = 0; k < count; k++)
			if (t.cpus[k].number == allowed[i])
				found++;
		assert_int_equal(found, 1);
	}
}

static void
this_machine_is_what_the_kernel_allows(void **state)
{
	cpu_set_t before, after;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	pinioni_topology_load(&t);
	assert_same_as_allowed();
	assert_in_range(t.core_count, 1, t.cpu_count);
	assert_in_range(t.node_count, 1, t.cpu_count);
	/* Loading leaves the thread's binding as it was. */
	assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	print_message("%u cpus, %u cores, %u L3s, %u nodes%s\n", t.cpu_count, t.core_count,
	    t.l3_count, t.node_count, t.is_guess ? " (a guess)" : "");
}

static void
a_bound_thread_sees_only_its_cpus(void **state)
{
	cpu_set_t before;
	int first;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	assert_in_range(pinioni_cpus_allowed(&first, 1), 1, CPU_SETSIZE);
	assert_int_equal(pinioni_thread_pin(first), 0);
	pinioni_topology_load(&t);
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
	assert_int_equal(t.cpu_count, 1);
	assert_int_equal(t.cpus[0].number, first);
}

static void
another_machine_in_the_environment_is_not_believed(void **state)
{
	(void)state;
	assert_int_equal(setenv("HWLOC_SYNTHETIC", "node:4 core:64 pu:2", 1), 0);
	pinioni_topology_load(&t);
	assert_int_equal(unsetenv("HWLOC_SYNTHETIC"), 0);
	assert_true(t.is_guess);
	assert_same_as_allowed();
	assert_int_equal(t.core_count, t.cpu_count);
	assert_int_equal(t.cpus[0].node, NODE_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_machine_is_one_of_each),
		cmocka_unit_test(nodes_caches_cores_and_siblings_are_told_apart),
		cmocka_unit_test(numbers_are_the_kernels_and_the_order_the_machines),
		cmocka_unit_test(a_nodes_number_is_the_kernels_too),
		cmocka_unit_test(memory_of_a_package_is_that_packages),
		cmocka_unit_test(without_an_l3_a_node_counts_as_one),
		cmocka_unit_test(without_cores_a_cpu_counts_as_one),
		cmocka_unit_test(a_cpu_that_may_not_be_used_is_not_there),
		cmocka_unit_test(what_describes_no_machine_is_refused),
		cmocka_unit_test(a_machine_larger_than_a_cpu_set_is_cut),
		cmocka_unit_test(this_machine_is_what_the_kernel_allows),
		cmocka_unit_test(a_bound_thread_sees_only_its_cpus),
		cmocka_unit_test(another_machine_in_the_environment_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
