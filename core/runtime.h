/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/runtime.h - one runtime: its workers, ports, deployments, and the phases of its life.
 *
 *   RUNNING -> DRAINING (no new calls from outside) -> CANCELING (what is left ends) -> STOPPED
 *   attached: any of these, and -> LOST (nobody answers any more)
 *
 * Threads   `lock` guards ports, registry, applications and the list of ports to take down. The data
 *           path takes it never.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   N  phase   pinion_stop -> everybody   nothing more than the phase itself
 *   (O, of ports[i], is listed in core/port.h)
 */
#ifndef PINION_CORE_RUNTIME_H
#define PINION_CORE_RUNTIME_H

#include "affinity/placement.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/pace.h"
#include "core/rcu.h"
#include "core/reclaim.h"
#include "core/registry.h"
#include "core/worker.h"

enum runtime_phase {
	RUNTIME_RUNNING,
	RUNTIME_DRAINING,
	RUNTIME_CANCELING,
	RUNTIME_STOPPED,
	RUNTIME_LOST /* of one that was attached to: the process whose workers they are has ended */
};

struct application {
	char *name;
	char *prefix;
	pinion_handle handle;
	uint32_t first_deployment, deployment_count;
};

struct pinion_runtime {
	uint64_t
	    key; /* a byte << 16 | a number that is not 0; the same in every process that has a part of it */
	char name[16];
	char listen[48]; /* the name by which others find it; "": none */
	_Atomic uint32_t phase;
	uint32_t mode;         /* enum board_mode */
	_Atomic uint32_t pace; /* enum pace; W start  R who waits */
	uint64_t spin_ticks;   /* that who waits only looks; then it yields */
	uint64_t sleep_ticks;  /* after which it sleeps */
	uint32_t slots, lane_cells;
	size_t arena_bytes, stack_size;
	int64_t drain_ns;
	bool prefault, huge_pages, tries_paces, is_listed;
	bool is_forked;        /* it is the parent process's */
	_Atomic uint32_t said; /* W and R any thread: what the log has heard, core/grant.c */
	pinion_clock clock;
	bool clock_is_time; /* and not a user's own, which may stand still */
	uint64_t ticks_us;
	pinion_log_fn *log;
	void *log_arg;
	pthread_mutex_t lock;
	pthread_mutex_t run_lock; /* applications come one at a time; taken before `lock` */
	struct registry registry;
	struct directory directory;
	struct board board;
	struct heap heap; /* of all that belongs to no worker; and theirs, if there is one node */
	struct heap node_heaps[WORKERS_MAX];
	unsigned node_heap_count;
	unsigned node_count; /* of the cpus that may be used */
	/* All, by their numbers; of those that are another process's nothing but index, line, node and heap is set. NULL: all
	 * are. */
	struct worker *workers;
	unsigned worker_count;
	unsigned own_first, own_count; /* of these, that are this process's */
	unsigned host_first;           /* from this one on they are hosts', one each */
	struct attachment *attached;   /* to the process whose workers they are; NULL: our own */
	struct host *hosts; /* one for each worker from host_first on; NULL: there are none */
	pthread_cond_t hosts_cond; /* one of them has changed */
	struct serving *serving;   /* of a host, its own side; NULL: it is none */
	struct door *door;         /* at which clients knock; NULL: none may */
	struct catalog *catalogs;  /* of what was attached to */
	_Atomic(pinion_port *) ports[PORTS_MAX];
	_Atomic(pinion_port *)
	    buried[PORTS_MAX]; /* that a client had, and that requests may still name */
	uint32_t port_count;
	struct application apps[APPLICATIONS_MAX];
	uint32_t app_count;
	uint32_t replicas_placed[WORKERS_MAX];
	uint64_t fibers_reserved, mappings_max;
	_Atomic(pinion_task_fn *) tasks[TASK_FUNCTIONS];
	struct reclaimer reclaimer;
	/* Housekeeping. */
	pthread_t keeper;
	pthread_cond_t keeper_cond;
	bool has_keeper, keeper_stop;
	pinion_port *closing;
	pinion_port *dying;        /* hosts have to let go of them first */
	struct port_shell *shells; /* W under thread.c's lock, as */
	uint32_t opening;          /* threads that make a port just now */
	char placement[PLACEMENT_TEXT];
};

