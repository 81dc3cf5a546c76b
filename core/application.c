/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/application.c - pinion_bind and pinion_run.
 */
#include "core/application.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/encode.h"
#include "core/route.h"
#include "core/thread.h"
#include "core/value.h"

void
pinioni_app_refuse(struct pinion_app *app, const char *format, ...)
{
	va_list list;

	if (app->failed.text[0] != '\0')
		return; /* the first reason is the one */
	va_start(list, format);
	(void)vsnprintf(
	    app->failed.text, sizeof app->failed.text, format, list); /* cut short: fine */
	va_end(list);
}

pinion_node *
pinion_build_fail(pinion_app *app, const char *format, ...)
{
	char text[sizeof app->failed.text];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* cut short: fine */
	va_end(list);
	pinioni_app_refuse(app, "%s", text);
	return NULL;
}

const char *
pinion_config_get(const pinion_config *config, const char *key, const char *otherwise)
{
	for (size_t i = 0; config != NULL && i < config->count; i++)
		if (strcmp(config->pairs[i].key, key) == 0)
			return config->pairs[i].value;
	return otherwise;
}

/* ---- checking a declaration ----------------------------------------------------------------- */

static const char *
bad_params(const pinion_params *params)
{
	if (params->count > PINION_ARGS_MAX)
		return "has more than 16 parameters";
	for (size_t i = 0; i < params->count; i++) {
		const pinion_param *p = &params->list[i];

		if (p->name == NULL || p->kind == PINION_KIND_NONE || p->kind >= PINION_KIND_NODE ||
		    p->kind == PINION_KIND_RESPONSE)
			return "has a parameter without a name or of no kind";
		if (p->kind == PINION_KIND_STRUCT &&
		    (p->align > 64 || (p->align & (p->align - 1)) != 0))
			return "has a struct parameter aligned to no power of two up to 64";
		for (size_t k = 0; k < i; k++)
			if (strcmp(params->list[k].name, p->name) == 0)
				return "has two parameters of one name";
	}
	return NULL;
}

static const char *
bad_methods(const pinion_deployment *d, const char **which)
{
	*which = "";
	if (d->methods.count == 0)
		return "has no methods";
	if (d->methods.count > METHODS_MAX)
		return "has too many methods";
	for (size_t i = 0; i < d->methods.count; i++) {
		const pinion_method *m = &d->methods.list[i];
		const char *bad;

		if (m->name == NULL || m->handler == NULL)
			return "has a method without a name or a handler";
		*which = m->name;
		bad = bad_params(&m->params);
		if (bad != NULL)
			return bad;
		for (size_t k = 0; k < i; k++)
			if (strcmp(d->methods.list[k].name, m->name) == 0)
				return "has two methods of one name";
	}
	return NULL;
}

/* NULL, or why a name cannot be shown as it is: one with a line's end would be two lines of a log. */
static const char *
bad_name(const char *name)
{
	if (name[0] == '\0')
		return "is empty";
	for (; *name != '\0'; name++)
		if ((unsigned char)*name < ' ' || *name == '\x7f')
			return "has a control character";
	return NULL;
}

static bool
check_bind_name(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	const char *name = d == NULL ? NULL : d->name, *bad;

	if (name == NULL || name[0] == '\0') {
		pinioni_app_refuse(
		    app, "bind %u: a deployment that is NULL or has no name", app->count + 1);
		return false;
	}
	bad = bad_name(o->name != NULL ? o->name : name);
	if (bad == NULL)
		bad = bad_name(name);
	if (bad != NULL)
		pinioni_app_refuse(app, "bind %u: the deployment's name %s", app->count + 1, bad);
	return bad == NULL;
}

static bool
check_numbers(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{ "num_replicas", o->num_replicas },
		{ "max_ongoing_requests", o->max_ongoing_requests },
		{ "max_queued_requests", o->max_queued_requests },
		{ "queue_timeout_ns", o->queue_timeout_ns },
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i].value < 0) {
			pinioni_app_refuse(app, "%s: %s is %lld, and may not be negative", d->name,
			    numbers[i].name, (long long)numbers[i].value);
			return false;
		}
	return true;
}

