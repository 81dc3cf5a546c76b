/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/inherit.h - what a host had when it died, and what comes for it while it is away: a worker of the controller sees to it.
 *
 *   host dead (the kernel says so)
 *     its journal, request by request                  lanes to it, while nobody takes from them
 *       slot is DONE           told once more            a sibling serves, or it will not come back:
 *       started                -EOWNERDEAD, or once more                 the stand-in takes them, and redirects each
 *       on its way elsewhere   left alone                else they wait there for the one that is started in its place
 *       not started            redirected
 *     its outboxes             sent on
 *     its ports                buried (core/guest.h)
 *
 *   redirected: to a sibling that serves; else back to the lanes of the place it was for, if that will be served again;
 *   else -EOWNERDEAD, with the reason
 *
 * Why       Nobody waits in place for a survivor, and nobody but the owner's callees writes its slots: one worker, which can
 *           send to all others and complete any slot, takes the dead one's place. What was started is never started again.
 * Threads   The first worker of the controller; letters tell it to begin and to end.
 */
#ifndef PINION_CORE_INHERIT_H
#define PINION_CORE_INHERIT_H

#include "core/journal.h"
#include "core/runtime.h"

struct inheritance {
	struct control letter;
	struct pinion_runtime *runtime;
	struct host *host;
	struct journal journal;
	const pinion_port *from;    /* its worker's; NULL: it had none */
	uint64_t last[WORKERS_MAX]; /* in its lane to each worker, the ticket of the last message */
	uint32_t failed, redirected, repeated;
};

/* Begins; control_is_done(&n->letter) when all is seen to. */
void pinioni_inherit(struct inheritance *n);

/* Begins, and ends, to look after the lanes of that worker; until the letter is done. */
struct standing {
	struct control letter;
	unsigned worker;
};
void pinioni_stand_in_begin(struct pinion_runtime *rt, struct standing *s);
void pinioni_stand_in_end(struct pinion_runtime *rt, struct standing *s);
/* A part of its turn. */
void pinioni_stand_in_turn(struct worker *w);

#endif
