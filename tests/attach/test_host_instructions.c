/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A host that dies between any two instructions of its worker loses no call, begins none twice, and leaves nothing.
 * Method  Its worker is stepped by ptrace from before it sees what was called until that is answered: once to count, then once for
 *         each instruction, to be killed there. Each call then has its right answer, or ends with the process, having begun once at
 *         most; one that had not begun and is behind nothing that had is answered. It is killed at one instruction of seven, or at
 *         each with PINION_TEST_ALL; PINION_TEST_DIVISOR leaves out more.
 */
#include "tests/attach/hosted.h"

#include <dirent.h>
#include <sys/ptrace.h>

enum {
	CALLS = 4,
	STEPS_MAX = 200000,
	STRIDE = 7 /* at which all are seen when an operation is a little different each time */
};

/* What is under way while a worker is stepped. */
struct hand {
	pinion_response r[CALLS];
	int64_t id[CALLS], wanted[CALLS];
	unsigned count;
	bool is_stream;
	pinion_stream s;
};

/* ---- operations ------------------------------------------------------------------------------- */

static void
add(struct hand *h, pinion_handle to, pinion_response behind, int64_t wanted)
{
	unsigned i = h->count++;

	h->id[i] = atomic_fetch_add(next_call, 1) % LEDGER;
	h->wanted[i] = wanted;
	h->r[i] = i == 0 ? pinion_call(to, PINION_ARGS(h->id[i], 1))
			 : pinion_call(to, PINION_ARGS(h->id[i], behind));
}

static void
call(struct hand *h)
{
	add(h, handle_of("one", "work"), (pinion_response){ 0 }, 2);
}

/* The second is for another process: the first's worker sends it on. */
static void
chain_on(struct hand *h)
{
	call(h);
	add(h, handle_of("two", "work"), h->r[0], 3);
	add(h, handle_of("here", "work"), h->r[1], 4);
}

/* Both are its own. */
static void
chain_here(struct hand *h)
{
	call(h);
	add(h, handle_of("one", "work"), h->r[0], 3);
}

/* It has to wait for another's, first. */
static void
chain_to(struct hand *h)
{
	add(h, handle_of("two", "work"), (pinion_response){ 0 }, 2);
	add(h, handle_of("one", "work"), h->r[0], 3);
	add(h, handle_of("two", "work"), h->r[1], 4);
}

static void
forward_on(struct hand *h)
{
	add(h, handle_of("there", "forward"), (pinion_response){ 0 }, 2);
}

static void
ask_and_wait(struct hand *h)
{
	add(h, handle_of("there", "ask"), (pinion_response){ 0 }, 2);
}

static void
stream_items(struct hand *h)
{
	h->is_stream = true;
	h->s = pinion_call_stream(handle_of("one", "count"), PINION_ARGS(3));
}

static const struct operation {
	const char *name, *host; /* of whose worker is stepped */
	void (*begin)(struct hand *h);
} operations[] = {
	{ "call", "one", call },
	{ "chain, sent on", "one", chain_on },
	{ "chain, within", "one", chain_here },
	{ "chain, waited for", "one", chain_to },
	{ "forward", "there", forward_on },
	{ "call and wait", "there", ask_and_wait },
	{ "stream", "one", stream_items },
};

enum {
	OPERATIONS = sizeof operations / sizeof operations[0]
};

/* ---- the worker's thread ---------------------------------------------------------------------- */

/* A host has one, whose name ends with "-w" and a number. */
static pid_t
worker_of(pid_t pid)
{
	char path[300], name[32] = "";
	pid_t found = 0;
	struct dirent *e;
	DIR *tasks;

	(void)snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while (found == 0 && (e = readdir(tasks)) != NULL) {
		FILE *f;

		(void)snprintf(path, sizeof path, "/proc/%ld/task/%s/comm", (long)pid, e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fgets(name, sizeof name, f) != NULL && strstr(name, "-w") != NULL)
			found = (pid_t)atoi(e->d_name);
		(void)fclose(f);
	}
	(void)closedir(tasks);
	assert_int_not_equal(found, 0);
	return found;
}

