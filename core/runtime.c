/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/runtime.c - pinion_start and pinion_stop.
 */
#include "core/runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/attach.h"
#include "core/door.h"
#include "core/host.h"
#include "core/thread.h"
#include "shm/futex.h"

static_assert((int)PLACEMENT_WORKERS_MAX == (int)WORKERS_MAX, "a plan has room for every worker");
static_assert((int)BOARD_WORKERS == (int)WORKERS_MAX, "a line for each");

void
pinioni_runtime_log(struct pinion_runtime *rt, const char *format, ...)
{
	char line[512];
	va_list list;

	if (rt->log == NULL)
		return;
	va_start(list, format);
	(void)vsnprintf(line, sizeof line, format, list); /* cut short: fine */
	va_end(list);
	rt->log(rt->log_arg, line);
}

int
pinioni_refuse(pinion_diag *diag, int err, const char *format, ...)
{
	va_list list;

	if (diag == NULL)
		return err;
	va_start(list, format);
	(void)vsnprintf(diag->text, sizeof diag->text, format, list); /* cut short: fine */
	va_end(list);
	return err;
}

struct pinion_runtime *
pinioni_runtime_new(void)
{
	struct pinion_runtime *rt = pinioni_lines_take(sizeof *rt);
	pthread_condattr_t steady;

	if (rt == NULL)
		return NULL;
	pinioni_heap_init(&rt->heap, HEAP_ANY_NODE);
	rt->board.segment = rt->board.bell_segment = rt->board.host_segment =
	    rt->directory.segment = SEGMENT_UNUSED;
	(void)pthread_mutex_init(&rt->lock, NULL);
	(void)pthread_mutex_init(&rt->run_lock, NULL);
	(void)pthread_cond_init(&rt->keeper_cond, NULL);
	(void)pthread_condattr_init(&steady); /* these cannot fail on Linux */
	(void)pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&rt->hosts_cond, &steady);
	(void)pthread_condattr_destroy(&steady);
	return rt;
}

void
pinioni_runtime_free(struct pinion_runtime *rt)
{
	for (unsigned i = 0; i < rt->node_heap_count; i++)
		pinioni_heap_deinit(&rt->node_heaps[i]);
	pinioni_heap_deinit(&rt->heap);
	(void)pthread_cond_destroy(&rt->keeper_cond);
	(void)pthread_cond_destroy(&rt->hosts_cond);
	(void)pthread_mutex_destroy(&rt->run_lock);
	(void)pthread_mutex_destroy(&rt->lock);
	free(rt);
}

/* ---- options -------------------------------------------------------------------------------- */

static bool
is_power_of_two(int64_t x)
{
	return x > 0 && (x & (x - 1)) == 0;
}

static int
check_sizes(const pinion_start_options *o)
{
	if (o->slots < 0 || o->slots > SLOT_COUNT_MAX)
		return pinioni_refuse(
		    o->diag, -EINVAL, "slots is %d: 1 to %d", o->slots, SLOT_COUNT_MAX);
	if (o->lane_cells != 0 && (!is_power_of_two(o->lane_cells) || o->lane_cells < 2))
		return pinioni_refuse(
		    o->diag, -EINVAL, "lane_cells is %d: a power of two, 2 or more", o->lane_cells);
	if (o->arena_bytes != 0 &&
	    (!is_power_of_two(o->arena_bytes) || o->arena_bytes < ARENA_STEP ||
		o->arena_bytes > INT64_C(1) << 32))
		return pinioni_refuse(o->diag, -EINVAL,
		    "arena_bytes is %lld: a power of two, %d to 4 GiB", (long long)o->arena_bytes,
		    ARENA_STEP);
	if (o->stack_size != 0 && (o->stack_size < 16384 || o->stack_size > INT64_C(1) << 30))
		return pinioni_refuse(o->diag, -EINVAL, "stack_size is %lld: 16 KiB to 1 GiB",
		    (long long)o->stack_size);
	if (o->clock.now == NULL && o->clock.arg != NULL)
		return pinioni_refuse(o->diag, -EINVAL, "clock has an argument and no function");
	if (o->drain_ns < 0)
		return pinioni_refuse(
		    o->diag, -EINVAL, "drain_ns is %lld: negative", (long long)o->drain_ns);
	if (o->workers != PINION_CALLER_DRIVEN && (o->workers < 0 || o->workers > WORKERS_MAX))
		return pinioni_refuse(o->diag, -EINVAL,
		    "workers is %d: 1 to %d, or PINION_CALLER_DRIVEN", o->workers, WORKERS_MAX);
	if (o->host_workers < 0 || o->host_workers >= WORKERS_MAX)
		return pinioni_refuse(o->diag, -EINVAL, "host_workers is %d: 0 to %d",
		    o->host_workers, WORKERS_MAX - 1);
	if (o->host_workers != 0 && (o->listen == NULL || o->workers == PINION_CALLER_DRIVEN))
		return pinioni_refuse(o->diag, -EINVAL,
		    "host_workers is %d, and no process can come: that takes .listen, and workers "
		    "with threads",
		    o->host_workers);
	return 0;
}

