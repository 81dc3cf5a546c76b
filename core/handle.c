/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/handle.c - handles: by an application's or a method's name, with options, and what they say.
 */
#include <errno.h>
#include <string.h>

#include "core/application.h"
#include "core/attach.h"
#include "core/thread.h"

static bool
late_is(const struct late_method *a, const struct late_method *b)
{
	if (a->unknown != NULL || b->unknown != NULL)
		return a->unknown != NULL && b->unknown != NULL &&
		    strcmp(a->unknown, b->unknown) == 0;
	return a->method == b->method && a->timeout_ns == b->timeout_ns &&
	    a->priority == b->priority;
}

/* Under the lock. -ENOSPC, -ENOMEM. */
static int
intern_locked(struct registry *g, const struct late_method *want)
{
	struct late_method *late = &g->late[g->late_count];

	for (uint32_t i = 0; i < g->late_count; i++)
		if (late_is(&g->late[i], want))
			return (int)i;
	if (g->late_count == LATE_METHODS)
		return -ENOSPC;
	*late = *want;
	if (want->unknown != NULL && (late->unknown = strdup(want->unknown)) == NULL)
		return -ENOMEM;
	return (int)g->late_count++;
}

/* The same whenever it is asked for. */
static int
intern_late(struct pinion_runtime *rt, const struct late_method *want)
{
	int at;

	(void)pthread_mutex_lock(&rt->lock);
	at = intern_locked(&rt->registry, want);
	(void)pthread_mutex_unlock(&rt->lock);
	return at;
}

pinion_handle
pinioni_handle_locked(
    struct pinion_runtime *rt, unsigned deployment, const pinion_methods *methods, const char *name)
{
	const struct late_method want = { .unknown = (char *)(uintptr_t)name };
	int late;

	for (size_t i = 0; i < methods->count; i++)
		if (strcmp(methods->list[i].name, name) == 0)
			return handle_make(rt->key, deployment, (unsigned)i, 0);
	late = intern_locked(&rt->registry, &want);
	/* When there are too many: it names none. */
	return handle_make(rt->key, deployment, METHOD_LATE, late < 0 ? LATE_NONE : (unsigned)late);
}

pinion_handle
pinioni_handle_for(
    struct pinion_runtime *rt, unsigned deployment, const pinion_methods *methods, const char *name)
{
	pinion_handle handle;

	(void)pthread_mutex_lock(&rt->lock);
	handle = pinioni_handle_locked(rt, deployment, methods, name);
	(void)pthread_mutex_unlock(&rt->lock);
	return handle;
}

static pinion_handle
with_options(
    struct pinion_runtime *rt, pinion_handle handle, int64_t timeout_ns, pinion_priority priority)
{
	const struct late_method *late = registry_late(&rt->registry, handle);
	const struct late_method want = {
		.timeout_ns = timeout_ns == 0 && late != NULL ? late->timeout_ns : timeout_ns,
		.priority = priority == PINION_PRIORITY_NORMAL && late != NULL ? late->priority
									       : (uint8_t)priority,
		.method = late == NULL ? (uint8_t)handle_method(handle) : late->method
	};
	int at;

	if (late != NULL && late->unknown != NULL)
		return handle; /* calls say what is wrong */
	if (want.timeout_ns == 0 && want.priority == PINION_PRIORITY_NORMAL)
		return handle_make(rt->key, handle_deployment(handle), want.method, 0);
	at = intern_late(rt, &want);
	return at < 0 ? (pinion_handle){ 0 }
		      : handle_make(rt->key, handle_deployment(handle), METHOD_LATE, (unsigned)at);
}

static pinion_handle
with_options_of(struct pinion_runtime *rt, pinion_handle from, pinion_handle handle)
{
	const struct late_method *late = registry_late(&rt->registry, from);

	return late == NULL
	    ? handle
	    : with_options(rt, handle, late->timeout_ns, (pinion_priority)late->priority);
}

