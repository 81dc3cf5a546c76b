/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traced - calls in a caller-driven runtime, for lackey's trace of memory: on one thread it repeats.
 *
 *   traced WORK     call      8 bytes there and back
 *                   long      1 KiB there, 8 bytes back
 *                   chain     two stages
 *                   stream    16 items, a window each time
 *
 * Says on stdout which lines of the trace are which: a store to a mark begins the caller's or the worker's side of
 * the call; what lies on the stack, or belongs to the thread, is everybody's here and nobody's in real life.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

enum {
	CALLS = 128,
	WARM = 160, /* more than twice round a lane of 64 cells */
	ITEMS = 16,
	LONG = 1024
};

static struct {
	_Alignas(64) _Atomic uint64_t caller;
	_Alignas(64) _Atomic uint64_t worker;
	_Alignas(64) _Atomic uint64_t counted; /* the caller's, from here on */
	_Alignas(64) _Atomic uint64_t nobody;
} mark;

static pinion_runtime *rt;
static pinion_port *port;
static pinion_handle increment_of, length_of, count_of;

static int
increment(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

/* Of every line of it, a byte. */
static int
add_up(void *replica, pinion_request *req)
{
	pinion_bytes b = pinion_arg_bytes(req, 0);
	int64_t sum = 0;

	(void)replica;
	for (size_t i = 0; i < b.len; i += 64)
		sum += ((const unsigned char *)b.data)[i];
	return pinion_reply(req, sum);
}

static int
count(void *replica, pinion_request *req)
{
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < pinion_arg_i64(req, 0) && err == 0; i++)
		err = pinion_yield(req, i);
	return err;
}

static const pinion_deployment worker = {
	.name = "Worker",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, increment, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("add_up", add_up, .params = PINION_PARAMS(PINION_BYTES("bytes")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("count", count, .params = PINION_PARAMS(PINION_I64("items")),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &worker, PINION_ARGS());
}

/* ---- sides ---------------------------------------------------------------------------------- */

static void
begin(_Atomic uint64_t *side)
{
	atomic_store_explicit(side, 1, memory_order_relaxed);
}

/* The worker's side, until there is nothing left to do. */
static void
work(void)
{
	begin(&mark.worker);
	while (pinion_work(rt) > 0)
		continue;
	begin(&mark.caller);
}

static int64_t
take(pinion_response r)
{
	int64_t x = -1;

	if (pinion_result_on(port, r, &x) != 0)
		x = -1;
	pinion_release_on(port, r);
	return x;
}

static bool
call(int64_t i)
{
	pinion_response r = pinion_call_on(port, increment_of, PINION_ARGS(i));

	work();
	return take(r) == i + 1;
}

static bool
call_long(int64_t i)
{
	unsigned char bytes[LONG];
	pinion_response r;

	memset(bytes, (int)i, sizeof bytes);
	r = pinion_call_on(port, length_of, PINION_ARGS(((pinion_bytes){ bytes, sizeof bytes })));
	work();
	return take(r) == (i & 0xff) * LONG / 64;
}

static bool
chain(int64_t i)
{
	pinion_response first = pinion_call_on(port, increment_of, PINION_ARGS(i));
	pinion_response second = pinion_call_on(port, increment_of, PINION_ARGS(first));
	bool right;

	work();
	right = take(second) == i + 2;
	pinion_release_on(port, first);
	return right;
}

static bool
stream(int64_t i)
{
	pinion_stream s = pinion_call_stream(
	    count_of, PINION_ARGS((int64_t)ITEMS), .port = port, .window = ITEMS);
	int64_t x, sum = i - i;

	work();
	while (pinion_next(s, &x) == 1)
		sum += x;
	pinion_stream_close(s);
	return sum == ITEMS * (ITEMS - 1) / 2;
}

/* ---- what is where -------------------------------------------------------------------------- */

static void
say_range(const char *what, uintptr_t from, uintptr_t to)
{
	printf("%s %" PRIxPTR " %" PRIxPTR "\n", what, from, to);
}

static void
say_ranges(void)
{
	uintptr_t thread = (uintptr_t)__builtin_thread_pointer();
	uintptr_t stack =
	    (uintptr_t)&thread; /* the kernel's map does not say where valgrind has put it */
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	if (maps == NULL)
		exit(1);
	say_range("caller", (uintptr_t)&mark.caller, 0);
	say_range("worker", (uintptr_t)&mark.worker, 0);
	say_range("counted", (uintptr_t)&mark.counted, 0);
	say_range("nobody", (uintptr_t)&mark.nobody, 0);
	say_range("thread", thread - 4096, thread + 4096);
	say_range("stack", stack - 65536, stack + 65536);
	while (fgets(line, sizeof line, maps) != NULL) {
		const char *name = strstr(line, "memfd:");
		uintptr_t from, to;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) != 2)
			continue;
		if (name != NULL)
			say_range(strtok(strchr(name, ':') + 1, " \n"), from, to);
	}
	(void)fclose(maps); /* only read */
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		bool (*once)(int64_t i);
	} works[] = { { "call", call }, { "long", call_long }, { "chain", chain },
		{ "stream", stream } };
	bool (*once)(int64_t i) = NULL;
	int64_t wrong = 0;

	for (size_t i = 0; argc == 2 && i < sizeof works / sizeof works[0]; i++)
		if (strcmp(argv[1], works[i].name) == 0)
			once = works[i].once;
	if (once == NULL ||
	    pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .arena_bytes = 1 << 18,
		.lane_cells = 64) != 0 ||
	    pinion_run(rt, build, &increment_of) != 0 || pinion_port_open(rt, &port) != 0)
		return 1;
	length_of = pinion_method_of(increment_of, "add_up");
	count_of = pinion_method_of(increment_of, "count");
	say_ranges();
	for (int64_t i = 0; i < WARM + CALLS; i++) {
		begin(i == WARM ? &mark.counted : &mark.caller);
		wrong += !once(i);
	}
	begin(&mark.nobody);
	pinion_port_close(port);
	pinion_stop(rt);
	printf("calls %d\n", CALLS);
	return wrong == 0 ? 0 : 1;
}