/* is_crowded: workers and a caller outnumber the cpus. Who spins then holds up who would answer. */
static int
mode_of(const pinion_start_options *o, bool is_crowded, uint32_t *mode)
{
	const struct {
		const char *name;
		uint32_t mode;
	} names[] = { { "adaptive", is_crowded ? BOARD_YIELD : BOARD_ADAPTIVE },
		{ "spin", BOARD_SPIN }, { "yield", BOARD_YIELD } };

	*mode = o->workers == PINION_CALLER_DRIVEN ? BOARD_DRIVEN : names[0].mode;
	if (o->workers == PINION_CALLER_DRIVEN || o->idle == NULL)
		return 0;
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(names[i].name, o->idle) == 0) {
			*mode = names[i].mode;
			return 0;
		}
	return pinioni_refuse(
	    o->diag, -EINVAL, "idle is \"%s\": \"adaptive\", \"spin\" or \"yield\"", o->idle);
}

/* When who waits begins to yield, and to sleep. */
static void
set_patience(struct pinion_runtime *rt)
{
	rt->spin_ticks = (rt->mode == BOARD_YIELD ? YIELD_US : SPIN_US) * rt->ticks_us;
	rt->sleep_ticks = rt->mode == BOARD_YIELD ? YIELD_MAX_US * rt->ticks_us : rt->spin_ticks;
	if (rt->mode == BOARD_SPIN)
		rt->spin_ticks = rt->sleep_ticks = UINT64_MAX;
}

static int
pace_of(const pinion_start_options *o, enum pace *pace)
{
	char names[80] = "";
	size_t at = 0;

	*pace = PACE_AUTO;
	if (o->poll == NULL || strcmp(o->poll, "auto") == 0)
		return 0;
	for (unsigned i = 0; i < PACES; i++) {
		if (strcmp(pinioni_paces[i].name, o->poll) == 0) {
			*pace = (enum pace)i;
			return 0;
		}
		at += (size_t)snprintf(
		    names + at, sizeof names - at, ", \"%s\"", pinioni_paces[i].name);
	}
	return pinioni_refuse(o->diag, -EINVAL, "poll is \"%s\": \"auto\"%s", o->poll, names);
}

void
pinioni_runtime_read_limits(struct pinion_runtime *rt)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	unsigned long long max = 65530;

	if (f != NULL) {
		if (fscanf(f, "%llu", &max) != 1)
			max = 65530; /* the kernel's default */
		(void)fclose(f);     /* read only */
	}
	rt->mappings_max = max;
}

/* The same for all workers of a node. */
static struct heap *
heap_on(struct pinion_runtime *rt, int node)
{
	if (rt->node_count == 1 || node == NODE_UNKNOWN)
		return &rt->heap;
	for (unsigned i = 0; i < rt->node_heap_count; i++)
		if (rt->node_heaps[i].node == node)
			return &rt->node_heaps[i];
	pinioni_heap_init(&rt->node_heaps[rt->node_heap_count], node);
	return &rt->node_heaps[rt->node_heap_count++];
}

