/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/limits.h - every bound of the runtime, with its reason.
 */
#ifndef PINION_CORE_LIMITS_H
#define PINION_CORE_LIMITS_H

#include "shm/format.h"

enum {
	RUNTIMES_MAX = 256,          /* in one process: a byte of a handle */
	WORKERS_MAX = 64,            /* a bit each in a port's mask of sleepers to look at */
	PORTS_MAX = 64 * LANE_WORDS, /* lanes that one worker looks after: a bit each */
	METHODS_MAX = 255,           /* of a deployment: a byte of a handle */
	LATE_METHODS =
	    1024, /* names that no deployment has, kept for the error's text; options of handles */
	TASK_FUNCTIONS = 1024, /* told apart by address */
	APPLICATIONS_MAX = 64,
	NODES_MAX = 1024, /* of one application's graph */

	HOPS_MAX = 32,        /* forwards of one request */
	DEPTH_MAX = 200,      /* calls that wait for each other, one in the other */
	INLINE_DEPTH_MAX = 8, /* of these, on one stack */

	URGENT_IN_ROW = 8, /* requests put ahead of others, before one of those has its turn */

	LEADS_MAX = 16, /* stages of a chain that its waiter runs on its own stack */

	LEAST_OF = 32, /* replicas that a call chooses the least loaded of */

	RELAYS_MAX = 8, /* answers that complete one another on one stack; the rest next turn */

	IDLE_TURNS = 1000, /* of a driver that waits within a time, while its clock stands */
	LOOK_IDLE =
	    4096, /* idle turns, until placeholders are looked at: their calls may have failed elsewhere */
	TORN_LOOKS = 100000, /* at a directory that is being written, a millisecond and more */
	STARVED_MS = 1000,   /* without memory for a call, before it fails */

	TRIAL_MS = 3,        /* for each side: six times what it takes under one L3 */
	TRIAL_HOMES = 16,    /* pairs of lines: batches at each pace */
	TRIAL_HOMES_MIN = 5, /* done in time: a median of fewer says little */
	TRIAL_TRIPS = 32,    /* round trips a batch */
	TRIAL_WARM = 8,      /* before it: the lines come, and both sides take its pace */

	STREAM_WINDOW = 32, /* items that a producer may be ahead of its reader */
	STARVED_LOOKS = 16, /* at producers that wait for room, a turn */
	STARVED_FRESH =
	    64, /* looks that found no room, before a producer has waited long: its reader is slow */
	STARVED_LONG_LOOKS = 1, /* at those, a turn */

	LANES_HOT = 8,      /* polled every turn, */
	LANES_KEPT = 4,     /* of these so many although they are quiet */
	LANE_WARM = 64,     /* turns between two doorbells of a lane that is polled then */
	LANE_COOL = 256,    /* turns without a message, before another may take its place */
	LANE_COLD = 65536,  /* turns without one, a millisecond, before it is left alone */
	WANT_BYTES = 1024,  /* of a long record, fetched when its message is taken */
	LANE_BURST = 16,    /* messages taken from one lane a turn */
	RUN_BURST = 16,     /* handlers started a turn */
	JUDGE_US = 5,       /* of these, of replicas with rules, until lanes are looked at again */
	LOOK_AHEAD = 4,     /* messages looked at for dependents after a completion */
	LOOK_EVERY = 16,    /* pushes without an ordered look at the sleeper */
	LOANS_SWEEP = 64,   /* borrowed arguments kept before they are looked through */
	FAILURES = 64,      /* texts of calls that got no slot, kept per port */
	PINS_MAX = 9,       /* blocks and slots that one call's arguments keep */
	TIMER_NEAR_US = 20, /* before a timer is due, a worker does not sleep any more */
	LOOK_OUTS = 16,     /* of these in one turn */
	AWAIT_US = 2,       /* that a handler waits on its worker before it is suspended */
	SPIN_US = 10,       /* before an adaptive waiter sleeps */
	YIELD_US = 1,       /* before a yielding waiter yields */
	YIELD_MAX_US = 100, /* before it sleeps: twice what a sleep costs (docs/design/sleep.md) */
	PACE_LOOKS = 16,    /* to the next look at the clock, at a pace that reads none */
	ATTACH_WAIT_MS = 5000,  /* for another process's answer: it may be stopped, or starting */
	ATTACH_ARENA = 1 << 20, /* bytes of a client's port, all committed when it is made */
	CLIENTS_MAX = 256,      /* processes attached at once */
	CLIENT_PORTS_MAX = 128, /* of each */
	CLIENT_REQUESTS =
	    4, /* that a port's process may have here for each of its slots: more is a flood */
	CLIENTS_LOOK_MS = 1000, /* between two looks for one */
	VIOLATIONS_MAX = 16,    /* messages that make no sense, before a client is detached */
	SLEEP_MAX_MS = 100,     /* bounds the harm of a lost wake-up */
	PARKED_SLEEP_MS = 1     /* surplus looks for an idle sibling: nobody rings for that */
};

#endif