int
pinion_handle_with_options(pinion_handle handle, const pinion_handle_options *o)
{
	struct pinion_runtime *rt;
	int err = 0;

	if (o->diag != NULL)
		o->diag->text[0] = '\0';
	if (o->timeout_ns < 0)
		return pinioni_refuse(o->diag, -EINVAL,
		    "timeout_ns is %lld, and may not be negative", (long long)o->timeout_ns);
	if (o->priority != PINION_PRIORITY_NORMAL && o->priority != PINION_PRIORITY_HIGH)
		return pinioni_refuse(
		    o->diag, -EINVAL, "priority is %d: there is none such", (int)o->priority);
	rt = pinioni_runtimes_lock(handle_runtime(handle));
	if (rt == NULL)
		return pinioni_refuse(o->diag, -ESTALE, "the handle's runtime has stopped");
	*o->handle = with_options(rt, handle, o->timeout_ns, o->priority);
	if (o->handle->id == 0)
		err = pinioni_refuse(
		    o->diag, -ENOSPC, "more than %d handles with options", LATE_METHODS);
	pinioni_runtimes_unlock();
	return err;
}

/* Under the lock. NULL: there is none. */
static const struct deployment *
deployment_named(const struct pinion_runtime *rt, const struct application *a, const char *name)
{
	for (uint32_t i = 0; i < a->deployment_count; i++) {
		const struct deployment *d =
		    registry_deployment(&rt->registry, a->first_deployment + i);

		if (strcmp(d->name, name) == 0)
			return d;
	}
	return NULL;
}

static bool
is_known(pinion_runtime *rt, const char *app)
{
	bool is;

	(void)pthread_mutex_lock(&rt->lock);
	is = pinioni_application_named(rt, app) != NULL;
	(void)pthread_mutex_unlock(&rt->lock);
	return is;
}

int
pinion_handle_find(
    pinion_runtime *rt, const char *app, const char *deployment, pinion_handle *handle)
{
	const struct deployment *d = NULL;
	const struct application *a;
	int err = -ENOENT;

	if (rt == NULL || app == NULL)
		return -EINVAL;
	if (rt->attached != NULL && !is_known(rt, app))
		(void)!pinioni_attached_renew(rt); /* it may run since; else it is not found */
	(void)pthread_mutex_lock(&rt->lock);
	a = pinioni_application_named(rt, app);
	if (a != NULL && deployment == NULL) {
		*handle = a->handle;
		err = 0;
	} else if (a != NULL) {
		d = deployment_named(rt, a, deployment);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	if (d == NULL)
		return err;
	*handle = pinioni_handle_for(rt, d->index, &d->declared->methods, PINION_CALL);
	return 0;
}

int
pinion_handle_methods(pinion_handle handle, pinion_methods *methods)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(handle_runtime(handle));
	const struct deployment *d;

	if (rt == NULL)
		return -ESTALE;
	d = registry_deployment(&rt->registry, handle_deployment(handle));
	if (d != NULL)
		*methods = d->declared->methods;
	pinioni_runtimes_unlock();
	return d == NULL ? -ESTALE : 0;
}

pinion_handle
pinion_method_of(pinion_handle handle, const char *name)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(handle_runtime(handle));
	const struct deployment *d;

	if (rt == NULL)
		return handle;
	d = registry_deployment(&rt->registry, handle_deployment(handle));
	if (d != NULL && d->declared != NULL && name != NULL)
		handle = with_options_of(
		    rt, handle, pinioni_handle_for(rt, d->index, &d->declared->methods, name));
	pinioni_runtimes_unlock();
	return handle;
}

unsigned
pinion_replica_count(pinion_handle handle)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(handle_runtime(handle));
	unsigned count = 0;

	if (rt == NULL)
		return 0;
	/* What is being changed just now counts as it is said: it is for people. */
	if (registry_deployment(&rt->registry, handle_deployment(handle)) != NULL)
		count =
		    directory_hear32(&rt->directory.deployments[handle_deployment(handle)].count);
	pinioni_runtimes_unlock();
	return count;
}

bool
pinion_handle_streams(pinion_handle handle)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(handle_runtime(handle));
	const struct method *m;
	bool streams;

	if (rt == NULL)
		return false;
	m = registry_method(&rt->registry, handle);
	streams = m != NULL && m->item_size != 0;
	pinioni_runtimes_unlock();
	return streams;
}

int
pinion_handle_describe(pinion_handle handle, pinion_params *params, pinion_returns *returns)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(handle_runtime(handle));
	const struct method *m;
	int err = -ESTALE;

	if (rt == NULL)
		return err;
	m = registry_method(&rt->registry, handle);
	if (m != NULL) {
		*params = (pinion_params){ m->params, m->param_count };
		*returns = m->item_size != 0 ? m->items : m->returns;
		err = 0;
	} else if (registry_deployment(&rt->registry, handle_deployment(handle)) != NULL) {
		err = -EINVAL;
	}
	pinioni_runtimes_unlock();
	return err;
}
