/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A client that dies between any two instructions of any operation leaves nothing, and disturbs nobody.
 * Method  It is stepped by ptrace: once to count an operation's instructions, then once for each of them, to be killed there. After
 *         each kill a caller of the runtime's own gets the right answer, and nothing is left; the worker is led past the client's
 *         lanes by that. PINION_TEST_DIVISOR leaves out all but one instruction in so many; of a long operation some are taken,
 *         evenly spread, unless PINION_TEST_ALL is set.
 */
#include "tests/attach/serve.h"

#include <sys/ptrace.h>

#include "tests/core/graph.h"

enum {
	ALL_MAX = 2000,  /* instructions of an operation that is killed at each */
	LONG_KILLS = 40, /* of a longer one */
	STEPS_MAX = 2000000
};

static pinion_runtime *rt;
static pinion_handle worker;

/* ---- operations ------------------------------------------------------------------------------- */

struct hand {
	pinion_runtime *rt;
	pinion_port *port;
	pinion_handle to, sum, fill, echo, nap, count;
	pinion_response r[4];
	pinion_stream s;
	char text[200];
	int64_t x;
};

static void
none(struct hand *h)
{
	(void)h;
}

static void
call_scalar(struct hand *h)
{
	h->r[0] = pinion_call_on(h->port, h->to, PINION_ARGS(1));
}

static void
call_text(struct hand *h)
{
	h->r[0] = pinion_call_on(
	    h->port, h->echo, PINION_ARGS(((pinion_str){ h->text, sizeof h->text })));
}

static void
call_long_result(struct hand *h)
{
	h->r[0] = pinion_call_on(h->port, h->fill, PINION_ARGS(5000));
}

static void
chain(struct hand *h)
{
	h->r[1] = pinion_call_on(h->port, h->sum, PINION_ARGS(h->r[0], 1));
}

static void
call_nap(struct hand *h)
{
	h->r[0] = pinion_call_on(h->port, h->nap, PINION_ARGS((int64_t)1 << 40));
}

static void
wait_for_it(struct hand *h)
{
	(void)!pinion_result_on(h->port, h->r[0], &h->x);
}

static void
release(struct hand *h)
{
	pinion_release_on(h->port, h->r[0]);
}

static void
cancel(struct hand *h)
{
	pinion_cancel(h->r[0]);
}

static void
open_stream(struct hand *h)
{
	h->s = pinion_call_stream(h->count, PINION_ARGS(1000), .port = h->port, .window = 4);
}

static void
open_stream_and_wait(struct hand *h)
{
	open_stream(h);
	(void)!pinion_next(h->s, &h->x);
}

static void
next_item(struct hand *h)
{
	(void)!pinion_next(h->s, &h->x);
}

static void
close_stream(struct hand *h)
{
	pinion_stream_close(h->s);
}

static void
post(struct hand *h)
{
	(void)!pinion_post_on(h->port, h->to, PINION_ARGS(1));
}

static void
open_port(struct hand *h)
{
	pinion_port *port;

	(void)!pinion_port_open(h->rt, &port);
}

static void
close_port(struct hand *h)
{
	pinion_port_close(h->port);
}

static void
leave(struct hand *h)
{
	pinion_stop(h->rt);
}

static const struct operation {
	const char *name;
	void (*before)(struct hand *h); /* not stepped */
	void (*step)(struct hand *h);
} operations[] = {
	{ "call", none, call_scalar },
	{ "call-text", none, call_text },
	{ "call-long-result", none, call_long_result },
	{ "chain", call_nap, chain },
	{ "post", none, post },
	{ "result", call_scalar, wait_for_it },
	{ "release", call_scalar, release },
	{ "release-pending", call_nap, release },
	{ "cancel", call_nap, cancel },
	{ "stream", none, open_stream },
	{ "next", open_stream_and_wait, next_item },
	{ "close-stream", open_stream_and_wait, close_stream },
	{ "open-port", none, open_port },
	{ "close-port", call_nap, close_port },
	{ "leave", call_nap, leave },
};

enum {
	OPERATIONS = sizeof operations / sizeof operations[0]
};

