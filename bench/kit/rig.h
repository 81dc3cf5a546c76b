/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/rig.h - a runtime to measure: applications where a program wants them, work done by a handler.
 *
 *   near cpu   caller, then worker 0 of two     far cpu   the worker of one, worker 1 of two (three share both)
 *
 * Why       Where the runtime puts replicas is its business: enough of them are started, and each is asked.
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

/* What a handler does of a turn: drives it, on its own worker. */
typedef void rig_work(void *arg, struct turn *turn);

/* options: of these, workers, name, idle, poll and diag are set here. False: it did not start, and why was said. */
bool pinioni_rig_start(struct rig *r, const struct kit *k, const char *name, unsigned workers,
    pinion_start_options options) __attribute__((warn_unused_result));
void pinioni_rig_stop(struct rig *r);
/* The application's ingress handle on that worker: its deployment has the method RIG_WHERE. */
bool pinioni_rig_run(struct rig *r, pinion_builder *build, unsigned worker, pinion_handle *handle)
    __attribute__((warn_unused_result));
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
pinion_node *pinioni_rig_build_number(pinion_app *app, const pinion_config *config);

/* Answers with the worker it is on. */
int pinioni_rig_where(void *replica, pinion_request *req);
#define RIG_WHERE PINION_METHOD("where", pinioni_rig_where, .returns = PINION_RETURNS_U64)

#endif
