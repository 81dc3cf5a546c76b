/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    When the process of an isolated replica dies, at any moment: what it had started fails, what it had not goes on, in
 *         another or in the one that is started in its place; nobody waits in vain, nothing runs twice, nothing is left.
 * Method  This program once more as those processes, which are killed while threads and other processes call; a ledger of each
 *         call, shared by all, says how often its handler began.
 */
#include "tests/attach/serve.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum {
	LEDGER = 1 << 22, /* calls that it has room for */
	CALLERS = 2
};

static pinion_runtime *rt;
static char own_name[32];
static _Atomic unsigned char *ledger; /* of each call, how often its handler began */

static void
open_ledger(void)
{
	const char *path = getenv("PINION_TEST_LEDGER");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, LEDGER) != 0)
		abort();
	ledger = mmap(NULL, LEDGER, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ledger == MAP_FAILED)
		abort();
	(void)close(fd);
}

/* ---- what runs -------------------------------------------------------------------------------- */

/* Its first argument is the call's number: the ledger counts it. */
static void
begin(pinion_request *req)
{
	int64_t id = pinion_arg_i64(req, 0);

	if (id >= 0 && id < LEDGER)
		atomic_fetch_add(&ledger[id], 1);
}

static int
work(void *state, pinion_request *req)
{
	(void)state;
	begin(req);
	return pinion_reply(req, pinion_arg_i64(req, 1) + 1);
}

static int
process_of(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, (int64_t)getpid());
}

static int
crash(void *state, pinion_request *req)
{
	(void)state;
	(void)req;
	(void)raise(SIGKILL);
	return 0;
}

static int
take_long(void *state, pinion_request *req)
{
	(void)state;
	begin(req);
	while (pause() < 0)
		continue; /* until it is killed */
	return 0;
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

static int
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
	    PINION_METHOD("count", count_up, .params = PINION_PARAMS(PINION_I64("to")),
		.returns = PINION_RETURNS_I64, .stream = true),
	    PINION_METHOD(
		"count_and_crash", count_and_crash, .returns = PINION_RETURNS_I64, .stream = true)),
};

struct caller {
	pinion_handle next;
};

static int
init_caller(void *state, pinion_init *init)
{
	struct caller *self = state;

	self->next = pinion_init_handle(init, 0);
	return 0;
}

static int
forward(void *state, pinion_request *req)
{
	const struct caller *self = state;

	begin(req);
	return pinion_forward(req, pinion_method_of(self->next, "work"),
	    PINION_ARGS(INT64_C(-1), pinion_arg_i64(req, 1)));
}

static int
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
static pinion_node *
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

static void
log_line(void *arg, const char *line)
{
	(void)arg;
	if (getenv("PINION_TEST_LOUD") != NULL)
		(void)fprintf(stderr, "log: %s\n", line);
}

/* ---- a host ----------------------------------------------------------------------------------- */

static int
serve(char **words)
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

static pinion_handle
handle_in(pinion_runtime *where, const char *deployment, const char *method)
{
	pinion_handle h;

	if (pinion_handle_find(where, "app", deployment, &h) != 0)
		abort();
	return pinion_method_of(h, method);
}

static pinion_handle
handle_of(const char *deployment, const char *method)
{
	return handle_in(rt, deployment, method);
}

static int64_t
number(pinion_response r)
{
	int64_t x = -1;
	int err = pinion_result(r, &x);

	assert_int_equal(err, 0);
	pinion_release(r);
	return x;
}

static int
start(void **state)
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

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* ---- one death -------------------------------------------------------------------------------- */

static void
what_had_started_fails_and_it_serves_again(void **state)
{
	pinion_handle work_of = handle_of("one", "work");
	pid_t before = (pid_t)number(pinion_call(handle_of("one", "process"), PINION_ARGS()));
	pinion_response r = pinion_call(handle_of("one", "crash"), PINION_ARGS());
	pinion_error e;
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(r, &x), -EOWNERDEAD);
	e = pinion_response_error(r);
	assert_true(pinion_str_is(e.deployment, "one"));
	pinion_release(r);
	for (int i = 0; i < 10; i++)
		assert_int_equal(number(pinion_call(work_of, PINION_ARGS(i, i))), i + 1);
	assert_int_not_equal(
	    number(pinion_call(handle_of("one", "process"), PINION_ARGS())), before);
}

