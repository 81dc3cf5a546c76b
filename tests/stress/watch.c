/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/watch.c - a line each second, and the report when nothing goes on.
 */
#include <stdio.h>
#include <unistd.h>

#include "caller.h"

enum {
	LOOKS = 5 /* a second */
};

static void
print_worker(unsigned i)
{
	pinion_worker_status s;

	(void)pinion_worker_look(runtime, i, &s); /* the count is known */
	(void)fprintf(stderr,
	    "worker %u: %s, depth %u, started %llu, local %llu, failed %llu, forwarded %llu, "
	    "chained %llu, surplus %llu, sent %llu, taken %llu, refused %llu, suspended %llu, "
	    "sleeps %llu, rescued %llu, rings %llu\n",
	    i, s.asleep ? "asleep" : "awake", s.depth, (unsigned long long)s.started,
	    (unsigned long long)s.local, (unsigned long long)s.failed,
	    (unsigned long long)s.forwarded, (unsigned long long)s.chained,
	    (unsigned long long)s.surplus, (unsigned long long)s.sent, (unsigned long long)s.taken,
	    (unsigned long long)s.refused, (unsigned long long)s.suspended,
	    (unsigned long long)s.sleeps, (unsigned long long)s.rescued,
	    (unsigned long long)s.rings);
}

static void
print_caller(const struct caller *c)
{
	/* relaxed twice: it does not move any more. */
	unsigned shapes = atomic_load_explicit(&c->shapes, memory_order_relaxed);

	if (shapes == 0)
		return;
	(void)fprintf(stderr, "caller %u waits for node %d; in flight:\n", c->index,
	    atomic_load_explicit(&c->at, memory_order_relaxed));
	for (unsigned i = 0; i < c->count && i < WINDOW_MAX; i++) {
		const struct flight *f = &c->flights[i];

		graph_print(&f->g, stderr);
		(void)fprintf(stderr, "  open:");
		for (unsigned k = 0; k < f->g.count; k++)
			(void)fprintf(stderr, " %s%s%s", f->is_open[k] ? "o" : "-",
			    f->is_wanted[k] ? "w" : "", f->is_tagged[k] ? "t" : "");
		(void)fprintf(stderr, "\n");
	}
}

static _Noreturn void
report_stuck(void)
{
	(void)fprintf(stderr, "nothing went on for %d s, seed %llu\n", STUCK_S,
	    (unsigned long long)settings.seed);
	/* A stop frees the runtime: then it is not looked at. */
	if (!is_set(&stopping))
		for (unsigned i = 0; i < pinion_worker_look(runtime, 0, NULL); i++)
			print_worker(i);
	for (unsigned i = 0; i < CALLERS_MAX; i++)
		print_caller(&callers[i]);
	(void)fflush(stderr); /* nothing could be done */
	_exit(EXIT_STUCK);
}

void *
watch_main(void *unused)
{
	uint64_t last = 0;
	unsigned still = 0, turn = 0;

	(void)unused;
	while (!is_set(&ended)) {
		uint64_t graphs = counted(&graphs_done) + counted(&graphs_refused);
		uint64_t all = graphs + counted(&calls_made) + counted(&results_read);

		still = all == last ? still + 1 : 0;
		last = all;
		if (still == STUCK_S * LOOKS)
			report_stuck();
		if (!settings.quiet && ++turn % LOOKS == 0)
			(void)fprintf(stderr, "graphs %llu, calls %llu, refused %llu\n",
			    (unsigned long long)graphs, (unsigned long long)counted(&calls_made),
			    (unsigned long long)counted(&graphs_refused));
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000000 / LOOKS }, NULL);
	}
	return NULL;
}
