/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/worker.h - a thread that runs replicas: takes messages, runs handlers, sends results on.
 *
 *   turn:  lanes -> ready bitmap -> resumed fibers -> handlers -> outboxes -> timers -> quiet
 *            |                          |                |
 *            '-- into custody           '-- a handler    '-- on the loop's own fiber; one that waits keeps
 *                                           goes on          that fiber, and the loop takes a spare
 *
 * Threads   One thread, or whoever calls pinion_work.
 * Progress  A turn is bounded by the lanes' burst and by the handlers it starts.
 * Death     A worker dies with its process.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   L  lanes             add, remove -> turn     the table and the lanes it names may be used
 *   B  mail, control.done   send -> turn         what is to be run may be read
 *                           run -> wait          and what it wrote
 *   A  driving           turn -> next turn       caller-driven: the worker may be driven by another thread
 */
#ifndef PINION_CORE_WORKER_H
#define PINION_CORE_WORKER_H

#include <pthread.h>
#include <urcu/list.h>

#include "core/fiber.h"
#include "core/memory.h"
#include "core/pace.h"
#include "core/port.h"
#include "core/queue.h"
#include "core/request.h"
#include "shm/board.h"

/* What a worker knows of one (port, slot). */
struct custody_entry {
	uint64_t generation;
	struct pinion_request *here; /* NULL: gone to `worker`, when known */
	uint32_t worker;
	uint32_t trail; /* not 0: gone, and how often it had been handed on then */
};

struct outbox {
	struct message *messages;  /* a ring, a power of two */
	uint32_t room, first, end; /* both count on and on */
};

static inline uint32_t
outbox_count(const struct outbox *o)
{
	return o->end - o->first;
}

/* Lanes that this worker looks after. Given to it whole. */
struct lane_table {
	uint64_t serial; /* no other table of this worker has it */
	uint32_t count;
	uint32_t room; /* bytes it was taken with */
	struct lane_entry {
		struct lane_rx *rx;
		uint16_t port;
	} lanes[];
};

/* core/lanes.c */
struct lane_watch {
	uint64_t serial; /* of the table that this was made of */
	uint32_t turn;
	uint32_t hot_count;
	struct hot_lane {
		struct lane_rx *rx;
		uint32_t port;
		uint32_t turn; /* of its last message */
	} hot[LANES_HOT];
	uint32_t next;            /* of the table, looked at in this turn whatever it says */
	uint16_t at[PORTS_MAX];   /* a port's place in the table, and one; 0: it has none */
	uint32_t rang[PORTS_MAX]; /* turn of its last doorbell */
};

/* A fiber that waits for a result of somebody else's port. */
struct stranger {
	struct stranger *next;
	struct fiber *fiber;
	struct slot *slot;
	uint64_t generation;
};

/* core/starved.h */
struct starved_list {
	struct cds_list_head head; /* struct starved */
	uint32_t count;
};

/* Something to run on a worker's own thread. */
struct control {
	struct control *next;
	void (*run)(struct worker *w, void *arg);
	void *arg;
	_Atomic uint32_t done; /* W worker  R sender   edge B */
};

/* By another thread than the worker's: it has run, and what it wrote may be read. */
static inline bool
control_is_done(const struct control *c)
{
	/* B */
	return atomic_load_explicit(&c->done, memory_order_acquire) != 0;
}

struct journal;

