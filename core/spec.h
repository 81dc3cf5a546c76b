/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/spec.h - what is known of a deployment before it has replicas: its methods as they are called.
 *
 * Why       A node of a graph that is built here, and a declaration that another process sent, become the same:
 *           so a call is checked and sent in the same way, whoever runs it.
 */
#ifndef PINION_CORE_SPEC_H
#define PINION_CORE_SPEC_H

#include "core/application.h"

/* NULL, or parts of it NULL: no memory. The node's declaration is lent for as long as it lives. */
struct deployment *pinioni_spec_make(const pinion_node *node);
/* With its replicas. Also NULL. */
void pinioni_spec_free(struct deployment *d);

/* Nothing of it is missing. */
static inline bool
spec_is_whole(const struct deployment *d)
{
	return d != NULL && d->methods != NULL && d->batching != NULL && d->name != NULL &&
	    d->app != NULL && d->route != NULL && d->record != NULL;
}

/* Whether its replicas look at what comes. */
static inline bool
spec_has_rules(const struct deployment *d)
{
	return d->rules.max_queued != 0 || d->rules.queue_timeout_ns != 0;
}

#endif
