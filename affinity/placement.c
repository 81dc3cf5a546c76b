/* SPDX-License-Identifier: Apache-2.0 */
/*
 * affinity/placement.c - affinity/placement.h: seats in order, and a text about them.
 */
#include "affinity/placement.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	CALLERS_CORE = 0
};

/* ---- seats ---------------------------------------------------------------------------------- */

/* The sibling of that number on each core, the callers' core last. */
static unsigned
add_level(const struct topology *t, unsigned level, unsigned *seats)
{
	unsigned count = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < t->cpu_count; i++)
			if (t->cpus[i].sibling == level &&
			    (t->cpus[i].core == CALLERS_CORE) == (pass == 1))
				seats[count++] = i;
	return count;
}

static void
order_seats(const struct topology *t, unsigned *seats)
{
	unsigned count = 0;

	for (unsigned level = 0; level < t->cpu_count && count < t->cpu_count; level++)
		count += add_level(t, level, seats + count);
	assert(count == t->cpu_count);
}

static unsigned
default_count(const struct topology *t)
{
	unsigned count = t->core_count > 1 ? t->core_count - 1 : 1;

	return count < PLACEMENT_WORKERS_MAX ? count : PLACEMENT_WORKERS_MAX;
}

/* The callers' core while no worker is on it, else the cpu that a further worker would get last. */
static int
callers_cpu(const struct topology *t, unsigned workers, const unsigned *seats)
{
	if (workers >= t->cpu_count)
		return CPU_ANY;
	if (workers >= t->core_count)
		return t->cpus[seats[t->cpu_count - 1]].number;
	for (unsigned i = 0; i < t->cpu_count; i++)
		if (t->cpus[i].core == CALLERS_CORE)
			return t->cpus[i].number;
	return CPU_ANY;
}

/* ---- text ----------------------------------------------------------------------------------- */

struct text {
	char *bytes;
	size_t length;
};

static void say(struct text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct text *to, const char *format, ...)
{
	size_t room = PLACEMENT_TEXT - to->length;
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(to->bytes + to->length, room, format, list);
	va_end(list);
	if (length > 0)
		to->length += (size_t)length < room ? (size_t)length : room - 1;
}

static void
say_count(struct text *to, const char *before, unsigned count, const char *what)
{
	say(to, "%s%u %s%s", before, count, what, count == 1 ? "" : "s");
}

static void
describe(struct placement *plan, const struct topology *t, bool pin)
{
	struct text to = { .bytes = plan->text };

	say_count(&to, "", plan->worker_count, "worker");
	say_count(&to, " on ", t->core_count, "core");
	say_count(&to, ", ", t->cpu_count, "cpu");
	say_count(&to, ", ", t->node_count, "node");
	if (t->is_guess)
		say(&to, " (a guess: the topology cannot be read)");
	if (plan->shares_cpus)
		say(&to, "; too few: workers share cpus");
	if (!pin || plan->shares_cpus) {
		say(&to, "; not pinned: the kernel places them");
		return;
	}
	if (plan->shares_cores)
		say(&to, "; too few cores: workers share them");
	if (plan->callers_cpu == CPU_ANY)
		say(&to, "; no cpu is left for callers");
	else
		say(&to, "; cpu %d is for callers", plan->callers_cpu);
	for (unsigned i = 0; i < plan->worker_count; i++) {
		say(&to, "; worker %u on cpu %d", i, plan->workers[i].cpu);
		if (t->node_count > 1)
			say(&to, " node %d", plan->workers[i].node);
	}
}

/* ---- plan ----------------------------------------------------------------------------------- */

void
pinioni_placement_plan(const struct topology *t, unsigned workers, bool pin, struct placement *plan)
{
	unsigned seats[TOPOLOGY_CPUS_MAX];
	bool keeps_seats;

	assert(t->cpu_count > 0);
	assert(workers <= PLACEMENT_WORKERS_MAX);
	if (workers == 0)
		workers = default_count(t);
	order_seats(t, seats);
	*plan = (struct placement){ .worker_count = workers,
		.cpu_count = t->cpu_count,
		.node_count = t->node_count,
		.callers_cpu = CPU_ANY,
		.shares_cpus = workers > t->cpu_count,
		.shares_cores = workers > t->core_count };
	keeps_seats = pin && !plan->shares_cpus;
	if (keeps_seats)
		plan->callers_cpu = callers_cpu(t, workers, seats);
	for (unsigned i = 0; i < workers; i++) {
		const struct topology_cpu *cpu = &t->cpus[seats[i % t->cpu_count]];

		plan->workers[i].cpu = keeps_seats ? cpu->number : CPU_ANY;
		/* One that may run anywhere has a node only if there is but one. */
		plan->workers[i].node =
		    keeps_seats || t->node_count == 1 ? cpu->node : NODE_UNKNOWN;
	}
	describe(plan, t, pin);
}
