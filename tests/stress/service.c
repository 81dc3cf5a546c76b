/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/service.c - the handlers: each is short, and each uses another part of the runtime.
 */
#include "service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TOKENS_MAX = 65536,
	CALL_TRIES = 200
};

struct service service;

/* ---- what is computed ------------------------------------------------------------------------ */

int64_t
service_step(int64_t x, int64_t k)
{
	return (int64_t)((uint64_t)x * 3 + (uint64_t)k);
}

int64_t
service_later(int64_t x)
{
	return x ^ 0x5a5a;
}

size_t
service_size(int64_t k)
{
	static const size_t sizes[] = { 8, 39, 40, 41, 64, 500, 1000, 4096, 65536, FILL_MAX };

	return sizes[(uint64_t)k % (sizeof sizes / sizeof sizes[0])];
}

void
service_pattern(void *bytes, size_t size, int64_t x)
{
	unsigned char *to = bytes;

	for (size_t at = 0; at < size; at += at < 512 ? 1 : 61)
		to[at] = (unsigned char)((uint64_t)x + at * 7);
}

int64_t
service_digest(const void *bytes, size_t size)
{
	const unsigned char *from = bytes;
	uint64_t sum = size;

	for (size_t at = 0; at < size; at += at < 512 ? 1 : 61)
		sum = sum * 31 + from[at];
	return (int64_t)sum;
}

int
service_text(char text[160], int64_t x)
{
	unsigned width = (unsigned)((uint64_t)x % 120);

	return snprintf(text, 160, "%*lld", (int)width, (long long)x);
}

/* ---- deferred -------------------------------------------------------------------------------- */

struct due {
	pinion_token token;
	uint64_t at;
	int64_t value;
	int error;
};

static pthread_mutex_t due_lock = PTHREAD_MUTEX_INITIALIZER;
static struct due due[TOKENS_MAX]; /* W under due_lock */
static unsigned due_count;         /* W under due_lock */

static void
answer(const struct due *d)
{
	int err = d->error != 0
	    ? pinion_token_fail(d->token, d->error, "fault %d", -d->error - FAULT_BASE)
	    : pinion_token_reply(d->token, d->value);

	if (err != 0 && d->error == 0 && !is_set(&stopping))
		give_up("a deferred request could not be answered: %d", err);
}

static bool
take_due(struct due *out, uint64_t *left)
{
	unsigned first = 0;
	bool is_due;

	(void)pthread_mutex_lock(&due_lock);
	for (unsigned i = 1; i < due_count; i++)
		if (due[i].at < due[first].at)
			first = i;
	*left = due_count == 0 ? UINT64_MAX : due[first].at;
	is_due = due_count != 0 && due[first].at <= now_ns();
	if (is_due) {
		*out = due[first];
		due[first] = due[--due_count];
	}
	(void)pthread_mutex_unlock(&due_lock);
	return is_due;
}

uint64_t
service_answer(void)
{
	struct due d;
	uint64_t next, now;

	if (take_due(&d, &next)) {
		answer(&d);
		return 0;
	}
	now = now_ns();
	return next == UINT64_MAX ? next : next > now ? next - now : 0;
}

void
service_answers_forget(void)
{
	(void)pthread_mutex_lock(&due_lock);
	due_count = 0;
	(void)pthread_mutex_unlock(&due_lock);
}

/* k: bits 0-7 of a delay in 4 us, bit 8: fails; every eighth is answered by a handler, not a thread. */
static int
stage_later(void *replica, pinion_request *req)
{
	int64_t x = pinion_arg_i64(req, 0), k = pinion_arg_i64(req, 1);
	struct due d = { .value = service_later(x), .at = now_ns() + (uint64_t)(k & 255) * 4000 };
	struct due other;
	uint64_t left;
	int err;

	(void)replica;
	d.error = (k & 256) != 0 ? -(FAULT_BASE + (int)(k & 7)) : 0;
	err = pinion_defer(req, &d.token);
	if (err != 0)
		return err;
	(void)pthread_mutex_lock(&due_lock);
	if (due_count == TOKENS_MAX)
		give_up("more than %d deferred requests", TOKENS_MAX);
	due[due_count++] = d;
	(void)pthread_mutex_unlock(&due_lock);
	if ((x & 7) == 0 && take_due(&other, &left))
		answer(&other);
	return 0;
}

/* ---- Stage ----------------------------------------------------------------------------------- */

