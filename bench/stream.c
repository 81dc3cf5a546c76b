/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream - items a second from a worker to one reader, beside messages that go one way without the model; what one
 * item's passage takes.
 *
 *   near cpu   reader                far cpu   one worker: the producer, the stage that passes on
 *
 *   one way    cells of 64 bytes, written and taken one by one, a window of 1,024: what items cannot be quicker than
 *   direct     the producer yields, the reader reads: 8 bytes, and 256
 *   relayed    a stage on the producer's worker reads and yields again
 *   piped      the same stage, which has the producer's stream as an argument: past the caller
 *   beside     the same as direct, while another stream is not read at all
 *   signaled   the producer yields when a line tells it to: a crossing there, and the item's back. F is two
 *              crossings; so an item's passage is this less half of F
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/pingpong.h"
#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	CELLS = 1024,
	GIVEN = 256, /* cells that the taker gives back at once */
	WINDOW = 256,
	UNREAD = 1,
	LONG = 256
};

static struct kit kit;
static struct rig rig;
static pinion_handle producer, relay;

/* ---- messages without the model ------------------------------------------------------------- */

/*
 * Edges     (release -> acquire: what becomes safe)
 *   W  ticket  send -> take   the message
 *   T  taken   take -> send   the cells below may be written again
 */
static struct {
	struct cell {
		alignas(64) _Atomic uint64_t ticket; /* W far  R near   edge W */
		uint64_t words[7];
	} cells[CELLS];
	alignas(128) _Atomic uint64_t taken; /* W near  R far   edge T */
	struct pingpong pace;                /* of polls */
} way;

static void
send_all(void *count)
{
	uint64_t room = CELLS;

	for (uint64_t n = 1; n <= *(const uint64_t *)count; n++) {
		struct cell *cell = &way.cells[n % CELLS];

		while (n > room) {
			/* T */
			room = CELLS + atomic_load_explicit(&way.taken, memory_order_acquire);
		}
		cell->words[0] = 1;
		cell->words[1] = n;
		/* W */
		atomic_store_explicit(&cell->ticket, n, memory_order_release);
	}
}

static bool
take_one(void *arg, uint64_t i)
{
	const struct cell *cell = &way.cells[(i + 1) % CELLS];
	uint64_t words[7];

	(void)arg;
	/* W */
	if (atomic_load_explicit(&cell->ticket, memory_order_acquire) != i + 1 &&
	    !pingpong_poll(&way.pace, &cell->ticket, i + 1))
		return false;
	memcpy(words, cell->words, sizeof words);
	if ((i + 1) % GIVEN == 0) {
		/* T */
		atomic_store_explicit(&way.taken, i + 1, memory_order_release);
	}
	return words[1] == i + 1;
}

static bool
turn_one_way(void *arg, struct turn *t)
{
	uint64_t count = turn_calls(&t->size);

	(void)arg;
	way.pace.steps = kit.polls.steps;
	way.pace.limit = kit.lines.limit;
	for (unsigned i = 0; i < CELLS; i++) {
		/* relaxed twice: the far side is started by a call made after this. */
		atomic_store_explicit(&way.cells[i].ticket, 0, memory_order_relaxed);
	}
	atomic_store_explicit(&way.taken, 0, memory_order_relaxed);
	pinioni_far_begin(&kit.far, send_all, &count);
	turn_drive(t, take_one, NULL);
	pinioni_far_end(&kit.far);
	return true;
}

/* ---- streams -------------------------------------------------------------------------------- */

static alignas(128) _Atomic uint64_t asked; /* items that the signaled producer may yield */

static int
count(void *replica, pinion_request *req)
{
	uint64_t items = pinion_arg_u64(req, 0);
	int err = 0;

	(void)replica;
	for (uint64_t i = 0; i < items && err == 0; i++)
		err = pinion_yield(req, i);
	return err;
}

