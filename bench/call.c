/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - what a call costs above two cache lines that cross: by payload, idle ports, idle strategy, replicas.
 *
 *   near cpu   caller, with its port (and up to 250 others, idle)
 *   far cpu    one worker a runtime; all but the one that is measured sleep
 *
 * Payloads  `echo` answers with as many bytes as it got, the first word counted up; `ends` answers with the
 *           first word and the last added up, so that only the argument travels. Copied: the caller's bytes are copied into
 *           the message or the arena; loaned: they were written where they are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	STR_BYTES = 30,
	ECHO_MAX = 16384,
	PAYLOAD_MAX = 1 << 20,
	PORTS_MAX = 500 /* beside the caller's and the worker's */
};

static struct kit kit;

/* ---- handlers ------------------------------------------------------------------------------- */

/* The text with its first byte counted up. */
static int
text(void *replica, pinion_request *req)
{
	pinion_str given = pinion_arg_str(req, 0);
	char answer[STR_BYTES];

	(void)replica;
	if (given.len != STR_BYTES)
		return pinion_fail(req, -EINVAL, "%zu bytes", given.len);
	memcpy(answer, given.data, STR_BYTES);
	answer[0]++;
	return pinion_reply(req, ((pinion_str){ answer, STR_BYTES }));
}

