/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/port.h - the calling thread's room: its slots, arena, lanes, and what it knows about its calls.
 *
 *   a note (private) for each slot (shared):
 *
 *     FREE --take--> OPEN --release--> DONE already?  yes: FREE
 *                    | ^               no, or an argument of another call: ZOMBIE --sweep--> FREE
 *                    | '-- made in a handler: released when that request ends
 *                    '--its deadline is past, and it is waited for--> OVERDUE --release--> as above
 *
 * Why       All that a call needs is taken from here, by the one thread that owns it: nothing is shared
 *           but the slot and the lane.
 * Pins      A call's arguments (slots, blocks) are kept until its own slot is seen DONE, released or not.
 *           A block counts its users in the arena; a slot counts them in its note, and among them the
 *           handlers that wait for it and the requests that are answered with it.
 * Threads   The owner's only. Workers reach memory.slots, places, faults, ready and doors by port number
 *           (port_find) while a request that names the port is unfinished.
 * Memory    Opened under the runtime's lock; closed by its thread, taken down by housekeeping when all its
 *           slots are DONE and its lanes are empty, after a grace period.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   O  runtime.ports[i]  open -> find   the port and its memory may be used
 *                        bury -> find   who misses it here finds it in buried[i]
 *   F  event_fd          fd -> ring     the descriptor may be written
 */
#ifndef PINION_CORE_PORT_H
#define PINION_CORE_PORT_H

#include <stdatomic.h>

#include "core/limits.h"
#include "core/registry.h"
#include "shm/arena.h"
#include "shm/lane_memory.h"
#include "shm/port_memory.h"
#include "shm/ring.h"
#include "shm/slot.h"

struct fiber;
struct worker;

enum note_state {
	NOTE_FREE,
	NOTE_OPEN,
	NOTE_OVERDUE, /* the owner said so, whatever its call says yet; else as open */
	NOTE_ZOMBIE
};

enum {
	PIN_SLOT = 0,
	PIN_BLOCK = 1
};
#define REPLICA_NONE UINT16_MAX

/* What most notes have not: one look tells. */
enum note_mark {
	MARK_TAGGED = 1,       /* to be told of, and harvested */
	MARK_HARVESTABLE = 2,  /* ended, and in `harvest` */
	MARK_SHARED = 4,       /* its reference left this thread */
	MARK_KEPT = 8,         /* outlives its request */
	MARK_ATTACHED = 16,    /* on some request's list */
	MARK_PLACED = 32,      /* a block is reserved for its result */
	MARK_AWAITED = 64,     /* several handlers wait for it, or did */
	MARK_STREAM = 128,     /* what is placed is a ring: core/stream.h */
	MARK_UNCANCELED = 256, /* to be canceled; the lane was full */
	MARK_TERMS = 512,      /* it has memory.terms */
	MARK_BOUND = 1024,     /* and in them a deadline, */
	MARK_CARRIED = 2048,   /* and a block */
	MARK_PIPED = 4096,     /* a stream that another call reads: core/piped.h */
};

/* What one argument keeps. */
struct pin {
	uint32_t at;
	uint32_t kind;
};

struct slot_note {
	uint64_t generation;
	const struct method *method;
	struct fiber *waiter; /* of this worker: resumed when told; MARK_AWAITED: one of several */
	struct pinion_request
	    *relay; /* of this worker: a list, answered with this result; each pins it */
	union {
		uint64_t tag;                 /* MARK_TAGGED */
		struct pinion_request *owner; /* MARK_ATTACHED: the request; NULL: lent */
	};
	uint16_t replica;    /* counted in inflight; REPLICA_NONE: not, or no longer */
	uint16_t home;       /* the worker that knows where the request is */
	uint16_t next, prev; /* in the list of a request's own responses */
	uint32_t pinned;     /* calls that have it as an argument, requests that answer with it */
	uint8_t state;
	uint8_t pins;
	uint16_t marks; /* enum note_mark */
	struct pin pin[PINS_MAX];
};

/* An argument lent for an answer that goes to another port. */
struct loan {
	uint64_t generation; /* until {port, slot} is past this */
	uint16_t port;
	uint16_t slot;
	uint16_t owned; /* list of slots released then */
	uint8_t pins;
	struct pin pin[PINS_MAX];
};

struct failure {
	uint64_t serial;
	int code;
	enum pinion_origin origin;
	const char *deployment;
	const char *method;
	char text[FAULT_TEXT];
};