static int
count_long(void *replica, pinion_request *req)
{
	uint64_t items = pinion_arg_u64(req, 0);
	unsigned char bytes[LONG] = { 0 };
	int err = 0;

	(void)replica;
	for (uint64_t i = 0; i < items && err == 0; i++) {
		memcpy(bytes, &i, sizeof i);
		err = pinion_yield(req, ((pinion_bytes){ bytes, sizeof bytes }));
	}
	return err;
}

static int
count_when_told(void *replica, pinion_request *req)
{
	uint64_t items = pinion_arg_u64(req, 0);
	int err = 0;

	(void)replica;
	for (uint64_t i = 0; i < items && err == 0; i++) {
		/* relaxed: only that it has moved counts. Paced as the floor's polls: by the clock. */
		while (atomic_load_explicit(&asked, memory_order_relaxed) <= i)
			(void)ticks_now();
		err = pinion_yield(req, i);
	}
	return err;
}

static int
yield_all(pinion_request *req, pinion_stream s)
{
	uint64_t x;
	int err;

	while ((err = pinion_next(s, &x)) == 1)
		if ((err = pinion_yield(req, x)) != 0)
			break;
	return err;
}

static int
pass_on(void *replica, pinion_request *req)
{
	pinion_handle from = *(const pinion_handle *)replica;
	pinion_stream s =
	    pinion_call_stream(from, PINION_ARGS(pinion_arg_u64(req, 0)), .window = WINDOW);

	return yield_all(req, s);
}

static int
pass_argument_on(void *replica, pinion_request *req)
{
	(void)replica;
	return yield_all(req, pinion_arg_stream(req, 0));
}

#define STREAM_OF(kind) \
	.params = PINION_PARAMS(PINION_U64("items")), .returns = kind, .stream = true

static const pinion_deployment counting = { .name = "Counting",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, count, STREAM_OF(PINION_RETURNS_U64)),
	    PINION_METHOD("long", count_long, STREAM_OF(PINION_RETURNS_BYTES)),
	    PINION_METHOD("told", count_when_told, STREAM_OF(PINION_RETURNS_U64)), RIG_WHERE) };

static int
relay_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment relaying = { .name = "Relaying",
	.replica_size = sizeof(pinion_handle),
	.init = relay_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("from")),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, pass_on, STREAM_OF(PINION_RETURNS_U64)),
		PINION_METHOD("piped", pass_argument_on,
		    .params = PINION_PARAMS(PINION_STREAM("items")), .returns = PINION_RETURNS_U64,
		    .stream = true),
		RIG_WHERE) };

/* What a system reads. */
struct reading {
	const char *method; /* of the producer; NULL: of the relay */
	bool is_long, beside;
	bool piped; /* the method's stream, through the relay */
	pinion_stream stream;
	pinion_stream unread[UNREAD];
};

static bool
read_one(void *arg, uint64_t i)
{
	const struct reading *r = arg;
	pinion_bytes bytes;
	uint64_t x = 0;

	if (!r->is_long)
		return pinion_next(r->stream, &x) == 1 && x == i;
	if (pinion_next(r->stream, &bytes) != 1 || bytes.len != LONG)
		return false;
	memcpy(&x, bytes.data, sizeof x);
	return x == i;
}

static bool
ask_and_read(void *arg, uint64_t i)
{
	/* relaxed: as above. */
	atomic_store_explicit(&asked, i + 1, memory_order_relaxed);
	return read_one(arg, i);
}

static void
leave_unread(struct reading *r)
{
	uint64_t x;

	for (unsigned i = 0; i < UNREAD; i++) {
		r->unread[i] = pinion_call_stream(
		    producer, PINION_ARGS(UINT64_MAX), .port = rig.port, .window = 4);
		(void)!pinion_next(r->unread[i], &x); /* it has begun, and is soon ahead */
	}
}

