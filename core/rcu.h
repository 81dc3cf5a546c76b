/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/rcu.h - who may still be reading a table that was replaced.
 *
 * Flavour   liburcu's QSBR: a reader pays nothing, and says once a turn that it holds nothing. The other
 *           flavours interrupt other cores in a grace period. Workers are the readers; they go offline
 *           before they block. Foreign callers are none.
 * Rule      No pointer read under RCU is kept across a turn, or across a place where a handler may be
 *           suspended. Old tables are freed by call_rcu on the runtime's own housekeeping thread.
 * Order     liburcu's own operations order a grace period, but no sanitizer sees them. So publishing and
 *           reading are C11 atomics with letters of their own, and the end of a turn is told to
 *           ThreadSanitizer by edge H.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   H  worker.quiet   rcu_worker_quiet -> rcu_settled   what was read in earlier turns may be freed
 */
#ifndef PINION_CORE_RCU_H
#define PINION_CORE_RCU_H

#include <stdatomic.h>
#include <stdint.h>
#include <urcu-qsbr.h>

/* A worker, holding nothing. */
static inline void
rcu_worker_quiet(_Atomic uint64_t *quiet)
{
	/* H; relaxed: one writer. */
	atomic_store_explicit(
	    quiet, atomic_load_explicit(quiet, memory_order_relaxed) + 1, memory_order_release);
	rcu_quiescent_state();
}

/* A worker, about to block. */
static inline void
rcu_worker_offline(_Atomic uint64_t *quiet)
{
	rcu_worker_quiet(quiet);
	rcu_thread_offline();
}

/* In a callback of call_rcu, once a worker. */
static inline void
rcu_settled(const _Atomic uint64_t *quiet)
{
	/* H */
	(void)atomic_load_explicit(quiet, memory_order_acquire);
}

#endif
