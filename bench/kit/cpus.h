/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/cpus.h - the two cpus that everything here is measured on.
 */
#ifndef PINION_BENCH_KIT_CPUS_H
#define PINION_BENCH_KIT_CPUS_H

#include <stdbool.h>
#include <stdint.h>

enum cpus {
	CPU_NEAR, /* the caller's */
	CPU_FAR,  /* the worker's, the server's */
	CPUS
};

/* The first two allowed; the calling thread may run on both, and so may what it starts. False: there are not two. */
bool pinioni_cpus_choose(int cpus[CPUS]) __attribute__((warn_unused_result));
/* The calling thread: on that one, on both. */
bool pinioni_cpus_pin(int cpu);
bool pinioni_cpus_free(const int cpus[CPUS]);
/* How long the calling thread waited for a cpu so far, ns. 0: the kernel does not tell. */
uint64_t pinioni_cpus_waited(void);

#endif
