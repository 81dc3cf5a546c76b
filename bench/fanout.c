/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fanout - 1 to 64 children and what joins them, beside the same children called one by one.
 *
 *   near cpu   worker 0: conductor, and in the cases "own" also the children and joins
 *   far cpu    worker 1: children and joins                            the caller sleeps meanwhile
 *
 *   joined       .-> child --.                    a join's arguments are its children's responses: nobody
 *   conductor --+--> child ---+--> join --> read  waits but for its result. At most 8 unresolved arguments
 *                '-> child --'                    a request, so joins of 8 are joined in turn
 *   gathered     all children called, then each result read in the order of the calls
 *   awaited      the same in the order of completion, by pinion_wait_any
 *   one by one   each child's result is read before the next is called
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	CHILDREN_MAX = 64,
	WIDTHS = 7, /* 1, 2, 4 ... 64 children */
	JOINS = 4   /* of 1, 2, 4, 8 arguments */
};

enum side {
	OWN,
	FAR,
	SIDES
};

static struct kit kit;
static struct rig rig;
static pinion_handle child[SIDES], join[SIDES][JOINS];

/* ---- handlers ------------------------------------------------------------------------------- */

static int
reply_sum(pinion_request *req, unsigned count)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < count; k++)
		sum += pinion_arg_u64(req, k);
	return pinion_reply(req, sum);
}

static int
join_1(void *replica, pinion_request *req)
{
	(void)replica;
	return reply_sum(req, 1);
}

static int
join_2(void *replica, pinion_request *req)
{
	(void)replica;
	return reply_sum(req, 2);
}

static int
join_4(void *replica, pinion_request *req)
{
	(void)replica;
	return reply_sum(req, 4);
}

static int
join_8(void *replica, pinion_request *req)
{
	(void)replica;
	return reply_sum(req, 8);
}

