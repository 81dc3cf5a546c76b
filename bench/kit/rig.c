/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rig.c - starting, placing, performing.
 */
#include "bench/kit/rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct job {
	rig_work *work;
	void *arg;
	struct turn *turn;
};

int
pinioni_rig_where(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_request_worker(req));
}

int
pinioni_rig_tell_waited(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinioni_cpus_waited());
}

int
pinioni_rig_number(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static const pinion_deployment one_more = {
	.name = "Answer",
	.methods = PINION_METHODS(RIG_NUMBER, RIG_WHERE),
};

const struct rig_app pinioni_rig_number_app = RIG_APP(&one_more, .num_replicas = 1);

static int
perform(void *replica, pinion_request *req)
{
	const struct job *job = *(struct job *const *)pinion_arg_struct(req, 0, struct job *);

	(void)replica;
	job->work(job->arg, job->turn);
	return pinion_reply(req, true);
}

static const pinion_deployment conductor = {
	.name = "Conductor",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, perform,
				      .params = PINION_PARAMS(PINION_STRUCT("job", struct job *)),
				      .returns = PINION_RETURNS_BOOL),
	    RIG_WHERE),
};

pinion_node *
pinioni_rig_build(pinion_app *build, const pinion_config *config)
{
	const struct rig_app *app = (const struct rig_app *)config; /* its first member */
	pinion_bind_options options = app->options;
	pinion_node *node;

	options.size_ = sizeof options;
	node = pinion_bind_with(build, app->first, &options);
	for (unsigned i = 0; i < app->further_count && node != NULL; i++)
		node = pinion_bind(build, app->further, PINION_ARGS(node));
	return node;
}

static bool
said(const struct rig *r, int err)
{
	if (err != 0)
		fprintf(stderr, "%s: %s: %s\n", r->name, strerror(-err), r->diag.text);
	return err == 0;
}

/* A method without arguments, that returns a number. */
static int
ask(const struct rig *r, pinion_handle h, const char *method, uint64_t *answer)
{
	pinion_response response =
	    pinion_call_on(r->port, pinion_method_of(h, method), PINION_ARGS());
	int err = pinion_result_on(r->port, response, answer);

	pinion_release_on(r->port, response);
	return err;
}

bool
pinioni_rig_waited(const struct rig *r, pinion_handle deployment, uint64_t *ns)
{
	int err = ask(r, deployment, "waited", ns);

	*ns += pinioni_cpus_waited();
	return err == 0;
}

bool
pinioni_rig_run(struct rig *r, const struct rig_app *app, unsigned worker, pinion_handle *handle)
{
	uint64_t at = UINT64_MAX;
	int err = 0;

	for (unsigned i = 0; i < 4 * RIG_WORKERS_MAX && err == 0 && at != worker; i++) {
		char name[24];

		(void)snprintf(name, sizeof name, "%s-%u", r->name, r->applications++);
		err = pinion_run(r->runtime, pinioni_rig_build, handle, .name = name,
		    .config = &app->config, .diag = &r->diag);
		if (err == 0)
			err = ask(r, *handle, "where", &at);
	}
	if (err == 0 && at != worker) {
		fprintf(stderr, "%s: no replica came to worker %u\n", r->name, worker);
		return false;
	}
	return said(r, err);
}

bool
pinioni_rig_start(struct rig *r, const struct kit *k, const char *name, unsigned workers,
    pinion_start_options options)
{
	const struct rig_app app = RIG_APP(&conductor, .num_replicas = 1);
	int err;
	bool ok;

	*r = (struct rig){ .name = name, .workers = workers };
	options.size_ = sizeof options;
	options.runtime = &r->runtime;
	options.name = name;
	options.workers = (int)workers;
	if (options.idle == NULL)
		options.idle = k->options.idle;
	options.diag = &r->diag;
	options.poll = k->polls.name;
	err = pinion_start_with(&options);
	if (err == 0)
		err = pinion_port_open(r->runtime, &r->port);
	if (err == 0)
		err = pinion_port_warm(r->port);
	ok = said(r, err);
	for (unsigned w = 0; w < workers && ok; w++)
		ok = pinioni_rig_run(r, &app, w, &r->conductor[w]);
	return ok;
}

void
pinioni_rig_stop(struct rig *r)
{
	if (r->port != NULL)
		pinion_port_close(r->port);
	pinion_stop(r->runtime);
}

bool
pinioni_rig_perform(struct rig *r, unsigned worker, rig_work *work, void *arg, struct turn *t)
{
	struct job job = { .work = work, .arg = arg, .turn = t };
	struct job *sent = &job;
	pinion_response answer =
	    pinion_call_on(r->port, r->conductor[worker], PINION_ARGS(PINION_STRUCT_OF(sent)));
	bool done = false;
	int err = pinion_result_on(r->port, answer, &done);

	pinion_release_on(r->port, answer);
	return err == 0 && done;
}

void
pinioni_rig_sleep(const struct rig *r)
{
	struct timespec nap = { .tv_nsec = 20000 };
	pinion_worker_status status;

	for (unsigned i = 0; i < pinion_worker_look(r->runtime, 0, NULL); i++)
		for (unsigned tries = 0; tries < 1000; tries++) {
			(void)pinion_worker_look(r->runtime, i, &status); /* fills status */
			if (status.asleep)
				break;
			(void)nanosleep(&nap, NULL);
		}
}
