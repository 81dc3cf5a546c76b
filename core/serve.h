/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/serve.h - a host's own side: a worker of another process's runtime, in this one.
 *
 *   attach -> graph built, its functions taken -> HOST: which worker, which replica -> port -> thread -> init -> READY
 *        hears of ports and deployments (mirror.c)      messages are taken from the lanes that callers wrote
 *        END --> deinit -> ENDED      the controller ends --> RUNTIME_LOST: all that runs is canceled
 *
 * Why       To a caller it is a worker like any other: the same lanes, the same lines. So here it is one, too; only others'
 *           ports are mapped when the controller says that there are some.
 * Held      A message may come before its port or its target was heard of: it stays in its lane until then (core/host.h).
 * Threads   The listener maps and unmaps; the worker takes; whoever called pinion_host waits for the end.
 */
#ifndef PINION_CORE_SERVE_H
#define PINION_CORE_SERVE_H

#include "core/control.h"
#include "core/guest.h"
#include "core/journal.h"
#include "core/runtime.h"
#include "shm/channel.h"

/* A port that the controller wants to be buried. */
struct last_rites {
	struct burial *burial; /* NULL: none is under way */
	bool is_said;          /* nothing of it is left, and the controller knows */
	bool is_forgotten;     /* by all others */
};

struct serving {
	unsigned worker;
	struct deployment *deployment;
	struct replica *replica;
	struct journal journal; /* its worker lies in it, with all the others' places */
	/* Replicas of others, by their numbers, as far as they are known. W under the runtime's lock. */
	struct replica *strangers[DIRECTORY_REPLICAS];
	struct replica nobody;              /* in place of one that is not */
	uint64_t mirrored;                  /* version of the directory */
	_Atomic uint64_t gone[LANE_WORDS];  /* ports that are being buried. W listener  R worker */
	struct last_rites rites[PORTS_MAX]; /* W listener */
	uint32_t rites_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_set_up, is_to_end;   /* under `lock` */
	_Atomic uint32_t is_leaving; /* W who leaves  R worker   nothing more is taken */
	/* W listener: how much its worker has is asked of it, and then told. */
	struct control count;
	uint32_t counted;
	uint64_t count_serial;
	bool is_counting, is_asked_again;
};

/* A message of the controller's that is for hosts. False: it is not. What it brought is taken. */
bool pinioni_serve_hear(
    struct pinion_runtime *rt, const struct control_message *m, struct parcel *brought);
/* Burials go on. Milliseconds until the next turn; -1: none is under way. */
int pinioni_serve_turn(struct pinion_runtime *rt);
/* A message of that port made no sense. Its worker. */
void pinioni_serve_refused(struct pinion_runtime *rt, pinion_port *port) __attribute__((cold));
/* Whoever waits for it looks. */
void pinioni_serve_set(struct serving *s, bool *flag);
/* A control: what its worker has, as uint32_t. */
void pinioni_serve_count_left(struct worker *w, void *left);
/* Somebody may wait for it: there will be no more from the controller. */
void pinioni_serve_lost(struct pinion_runtime *rt);
/* pinion_stop: its worker runs no more, and nothing of others' is mapped. */
void pinioni_serve_stop(struct pinion_runtime *rt);

/* Whether all that the lane's next message names is known here. */
bool pinioni_serve_may_take(struct worker *w, const struct lane_rx *lane);
/* Which replicas there are, as the directory says now. Locked. -ENOMEM: as it was. */
int pinioni_mirror_renew(struct pinion_runtime *rt) __attribute__((warn_unused_result));
/* A port that is not this process's: its memory, as it was handed over. */
int pinioni_mirror_port(struct pinion_runtime *rt, const struct control_message *m,
    const struct parcel *brought) __attribute__((warn_unused_result));

#endif
