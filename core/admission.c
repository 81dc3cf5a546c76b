/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/admission.c - the rules of a replica's queue.
 */
#include "core/admission.h"

#include <errno.h>

#include "core/record.h"
#include "core/runtime.h"
#include "core/worker.h"

/* As many as it may have waiting, and could start now. */
static uint32_t
room_of(const struct replica *replica)
{
	uint32_t most = replica->max_ongoing;

	return replica->queue_share + (replica->ongoing < most ? most - replica->ongoing : 0);
}

/* By a sibling that saw us idle: it is taken in even if we are no more, for it may have been admitted there. */
static bool
was_given(const struct pinion_request *r)
{
	return (r->message.flags & MESSAGE_GIVEN) != 0;
}

static void
refuse(struct pinion_request *r)
{
	const struct deployment *d = r->replica->deployment;

	pinioni_request_fail(r, -ENOBUFS, PINION_ORIGIN_RUNTIME,
	    "%s has %u requests queued, of %u max_queued_requests for %u replicas", d->name,
	    r->replica->queued, r->replica->queue_max, deployment_count(d));
}

/* It stays in the queue until its turn comes; there it is seen to have ended. */
static void
end_stale(struct worker *w, struct timer *t)
{
	struct pinion_request *r = caa_container_of(t, struct pinion_request, stale);

	r->depth |= REQUEST_OVERDUE;
	r->inside = true;
	pinioni_request_fail(r, -ETIMEDOUT, PINION_ORIGIN_RUNTIME,
	    "%s did not start it within its queue_timeout_ns of %lld", r->replica->deployment->name,
	    (long long)r->replica->deployment->rules.queue_timeout_ns);
	pinioni_worker_park_ended(w, r);
}

/* An argument's error is what it ends with, whether there is room or not. */
static bool
has_failed(struct pinion_request *r)
{
	return r->message.refs != 0 && pinioni_record_decode(r) != 0;
}

bool
pinioni_admission_ask(struct pinion_request *r)
{
	struct replica *replica = r->replica;
	const struct deployment_rules *rules = &replica->deployment->rules;
	struct worker *w = r->worker;

	if (replica->queue_max != 0 && !was_given(r) && replica->queued >= room_of(replica)) {
		r->lane = NULL; /* what ends in here looks at no lane, or it would nest */
		if (!has_failed(r) && !pinioni_worker_give_surplus(w, r))
			refuse(r);
		return false;
	}
	replica->queued++;
	r->is_admitted = true;
	if (rules->queue_timeout_ns != 0) {
		r->stale = (struct timer){ .at = clock_now(&w->runtime->clock) +
			    (uint64_t)rules->queue_timeout_ns,
			.due = end_stale };
		/* Without memory it waits like others. */
		(void)!pinioni_timers_add(&w->timers, w->heap, &r->stale);
	}
	return true;
}

void
pinioni_admission_leave(struct pinion_request *r)
{
	r->is_admitted = false;
	r->replica->queued--;
	pinioni_timers_drop(&r->worker->timers, &r->stale);
}

bool
pinioni_admission_may_move(const struct pinion_request *r)
{
	const struct deployment *d = r->replica->deployment;

	return deployment_count(d) > 1 && (r->message.function & MESSAGE_FIXED) == 0 &&
	    d->rules.routing != ROUTE_BY_KEY && d->rules.routing != ROUTE_LOCAL;
}