static uint64_t
first_word(const void *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

static int
echo(void *replica, pinion_request *req)
{
	pinion_bytes given = pinion_arg_bytes(req, 0);
	uint64_t word = first_word(given.data) + 1;
	void *to = pinion_result_buffer(req, given.len);

	(void)replica;
	if (to == NULL)
		return pinion_fail(req, -EMSGSIZE, "%zu bytes", given.len);
	memcpy(to, given.data, given.len);
	memcpy(to, &word, sizeof word);
	return pinion_reply_buffer(req, given.len);
}

static int
ends(void *replica, pinion_request *req)
{
	pinion_bytes given = pinion_arg_bytes(req, 0);
	const unsigned char *at = given.data;

	(void)replica;
	if (given.len < 8)
		return pinion_fail(req, -EINVAL, "%zu bytes", given.len);
	return pinion_reply(req, first_word(at) + first_word(at + given.len - 8) + 1);
}

#define BYTES_IN .params = PINION_PARAMS(PINION_BYTES("payload"))

static const pinion_deployment answer = {
	.name = "Answer",
	.methods = PINION_METHODS(RIG_NUMBER,
	    PINION_METHOD("text", text, .params = PINION_PARAMS(PINION_STR("text")),
		.returns = PINION_RETURNS_STR, .result_max = STR_BYTES),
	    PINION_METHOD("echo", echo, BYTES_IN, .returns = PINION_RETURNS_BYTES),
	    PINION_METHOD(
		"echo16k", echo, BYTES_IN, .returns = PINION_RETURNS_BYTES, .result_max = ECHO_MAX),
	    PINION_METHOD("ends", ends, BYTES_IN, .returns = PINION_RETURNS_U64), RIG_WHERE),
};

/* ---- runtimes ------------------------------------------------------------------------------- */

/* One runtime, and what its callers use. */
struct side {
	struct rig rig;
	pinion_handle to;
	const char *idle;    /* NULL: as the options say */
	unsigned replicas;   /* 0: one */
	const char *routing; /* NULL: the default */
	unsigned idle_ports;
	pinion_port *ports[PORTS_MAX];
};

static bool
start_side(struct side *s, const char *name)
{
	const struct rig_app app =
	    RIG_APP(&answer, .num_replicas = (int32_t)s->replicas, .routing = s->routing);
	pinion_start_options options = { .idle = s->idle };
	bool ok = pinioni_rig_start(&s->rig, &kit, name, 1, options) &&
	    pinioni_rig_run(&s->rig, &app, 0, &s->to);

	for (unsigned i = 0; i < s->idle_ports && ok; i++)
		ok = pinion_port_open(s->rig.runtime, &s->ports[i]) == 0;
	return ok;
}

static void
stop_side(struct side *s)
{
	for (unsigned i = 0; i < s->idle_ports && s->ports[i] != NULL; i++)
		pinion_port_close(s->ports[i]);
	pinioni_rig_stop(&s->rig);
}

/* ---- calls ---------------------------------------------------------------------------------- */

enum how {
	NUMBER,
	TEXT,
	ECHO,
	ENDS_COPIED,
	ENDS_LOANED,
	KEYED
};

struct call_case {
	const char *label, *name; /* for tables, for programs */
	struct side *side;
	enum how how;
	uint32_t bytes;
	enum system_pace pace;
	unsigned against;
	double bound;
	pinion_handle to;
	unsigned char *payload;
};

static bool
call_number(void *arg, uint64_t i)
{
	const struct call_case *c = arg;
	pinion_port *port = c->side->rig.port;
	pinion_response r = pinion_call_on(port, c->to, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result_on(port, r, &got);

	pinion_release_on(port, r);
	return err == 0 && got == i + 1;
}

static bool
call_text(void *arg, uint64_t i)
{
	const struct call_case *c = arg;
	pinion_port *port = c->side->rig.port;
	char sent[STR_BYTES + 1] = "abcdefghijklmnopqrstuvwxyzABCD";
	pinion_str got = { NULL, 0 };
	pinion_response r;
	bool right;

	memcpy(&sent[8], &i, sizeof i);
	r = pinion_call_on(port, c->to, PINION_ARGS(((pinion_str){ sent, STR_BYTES })));
	right = pinion_result_on(port, r, &got) == 0 && got.len == STR_BYTES &&
	    got.data[0] == 'b' && memcmp(got.data + 1, sent + 1, STR_BYTES - 1) == 0;
	pinion_release_on(port, r);
	return right;
}

/* The first and the last word say which call it is. */
static void
mark(const struct call_case *c, uint64_t i)
{
	memcpy(c->payload, &i, sizeof i);
	memcpy(c->payload + c->bytes - sizeof i, &i, sizeof i);
}

static bool
call_echo(void *arg, uint64_t i)
{
	const struct call_case *c = arg;
	pinion_port *port = c->side->rig.port;
	pinion_bytes got = { NULL, 0 };
	pinion_response r;
	bool right;

	mark(c, i);
	r = pinion_call_on(port, c->to, PINION_ARGS(((pinion_bytes){ c->payload, c->bytes })));
	right = pinion_result_on(port, r, &got) == 0 && got.len == c->bytes &&
	    first_word(got.data) == i + 1 &&
	    first_word((const unsigned char *)got.data + c->bytes - 8) == i;
	pinion_release_on(port, r);
	return right;
}

static bool
call_ends(void *arg, uint64_t i)
{
	const struct call_case *c = arg;
	pinion_port *port = c->side->rig.port;
	uint64_t got = 0;
	pinion_response r;
	int err;

	mark(c, i);
	r = pinion_call_on(port, c->to, PINION_ARGS(((pinion_bytes){ c->payload, c->bytes })));
	err = pinion_result_on(port, r, &got);
	pinion_release_on(port, r);
	return err == 0 && got == 2 * i + 1;
}

/* Each key's calls go to one replica. */
static bool
call_keyed(void *arg, uint64_t i)
{
	const struct call_case *c = arg;
	pinion_port *port = c->side->rig.port;
	pinion_response r = pinion_call_with(
	    c->to, PINION_ARGS(i), .port = port, .has_key = true, .key = i % c->side->replicas);
	uint64_t got = 0;
	int err = pinion_result_on(port, r, &got);

	pinion_release_on(port, r);
	return err == 0 && got == i + 1;
}

static bool
turn(void *arg, struct turn *t)
{
	static turn_call *const calls[] = { [NUMBER] = call_number,
		[TEXT] = call_text,
		[ECHO] = call_echo,
		[ENDS_COPIED] = call_ends,
		[ENDS_LOANED] = call_ends,
		[KEYED] = call_keyed };
	struct call_case *c = arg;

	turn_drive(t, calls[c->how], c);
	return true;
}

static void
end(void *arg)
{
	const struct call_case *c = arg;

	pinioni_rig_sleep(&c->side->rig);
}

/* A worker that never sleeps has the far cpu for itself while it lives. */
static bool
begin_spin(void *arg)
{
	struct call_case *c = arg;

	c->side->idle = "spin";
	if (!pinioni_cpus_free(kit.cpus) || !start_side(c->side, "spin"))
		return false;
	c->to = c->side->to;
	return pinioni_cpus_pin(kit.cpus[CPU_NEAR]);
}

static void
end_spin(void *arg)
{
	struct call_case *c = arg;

	stop_side(c->side);
}

/* ---- cases ---------------------------------------------------------------------------------- */

static struct side plain, ports_16 = { .idle_ports = 16 }, ports_64 = { .idle_ports = 64 },
			  ports_250 = { .idle_ports = 250 }, yielding = { .idle = "yield" },
			  spinning, four = { .replicas = 4 }, sixteen = { .replicas = 16 },
			  in_turn = { .replicas = 4, .routing = "round_robin" },
			  by_key = { .replicas = 4, .routing = "by_key" },
			  nearest = { .replicas = 4, .routing = "local" };

static struct {
	struct side *side;
	const char *name;
} sides[] = { { &plain, "plain" }, { &ports_16, "ports-16" }, { &ports_64, "ports-64" },
	{ &ports_250, "ports-250" }, { &yielding, "yield" }, { &four, "four" },
	{ &sixteen, "sixteen" }, { &in_turn, "in-turn" }, { &by_key, "by-key" },
	{ &nearest, "nearest" } };

/* Then .bytes and what else there is. */
#define CASE(label_, name_, side_, how_, ...) \
	{ \
		.label = (label_), .name = (name_), .side = (side_), .how = (how_), __VA_ARGS__ \
	}

enum {
	THE_CALL = 2 /* its system's index: behind the floor and the raw pair */
};

#define AGAINST_A_CALL .bytes = 8, .against = THE_CALL, .bound = 1.1

static struct call_case cases[] = {
	CASE("call, 8 bytes", "call", &plain, NUMBER, .bytes = 8, .bound = 1.15),
	CASE("call, 30 bytes (str)", "str", &plain, TEXT, .bytes = STR_BYTES),
	CASE("64 bytes there and back", "echo", &plain, ECHO, .bytes = 64),
	CASE("1 KiB there and back", "echo", &plain, ECHO, .bytes = 1024),
	CASE("16 KiB there and back", "echo", &plain, ECHO, .bytes = ECHO_MAX, .pace = CALLS_US),
	CASE("64 bytes there, copied", "copied", &plain, ENDS_COPIED, .bytes = 64),
	CASE("1 KiB there, copied", "copied", &plain, ENDS_COPIED, .bytes = 1024),
	CASE("64 KiB there, copied", "copied", &plain, ENDS_COPIED, .bytes = 65536,
	    .pace = CALLS_US),
	CASE("1 MiB there, copied", "copied", &plain, ENDS_COPIED, .bytes = PAYLOAD_MAX,
	    .pace = CALLS_SLOW),
	CASE("64 bytes there, loaned", "loaned", &plain, ENDS_LOANED, .bytes = 64),
	CASE("1 KiB there, loaned", "loaned", &plain, ENDS_LOANED, .bytes = 1024),
	CASE("64 KiB there, loaned", "loaned", &plain, ENDS_LOANED, .bytes = 65536),
	CASE("1 MiB there, loaned", "loaned", &plain, ENDS_LOANED, .bytes = PAYLOAD_MAX),
	CASE("beside 16 idle ports", "ports-16", &ports_16, NUMBER, .bytes = 8),
	CASE("beside 64 idle ports", "ports-64", &ports_64, NUMBER, .bytes = 8, .bound = 1.25),
	CASE("beside 250 idle ports", "ports-250", &ports_250, NUMBER, .bytes = 8),
	CASE("idle strategy yield", "yield", &yielding, NUMBER, .bytes = 8),
	CASE("idle strategy spin", "spin", &spinning, NUMBER, .bytes = 8),
	CASE("4 replicas, least loaded", "replicas-4", &four, NUMBER, AGAINST_A_CALL),
	CASE("16 replicas, least loaded", "replicas-16", &sixteen, NUMBER, AGAINST_A_CALL),
	CASE("4 replicas, in turn", "replicas-4-in-turn", &in_turn, NUMBER, AGAINST_A_CALL),
	CASE("4 replicas, by key", "replicas-4-by-key", &by_key, KEYED, AGAINST_A_CALL),
	CASE("4 replicas, local", "replicas-4-local", &nearest, NUMBER, AGAINST_A_CALL),
};

enum {
	CASES = sizeof cases / sizeof cases[0],
	SYSTEMS = CASES + THE_CALL
};

static const char *
method_of(const struct call_case *c)
{
	switch (c->how) {
	case TEXT:
		return "text";
	case ECHO:
		return c->bytes > 1024 ? "echo16k" : "echo";
	case ENDS_COPIED:
	case ENDS_LOANED:
		return "ends";
	case NUMBER:
	case KEYED:
		break;
	}
	return NULL;
}

/* What a case sends, and where to. False: no memory. */
static bool
prepare(struct call_case *c)
{
	const char *method = method_of(c);

	if (c->side == &spinning)
		return true; /* started with its turn */
	c->to = method == NULL ? c->side->to : pinion_method_of(c->side->to, method);
	if (method == NULL || c->how == TEXT)
		return true;
	c->payload =
	    c->how == ENDS_LOANED ? pinion_loan(c->side->rig.port, c->bytes) : malloc(c->bytes);
	if (c->payload != NULL)
		memset(c->payload, 'x', c->bytes);
	return c->payload != NULL;
}

static void
forget(struct call_case *c)
{
	if (c->how == ENDS_LOANED && c->payload != NULL)
		pinion_loan_end(c->side->rig.port, c->payload);
	else
		free(c->payload);
}

static struct system
system_of(struct call_case *c)
{
	return (struct system){ .name = c->label,
		.case_name = c->name,
		.system = "pinion",
		.payload_bytes = c->bytes,
		.pace = c->pace,
		.against = c->against,
		.bound = c->bound,
		.begin = c->side == &spinning ? begin_spin : NULL,
		.turn = turn,
		.end = c->side == &spinning ? end_spin : end,
		.arg = c };
}

static void
compare_tails(struct row *row, const struct row *call, const struct row *floor)
{
	row->samples = call->samples;
	row->value = call->p999_block;
	row->ratio = call->p999_block / floor->p999_block;
}

static const struct derived tail = { .choose = pinioni_report_find,
	.of = "call",
	.from = "floor",
	.compute = compare_tails,
	.row = { .name = "p99.9 of a block of calls, against F's",
	    .case_name = "tail",
	    .system = "pinion",
	    .unit = "ns",
	    .bound = 1.5 } };

static bool
measure(struct report *report)
{
	struct system systems[SYSTEMS] = { SYSTEM_FLOOR(&kit), SYSTEM_RAW_PAIR(&kit) };
	bool ok = true;

	for (unsigned i = 0; i < sizeof sides / sizeof sides[0] && ok; i++)
		ok = start_side(sides[i].side, sides[i].name);
	for (unsigned i = 0; i < CASES && ok; i++) {
		ok = prepare(&cases[i]);
		systems[SYSTEMS - CASES + i] = system_of(&cases[i]);
	}
	ok = ok && pinioni_suite_run(report, systems, SYSTEMS) &&
	    pinioni_report_derive(report, &tail) && pinioni_report_print(report);
	for (unsigned i = 0; i < CASES; i++)
		forget(&cases[i]);
	for (unsigned i = 0; i < sizeof sides / sizeof sides[0]; i++)
		stop_side(sides[i].side);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(
	    &kit, "call", "Round trips of calls to another cpu, beside the floor.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = measure(&report);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