static void
what_had_not_started_goes_on(void **state)
{
	pid_t victim = (pid_t)number(pinion_call(handle_of("one", "process"), PINION_ARGS()));
	pinion_response first = pinion_call(handle_of("one", "long"), PINION_ARGS(0, 0));
	pinion_response rest[20];
	int64_t x;

	(void)state;
	for (int i = 0; i < 20; i++)
		rest[i] = pinion_call(handle_of("one", "work"), PINION_ARGS(i + 1, i));
	while (atomic_load(&ledger[0]) == 0)
		(void)sched_yield();
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(pinion_result(first, &x), -EOWNERDEAD);
	pinion_release(first);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(number(rest[i]), i + 1);
		assert_int_equal(atomic_load(&ledger[i + 1]), 1);
	}
	assert_int_equal(atomic_load(&ledger[0]), 1);
}

static void
a_chain_behind_it_is_told(void **state)
{
	pinion_response a = pinion_call(handle_of("one", "crash"), PINION_ARGS());
	pinion_response b = pinion_call(handle_of("here", "work"), PINION_ARGS(1, a));
	pinion_response c = pinion_call(handle_of("two", "work"), PINION_ARGS(2, b));
	int64_t x;

	(void)state;
	assert_int_equal(pinion_result(c, &x), -EOWNERDEAD);
	assert_true(pinion_str_is(pinion_response_error(c).deployment, "one"));
	assert_int_equal(atomic_load(&ledger[1]), 0);
	assert_int_equal(atomic_load(&ledger[2]), 0);
	pinion_release(a);
	pinion_release(b);
	pinion_release(c);
}

static void
a_stream_ends_behind_its_items(void **state)
{
	pinion_stream s = pinion_call_stream(handle_of("one", "count_and_crash"), PINION_ARGS());
	int64_t x = 0;

	(void)state;
	assert_int_equal(pinion_next(s, &x), 1);
	assert_int_equal(x, 1);
	assert_int_equal(pinion_next(s, &x), -EOWNERDEAD);
	pinion_stream_close(s);
}

static void
a_crash_loop_fails_with_its_reason(void **state)
{
	pinion_response r;
	int64_t x;
	int err = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		r = pinion_call(handle_of("one", "crash"), PINION_ARGS());
		err = pinion_result(r, &x);
		assert_int_equal(err, -EOWNERDEAD);
		if (memmem(pinion_response_error(r).text.data, pinion_response_error(r).text.len,
			"times", 5) != NULL)
			break;
		pinion_release(r);
		r = pinion_call(handle_of("here", "work"), PINION_ARGS(1, 1));
		assert_int_equal(pinion_result(r, &x), 0);
		pinion_release(r);
		r = (pinion_response){ 0 };
	}
	assert_non_null(memmem(pinion_response_error(r).text.data,
	    pinion_response_error(r).text.len, "answered nothing", 16));
	pinion_release(r);
	assert_int_equal(number(pinion_call(handle_of("two", "work"), PINION_ARGS(3, 1))), 2);
}

/* ---- many deaths ------------------------------------------------------------------------------ */

static _Atomic bool is_over;
static _Atomic int64_t next_call;
static _Atomic uint64_t right, dead;

struct under_way {
	pinion_response response;
	int64_t id, wanted;
};

static void
settle(const struct under_way *u)
{
	int64_t x = -1;
	int err = pinion_result(u->response, &x);
	unsigned char began = u->id < 0 ? 0 : atomic_load(&ledger[u->id]);

	if (err == 0) {
		assert_int_equal(x, u->wanted);
		assert_int_equal(began, 1);
		atomic_fetch_add(&right, 1);
	} else {
		if (err != -EOWNERDEAD)
			print_message("%d: %.*s\n", err,
			    PINION_STR_FMT(pinion_response_error(u->response).text));
		assert_int_equal(err, -EOWNERDEAD);
		assert_true(began <= 1);
		atomic_fetch_add(&dead, 1);
	}
	pinion_release(u->response);
}