static bool
turn_stream(void *arg, struct turn *t)
{
	struct reading *r = arg;
	pinion_handle from = r->method == NULL ? relay : pinion_method_of(producer, r->method);
	bool is_told = r->method != NULL && strcmp(r->method, "told") == 0;
	pinion_stream source;
	uint64_t x;

	/* relaxed: the producer is started behind it. */
	atomic_store_explicit(&asked, 0, memory_order_relaxed);
	if (r->beside)
		leave_unread(r);
	r->stream = pinion_call_stream(
	    from, PINION_ARGS(turn_calls(&t->size)), .port = rig.port, .window = WINDOW);
	source = r->stream;
	if (r->piped)
		r->stream = pinion_call_stream(pinion_method_of(relay, "piped"),
		    PINION_ARGS(source), .port = rig.port, .window = WINDOW);
	turn_drive(t, is_told ? ask_and_read : read_one, r);
	t->wrong += pinion_next(r->stream, &x) != 0;
	pinion_stream_close(r->stream);
	if (r->piped)
		pinion_stream_close(source);
	for (unsigned i = 0; r->beside && i < UNREAD; i++)
		pinion_stream_close(r->unread[i]);
	return true;
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

/* ---- systems -------------------------------------------------------------------------------- */

enum {
	SYSTEM_ONE_WAY = 1,
	SYSTEM_DIRECT,
};

static struct reading direct = { .method = PINION_CALL },
		      longer = { .method = "long", .is_long = true }, relayed = { .method = NULL },
		      piped = { .method = PINION_CALL, .piped = true },
		      beside = { .method = PINION_CALL, .beside = true },
		      told = { .method = "told" };

#define SYSTEM_STREAM(label, id, bytes, to, least, reading) \
	{ \
		.name = (label), .case_name = (id), .system = "pinion", .payload_bytes = (bytes), \
		.pace = CALLS_PIPED, .is_rate = true, .against = (to), .bound = (least), \
		.turn = turn_stream, .end = end, .arg = (reading) \
	}

static bool
run_both(void)
{
	const struct rig_app counting_app = RIG_APP(&counting, .num_replicas = 1);
	struct rig_app relaying_app = RIG_APP(&relaying, .num_replicas = 1);

	if (!pinioni_rig_run(&rig, &counting_app, 0, &producer))
		return false;
	relaying_app.options.args = PINION_ARGS(producer);
	return pinioni_rig_run(&rig, &relaying_app, 0, &relay);
}

static bool
measure(struct report *report)
{
	struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		{ .name = "one way, without the model",
		    .case_name = "one-way",
		    .system = "baseline",
		    .payload_bytes = 8,
		    .pace = CALLS_PIPED,
		    .is_rate = true,
		    .turn = turn_one_way },
		SYSTEM_STREAM("direct", "direct", 8, SYSTEM_ONE_WAY, 0.2, &direct),
		SYSTEM_STREAM("direct, 256 bytes", "direct-256", LONG, SYSTEM_ONE_WAY, 0, &longer),
		SYSTEM_STREAM("relayed, on one worker, against direct", "relayed", 8, SYSTEM_DIRECT,
		    0.5, &relayed),
		SYSTEM_STREAM("piped through a stage, on one worker, against direct", "piped", 8,
		    SYSTEM_DIRECT, 0, &piped),
		SYSTEM_STREAM("beside one that is not read, against direct", "beside", 8,
		    SYSTEM_DIRECT, 0.95, &beside),
		{ .name = "told, and the item back",
		    .case_name = "told",
		    .system = "pinion",
		    .payload_bytes = 8,
		    .bound = 1.2,
		    .turn = turn_stream,
		    .end = end,
		    .arg = &told },
	};

	return run_both() &&
	    pinioni_suite_run(report, systems, sizeof systems / sizeof systems[0]) &&
	    pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "stream", "Items of streams, beside messages one way.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(&rig, &kit, "stream", 1, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
