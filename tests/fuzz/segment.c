/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever a process that has attached writes into its port, and whenever: the runtime goes on, callers of its own are
 *         answered rightly, and when that process has gone nothing of it is left.
 * Method  libFuzzer. An input is a script: calls and messages into the lane, writes to every part of the port, turns between
 *         them. Handlers go on with the script while they run, but for turns: so that what was looked at changes before it is
 *         used. The port has pages without rights around it; what the runtime takes for itself comes from malloc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/fuzz/segment_script.h"

enum {
	TURNS_MAX = 64,
	TOKENS = 16,
	GIVEN_MAX = 16,
	LONG = 300,
	ROOM = 1024,
	FENCE = 4096,    /* bytes */
	HONEST_EVERY = 8 /* steps */
};

static pinion_runtime *rt;
static pinion_handle shared, own;
static pinion_token tokens[TOKENS];
static unsigned token_at, honest_turn, given;

/* ---- jemalloc's face, so that the sanitizer sees each block ----------------------------------- */

void *mallocx(size_t size, int flags);
void sdallocx(void *p, size_t size, int flags);
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);

void *
mallocx(size_t size, int flags)
{
	size_t align = (size_t)1 << (flags & 63);
	void *p = aligned_alloc(align < 64 ? 64 : align, size);

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
	(void)new;
	(void)new_size;
	if (strcmp(name, "arenas.create") == 0)
		memset(old, 0, *old_size);
	return 0;
}

/* ---- what runs -------------------------------------------------------------------------------- */

struct wide {
	alignas(16) int64_t x[4];
};

static int
add(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, (int64_t)((uint64_t)pinion_arg_i64(req, 0) + 1));
}

static int
echo(void *state, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 0);

	(void)state;
	meddle();
	if (text.len > ROOM)
		return -EMSGSIZE;
	return pinion_reply(req, text);
}

static int
measure(void *state, pinion_request *req)
{
	const struct wide *wide = pinion_arg_struct(req, 0, struct wide);
	pinion_bytes bytes = pinion_arg_bytes(req, 1);
	uint64_t sum = 0;

	(void)state;
	meddle();
	for (size_t i = 0; i < bytes.len; i++)
		sum += ((const unsigned char *)bytes.data)[i];
	return pinion_reply(req, (int64_t)(sum + (uint64_t)wide->x[3]));
}

static int
fill(void *state, pinion_request *req)
{
	char *buffer = pinion_result_buffer(req, LONG);

	(void)state;
	if (buffer == NULL)
		return -ENOBUFS;
	meddle();
	memset(buffer, 'x', LONG);
	return pinion_reply_buffer(req, (pinion_arg_i64(req, 0) & 1) != 0 ? 4 : LONG);
}

static int
count_up(void *state, pinion_request *req)
{
	int err = 0;

	(void)state;
	for (int64_t i = 0; i < (pinion_arg_i64(req, 0) & 31) && err == 0; i++) {
		err = pinion_yield(req, i);
		meddle();
	}
	return err;
}

static int
sum_up(void *state, pinion_request *req)
{
	pinion_stream s = pinion_arg_stream(req, 0);
	uint64_t sum = 0;
	int64_t x;
	int got;

	(void)state;
	while ((got = pinion_next(s, &x)) == 1) {
		sum += (uint64_t)x;
		meddle();
	}
	if (got < 0)
		return pinion_fail(req, got, "%.*s", PINION_STR_FMT(pinion_stream_error(s).text));
	return pinion_reply(req, (int64_t)sum);
}

static int
forward_it(void *state, pinion_request *req)
{
	(void)state;
	meddle();
	return pinion_forward(req, pinion_arg_handle(req, 0), PINION_ARGS(pinion_arg_i64(req, 1)));
}