static bool
check_routing(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	enum routing policy;

	if (o->routing == NULL || pinioni_route_policy(o->routing, &policy))
		return true;
	pinioni_app_refuse(app,
	    "%s: routing is \"%s\": it may be least_loaded, round_robin, by_key, local", d->name,
	    o->routing);
	return false;
}

static bool
check_bind(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	const char *which = "", *bad;

	if (!check_bind_name(app, d, o))
		return false;
	bad = bad_methods(d, &which);
	if (bad == NULL && bad_params(&d->init_params) != NULL) {
		bad = bad_params(&d->init_params);
		which = "init";
	}
	if (bad != NULL) {
		pinioni_app_refuse(
		    app, "%s%s%s %s", d->name, which[0] == '\0' ? "" : ".", which, bad);
		return false;
	}
	if (!check_numbers(app, d, o) || !check_routing(app, d, o))
		return false;
	if (app->count == NODES_MAX) {
		pinioni_app_refuse(app, "%s: more than %d deployments", d->name, NODES_MAX);
		return false;
	}
	return true;
}

/* ---- bind ----------------------------------------------------------------------------------- */

static const pinion_node *
find_node(const struct pinion_app *app, const char *name)
{
	for (uint32_t i = 0; i < app->count; i++)
		if (strcmp(app->nodes[i]->name, name) == 0)
			return app->nodes[i];
	return NULL;
}

/* The given name, which must be new; else the deployment's own, made unique. */
static char *
unique_name(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	char text[128];

	if (o->name != NULL) {
		if (find_node(app, o->name) == NULL)
			return strdup(o->name);
		pinioni_app_refuse(app, "two deployments are named \"%s\"", o->name);
		return NULL;
	}
	(void)snprintf(text, sizeof text, "%s", d->name); /* a name cut short is fine */
	for (unsigned n = 2; find_node(app, text) != NULL; n++)
		(void)snprintf(text, sizeof text, "%.100s#%u", d->name, n);
	return strdup(text);
}