/* How many workers there are, on which cpu each runs, and where its memory is. */
static int
place_workers(struct pinion_runtime *rt, const pinion_start_options *o)
{
	bool driven = o->workers == PINION_CALLER_DRIVEN;
	struct topology topology;
	struct placement plan;
	enum pace pace;
	int err;

	pinioni_topology_load(&topology);
	pinioni_placement_plan(
	    &topology, driven ? 1 : (unsigned)o->workers, !o->no_pin && !driven, &plan);
	if (plan.worker_count + (unsigned)o->host_workers > WORKERS_MAX)
		return pinioni_refuse(o->diag, -EINVAL,
		    "host_workers is %d, beside %u workers: %d in all", o->host_workers,
		    plan.worker_count, WORKERS_MAX);
	err = mode_of(o, plan.worker_count >= plan.cpu_count, &rt->mode);
	if (err == 0)
		err = pace_of(o, &pace);
	if (err != 0)
		return err;
	set_patience(rt);
	/* Both sides of a trial have to run at once. */
	rt->tries_paces = pace == PACE_AUTO && !driven && plan.cpu_count > 1;
	/* relaxed: there are no other threads yet. */
	atomic_store_explicit(
	    &rt->pace, pace == PACE_AUTO ? PACE_CLOCK : pace, memory_order_relaxed);
	rt->own_count = rt->host_first = plan.worker_count;
	rt->worker_count = plan.worker_count + (unsigned)o->host_workers;
	rt->node_count = plan.node_count;
	rt->workers = pinioni_heap_take(&rt->heap, rt->worker_count * sizeof *rt->workers);
	if (rt->workers == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < rt->own_count; i++) {
		struct worker *w = &rt->workers[i];

		w->cpu = plan.workers[i].cpu;
		w->node = plan.workers[i].node;
		w->heap = heap_on(rt, w->node);
	}
	(void)snprintf(rt->placement, sizeof rt->placement, "%s",
	    driven ? "caller-driven: on the cpu of whoever calls pinion_work" : plan.text);
	return 0;
}

static int
read_options(struct pinion_runtime *rt, const pinion_start_options *o)
{
	int err = check_sizes(o);

	if (err != 0)
		return err;
	(void)snprintf(rt->name, sizeof rt->name, "%s", o->name == NULL ? "pinion" : o->name);
	rt->slots = o->slots == 0 ? 1024 : (uint32_t)o->slots;
	rt->lane_cells = o->lane_cells == 0 ? 1024 : (uint32_t)o->lane_cells;
	rt->arena_bytes = o->arena_bytes == 0 ? (size_t)16 << 20 : (size_t)o->arena_bytes;
	rt->stack_size = o->stack_size == 0 ? (size_t)64 << 10 : (size_t)o->stack_size;
	rt->drain_ns = o->drain_ns == 0 ? INT64_C(1000000000) : o->drain_ns;
	rt->prefault = o->prefault;
	rt->huge_pages = o->huge_pages;
	rt->clock = pinioni_clock_of(o->clock);
	rt->clock_is_time = pinioni_clock_is_time(&rt->clock);
	if (o->listen != NULL && !rt->clock_is_time)
		return pinioni_refuse(o->diag, -EINVAL,
		    "listen: others cannot read a clock that is this program's own");
	rt->ticks_us = pinioni_clock_ticks_us();
	rt->log = o->log;
	rt->log_arg = o->log_arg;
	pinioni_runtime_read_limits(rt);
	return place_workers(rt, o);
}

/* ---- pace ----------------------------------------------------------------------------------- */

