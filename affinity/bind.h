/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/bind.h - puts memory on a NUMA node, and tells where it lies.
 *
 * Why       A worker's memory is mostly made by another thread, whose node it would land on.
 * Threads   Any.
 * Memory    Any mapping; of a shared one the pages are bound for everybody who maps it.
 */
#ifndef PINION_AFFINITY_BIND_H
#define PINION_AFFINITY_BIND_H

#include <stddef.h>

/*
 * Pages that lie in [at, at + length) and were not touched before come from that node, or, when it is
 * full, from another. node: the kernel's number; below 0: nothing is done.
 * 0. -EINVAL: no such node, or not one that may be used. -EPERM, -ENOSYS: the kernel or a filter of
 * system calls forbids it. All harmless: memory is where it is first touched, then.
 */
int pinioni_memory_bind(const void *at, size_t length, int node)
    __attribute__((warn_unused_result));

/* How many of the pages of [at, at + length) that were touched lie where. -EPERM, -ENOSYS: it cannot be
 * known. */
struct memory_census {
	size_t here;      /* pages on the node that was asked about */
	size_t elsewhere; /* pages on others */
	size_t untouched; /* pages that are nowhere yet */
};
int pinioni_memory_census(const void *at, size_t length, int node, struct memory_census *census)
    __attribute__((warn_unused_result));

#endif