struct worker {
	alignas(PINION_LINE) _Atomic uint64_t quiet; /* W worker  R reclaimer   edge H */
	_Atomic(struct lane_table *) lanes;          /* W under the runtime's lock   edge L */
	_Atomic(struct control *) mail;              /* W senders, worker   edge B */
	_Atomic uint32_t driving;                    /* W drivers   edge A */
	alignas(PINION_LINE) struct pinion_runtime *runtime;
	struct board_worker *line;
	_Atomic uint32_t *bell;
	struct worker_doors *doors;
	struct lane_watch watch;
	unsigned index;
	int cpu, node;
	struct heap *heap; /* of its node; what is taken on this worker is given back to it */
	pthread_t thread;
	bool has_thread;
	pinion_port *port;
	struct custody_entry *custody[PORTS_MAX];
	uint32_t custody_count;
	struct pinion_request *latest; /* in custody, and not yet written there; NULL: all are */
	uint32_t placeholders;
	uint32_t idle_turns; /* with placeholders */
	uint32_t looked_out; /* times in this turn: core/suspend.c */
	uint64_t
	    starved_since; /* ticks: a call could not be taken for want of memory; 0: not now */
	struct outbox outboxes[WORKERS_MAX];
	uint32_t outbox_messages;
	uint32_t listed; /* on strangers, ripe, both starved: one look tells that there are none */
	struct request_queue queue; /* of requests that may start */
	uint32_t parked;            /* waiting for their replica */
	uint32_t ongoing;           /* started, and not ended */
	struct replica *crowded;    /* replicas for which requests may be parked */
	struct pinion_request *pool;
	_Atomic(struct pinion_request *)
	    *chunks; /* POOL_CHUNKS_MAX; W worker  R those with a token */
	uint32_t chunk_count;
	struct pinion_request *current; /* whose handler runs now */
	unsigned stack_depth;
	unsigned relays; /* answers being passed on, one in the other */
	/* Fibers. */
	struct fiber thread_stack; /* where worker_enter was called */
	struct fiber *current_fiber;
	struct fiber *spare;
	struct fiber *resumed; /* to go on, first come first served */
	struct fiber **resumed_end;
	struct fiber **fibers; /* all of them */
	uint32_t fibers_all, fibers_busy, fibers_max;
	struct timers timers;
	struct fiber *awaiting; /* those that wait for results of this worker's port */
	struct stranger *strangers;
	struct starved_list starved, starved_long; /* handlers that wait for their rings */
	bool leave;                                /* back to thread_stack after this turn */
	bool is_draining;                          /* it has seen that the runtime is to stop, */
	bool canceling;
	uint32_t unusual;          /* batches that run, and one more while it cancels all */
	uint64_t idle_since;       /* ticks; 0: busy */
	struct pacing pacing;      /* since then */
	unsigned work;             /* done in this turn */
	struct cds_list_head ripe; /* struct batcher, to be looked at */
	uint32_t ripe_count;
	uint32_t judged_turn;            /* of watch: since when handlers with rules run, and */
	uint64_t judged_at;              /* ticks */
	struct pinion_request *rerouted; /* were somebody's dependents: core/custody.h */
	struct pinion_request **rerouted_end; /* NULL: nobody routes them */
	struct journal
	    *journal; /* of a host's, what is read when it has died lies there; NULL: in the heap */
	/* The message taken last, of a host: which lane's, under which ticket, into which request. */
	struct {
		uint64_t ticket;
		uint32_t port, request;
	} taking;
	uint64_t
	    standing_in; /* a bit a host that has ended, whose lanes we look after: core/inherit.c */
};

/* To an idle sibling. False: there is none, or it may not move. */
bool pinioni_worker_give_surplus(struct worker *w, struct pinion_request *r);
/* Siblings give their surplus to a worker of depth 0. starting: requests about to run. */
void pinioni_worker_publish_depth(struct worker *w, uint32_t starting);
/* Runs it on the worker's thread, and waits. In caller-driven mode: on this one. */
void pinioni_worker_control(struct worker *w, void (*run)(struct worker *w, void *arg), void *arg);
/* The same in two, by another thread than the worker's. The letter is lent until the wait is over. */
void pinioni_worker_control_send(struct worker *w, struct control *letter);
void pinioni_worker_control_wait(struct worker *w, struct control *letter);
int pinioni_worker_init(struct worker *w, struct pinion_runtime *rt, unsigned index)
    __attribute__((warn_unused_result));
void pinioni_worker_deinit(struct worker *w);
/* Of another process. */
void pinioni_worker_stand_for(struct worker *w, struct pinion_runtime *rt, unsigned index);
/* The thread's function. */
void *pinioni_worker_main(void *worker);
/* A part of a turn: takes what is in the lanes. */
void pinioni_lanes_poll(struct worker *w);
/* The same for a handler that waits: apart, so that the turn's is part of the turn. */
void pinioni_lanes_look_out(struct worker *w);
/* Whether there is nothing in any. */
bool pinioni_lanes_are_empty(const struct worker *w);
/* Makes room for that many more fibers, and sees that the kernel allows as many mappings. */
int pinioni_worker_reserve_fibers(struct worker *w, uint32_t more)
    __attribute__((warn_unused_result));
/* A control: the same, on the worker's own thread. */
struct reservation {
	uint32_t fibers;
	int err;
};
void pinioni_worker_reserve_for(struct worker *w, void *reservation);
struct fiber *pinioni_worker_spare(struct worker *w);
unsigned pinioni_worker_loop_turn(struct worker *w);
bool pinioni_worker_run_resumed(struct worker *w);
void pinioni_worker_run_timers(struct worker *w);
void pinioni_worker_look_at_strangers(struct worker *w);
void pinioni_worker_resume_all(struct worker *w);
/* All that wait for this slot of the worker's port. */
void pinioni_worker_resume_awaiting(struct worker *w, uint32_t slot);
void pinioni_worker_flush(struct worker *w);
int pinioni_worker_make_pool(struct worker *w) __attribute__((warn_unused_result));
void pinioni_worker_free_pool(struct worker *w);
/* Caller-driven: one turn on the calling thread. Returns the work done; 0 also while another thread
 * drives, or when called from within a turn. */
unsigned pinioni_worker_turn(struct worker *w);

