/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/replica.c - what is done to a replica on its worker: init, reconfigure, deinit.
 */
#include "core/replica.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/batch.h"
#include "core/cancel.h"
#include "core/model.h"
#include "core/record.h"
#include "core/runtime.h"

/* What init sees of its arguments: the same views that a request has. */
struct pinion_init {
	pinion_request args;
	const struct replica *replica;
	char text[FAULT_TEXT];
};

/* To be done on a replica's worker, and how it went. */
struct visit {
	struct replica *replica;
	pinion_init_fn *fn;
	int err;
	char text[FAULT_TEXT];
};

/* ---- init's view ---------------------------------------------------------------------------- */

bool
pinion_init_bool(pinion_init *i, unsigned index)
{
	return pinion_arg_bool(&i->args, index);
}

int64_t
pinion_init_i64(pinion_init *i, unsigned index)
{
	return pinion_arg_i64(&i->args, index);
}

uint64_t
pinion_init_u64(pinion_init *i, unsigned index)
{
	return pinion_arg_u64(&i->args, index);
}

double
pinion_init_f64(pinion_init *i, unsigned index)
{
	return pinion_arg_f64(&i->args, index);
}

pinion_str
pinion_init_str(pinion_init *i, unsigned index)
{
	return pinion_arg_str(&i->args, index);
}

pinion_bytes
pinion_init_bytes(pinion_init *i, unsigned index)
{
	return pinion_arg_bytes(&i->args, index);
}

const void *
pinion_init_struct_at(pinion_init *i, unsigned index, size_t size, size_t align)
{
	return pinion_arg_struct_at(&i->args, index, size, align);
}

pinion_handle
pinion_init_handle(pinion_init *i, unsigned index)
{
	return pinion_arg_handle(&i->args, index);
}

unsigned
pinion_init_replica(pinion_init *i)
{
	return i->replica->number;
}

pinion_str
pinion_init_user_config(pinion_init *i)
{
	const char *text = i->replica->deployment->user_config;

	return text == NULL ? (pinion_str){ "", 0 } : (pinion_str){ text, strlen(text) };
}

void
pinion_init_context(pinion_init *i, pinion_context *context)
{
	const struct deployment *d = i->replica->deployment;

	*context = (pinion_context){ .request_id = { "", 0 },
		.model = { "", 0 },
		.application = d->app,
		.route = d->route,
		.deployment = d->name,
		.method = "init",
		.replica = i->replica->number };
}

pinion_runtime *
pinion_init_runtime(pinion_init *i)
{
	return pinion_request_runtime(&i->args);
}

int
pinion_init_fail(pinion_init *i, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(i->text, sizeof i->text, format, list); /* cut short: fine */
	va_end(list);
	return error < 0 ? error : error > 0 ? -error : -EINVAL;
}

/* ---- on the replica's worker ---------------------------------------------------------------- */

/* What it has beside its state. */
static int
furnish(struct worker *w, struct replica *r)
{
	int err = pinioni_batch_make(w, r);

	return err != 0 ? err : pinioni_model_make(w, r);
}

static void
clear(struct worker *w, struct replica *r)
{
	pinioni_batch_free(w, r);
	pinioni_model_free(w, r);
}

/* init, reconfigure and warm_up have the same view: the constructor's arguments. */
static int
call_init(struct worker *w, struct visit *v, pinion_init_fn *fn)
{
	const struct deployment *d = v->replica->deployment;
	struct method m = { .name = "init",
		.params = d->declared->init_params.list,
		.param_count = (uint8_t)d->declared->init_params.count,
		.deployment = d };
	struct pinion_init *init = pinioni_heap_take(w->heap, sizeof *init);
	int err = init == NULL ? -ENOMEM : 0;

	if (err != 0)
		return err;
	init->args.method = &m;
	init->args.worker = w;
	init->args.inside = true; /* so that it never goes to the pool */
	init->replica = v->replica;
	err = pinioni_record_decode_at(&init->args, d->record, (uint32_t)d->record_length);
	pinioni_worker_publish_depth(w, 1); /* busy: siblings keep their surplus */
	if (err == 0)
		err = fn(v->replica->state, init);
	pinioni_worker_publish_depth(w, 0);
	memcpy(v->text, init->text, sizeof v->text);
	pinioni_heap_give(w->heap, init, sizeof *init);
	return err;
}

static void
forget(struct worker *w, struct replica *r)
{
	clear(w, r);
	if (r->state != NULL)
		pinioni_heap_give(w->heap, r->state, r->deployment->declared->replica_size);
	r->state = NULL;
}

static int
begin(struct worker *w, struct visit *v)
{
	const struct deployment *d = v->replica->deployment;
	const pinion_deployment *declared = d->declared;
	int err = furnish(w, v->replica);
	bool inited;

	if (declared->replica_size != 0 && err == 0)
		v->replica->state = pinioni_heap_take(w->heap, declared->replica_size);
	if (err != 0 || (declared->replica_size != 0 && v->replica->state == NULL))
		return -ENOMEM;
	if (declared->init != NULL)
		err = call_init(w, v, declared->init);
	inited = err == 0;
	if (err == 0 && d->user_config != NULL && declared->reconfigure != NULL)
		err = call_init(w, v, declared->reconfigure);
	if (err == 0 && declared->warm_up != NULL)
		err = call_init(w, v, declared->warm_up);
	if (err != 0 && inited && declared->deinit != NULL)
		declared->deinit(v->replica->state);
	return err;
}

