/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rig.h - a runtime to measure: applications where a program wants them, work done by a handler.
 *
 *   near cpu   caller, then worker 0 of two     far cpu   the worker of one, worker 1 of two (three share both)
 *
 * Why       Where the runtime puts replicas is its business: enough of them are started, and each is asked.
 * Polls     At the kit's pace. One that is no option a runtime has to choose by itself, as that of the kit did:
 *           it is started until it does.
 * Threads   Of one thread, that of rig_start.
 */
#ifndef PINION_BENCH_KIT_RIG_H
#define PINION_BENCH_KIT_RIG_H

#include <pinion/pinion.h>

#include "bench/kit/kit.h"

enum {
	RIG_WORKERS_MAX = 3
};

struct rig {
	const char *name;
	pinion_runtime *runtime;
	pinion_port *port;
	unsigned workers;
	unsigned applications;                    /* started so far: names them */
	pinion_handle conductor[RIG_WORKERS_MAX]; /* performs work, one on each worker */
	pinion_diag diag;
};

/* An application: one deployment, or a chain of them, each given the handle of the one bound before it. */
struct rig_app {
	pinion_config config; /* empty, and first: by its address the builder finds the rest */
	const pinion_deployment *first;
	pinion_bind_options options;      /* of the first; size_ is set here */
	const pinion_deployment *further; /* with one argument, that handle; NULL: none */
	unsigned further_count;
};

/* The options of struct rig_app's first follow. */
#define RIG_APP(deployment, ...) \
	{ \
		.first = (deployment), .options = { __VA_ARGS__ } \
	}

/* What a handler does of a turn: drives it, on its own worker. */
typedef void rig_work(void *arg, struct turn *turn);

/* options: of these, workers, name, idle, poll and diag are set here. False: it did not start, and why was said. */
bool pinioni_rig_start(struct rig *r, const struct kit *k, const char *name, unsigned workers,
    pinion_start_options options) __attribute__((warn_unused_result));
void pinioni_rig_stop(struct rig *r);
/* The handle of the application's last deployment, on that worker: it has the method RIG_WHERE. */
bool pinioni_rig_run(struct rig *r, const struct rig_app *app, unsigned worker,
    pinion_handle *handle) __attribute__((warn_unused_result));
/* The builder of all of these. config: an application's own. */
pinion_node *pinioni_rig_build(pinion_app *build, const pinion_config *config);
/* True when the work was done by a handler of that worker. */
bool pinioni_rig_perform(struct rig *r, unsigned worker, rig_work *work, void *arg, struct turn *t)
    __attribute__((warn_unused_result));
/* Returns when its workers sleep: what is measured next has their cpus. */
void pinioni_rig_sleep(const struct rig *r);

/* Answers with one more than it was given: what most programs call. */
int pinioni_rig_number(void *replica, pinion_request *req);
#define RIG_NUMBER \
	PINION_METHOD(PINION_CALL, pinioni_rig_number, .params = PINION_PARAMS(PINION_U64("x")), \
	    .returns = PINION_RETURNS_U64)
/* An application of that alone. */
extern const struct rig_app pinioni_rig_number_app;

/* How long its thread waited for a cpu so far, ns. */
int pinioni_rig_tell_waited(void *replica, pinion_request *req);
#define RIG_WAITED PINION_METHOD("waited", pinioni_rig_tell_waited, .returns = PINION_RETURNS_U64)
/* The same of both: who calls this, and the worker of a deployment that has RIG_WAITED. */
bool pinioni_rig_waited(const struct rig *r, pinion_handle deployment, uint64_t *ns)
    __attribute__((warn_unused_result));

/* Answers with the worker it is on. */
int pinioni_rig_where(void *replica, pinion_request *req);
#define RIG_WHERE PINION_METHOD("where", pinioni_rig_where, .returns = PINION_RETURNS_U64)

#endif
