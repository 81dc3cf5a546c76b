/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain - stages that pass back and forth between two workers, and what they hand on.
 *
 *   near cpu   worker 0: conductor, stages 2, 4, ...     the caller sleeps while chains run
 *   far cpu    worker 1: stages 1, 3, ...
 *
 * Chains    Submitted at once by a handler of the near worker, which waits for the last result; against the
 *           same stages called one by one, each result fetched before the next call.
 * A hop     A further stage without its submission: all messages of a chain wait behind a deferred answer;
 *           the time from that answer to the last stage, of 20 stages less that of 4, over 16.
 * Together  All stages on one worker of the far cpu, called by a thread of the near one: a chain crosses twice,
 *           whatever its length; stages called one by one cross twice each.
 * Payload   A stage answers with so many bytes, of which it writes one line; the next reads that line. Filled: it
 *           writes all, the next reads the first and the last line; beside it the same writes by a handler that hands
 *           nothing on. Through the caller: it waits for the bytes, and gives them to the next stage as an argument,
 *           which copies them into its own memory.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   T  gate.ready   defer -> open   the token
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/chain.h"
#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	STAGES_MAX = 20,
	STAGES_FEW = 4,
	PAYLOAD_MAX = 1 << 20,
	SETTLE_NS = 3000 /* until all messages of a chain are taken in */
};

enum side {
	NEAR,
	FAR,
	SIDES
};

static struct gate {
	_Atomic uint32_t ready; /* W far handler  R near handler   edge T */
	pinion_token token;     /* before edge T */
} gate;
static _Atomic uint64_t last_stage; /* ticks; W last stage  R whoever has its result */
static struct kit kit;
static struct rig rig, one;
static pinion_handle stage[SIDES];

/* ---- handlers ------------------------------------------------------------------------------- */

static int
last(void *replica, pinion_request *req)
{
	(void)replica;
	/* relaxed: the result is read first. */
	atomic_store_explicit(&last_stage, ticks_now(), memory_order_relaxed);
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static int
defer(void *replica, pinion_request *req)
{
	int err = pinion_defer(req, &gate.token);

	(void)replica;
	/* T */
	atomic_store_explicit(&gate.ready, 1, memory_order_release);
	return err;
}

/* So many bytes, the first word a number. */
static int
give(void *replica, pinion_request *req)
{
	uint64_t bytes = pinion_arg_u64(req, 1);
	uint64_t *to = pinion_result_buffer(req, bytes);

	(void)replica;
	if (to == NULL)
		return pinion_fail(req, -EMSGSIZE, "%llu bytes", (unsigned long long)bytes);
	*to = pinion_arg_u64(req, 0) + 1;
	return pinion_reply_buffer(req, bytes);
}

static void
write_all(uint64_t *to, uint64_t bytes, uint64_t x)
{
	for (uint64_t i = 0; i < bytes / sizeof *to; i++)
		to[i] = x;
}

/* So many bytes, each word that number. */
static int
fill(void *replica, pinion_request *req)
{
	uint64_t bytes = pinion_arg_u64(req, 1);
	uint64_t *to = pinion_result_buffer(req, bytes);

	(void)replica;
	if (to == NULL)
		return pinion_fail(req, -EMSGSIZE, "%llu bytes", (unsigned long long)bytes);
	write_all(to, bytes, pinion_arg_u64(req, 0) + 1);
	return pinion_reply_buffer(req, bytes);
}

/* The first word, and one. */
static int
look(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, *(const uint64_t *)pinion_arg_bytes(req, 0).data + 1);
}

/* The last word, and one, if the first is the same. */
static int
look_at_ends(void *replica, pinion_request *req)
{
	pinion_bytes bytes = pinion_arg_bytes(req, 0);
	const uint64_t *words = bytes.data;
	uint64_t end = words[bytes.len / sizeof *words - 1];

	(void)replica;
	return pinion_reply(req, words[0] == end ? end + 1 : 0);
}

#define ONE_U64 .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64

