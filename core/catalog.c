/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/catalog.c - see core/catalog.h.
 */
#include "core/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/packed.h"
#include "core/spec.h"
#include "core/value.h"

#define CATALOG_MARK UINT64_C(0x01026e6f696e6970) /* "pinion", 2, 1 */

enum {
	CATALOG_MAX = 64 << 20, /* bytes that are read */
	METHOD_STREAMS = 1,
	PARAM_OPTIONAL = 1,
};

/* ---- writing -------------------------------------------------------------------------------- */

static void
put_returns(struct packer *w, const pinion_returns *r)
{
	pinioni_pack_number(w, r->kind);
	pinioni_pack_number(w, r->size);
	pinioni_pack_number(w, r->align);
}

static void
put_param(struct packer *w, const pinion_param *p)
{
	bool is_text = p->kind == PINION_KIND_STR && p->optional;
	uint64_t bits = 0;

	pinioni_pack_text(w, p->name, strlen(p->name));
	pinioni_pack_number(w, p->kind);
	pinioni_pack_number(w, p->size);
	pinioni_pack_number(w, p->align);
	pinioni_pack_number(w, p->optional ? PARAM_OPTIONAL : 0);
	if (!is_text)
		memcpy(&bits, &p->otherwise, sizeof bits);
	pinioni_pack_number(w, p->kind == PINION_KIND_BOOL ? p->otherwise.boolean : bits);
	pinioni_pack_text(w, is_text && p->otherwise.str.data != NULL ? p->otherwise.str.data : "",
	    is_text ? p->otherwise.str.len : 0);
}

static void
put_method(struct packer *w, const pinion_method *m)
{
	pinioni_pack_text(w, m->name, strlen(m->name));
	pinioni_pack_number(w, m->stream ? METHOD_STREAMS : 0);
	put_returns(w, &m->returns);
	pinioni_pack_number(w, m->result_max);
	pinioni_pack_number(w, m->params.count);
	for (size_t i = 0; i < m->params.count; i++)
		put_param(w, &m->params.list[i]);
}

static void
put_deployment(struct packer *w, const struct deployment *d)
{
	pinioni_pack_number(w, d->index);
	pinioni_pack_number(w, d->rules.routing);
	pinioni_pack_text(w, d->name, strlen(d->name));
	pinioni_pack_text(w, d->app, strlen(d->app));
	pinioni_pack_text(w, d->route, strlen(d->route));
	pinioni_pack_number(w, d->method_count);
	for (size_t i = 0; i < d->method_count; i++)
		put_method(w, &d->declared->methods.list[i]);
}

static void
put_application(struct packer *w, const struct application *a)
{
	pinioni_pack_text(w, a->name, strlen(a->name));
	pinioni_pack_text(w, a->prefix, strlen(a->prefix));
	pinioni_pack_number(w, handle_deployment(a->handle));
	pinioni_pack_number(w, a->first_deployment);
	pinioni_pack_number(w, a->deployment_count);
}

