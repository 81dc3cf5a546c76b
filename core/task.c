/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/task.c - plain functions, run by a deployment of the runtime's own that has a replica on every worker.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/application.h"
#include "core/call.h"
#include "core/thread.h"

static int
run_task(void *state, pinion_request *r)
{
	struct pinion_runtime *rt = r->worker->runtime;
	unsigned function = r->message.function & MESSAGE_FUNCTION;
	pinion_task_fn *fn = NULL;

	(void)state;
	if (function < TASK_FUNCTIONS) {
		/* relaxed: P of the message came after it was registered. */
		fn = atomic_load_explicit(&rt->tasks[function], memory_order_relaxed);
	}
	return fn == NULL ? -EBADMSG : fn(r);
}

static const pinion_deployment tasks = {
	.name = "task",
	.methods = PINION_METHODS(PINION_METHOD("run", run_task, .returns = PINION_RETURNS_STR)),
};

int
pinioni_deploy_tasks(struct pinion_runtime *rt)
{
	struct pinion_app *app = calloc(1, sizeof *app);
	pinion_node *node = calloc(1, sizeof *node);
	int err = app == NULL || node == NULL ? -ENOMEM : 0;

	if (err == 0) {
		app->runtime = rt;
		app->name = app->prefix = "";
		*node = (pinion_node){ .app = app,
			.declared = &tasks,
			.name = (char[]){ "task" },
			.num_replicas = rt->own_count,
			.max_ongoing = PINION_MAX_ONGOING_DEFAULT };
		err = pinioni_deploy(app, node);
	}
	if (err == 0) {
		node->deployment->methods[0].any_params = true;
		node->deployment->methods[0].signature = UINT64_MAX;
	}
	free(node);
	free(app);
	return err;
}

/* The number of a function, the same whenever it is asked for. */
static int
task_index(struct pinion_runtime *rt, pinion_task_fn *fn)
{
	int at = -ENOSPC;

	for (int i = 0; i < TASK_FUNCTIONS; i++) {
		/* relaxed: a miss is looked at again under the lock. */
		pinion_task_fn *there = atomic_load_explicit(&rt->tasks[i], memory_order_relaxed);

		if (there == fn)
			return i;
		if (there == NULL)
			break;
	}
	(void)pthread_mutex_lock(&rt->lock);
	for (int i = 0; i < TASK_FUNCTIONS && at < 0; i++) {
		pinion_task_fn *there =
		    /* relaxed twice: under the lock; told to workers by P. */
		    atomic_load_explicit(&rt->tasks[i], memory_order_relaxed);

		if (there == NULL)
			atomic_store_explicit(&rt->tasks[i], fn, memory_order_relaxed);
		if (there == NULL || there == fn)
			at = i;
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return at;
}

pinion_response
pinioni_task_submit(pinion_port *port, pinion_task_fn *fn, pinion_args args)
{
	const struct deployment *d = registry_deployment(&port->runtime->registry, DEPLOYMENT_TASK);
	int index = fn == NULL ? -EINVAL : task_index(port->runtime, fn);
	struct call_how how = { .function = (uint16_t)index };

	if (port->is_granted)
		return pinioni_port_fail(port, -EINVAL, &d->methods[0],
		    "a function of this process cannot run in another");
	if (index < 0)
		return pinioni_port_fail(port, index, &d->methods[0], "%s",
		    fn == NULL ? "the function is NULL" : "too many different functions");
	return pinioni_submit(port, &d->methods[0], &args, &how);
}

pinion_response
pinion_task_on(pinion_runtime *rt, pinion_task_fn *fn, pinion_args args)
{
	struct port_shell *shell;
	pinion_response r = { .generation = EINVAL, .port = UINT32_MAX, .slot = RESPONSE_NOWHERE };
	int err = -EINVAL;
	pinion_port *port = rt == NULL ? NULL : port_enter(rt->key, &shell, &err);

	if (port == NULL) {
		r.generation = (uint64_t)-err;
		return r;
	}
	r = pinioni_task_submit(port, fn, args);
	port_leave(shell);
	return r;
}

pinion_response
pinion_task_of(pinion_request *r, pinion_task_fn *fn, pinion_args args)
{
	return pinioni_task_submit(r->worker->port, fn, args);
}