static const pinion_deployment answer = {
	.name = "Answer",
	.methods = PINION_METHODS(RIG_NUMBER, PINION_METHOD("last", last, ONE_U64),
	    PINION_METHOD("defer", defer, .returns = PINION_RETURNS_U64),
	    PINION_METHOD("give", give,
		.params = PINION_PARAMS(PINION_U64("x"), PINION_U64("bytes")),
		.returns = PINION_RETURNS_BYTES, .result_max = PAYLOAD_MAX),
	    PINION_METHOD("fill", fill,
		.params = PINION_PARAMS(PINION_U64("x"), PINION_U64("bytes")),
		.returns = PINION_RETURNS_BYTES, .result_max = PAYLOAD_MAX),
	    PINION_METHOD("ends", look_at_ends, .params = PINION_PARAMS(PINION_BYTES("payload")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("look", look, .params = PINION_PARAMS(PINION_BYTES("payload")),
		.returns = PINION_RETURNS_U64),
	    RIG_WHERE),
};

static const struct rig_app answer_app = RIG_APP(&answer, .num_replicas = 1);

/* ---- cases, and one call of each ------------------------------------------------------------ */

struct chain_case {
	const char *label, *name;
	rig_work *drive; /* by a handler of this side; or, */
	enum side side;
	turn_call *by_thread; /* all on one worker */
	struct chain chain;
	uint64_t bytes; /* of payload; 0: a number is passed on */
	bool is_filled;
	pinion_handle giver, looker; /* of a payload */
	enum system_pace pace;
	const char *against; /* a label; NULL: the floor */
	double bound;
};

/* Stage k, counted from 0, is on the far side when k is even. */
static enum side
side_of(unsigned k)
{
	return k % 2 == 0 ? FAR : NEAR;
}

/* Given on the far side, looked at on the near one. */
static bool
hand_on(void *arg, uint64_t i)
{
	const struct chain_case *c = arg;
	pinion_response given = pinion_call(c->giver, PINION_ARGS(i, c->bytes));
	pinion_response seen = pinion_call(c->looker, PINION_ARGS(given));
	uint64_t got = 0;
	int err = pinion_result(seen, &got);

	pinion_release(given);
	pinion_release(seen);
	return err == 0 && got == i + 2;
}

/* The same, but whoever calls has it in between. */
static bool
pass_through(void *arg, uint64_t i)
{
	const struct chain_case *c = arg;
	pinion_response given = pinion_call(c->giver, PINION_ARGS(i, c->bytes));
	pinion_bytes payload = { .len = 0 };
	pinion_response seen;
	uint64_t got = 0;
	int err = pinion_result(given, &payload);

	if (err != 0 || payload.len != c->bytes) {
		pinion_release(given);
		return false;
	}
	seen = pinion_call(c->looker, PINION_ARGS(payload));
	err = pinion_result(seen, &got);
	pinion_release(given);
	pinion_release(seen);
	return err == 0 && got == i + 2;
}

/* In a handler of the far worker: what filling alone takes. */
static bool
fill_alone(void *arg, uint64_t i)
{
	static uint64_t words[PAYLOAD_MAX / sizeof(uint64_t)];
	const struct chain_case *c = arg;

	write_all(words, c->bytes, i + 1);
	/* Else the compiler sees that nobody reads them. */
	atomic_signal_fence(memory_order_seq_cst);
	return words[c->bytes / sizeof words[0] - 1] == i + 1;
}

/* In a handler of the near worker. Ticks from the deferred answer to the last stage. */
static int64_t
time_stages(unsigned stages, unsigned *wrong)
{
	pinion_response r[STAGES_MAX + 1];
	uint64_t start, got = 0;
	int err;

	/* relaxed: the far worker learns of the gate by a call made after this. */
	atomic_store_explicit(&gate.ready, 0, memory_order_relaxed);
	r[0] = pinion_call(pinion_method_of(stage[FAR], "defer"), PINION_ARGS());
	for (unsigned k = 1; k <= stages; k++) {
		pinion_handle to = stage[side_of(k)];

		if (k == stages)
			to = pinion_method_of(to, "last");
		r[k] = pinion_call(to, PINION_ARGS(r[k - 1]));
	}
	/* T; ended by the far worker, which only has to start the first handler. */
	while (atomic_load_explicit(&gate.ready, memory_order_acquire) == 0)
		continue;
	for (start = ticks_monotonic_ns(); ticks_monotonic_ns() - start < SETTLE_NS;)
		continue; /* all messages are taken in meanwhile */
	start = ticks_now();
	err = pinion_token_reply(gate.token, UINT64_C(1));
	if (err == 0)
		err = pinion_result(r[stages], &got);
	*wrong += err != 0 || got != 1 + (uint64_t)stages;
	for (unsigned k = 0; k <= stages; k++)
		pinion_release(r[k]);
	/* relaxed: its result was read. */
	return (int64_t)(atomic_load_explicit(&last_stage, memory_order_relaxed) - start);
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void
drive_chain(void *arg, struct turn *t)
{
	struct chain_case *c = arg;

	turn_drive(t, pinioni_chain_at_once, &c->chain);
}

static void
drive_steps(void *arg, struct turn *t)
{
	struct chain_case *c = arg;

	turn_drive(t, pinioni_chain_one_by_one, &c->chain);
}

static void
drive_hand_on(void *arg, struct turn *t)
{
	turn_drive(t, hand_on, arg);
}

static void
drive_pass_through(void *arg, struct turn *t)
{
	turn_drive(t, pass_through, arg);
}

static void
drive_fill(void *arg, struct turn *t)
{
	turn_drive(t, fill_alone, arg);
}

/* As many hops a block as the others have calls. */
static void
drive_hops(void *arg, struct turn *t)
{
	const unsigned pairs = t->size.block_calls / (STAGES_MAX - STAGES_FEW);

	(void)arg;
	t->wrong = 0;
	for (unsigned i = 0; i < t->size.warm / STAGES_MAX; i++)
		(void)time_stages(STAGES_MAX, &t->wrong);
	for (unsigned b = 0; b < t->size.blocks; b++) {
		t->block[b] = 0;
		for (unsigned i = 0; i < pairs; i++)
			t->block[b] +=
			    time_stages(STAGES_MAX, &t->wrong) - time_stages(STAGES_FEW, &t->wrong);
	}
	for (unsigned s = 0; s < t->size.singles; s++)
		t->single[s] = 0; /* a hop alone is not timed */
}

#define CHAIN(label_, name_, drive_, stages_, ...) \
	{ \
		.label = (label_), .name = (name_), .drive = (drive_), .chain.stages = (stages_), \
		__VA_ARGS__ \
	}

#define TOGETHER(label_, name_, call_, stages_) \
	{ \
		.label = (label_), .name = (name_), .by_thread = (call_), \
		.chain.stages = (stages_) \
	}

#define PAYLOAD(label_, name_, drive_, bytes_, pace_, ...) \
	{ \
		.label = (label_), .name = (name_), .drive = (drive_), .bytes = (bytes_), \
		.pace = (pace_), __VA_ARGS__ \
	}

static struct chain_case cases[] = {
	CHAIN("chain of 1 stage", "chain-1", drive_chain, 1, .bound = 0),
	CHAIN("chain of 2 stages", "chain-2", drive_chain, 2, .bound = 0),
	CHAIN("chain of 3 stages", "chain-3", drive_chain, 3, .bound = 0),
	CHAIN("chain of 4 stages", "chain-4", drive_chain, 4, .bound = 0),
	CHAIN("chain of 6 stages", "chain-6", drive_chain, 6, .bound = 0),
	CHAIN("chain of 8 stages", "chain-8", drive_chain, 8, .bound = 0),
	CHAIN("1 stage called", "steps-1", drive_steps, 1, .bound = 0),
	CHAIN("2 stages called one by one", "steps-2", drive_steps, 2, .bound = 0),
	CHAIN("4 stages called one by one", "steps-4", drive_steps, 4, .bound = 0),
	CHAIN("8 stages called one by one", "steps-8", drive_steps, 8, .bound = 0),
	CHAIN("a further stage, one hop", "hop", drive_hops, 0, .bound = 0.6),
	TOGETHER("1 stage, on one worker", "together-1", pinioni_chain_at_once, 1),
	TOGETHER("2 stages, on one worker", "together-2", pinioni_chain_at_once, 2),
	TOGETHER("4 stages, on one worker", "together-4", pinioni_chain_at_once, 4),
	TOGETHER("8 stages, on one worker", "together-8", pinioni_chain_at_once, 8),
	TOGETHER("2 of them called one by one", "together-steps-2", pinioni_chain_one_by_one, 2),
	TOGETHER("4 of them called one by one", "together-steps-4", pinioni_chain_one_by_one, 4),
	TOGETHER("8 of them called one by one", "together-steps-8", pinioni_chain_one_by_one, 8),
	PAYLOAD("64 bytes handed on", "payload", drive_hand_on, 64, CALLS_NS, .against = NULL),
	PAYLOAD("1 KiB handed on", "payload", drive_hand_on, 1024, CALLS_NS, .against = NULL),
	PAYLOAD("64 KiB handed on", "payload", drive_hand_on, 65536, CALLS_NS, .against = NULL),
	PAYLOAD("1 MiB handed on, against 64 bytes", "payload", drive_hand_on, PAYLOAD_MAX,
	    CALLS_NS, .against = "64 bytes handed on", .bound = 1.1),
	PAYLOAD("64 bytes through the caller", "payload-caller", drive_pass_through, 64, CALLS_NS,
	    .against = "64 bytes handed on"),
	PAYLOAD("1 KiB through the caller", "payload-caller", drive_pass_through, 1024, CALLS_NS,
	    .against = "1 KiB handed on"),
	PAYLOAD("64 KiB through the caller", "payload-caller", drive_pass_through, 65536, CALLS_US,
	    .against = "64 KiB handed on"),
	PAYLOAD("1 MiB through the caller", "payload-caller", drive_pass_through, PAYLOAD_MAX,
	    CALLS_SLOW, .against = "1 MiB handed on, against 64 bytes"),
	PAYLOAD("filling 64 KiB alone", "fill", drive_fill, 65536, CALLS_US, .side = FAR),
	PAYLOAD("filling 1 MiB alone", "fill", drive_fill, PAYLOAD_MAX, CALLS_SLOW, .side = FAR),
	PAYLOAD("64 KiB filled, handed on", "filled", drive_hand_on, 65536, CALLS_US,
	    .is_filled = true, .against = "filling 64 KiB alone"),
	PAYLOAD("1 MiB filled, handed on", "filled", drive_hand_on, PAYLOAD_MAX, CALLS_SLOW,
	    .is_filled = true, .against = "filling 1 MiB alone"),
	PAYLOAD("64 KiB filled, through the caller", "filled-caller", drive_pass_through, 65536,
	    CALLS_US, .is_filled = true, .against = "64 KiB filled, handed on"),
	PAYLOAD("1 MiB filled, through the caller", "filled-caller", drive_pass_through,
	    PAYLOAD_MAX, CALLS_SLOW, .is_filled = true, .against = "1 MiB filled, handed on"),
};

enum {
	CASES = sizeof cases / sizeof cases[0]
};

static bool
turn(void *arg, struct turn *t)
{
	struct chain_case *c = arg;

	if (c->drive != NULL)
		return pinioni_rig_perform(&rig, c->side, c->drive, c, t);
	turn_drive(t, c->by_thread, &c->chain);
	return true;
}

static void
end(void *arg)
{
	const struct chain_case *c = arg;

	pinioni_rig_sleep(c->drive != NULL ? &rig : &one);
}

/* A system, by its label. NULL: the floor. */
static unsigned
index_of(const char *label)
{
	unsigned i = 0;

	if (label == NULL)
		return 0;
	while (strcmp(cases[i].label, label) != 0)
		i++;
	return i + 1;
}

/* At stages on both sides. */
static void
aim(struct chain_case *c)
{
	for (unsigned k = 0; k < SIDES; k++)
		c->chain.to[c->chain.handles++] = stage[side_of(k)];
	c->giver = pinion_method_of(stage[FAR], c->is_filled ? "fill" : "give");
	c->looker = pinion_method_of(stage[NEAR], c->is_filled ? "ends" : "look");
}

/* The stages, and how cases call them. */
static bool
run_stages(void)
{
	pinion_handle together;
	bool ok = pinioni_rig_run(&rig, &answer_app, NEAR, &stage[NEAR]) &&
	    pinioni_rig_run(&rig, &answer_app, FAR, &stage[FAR]) &&
	    pinioni_rig_run(&one, &answer_app, 0, &together);

	for (unsigned i = 0; i < CASES && ok; i++)
		if (cases[i].by_thread != NULL) {
			cases[i].chain.port = one.port;
			cases[i].chain.to[cases[i].chain.handles++] = together;
		} else {
			aim(&cases[i]);
		}
	return ok;
}

static bool
measure(struct report *report)
{
	struct system systems[CASES + 1] = { SYSTEM_FLOOR(&kit) };

	for (unsigned i = 0; i < CASES; i++)
		systems[i + 1] = (struct system){ .name = cases[i].label,
			.case_name = cases[i].name,
			.system = cases[i].drive == drive_fill ? "baseline" : "pinion",
			.payload_bytes = cases[i].bytes == 0 ? 8 : (unsigned)cases[i].bytes,
			.pace = cases[i].pace,
			.against = index_of(cases[i].against),
			.bound = cases[i].bound,
			.turn = turn,
			.end = end,
			.arg = &cases[i] };
	return run_stages() && pinioni_suite_run(report, systems, CASES + 1) &&
	    pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "chain", "Chains that pass back and forth between two workers.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(
		 &rig, &kit, "chain", SIDES, (pinion_start_options){ .idle = "adaptive" }) &&
	    pinioni_rig_start(&one, &kit, "one", 1, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&one);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
