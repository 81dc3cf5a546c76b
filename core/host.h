/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/host.h - a process that runs one replica of another's runtime, as one of its workers: as that process sees its hosts
 * (hosts.c).
 *
 *   FREE -> WANTED: a replica lives there -> COMING: a process has claimed it; its init runs -> SERVING
 *    ^        ^ ^                                    |                                         |   |
 *    |        | '- started again, after a while -- DEAD: it has ended; what it had is seen to <'   |
 *    |        |    too often, or before the first time it served: FAILED     (core/inherit.h)      |
 *    '--------'------- END: it runs deinit, and goes ----------------------------------- LEAVING --'
 *
 * Why       A handler that crashes takes its process with it. A host is a client (core/client.h), whose port is a worker's,
 *           and the consumer of the lanes of one worker: its number, lanes and lines are there from the start, so that
 *           nothing has to be made while calls fly.
 * Hears     What a host has to know before a message can name it (a port, a deployment) is written to its connection before
 *           others can find it. It does not wait: a message that comes earlier stays in its lane (core/serve.h).
 * Threads   All under the runtime's lock.
 */
#ifndef PINION_CORE_HOST_H
#define PINION_CORE_HOST_H

#include "core/client.h"
#include "core/inherit.h"

enum host_state {
	HOST_FREE,
	HOST_WANTED,
	HOST_COMING,
	HOST_SERVING,
	HOST_LEAVING,
	HOST_DEAD,
	HOST_IDLE, /* its replica is not wanted just now; the place is kept */
	HOST_FAILED,
};

struct host {
	enum host_state state;
	struct replica *replica;
	int channel;   /* on which it hears of ports; -1: it does not */
	int pidfd;     /* the client's; -1: none has claimed it */
	pid_t spawned; /* of the process that was started for it, until it is waited for; 0: none */
	uint32_t known; /* deployments that it was told of */
	struct journal journal;
	pinion_port *port;               /* its worker's; NULL: not yet */
	pinion_port *bereaved;           /* all its ports, by their `next`, when it has ended */
	struct inheritance *inheritance; /* under way */
	struct standing standing;
	bool stands,
	    is_changing; /* somebody looks after its lanes; the letter that says so, or no more, is under way */
	bool has_served;
	bool has_left;                  /* its worker runs no more, although the process may */
	bool is_ended;                  /* as it was told, or wanted */
	uint64_t asked_until;           /* ns: a process wants it, and will ask again */
	bool is_going;                  /* its deployment ends */
	uint32_t crashes;               /* in a row: without an answer in between */
	uint64_t started;               /* requests there, before this process */
	uint64_t served_at, restart_at; /* ns; 0: not */
	int dying; /* the pidfd of one that is not to be heard any more; -1: there is none */
	struct unsaid *unsaid; /* core/hosts.c */
	uint32_t unsaid_count;
	char said[FAULT_TEXT];    /* for the log, which is not called under the lock */
	uint64_t asked, answered; /* COUNT */
	uint32_t left;
	int32_t err; /* FAILED */
	char text[FAULT_TEXT];
};

#define HOST_NONE ((struct host){ .channel = -1, .pidfd = -1, .dying = -1 })

/* For so many as the runtime has room for. -ENOMEM. */
int pinioni_hosts_make(struct pinion_runtime *rt) __attribute__((warn_unused_result));
void pinioni_hosts_free(struct pinion_runtime *rt);

/* ---- for whom deploys ------------------------------------------------------------------------- */

/* A worker for one more replica of an isolated deployment; NULL: there is none left. Locked. */
struct worker *pinioni_host_place(struct pinion_runtime *rt, struct replica *r);
/* All hosts know the deployments that there are. Locked. */
void pinioni_hosts_tell_deployed(struct pinion_runtime *rt);
/* The processes of its replicas from `from` up to `count` are started; returns when these have had init, or one could not. 0, or
 * why not. Not locked. */
int pinioni_hosts_start(struct pinion_runtime *rt, struct deployment *d, uint32_t from,
    uint32_t count, char text[FAULT_TEXT]) __attribute__((warn_unused_result));
/* Its replicas from `from` on have had deinit, or their processes were killed when they did not end in time. for_good: their
 * places are free. Not locked. */
void pinioni_hosts_end(struct pinion_runtime *rt, struct deployment *d, uint32_t from,
    int64_t limit_ns, bool for_good);
/* Whether as many as are wanted serve. Locked. */
bool pinioni_hosts_serve(const struct pinion_runtime *rt, const struct deployment *d);
/* What hosts have under way; UINT32_MAX: not all have said so yet. Not locked. */
uint32_t pinioni_hosts_left(struct pinion_runtime *rt);
void pinioni_hosts_cancel(struct pinion_runtime *rt);
/* Those that have something under way, or do not say, are killed. Not locked. */
void pinioni_hosts_end_silent(struct pinion_runtime *rt);

/* ---- ports ------------------------------------------------------------------------------------ */

/* Before it can be found. Locked. */
void pinioni_hosts_announce(struct pinion_runtime *rt, pinion_port *port);
/* Nobody finds it any more. Locked. */
void pinioni_hosts_bury(struct pinion_runtime *rt, pinion_port *port);
/* A turn of its burial. True: nothing of it is left in any host. Not locked. */
bool pinioni_hosts_have_buried(struct pinion_runtime *rt, pinion_port *port);
/* Its number will be another's. Locked. */
void pinioni_hosts_forget(struct pinion_runtime *rt, pinion_port *port);

/* ---- what the door hears ---------------------------------------------------------------------- */

/* Of a HOST: 0, and m is its answer, with descriptors; else why not, in text. */
int pinioni_host_claim(struct client *c, struct pinion_runtime *rt, struct control_message *m,
    int descriptors[3], char text[CONTROL_TEXT]) __attribute__((warn_unused_result));
/* It has its worker's port, and hears of all others from now on. */
void pinioni_host_join(struct client *c, struct pinion_runtime *rt);
/* What a host says by itself. -EBADMSG: it makes no sense. */
int pinioni_host_said(struct client *c, struct pinion_runtime *rt, const struct control_message *m)
    __attribute__((warn_unused_result));
/* The process has ended, or is shown out; its connection is still open. Its ports are not the client's any more. */
void pinioni_host_gone(struct client *c, struct pinion_runtime *rt);
/* What has died is seen to, and started again. Milliseconds until the next turn; -1: nothing is to be done. */
int pinioni_hosts_turn(struct pinion_runtime *rt);

#endif
