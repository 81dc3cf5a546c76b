/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/bind_linux.c - affinity/bind.h by mbind and move_pages; no libnuma.
 */
#include "affinity/bind.h"

#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NODE_BITS = 1024, /* the most that Linux can be built for */
	LONG_BITS = sizeof(unsigned long) * CHAR_BIT,
	CENSUS_BATCH = 256 /* pages asked about in one call */
};

static uintptr_t
page_size(void)
{
	return (uintptr_t)sysconf(_SC_PAGESIZE);
}

int
pinioni_memory_bind(const void *at, size_t length, int node)
{
	unsigned long mask[NODE_BITS / LONG_BITS] = { 0 };
	uintptr_t first = (uintptr_t)at / page_size() * page_size();

	if (node < 0 || length == 0)
		return 0;
	if (node >= NODE_BITS)
		return -EINVAL;
	mask[node / LONG_BITS] = 1ul << node % LONG_BITS;
	/* Preferred: bound strictly, a full node would be the end of the process. One bit more than
	 * there are, since the kernel subtracts one. */
	if (syscall(SYS_mbind, first, (uintptr_t)at + length - first, MPOL_PREFERRED, mask,
		(unsigned long)NODE_BITS + 1, 0u) != 0)
		return -errno;
	return 0;
}

static void
count(const int *status, size_t pages, int node, struct memory_census *census)
{
	for (size_t i = 0; i < pages; i++)
		if (status[i] == node)
			census->here++;
		else if (status[i] >= 0)
			census->elsewhere++;
		else
			census->untouched++;
}

int
pinioni_memory_census(const void *at, size_t length, int node, struct memory_census *census)
{
	uintptr_t page = page_size();
	uintptr_t next = (uintptr_t)at / page * page;
	uintptr_t end = (uintptr_t)at + length;

	*census = (struct memory_census){ .here = 0 };
	while (next < end) {
		void *pages[CENSUS_BATCH];
		int status[CENSUS_BATCH];
		size_t batch = 0;

		for (; batch < CENSUS_BATCH && next < end; next += page)
			pages[batch++] = (void *)next;
		/* Without nodes to move to, it only tells. */
		if (syscall(SYS_move_pages, 0, batch, pages, NULL, status, 0) < 0)
			return -errno;
		count(status, batch, node, census);
	}
	return 0;
}