static const pinion_deployment answer = {
	.name = "Answer",
	.methods = PINION_METHODS(RIG_NUMBER,
	    PINION_METHOD("join-1", join_1, .params = PINION_PARAMS(PINION_U64("a")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("join-2", join_2,
		.params = PINION_PARAMS(PINION_U64("a"), PINION_U64("b")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("join-4", join_4,
		.params = PINION_PARAMS(
		    PINION_U64("a"), PINION_U64("b"), PINION_U64("c"), PINION_U64("d")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("join-8", join_8,
		.params = PINION_PARAMS(PINION_U64("a"), PINION_U64("b"), PINION_U64("c"),
		    PINION_U64("d"), PINION_U64("e"), PINION_U64("f"), PINION_U64("g"),
		    PINION_U64("h")),
		.returns = PINION_RETURNS_U64),
	    RIG_WHERE),
};

static const struct rig_app answer_app = RIG_APP(&answer, .num_replicas = 1);

/* ---- one fan of each kind, in a handler of the near worker -------------------------------------- */

struct fan {
	enum side side;
	unsigned children; /* a power of two */
};

/* Child k is called with i + k. */
static uint64_t
expected(uint64_t i, uint64_t children)
{
	return children * (i + 1) + children * (children - 1) / 2;
}

static void
call_children(const struct fan *f, uint64_t i, pinion_response *r)
{
	for (unsigned k = 0; k < f->children; k++)
		r[k] = pinion_call(child[f->side], PINION_ARGS(i + k));
}

/* In the order of the calls, as one writes it; it is not the cheapest (the newest first is). */
static void
release_all(const pinion_response *r, unsigned count)
{
	for (unsigned k = 0; k < count; k++)
		pinion_release(r[k]);
}

/* A join of so many of them: 1, 2, 4 or 8. */
static pinion_response
call_join(const struct fan *f, const pinion_response *r, unsigned count)
{
	pinion_value values[PINION_UNRESOLVED_MAX];

	for (unsigned k = 0; k < count; k++)
		values[k] = pinion_value_response(r[k]);
	return pinion_call(
	    join[f->side][__builtin_ctz(count)], pinion_args_of(values, PINION_KIND_LATE, count));
}

/* r: the children, behind them the joins, level by level, up to one. */
static bool
call_joined(void *arg, uint64_t i)
{
	const struct fan *f = arg;
	pinion_response r[CHILDREN_MAX + CHILDREN_MAX / 4];
	unsigned first = 0, width = f->children, all = f->children;
	uint64_t got = 0;
	int err;

	call_children(f, i, r);
	do {
		unsigned step = width < PINION_UNRESOLVED_MAX ? width : PINION_UNRESOLVED_MAX;

		for (unsigned k = 0; k < width; k += step)
			r[all++] = call_join(f, &r[first + k], step);
		first += width;
		width /= step;
	} while (width > 1);
	err = pinion_result(r[all - 1], &got);
	release_all(r, all);
	return err == 0 && got == expected(i, f->children);
}

static bool
call_gathered(void *arg, uint64_t i)
{
	const struct fan *f = arg;
	pinion_response r[CHILDREN_MAX];
	uint64_t sum = 0;
	int err = 0;

	call_children(f, i, r);
	for (unsigned k = 0; k < f->children && err == 0; k++) {
		uint64_t got = 0;

		err = pinion_result(r[k], &got);
		sum += got;
	}
	release_all(r, f->children);
	return err == 0 && sum == expected(i, f->children);
}

static bool
call_awaited(void *arg, uint64_t i)
{
	const struct fan *f = arg;
	pinion_response r[CHILDREN_MAX];
	uint64_t sum = 0;
	unsigned left = f->children;
	int err = 0;

	call_children(f, i, r);
	while (left != 0 && err == 0) {
		int at = pinion_wait_any(r, left, -1);
		uint64_t got = 0;

		if (at < 0)
			break;
		err = pinion_result(r[at], &got);
		sum += got;
		pinion_release(r[at]);
		r[at] = r[--left];
	}
	release_all(r, left);
	return left == 0 && err == 0 && sum == expected(i, f->children);
}

static bool
call_one_by_one(void *arg, uint64_t i)
{
	const struct fan *f = arg;
	uint64_t sum = 0;
	int err = 0;

	for (unsigned k = 0; k < f->children && err == 0; k++) {
		pinion_response r = pinion_call(child[f->side], PINION_ARGS(i + k));
		uint64_t got = 0;

		err = pinion_result(r, &got);
		sum += got;
		pinion_release(r);
	}
	return err == 0 && sum == expected(i, f->children);
}

/* ---- systems -------------------------------------------------------------------------------- */

/* Each has a system for each side and number of children. */
enum way {
	WAY_ONE_BY_ONE,
	WAY_JOINED,
	WAY_GATHERED,
	WAY_AWAITED,
	WAYS
};

static const struct {
	const char *label, *name;
	turn_call *call;
} ways[WAYS] = {
	[WAY_ONE_BY_ONE] = { "one by one", "one-by-one", call_one_by_one },
	[WAY_JOINED] = { "joined", "joined", call_joined },
	[WAY_GATHERED] = { "gathered in order", "gathered", call_gathered },
	[WAY_AWAITED] = { "awaited, wait_any", "awaited", call_awaited },
};
static const char *const side_labels[SIDES] = { [OWN] = "own worker", [FAR] = "other worker" };
static const char *const side_names[SIDES] = { [OWN] = "own", [FAR] = "far" };

enum {
	CASES = SIDES * WAYS * WIDTHS
};

static struct fan_case {
	char label[48], name[32];
	enum way way;
	struct fan fan;
} cases[CASES];

static unsigned
case_at(enum side side, enum way way, unsigned width)
{
	return ((unsigned)side * WAYS + way) * WIDTHS + width;
}

static void
drive(void *arg, struct turn *t)
{
	struct fan_case *c = arg;

	turn_drive(t, ways[c->way].call, &c->fan);
}

static bool
turn(void *arg, struct turn *t)
{
	return pinioni_rig_perform(&rig, 0, drive, arg, t);
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

static struct system
system_of(enum side side, enum way way, unsigned width)
{
	struct fan_case *c = &cases[case_at(side, way, width)];
	unsigned children = 1u << width;

	*c = (struct fan_case){ .way = way, .fan = { .side = side, .children = children } };
	(void)snprintf(
	    c->label, sizeof c->label, "%2u %s, %s", children, side_labels[side], ways[way].label);
	(void)snprintf(
	    c->name, sizeof c->name, "%s-%s-%u", side_names[side], ways[way].name, children);
	return (struct system){ .name = c->label,
		.case_name = c->name,
		.system = "pinion",
		.payload_bytes = 8,
		.pace = children < 8 ? CALLS_NS : CALLS_US,
		.parts = children,
		.against = way == WAY_ONE_BY_ONE ? 0 : 1 + case_at(side, WAY_ONE_BY_ONE, width),
		.turn = turn,
		.end = end,
		.arg = c };
}

static bool
run_on(enum side side, unsigned worker)
{
	static const char *const joins[JOINS] = { "join-1", "join-2", "join-4", "join-8" };
	bool ok = pinioni_rig_run(&rig, &answer_app, worker, &child[side]);

	for (unsigned j = 0; j < JOINS; j++)
		join[side][j] = pinion_method_of(child[side], joins[j]);
	return ok;
}

static bool
measure(struct report *report)
{
	struct system systems[CASES + 1] = { SYSTEM_FLOOR(&kit) };

	for (enum side side = 0; side < SIDES; side++)
		for (enum way way = 0; way < WAYS; way++)
			for (unsigned width = 0; width < WIDTHS; width++)
				systems[1 + case_at(side, way, width)] =
				    system_of(side, way, width);
	return run_on(OWN, 0) && run_on(FAR, 1) && pinioni_suite_run(report, systems, CASES + 1) &&
	    pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(&kit, "fanout",
	    "Children called at once and joined, beside the same called one by one.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(&rig, &kit, "fanout", 2, (pinion_start_options){ .slots = 0 }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
