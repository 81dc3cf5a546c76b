/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/main.c - pinion-stress: a runtime under random graphs of calls, every answer checked.
 *
 *   start -> callers, lender, answerer, churn -> over -> census -> stop -> nothing is left
 *             '--------- again, with --stop-every ---------'
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "caller.h"

enum {
	CENSUS_MS = 10000 /* for what was left behind to end */
};

pinion_runtime *runtime;
_Atomic bool over, helpers_over, stopping, ended;
_Atomic uint64_t graphs_done, calls_made, results_read, graphs_refused, posts_sent;

void
give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\nwrong; seed %llu\n", (unsigned long long)settings.seed);
	(void)fflush(stderr); /* nothing could be done */
	_exit(EXIT_WRONG);
}

static void
set(_Atomic bool *flag, bool to)
{
	/* relaxed: nothing is read because of it. */
	atomic_store_explicit(flag, to, memory_order_relaxed);
}

static void
print_log(void *arg, const char *line)
{
	(void)arg;
	(void)fprintf(stderr, "log: %s\n", line);
}

static pthread_t
begin(void *(*run)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, arg) != 0)
		give_up("no thread");
	return t;
}

static void
sleep_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL); /* early is fine */
}

static void
bring_up(void)
{
	pinion_diag diag;
	pinion_handle ingress;
	int err = pinion_start(&runtime, .workers = settings.workers, .idle = settings.idle,
	    .slots = settings.slots, .lane_cells = settings.lane_cells, .diag = &diag,
	    .drain_ns = settings.stop_every != 0 ? 5000000 : 0, .log = print_log);

	if (err == 0)
		err = pinion_run(runtime, service_build, &ingress, .diag = &diag);
	if (err != 0)
		give_up("no runtime: %s (%d)", diag.text, err);
	service_find(ingress);
	if (pinion_port_mine(runtime) == NULL)
		give_up("no port");
}

/* All zero but the ports that are open; what was left behind may take a moment. */
static void
check_census(unsigned ports)
{
	uint64_t until = now_ns() + UINT64_C(1000000) * CENSUS_MS;
	pinion_census c;

	do {
		if (settings.driven)
			(void)pinion_work(runtime); /* how much was done does not matter */
		pinion_census_take(runtime, &c);
		if (c.slots + c.blocks + c.fibers + c.custody + c.borrowed == 0 && c.ports == ports)
			break;
		(void)service_answer(); /* when the next is due does not matter */
		sleep_ms(1);
	} while (now_ns() < until);
	(void)printf(
	    "census: slots %llu, blocks %llu, fibers %llu, custody %llu, borrowed %llu, ports "
	    "%llu, maps %llu\n",
	    (unsigned long long)c.slots, (unsigned long long)c.blocks, (unsigned long long)c.fibers,
	    (unsigned long long)c.custody, (unsigned long long)c.borrowed,
	    (unsigned long long)c.ports, (unsigned long long)c.maps);
	if (now_ns() >= until)
		give_up("the census is not zero; %u ports are open", ports);
}

static void
seed_callers(void)
{
	uint64_t state = settings.seed;

	for (unsigned i = 0; i < CALLERS_MAX; i++) {
		callers[i].index = i;
		callers[i].state = draw(&state);
	}
	callers[settings.callers].may_leave = true;
}

static unsigned stops;
static uint64_t longest_stop; /* ns */

static void
stop_under_load(void)
{
	uint64_t start = now_ns();

	pinion_stop(runtime);
	start = now_ns() - start;
	if (start > longest_stop)
		longest_stop = start;
	stops++;
}

/* One runtime, for so long. Stopped under load, unless it is the last time. */
static void
run_threads(uint64_t ms, bool is_last)
{
	pthread_t t[CALLERS_MAX], churn = 0, lender = begin(lender_main, NULL);
	pthread_t answerer = begin(answerer_main, NULL);
	bool churns = settings.stop_every == 0;

	for (int i = 0; i < settings.callers; i++)
		t[i] = begin(caller_main, &callers[i]);
	if (churns)
		churn = begin(churn_main, &callers[settings.callers]);
	sleep_ms(ms);
	set(is_last ? &over : &stopping, true);
	if (!is_last)
		stop_under_load();
	for (int i = 0; i < settings.callers; i++)
		(void)pthread_join(t[i], NULL); /* made above */
	if (churns)
		(void)pthread_join(churn, NULL); /* as above */
	set(&helpers_over, true);
	(void)pthread_join(lender, NULL);   /* as above */
	(void)pthread_join(answerer, NULL); /* as above */
	if (is_last)
		check_census(1);
	service_answers_forget();
}

static void *
end_driven(void *unused)
{
	(void)unused;
	sleep_ms((uint64_t)(settings.seconds * 1000));
	set(&over, true);
	return NULL;
}

static void
run_driven(void)
{
	pthread_t t = begin(end_driven, NULL);

	(void)caller_main(&callers[0]); /* returns nothing */
	(void)pthread_join(t, NULL);    /* made above */
	check_census(1);
}

static void
run_all(struct leftover before)
{
	uint64_t until = now_ns() + (uint64_t)(settings.seconds * 1e9);
	bool is_last = settings.stop_every == 0;

	for (;;) {
		bring_up();
		if (settings.driven)
			run_driven();
		else
			run_threads(is_last && settings.stop_every == 0
				? (uint64_t)(settings.seconds * 1000)
				: (uint64_t)settings.stop_every,
			    is_last);
		if (is_last)
			return;
		set(&stopping, false);
		set(&helpers_over, false);
		leftover_check(before);
		is_last = now_ns() >= until;
	}
}

int
main(int argc, char **argv)
{
	struct leftover before;
	uint64_t start;
	pthread_t watch;
	double seconds;

	options_read(argc, argv);
	(void)printf("seed %llu\n", (unsigned long long)settings.seed);
	(void)fflush(stdout); /* nothing could be done */
	seed_callers();
	watch = begin(watch_main, NULL);
	before = leftover_look();
	start = now_ns();
	run_all(before);
	seconds = (double)(now_ns() - start) / 1e9;
	(void)printf(
	    "graphs %llu, calls %llu, results %llu, posts %llu, refused %llu; %.0f graphs/s, "
	    "%.0f calls/s\n",
	    (unsigned long long)counted(&graphs_done), (unsigned long long)counted(&calls_made),
	    (unsigned long long)counted(&results_read), (unsigned long long)counted(&posts_sent),
	    (unsigned long long)counted(&graphs_refused), (double)counted(&graphs_done) / seconds,
	    (double)counted(&calls_made) / seconds);
	if (stops != 0)
		(void)printf("stopped under load %u times, %.1f ms at most\n", stops,
		    (double)longest_stop / 1e6);
	set(&stopping, true);
	pinion_stop(runtime);
	leftover_check(before);
	set(&ended, true);
	(void)pthread_join(watch, NULL); /* made above */
	return 0;
}
