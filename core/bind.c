/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/bind.c - pinion_bind: a declaration and its options are checked, and become a node of the graph.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/encode.h"
#include "core/options.h"
#include "core/value.h"

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
bad_batching(const pinion_method *m)
{
	if (m->batch != NULL && m->handler != NULL)
		return "has a handler and a batch handler";
	if (m->batch == NULL &&
	    (m->max_batch_size != 0 || m->batch_wait_ns != 0 || m->max_concurrent_batches != 0 ||
		m->size_of != NULL))
		return "has options of batches and no batch handler";
	if (m->max_batch_size < 0 || m->max_batch_size > PINION_BATCH_SIZE_MAX)
		return "has a max_batch_size that is not 1 to 65536";
	if (m->batch_wait_ns < 0)
		return "has a negative batch_wait_ns";
	if (m->max_concurrent_batches < 0)
		return "has a negative max_concurrent_batches";
	return NULL;
}

static const char *
bad_models(const pinion_deployment *d)
{
	if ((d->load_model == NULL) != (d->max_models == 0))
		return "has one of load_model and max_models without the other";
	return d->max_models < 0 ? "has a negative max_models" : NULL;
}

static const char *
bad_init(const pinion_params *params)
{
	for (size_t i = 0; i < params->count; i++)
		if (params->list[i].kind == PINION_KIND_STREAM)
			return "has a parameter that is a stream, which only calls have";
	return bad_params(params);
}

static const char *
bad_returns(const pinion_method *m)
{
	return m->returns.kind == PINION_KIND_RESPONSE || m->returns.kind == PINION_KIND_STREAM ||
		m->returns.kind >= PINION_KIND_NODE
	    ? "returns what is no value"
	    : NULL;
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

		if (m->name == NULL || (m->handler == NULL && m->batch == NULL))
			return "has a method without a name or a handler";
		*which = m->name;
		bad = bad_batching(m);
		if (bad != NULL)
			return bad;
		bad = bad_params(&m->params);
		if (bad == NULL)
			bad = bad_returns(m);
		if (bad != NULL)
			return bad;
		for (size_t k = 0; k < i; k++)
			if (strcmp(d->methods.list[k].name, m->name) == 0)
				return "has two methods of one name";
	}
	return NULL;
}

const char *
pinioni_bad_name(const char *name)
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
	bad = pinioni_bad_name(o->name != NULL ? o->name : name);
	if (bad == NULL)
		bad = pinioni_bad_name(name);
	if (bad != NULL)
		pinioni_app_refuse(app, "bind %u: the deployment's name %s", app->count + 1, bad);
	return bad == NULL;
}

static bool
check_bind(struct pinion_app *app, const pinion_deployment *d, const pinion_bind_options *o)
{
	const char *which = "", *bad;

	if (!check_bind_name(app, d, o))
		return false;
	bad = bad_methods(d, &which);
	if (bad == NULL && bad_models(d) != NULL) {
		bad = bad_models(d);
		which = "";
	}
	if (bad == NULL && bad_init(&d->init_params) != NULL) {
		bad = bad_init(&d->init_params);
		which = "init";
	}
	if (bad != NULL) {
		pinioni_app_refuse(
		    app, "%s%s%s %s", d->name, which[0] == '\0' ? "" : ".", which, bad);
		return false;
	}
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
		values[i].as.handle =
		    pinioni_handle_for(app->runtime, args.values[i].as.node->index,
			&args.values[i].as.node->declared->methods, PINION_CALL);
	}
	args.values = values;
	if (pinioni_encode_plain(
		&m, args, node->record, sizeof node->record, &node->record_length, &c) == 0)
		return 0;
	pinioni_app_refuse(app, "%s", c.text);
	return c.code;
}

void
pinioni_node_free(pinion_node *node)
{
	pinioni_options_free(node);
	free(node->name);
	free(node);
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
	node->index = (uint16_t)(rt->registry.deployment_count + app->count);
	node->name = unique_name(app, d, options);
	if (node->name == NULL || pinioni_options_take(app, node, options) != 0 ||
	    encode_init(app, node, options->args) != 0) {
		pinioni_app_refuse(app, "%s: no memory", d->name);
		pinioni_node_free(node);
		return NULL;
	}
	app->nodes[app->count++] = node;
	return node;
}
