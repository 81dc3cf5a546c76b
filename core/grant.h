/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/grant.h - what was asked of the kernel and what it granted: pinning, policy, nodes, pages.
 *
 * Why       None of it is needed to run, all of it is needed to be fast: so nothing fails for it, and the
 *           log says what came of it, each thing once a runtime, whoever hears of it first.
 * Threads   Any.
 */
#ifndef PINION_CORE_GRANT_H
#define PINION_CORE_GRANT_H

#include <stddef.h>

#include "shm/segment.h"

struct pinion_runtime;

/* This worker's thread could not be tied to that cpu. */
void pinioni_grant_pin(struct pinion_runtime *rt, unsigned worker, int cpu, int err);

/* The calling thread will poll. who: "a worker", "a caller". Says what a real-time policy makes of that. */
void pinioni_grant_policy(struct pinion_runtime *rt, const char *who);

/* Binds memory that was not touched yet to a node; node below 0: nothing is done. */
void pinioni_grant_bind(struct pinion_runtime *rt, const void *at, size_t length, int node);
/* Looks where those pages of it that are there by now lie. */
void pinioni_grant_verify(struct pinion_runtime *rt, const void *at, size_t length, int node);

/* Where huge pages were asked for, when the memory is committed. */
void pinioni_grant_pages(struct pinion_runtime *rt, const struct segment *s);

/* err: of locking the memory of a port. */
void pinioni_grant_lock(struct pinion_runtime *rt, int err);

#endif