static int
stage_step(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, service_step(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
}

static int
stage_nap(void *replica, pinion_request *req)
{
	int64_t k = pinion_arg_i64(req, 1);
	int err = pinion_sleep(req, (k & 127) * 1000);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, service_step(pinion_arg_i64(req, 0), k));
}

static int
stage_join(void *replica, pinion_request *req)
{
	int64_t sum = 0;

	(void)replica;
	for (unsigned i = 0; i < 8; i++)
		sum = service_step(sum, pinion_arg_i64(req, i));
	return pinion_reply(req, sum);
}

/* Every other time by returning the code only. */
static int
stage_fault(void *replica, pinion_request *req)
{
	int64_t k = pinion_arg_i64(req, 1) & 7;

	(void)replica;
	if ((k & 1) != 0)
		return -(FAULT_BASE + (int)k);
	return pinion_fail(req, -(FAULT_BASE + (int)k), "fault %lld", (long long)k);
}

static int
stage_fill(void *replica, pinion_request *req)
{
	int64_t x = pinion_arg_i64(req, 0);
	size_t size = service_size(pinion_arg_i64(req, 1));
	void *to = pinion_result_buffer(req, size);

	(void)replica;
	if (to == NULL)
		return pinion_fail(req, -EMSGSIZE, "no room for %zu bytes", size);
	service_pattern(to, size, x);
	return pinion_reply_buffer(req, size);
}

static int
stage_digest(void *replica, pinion_request *req)
{
	pinion_bytes b = pinion_arg_bytes(req, 0);

	(void)replica;
	return pinion_reply(req, service_digest(b.data, b.len));
}

static int
stage_say(void *replica, pinion_request *req)
{
	char text[160];
	int length = service_text(text, pinion_arg_i64(req, 0));
	pinion_str s = { text, (size_t)length };

	(void)replica;
	return (pinion_arg_i64(req, 1) & 1) != 0 ? pinion_reply_fmt(req, "%s", text)
						 : pinion_reply(req, s);
}

static int
stage_parse(void *replica, pinion_request *req)
{
	pinion_str s = pinion_arg_str(req, 0);
	char text[160];

	(void)replica;
	if (s.len >= sizeof text)
		return -EBADMSG;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	return pinion_reply(req, (int64_t)strtoll(text, NULL, 10));
}

static int
stage_posted(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 0;
}

#define XK PINION_PARAMS(PINION_I64("x"), PINION_I64("k"))