int
pinioni_catalog_write(const struct pinion_runtime *rt, uint32_t from, int *fd)
{
	uint32_t count = rt->registry.deployment_count;
	struct packer w = { .room = 4096 };
	int err;

	*fd = -1;
	if (from > count)
		return -EINVAL;
	w.bytes = malloc(w.room);
	pinioni_pack_number(&w, CATALOG_MARK);
	pinioni_pack_number(&w, count);
	pinioni_pack_number(&w, count - from);
	pinioni_pack_number(&w, rt->app_count);
	for (uint32_t i = from; i < count; i++)
		put_deployment(&w, registry_deployment(&rt->registry, i));
	for (uint32_t i = 0; i < rt->app_count; i++)
		put_application(&w, &rt->apps[i]);
	err = w.bytes == NULL ? -ENOMEM : pinioni_pack_seal(&w, fd);
	free(w.bytes);
	return err;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What one reading has made. */
struct catalog {
	struct catalog *next;
	unsigned char *bytes; /* the texts lie there */
	pinion_deployment *declared;
	size_t declared_count;
};

static pinion_kind
get_kind(struct unpacker *r)
{
	return (pinion_kind)pinioni_unpack_below(r, PINION_KIND_REF);
}

static void
get_param(struct unpacker *r, pinion_param *p)
{
	uint64_t bits;
	pinion_str text;

	p->name = pinioni_unpack_text(r);
	p->kind = get_kind(r);
	p->size = (uint32_t)pinioni_unpack_below(r, UINT32_MAX);
	p->align = (uint32_t)pinioni_unpack_below(r, 4096);
	p->optional = pinioni_unpack_below(r, PARAM_OPTIONAL) != 0;
	bits = pinioni_unpack_number(r);
	text = pinioni_unpack_str(r);
	r->is_bad = r->is_bad || p->kind == PINION_KIND_NONE || p->kind == PINION_KIND_RESPONSE ||
	    (p->align & (p->align - 1)) != 0;
	if (p->kind == PINION_KIND_STR)
		p->otherwise.str = text;
	else if (p->kind == PINION_KIND_BOOL)
		p->otherwise.boolean = bits != 0;
	else
		p->otherwise.u64 = bits;
}

/* Zeroed; NULL: there are none, or it is bad. each: bytes that one takes up at least in what is left. */
static void *
get_array(struct unpacker *r, uint64_t count, size_t each, size_t size)
{
	void *list;

	if (r->is_bad || count > r->left / each) {
		r->is_bad = true;
		return NULL;
	}
	list = calloc(count == 0 ? 1 : count, size);
	r->is_bad = list == NULL;
	return list;
}

static void
get_method(struct unpacker *r, pinion_method *m)
{
	uint64_t count;
	pinion_param *params;

	m->name = pinioni_unpack_text(r);
	m->stream = pinioni_unpack_below(r, METHOD_STREAMS) != 0;
	m->returns.kind = get_kind(r);
	m->returns.size = (uint32_t)pinioni_unpack_below(r, UINT32_MAX);
	m->returns.align = (uint32_t)pinioni_unpack_below(r, 4096);
	m->result_max = (uint32_t)pinioni_unpack_below(r, UINT32_MAX);
	count = pinioni_unpack_below(r, PINION_ARGS_MAX);
	params = get_array(r, count, 64, sizeof *params);
	m->params = (pinion_params){ params, params == NULL ? 0 : count };
	for (uint64_t i = 0; i < m->params.count; i++)
		get_param(r, &params[i]);
}

static void
get_methods(struct unpacker *r, pinion_deployment *declared)
{
	uint64_t count = pinioni_unpack_below(r, METHODS_MAX);
	pinion_method *methods = get_array(r, count, 64, sizeof *methods);

	declared->methods = (pinion_methods){ methods, methods == NULL ? 0 : count };
	for (uint64_t i = 0; i < declared->methods.count; i++)
		get_method(r, &methods[i]);
}

/* A handle means something in the process that made it: it is looked at, and not copied with the rest. */
static void
look_at_handles(struct deployment *d)
{
	for (size_t i = 0; i < d->method_count; i++)
		for (uint8_t k = 0; k < d->methods[i].param_count; k++)
			if (d->methods[i].params[k].kind == PINION_KIND_HANDLE)
				d->methods[i].signature = UINT64_MAX;
}

static struct deployment *
get_deployment(struct unpacker *r, uint32_t number, pinion_deployment *declared)
{
	struct pinion_app *app = calloc(1, sizeof *app);
	pinion_node *node = calloc(1, sizeof *node);
	struct deployment *d = NULL;

	r->is_bad = r->is_bad || app == NULL || node == NULL || pinioni_unpack_number(r) != number;
	if (!r->is_bad) {
		node->app = app;
		node->declared = declared;
		node->index = (uint16_t)number;
		node->rules.routing = (enum routing)pinioni_unpack_below(r, ROUTE_LOCAL);
		declared->name = pinioni_unpack_text(r);
		node->name = (char *)(uintptr_t)declared->name;
		app->name = pinioni_unpack_text(r);
		app->prefix = pinioni_unpack_text(r);
		get_methods(r, declared);
	}
	if (!r->is_bad)
		d = pinioni_spec_make(node);
	if (d != NULL && !spec_is_whole(d)) {
		pinioni_spec_free(d);
		d = NULL;
	}
	if (d != NULL && number == DEPLOYMENT_TASK && d->method_count != 0)
		d->methods[0].any_params = true;
	if (d != NULL)
		look_at_handles(d);
	free(node);
	free(app);
	return d;
}

static void
free_catalog(struct catalog *c)
{
	for (size_t i = 0; i < c->declared_count; i++) {
		const pinion_methods *methods = &c->declared[i].methods;

		/* Made here, const for everybody else. */
		for (size_t k = 0; k < methods->count; k++)
			free((void *)(uintptr_t)methods->list[k].params.list);
		free((void *)(uintptr_t)methods->list);
	}
	free(c->declared);
	free(c->bytes);
	free(c);
}

void
pinioni_catalogs_free(struct catalog *list)
{
	for (struct catalog *next; list != NULL; list = next) {
		next = list->next;
		free_catalog(list);
	}
}

/* All that are new, or none. */
static int
get_deployments(struct pinion_runtime *rt, struct unpacker *r, struct catalog *c, uint64_t count)
{
	struct registry *g = &rt->registry;
	uint32_t known = g->deployment_count;
	struct deployment **made = get_array(r, count, 64, sizeof *made);
	uint64_t done = 0;

	c->declared = get_array(r, count, 64, sizeof *c->declared);
	for (; !r->is_bad && done < count; done++) {
		c->declared_count = done + 1;
		made[done] = get_deployment(r, known + (uint32_t)done, &c->declared[done]);
		r->is_bad = r->is_bad || made[done] == NULL;
	}
	for (uint64_t i = 0; made != NULL && i < done; i++)
		if (r->is_bad)
			pinioni_spec_free(made[i]);
		else
			registry_publish(g, made[i]);
	if (!r->is_bad)
		g->deployment_count += (uint32_t)done;
	free(made);
	return r->is_bad ? -EBADMSG : 0;
}

static bool
application_is_known(const struct pinion_runtime *rt, const char *name)
{
	return pinioni_application_named(rt, name) != NULL;
}

static int
get_application(struct pinion_runtime *rt, struct unpacker *r)
{
	struct registry *g = &rt->registry;
	const char *name = pinioni_unpack_text(r), *prefix = pinioni_unpack_text(r);
	uint64_t ingress = pinioni_unpack_number(r), first = pinioni_unpack_number(r),
		 count = pinioni_unpack_number(r);
	struct application *a = &rt->apps[rt->app_count];

	if (r->is_bad || count > g->deployment_count || first > g->deployment_count - count ||
	    ingress >= g->deployment_count)
		return -EBADMSG;
	if (application_is_known(rt, name))
		return 0;
	if (rt->app_count == APPLICATIONS_MAX)
		return -EBADMSG;
	*a = (struct application){ .name = strdup(name),
		.prefix = strdup(prefix),
		.first_deployment = (uint32_t)first,
		.deployment_count = (uint32_t)count };
	if (a->name == NULL || a->prefix == NULL) {
		free(a->name);
		free(a->prefix);
		return -ENOMEM;
	}
	a->handle = pinioni_handle_locked(rt, (unsigned)ingress,
	    &registry_deployment(g, (uint32_t)ingress)->declared->methods, PINION_CALL);
	rt->app_count++;
	return 0;
}

int
pinioni_catalog_parse(struct pinion_runtime *rt, const unsigned char *bytes, size_t size)
{
	struct catalog *c = calloc(1, sizeof *c);
	struct unpacker r;
	uint64_t all, count, apps;
	int err;

	if (c == NULL || (c->bytes = malloc(size == 0 ? 1 : size)) == NULL) {
		free(c);
		return -ENOMEM;
	}
	memcpy(c->bytes, bytes, size);
	r = (struct unpacker){ .at = c->bytes, .left = size };
	r.is_bad = pinioni_unpack_number(&r) != CATALOG_MARK;
	all = pinioni_unpack_below(&r, DIRECTORY_DEPLOYMENTS);
	count = pinioni_unpack_below(&r, DIRECTORY_DEPLOYMENTS);
	apps = pinioni_unpack_below(&r, APPLICATIONS_MAX);
	err = r.is_bad || all - count != rt->registry.deployment_count ? -EBADMSG : 0;
	if (err == 0)
		err = get_deployments(rt, &r, c, count);
	if (err != 0) {
		free_catalog(c);
		return err;
	}
	c->next = rt->catalogs;
	rt->catalogs = c;
	for (uint64_t i = 0; i < apps && err == 0; i++)
		err = get_application(rt, &r);
	return err;
}

int
pinioni_catalog_read(struct pinion_runtime *rt, int fd)
{
	const unsigned char *bytes;
	size_t size;
	int err = pinioni_unpack_open(fd, CATALOG_MAX, &bytes, &size);

	if (err != 0)
		return err;
	err = pinioni_catalog_parse(rt, bytes, size);
	pinioni_unpack_close(bytes, size);
	return err;
}
