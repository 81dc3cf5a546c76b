/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady - makes that many calls of every usual kind, with idle = spin, and counts allocations while it does.
 *
 *   steady CALLS        prints how many allocations the calls made; exits 1 unless it is none
 *
 * Method  It defines malloc's family and jemalloc's, through which the library takes all of its memory. How
 *         many system calls there were is for strace to say: tests/steady/test_system_calls.sh.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pinion.h"

static _Atomic unsigned long allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

void *
malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(p, size);
}

void *mallocx(size_t size, int flags);
void sdallocx(void *p, size_t size, int flags);
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

void *
mallocx(size_t size, int flags)
{
	size_t align = (size_t)1 << (flags & 63);
	void *p = __libc_memalign(align < 16 ? 16 : align, size);

	atomic_fetch_add(&allocations, 1);
	return p == NULL ? NULL : memset(p, 0, size);
}

void
sdallocx(void *p, size_t size, int flags)
{
	(void)size;
	(void)flags;
	free(p);
}

int
mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
{
	(void)name;
	(void)new;
	(void)new_size;
	if (old != NULL)
		memset(old, 0, *old_size);
	return 0;
}

/* ---- the application ------------------------------------------------------------------------ */

static int
increment(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_str(req, 0));
}

static const pinion_deployment worker = {
	.name = "Worker",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, increment, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR)),
};

static int
relay_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

/* Waits for a call of its own. */
static int
relay(void *replica, pinion_request *req)
{
	pinion_response r =
	    pinion_call(*(const pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));
	int64_t x;
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x);
}

static int
tail_call(void *replica, pinion_request *req)
{
	return pinion_forward(
	    req, *(const pinion_handle *)replica, PINION_ARGS(pinion_arg_i64(req, 0)));
}

static const pinion_deployment relays = {
	.name = "Relay",
	.replica_size = sizeof(pinion_handle),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("worker")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, relay, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("tail", tail_call, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_I64)),
};

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	pinion_node *w = pinion_bind(app, &worker, PINION_ARGS());

	(void)config;
	return pinion_bind(app, &relays, PINION_ARGS(w));
}

static pinion_node *
build_worker(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &worker, PINION_ARGS());
}

static int
expect(pinion_response r, int64_t want)
{
	int64_t x = 0;
	int err = pinion_result(r, &x);

	pinion_release(r);
	return err == 0 && x == want ? 0 : 1;
}

/* One of each kind: inline, longer, chained, nested, tail. Five calls of the caller's. */
static int
one_round(
    pinion_handle add, pinion_handle text, pinion_handle nested, pinion_handle tail, int64_t i)
{
	static const char longer[] = "more than the thirty-two bytes that travel inside a message";
	pinion_response first = pinion_call(add, PINION_ARGS(i));
	pinion_response second = pinion_call(add, PINION_ARGS(first));
	pinion_response said = pinion_call(text, PINION_ARGS(longer));
	pinion_str back;
	int wrong = expect(second, i + 2);

	pinion_release(first);
	wrong += pinion_result(said, &back) != 0 || back.len != sizeof longer - 1;
	pinion_release(said);
	wrong += expect(pinion_call(nested, PINION_ARGS(i)), i + 1);
	return wrong + expect(pinion_call(tail, PINION_ARGS(i)), i + 1);
}

int
main(int argc, char **argv)
{
	int64_t calls = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000;
	pinion_runtime *rt = NULL;
	pinion_handle nested, add, text, tail;
	unsigned long before = 0;
	int wrong = 0;

	if (pinion_start(&rt, .workers = 1, .idle = "spin") != 0 ||
	    pinion_run(rt, build, &nested) != 0 ||
	    pinion_run(rt, build_worker, &add, .name = "worker") != 0)
		return 1;
	text = pinion_method_of(add, "echo");
	tail = pinion_method_of(nested, "tail");
	for (int64_t i = -200; i < calls / 5; i++) {
		if (i == 0)
			before = atomic_load(&allocations);
		wrong += one_round(add, text, nested, tail, i);
	}
	before = atomic_load(&allocations) - before;
	pinion_stop(rt);
	printf("%lld calls, %d wrong, %lu allocations\n", (long long)calls, wrong, before);
	return wrong == 0 && before == 0 ? 0 : 1;
}