static void
say_paces(struct pinion_runtime *rt, enum pace chosen, const uint64_t ticks[PACES])
{
	char text[160] = "";
	size_t at = 0;

	for (unsigned i = 0; i < PACES && at < sizeof text; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %.0f%s",
		    i == 0 ? "" : ", ", pinioni_paces[i].name,
		    (double)ticks[i] * 1000 / (double)(TRIAL_TRIPS * rt->ticks_us),
		    i == 0 ? " ns" : "");
	pinioni_runtime_log(rt, "polls: %s (%s)", pinioni_paces[chosen].name, text);
}

static void
answer_trial(struct worker *w, void *trial)
{
	(void)w;
	pinioni_pace_answer(trial);
}

/* With a worker that has a thread. Without a verdict it stays as it is. */
static void
try_paces(struct pinion_runtime *rt, struct worker *w)
{
	struct pace_trial trial = { .limit_ticks = TRIAL_MS * 1000 * rt->ticks_us };
	struct control letter = { .run = answer_trial, .arg = &trial };
	uint64_t ticks[PACES];
	enum pace chosen;
	bool is_done;

	pinioni_worker_control_send(w, &letter);
	is_done = pinioni_pace_try(&trial, ticks);
	pinioni_worker_control_wait(w, &letter);
	if (!is_done) {
		pinioni_runtime_log(rt, "polls: %s (no trial: worker 0 answered too late)",
		    pinioni_paces[PACE_CLOCK].name);
		return;
	}
	chosen = pinioni_pace_choose(ticks);
	/* relaxed: as where it is read. */
	atomic_store_explicit(&rt->pace, chosen, memory_order_relaxed);
	say_paces(rt, chosen, ticks);
}

/* ---- start ---------------------------------------------------------------------------------- */

