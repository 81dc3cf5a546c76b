/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/application.c - pinion_run: a graph is built, and made live.
 */
#include "core/application.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/options.h"
#include "core/thread.h"

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

/* ---- run ------------------------------------------------------------------------------------ */

static void
free_app(struct pinion_app *app)
{
	for (uint32_t i = 0; i < app->count; i++)
		pinioni_node_free(app->nodes[i]);
	free(app);
}

/* An ingress answers what is below "/-/" itself. */
static bool
prefix_is_reserved(const char *prefix)
{
	return prefix[0] == '/' && prefix[1] == '-' && (prefix[2] == '/' || prefix[2] == '\0');
}

/* Below which the same paths lie: with or without a slash at the end. */
static bool
prefix_is(const char *a, const char *b)
{
	size_t m = strlen(a), n = strlen(b);

	m -= m > 1 && a[m - 1] == '/';
	n -= n > 1 && b[n - 1] == '/';
	return m == n && memcmp(a, b, m) == 0;
}

static int
check_names(struct pinion_app *app, const char *prefix)
{
	struct pinion_runtime *rt = app->runtime;

	if (pinioni_bad_name(app->name) != NULL)
		pinioni_app_refuse(app, "the application's name %s", pinioni_bad_name(app->name));
	if (pinioni_bad_name(prefix) != NULL)
		pinioni_app_refuse(app, "the route_prefix %s", pinioni_bad_name(prefix));
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
		if (prefix_is(rt->apps[i].prefix, prefix))
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
		.handle = pinioni_handle_for(
		    rt, ingress->index, &ingress->declared->methods, PINION_CALL),
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
			pinioni_undeploy(rt, app->nodes[i]->deployment);
	return err;
}

/* By bind or a file. */
static int
check_batching(struct pinion_app *app)
{
	for (uint32_t i = 0; i < app->count; i++) {
		const struct batching *b = &app->nodes[i]->batching;

		if ((b->max_size == 0 && b->max_running == 0 && b->wait_ns == 0) ||
		    pinioni_batch_is_declared(app->nodes[i]->declared))
			continue;
		pinioni_app_refuse(app, "%s has no batch handler: there is no batch for %s",
		    app->nodes[i]->name,
		    b->max_size != 0      ? "max_batch_size"
			: b->wait_ns != 0 ? "batch_wait_ns"
					  : "max_concurrent_batches");
		return -EINVAL;
	}
	return 0;
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
	app->prefix = prefix;
	err = check_names(app, prefix);
	if (err != 0)
		return err;
	ingress = builder(app, o->config);
	if (ingress == NULL || ingress->app != app || app->failed.text[0] != '\0') {
		pinioni_app_refuse(app, "the builder of \"%s\" returned %s", app->name,
		    ingress == NULL ? "NULL: no ingress node" : "a node of another application");
		return -EINVAL;
	}
	err = pinioni_options_override(app, &o->overrides);
	for (uint32_t i = 0; i < app->count; i++)
		app->nodes[i]->host_command = o->host_command;
	if (err == 0)
		err = check_batching(app);
	if (err == 0 && o->plan != NULL) {
		pinioni_options_plan(app, ingress, o);
		return 0;
	}
	if (err == 0)
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
	if (rt == NULL || builder == NULL || rt->attached != NULL || thread_worker() != NULL)
		return pinioni_refuse(o->diag, -EINVAL, "%s",
		    rt == NULL            ? "the runtime is NULL"
			: builder == NULL ? "the builder is NULL"
			: rt->attached != NULL
			? "the runtime is another process's: that runs applications"
			: "a handler cannot run an application");
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
