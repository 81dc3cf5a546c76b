/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/model.c - a replica's models.
 */
#include "core/model.h"

#include <errno.h>
#include <string.h>

#include "core/runtime.h"
#include "core/terms.h"
#include "core/worker.h"

enum model_state {
	MODEL_NONE,
	MODEL_LOADING,
	MODEL_READY,
	MODEL_LEAVING
};

struct model {
	enum model_state state;
	uint32_t users;
	uint64_t used; /* by the table's count of uses */
	void *model;
	uint8_t length;
	char id[PINION_NAME_MAX];
};

/* A handler that waits for one to be loaded, or for a place. */
struct waiter {
	struct waiter *next;
	struct fiber *fiber;
};

struct model_table {
	struct waiter *waiters;
	uint64_t uses;
	uint32_t count;
	struct model models[];
};

static size_t
table_bytes(uint32_t count)
{
	return sizeof(struct model_table) + count * sizeof(struct model);
}

int
pinioni_model_make(struct worker *w, struct replica *replica)
{
	uint32_t count = (uint32_t)replica->deployment->declared->max_models;

	if (count == 0)
		return 0;
	replica->models = pinioni_heap_take(w->heap, table_bytes(count));
	if (replica->models == NULL)
		return -ENOMEM;
	replica->models->count = count;
	return 0;
}

void
pinioni_model_free(struct worker *w, struct replica *replica)
{
	if (replica->models != NULL)
		pinioni_heap_give(w->heap, replica->models, table_bytes(replica->models->count));
	replica->models = NULL;
}

/* Its place is nobody's until the user has let it go: that may wait. */
static void
unload(struct replica *replica, struct model *m)
{
	const pinion_deployment *d = replica->deployment->declared;

	m->state = MODEL_LEAVING;
	if (d->unload_model != NULL)
		d->unload_model(replica->state, m->model);
	m->state = MODEL_NONE;
}

void
pinioni_model_unload_all(struct worker *w, struct replica *replica)
{
	struct model_table *t = replica->models;

	(void)w;
	for (uint32_t i = 0; t != NULL && i < t->count; i++)
		if (t->models[i].state == MODEL_READY)
			unload(replica, &t->models[i]);
}

/* All look again: who came first is resumed first. */
static void
wake_all(struct worker *w, const struct model_table *t)
{
	for (struct waiter *x = t->waiters; x != NULL; x = x->next)
		pinioni_worker_resume(w, x->fiber);
}

void
pinioni_model_give(struct pinion_request *r, struct model *model)
{
	if (--model->users == 0)
		wake_all(r->worker, r->replica->models);
}

static struct model *
find(struct model_table *t, pinion_str id)
{
	for (uint32_t i = 0; i < t->count; i++) {
		struct model *m = &t->models[i];

		if ((m->state == MODEL_READY || m->state == MODEL_LOADING) && m->length == id.len &&
		    memcmp(m->id, id.data, id.len) == 0)
			return m;
	}
	return NULL;
}

static struct model *
find_free(struct model_table *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->models[i].state == MODEL_NONE)
			return &t->models[i];
	return NULL;
}

/* The least lately used that nobody uses. */
static struct model *
find_oldest(struct model_table *t)
{
	struct model *oldest = NULL;

	for (uint32_t i = 0; i < t->count; i++) {
		struct model *m = &t->models[i];

		if (m->state == MODEL_READY && m->users == 0 &&
		    (oldest == NULL || m->used < oldest->used))
			oldest = m;
	}
	return oldest;
}

static int
wait(struct worker *w, struct model_table *t)
{
	struct waiter me = { .fiber = w->current_fiber };
	struct waiter **at = &t->waiters;
	int err;

	while (*at != NULL)
		at = &(*at)->next;
	*at = &me;
	err = pinioni_worker_suspend(w);
	for (at = &t->waiters; *at != &me; at = &(*at)->next)
		continue;
	*at = me.next;
	return err != 0 ? err : pinioni_worker_interrupted(w);
}

static int
load(pinion_request *r, struct model *m, pinion_str id)
{
	struct replica *replica = r->replica;
	int err;

	m->state = MODEL_LOADING;
	m->length = (uint8_t)id.len;
	memcpy(m->id, id.data, id.len);
	m->model = NULL;
	err = replica->deployment->declared->load_model(
	    replica->state, r, (pinion_str){ m->id, m->length }, &m->model);
	m->state = err == 0 ? MODEL_READY : MODEL_NONE;
	wake_all(r->worker, replica->models);
	return err < 0 ? err : err > 0 ? -err : 0;
}

static int
refuse(pinion_request *r, const char *why)
{
	const struct method *m = r->method;

	return pinion_fail(
	    r, -EINVAL, "%s.%s asks for a model, and %s", m->deployment->name, m->name, why);
}

static void
make_place(pinion_request *r, struct model *oldest)
{
	unload(r->replica, oldest);
	wake_all(r->worker, r->replica->models);
}

/* Ready, and to be used. What was true before something waited is looked at again. */
static int
obtain(pinion_request *r, pinion_str id, struct model **got)
{
	struct model_table *t = r->replica->models;
	int err = 0;

	while (err == 0) {
		struct model *m = find(t, id), *place, *oldest;

		*got = m;
		if (m != NULL && m->state == MODEL_READY)
			return 0;
		if (m != NULL)
			err = wait(r->worker, t);
		else if ((place = find_free(t)) != NULL)
			err = load(r, place, id);
		else if ((oldest = find_oldest(t)) != NULL)
			make_place(r, oldest);
		else
			err = wait(r->worker, t);
	}
	return err;
}

/* That the request uses already; NULL: none. */
static struct model *
held(const pinion_request *r)
{
	for (const struct request_memory *m = r->memory; m != NULL; m = m->next)
		if (m->model != NULL)
			return m->model;
	return NULL;
}

/* Until the request has ended: a block of its memory says so. */
static int
hold(pinion_request *r, pinion_str id, struct model **got)
{
	int err = pinion_alloc(r, 1) == NULL ? -ENOMEM : 0;
	struct request_memory *block = r->memory;

	if (err == 0)
		err = obtain(r, id, got);
	if (err != 0)
		return err;
	(*got)->users++;
	(*got)->used = ++r->replica->models->uses;
	block->model = *got;
	return 0;
}

int
pinion_model(pinion_request *r, void **model)
{
	pinion_str id = pinioni_terms_model(r);
	struct model *m = held(r);
	int err = 0;

	if (m == NULL && r->replica->models == NULL)
		return refuse(r, "its deployment has no load_model");
	if (m == NULL && id.len == 0)
		return refuse(r, "its call named none: set .terms.model");
	if (m == NULL)
		err = hold(r, id, &m);
	if (err == 0)
		*model = m->model;
	return err;
}
