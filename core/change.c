/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/change.c - a deployment is changed while calls fly: more or fewer replicas, other limits, another text.
 *
 * Threads   Any that is no worker's, one at a time: under run_lock. What a replica's worker owns is changed on that worker.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/batch.h"
#include "core/replica.h"
#include "core/thread.h"

/* NULL: there is none. Under run_lock. */
static struct deployment *
find(struct pinion_runtime *rt, const char *app, const char *name)
{
	for (uint32_t i = 0; i < rt->registry.deployment_count; i++) {
		struct deployment *d =
		    (struct deployment *)(uintptr_t)registry_deployment(&rt->registry, i);

		if (d->is_live && i != DEPLOYMENT_TASK && strcmp(d->name, name) == 0 &&
		    strcmp(d->app, app) == 0)
			return d;
	}
	return NULL;
}

static int
scale(struct pinion_runtime *rt, struct deployment *d, uint32_t count, int64_t limit_ns,
    pinion_diag *diag)
{
	char text[FAULT_TEXT] = "";
	uint32_t now = deployment_is_isolated(d) ? d->wanted : deployment_count(d);
	int err = 0;

	if (count > now)
		err = pinioni_deployment_grow(rt, d, count, text);
	else if (count < now)
		pinioni_deployment_shrink(rt, d, count, limit_ns);
	return err == 0
	    ? 0
	    : pinioni_refuse(diag, err, "%s: %s", d->name, text[0] != '\0' ? text : strerror(-err));
}

/* ---- limits --------------------------------------------------------------------------------- */

static void
set_ongoing(struct deployment *d, uint32_t most)
{
	d->max_ongoing = most;
	for (uint32_t i = 0; i < d->own_count; i++)
		pinioni_replica_limit(d->own[i], most);
}

static void
change_batching(struct worker *w, void *arg)
{
	const struct replica *r = arg;
	const struct deployment *d = r->deployment;

	(void)w;
	for (size_t i = 0; r->batchers != NULL && i < d->method_count; i++) {
		r->batchers[i].max_size = d->batching[i].max_size;
		r->batchers[i].max_running = d->batching[i].max_running;
		r->batchers[i].wait_ns = d->batching[i].wait_ns;
	}
}

static void
set_batching(struct deployment *d, const pinion_change_options *o)
{
	for (size_t i = 0; i < d->method_count; i++) {
		struct batching *b = &d->batching[i];

		if (o->max_batch_size != 0)
			b->max_size = (uint32_t)o->max_batch_size;
		if (o->max_concurrent_batches != 0)
			b->max_running = (uint32_t)o->max_concurrent_batches;
		if (o->batch_wait_ns != 0)
			b->wait_ns = o->batch_wait_ns;
	}
	for (uint32_t i = 0; i < d->own_count; i++)
		pinioni_worker_control(d->own[i]->worker, change_batching, d->own[i]);
}

/* ---- user_config ---------------------------------------------------------------------------- */

/* Those before `end` have had the text that is taken back. */
static void
take_back(struct pinion_runtime *rt, struct deployment *d, uint32_t end, int64_t limit_ns)
{
	char text[FAULT_TEXT];

	for (uint32_t i = 0; i < end; i++)
		if (pinioni_replica_reconfigure(d->own[i], limit_ns, text) != 0)
			pinioni_runtime_log(rt,
			    "%s: replica %u does not take its old user_config: %s", d->name, i,
			    text);
}

static int
set_user_config(struct pinion_runtime *rt, struct deployment *d, const pinion_change_options *o,
    int64_t limit_ns)
{
	char *old = d->user_config, *fresh = strdup(o->user_config);

	if (fresh == NULL)
		return -ENOMEM;
	d->user_config = fresh;
	for (uint32_t i = 0; i < deployment_count(d); i++) {
		char text[FAULT_TEXT];
		int err = pinioni_replica_reconfigure(d->own[i], limit_ns, text);

		if (err == 0)
			continue;
		d->user_config = old;
		take_back(rt, d, i, limit_ns);
		free(fresh);
		return pinioni_refuse(o->diag, err, "%s: reconfigure of replica %u failed: %s",
		    d->name, i, text[0] != '\0' ? text : strerror(-err));
	}
	free(old);
	return 0;
}

/* ---- asked for ------------------------------------------------------------------------------ */

static int
check_numbers(const pinion_change_options *o)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{ "num_replicas", o->num_replicas },
		{ "max_ongoing_requests", o->max_ongoing_requests },
		{ "max_queued_requests", o->max_queued_requests },
		{ "max_batch_size", o->max_batch_size },
		{ "batch_wait_ns", o->batch_wait_ns },
		{ "max_concurrent_batches", o->max_concurrent_batches },
		{ "timeout_ns", o->timeout_ns },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i].value < 0)
			return pinioni_refuse(o->diag, -EINVAL,
			    "%s: %s is %lld, and may not be negative", o->deployment,
			    numbers[i].name, (long long)numbers[i].value);
	return o->max_batch_size > PINION_BATCH_SIZE_MAX
	    ? pinioni_refuse(o->diag, -EINVAL, "%s: max_batch_size is %d, of %d", o->deployment,
		  o->max_batch_size, PINION_BATCH_SIZE_MAX)
	    : 0;
}