struct pinion_port {
	struct pinion_runtime *runtime;
	struct worker *worker; /* NULL: a foreign thread's */
	uint16_t index;
	uint32_t word; /* names it in responses: runtime 8 | its generation 8 | index 16 */
	bool closing;
	bool has_uncanceled; /* MARK_UNCANCELED, on some note */
	bool is_guest;       /* another process's, whose calls are run here: it has no notes */
	bool is_granted;     /* our own, whose calls are run in another process, */
	bool is_lost;        /* which has ended: nothing of it is pending any more */
	bool is_foreign;     /* of a guest, another user's: what lies there is copied first */
	struct port_memory memory;
	struct arena arena;
	struct lane_memory lanes;
	struct lane_tx tx[WORKERS_MAX];
	struct lane_rx *rx; /* W workers: their ends, one each */
	void *tables;       /* the mapping that all private arrays below lie in */
	size_t tables_size;
	uint64_t unordered; /* workers pushed to without an ordered look */
	uint64_t rang[WORKERS_MAX];
	uint32_t pushes;
	struct slot_note *notes;
	struct ring_rx *streams; /* of those that are */
	uint16_t *free;
	uint32_t free_count;
	uint16_t *zombies;
	uint32_t zombie_count;
	/* Copy of the directory. */
	uint64_t directory_version;
	struct directory_copy {
		uint32_t first;
		uint32_t count;
		uint32_t turn;
	} * routes;
	uint32_t route_count;
	uint16_t *replica_worker;
	uint32_t *inflight;
	uint32_t replica_count;
	struct failure *failures;
	uint64_t failure_serial;
	/* Lent with forwards; worker ports only. */
	struct loan *loans;
	uint32_t loan_count;
	uint32_t loan_room;
	/* Tagged calls that ended, by time of completion. */
	struct harvested {
		uint64_t stamp;
		uint16_t slot;
	} * harvest;
	uint32_t harvest_count;
	_Atomic int event_fd; /* W owner, once  R workers   edge F */
	uint64_t sleeps, rescued;
	_Atomic uint32_t visitors; /* W under the runtime's lock: others copying from it */
	_Atomic uint32_t
	    violations; /* of a guest: messages that made no sense, since the door has looked. W workers, door */
	struct pinion_port *next; /* to be taken down */
	bool is_trusted;          /* a guest's, and not guarded: a host's worker calls from it */
	struct host *
	    of_host; /* whose process has it; NULL: none's. And a bit a host, W under the runtime's lock: */
	uint64_t known_to; /* was told of it, */
	uint64_t to_drain; /* has ended, and what it had sent may name it, */
	uint64_t to_hear;  /* and has not said that it has */
};

/* A port for this thread. 0 or -errno, then nothing is left. worker: NULL for a foreign thread. */
int pinioni_port_create(struct pinion_runtime *rt, struct worker *worker, pinion_port **out)
    __attribute__((warn_unused_result));
/* Whoever takes from its lane to that worker begins where the last who did has left off. */
void pinioni_port_begin_at_head(pinion_port *port, unsigned worker);
/* After a grace period. */
void pinioni_port_destroy(pinion_port *port);
/* Owner, or whoever took it over: releases everything. */
void pinioni_port_abandon(pinion_port *port);
/* True when nothing of it is in use any more. */
bool pinioni_port_is_quiet(pinion_port *port);

/* Of a runtime that was attached to, and is lost or left: what is pending ends, with -EOWNERDEAD or -ECANCELED. True: it was. */
bool pinioni_port_lose(pinion_port *port);

/* A slot and its next generation, or NULL: none free now. */
struct slot_note *pinioni_port_take_slot(pinion_port *port);
/* The owner is done with it; a pending call still runs. Whatever the slot has: see port_release. */
void pinioni_port_release_slot(pinion_port *port, struct slot_note *note);
/* Frees zombies whose calls have ended, and loans. */
void pinioni_port_sweep(pinion_port *port);
/* Gives back what most notes have nothing of: pins, the block for a result, marks. */
void pinioni_port_strip(pinion_port *port, struct slot_note *note);
/* A block of the arena; what ended calls still hold is given back first when it is short. */
int pinioni_port_take_block(pinion_port *port, size_t bytes, uint32_t *at)
    __attribute__((warn_unused_result));
void pinioni_port_unpin(pinion_port *port, const struct pin *pins, unsigned count);
/* Waits until one of them is there. Its index, or why not. */
int pinioni_port_wait(pinion_port *port, const pinion_response *r, unsigned count,
    int64_t timeout_ns) __attribute__((warn_unused_result));
/* Renews the copy of the directory when it has moved. */
void pinioni_port_renew_routes(pinion_port *port);
/* A message written where lane_claim said is sent; a sleeper is looked at. */
void pinioni_port_publish(pinion_port *port, unsigned worker);
/* Pushes to a worker, or says -ENOBUFS. */
int pinioni_port_push(pinion_port *port, unsigned worker, const struct message *m)
    __attribute__((warn_unused_result));