static int
make_worker(struct pinion_runtime *rt, unsigned i)
{
	struct worker *w = &rt->workers[i];
	int err = pinioni_worker_init(w, rt, i);

	if (err != 0)
		return err;
	/* relaxed: for people. */
	atomic_store_explicit(&w->line->mode, rt->mode, memory_order_relaxed);
	atomic_store_explicit(&w->line->cpu, BOARD_CPU_ANY, memory_order_relaxed);
	atomic_store_explicit(&w->line->node, (uint32_t)w->node, memory_order_relaxed);
	err = pinioni_port_create(rt, w, &w->port);
	if (err != 0)
		return err;
	w->port->index = (uint16_t)i;
	(void)pthread_mutex_lock(&rt->lock);
	err = pinioni_lanes_add(rt, w->port);
	if (err == 0) {
		/* relaxed: the threads that look are made afterwards. */
		atomic_store_explicit(&rt->ports[i], w->port, memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

static int
start_threads(struct pinion_runtime *rt)
{
	int err = 0;

	if (rt->mode == BOARD_DRIVEN)
		return 0;
	err = pinioni_reclaim_start(&rt->reclaimer);
	if (err == 0)
		err = pinioni_keeper_start(rt);
	for (unsigned i = 0; i < rt->own_count && err == 0; i++) {
		struct worker *w = &rt->workers[i];

		w->has_thread = true;
		err = -pthread_create(&w->thread, NULL, pinioni_worker_main, w);
		if (err != 0)
			w->has_thread = false;
		else if (i == 0 && rt->tries_paces)
			try_paces(rt, w); /* the others would want the cpus */
	}
	return err;
}

static int
bring_up(struct pinion_runtime *rt, const pinion_start_options *o)
{
	int err = read_options(rt, o);

	if (err != 0)
		return err;
	err =
	    pinioni_board_create(&rt->board, "pinion-board", rt->own_count, runtime_host_count(rt));
	if (err != 0)
		return pinioni_refuse(o->diag, err, "no memory for the boards: %s", strerror(-err));
	err = pinioni_directory_create(&rt->directory, "pinion-directory");
	if (err != 0)
		return pinioni_refuse(
		    o->diag, err, "no memory for the directory: %s", strerror(-err));
	for (unsigned i = rt->own_count; i < rt->worker_count; i++)
		pinioni_worker_stand_for(&rt->workers[i], rt, i);
	for (unsigned i = 0; i < rt->own_count && err == 0; i++)
		err = make_worker(rt, i);
	if (err != 0)
		return pinioni_refuse(
		    o->diag, err, "no memory for the workers' ports: %s", strerror(-err));
	err = pinioni_hosts_make(rt);
	if (err != 0)
		return pinioni_refuse(o->diag, err, "no memory");
	err = start_threads(rt);
	if (err != 0)
		return pinioni_refuse(o->diag, err, "no threads: %s", strerror(-err));
	err = pinioni_runtimes_add(rt, 0);
	if (err != 0)
		return pinioni_refuse(
		    o->diag, err, "more than %d runtimes in one process", RUNTIMES_MAX);
	rt->is_listed = true;
	for (unsigned i = 0; i < rt->own_count; i++)
		rt->workers[i].port->word = port_word_make(rt->key, i);
	err = pinioni_deploy_tasks(rt);
	if (err != 0)
		return pinioni_refuse(o->diag, err, "no task workers: %s", strerror(-err));
	if (o->listen != NULL)
		(void)snprintf(rt->listen, sizeof rt->listen, "%s", o->listen);
	return o->listen == NULL ? 0 : pinioni_door_open(rt, o->listen, o->listen_group, o->diag);
}

static void
take_apart(struct pinion_runtime *rt)
{
	/* First: who finds it in the list by a handle looks at what is freed below. */
	if (rt->is_listed)
		pinioni_runtimes_remove(rt);
	/* relaxed: nothing is written that its readers read before they are joined. */
	atomic_store_explicit(&rt->phase, RUNTIME_STOPPED, memory_order_relaxed);
	for (unsigned i = 0; rt->workers != NULL && i < rt->own_count; i++) {
		struct worker *w = &rt->workers[i];

		if (!w->has_thread)
			continue;
		pinioni_worker_ring(rt, i);
		(void)pthread_join(w->thread, NULL); /* joined once */
	}
	pinioni_keeper_stop(rt);
	pinioni_reclaim_stop(&rt->reclaimer);
	for (unsigned i = 0; rt->workers != NULL && i < rt->own_count; i++) {
		struct worker *w = &rt->workers[i];

		if (w->runtime == NULL)
			continue;
		if (w->port != NULL)
			pinioni_port_destroy(w->port);
		/* relaxed: no other thread is left. */
		struct lane_table *t = atomic_load_explicit(&w->lanes, memory_order_relaxed);

		if (t != NULL)
			pinioni_heap_give(&rt->heap, t, t->room);
		pinioni_worker_deinit(w);
	}
	pinioni_hosts_free(rt);
	pinioni_applications_free(rt);
	pinioni_directory_destroy(&rt->directory);
	pinioni_board_destroy(&rt->board);
	pinioni_heap_give(&rt->heap, rt->workers, rt->worker_count * sizeof *rt->workers);
	pinioni_runtime_free(rt);
}

int
pinion_start_with(const pinion_start_options *o)
{
	struct pinion_runtime *rt;
	int err;

	if (o->diag != NULL)
		o->diag->text[0] = '\0';
	if (o->runtime == NULL)
		return pinioni_refuse(o->diag, -EINVAL, "runtime is NULL");
	*o->runtime = NULL;
	rt = pinioni_runtime_new();
	if (rt == NULL)
		return pinioni_refuse(o->diag, -ENOMEM, "no memory");
	err = bring_up(rt, o);
	if (err != 0) {
		take_apart(rt);
		return err;
	}
	*o->runtime = rt;
	return 0;
}

/* ---- stop ----------------------------------------------------------------------------------- */

/* Asked of each worker on its own thread: has it anything left? */
static void
count_left(struct worker *w, void *arg)
{
	uint32_t *left = arg;

	pinioni_port_sweep(w->port);
	*left += w->queue.count + w->outbox_messages + w->fibers_busy + pinioni_worker_requests(w);
}

static uint64_t
messages_moved(const struct pinion_runtime *rt)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rt->worker_count; i++)
		sum += board_read(rt->board.workers[i], COUNT_SENT) +
		    board_read(rt->board.workers[i], COUNT_TAKEN);
	return sum;
}

/* Under the lock, since this thread is no reader under RCU: a port that is found there is not taken down. */
static bool
lanes_are_taken(struct pinion_runtime *rt)
{
	bool all = true;

	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; i < PORTS_MAX && all; i++) {
		const pinion_port *p = runtime_port(rt, i);

		for (unsigned k = 0; p != NULL && k < rt->worker_count; k++)
			all = all && lane_is_taken(&p->lanes, k, rt->lane_cells - 1);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return all;
}

/* Nothing in a lane, nothing in a worker, and nothing moved between the two looks. */
static bool
is_drained(struct pinion_runtime *rt)
{
	uint64_t moved = messages_moved(rt);
	uint32_t left = 0;

	if (!lanes_are_taken(rt))
		return false;
	for (unsigned i = 0; i < rt->own_count; i++)
		pinioni_worker_control(&rt->workers[i], count_left, &left);
	if (left == 0)
		left = pinioni_hosts_left(rt);
	return left == 0 && lanes_are_taken(rt) && moved == messages_moved(rt);
}

/* In slices of a fifth of a millisecond, so that a quick drain is a quick stop. */
static bool
wait_until_drained(struct pinion_runtime *rt, uint64_t limit_ns)
{
	static const _Atomic uint32_t nobody_rings = 0;
	uint64_t start = clock_monotonic_ns();

	while (!is_drained(rt)) {
		if (clock_monotonic_ns() - start > limit_ns)
			return false;
		if (rt->mode == BOARD_DRIVEN)
			(void)pinioni_worker_turn(&rt->workers[0]);
		else
			(void)pinioni_futex_wait(&nobody_rings, 0, 200000); /* only to wait */
	}
	return true;
}

static void
enter_phase(struct pinion_runtime *rt, enum runtime_phase phase)
{
	/* N */
	atomic_store_explicit(&rt->phase, phase, memory_order_release);
	for (unsigned i = 0; i < rt->worker_count; i++)
		pinioni_worker_ring(rt, i);
}

void
pinion_stop(pinion_runtime *rt)
{
	if (rt == NULL || rt->is_forked)
		return;
	if (thread_worker() != NULL && thread_worker()->runtime == rt) {
		pinioni_runtime_log(
		    rt, "pinion_stop in a handler, for which it would wait: ignored");
		return;
	}
	if (rt->attached != NULL) {
		pinioni_attached_leave(rt);
		return;
	}
	enter_phase(rt, RUNTIME_DRAINING);
	pinioni_door_say_stopping(rt->door);
	(void)wait_until_drained(rt, (uint64_t)rt->drain_ns); /* what is left is canceled */
	enter_phase(rt, RUNTIME_CANCELING);
	pinioni_hosts_cancel(rt);
	/* A handler here cannot be killed; a process can. */
	if (rt->hosts != NULL && !wait_until_drained(rt, (uint64_t)rt->drain_ns))
		pinioni_hosts_end_silent(rt);
	pinioni_door_empty(rt->door);
	/* Once more in any case, so that every worker has begun to cancel: a call that passed the check of
	 * the phase long ago may come now, and no handler may run after its replica's deinit. Ended by the
	 * handlers that still run: a handler cannot be killed. */
	while (!wait_until_drained(rt, UINT64_C(1) << 40))
		continue;
	pinioni_applications_end(rt);
	pinioni_shells_close(rt);
	while (!pinioni_keeper_sweep(rt))
		if (rt->mode == BOARD_DRIVEN)
			(void)pinioni_worker_turn(&rt->workers[0]);
	pinioni_door_close(rt->door);
	take_apart(rt);
}

int
pinion_work(pinion_runtime *rt)
{
	if (rt->mode != BOARD_DRIVEN)
		return -EINVAL;
	return (int)pinioni_worker_turn(&rt->workers[0]);
}
