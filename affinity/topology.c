/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/topology.c - hwloc's tree, reduced to an array.
 */
#include "affinity/topology.h"

#include <errno.h>
#include <hwloc.h>

#include "affinity/pin.h"

/* By default hwloc binds the calling thread to each cpu in turn to ask it, which disturbs those who run
 * there; distances and the like nobody here reads. */
#if HWLOC_API_VERSION >= 0x00020800
#define LOAD_FLAGS \
	(HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING | HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | \
	    HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS)
#else
#define LOAD_FLAGS 0
#endif

/* What the cpus seen so far have of one kind, in the order in which it appeared. */
struct seen {
	int ids[TOPOLOGY_CPUS_MAX];
	unsigned count;
};

static unsigned
place_of(struct seen *s, int id)
{
	unsigned i = s->count;

	/* From the end: the last one seen is mostly the one that is asked for. */
	while (i > 0 && s->ids[i - 1] != id)
		i--;
	if (i > 0)
		return i - 1;
	s->ids[s->count] = id;
	return s->count++;
}

static bool
is_allowed(int cpu, const int *allowed, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (allowed[i] == cpu)
			return true;
	return allowed == NULL;
}

/* How many of that core are in already. */
static unsigned
siblings_before(const struct topology *t, unsigned core)
{
	unsigned count = 0;

	for (unsigned i = 0; i < t->cpu_count; i++)
		if (t->cpus[i].core == core)
			count++;
	return count;
}

static int
id_above(hwloc_obj_t pu, hwloc_obj_type_t type, int otherwise)
{
	for (hwloc_obj_t at = pu->parent; at != NULL; at = at->parent)
		if (at->type == type)
			return (int)at->logical_index;
	return otherwise;
}

/* Of several memories, the first: the others are for what is asked for by name. */
static int
node_of(hwloc_obj_t pu)
{
	return pu->nodeset == NULL ? NODE_UNKNOWN : hwloc_bitmap_first(pu->nodeset);
}

static int
reduce(struct topology *t, hwloc_topology_t from, const int *allowed, unsigned allowed_count)
{
	struct seen cores = { .count = 0 }, l3s = { .count = 0 }, nodes = { .count = 0 };
	int depth = hwloc_get_type_depth(from, HWLOC_OBJ_PU);
	hwloc_obj_t pu;

	t->cpu_count = 0;
	for (unsigned i = 0; (pu = hwloc_get_obj_by_depth(from, depth, i)) != NULL; i++) {
		int number = (int)pu->os_index;
		struct topology_cpu *cpu = &t->cpus[t->cpu_count];

		if (t->cpu_count == TOPOLOGY_CPUS_MAX)
			break;
		if (!is_allowed(number, allowed, allowed_count))
			continue;
		cpu->number = number;
		cpu->node = node_of(pu);
		/* Where a kind is missing: a core a cpu, an L3 a node. */
		cpu->core = place_of(&cores, id_above(pu, HWLOC_OBJ_CORE, -2 - number));
		cpu->l3 = place_of(&l3s, id_above(pu, HWLOC_OBJ_L3CACHE, -2 - cpu->node));
		(void)place_of(&nodes, cpu->node); /* only to count them */
		cpu->sibling = siblings_before(t, cpu->core);
		t->cpu_count++;
	}
	t->core_count = cores.count;
	t->l3_count = l3s.count;
	t->node_count = nodes.count;
	t->is_guess = false;
	return t->cpu_count == 0 ? -EINVAL : 0;
}

/* What is common to all: beside what hwloc always has, cores and L3s; and groups where they are parents
 * of a node, which would count as everybody's without. */
static int
prepare(hwloc_topology_t *h)
{
	static const struct {
		hwloc_obj_type_t type;
		enum hwloc_type_filter_e filter;
	} kept[] = {
		{ HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE },
		{ HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL },
		{ HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL },
	};

	if (hwloc_topology_init(h) != 0)
		return -EINVAL;
	if (hwloc_topology_set_all_types_filter(*h, HWLOC_TYPE_FILTER_KEEP_NONE) != 0 ||
	    hwloc_topology_set_flags(*h, LOAD_FLAGS) != 0)
		goto undo_init;
	for (unsigned i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (hwloc_topology_set_type_filter(*h, kept[i].type, kept[i].filter) != 0)
			goto undo_init;
	return 0;
undo_init:
	hwloc_topology_destroy(*h);
	return -EINVAL;
}

static void
guess(struct topology *t, const int *allowed, unsigned count)
{
	t->cpu_count = t->core_count = count;
	t->l3_count = t->node_count = 1;
	t->is_guess = true;
	for (unsigned i = 0; i < count; i++)
		t->cpus[i] =
		    (struct topology_cpu){ .number = allowed[i], .node = NODE_UNKNOWN, .core = i };
}

void
pinioni_topology_load(struct topology *t)
{
	int allowed[TOPOLOGY_CPUS_MAX] = { 0 };
	unsigned count = pinioni_cpus_allowed(allowed, TOPOLOGY_CPUS_MAX);
	hwloc_topology_t h;
	int err = prepare(&h);

	if (count == 0)
		count = 1; /* the kernel does not say: cpu 0 there is always */
	if (err == 0) {
		/* The environment can make hwloc describe another machine. */
		err = hwloc_topology_load(h) == 0 && hwloc_topology_is_thissystem(h) != 0
		    ? reduce(t, h, allowed, count)
		    : -EINVAL;
		hwloc_topology_destroy(h);
	}
	if (err != 0 || t->cpu_count != count)
		guess(t, allowed, count);
}

int
pinioni_topology_load_synthetic(
    struct topology *t, const char *description, const int *allowed, unsigned allowed_count)
{
	hwloc_topology_t h;
	int err = prepare(&h);

	if (err != 0)
		return err;
	err = hwloc_topology_set_synthetic(h, description) == 0 && hwloc_topology_load(h) == 0
	    ? reduce(t, h, allowed, allowed_count)
	    : -EINVAL;
	hwloc_topology_destroy(h);
	return err;
}
