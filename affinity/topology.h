/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/topology.h - the cpus that may be used, and what each shares with which other.
 *
 *   node 0                                     cpus[], in this order:
 *   +-- L3 0 --------------+-- L3 1 --+        {0, core 0, L3 0, node 0, sibling 0}
 *   | core 0     core 1    | core 2   |  ...   {4, core 0, L3 0, node 0, sibling 1}
 *   | cpu 0, 4   cpu 1, 5  | cpu 2, 6 |        {1, core 1, L3 0, node 0, sibling 0}  ...
 *   +----------------------+----------+
 *
 * Why       A plan is a pure function of this array, so that any machine can be planned for in a test;
 *           hwloc is known to topology.c only.
 * Threads   Any. What may be used is what the calling thread may use.
 * Memory    The caller's, some 20 KiB; nothing else is held.
 */
#ifndef PINION_AFFINITY_TOPOLOGY_H
#define PINION_AFFINITY_TOPOLOGY_H

#include <stdbool.h>

enum {
	TOPOLOGY_CPUS_MAX = 1024, /* as many as a cpu_set_t can name */
	NODE_UNKNOWN = -1
};

struct topology_cpu {
	int number;       /* the kernel's */
	int node;         /* the kernel's number of its memory; NODE_UNKNOWN */
	unsigned core;    /* from 0, in the order of `cpus` */
	unsigned l3;      /* from 0, in the order of `cpus` */
	unsigned sibling; /* among the cpus of its core that may be used, from 0 */
};

struct topology {
	/* Neighbours here are neighbours in the machine. */
	struct topology_cpu cpus[TOPOLOGY_CPUS_MAX];
	unsigned cpu_count, core_count, l3_count, node_count;
	bool is_guess; /* nothing is known but the cpus' numbers */
};

/* This machine. Never fails: where hwloc does, each cpu counts as a core of its own, all of them under
 * one L3, on a node that is not known. */
void pinioni_topology_load(struct topology *t);

/* A machine as hwloc's synthetic descriptions give it, of which only the cpus in `allowed` may be used;
 * NULL: all. -EINVAL: not a description, or nothing is left. */
int pinioni_topology_load_synthetic(struct topology *t, const char *description, const int *allowed,
    unsigned allowed_count) __attribute__((warn_unused_result));

#endif