static int
prepare(struct hand *h, const char *name)
{
	GUEST_WANT(pinion_attach(&h->rt, name) == 0);
	GUEST_WANT(pinion_handle_find(h->rt, "default", NULL, &h->to) == 0);
	GUEST_WANT(pinion_handle_find(h->rt, "counting", NULL, &h->count) == 0);
	GUEST_WANT(pinion_port_open(h->rt, &h->port) == 0);
	h->sum = pinion_method_of(h->to, "sum");
	h->fill = pinion_method_of(h->to, "fill");
	h->echo = pinion_method_of(h->to, "echo");
	h->nap = pinion_method_of(h->to, "nap");
	h->r[0] = pinion_call_on(h->port, h->to, PINION_ARGS(1));
	GUEST_WANT(pinion_result_on(h->port, h->r[0], &h->x) == 0);
	pinion_release_on(h->port, h->r[0]);
	return 0;
}

/* Stops before the operation, and behind it. The name says which, behind a slash. */
static int
play_stepped(const char *name)
{
	static struct hand h;
	const struct operation *o = &operations[atoi(strchr(name, '/') + 1)];
	int err = prepare(&h, "test");

	if (err != 0)
		return err;
	o->before(&h);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 1;
	(void)raise(SIGSTOP);
	o->step(&h);
	(void)raise(SIGSTOP);
	(void)pause();
	return 0;
}

static const struct role roles[] = { { "stepped", play_stepped }, { NULL, NULL } };

/* ---- stepping --------------------------------------------------------------------------------- */

/* What it stopped with; -1: it has ended. */
static int
await_stop(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

static pid_t
start_stepped(unsigned operation)
{
	char name[32];
	pid_t pid;

	(void)snprintf(name, sizeof name, "test/%u", operation);
	pid = guest_start("stepped", name);
	assert_int_equal(await_stop(pid), SIGSTOP);
	return pid;
}

/* How many it made: fewer when the operation is over. */
static unsigned
step(pid_t pid, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int signo;

		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		signo = await_stop(pid);
		if (signo == SIGSTOP)
			return i;
		assert_int_equal(signo, SIGTRAP);
	}
	return count;
}

static void
assert_nothing_left(void)
{
	pinion_census c;

	do {
		assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
		pinion_census_take(rt, &c);
	} while (c.ports != 1 || c.requests != 0);
	graph_assert_clean(rt, 1);
}

static void
kill_after(unsigned operation, unsigned steps)
{
	pid_t pid = start_stepped(operation);

	(void)step(pid, steps);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(await_stop(pid), -1);
	assert_nothing_left();
}

/* From one kill to the next. A long operation is the making of private tables between a few system calls: some of it is
 * enough, unless all is asked for. */
static unsigned
stride_for(unsigned steps)
{
	unsigned stride = (unsigned)(1000 / scaled(1000));

	return steps > ALL_MAX && getenv("PINION_TEST_ALL") == NULL ? stride * (steps / LONG_KILLS)
								    : stride;
}

static void
killed_at_each_instruction_it_leaves_nothing(void **state)
{
	(void)state;
	for (unsigned o = 0; o < OPERATIONS; o++) {
		pid_t pid = start_stepped(o);
		unsigned steps = step(pid, STEPS_MAX), stride = stride_for(steps), kills = 0;

		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(await_stop(pid), -1);
		assert_true(steps < STEPS_MAX);
		for (unsigned n = 0; n <= steps; n += stride, kills++)
			kill_after(o, n);
		print_message("%-16s %6u instructions, killed at %u of them\n", operations[o].name,
		    steps, kills);
	}
}

static int
count_up(void *state, pinion_request *req)
{
	(void)state;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0); i++) {
		int err = pinion_yield(req, i);

		if (err != 0)
			return err;
	}
	return 0;
}

static const pinion_deployment counting = { .name = "Counting",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, count_up, .params = PINION_PARAMS(PINION_I64("to")),
		.returns = PINION_RETURNS_I64, .stream = true)) };

static pinion_node *
build_counting(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &counting, PINION_ARGS());
}

static int
start(void **state)
{
	pinion_handle handle;

	(void)state;
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test") != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0 ||
	    pinion_run(rt, build_counting, &handle, .name = "counting") != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    killed_at_each_instruction_it_leaves_nothing, start, stop),
	};
	int played = guest_main(argc, argv, roles);

	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
