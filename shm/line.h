/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/line.h - cache lines: how far apart words of different writers must lie, and fetching one to write it.
 */
#ifndef PINION_SHM_LINE_H
#define PINION_SHM_LINE_H

/* Two 64-byte lines: x86 prefetchers fetch lines in pairs, so one is not apart enough. */
#define PINION_LINE 128

/* The line will be written soon: fetched for that now, while something else is done. */
static inline void
line_want(const void *at)
{
#if defined(__x86_64__)
	__asm__("prefetchw %0" : : "m"(*(const char *)at)); /* no result: never left out */
#else
	__builtin_prefetch(at, 1);
#endif
}

#endif