/* More requests for the pool. False: no memory. */
bool pinioni_worker_grow_pool(struct worker *w);
/* How many there are, taken or not. The worker's thread. */
uint32_t pinioni_worker_pool_size(const struct worker *w);
/* How many are taken: a look at each. The worker's thread. */
uint32_t pinioni_worker_requests(struct worker *w);
/* By its place in the pool, as a message or a token names it. NULL: there is none. Any thread. */
struct pinion_request *pinioni_worker_request_at(struct worker *w, uint32_t index);
void pinioni_worker_drop_placeholder(struct worker *w, struct pinion_request *r);
void pinioni_worker_unqueue(struct worker *w, struct pinion_request *r);
/* It waits for its replica to have less to do. */
void pinioni_worker_park(struct worker *w, struct pinion_request *r);
/* One has ended where it waits: when half of those that wait have, they go. */
void pinioni_worker_park_ended(struct worker *w, struct pinion_request *r);
/* The first of those that wait is in no queue any more. */
struct pinion_request *pinioni_worker_take_parked(struct worker *w, struct replica *replica);
/* One of those that wait for the replica may be queued again. */
void pinioni_worker_unpark(struct worker *w, struct replica *replica);
/* Of a port's first; NULL: memory is used up. */
struct custody_entry *pinioni_worker_custody_make(struct worker *w, unsigned port)
    __attribute__((noinline, cold));
/* All that wait for it may be queued again, before what came later. */
void pinioni_worker_unpark_all(struct worker *w, struct replica *replica);
/* In order; kept in the outbox while the other's lane is full. For want of memory a call fails; an answer is not
 * sent: false. */
bool pinioni_worker_send(struct worker *w, unsigned to, const struct message *m);
/* The same to itself as well: taken in a later turn, not at once. */
bool pinioni_worker_post(struct worker *w, unsigned to, const struct message *m);
/* Suspends the running handler until somebody resumes its fiber. -ENOMEM: no spare fiber. */
int pinioni_worker_suspend(struct worker *w) __attribute__((warn_unused_result));
void pinioni_worker_resume(struct worker *w, struct fiber *f);
/* Why the running handler is not to wait; 0: it may. Looked at before each suspension, and after it. */
int pinioni_worker_interrupted(const struct worker *w);
/* The running fiber is resumed then. -ENOMEM. */
int pinioni_worker_wake_at(struct worker *w, uint64_t at) __attribute__((warn_unused_result));
/* Suspends until a slot of another port is DONE. */
int pinioni_worker_await_stranger(struct worker *w, struct slot *slot, uint64_t generation)
    __attribute__((warn_unused_result));
/* What waits at the head of our own queue runs on this stack, if it is that call or one that it waits for. False:
 * it is not. Not for a wait within a time: what runs on our stack ends when it likes. */
bool pinioni_worker_run_inline(struct worker *w, pinion_response response);
/* Suspends until one that is not yet DONE is, `deadline` (0: none) is past, or all ends. -ESTALE: another handler
 * gave one back meanwhile. */
int pinioni_worker_await(struct worker *w, const pinion_response *responses, unsigned count,
    uint64_t deadline) __attribute__((warn_unused_result));
/* Rings a worker that sleeps. Ordered by the caller. */
void pinioni_worker_ring(struct pinion_runtime *rt, unsigned worker);

/* Whose handler makes a call of this port; NULL: a thread, or init. */
static inline struct pinion_request *
port_caller(const pinion_port *port)
{
	return port->worker == NULL ? NULL : port->worker->current;
}

/* NULL: no memory. */
static inline struct pinion_request *
worker_take_request(struct worker *w)
{
	struct pinion_request *r;

	if (w->pool == NULL && !pinioni_worker_grow_pool(w))
		return NULL;
	r = w->pool;
	w->pool = r->next;
	r->lane = NULL;
	r->custody = NULL;
	r->buffer = 0;
	r->state = REQUEST_NEW;
	r->counted = r->is_admitted = r->inside = false;
	return r;
}

/* Nothing waits for it, and it holds nothing. */
static inline void
worker_give_request(struct worker *w, struct pinion_request *r)
{
	assert(r->dependents == NULL && r->memory == NULL && r->owned == SLOT_NONE);
	if (r->depth > REQUEST_DEPTH)
		pinioni_timers_drop(&w->timers, &r->deadline);
	r->state = REQUEST_FREE;
	r->next = w->pool;
	w->pool = r;
}

/* It may start, and is not urgent. */
static inline void
worker_enqueue(struct worker *w, struct pinion_request *r)
{
	r->state = REQUEST_QUEUED;
	queue_push(&w->queue, r);
}

/* The same, whatever it is. */
static inline void
worker_enqueue_any(struct worker *w, struct pinion_request *r)
{
	r->state = REQUEST_QUEUED;
	queue_push_any(&w->queue, r);
}

/* Where a message for that other worker can be written, to be sent by pinioni_port_publish. NULL: it has to
 * wait in the outbox. */
static inline struct message *
worker_claim(struct worker *w, unsigned to)
{
	return outbox_count(&w->outboxes[to]) != 0 ? NULL : lane_claim(&w->port->tx[to]);
}

/* NULL: there is no such slot, or memory is used up. */
__attribute__((always_inline)) static inline struct custody_entry *
worker_custody(struct worker *w, unsigned port, unsigned slot)
{
	struct custody_entry *entries;

	if (port >= PORTS_MAX || slot >= w->port->memory.slot_count)
		return NULL;
	entries =
	    w->custody[port] != NULL ? w->custody[port] : pinioni_worker_custody_make(w, port);
	return entries == NULL ? NULL : &entries[slot];
}

#endif
