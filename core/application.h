/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/application.h - building a graph of deployments, and making it live.
 *
 *   bind ... bind -> ingress node      then, node by node, arguments before those who take them:
 *   deployment spec -> replicas placed -> init on each replica's worker -> route published
 *
 * All or nothing: when one init fails, those before it are taken back.
 */
#ifndef PINION_CORE_APPLICATION_H
#define PINION_CORE_APPLICATION_H

#include "core/registry.h"
#include "core/runtime.h"

enum {
	INIT_RECORD_MAX = 4096 /* bytes of a node's constructor arguments */
};

struct pinion_node {
	struct pinion_app *app;
	const pinion_deployment *declared;
	char *name;
	uint32_t num_replicas;
	uint32_t max_ongoing;
	struct deployment_rules rules;
	char *user_config;               /* NULL: none */
	struct batching batching;        /* 0: as its methods declare */
	const char *const *host_command; /* the run's; lent */
	uint16_t index;                  /* of its deployment */
	struct deployment *deployment;
	size_t record_length;
	unsigned char record[INIT_RECORD_MAX];
};

struct pinion_app {
	struct pinion_runtime *runtime;
	const char *name, *prefix;
	pinion_node *nodes[NODES_MAX];
	uint32_t count;
	pinion_diag failed; /* text[0] != 0: refused, and why */
};

/* Makes a node's deployment live. 0, or -errno with app->failed set. Under the runtime's lock but while
 * init runs. */
int pinioni_deploy(struct pinion_app *app, pinion_node *node) __attribute__((warn_unused_result));
/* Takes it back: no route, deinit of its replicas. */
void pinioni_undeploy(struct pinion_runtime *rt, struct deployment *d);
/* More replicas: they have had init when calls go to them. 0, or why not; then there are as many as before. Under run_lock,
 * as the following. */
int pinioni_deployment_grow(struct pinion_runtime *rt, struct deployment *d, uint32_t count,
    char text[FAULT_TEXT]) __attribute__((warn_unused_result));
/* Stacks for so many requests at once in each replica, if there are fewer. 0, or why not. */
int pinioni_deployment_raise(struct pinion_runtime *rt, struct deployment *d, uint32_t stacks,
    char text[FAULT_TEXT]) __attribute__((warn_unused_result));
/* Fewer: the last leave, when what they run has ended, which has so long. */
void pinioni_deployment_shrink(
    struct pinion_runtime *rt, struct deployment *d, uint32_t count, int64_t limit_ns);
/* Its max_queued is shared out anew. */
void pinioni_deployment_share(const struct deployment *d, uint32_t count);
/* Calls go to so many of its replicas from now on. Under the lock. */
void pinioni_deployment_publish(struct pinion_runtime *rt, struct deployment *d, uint32_t count);
/* In place of the table that there is, which goes after a grace period. -ENOMEM. Under the lock. */
int pinioni_replicas_publish(struct pinion_runtime *rt, struct replica_table *t)
    __attribute__((warn_unused_result));
void pinioni_node_free(pinion_node *node);
/* NULL, or why a name cannot be shown as it is: one with a line's end would be two lines of a log. */
const char *pinioni_bad_name(const char *name);
/* Of that method; an unknown name is kept, to be named in what its calls are told. */
pinion_handle pinioni_handle_for(struct pinion_runtime *rt, unsigned deployment,
    const pinion_methods *methods, const char *name);
/* The same under the runtime's lock. */
pinion_handle pinioni_handle_locked(struct pinion_runtime *rt, unsigned deployment,
    const pinion_methods *methods, const char *name);
void pinioni_app_refuse(struct pinion_app *app, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