static int
check(const struct deployment *d, const pinion_change_options *o)
{
	if (deployment_is_isolated(d) &&
	    (o->user_config != NULL || o->max_ongoing_requests != 0 ||
		o->max_queued_requests != 0 || o->max_batch_size != 0 || o->batch_wait_ns != 0 ||
		o->max_concurrent_batches != 0))
		return pinioni_refuse(o->diag, -EOPNOTSUPP,
		    "%s runs in processes of its own: but for num_replicas it is not changed while it runs",
		    d->name);
	if (o->user_config != NULL && d->declared->reconfigure == NULL)
		return pinioni_refuse(
		    o->diag, -EINVAL, "%s has no reconfigure to read a user_config", d->name);
	if (o->max_queued_requests != 0 && d->rules.max_queued == 0)
		return pinioni_refuse(o->diag, -EINVAL,
		    "%s was bound without max_queued_requests: there are none to change", d->name);
	if ((o->max_batch_size != 0 || o->batch_wait_ns != 0 || o->max_concurrent_batches != 0) &&
	    !pinioni_batch_is_declared(d->declared))
		return pinioni_refuse(o->diag, -EINVAL,
		    "%s has no batch handler: there is no %s to change", d->name,
		    o->max_batch_size != 0      ? "max_batch_size"
			: o->batch_wait_ns != 0 ? "batch_wait_ns"
						: "max_concurrent_batches");
	return 0;
}

/* What may be refused, or may not be had, before anything is changed. */
static int
prepare(struct pinion_runtime *rt, struct deployment *d, const pinion_change_options *o)
{
	char text[FAULT_TEXT] = "";
	int err = check(d, o);

	if (err != 0)
		return err;
	err = pinioni_deployment_raise(rt, d, (uint32_t)o->max_ongoing_requests, text);
	return err == 0 ? 0
			: pinioni_refuse(o->diag, err, "%s: %s", d->name,
			      text[0] != '\0' ? text : "no memory for max_ongoing_requests");
}

static int
change(struct pinion_runtime *rt, struct deployment *d, const pinion_change_options *o)
{
	int64_t limit_ns = o->timeout_ns != 0 ? o->timeout_ns : rt->drain_ns;
	int err = prepare(rt, d, o);

	if (err == 0 && o->user_config != NULL)
		err = set_user_config(rt, d, o, limit_ns);
	if (err != 0)
		return err;
	if (o->max_ongoing_requests != 0)
		set_ongoing(d, (uint32_t)o->max_ongoing_requests);
	if (o->max_queued_requests != 0) {
		d->rules.max_queued = (uint32_t)o->max_queued_requests;
		pinioni_deployment_share(d, deployment_count(d));
	}
	if (o->max_batch_size != 0 || o->batch_wait_ns != 0 || o->max_concurrent_batches != 0)
		set_batching(d, o);
	return o->num_replicas == 0 ? 0
				    : scale(rt, d, (uint32_t)o->num_replicas, limit_ns, o->diag);
}

int
pinion_reconfigure_with(pinion_runtime *rt, const pinion_change_options *o)
{
	const char *app = o->app == NULL ? "default" : o->app;
	struct deployment *d;
	int err;

	if (o->diag != NULL)
		o->diag->text[0] = '\0';
	if (rt == NULL || o->deployment == NULL || rt->attached != NULL || thread_worker() != NULL)
		return pinioni_refuse(o->diag, -EINVAL, "%s",
		    rt == NULL                  ? "the runtime is NULL"
			: o->deployment == NULL ? "the deployment is NULL"
			: rt->attached != NULL ? "the runtime is another process's: that changes it"
					       : "a handler cannot change a deployment");
	err = check_numbers(o);
	if (err != 0)
		return err;
	(void)pthread_mutex_lock(&rt->run_lock);
	d = find(rt, app, o->deployment);
	err = d == NULL ? pinioni_refuse(o->diag, -ENOENT,
			      "the application \"%s\" has no deployment \"%s\"", app, o->deployment)
			: change(rt, d, o);
	(void)pthread_mutex_unlock(&rt->run_lock);
	return err;
}

int
pinion_scale(pinion_runtime *rt, const char *app, const char *deployment, int32_t replicas,
    pinion_diag *diag)
{
	if (replicas == 0)
		return pinioni_refuse(diag, -EINVAL, "num_replicas is 0: 1 at least");
	return pinion_reconfigure(
	    rt, deployment, .app = app, .num_replicas = replicas, .diag = diag);
}
