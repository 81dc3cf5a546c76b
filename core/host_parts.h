/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/host_parts.h - what the parts of core/host.h share: hosts.c tells them, host_door.c hears them, host_deploy.c starts and
 * ends them, host_death.c sees to those that have died.
 */
#ifndef PINION_CORE_HOST_PARTS_H
#define PINION_CORE_HOST_PARTS_H

#include "core/host.h"

static inline unsigned
host_number(const struct pinion_runtime *rt, const struct host *h)
{
	return (unsigned)(h - rt->hosts);
}

static inline uint64_t
host_bit(const struct pinion_runtime *rt, const struct host *h)
{
	return UINT64_C(1) << host_number(rt, h);
}

/* Where a replica of an isolated deployment lives. */
static inline struct host *
host_of(const struct pinion_runtime *rt, const struct replica *r)
{
	return &rt->hosts[r->worker->index - rt->host_first];
}

/* Whoever waits for one of them looks. Locked. */
static inline void
host_enter(struct pinion_runtime *rt, struct host *h, enum host_state state)
{
	h->state = state;
	(void)pthread_cond_broadcast(&rt->hosts_cond);
}

/* To one; all locked. What it does not read now it is told later. */
void pinioni_host_tell(struct host *h, enum control_kind kind, uint32_t from);
void pinioni_host_tell_deployed(struct pinion_runtime *rt, struct host *h);
void pinioni_host_tell_of(const struct pinion_runtime *rt, struct host *h, pinion_port *port);
/* True: there is more. */
bool pinioni_host_say_rest(struct host *h);
/* It will not read it. */
void pinioni_host_unsay(struct host *h);
void pinioni_host_kill(const struct host *h);
/* Nobody waits for what it would say any more; but for what lies in its lanes. */
void pinioni_host_leave_out(struct pinion_runtime *rt, const struct host *h);
/* The process that was started for it, if it has ended, is waited for. */
void pinioni_host_reap(struct host *h);
/* A process is started for it. 0 or -errno. */
int pinioni_host_spawn(const struct pinion_runtime *rt, const struct deployment *d, struct host *h)
    __attribute__((warn_unused_result));
/* What was sent to its worker has been taken, by whomever. */
bool pinioni_host_lanes_are_empty(const struct pinion_runtime *rt, const struct host *h);
/* Until one of them changes, or a little later. */
void pinioni_hosts_wait_a_little(struct pinion_runtime *rt);

#endif
