/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/starved.h - handlers that wait for the other end of a ring: for room, or, piped, for an item.
 *
 *   who waits            a word in the ring says on which worker; fence; looks again; suspended, on a list
 *   the other end        does what is waited for; fence; looks at the word: that worker, if it sleeps, is rung
 *   who waits' worker    looks at some of its list every turn, at all before it sleeps
 *
 * Why       No message, so no lane can be full; an end that goes on at once writes nothing but its item or
 *           its credit.
 * Threads   The worker's own; starved_wake: the other end.
 */
#ifndef PINION_CORE_STARVED_H
#define PINION_CORE_STARVED_H

#include <urcu/list.h>

#include "core/runtime.h"
#include "shm/bell.h"

struct starved {
	struct cds_list_head link;
	struct fiber *fiber;
	bool (*may_go_on)(struct starved *me);
	uint32_t looks; /* that found nothing */
	bool listed;
};

/* Until it may go on: 0. Or why the handler is not to wait; -EAGAIN: it is `deadline` (0: none). Its word in the ring
 * was set before, and ordered. */
int pinioni_starved_wait(struct worker *w, struct starved *me, uint64_t deadline)
    __attribute__((warn_unused_result));
/* Resumes those that may go on now; looks at some, in turn: at most at those that have not waited long. */
void pinioni_starved_look(struct worker *w);
/* The same, at all. */
void pinioni_starved_look_at_all(struct worker *w);
/* For stop. */
void pinioni_starved_resume_all(struct worker *w);

/* worker: from a ring, -1: nobody waits. What it waits for was stored before, and ordered. */
static inline void
starved_wake(struct pinion_runtime *rt, int worker)
{
	if (worker < 0 || (uint32_t)worker >= rt->worker_count)
		return;
	if (epoch_is_asleep(epoch_look(&rt->board.workers[worker]->epoch)))
		pinioni_worker_ring(rt, (unsigned)worker);
}

#endif
