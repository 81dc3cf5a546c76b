/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/registry.h - what was deployed: deployments, their methods and replicas, frozen once published.
 *
 *   handle.id = runtime 8 | its generation 16 | deployment 16 | method 8 | 0
 *                                                             | METHOD_LATE | which struct late_method, 16 bits
 *
 * Why       A caller checks its arguments against a declaration, a worker finds a replica: both by an
 *           index that came in a message, so each look-up is bounded and may say "none".
 * Threads   Added to under the runtime's lock; looked up by any thread.
 * Memory    Specs live until pinion_stop. The replica table grows by copy; workers read it under RCU
 *           (core/rcu.h) and hold no pointer to it across a suspension.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   G  deployments[i]  add -> find   the spec and all it points to may be read
 */
#ifndef PINION_CORE_REGISTRY_H
#define PINION_CORE_REGISTRY_H

#include <stdatomic.h>

#include "core/limits.h"
#include "core/pinion.h"
#include "shm/directory.h"

struct worker;
struct pinion_request;

enum {
	LATE_NONE = 0xffff,
	METHOD_LATE = 0xff,  /* looked up: no such method, or one with options */
	DEPLOYMENT_TASK = 0, /* runs pinion_task's functions */
};

struct deployment;

struct method {
	const char *name;
	pinion_handler *handler;
	const pinion_param *params;
	const struct deployment *deployment;
	uint64_t
	    signature; /* as PINION_ARGS makes it of scalars in order; UINT64_MAX: never equal */
	pinion_returns returns;
	pinion_returns items; /* of a stream, which itself returns nothing */
	uint32_t
	    result_size; /* most bytes of a result; UINT32_MAX: of a stream, which is no plain call */
	uint32_t item_size; /* most bytes of an item; 0: no stream */
	uint8_t param_count;
	uint8_t index;
	bool
	    has_more; /* a long result, or rules: not started the short way on the caller's worker */
	bool any_params;    /* a task: whatever it is called with */
	bool is_idempotent; /* a call that a dead host had started is started once more */
};

/* How its requests run together, where the method has a batch handler. */
struct batching {
	uint32_t max_size, max_running;
	int64_t wait_ns;
};

enum routing {
	ROUTE_LEAST_LOADED,
	ROUTE_ROUND_ROBIN,
	ROUTE_BY_KEY,
	ROUTE_LOCAL,
};

enum isolation {
	ISOLATION_NONE,
	ISOLATION_PROCESS, /* each replica in a process of its own: core/host.h */
};

/* What was said of it at bind. */
struct deployment_rules {
	enum routing routing;
	enum isolation isolation;
	uint32_t max_queued;      /* waiting for a start, all replicas together; 0: no limit */
	int64_t queue_timeout_ns; /* 0: they wait for ever */
};

struct deployment {
	const char *name;
	const pinion_deployment *declared;
	const char *app, *route; /* its application's name and prefix */
	struct method *methods;
	struct batching *batching; /* one a method */
	size_t method_count;
	size_t named_count; /* of these, that handles name: all, but of tasks none */
	_Atomic uint64_t
	    range; /* of the replica table: first << 32 | count. W under the runtime's lock */
	uint32_t max_ongoing; /* of each replica, now */
	struct deployment_rules rules;
	uint16_t index;
	/* Of those who change it, one at a time: under the runtime's run_lock. */
	struct replica **own; /* its replicas, also those that have left */
	uint32_t own_count, first, room, wanted;
	uint32_t stacked, stacks; /* that many of them have that many stacks each */
	unsigned char *record;    /* constructor arguments */
	size_t record_length;
	char *user_config;   /* NULL: none */
	char **host_command; /* of an isolated one; NULL: its hosts come by themselves */
	bool is_live; /* its replicas had init and not yet deinit; W under the runtime's lock */
};

/* core/queue.h */
struct request_queue {
	struct pinion_request *head;
	struct pinion_request **end;
	struct pinion_request **urgent_end;
	uint32_t count;
	uint32_t overtakes; /* by urgent ones, since one of the others had its turn */
};

struct replica {
	/* Frozen. Read by all workers that have a message for it. */
	const struct deployment *deployment;
	struct worker *worker;
	struct worker *direct; /* the same; NULL: what comes is looked at, core/admission.h */
	void *state;
	uint32_t number; /* among its siblings */
	uint32_t index;
	/* W worker, with every request: on a line of its own. */
	alignas(PINION_LINE) uint32_t ongoing;
	uint32_t max_ongoing; /* 0: it pauses */
	uint32_t queued;      /* admitted, and not started; where there are rules */
	uint32_t answered;    /* bytes of its last result, when it was long */
	bool has_begun;       /* its init has run */
	bool is_ending;       /* nothing begins here any more, */
	bool is_leaving;      /* and siblings have what comes */
	bool lingers; /* a handler of it was suspended after its answer: not on a waiter's stack */
	bool is_crowded;
	struct request_queue
	    waiting; /* for `ongoing` to fall below max_ongoing, or for an idle sibling */
	uint32_t waiting_ended;          /* of these, that have ended where they wait */
	struct replica *crowded_next;    /* of this worker, while is_crowded */
	struct replica *bygone;          /* core/mirror.c: that stood here before */
	struct batcher *batchers;        /* one a method; NULL: none is batched */
	struct model_table *models;      /* NULL: it has none */
	uint32_t queue_share, queue_max; /* of the deployment's max_queued */
};

