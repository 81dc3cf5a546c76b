/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/grant.c - core/grant.h, with a bit for each thing that was said.
 */
#include "core/grant.h"

#include <string.h>
#include <unistd.h>

#include "affinity/bind.h"
#include "affinity/policy.h"
#include "core/runtime.h"

enum {
	SAID_PIN = 1,
	SAID_BIND = 2,
	SAID_ELSEWHERE = 4,
	SAID_UNKNOWN = 8,
	SAID_HUGE = 16,
	SAID_TRANSPARENT = 32,
	SAID_SMALL = 64,
	SAID_LOCKED = 128,
	SAID_TOUCHED = 256,
	SAID_POLICY = 512
};

static bool
was_said(const struct pinion_runtime *rt, uint32_t bits)
{
	/* relaxed: says nothing about other memory. */
	return (atomic_load_explicit(&rt->said, memory_order_relaxed) & bits) != 0;
}

/* True for the first one who asks. */
static bool
may_say(struct pinion_runtime *rt, uint32_t bit)
{
	/* relaxed: as above; each bit is given out once. */
	return (atomic_fetch_or_explicit(&rt->said, bit, memory_order_relaxed) & bit) == 0;
}

void
pinioni_grant_pin(struct pinion_runtime *rt, unsigned worker, int cpu, int err)
{
	if (may_say(rt, SAID_PIN))
		pinioni_runtime_log(rt,
		    "pinning: worker %u to cpu %d is refused (%s): workers run where the kernel "
		    "puts them",
		    worker, cpu, strerror(-err));
}

void
pinioni_grant_policy(struct pinion_runtime *rt, const char *who)
{
	struct policy policy;

	if (was_said(rt, SAID_POLICY))
		return;
	pinioni_policy_look(POLICY_LIMITS, &policy);
	if (policy.gap_us != 0 && may_say(rt, SAID_POLICY))
		pinioni_runtime_log(rt,
		    "real time: %s polls under %s: while it does not sleep, the kernel stops it "
		    "for %g of every %g ms; set sysctl kernel.sched_rt_runtime_us to -1, or use "
		    "SCHED_OTHER on a cpu of its own",
		    who, policy.name, (double)policy.gap_us / 1000,
		    (double)policy.period_us / 1000);
}

void
pinioni_grant_bind(struct pinion_runtime *rt, const void *at, size_t length, int node)
{
	int err = pinioni_memory_bind(at, length, node);

	if (err != 0 && may_say(rt, SAID_BIND))
		pinioni_runtime_log(rt,
		    "memory: binding to node %d is refused (%s): it stays where it is first "
		    "touched",
		    node, strerror(-err));
}

void
pinioni_grant_verify(struct pinion_runtime *rt, const void *at, size_t length, int node)
{
	struct memory_census census;
	int err;

	if (node < 0 || was_said(rt, SAID_BIND | SAID_UNKNOWN))
		return;
	err = pinioni_memory_census(at, length, node, &census);
	if (err != 0 && may_say(rt, SAID_UNKNOWN))
		pinioni_runtime_log(
		    rt, "memory: the kernel does not tell where it lies (%s)", strerror(-err));
	if (err == 0 && census.elsewhere != 0 && may_say(rt, SAID_ELSEWHERE))
		pinioni_runtime_log(rt, "memory: %zu of %zu pages are not on node %d, as asked",
		    census.elsewhere, census.elsewhere + census.here, node);
}

void
pinioni_grant_pages(struct pinion_runtime *rt, const struct segment *s)
{
	enum segment_pages found;

	if (!rt->huge_pages)
		return;
	if (s->pages != PAGES_HUGE && was_said(rt, SAID_TRANSPARENT | SAID_SMALL))
		return; /* looking is slow */
	found = pinioni_segment_pages(s);
	if (found == PAGES_HUGE && may_say(rt, SAID_HUGE))
		pinioni_runtime_log(rt, "huge pages: reserved ones of 2 MiB");
	if (found == PAGES_TRANSPARENT && may_say(rt, SAID_TRANSPARENT))
		pinioni_runtime_log(rt, "huge pages: reserved ones refused (%s), transparent ones",
		    strerror(-s->huge_refused));
	if (found == PAGES_SMALL && may_say(rt, SAID_SMALL))
		pinioni_runtime_log(rt, "huge pages: refused (%s), using %ld KiB pages",
		    strerror(-s->huge_refused), sysconf(_SC_PAGESIZE) / 1024);
}

void
pinioni_grant_lock(struct pinion_runtime *rt, int err)
{
	if (err == 0 && !was_said(rt, SAID_TOUCHED) && may_say(rt, SAID_LOCKED))
		pinioni_runtime_log(rt, "prefault: pages touched and locked");
	if (err != 0 && may_say(rt, SAID_TOUCHED))
		pinioni_runtime_log(
		    rt, "prefault: mlock refused (%s): pages touched only", strerror(-err));
}