static void
call_one(pinion_runtime *where, struct under_way *u, unsigned kind)
{
	static const char *const to[][2] = { { "one", "work" }, { "two", "work" },
		{ "there", "forward" }, { "there", "ask" } };
	pinion_response first;

	u->id = atomic_fetch_add(&next_call, 1) % LEDGER;
	u->wanted = u->id + 1;
	if (kind < 4) {
		u->response = pinion_call(
		    handle_in(where, to[kind][0], to[kind][1]), PINION_ARGS(u->id, u->id));
		return;
	}
	/* A chain: two, here, one. */
	u->wanted = 3;
	first = pinion_call(handle_in(where, "two", "work"), PINION_ARGS(INT64_C(-1), 0));
	u->response = pinion_call(
	    handle_in(where, kind == 4 ? "here" : "one", "work"), PINION_ARGS(INT64_C(-1), first));
	pinion_release(first);
	first = u->response;
	u->response = pinion_call(handle_in(where, "one", "work"), PINION_ARGS(u->id, first));
	pinion_release(first);
}

static void *
call_on(void *where)
{
	struct under_way under_way[16];
	unsigned kind = 0;

	while (!atomic_load(&is_over)) {
		for (unsigned i = 0; i < 16; i++)
			call_one(where, &under_way[i], kind++ % 6);
		for (unsigned i = 0; i < 16; i++)
			settle(&under_way[i]);
	}
	return NULL;
}

static void *
stream_on(void *where)
{
	while (!atomic_load(&is_over)) {
		pinion_stream s =
		    pinion_call_stream(handle_in(where, "two", "count"), PINION_ARGS(50));
		int64_t x, wanted = 0;
		int err;

		while ((err = pinion_next(s, &x)) == 1)
			assert_int_equal(x, wanted++);
		if (err == 0)
			assert_int_equal(wanted, 50);
		else
			assert_int_equal(err, -EOWNERDEAD);
		pinion_stream_close(s);
	}
	return NULL;
}

/* Whoever serves there now; 0: nobody just then. */
static pid_t
victim_of(const char *deployment)
{
	pinion_response r = pinion_call(handle_of(deployment, "process"), PINION_ARGS());
	int64_t pid = 0;

	if (pinion_result(r, &pid) != 0)
		pid = 0;
	pinion_release(r);
	return (pid_t)pid;
}

static void
assert_nothing_left(void)
{
	pinion_census c;

	/* What has died is buried a little later; what never is makes this test hang. */
	do {
		(void)sched_yield();
		pinion_census_take(rt, &c);
	} while (c.requests + c.custody + c.slots != 0);
}

static void
kills_lose_and_double_nothing(void **state)
{
	static const char *const deployments[] = { "one", "two", "there" };
	uint64_t kills = scaled(1000);
	pthread_t threads[CALLERS + 1];

	(void)state;
	atomic_store(&is_over, false);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_on, rt), 0);
	assert_int_equal(pthread_create(&threads[CALLERS], NULL, stream_on, rt), 0);
	for (uint64_t i = 0; i < kills; i++) {
		pid_t victim = victim_of(deployments[i % 3]);

		if (victim != 0)
			(void)kill(victim, SIGKILL);
		/* Now at once again, now when more has been called. */
		for (unsigned k = 0; k < i % 5 * 20; k++)
			(void)number(pinion_call(handle_of("here", "work"), PINION_ARGS(-1, 0)));
	}
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < CALLERS + 1; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	print_message("%llu kills: %llu answers, %llu ended with their process\n",
	    (unsigned long long)kills, (unsigned long long)atomic_load(&right),
	    (unsigned long long)atomic_load(&dead));
	assert_nothing_left();
}

static int
make_ledger(void **state)
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

static int
remove_ledger(void **state)
{
	(void)unlink(getenv("PINION_TEST_LEDGER"));
	return served_folder_remove(state);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_had_started_fails_and_it_serves_again, start, stop),
		cmocka_unit_test_setup_teardown(what_had_not_started_goes_on, start, stop),
		cmocka_unit_test_setup_teardown(a_chain_behind_it_is_told, start, stop),
		cmocka_unit_test_setup_teardown(a_stream_ends_behind_its_items, start, stop),
		cmocka_unit_test_setup_teardown(a_crash_loop_fails_with_its_reason, start, stop),
		cmocka_unit_test_setup_teardown(kills_lose_and_double_nothing, start, stop),
	};

	if (argc == 6)
		return serve(argv);
	return cmocka_run_group_tests(tests, make_ledger, remove_ledger);
}
