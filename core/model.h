/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/model.h - what calls of a multiplexed deployment name: loaded once in a replica, the least lately used unloaded.
 *
 *   pinion_model --> READY: used by one more
 *                --> LOADING: waits for whoever loads it
 *                --> none: takes a free place, or that of the READY one that nobody uses and that was used longest ago,
 *                          when it is unloaded (LEAVING until then); all in use: waits
 *
 * Why       A replica has room for so many, and loading one takes long: so no more than max_models are there, also while one
 *           is loaded, and none goes while a request uses it.
 * Threads   The replica's worker's.
 */
#ifndef PINION_CORE_MODEL_H
#define PINION_CORE_MODEL_H

#include "core/request.h"

struct model;

/* Those of a replica whose deployment has any. 0, -ENOMEM. */
int pinioni_model_make(struct worker *w, struct replica *replica)
    __attribute__((warn_unused_result));
void pinioni_model_free(struct worker *w, struct replica *replica);
/* Before deinit. */
void pinioni_model_unload_all(struct worker *w, struct replica *replica);
/* A request that used one has ended. */
void pinioni_model_give(struct pinion_request *r, struct model *model)
    __attribute__((noinline, cold));

#endif