/* The ordered look at all workers pushed to since the last. */
void pinioni_port_order(pinion_port *port);
/* A foreign port's owner sleeps: wakes it. Ordered by the caller. */
void pinioni_port_ring(pinion_port *port);
/* Given back before it was harvested: its tag is not reported, nor is the slot's next call for it. */
void pinioni_port_unharvest(pinion_port *port, uint16_t slot);
/* To be told when it is DONE, or of a stream has an item. False: it is, or has. */
bool pinioni_port_ask(pinion_port *port, uint32_t slot) __attribute__((warn_unused_result));
/* A slot this port asked about is DONE. */
void pinioni_port_told(void *port, uint32_t slot);
void pinioni_port_drain_ready(pinion_port *port);
/* A call that got no slot: its response says why. */
pinion_response pinioni_port_fail(pinion_port *port, int code, const struct method *method,
    const char *format, ...) __attribute__((format(printf, 4, 5), cold));
/* Where the last of them was to go. */
void pinioni_port_failed_in(pinion_port *port, const char *deployment, const char *method);
/* The same, for an error that arose in that method: a dependent of a call that got no slot. */
pinion_response pinioni_port_fail_upstream(
    pinion_port *port, int code, const char *deployment, const char *method, const char *text);

/* Why that call failed; texts hold as long as its slot. port NULL: nothing is known of it. */
pinion_error pinioni_error_of_slot(const pinion_port *port, uint32_t slot, uint64_t generation);

/* Keeps the block that holds a call's loaned argument. */
static inline void
port_pin_block(pinion_port *port, uint32_t at)
{
	port->arena.next[at]++;
}

/* Slots not FREE. */
static inline uint32_t
port_taken(const pinion_port *port)
{
	return port->memory.slot_count - port->free_count;
}

/* The replica that the call went to has one less, as its port sees it. */
static inline void
port_count_done(pinion_port *port, struct slot_note *note)
{
	if (note->replica == REPLICA_NONE)
		return;
	port->inflight[note->replica]--;
	note->replica = REPLICA_NONE;
}

/* With the next generation; free_count is not 0. */
static inline struct slot_note *
port_take_free(pinion_port *port, uint16_t *slot)
{
	struct slot_note *note;

	*slot = port->free[--port->free_count];
	note = &port->notes[*slot];
	note->generation = (note->generation + 1) & GENERATION_MASK;
	note->state = NOTE_OPEN;
	return note;
}

static inline uint16_t
port_slot_of(const pinion_port *port, const struct slot_note *note)
{
	return (uint16_t)(note - port->notes);
}

/* The note of a response that is this port's and was not released; else NULL. */
static inline struct slot_note *
port_note_of(const pinion_port *port, pinion_response r)
{
	struct slot_note *note;

	if (r.port != port->word || r.slot >= port->memory.slot_count)
		return NULL;
	note = &port->notes[r.slot];
	return note->generation == r.generation && note->state == NOTE_OPEN ? note : NULL;
}

/* The same of one that may be overdue. */
static inline struct slot_note *
port_note_held(const pinion_port *port, pinion_response r)
{
	struct slot_note *note;

	if (r.port != port->word || r.slot >= port->memory.slot_count)
		return NULL;
	note = &port->notes[r.slot];
	return note->generation == r.generation &&
		(note->state == NOTE_OPEN || note->state == NOTE_OVERDUE)
	    ? note
	    : NULL;
}

/* FREE; nothing is left of the call. */
static inline void
port_give(pinion_port *port, struct slot_note *note)
{
	port_count_done(port, note);
	note->state = NOTE_FREE;
	port->free[port->free_count++] = port_slot_of(port, note);
}

/* The owner is done with it; a pending call still runs. */
static inline void
port_release(pinion_port *port, struct slot_note *note)
{
	const struct slot *slot = &port->memory.slots[port_slot_of(port, note)];

	if ((note->marks | note->pins | note->pinned) == 0 && slot_poll(slot, note->generation))
		port_give(port, note);
	else
		pinioni_port_release_slot(port, note);
}

/* An item of a stream can be read. */
static inline bool
port_has_item(const pinion_port *port, uint32_t slot)
{
	return (port->notes[slot].marks & MARK_STREAM) != 0 &&
	    ring_peek(&port->streams[slot]) != NULL;
}

/* Index of the first that is there, or of which an item is, all being this port's; -EAGAIN: none. */
static inline int
port_find_done(const pinion_port *port, const pinion_response *r, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (slot_poll(&port->memory.slots[r[i].slot], r[i].generation) ||
		    port_has_item(port, r[i].slot))
			return (int)i;
	return -EAGAIN;
}

static inline bool
port_is_failed(pinion_response r)
{
	return r.slot >= 0xffff0000u;
}

#endif