static bool
await_stop(pid_t tid)
{
	int status;

	while (waitpid(tid, &status, __WALL) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSTOPPED(status);
}

static pid_t
stop_worker(pid_t pid)
{
	pid_t tid = worker_of(pid);

	assert_int_equal(ptrace(PTRACE_SEIZE, tid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	assert_true(await_stop(tid));
	return tid;
}

static void
step(pid_t tid)
{
	assert_int_equal(ptrace(PTRACE_SINGLESTEP, tid, NULL, NULL), 0);
	assert_true(await_stop(tid));
}

/* ---- what must hold --------------------------------------------------------------------------- */

static bool
is_over(const struct hand *h)
{
	int64_t x;

	if (h->is_stream)
		return false;
	return pinion_result_within(h->r[h->count - 1], 0, &x) != -EAGAIN;
}

static void
settle_stream(const struct hand *h)
{
	int64_t x, wanted = 0;
	int err;

	while ((err = pinion_next(h->s, &x)) == 1)
		assert_int_equal(x, wanted++);
	assert_true(err == -EOWNERDEAD || (err == 0 && wanted == 3));
	pinion_stream_close(h->s);
}

static void
settle(const struct hand *h)
{
	bool is_behind = false; /* a failure of what had begun */

	for (unsigned i = 0; i < h->count; i++) {
		unsigned char began;
		int64_t x = -1;
		int err = pinion_result(h->r[i], &x);

		began = atomic_load(&ledger[h->id[i]]);
		assert_true(began <= 1);
		if (err == 0) {
			assert_int_equal(x, h->wanted[i]);
			assert_int_equal(began, 1);
		} else {
			if (err != -EOWNERDEAD)
				print_message("%u of %u: %.*s\n", i, h->count,
				    PINION_STR_FMT(pinion_response_error(h->r[i]).text));
			assert_int_equal(err, -EOWNERDEAD);
			assert_true(!is_behind || began == 0);
			is_behind = true;
		}
	}
	for (unsigned i = 0; i < h->count; i++)
		pinion_release(h->r[i]);
	if (h->is_stream)
		settle_stream(h);
}

/* Each answers: so that what is killed has answered something, and is started again at once. */
static void
warm_up(void)
{
	(void)number(pinion_call(handle_of("one", "work"), PINION_ARGS(INT64_C(-1), 1)));
	(void)number(pinion_call(handle_of("two", "work"), PINION_ARGS(INT64_C(-1), 1)));
	(void)number(pinion_call(handle_of("two", "work"), PINION_ARGS(INT64_C(-1), 1)));
	(void)number(pinion_call(handle_of("there", "forward"), PINION_ARGS(INT64_C(-1), 1)));
}

/* How many steps it took: so many, unless it was over before. */
static unsigned
kill_after(const struct operation *o, unsigned steps)
{
	struct hand h = { .count = 0 };
	pid_t pid, tid;
	unsigned taken = 0;

	warm_up();
	pid = victim_of(o->host);
	assert_int_not_equal(pid, 0);
	tid = stop_worker(pid);
	o->begin(&h);
	for (; taken < steps && !is_over(&h); taken++)
		step(tid);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (await_stop(tid))
		continue;
	settle(&h);
	return taken;
}

static void
killed_at_each_instruction_it_loses_nothing(void **state)
{
	unsigned stride =
	    (unsigned)(1000 / scaled(1000)) * (getenv("PINION_TEST_ALL") != NULL ? 1 : STRIDE);

	(void)state;
	for (unsigned o = 0; o < OPERATIONS; o++) {
		/* A stream's end is not seen from here without reading it. */
		unsigned most = operations[o].begin == stream_items ? 3000 : STEPS_MAX;
		unsigned steps = kill_after(&operations[o], most), kills = 0;

		assert_true(steps < STEPS_MAX);
		for (unsigned n = 0; n <= steps; n += stride, kills++)
			(void)kill_after(&operations[o], n);
		print_message("%-18s %6u instructions, killed at %u of them\n", operations[o].name,
		    steps, kills);
	}
	assert_nothing_left();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    killed_at_each_instruction_it_loses_nothing, hosted_start, hosted_stop),
	};

	if (argc == 6)
		return hosted_serve(argv);
	return cmocka_run_group_tests(tests, hosted_make, hosted_remove);
}