/* The i-th of those that are this process's. */
static inline struct worker *
runtime_own(const struct pinion_runtime *rt, unsigned i)
{
	return &rt->workers[rt->own_first + i];
}

static inline bool
runtime_is_own(const struct pinion_runtime *rt, unsigned worker)
{
	return worker - rt->own_first < rt->own_count; /* below: wraps */
}

/* Those behind the first so many are hosts' (core/host.h). */
static inline unsigned
runtime_host_count(const struct pinion_runtime *rt)
{
	return rt->worker_count - rt->host_first;
}

/* NULL: no such port now. The port may be used while the caller holds what keeps it. */
static inline pinion_port *
runtime_port(const struct pinion_runtime *rt, unsigned index)
{
	if (index >= PORTS_MAX)
		return NULL;
	/* O */
	return atomic_load_explicit(&rt->ports[index], memory_order_acquire);
}

/* The same of one that a client had: nobody finds it any more, and its memory is still there. */
static inline const pinion_port *
runtime_buried(const struct pinion_runtime *rt, unsigned index)
{
	/* relaxed: whoever asks has used the port before, and missed it in ports[i], with O. */
	return index >= PORTS_MAX ? NULL
				  : atomic_load_explicit(&rt->buried[index], memory_order_relaxed);
}

static inline enum runtime_phase
runtime_phase(const struct pinion_runtime *rt)
{
	/* N */
	return (enum runtime_phase)atomic_load_explicit(&rt->phase, memory_order_acquire);
}

static inline struct pacing
runtime_pacing(const struct pinion_runtime *rt)
{
	/* relaxed: a worker that already polls may see the trial's choice later. */
	return pacing_begin((enum pace)atomic_load_explicit(&rt->pace, memory_order_relaxed));
}

/* What to do after having looked in vain for that long. */
enum wait_step {
	WAIT_LOOK,
	WAIT_YIELD,
	WAIT_SLEEP
};

static inline enum wait_step
runtime_wait_step(const struct pinion_runtime *rt, uint64_t waited_ticks)
{
	return waited_ticks < rt->spin_ticks ? WAIT_LOOK
	    : waited_ticks < rt->sleep_ticks ? WAIT_YIELD
					     : WAIT_SLEEP;
}

/* Why it cannot be, where whoever asked wants to read it; diag NULL: nowhere. Returns err. */
int pinioni_refuse(pinion_diag *diag, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pinioni_runtime_log(struct pinion_runtime *rt, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* With nothing in it; NULL: no memory. */
struct pinion_runtime *pinioni_runtime_new(void);
/* How many mappings the kernel allows. */
void pinioni_runtime_read_limits(struct pinion_runtime *rt);
/* When nothing is in it any more. */
void pinioni_runtime_free(struct pinion_runtime *rt);

/* housekeeping.c: the port's thread is done with it. */
void pinioni_keeper_take(struct pinion_runtime *rt, pinion_port *port);
/* Takes down what can be; true when nothing is left. Caller holds no lock. */
bool pinioni_keeper_sweep(struct pinion_runtime *rt);
int pinioni_keeper_start(struct pinion_runtime *rt) __attribute__((warn_unused_result));
void pinioni_keeper_stop(struct pinion_runtime *rt);
/* Adds and removes a port's lanes in all workers' tables. Under the lock. */
int pinioni_lanes_add(struct pinion_runtime *rt, pinion_port *port)
    __attribute__((warn_unused_result));

/* The same of lanes that are not looked at any more, while what came from there may still run. */
int pinioni_lanes_remove(struct pinion_runtime *rt, const pinion_port *port)
    __attribute__((warn_unused_result));

/* status.c: under the lock. NULL: none of that name runs. */
const struct application *pinioni_application_named(
    const struct pinion_runtime *rt, const char *name);

/* deploy.c */
int pinioni_deploy_tasks(struct pinion_runtime *rt) __attribute__((warn_unused_result));
/* A call of a plain function, by a thread that has this port. */
pinion_response pinioni_task_submit(pinion_port *port, pinion_task_fn *fn, pinion_args args);
/* deinit of everything that is live, on its workers. */
void pinioni_applications_end(struct pinion_runtime *rt);
/* When no thread is left. */
void pinioni_applications_free(struct pinion_runtime *rt);

#endif