static int
chain(void *state, pinion_request *req)
{
	pinion_handle h = pinion_method_of(own, "add");
	pinion_response a = pinion_call(h, PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_response b = pinion_call(h, PINION_ARGS(a));

	(void)state;
	meddle();
	return pinion_reply_response(req, b);
}

static int
put_off(void *state, pinion_request *req)
{
	(void)state;
	return pinion_defer(req, &tokens[token_at++ % TOKENS]);
}

static int
batched(void *state, pinion_request *const *requests, unsigned count)
{
	(void)state;
	for (unsigned i = 0; i < count; i++) {
		meddle();
		(void)!pinion_reply(
		    requests[i], (int64_t)((uint64_t)pinion_arg_i64(requests[i], 0) * 2));
	}
	return 0;
}

static int
load(void *state, pinion_request *req, pinion_str id, void **model)
{
	(void)state;
	meddle();
	*model = &tokens;
	return pinion_sleep(req, (int64_t)id.len);
}

static int
use_model(void *state, pinion_request *req)
{
	void *model;
	int err = pinion_model(req, &model);

	(void)state;
	if (err == 0 && model != &tokens)
		abort();
	return err != 0 ? err : pinion_reply(req, (int64_t)3);
}

static int
tell_values(void *state, pinion_request *req)
{
	pinion_response r;
	pinion_context c;
	int64_t x = 0;
	int err;

	(void)state;
	meddle();
	pinion_request_context(req, &c);
	x += (int64_t)(c.request_id.len + c.model.len + pinion_request_value(req, "a").len);
	r = pinion_call(pinion_method_of(own, "add"), PINION_ARGS(x));
	err = pinion_result(r, &x);
	return err != 0 ? err : pinion_reply(req, x);
}

static int
look_at_ref(void *state, pinion_request *req)
{
	int64_t x;
	int err = pinion_ref_get(pinion_arg_ref(req, 0), &x);

	(void)state;
	return err != 0 ? err : pinion_reply(req, x);
}

#define I64(name) PINION_PARAMS(PINION_I64(name)), .returns = PINION_RETURNS_I64
static const pinion_deployment kinds = {
	.name = "Kinds",
	.max_models = 2,
	.load_model = load,
	.methods = PINION_METHODS(PINION_METHOD("add", add, .params = I64("x")),
	    PINION_METHOD("echo", echo, .params = PINION_PARAMS(PINION_STR("t")),
		.returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD("measure", measure,
		.params = PINION_PARAMS(PINION_STRUCT("s", struct wide), PINION_BYTES("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("fill", fill, .params = PINION_PARAMS(PINION_I64("x")),
		.returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_METHOD("count", count_up, .params = I64("to"), .stream = true),
	    PINION_METHOD("sum", sum_up, .params = PINION_PARAMS(PINION_STREAM("s")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("forward", forward_it,
		.params = PINION_PARAMS(PINION_HANDLE("whom"), PINION_I64("x")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("chain", chain, .params = I64("x")),
	    PINION_METHOD("put_off", put_off, .returns = PINION_RETURNS_STR, .result_max = ROOM),
	    PINION_BATCH_METHOD(
		"batch", batched, .max_batch_size = 3, .batch_wait_ns = 100, .params = I64("x")),
	    PINION_METHOD("model", use_model, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("values", tell_values, .returns = PINION_RETURNS_I64),
	    PINION_METHOD("ref", look_at_ref, .params = PINION_PARAMS(PINION_REF("r")),
		.returns = PINION_RETURNS_I64)),
};
enum {
	METHOD_COUNT = 13,
	METHOD_SUM = 5,
	METHOD_FORWARD = 6,
	METHOD_REF = 12
};

static pinion_node *
build_own(pinion_app *b, const pinion_config *config)
{
	(void)config;
	return pinion_bind(b, &kinds, PINION_ARGS(), .max_ongoing_requests = 1000);
}

/* What the other calls; of some few begin at once. */
static pinion_node *
build_shared(pinion_app *b, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    b, &kinds, PINION_ARGS(), .max_ongoing_requests = 6, .max_queued_requests = 4);
}

static int
any_task(pinion_request *req)
{
	int64_t x;
	int got = pinion_next(pinion_arg_stream(req, 0), &x);

	return pinion_reply(req, (int64_t)got);
}

/* ---- the other's messages --------------------------------------------------------------------- */

static pinion_ref
ref_of_theirs(void)
{
	unsigned slot = slot_number();

	return (pinion_ref){ .generation = REF_TAG | guest.generations[slot],
		.port = guest.port->word,
		.slot = slot };
}

static void
put_arguments(struct message *m)
{
	unsigned form = byte();
	struct record_ref ref = hostile_ref(&guest, slot_number(),
	    m->method == METHOD_SUM ? REF_STREAM
		: form % 16 == 0    ? form % 5
				    : REF_RESULT);
	uint64_t x = m->method == METHOD_FORWARD
	    ? pinion_method_of((form & 1) != 0 ? own : shared, (form & 2) != 0 ? "add" : "values")
		  .id
	    : number();

	if (m->method == METHOD_SUM || form % 4 == 1) {
		m->refs = 1;
		m->function |= m->method == METHOD_SUM ? MESSAGE_PIPED : 0;
		hostile_put(m, &ref, sizeof ref);
	} else if (m->method == METHOD_REF) {
		pinion_ref of = ref_of_theirs();

		hostile_put(m, &of, sizeof of);
	} else if (form % 4 != 2) {
		hostile_put(m, &x, sizeof x);
	}
	if (m->method == METHOD_FORWARD)
		hostile_put(m, &x, sizeof x);
	if (form % 4 != 3)
		return;
	/* The same, outside. */
	x = byte();
	memcpy(hostile_at(&guest, (uint32_t)x), m->record, MESSAGE_RECORD);
	hostile_put_outside(&guest, m, x * ARENA_GRANULE, (form & 16) != 0 ? 48 : m->length);
}

static void
send_call(void)
{
	unsigned method = byte() % METHOD_COUNT, slot = slot_number(), how = byte();
	struct message m = hostile_call(&guest, (how & 1) != 0 ? shared : own, slot);

	m.method = (uint8_t)method;
	put_arguments(&m);
	if ((how & 2) != 0)
		m.function |= MESSAGE_TERMS;
	if ((how & 4) != 0)
		m.flags |= MESSAGE_STAMP;
	if ((how & 24) == 8) { /* not a new one */
		guest.generations[slot]--;
		m.call -= 1 << 16;
	}
	if ((how & 96) == 32)
		m.slot = SLOT_NONE;
	if ((how & 128) != 0)
		for (unsigned i = byte() % 4; i != 0; i--) {
			unsigned at = byte() % sizeof m;

			((unsigned char *)&m)[at] = (unsigned char)byte();
		}
	(void)!hostile_push(&guest, &m); /* full: the next turns take some */
}

static void
send_cancel(void)
{
	unsigned slot = slot_number();
	struct message m = { .call = (guest.generations[slot] + byte() % 3 - 1) << 16,
		.slot = (uint16_t)slot,
		.port = guest.port->index,
		.target = (uint16_t)(byte() % 8),
		.method = (uint8_t)(byte() % 2),
		.kind = MESSAGE_CANCEL };

	for (unsigned i = byte() % 3; i != 0; i--) {
		struct record_ref ref = hostile_ref(&guest, slot_number(), REF_RESULT);

		hostile_put(&m, &ref, sizeof ref);
	}
	(void)!hostile_push(&guest, &m); /* full: as above */
}

static void
send_anything(void)
{
	struct message m = hostile_call(&guest, shared, slot_number());

	for (unsigned i = 0; i < sizeof m; i++)
		((unsigned char *)&m)[i] ^= (unsigned char)byte();
	(void)!hostile_push(&guest, &m); /* full: as above */
}

/* ---- the host's side -------------------------------------------------------------------------- */

/* By reference, if it does not wait. */
static void
read_theirs(void)
{
	pinion_ref ref = ref_of_theirs();
	int64_t x;
	pinion_str text;

	if (slot_look(hostile_slot(&guest, ref.slot), ref_generation(ref)) == SLOT_IS_PENDING)
		return;
	(void)!pinion_ref_get(ref, &x);
	(void)!pinion_ref_get(ref, &text);
}

/* Which has a slot of ours until the other answers or goes: some may. */
static void
give_theirs_to_a_task(void)
{
	pinion_response r;

	if (++given > GIVEN_MAX)
		return;
	r = pinion_task_on(rt, any_task, PINION_ARGS(ref_of_theirs()));
	hostile_turns(&guest, 4);
	pinion_release(r);
}

static void
answer_one(void)
{
	static const char text[LONG];
	unsigned how = byte();
	pinion_value v = { .kind = PINION_KIND_STR, .as.str = { text, (how & 1) != 0 ? LONG : 4 } };

	if (token_at == 0)
		return;
	if ((how & 2) != 0)
		(void)!pinion_token_fail(tokens[how / 4 % TOKENS], -EIO, "no");
	else
		(void)!pinion_token_reply_value(tokens[how / 4 % TOKENS], v);
}

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static void
must_be(pinion_response r, int64_t expected)
{
	int64_t x = 0;
	int err = pinion_result(r, &x);

	if (err != 0)
		(void)fprintf(
		    stderr, "%d: %.*s\n", err, PINION_STR_FMT(pinion_response_error(r).text));
	MUST(err == 0 && x == expected);
	pinion_release(r);
}

static void
call_text(int64_t x)
{
	char text[LONG];
	pinion_str got;
	pinion_response r;

	memset(text, 'a' + (int)(x & 15), sizeof text);
	r = pinion_call(pinion_method_of(own, "echo"), PINION_ARGS(((pinion_str){ text, LONG })));
	MUST(pinion_result(r, &got) == 0);
	MUST(got.len == LONG && memcmp(got.data, text, LONG) == 0);
	pinion_release(r);
}

static void
call_stream(void)
{
	pinion_stream s = pinion_call_stream(
	    pinion_method_of(own, "count"), PINION_ARGS((int64_t)9), .window = 4);
	int64_t x;

	for (int64_t i = 0; i < 9; i++)
		MUST(pinion_next(s, &x) == 1 && x == i);
	MUST(pinion_next(s, &x) == 0);
	pinion_stream_close(s);
}

/* We call as ever; one way after the other. What the script says meanwhile, handlers of ours do too. */
static void
call_honestly(void)
{
	int64_t x = ++honest_turn;
	pinion_handle plus = pinion_method_of(own, "add");
	pinion_response a;

	switch (honest_turn % 6) {
	case 0:
		call_text(x);
		break;
	case 1:
		call_stream();
		break;
	case 2:
		must_be(pinion_call(pinion_method_of(own, "forward"), PINION_ARGS(plus, x)), x + 1);
		break;
	case 3:
		a = pinion_call(plus, PINION_ARGS(x));
		must_be(pinion_call(plus, PINION_ARGS(a)), x + 2);
		pinion_release(a);
		break;
	case 4:
		must_be(pinion_call(pinion_method_of(own, "chain"), PINION_ARGS(x)), x + 2);
		break;
	default:
		must_be(pinion_call(plus, PINION_ARGS(x)), x + 1);
	}
}

/* ---- a run ------------------------------------------------------------------------------------ */

static void
step(void)
{
	unsigned what = byte();

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		send_call();
		break;
	case 4:
		send_cancel();
		break;
	case 5:
		send_anything();
		break;
	case 6:
	case 7:
		hostile_turns(&guest, 1 + what / 16 % 4);
		break;
	case 8:
		answer_one();
		break;
	case 9:
		read_theirs();
		break;
	case 10:
		give_theirs_to_a_task();
		break;
	case 11:
		now_ns += number() % 1000;
		break;
	default:
		write_some();
	}
}

static uint64_t
now(void *arg)
{
	(void)arg;
	return now_ns++; /* so that whoever waits for a time has waited for it at some time */
}

static void
start(void)
{
	pinion_diag diag = { "" };

	if (pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .slots = HOSTILE_SLOTS,
		.clock = (pinion_clock){ .now = now }, .diag = &diag) != 0 ||
	    pinion_run(rt, build_shared, &shared, .name = "shared") != 0 ||
	    pinion_run(rt, build_own, &own, .name = "own") != 0) {
		(void)fprintf(stderr, "%s\n", diag.text);
		abort();
	}
}

/* Pages without rights before and behind what the other may write, where nothing else lies. on: else they go. */
static void
fence(const struct segment *s, void *sides[2], bool on)
{
	void *const at[2] = { s->base - FENCE, s->base + s->size };

	for (unsigned i = 0; i < 2; i++) {
		if (on)
			sides[i] = mmap(at[i], FENCE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		else if (sides[i] != MAP_FAILED)
			(void)munmap(sides[i], FENCE); /* our own mapping: cannot fail */
	}
}

static void
let_in(void)
{
	int err;

	/* Numbers of ports come back after a grace period. */
	while ((err = hostile_make(&guest, rt)) == -ENOSPC)
		(void)pinion_work(rt);
	MUST(err == 0);
	is_buried = false;
	token_at = given = 0;
}

static void
show_out(void)
{
	pinion_census c;

	is_buried = true;
	hostile_end(&guest);
	pinion_census_take(rt, &c);
	MUST(c.requests == 0 && c.fibers == 0 && c.custody == 0 && c.queued == 0);
	MUST(c.slots == 0 && c.blocks == 0 && c.borrowed == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *memory[2], *lanes[2];
	struct segment port, cells;

	if (rt == NULL)
		start();
	let_in();
	port = guest.port->memory.segment;
	cells = guest.port->lanes.segment;
	fence(&port, memory, true);
	fence(&cells, lanes, true);
	script = data;
	script_end = data + size;
	for (unsigned steps = 1; script < script_end; steps++) {
		step();
		if (steps % HONEST_EVERY == 0)
			call_honestly();
	}
	hostile_turns(&guest, TURNS_MAX);
	for (unsigned i = 0; i < 6; i++)
		call_honestly();
	show_out();
	fence(&port, memory, false);
	fence(&cells, lanes, false);
	return 0;
}