static void
start_replica(struct worker *w, void *arg)
{
	struct visit *v = arg;

	v->err = begin(w, v);
	if (v->err != 0) {
		forget(w, v->replica);
	} else {
		v->replica->has_begun = true;
		v->replica->is_ending = v->replica->is_leaving = false;
	}
}

static void
visit_replica(struct worker *w, void *arg)
{
	struct visit *v = arg;

	v->err = call_init(w, v, v->fn);
}

static void
end_replica(struct worker *w, void *arg)
{
	struct replica *r = arg;
	const pinion_deployment *d = r->deployment->declared;

	pinioni_model_unload_all(w, r);
	if (d->deinit != NULL)
		d->deinit(r->state);
	forget(w, r);
}

/* Nothing begins there any more; what waits for it fails in the next turn. */
static void
close_replica(struct worker *w, void *arg)
{
	struct replica *r = arg;

	r->is_ending = true;
	pinioni_batch_flush(w, r);
	pinioni_worker_unpark_all(w, r);
}

/* The same, but what comes and what waits goes to a sibling. */
static void
leave(struct worker *w, void *arg)
{
	struct replica *r = arg;

	r->is_leaving = true;
	close_replica(w, arg);
}

/* The most that may run at once; 0: it pauses. */
struct limit {
	struct replica *replica;
	uint32_t max_ongoing;
	uint32_t share, max_queued;
};

struct busy {
	const struct replica *replica;
	uint32_t ongoing;
};

static void
count_ongoing(struct worker *w, void *arg)
{
	struct busy *b = arg;

	(void)w;
	b->ongoing = b->replica->ongoing;
}

/* Whether nothing of it runs any more; for so long. */
static bool
has_ended(const struct replica *r, int64_t limit_ns)
{
	uint64_t start = clock_monotonic_ns();
	struct busy b = { .replica = r };

	for (;;) {
		pinioni_worker_control(r->worker, count_ongoing, &b);
		if (b.ongoing == 0)
			return true;
		if (clock_monotonic_ns() - start > (uint64_t)limit_ns)
			return false;
		(void)sched_yield(); /* cannot fail on Linux */
	}
}

static void
cancel_all_of(struct worker *w, void *arg)
{
	pinioni_cancel_replica(w, arg);
}

static void
end(struct replica *r, int64_t limit_ns)
{
	bool is_empty = has_ended(r, limit_ns);

	if (!is_empty) {
		pinioni_worker_control(r->worker, cancel_all_of, r);
		is_empty = has_ended(r, limit_ns);
	}
	if (is_empty)
		pinioni_worker_control(r->worker, end_replica, r);
	else
		pinioni_runtime_log(r->worker->runtime,
		    "%s: a handler still runs, deinit of replica %u is left out",
		    r->deployment->name, r->number);
}

/* ---- by another thread ---------------------------------------------------------------------- */

int
pinioni_replica_start(struct replica *r, char text[FAULT_TEXT])
{
	struct visit v = { .replica = r };

	pinioni_worker_control(r->worker, start_replica, &v);
	memcpy(text, v.text, FAULT_TEXT);
	return v.err;
}

void
pinioni_replica_end(struct replica *r, int64_t limit_ns)
{
	pinioni_worker_control(r->worker, close_replica, r);
	end(r, limit_ns);
}

void
pinioni_replica_leave(struct replica *r, int64_t limit_ns)
{
	pinioni_worker_control(r->worker, leave, r);
	end(r, limit_ns);
}

static void
set_limit(struct worker *w, void *arg)
{
	const struct limit *limit = arg;
	struct replica *r = limit->replica;

	r->max_ongoing = limit->max_ongoing;
	if (r->max_ongoing == 0)
		pinioni_batch_flush(w, r);
	else
		pinioni_worker_unpark_all(w, r);
}

void
pinioni_replica_limit(struct replica *r, uint32_t max_ongoing)
{
	struct limit limit = { .replica = r, .max_ongoing = max_ongoing };

	pinioni_worker_control(r->worker, set_limit, &limit);
}

static void
set_share(struct worker *w, void *arg)
{
	const struct limit *limit = arg;

	(void)w;
	limit->replica->queue_share = limit->share;
	limit->replica->queue_max = limit->max_queued;
}

void
pinioni_replica_share(struct replica *r, uint32_t share, uint32_t all)
{
	struct limit limit = { .replica = r, .share = share, .max_queued = all };

	pinioni_worker_control(r->worker, set_share, &limit);
}

int
pinioni_replica_reconfigure(struct replica *r, int64_t limit_ns, char text[FAULT_TEXT])
{
	struct visit v = { .replica = r, .fn = r->deployment->declared->reconfigure };
	uint32_t most = r->max_ongoing; /* written by this thread's controls only */

	pinioni_replica_limit(r, 0);
	if (has_ended(r, limit_ns)) {
		pinioni_worker_control(r->worker, visit_replica, &v);
	} else {
		v.err = -ETIMEDOUT;
		(void)snprintf(v.text, sizeof v.text, "its requests still run");
	}
	pinioni_replica_limit(r, most);
	memcpy(text, v.text, FAULT_TEXT);
	return v.err;
}