static bool
late_is(const struct late_method *a, const struct late_method *b)
{
	if (a->unknown != NULL || b->unknown != NULL)
		return a->unknown != NULL && b->unknown != NULL &&
		    strcmp(a->unknown, b->unknown) == 0;
	return a->method == b->method && a->timeout_ns == b->timeout_ns;
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

static pinion_handle
handle_for(
    struct pinion_runtime *rt, unsigned deployment, const pinion_methods *methods, const char *name)
{
	const struct late_method want = { .unknown = (char *)(uintptr_t)name };
	int late;

	for (size_t i = 0; i < methods->count; i++)
		if (strcmp(methods->list[i].name, name) == 0)
			return handle_make(rt->key, deployment, (unsigned)i, 0);
	late = intern_late(rt, &want);
	/* When there are too many: it names none. */
	return handle_make(rt->key, deployment, METHOD_LATE, late < 0 ? LATE_NONE : (unsigned)late);
}

/* Constructor arguments, with handles in place of nodes. */
static int
encode_init(struct pinion_app *app, pinion_node *node, pinion_args args)
{
	struct method m = { .name = "init",
		.params = node->declared->init_params.list,
		.param_count = (uint8_t)node->declared->init_params.count,
		.signature = UINT64_MAX };
	struct deployment d = { .name = node->name };
	pinion_value values[PINION_ARGS_MAX];
	struct complaint c = { .code = 0 };

	m.deployment = &d;
	for (uint32_t i = 0; i < args.count && i < PINION_ARGS_MAX; i++) {
		values[i] = args.values[i];
		if (values[i].kind != PINION_KIND_NODE)
			continue;
		if (values[i].as.node == NULL || values[i].as.node->app != app) {
			pinioni_app_refuse(app,
			    "%s: argument %u is a NULL node, or one of another application",
			    node->name, i);
			return -EINVAL;
		}
		values[i].kind = PINION_KIND_HANDLE;
		values[i].as.handle = handle_for(app->runtime, args.values[i].as.node->index,
		    &args.values[i].as.node->declared->methods, PINION_CALL);
	}
	args.values = values;
	if (pinioni_encode_plain(
		&m, args, node->record, sizeof node->record, &node->record_length, &c) == 0)
		return 0;
	pinioni_app_refuse(app, "%s", c.text);
	return c.code;
}

pinion_node *
pinion_bind_with(pinion_app *app, const pinion_deployment *d, const pinion_bind_options *options)
{
	struct pinion_runtime *rt = app->runtime;
	pinion_node *node;

	if (!check_bind(app, d, options))
		return NULL;
	node = calloc(1, sizeof *node);
	if (node == NULL) {
		pinioni_app_refuse(app, "%s: no memory", d->name);
		return NULL;
	}
	node->app = app;
	node->declared = d;
	node->num_replicas = options->num_replicas == 0 ? 1 : (uint32_t)options->num_replicas;
	node->max_ongoing = options->max_ongoing_requests == 0
	    ? PINION_MAX_ONGOING_DEFAULT
	    : (uint32_t)options->max_ongoing_requests;
	node->rules.max_queued = (uint32_t)options->max_queued_requests;
	node->rules.queue_timeout_ns = options->queue_timeout_ns;
	if (options->routing != NULL)
		(void)pinioni_route_policy(options->routing, &node->rules.routing); /* checked */
	node->index = (uint16_t)(rt->registry.deployment_count + app->count);
	node->name = unique_name(app, d, options);
	if (node->name == NULL || encode_init(app, node, options->args) != 0) {
		pinioni_app_refuse(app, "%s: no memory", d->name);
		free(node->name);
		free(node);
		return NULL;
	}
	app->nodes[app->count++] = node;
	return node;
}

/* ---- run ------------------------------------------------------------------------------------ */

static void
free_app(struct pinion_app *app)
{
	for (uint32_t i = 0; i < app->count; i++) {
		free(app->nodes[i]->name);
		free(app->nodes[i]);
	}
	free(app);
}

/* An ingress answers what is below "/-/" itself. */
static bool
prefix_is_reserved(const char *prefix)
{
	return prefix[0] == '/' && prefix[1] == '-' && (prefix[2] == '/' || prefix[2] == '\0');
}

static int
check_names(struct pinion_app *app, const char *prefix)
{
	struct pinion_runtime *rt = app->runtime;

	if (bad_name(app->name) != NULL)
		pinioni_app_refuse(app, "the application's name %s", bad_name(app->name));
	if (bad_name(prefix) != NULL)
		pinioni_app_refuse(app, "the route_prefix %s", bad_name(prefix));
	if (prefix[0] != '/')
		pinioni_app_refuse(app, "route_prefix \"%s\" does not begin with /", prefix);
	if (prefix_is_reserved(prefix))
		pinioni_app_refuse(app,
		    "route_prefix \"%s\" cannot be: what is below \"/-/\" is the runtime's own",
		    prefix);
	for (uint32_t i = 0; i < rt->app_count; i++) {
		if (strcmp(rt->apps[i].name, app->name) == 0)
			pinioni_app_refuse(
			    app, "an application named \"%s\" is running", app->name);
		if (strcmp(rt->apps[i].prefix, prefix) == 0)
			pinioni_app_refuse(app, "route_prefix \"%s\" is taken by \"%s\"", prefix,
			    rt->apps[i].name);
	}
	if (rt->app_count == APPLICATIONS_MAX)
		pinioni_app_refuse(app, "more than %d applications", APPLICATIONS_MAX);
	return app->failed.text[0] == '\0' ? 0 : -EINVAL;
}

static int
enter_app(struct pinion_app *app, const pinion_node *ingress, const char *prefix)
{
	struct pinion_runtime *rt = app->runtime;
	struct application *a = &rt->apps[rt->app_count];

	*a = (struct application){ .name = strdup(app->name),
		.prefix = strdup(prefix),
		.handle = handle_for(rt, ingress->index, &ingress->declared->methods, PINION_CALL),
		.first_deployment = app->nodes[0]->index,
		.deployment_count = app->count };
	if (a->name == NULL || a->prefix == NULL) {
		free(a->name);
		free(a->prefix);
		return -ENOMEM;
	}
	(void)pthread_mutex_lock(&rt->lock);
	rt->app_count++;
	(void)pthread_mutex_unlock(&rt->lock);
	return 0;
}

static int
deploy_all(struct pinion_app *app, const pinion_node *ingress, const char *prefix)
{
	struct pinion_runtime *rt = app->runtime;
	int err = 0;

	for (uint32_t i = 0; i < app->count && err == 0; i++)
		err = pinioni_deploy(app, app->nodes[i]);
	if (err == 0)
		err = enter_app(app, ingress, prefix);
	if (err == 0)
		return 0;
	for (uint32_t i = app->count; i-- > 0;)
		if (app->nodes[i]->deployment != NULL)
			pinioni_undeploy(rt, app->nodes[i]->deployment, app->nodes[i]->inited);
	return err;
}

static int
run(struct pinion_app *app, pinion_builder *builder, const pinion_run_options *o)
{
	const char *prefix = o->route_prefix;
	char text[128];
	pinion_node *ingress;
	int err;

	app->name = o->name == NULL ? "default" : o->name;
	(void)snprintf(text, sizeof text, "/%s", o->name == NULL ? "" : app->name);
	prefix = prefix != NULL ? prefix : strcmp(text, "/default") == 0 ? "/" : text;
	err = check_names(app, prefix);
	if (err != 0)
		return err;
	ingress = builder(app, o->config);
	if (ingress == NULL || ingress->app != app || app->failed.text[0] != '\0') {
		pinioni_app_refuse(app, "the builder of \"%s\" returned %s", app->name,
		    ingress == NULL ? "NULL: no ingress node" : "a node of another application");
		return -EINVAL;
	}
	err = deploy_all(app, ingress, prefix);
	if (err == 0 && o->handle != NULL)
		*o->handle = app->runtime->apps[app->runtime->app_count - 1].handle;
	return err;
}

int
pinion_run_with(pinion_runtime *rt, pinion_builder *builder, const pinion_run_options *o)
{
	struct pinion_app *app;
	int err;

	if (o->diag != NULL)
		o->diag->text[0] = '\0';
	if (rt == NULL || builder == NULL || thread_worker() != NULL) {
		if (o->diag != NULL)
			(void)snprintf(o->diag->text, sizeof o->diag->text, "%s",
			    rt == NULL            ? "the runtime is NULL"
				: builder == NULL ? "the builder is NULL"
						  : "a handler cannot run an application");
		return -EINVAL;
	}
	app = calloc(1, sizeof *app);
	if (app == NULL)
		return -ENOMEM;
	app->runtime = rt;
	(void)pthread_mutex_lock(&rt->run_lock);
	err = run(app, builder, o);
	(void)pthread_mutex_unlock(&rt->run_lock);
	if (err != 0 && o->diag != NULL)
		(void)snprintf(o->diag->text, sizeof o->diag->text, "%s",
		    app->failed.text[0] != '\0' ? app->failed.text : strerror(-err));
	free_app(app);
	return err;
}

static pinion_handle
with_timeout(struct pinion_runtime *rt, pinion_handle handle, int64_t timeout_ns)
{
	const struct late_method *late = registry_late(&rt->registry, handle);
	const struct late_method want = { .timeout_ns = timeout_ns,
		.method = late == NULL ? (uint8_t)handle_method(handle) : late->method };
	int at;

	if (late != NULL && late->unknown != NULL)
		return handle; /* calls say what is wrong */
	if (timeout_ns == 0)
		return handle_make(rt->key, handle_deployment(handle), want.method, 0);
	at = intern_late(rt, &want);
	return at < 0 ? (pinion_handle){ 0 }
		      : handle_make(rt->key, handle_deployment(handle), METHOD_LATE, (unsigned)at);
}

static pinion_handle
with_options_of(struct pinion_runtime *rt, pinion_handle from, pinion_handle handle)
{
	const struct late_method *late = registry_late(&rt->registry, from);

	return late == NULL || late->timeout_ns == 0 ? handle
						     : with_timeout(rt, handle, late->timeout_ns);
}

int
pinion_handle_with_options(pinion_handle handle, const pinion_handle_options *o)
{
	struct pinion_runtime *rt;
	int err = 0;

	if (o->timeout_ns < 0)
		return -EINVAL;
	rt = pinioni_runtimes_lock(handle_runtime(handle));
	if (rt == NULL)
		return -ESTALE;
	*o->handle = with_timeout(rt, handle, o->timeout_ns);
	if (o->handle->id == 0)
		err = -ENOSPC;
	pinioni_runtimes_unlock();
	return err;
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
		    rt, handle, handle_for(rt, d->index, &d->declared->methods, name));
	pinioni_runtimes_unlock();
	return handle;
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