/* Given to readers whole. */
struct replica_table {
	uint32_t count;
	struct replica *replicas[];
};

/* What a handle names beyond a method. W once, under the runtime's lock, before it is named. */
struct late_method {
	char *unknown;      /* a name that the deployment has not; NULL: it has a method */
	int64_t timeout_ns; /* of each call; 0: none */
	uint8_t method;
	uint8_t priority; /* enum pinion_priority, of each call */
};

struct registry {
	_Atomic(struct deployment *) deployments[DIRECTORY_DEPLOYMENTS];
	uint32_t deployment_count; /* W under the runtime's lock */
	_Atomic(struct replica_table *) replicas;
	struct late_method late[LATE_METHODS];
	uint32_t late_count; /* W under the runtime's lock */
};

/* Its calls go by way of the worker where their argument was made, whether or not that is there already: so none
 * overtakes one that had to wait for its own. */
static inline bool
method_keeps_order(const struct method *m)
{
	return m->deployment->rules.routing == ROUTE_BY_KEY;
}

static inline const struct deployment *
registry_deployment(const struct registry *r, uint32_t index)
{
	if (index >= DIRECTORY_DEPLOYMENTS)
		return NULL;
	/* G */
	return atomic_load_explicit(&r->deployments[index], memory_order_acquire);
}

/* Under RCU: not kept across a suspension. */
static inline const struct replica_table *
registry_replicas(const struct registry *r)
{
	/* G: the table is published whole. */
	return atomic_load_explicit(&r->replicas, memory_order_acquire);
}

/* Its replicas live in processes of their own. */
static inline bool
deployment_is_isolated(const struct deployment *d)
{
	return d->rules.isolation == ISOLATION_PROCESS;
}

static inline uint64_t
deployment_range(const struct deployment *d)
{
	/* relaxed: whoever finds a number in it looks it up in a table that has had it since. */
	return atomic_load_explicit(&d->range, memory_order_relaxed);
}

static inline uint32_t
deployment_count(const struct deployment *d)
{
	return (uint32_t)deployment_range(d);
}

static inline void
registry_publish(struct registry *r, struct deployment *d)
{
	/* G: everything of it is written. */
	atomic_store_explicit(&r->deployments[d->index], d, memory_order_release);
}

static inline uint64_t
handle_runtime(pinion_handle h)
{
	return h.id >> 40; /* index and generation: equal to the runtime's key */
}

static inline unsigned
handle_deployment(pinion_handle h)
{
	return (unsigned)(h.id >> 24 & 0xffff);
}

static inline unsigned
handle_method(pinion_handle h)
{
	return (unsigned)(h.id >> 16 & 0xff);
}

/* Of a handle whose method is METHOD_LATE; NULL: it is not. */
static inline const struct late_method *
registry_late(const struct registry *r, pinion_handle h)
{
	unsigned at = (unsigned)(h.id & 0xffff);

	return handle_method(h) == METHOD_LATE && at < LATE_METHODS ? &r->late[at] : NULL;
}

/* NULL: it has none of that number, or name. */
static inline const struct method *
registry_method(const struct registry *r, pinion_handle h)
{
	const struct deployment *d = registry_deployment(r, handle_deployment(h));
	const struct late_method *late = registry_late(r, h);
	unsigned at = late == NULL  ? handle_method(h)
	    : late->unknown != NULL ? METHOD_LATE
				    : late->method;

	return d != NULL && at < d->named_count ? &d->methods[at] : NULL;
}

/*
 * reference.generation = a tag | home worker 15 | generation 48
 *
 * The tag tells a reference from the bytes of a response, which nobody may read but the thread that made it.
 */
#define REF_TAG (UINT64_C(1) << 63)
#define REF_GONE 0xfffe0000u /* its slot, when the response was given back before it was made */

static inline bool
ref_is_tagged(pinion_ref ref)
{
	return (ref.generation & REF_TAG) != 0;
}

static inline uint64_t
ref_generation(pinion_ref ref)
{
	return ref.generation & GENERATION_MASK;
}

static inline unsigned
ref_home(pinion_ref ref)
{
	return (unsigned)(ref.generation >> 48 & 0x7fff);
}

static inline pinion_handle
handle_make(uint64_t runtime_key, unsigned deployment, unsigned method, unsigned late)
{
	return (pinion_handle){ runtime_key << 40 | (uint64_t)deployment << 24 |
		(uint64_t)method << 16 | late };
}

#endif