static const pinion_deployment stage = {
	.name = "Stage",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, stage_step, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("nap", stage_nap, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("join", stage_join,
		.params = PINION_PARAMS(PINION_I64_OR("a", 0), PINION_I64_OR("b", 0),
		    PINION_I64_OR("c", 0), PINION_I64_OR("d", 0), PINION_I64_OR("e", 0),
		    PINION_I64_OR("f", 0), PINION_I64_OR("g", 0), PINION_I64_OR("h", 0)),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("later", stage_later, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("fault", stage_fault, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("fill", stage_fill, .params = XK, .returns = PINION_RETURNS_BYTES,
		.result_max = FILL_MAX),
	    PINION_METHOD("digest", stage_digest, .params = PINION_PARAMS(PINION_BYTES("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("say", stage_say, .params = XK, .returns = PINION_RETURNS_STR),
	    PINION_METHOD("parse", stage_parse, .params = PINION_PARAMS(PINION_STR("s")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("posted", stage_posted, .params = XK)),
};

/* ---- Relay ----------------------------------------------------------------------------------- */

struct relay {
	pinion_handle peer;
};

static int
relay_init(void *replica, pinion_init *init)
{
	((struct relay *)replica)->peer = pinion_init_handle(init, 0);
	return 0;
}

/* No slot, no room: tried again after a while, not for ever, so that handlers that all hold some and want
 * more cannot wait for each other. */
static pinion_response
call(pinion_request *req, pinion_handle handle, pinion_args args)
{
	for (unsigned i = 0;; i++) {
		pinion_response r = pinion_call(handle, args);

		if (pinion_response_error(r).code != -ENOBUFS || i == CALL_TRIES)
			return r;
		pinion_release(r);
		if (pinion_sleep(req, 20000) != 0)
			return pinion_call(handle, args);
	}
}

/* k odd: the inner call is one that fails. */
static pinion_response
inner(const struct relay *self, pinion_request *req, int64_t x, int64_t k)
{
	pinion_handle h = (k & 1) != 0 ? pinion_method_of(self->peer, "fault")
	    : (k & 2) != 0             ? pinion_method_of(self->peer, "nap")
				       : self->peer;

	return call(req, h, PINION_ARGS(x, k));
}

static int
relay_wait(void *replica, pinion_request *req)
{
	int64_t k = pinion_arg_i64(req, 1), x;
	pinion_response r = inner(replica, req, pinion_arg_i64(req, 0), k);
	int err = -EAGAIN;

	while ((k & 4) != 0 && err == -EAGAIN)
		err = pinion_result_within(r, 30000, &x);
	if ((k & 4) == 0)
		err = pinion_result(r, &x);
	if ((k & 8) != 0)
		pinion_release(r);
	return err != 0 ? err : pinion_reply(req, x + 1);
}

static int
relay_fan(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	int64_t x = pinion_arg_i64(req, 0), k = pinion_arg_i64(req, 1), sum = 0, got;
	unsigned left = 1 + (unsigned)(k & 7);
	pinion_response r[8];
	int at, err;

	for (unsigned i = 0; i < left; i++)
		r[i] = call(req, pinion_method_of(self->peer, (i & 1) != 0 ? "nap" : PINION_CALL),
		    PINION_ARGS(x, (int64_t)i));
	while (left != 0) {
		at = pinion_wait_any(r, left, -1);
		if (at < 0)
			return at;
		err = pinion_result(r[at], &got);
		if (err != 0)
			return err;
		sum = (int64_t)((uint64_t)sum + (uint64_t)got);
		r[at] = r[--left];
	}
	return pinion_reply(req, sum);
}

static int
relay_forward(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	int64_t k = pinion_arg_i64(req, 1);

	return pinion_forward(req,
	    (k & 1) != 0 ? pinion_method_of(self->peer, "fault") : self->peer,
	    PINION_ARGS(pinion_arg_i64(req, 0), k));
}

/* The tail call's argument is not there yet. */
static int
relay_late(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	int64_t k = pinion_arg_i64(req, 1);
	pinion_response first = inner(self, req, pinion_arg_i64(req, 0), k);

	return pinion_forward(req, self->peer, PINION_ARGS(first, k));
}

static int
relay_response(void *replica, pinion_request *req)
{
	return pinion_reply_response(
	    req, inner(replica, req, pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
}

static int
relay_diamond(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	pinion_response top = inner(self, req, pinion_arg_i64(req, 0), pinion_arg_i64(req, 1));
	pinion_response left = call(req, self->peer, PINION_ARGS(top, 1));
	pinion_response right = call(req, pinion_method_of(self->peer, "nap"), PINION_ARGS(top, 2));

	return pinion_reply_response(
	    req, call(req, pinion_method_of(self->peer, "join"), PINION_ARGS(left, right)));
}

static int
relay_task(void *replica, pinion_request *req)
{
	pinion_response first = inner(replica, req, pinion_arg_i64(req, 0), pinion_arg_i64(req, 1));

	return pinion_reply_response(
	    req, pinion_task(req, service_task_step, PINION_ARGS(first, 5)));
}

/* A reference to a call that outlives this request; who reads it gives it back. */
static int
relay_keep(void *replica, pinion_request *req)
{
	pinion_response r =
	    inner(replica, req, pinion_arg_i64(req, 0), pinion_arg_i64(req, 1) & ~INT64_C(1));
	int err = pinion_response_error(r).code == -ENOBUFS ? -ENOBUFS : pinion_response_keep(r);

	return err != 0 ? err : pinion_reply(req, pinion_response_ref(r));
}

/* A large argument goes on by a tail call. */
static int
relay_pass(void *replica, pinion_request *req)
{
	const struct relay *self = replica;

	return pinion_forward(
	    req, pinion_method_of(self->peer, "digest"), PINION_ARGS(pinion_arg_bytes(req, 0)));
}

static int
relay_refill(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	int64_t x = pinion_arg_i64(req, 0), k = pinion_arg_i64(req, 1);
	pinion_handle fill = pinion_method_of(self->peer, "fill");

	if ((k & 16) != 0)
		return pinion_forward(req, fill, PINION_ARGS(x, k));
	return pinion_reply_response(req, call(req, fill, PINION_ARGS(x, k)));
}

/* Forwards to its own deployment, k & 7 times. */
static int
relay_deep(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	pinion_handle me = pinion_arg_handle(req, 0);
	int64_t x = pinion_arg_i64(req, 1), k = pinion_arg_i64(req, 2);

	if ((k & 7) == 0)
		return pinion_forward(req, self->peer, PINION_ARGS(x, 7));
	return pinion_forward(req, pinion_method_of(me, "deep"), PINION_ARGS(me, x + 1, k - 1));
}

static const pinion_deployment relay = {
	.name = "Relay",
	.replica_size = sizeof(struct relay),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, relay_wait, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("fan", relay_fan, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("forward", relay_forward, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("late", relay_late, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("response", relay_response, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("diamond", relay_diamond, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("task", relay_task, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("keep", relay_keep, .params = XK, .returns = PINION_RETURNS_REF),
	    PINION_METHOD("pass", relay_pass, .params = PINION_PARAMS(PINION_BYTES("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("refill", relay_refill, .params = XK, .returns = PINION_RETURNS_BYTES,
		.result_max = FILL_MAX),
	    PINION_METHOD("deep", relay_deep,
		.params = PINION_PARAMS(PINION_HANDLE("me"), PINION_I64("x"), PINION_I64("k")),
		.returns = PINION_RETURNS_I64)),
};

/* ---- Upper, Reader --------------------------------------------------------------------------- */

static int
upper_wait(void *replica, pinion_request *req)
{
	const struct relay *self = replica;
	int64_t x;
	pinion_response r =
	    call(req, self->peer, PINION_ARGS(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
	int err = pinion_result(r, &x);

	return err != 0 ? err : pinion_reply(req, x + 1);
}

static int
upper_response(void *replica, pinion_request *req)
{
	const struct relay *self = replica;

	return pinion_reply_response(req,
	    call(req, pinion_method_of(self->peer, "response"),
		PINION_ARGS(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1))));
}

static int
upper_forward(void *replica, pinion_request *req)
{
	const struct relay *self = replica;

	return pinion_forward(req, pinion_method_of(self->peer, "late"),
	    PINION_ARGS(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
}

static const pinion_deployment upper = {
	.name = "Upper",
	.replica_size = sizeof(struct relay),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("peer")),
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, upper_wait, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("response", upper_response, .params = XK, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("forward", upper_forward, .params = XK, .returns = PINION_RETURNS_I64)),
};

static int
read_ref(pinion_request *req, pinion_ref ref, int64_t k)
{
	int64_t x;
	int err = pinion_ref_get(ref, &x);

	return err != 0 ? err : pinion_reply(req, service_step(x, k));
}

static int
reader_read(void *replica, pinion_request *req)
{
	(void)replica;
	return read_ref(req, pinion_arg_ref(req, 0), pinion_arg_i64(req, 1));
}

static struct service found;

static int
reader_init(void *replica, pinion_init *init)
{
	(void)replica;
	found = (struct service){ .upper = pinion_init_handle(init, 0),
		.relay = pinion_init_handle(init, 1),
		.stage = pinion_init_handle(init, 2),
		.single = pinion_init_handle(init, 3) };
	return 0;
}

static const pinion_deployment reader = {
	.name = "Reader",
	.init = reader_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("upper"), PINION_HANDLE("relay"),
	    PINION_HANDLE("stage"), PINION_HANDLE("single")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, reader_read,
	    .params = PINION_PARAMS(PINION_REF("ref"), PINION_I64("k")),
	    .returns = PINION_RETURNS_I64)),
};

/* ---- tasks ----------------------------------------------------------------------------------- */

int
service_task_step(pinion_request *req)
{
	return pinion_reply(req, service_step(pinion_arg_i64(req, 0), pinion_arg_i64(req, 1)));
}

int
service_task_digest(pinion_request *req)
{
	pinion_bytes b = pinion_arg_bytes(req, 0);

	return pinion_reply(req, service_digest(b.data, b.len));
}

/* ---- the graph ------------------------------------------------------------------------------- */

pinion_node *
service_build(pinion_app *build, const pinion_config *config)
{
	int n = settings.replicas, most = settings.max_ongoing;
	pinion_node *stages = pinion_bind(
	    build, &stage, PINION_ARGS(), .num_replicas = n, .max_ongoing_requests = most);
	pinion_node *single =
	    pinion_bind(build, &stage, PINION_ARGS(), .name = "Single", .max_ongoing_requests = 1);
	pinion_node *relays = pinion_bind(
	    build, &relay, PINION_ARGS(stages), .num_replicas = n, .max_ongoing_requests = most);
	pinion_node *uppers = pinion_bind(
	    build, &upper, PINION_ARGS(relays), .num_replicas = n, .max_ongoing_requests = most);

	(void)config;
	return pinion_bind(build, &reader, PINION_ARGS(uppers, relays, stages, single),
	    .max_ongoing_requests = most);
}

void
service_find(pinion_handle ingress)
{
	service = found;
	service.reader = ingress;
}
