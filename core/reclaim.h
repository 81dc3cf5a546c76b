/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/reclaim.h - what was replaced is freed when no worker can be reading it any more.
 *
 *   new table published -> old one retired -> grace period -> free
 *                                             threads:       call_rcu, on a thread of the runtime's own
 *                                             caller-driven: the end of a turn, on the thread that drives
 *
 * Threads   retire: any. turn: the thread that drives, holding nothing.
 * Progress  lock-free; retire waits for nobody.
 * Memory    A retired thing embeds struct retired and is freed by its own function.
 *
 * Order     call_rcu orders the handing over, but no sanitizer sees into the library: E says it again.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   E  sent, retired   retire -> grace, turn   what was retired may be read and freed
 */
#ifndef PINION_CORE_RECLAIM_H
#define PINION_CORE_RECLAIM_H

#include "core/rcu.h"

struct pinion_runtime;

struct retired {
	struct rcu_head head;
	struct retired *next;  /* caller-driven */
	_Atomic uint32_t sent; /* W retire  R grace   edge E */
	struct pinion_runtime *runtime;
	void (*free)(struct pinion_runtime *rt, struct retired *r);
};

struct reclaimer {
	struct call_rcu_data *thread;      /* NULL: caller-driven */
	_Atomic(struct retired *) retired; /* caller-driven: W who retires  R who drives   edge E */
};

/* 0 or -ENOMEM. Not called when caller-driven. */
int pinioni_reclaim_start(struct reclaimer *c) __attribute__((warn_unused_result));
/* Frees what is left. No worker reads any more. */
void pinioni_reclaim_stop(struct reclaimer *c);
/* r->free is called when nobody can hold what was replaced before this. */
void pinioni_retire(struct reclaimer *c, struct retired *r);
/* Caller-driven, at the end of a turn. */
void pinioni_reclaim_turn(struct reclaimer *c);

#endif
