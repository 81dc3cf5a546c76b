/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/hosted.h - an application with isolated deployments, whose processes are this program once more; and a ledger, that all
 * of them share, of how often each call's handler began.
 *
 *   one: a process       two: each replica one      there: one that calls two      here: within the runtime
 */
#ifndef PINION_TESTS_ATTACH_HOSTED_H
#define PINION_TESTS_ATTACH_HOSTED_H

#include "tests/attach/serve.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum {
	LEDGER = 1 << 22 /* calls that it has room for */
};

static pinion_runtime *rt;
static char own_name[32];
static _Atomic unsigned char *ledger; /* of each call, how often its handler began */
static _Atomic int64_t *next_call;    /* in any process */

/* Of any thread and process: cmocka's own asserts are for the test's. */
static inline void
want(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	(void)fprintf(stderr, "process %ld, line %d: not so: %s\n", (long)getpid(), line, what);
	abort();
}
#define WANT(condition) want((condition), #condition, __LINE__)

static inline void
open_ledger(void)
{
	const char *path = getenv("PINION_TEST_LEDGER");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, LEDGER + (off_t)sizeof *next_call) != 0)
		abort();
	ledger = mmap(NULL, LEDGER + sizeof *next_call, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		abort();
	next_call = (_Atomic int64_t *)(void *)(ledger + LEDGER);
	(void)close(fd);
}

/* ---- what runs -------------------------------------------------------------------------------- */

/* Its first argument is the call's number: the ledger counts it. */
static inline void
begin(pinion_request *req)
{
	int64_t id = pinion_arg_i64(req, 0);

	if (id >= 0 && id < LEDGER)
		atomic_fetch_add(&ledger[id], 1);
}

static inline int
work(void *state, pinion_request *req)
{
	(void)state;
	begin(req);
	return pinion_reply(req, pinion_arg_i64(req, 1) + 1);
}

static inline int
process_of(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, (int64_t)getpid());
}

static inline int
crash(void *state, pinion_request *req)
{
	(void)state;
	(void)req;
	(void)raise(SIGKILL);
	return 0;
}

/* As often as it says, and then it answers. */
static inline int
crash_once(void *state, pinion_request *req)
{
	begin(req);
	if (atomic_load(&ledger[pinion_arg_i64(req, 0)]) <= pinion_arg_i64(req, 1))
		return crash(state, req);
	return pinion_reply(req, INT64_C(7));
}

static inline int
take_long(void *state, pinion_request *req)
{
	(void)state;
	begin(req);
	while (pause() < 0)
		continue; /* until it is killed */
	return 0;
}

static inline int
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

static inline int
count_and_crash(void *state, pinion_request *req)
{
	int err = pinion_yield(req, INT64_C(1));

	(void)state;
	(void)raise(SIGKILL);
	return err;
}

