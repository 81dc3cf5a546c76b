/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/format.h - the byte picture of everything that lies in a segment.
 *
 * Why       Several processes, compiled at different times, read these bytes. They are drawn here and
 *           nowhere else; a change raises SEGMENT_VERSION and is named in the changelog.
 *
 *           port segment (one a calling thread)        lane segment (one a calling thread)
 *           +------------------------------+ 0         +------------------------------+ 0
 *           | segment_header               |           | segment_header               |
 *           | port_doors: epoch, bell      |           | head of lane 0   (consumer 0)|
 *           | ready bitmap                 |           | head of lane 1   (consumer 1)|
 *           | result table: block a slot   |           | ...                          |
 *           | slots, 64 bytes each         |           +------------------------------+ page
 *           | terms, 32 bytes each         |           | cells of lane 0, 64 bytes    |
 *           | faults, 256 bytes each       |           |                              |
 *           +------------------------------+ page      +------------------------------+ page
 *           | payload arena                |           | cells of lane 1 ...          |
 *           +------------------------------+           +------------------------------+
 *
 *           board (one a process, others read)         bells (one a process, others write)
 *           | segment_header               |           | segment_header               |
 *           | board_worker 0, 1, ...       |           | worker_doors 0, 1, ...       |
 *           directory (the controller's board of what exists)
 *           | segment_header | directory_head | deployments | replicas | clients |
 *           histogram (in any of them, or in private memory)
 *           | mark, above | counts |
 *
 * Rules     Fixed widths, no pointer, bool, enum, long or bitfield, no hidden padding. Offsets count
 *           from the segment's first byte. Bytes another process can write are input: copied once,
 *           checked, never read twice.
 */
#ifndef PINION_SHM_FORMAT_H
#define PINION_SHM_FORMAT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/line.h"

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit shared words must be lock-free");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "32-bit shared words must be lock-free");

#define SEGMENT_MAGIC UINT64_C(0x01006e6f696e6970) /* "pinion", 0, 1 */

enum {
	SEGMENT_VERSION = 1,

	CELL_SIZE = 64,      /* a message with its sequence word; a slot */
	MESSAGE_RECORD = 32, /* argument bytes that travel in the message */
	SLOT_BYTES = 32,     /* result bytes that lie in the slot */
	SLOT_COUNT_MAX = 65536 - 1,
	SLOT_NONE = 65535, /* in a message: nobody waits for an answer */
	FAULT_TEXT = 248,  /* bytes of an error's text */
	LANE_WORDS = 8,    /* a bit for each port whose lane a worker may poll: 512 */
};

/* 48 bits: at 10 million calls a second through one slot they last 325 days, and a late writer has
 * to hold its slot for exactly that long to be mistaken. */
#define GENERATION_MASK ((UINT64_C(1) << 48) - 1)

enum segment_kind {
	SEGMENT_PORT = 1,
	SEGMENT_LANES,
	SEGMENT_BOARD,
	SEGMENT_BELLS,
	SEGMENT_DIRECTORY,
	SEGMENT_JOURNAL, /* of a build: core/journal.h */
};

/* First bytes of every segment. All but magic are frozen before edge M publishes it. */
struct segment_header {
	alignas(PINION_LINE) _Atomic uint64_t magic; /* W creator, last  R attachers   edge M */
	uint32_t version;
	uint32_t kind;        /* enum segment_kind */
	uint64_t layout_hash; /* of sizes and offsets below: other builds are refused */
	uint64_t size;        /* of the whole segment, bytes */
	uint64_t counts[4];   /* by kind: slots and arena bytes, lanes and cells, workers, ... */
	uint32_t page_size;
	uint32_t reserved[15];
};
static_assert(sizeof(struct segment_header) == PINION_LINE, "segment format");

enum message_kind {
	MESSAGE_CALL =
	    1, /* target: a replica of the consumer. Start it, or wait for its arguments */
	MESSAGE_ANSWERED, /* a deferred request was answered by its token's holder; the slot is written */
	MESSAGE_CANCEL, /* of the call in this slot; record: struct record_ref of what it may wait for */
};

enum message_flag {
	MESSAGE_STAMP = 1,    /* the caller wants the time of completion in the slot */
	MESSAGE_FOLLOW = 2,   /* an argument was handed to this worker, and may arrive later */
	MESSAGE_GIVEN = 0x0c, /* how often a busy worker gave it to an idle sibling */
	MESSAGE_GIVEN_ONCE = 0x04,
	MESSAGE_FOLLOWED = 0xf0, /* which one, with MESSAGE_FOLLOW */
	MESSAGE_FOLLOWED_SHIFT = 4,
};

enum {
	/* In message.function: */
	MESSAGE_TERMS = 0x8000, /* the slot has struct call_terms */
	MESSAGE_FIXED = 0x4000, /* to this replica, and no sibling */
	MESSAGE_PIPED = 0x2000, /* an argument is a stream */
	MESSAGE_AHEAD =
	    0x1000, /* it has lines elsewhere: fetch them. RECORD_PLACE says where the result's are */
	MESSAGE_FUNCTION = 0x0fff,
};

enum {
	RECORD_OUTSIDE = 0xff, /* message.length: record holds a struct record_outside */
	RECORD_PLACE = MESSAGE_RECORD -
	    8, /* with MESSAGE_AHEAD: there record holds a struct result_place; size 0: look in the table */
};

/* What travels. W producer before P   R consumer after P, which copies it whole and then checks it. */
struct message {
	uint64_t call; /* generation << 16 | depth << 8 | hops: the call it asks to be answered */
	uint16_t slot; /* in that port; SLOT_NONE: no answer wanted */
	uint16_t port; /* whose slot it is */
	uint16_t target;
	uint8_t method;
	uint8_t kind;      /* enum message_kind */
	uint8_t length;    /* bytes used of record, or RECORD_OUTSIDE */
	uint8_t flags;     /* enum message_flag */
	uint16_t refs;     /* bit i: argument i is a struct record_ref */
	uint16_t function; /* of a task: its index in the process; else 0. And these */
	uint16_t trail;    /* with MESSAGE_FOLLOW: how often what it follows had been handed on */
	alignas(8) uint8_t record[MESSAGE_RECORD];
};
static_assert(sizeof(struct message) == 56, "segment format");
static_assert(offsetof(struct message, record) == 24, "segment format");

/* One cell of a lane. */
struct cell {
	_Atomic uint64_t
	    sequence; /* W producer  R consumer   ticket + 1: the cell is full   edge P */
	struct message message;
};
static_assert(sizeof(struct cell) == CELL_SIZE, "one cache line a message");

/* The consumer's end of a lane. */
struct lane_head {
	alignas(PINION_LINE) _Atomic uint64_t taken; /* W consumer  R producer   edge C */
};
static_assert(sizeof(struct lane_head) == PINION_LINE, "segment format");

/* A long result's place, reserved by the caller. Frozen by edge P of the call's message. */
struct result_place {
	uint32_t at;   /* granules into the arena; 0 with size 0: none */
	uint32_t size; /* bytes */
};

/* In a message's record: the arguments lie in a port's payload arena. */
struct record_outside {
	uint64_t offset; /* in the arena */
	uint32_t length;
	uint16_t port;
	uint16_t reserved;
};
static_assert(sizeof(struct record_outside) <= RECORD_PLACE, "segment format");

/* In a record: an argument that is a call's result, or lies in a block of its own. */
enum record_ref_kind {
	REF_RESULT = 1, /* of a slot */
	REF_BLOCK,      /* of a payload arena */
	REF_STREAM,     /* of a slot's ring: read as it comes, never waited for */
};
struct record_ref {
	uint64_t call; /* generation << 16 | home worker; a block: length */
	uint32_t at;   /* slot; a block: offset in the arena, in granules */
	uint16_t port;
	uint16_t kind; /* enum record_ref_kind */
};
static_assert(sizeof(struct record_ref) == 16, "segment format");

/* Where one call's result is or will be. See shm/slot.h for the word. */
struct slot {
	alignas(CELL_SIZE) _Atomic uint64_t
	    word;        /* W owner and callee   kind 8 | generation 48 | flags 8 */
	uint64_t holder; /* reserved: who holds the request, when hosts die */
	uint64_t stamp;  /* W callee before D   when it completed, in ticks */
	int32_t status;  /* W callee before D   0 or -errno */
	uint32_t length; /* W callee before D   bytes of the result */
	_Atomic uint64_t bytes[SLOT_BYTES / 8]; /* W callee before D   a short result   edge V */
};
static_assert(sizeof(struct slot) == CELL_SIZE, "one cache line a result");

/* The items of one stream, in the block that the call reserved for its result. See shm/ring.h. */
struct ring {
	alignas(CELL_SIZE) _Atomic uint64_t
	    taken; /* W reader  R producer   items below may be written over   edge J */
	_Atomic uint32_t closed; /* W reader, owner  R producer   nobody listens any more */
	_Atomic uint32_t
	    hungry; /* W reader  R producer   worker + 1 that waits for an item; 0: none */
	uint32_t reserved[12 + 16];
	/* A line apart, since lines are fetched in pairs. */
	alignas(CELL_SIZE) _Atomic uint32_t
	    starved; /* W producer  R reader, owner   worker + 1 that waits for room; 0: none */
	uint32_t
	    window; /* items, a power of two. Frozen by edge P of the call's message, as are: */
	uint64_t deadline; /* of the stream, by the runtime's clock; 0: none */
	uint32_t stride;   /* bytes from one item to the next */
	uint32_t more[11];
};
static_assert(sizeof(struct ring) == 3 * CELL_SIZE, "segment format");
struct ring_item {
	alignas(CELL_SIZE) _Atomic uint64_t
	    sequence;    /* W producer  R reader   number of the item + 1: it is there   edge W */
	uint32_t kind;   /* enum pinion_kind */
	uint32_t length; /* bytes of the value, which follows */
	uint64_t bytes[6];
};
static_assert(sizeof(struct ring_item) == CELL_SIZE, "one cache line an item that is a scalar");

/* What most calls do not have. W owner  R whoever has the call. Frozen by edge P of the call's message. */
struct call_terms {
	uint64_t deadline; /* ns, by the runtime's clock; 0: none */
	uint32_t at;       /* of what is carried: granules into the arena */
	uint16_t length;   /* bytes of it; 0: nothing is */
	uint16_t
	    door; /* the deployment that was called first; FAULT_NOWHERE: nothing is handed down */
	uint8_t priority;                /* enum pinion_priority */
	uint8_t id_length, model_length; /* bytes, at the beginning of what is carried */
	uint8_t reserved[13];
};
static_assert(sizeof(struct call_terms) == 32, "segment format");

/* What went wrong, when a slot's status is negative. W callee before D  R owner after D. */
struct fault {
	uint16_t origin;     /* enum pinion_origin */
	uint16_t deployment; /* where it arose; FAULT_NOWHERE: before any */
	uint8_t method;      /* of that deployment */
	uint8_t length;      /* bytes of text */
	uint8_t reserved[2];
	char text[FAULT_TEXT];
};
static_assert(sizeof(struct fault) == 256, "segment format");
enum {
	FAULT_NOWHERE = 0xffff
};

/* How a port's owner sleeps and is woken. */
struct port_doors {
	alignas(PINION_LINE) _Atomic uint64_t epoch; /* W owner  R all   see shm/bell.h */
	alignas(PINION_LINE) _Atomic uint32_t bell;  /* W all    R owner */
	uint32_t reserved;
};

/* What others write of a worker's. */
struct worker_doors {
	alignas(PINION_LINE) _Atomic uint32_t bell; /* W all    R worker   see shm/bell.h */
	uint32_t reserved;
	alignas(PINION_LINE) _Atomic uint64_t
	    rung[LANE_WORDS]; /* W all  R worker   see shm/doorbell.h */
};
static_assert(sizeof(struct worker_doors) == 2 * PINION_LINE, "segment format");

/* One worker's public state: read by callers, siblings and tools; written by that worker alone. */
struct board_worker {
	alignas(PINION_LINE) _Atomic uint64_t epoch; /* asleep when odd; see shm/bell.h */
	_Atomic uint32_t mode;                       /* enum board_mode */
	_Atomic uint32_t cpu;                        /* pinned to; BOARD_CPU_ANY: nowhere */
	_Atomic uint32_t node; /* of its memory, as an int; see affinity/topology.h */
	uint32_t reserved_too;
	/* Written with every request: kept off the line that every caller looks at. */
	alignas(PINION_LINE) _Atomic uint64_t heartbeat; /* turns of the loop that did something */
	_Atomic uint32_t depth;                          /* requests queued or running here */
	uint32_t reserved;
	_Atomic uint64_t counters[14]; /* enum board_counter */
	/* Looked at with every push, seldom written. */
	alignas(PINION_LINE) _Atomic uint64_t dozing[LANE_WORDS]; /* see shm/doorbell.h */
};
static_assert(sizeof(struct board_worker) == 3 * PINION_LINE, "segment format");
enum board_mode {
	BOARD_ADAPTIVE,
	BOARD_SPIN,
	BOARD_YIELD,
	BOARD_DRIVEN,
};
#define BOARD_CPU_ANY UINT32_MAX
enum board_counter {
	COUNT_STARTED,   /* requests whose handler began */
	COUNT_LOCAL,     /* of these, called from this worker */
	COUNT_FAILED,    /* answered with an error */
	COUNT_FORWARDED, /* handed on by pinion_forward */
	COUNT_CHAINED,   /* dependents sent on when their argument was done */
	COUNT_SURPLUS,   /* handed to an idle sibling */
	COUNT_SENT,      /* messages pushed into lanes */
	COUNT_TAKEN,     /* messages taken from lanes */
	COUNT_REFUSED,   /* messages that did not make sense: -EBADMSG */
	COUNT_SUSPENDED, /* times a handler waited on a fiber of its own */
	COUNT_SLEEPS,    /* times this worker went to sleep */
	COUNT_RESCUED,   /* sleeps that only their time limit ended although there was work */
	COUNT_RINGS,     /* sleepers it woke */
	COUNT_YIELDED,   /* items of streams */
	BOARD_COUNTERS,
};
static_assert(BOARD_COUNTERS <= 14, "board_worker.counters");

/* The directory: which replicas a deployment has and where they live, under a sequence lock. */
struct directory_head {
	alignas(PINION_LINE) _Atomic uint64_t
	    version; /* W controller  R ports   odd: being written; edge Q */
	_Atomic uint64_t deployment_count;
	_Atomic uint64_t replica_count;
};
struct directory_deployment {
	_Atomic uint32_t first; /* index of its first replica; they lie side by side */
	_Atomic uint32_t count;
};
struct directory_replica {
	_Atomic uint32_t worker;
	_Atomic uint32_t deployment;
};

/* A process that has attached. Beside the sequence lock: each number is whole, and they are for people. */
struct directory_client {
	_Atomic uint32_t pid; /* 0: none */
	_Atomic uint32_t uid;
	_Atomic uint32_t ports;
	_Atomic uint32_t violations; /* messages that made no sense */
};

/* How often each value came. W its recorder  R all: each number is whole. See shm/histogram.h. */
struct histogram {
	alignas(PINION_LINE) _Atomic uint64_t mark; /* HISTOGRAM_MARK | buckets; 0: none yet */
	_Atomic uint64_t above; /* values too high, which are in the last count as well */
	alignas(PINION_LINE) _Atomic uint64_t counts[]; /* 1024 a bucket, and 1024 for the first */
};
static_assert(sizeof(struct histogram) == PINION_LINE, "segment format");
static_assert(offsetof(struct histogram, counts) == PINION_LINE, "segment format");
#define HISTOGRAM_MARK UINT64_C(0x0103007473696800) /* the buckets' byte, "hist", 0, 3 digits, 1 */

#endif
