/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/batch.h - requests of one method gather at a replica, and run together.
 *
 *   starts --> GATHERED --> full, or its first has waited long enough --> the batch handler has them all
 *                 |             (and fewer than max_concurrent_batches run)    each is answered on its own;
 *                 '-- canceled, or late: drops out                             the rest as by a handler's return
 *
 * Why       What costs the same for one as for many is paid once.
 * How       Such a method's handler is pinioni_batch_join: what is not batched pays nothing for it. The batch itself is a
 *           request without a caller, so that what its handler calls is nobody's, and waits like any handler's.
 * Progress  A batch is due by a timer, full by its size; either puts it on its worker's list, which every turn looks at.
 *           While a replica is to stop, or to be changed, none waits. A member that ends drops out at once; when all that
 *           a handler has still to answer have, it is told where it waits. What it called goes on: it is nobody's.
 * Threads   The replica's worker's.
 */
#ifndef PINION_CORE_BATCH_H
#define PINION_CORE_BATCH_H

#include <urcu/list.h>

#include "core/request.h"

/* A replica's, of one method. */
struct batcher {
	struct replica *replica;
	const struct method *method;
	struct pinion_request *first, **end;
	uint32_t count, size; /* of those that gather */
	uint32_t running;
	bool is_due, is_listed;
	struct timer due;
	uint32_t turns;            /* that it gathers without a wait */
	struct cds_list_head link; /* of its worker's, to be looked at */
	/* Of the next batch. */
	uint32_t max_size, max_running;
	int64_t wait_ns;
	struct batch_room *rooms;
};

/* The handler of methods that have a batch handler. */
int pinioni_batch_join(void *state, pinion_request *r);
/* Why a batch's handler is not to wait: those that it has still to answer are to end. 0: it may. */
int pinioni_batch_code(const struct pinion_request *leader) __attribute__((pure));
/* It ends while it gathers: it is out. */
void pinioni_batch_drop(struct pinion_request *r);
/* Part of a turn: runs what is full or due. */
void pinioni_batch_turn(struct worker *w) __attribute__((noinline, cold));
/* What has gathered at this replica is due. */
void pinioni_batch_flush(struct worker *w, struct replica *replica);
/* The same at all replicas of this worker. */
void pinioni_batch_flush_all(struct worker *w) __attribute__((noinline, cold));
/* Whether any of its methods has a batch handler. */
bool pinioni_batch_is_declared(const pinion_deployment *d) __attribute__((pure));
/* Those of a replica, on its worker. 0, -ENOMEM. */
int pinioni_batch_make(struct worker *w, struct replica *replica)
    __attribute__((warn_unused_result));
void pinioni_batch_free(struct worker *w, struct replica *replica);

#endif