static const pinion_deployment worker = {
	.name = "Worker",
	.methods = PINION_METHODS(
	    PINION_METHOD("work", work, .params = PINION_PARAMS(PINION_I64("id"), PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("long", take_long,
		.params = PINION_PARAMS(PINION_I64("id"), PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("process", process_of, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("crash", crash, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("crash_once", crash_once,
		.params = PINION_PARAMS(PINION_I64("id"), PINION_I64("times")),
		.returns = PINION_RETURNS_I64, .idempotent = true),
	    PINION_METHOD("count", count_up, .params = PINION_PARAMS(PINION_I64("to")),
		.returns = PINION_RETURNS_I64, .stream = true),
	    PINION_METHOD(
		"count_and_crash", count_and_crash, .returns = PINION_RETURNS_I64, .stream = true)),
};

struct caller {
	pinion_handle next;
};

static inline int
init_caller(void *state, pinion_init *init)
{
	struct caller *self = state;

	self->next = pinion_init_handle(init, 0);
	return 0;
}

static inline int
forward(void *state, pinion_request *req)
{
	const struct caller *self = state;

	begin(req);
	return pinion_forward(req, pinion_method_of(self->next, "work"),
	    PINION_ARGS(INT64_C(-1), pinion_arg_i64(req, 1)));
}

static inline int
ask(void *state, pinion_request *req)
{
	const struct caller *self = state;
	pinion_response r = pinion_call(
	    pinion_method_of(self->next, "work"), PINION_ARGS(INT64_C(-1), pinion_arg_i64(req, 1)));
	int64_t x;
	int err;

	begin(req);
	err = pinion_result(r, &x);
	return err != 0 ? err : pinion_reply(req, x);
}

static const pinion_deployment caller = {
	.name = "Caller",
	.replica_size = sizeof(struct caller),
	.init = init_caller,
	.init_params = PINION_PARAMS(PINION_HANDLE("next")),
	.methods = PINION_METHODS(PINION_METHOD("forward", forward,
				      .params = PINION_PARAMS(PINION_I64("id"), PINION_I64("x")),
				      .returns = PINION_RETURNS_I64),
	    PINION_METHOD("ask", ask, .params = PINION_PARAMS(PINION_I64("id"), PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("process", process_of, .returns = PINION_RETURNS_I64)),
};

/* one: a process; two: each of two; there: a process that calls two; here: within the runtime */
static inline pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *two;

	(void)config;
	(void)pinion_bind(app, &worker, PINION_ARGS(), .name = "one", .isolation = "process",
	    .max_ongoing_requests = 1);
	two = pinion_bind(app, &worker, PINION_ARGS(), .name = "two", .isolation = "process",
	    .num_replicas = 2, .routing = "round_robin");
	(void)pinion_bind(app, &caller, PINION_ARGS(two), .name = "there", .isolation = "process");
	return pinion_bind(app, &worker, PINION_ARGS(), .name = "here");
}

static inline void
log_line(void *arg, const char *line)
{
	(void)arg;
	if (getenv("PINION_TEST_LOUD") != NULL)
		(void)fprintf(stderr, "log: %s\n", line);
}

/* ---- a host ----------------------------------------------------------------------------------- */

static inline int
hosted_serve(char **words)
{
	pinion_diag diag = { "" };
	pinion_runtime *mine;
	int err;

	open_ledger();
	err = pinion_host(&mine, words[2], build, .app = words[3], .deployment = words[4],
	    .replica = words[5], .log = log_line, .diag = &diag);
	if (err != 0) {
		(void)fprintf(stderr, "host: %s\n", diag.text);
		return 1;
	}
	err = pinion_host_wait(mine);
	pinion_stop(mine);
	return err == 0 ? 0 : 2;
}

static inline pinion_handle
handle_in(pinion_runtime *where, const char *deployment, const char *method)
{
	pinion_handle h;

	if (pinion_handle_find(where, "app", deployment, &h) != 0)
		abort();
	return pinion_method_of(h, method);
}

static inline pinion_handle
handle_of(const char *deployment, const char *method)
{
	return handle_in(rt, deployment, method);
}

static inline int64_t
number(pinion_response r)
{
	int64_t x = -1;
	int err = pinion_result(r, &x);

	if (err != 0)
		print_message("%d: %.*s\n", err, PINION_STR_FMT(pinion_response_error(r).text));
	assert_int_equal(err, 0);
	pinion_release(r);
	return x;
}

static inline int
hosted_start(void **state)
{
	static const char *const command[] = { "/proc/self/exe", "serve", NULL };
	pinion_diag diag = { "" };
	pinion_handle handle;

	(void)state;
	(void)snprintf(own_name, sizeof own_name, "death-%ld", (long)getpid());
	memset((void *)(uintptr_t)ledger, 0, LEDGER);
	if (pinion_start(&rt, .workers = 1, .no_pin = true, .listen = own_name, .host_workers = 4,
		.log = log_line, .diag = &diag) != 0 ||
	    pinion_run(rt, build, &handle, .name = "app", .host_command = command, .diag = &diag) !=
		0) {
		print_message("%s\n", diag.text);
		return 1;
	}
	return 0;
}

static inline int
hosted_stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Whoever serves there now; 0: nobody just then. */
static inline pid_t
victim_of(const char *deployment)
{
	pinion_response r = pinion_call(handle_of(deployment, "process"), PINION_ARGS());
	int64_t pid = 0;

	if (pinion_result(r, &pid) != 0)
		pid = 0;
	pinion_release(r);
	return (pid_t)pid;
}

static inline void
assert_nothing_left(void)
{
	pinion_census c;

	/* What has died is buried a little later; what never is makes this test hang. */
	do {
		(void)sched_yield();
		pinion_census_take(rt, &c);
	} while (c.requests + c.custody + c.slots != 0);
}

static inline int
hosted_make(void **state)
{
	char path[128];

	if (served_folder_make(state) != 0)
		return 1;
	(void)snprintf(path, sizeof path, "/tmp/pinion-ledger-%ld", (long)getpid());
	if (setenv("PINION_TEST_LEDGER", path, 1) != 0)
		return 1;
	open_ledger();
	return 0;
}

static inline int
hosted_remove(void **state)
{
	(void)unlink(getenv("PINION_TEST_LEDGER"));
	return served_folder_remove(state);
}

#endif
