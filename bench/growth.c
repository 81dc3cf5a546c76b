/* SPDX-License-Identifier: Apache-2.0 */
/*
 * growth - what a call costs when there is more of something: replicas, callers, deployments, suspended requests.
 *
 *   near cpu   caller: one call at a time
 *   far cpu    one worker a runtime; all but the one that is measured sleep
 *
 *   replicas     1 to 1,024 on the worker; the caller sends to the least loaded
 *   in turn      1 to 250 ports of the caller's thread, each making every so many-th call
 *                (some of what this costs is that one thread's cache holds them all)
 *   idle         the same ports, of which one makes all calls
 *   deployments  1 to 64 of one application, called in turn
 *   asleep       0 to 10,000 requests in pinion_sleep: a slot, a fiber and a timer each
 *   waiting      0 to 10,000 handlers that wait for a call of theirs, whose answer is deferred: two slots and a
 *                fiber each. Beyond some 30,000 fibers vm.max_map_count (65,530) ends it, at two mappings each
 *
 * Ratio     To the first of its range, in the same rounds: to one of everything, or to nobody suspended (there a
 *           port has 16,384 slots).
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	PORTS_MAX = 250,
	DEPLOYMENTS_MAX = 64,
	SUSPENDED_SLOTS = 16384,
	SUSPENDED_AT_ONCE = 64, /* sent before one call is waited for: a lane has 1,024 cells */
	SUSPENDED_QUICK =
	    1000, /* the most with --quick, also because ThreadSanitizer has no more fibers */
	ONGOING_SPARE = 16,
	ONGOING_FEW = 4,          /* of each of many replicas: fibers are reserved for all */
	ARENA_BYTES = 256 * 1024, /* the least: payloads are not what grows here */
	NO_DRAIN_NS = 1           /* who is suspended never ends by itself */
};

static struct kit kit;

/* ---- handlers ------------------------------------------------------------------------------- */

/* Until the runtime stops. */
static int
sleep_long(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_sleep(req, INT64_MAX / 2);
}

/* Nobody answers it: the runtime does, when it stops. */
static int
defer(void *replica, pinion_request *req)
{
	pinion_token token;

	(void)replica;
	return pinion_defer(req, &token);
}

static int
wait_long(void *replica, pinion_request *req)
{
	pinion_handle self = pinion_arg_handle(req, 0);
	pinion_response r = pinion_call(pinion_method_of(self, "defer"), PINION_ARGS());
	uint64_t got;

	(void)replica;
	return pinion_result(r, &got);
}

/* A deployment knows the one that was bound before it; the first knows none. */
struct link {
	pinion_handle before;
};

static int
link_init(void *replica, pinion_init *init)
{
	struct link *l = replica;

	l->before = pinion_init_handle(init, 0);
	return 0;
}

static int
link_before(void *replica, pinion_request *req)
{
	const struct link *l = replica;

	return pinion_reply(req, l->before);
}

#define NUMBER RIG_NUMBER

static const pinion_deployment first = {
	.name = "First",
	.methods = PINION_METHODS(NUMBER, PINION_METHOD("sleep", sleep_long),
	    PINION_METHOD("wait", wait_long, .params = PINION_PARAMS(PINION_HANDLE("self"))),
	    PINION_METHOD("defer", defer, .returns = PINION_RETURNS_U64), RIG_WHERE),
};
static const pinion_deployment further = {
	.name = "Further",
	.replica_size = sizeof(struct link),
	.replica_align = _Alignof(struct link),
	.init = link_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("before")),
	.methods = PINION_METHODS(NUMBER,
	    PINION_METHOD("before", link_before, .returns = PINION_RETURNS_HANDLE), RIG_WHERE),
};

/* ---- runtimes ------------------------------------------------------------------------------- */

enum kind {
	ONE,
	REPLICAS,
	IN_TURN,
	IDLE,
	DEPLOYMENTS,
	NONE_SUSPENDED,
	ASLEEP,
	WAITING
};

/* One runtime with so many of something, and what its caller uses. */
struct side {
	const char *label, *name; /* for tables, for programs */
	enum kind kind;
	unsigned count;
	struct rig rig;
	pinion_port *ports[PORTS_MAX];
	pinion_handle to[DEPLOYMENTS_MAX];
	unsigned port_count, to_count; /* used in turn */
	unsigned port_next, to_next;
};

#define SIDE(label_, name_, kind_, count_) \
	{ \
		.label = (label_), .name = (name_), .kind = (kind_), .count = (count_) \
	}

/* The smallest of a range, then the range. */
static struct side sides[] = {
	SIDE("one of everything", "one", ONE, 1),
	SIDE("4 replicas", "replicas-4", REPLICAS, 4),
	SIDE("16 replicas", "replicas-16", REPLICAS, 16),
	SIDE("64 replicas", "replicas-64", REPLICAS, 64),
	SIDE("256 replicas", "replicas-256", REPLICAS, 256),
	SIDE("1,024 replicas", "replicas-1024", REPLICAS, 1024),
	SIDE("4 callers in turn", "callers-4", IN_TURN, 4),
	SIDE("16 callers in turn", "callers-16", IN_TURN, 16),
	SIDE("64 callers in turn", "callers-64", IN_TURN, 64),
	SIDE("250 callers in turn", "callers-250", IN_TURN, 250),
	SIDE("one caller of 4, the others idle", "idle-4", IDLE, 4),
	SIDE("one caller of 16, the others idle", "idle-16", IDLE, 16),
	SIDE("one caller of 64, the others idle", "idle-64", IDLE, 64),
	SIDE("one caller of 250, the others idle", "idle-250", IDLE, 250),
	SIDE("4 deployments in turn", "deployments-4", DEPLOYMENTS, 4),
	SIDE("16 deployments in turn", "deployments-16", DEPLOYMENTS, 16),
	SIDE("64 deployments in turn", "deployments-64", DEPLOYMENTS, 64),
	SIDE("nobody suspended", "suspended-0", NONE_SUSPENDED, 0),
	SIDE("100 asleep", "asleep-100", ASLEEP, 100),
	SIDE("1,000 asleep", "asleep-1000", ASLEEP, 1000),
	SIDE("10,000 asleep", "asleep-10000", ASLEEP, 10000),
	SIDE("100 waiting", "waiting-100", WAITING, 100),
	SIDE("1,000 waiting", "waiting-1000", WAITING, 1000),
	SIDE("10,000 waiting", "waiting-10000", WAITING, 10000),
};

enum {
	SIDES = sizeof sides / sizeof sides[0]
};

static int32_t
ongoing_of(const struct side *s)
{
	unsigned each = s->kind == WAITING ? 2 : 1;

	if (s->kind == REPLICAS)
		return ONGOING_FEW;
	return (int32_t)(each * s->count + ONGOING_SPARE);
}

static struct rig_app
app_of(const struct side *s)
{
	struct rig_app app = RIG_APP(&first, .max_ongoing_requests = ongoing_of(s));

	if (s->kind == REPLICAS)
		app.options.num_replicas = (int32_t)s->count;
	if (s->kind == DEPLOYMENTS) {
		app.further = &further;
		app.further_count = s->count - 1;
	}
	return app;
}

/* The handles of all deployments, the last bound first. */
static bool
find_deployments(struct side *s)
{
	unsigned count = s->kind == DEPLOYMENTS ? s->count : 1;
	int err = 0;

	for (s->to_count = 1; s->to_count < count && err == 0; s->to_count++) {
		pinion_handle ask = pinion_method_of(s->to[s->to_count - 1], "before");
		pinion_response r = pinion_call_on(s->rig.port, ask, PINION_ARGS());

		err = pinion_result_on(s->rig.port, r, &s->to[s->to_count]);
		pinion_release_on(s->rig.port, r);
	}
	return err == 0;
}

static bool
call_by(pinion_port *port, pinion_handle to, uint64_t i)
{
	pinion_response r = pinion_call_on(port, to, PINION_ARGS(i));
	uint64_t got = 0;
	int err = pinion_result_on(port, r, &got);

	pinion_release_on(port, r);
	return err == 0 && got == i + 1;
}

/* Each has made a call, also those that will be idle. */
static bool
open_ports(struct side *s)
{
	unsigned count = s->kind == IN_TURN || s->kind == IDLE ? s->count : 1;
	bool ok = true;

	s->ports[0] = s->rig.port;
	for (unsigned i = 1; i < count && ok; i++)
		ok = pinion_port_open(s->rig.runtime, &s->ports[i]) == 0 &&
		    call_by(s->ports[i], s->to[0], i);
	s->port_count = s->kind == IN_TURN ? s->count : 1;
	return ok;
}

/* Their responses are kept by the port, until it is closed. */
static bool
suspend(struct side *s)
{
	pinion_handle to = pinion_method_of(s->to[0], s->kind == ASLEEP ? "sleep" : "wait");
	bool ok = true;

	for (unsigned i = 0; i < s->count && ok; i++) {
		pinion_response r = s->kind == ASLEEP
		    ? pinion_call_on(s->rig.port, to, PINION_ARGS())
		    : pinion_call_on(s->rig.port, to, PINION_ARGS(s->to[0]));

		ok = pinion_response_error(r).code == 0;
		if (i % SUSPENDED_AT_ONCE == 0)
			ok = ok && call_by(s->rig.port, s->to[0], i);
	}
	return ok && call_by(s->rig.port, s->to[0], 0);
}

/* That as many are suspended as should be. */
static bool
check_suspended(const struct side *s)
{
	pinion_worker_status status;
	unsigned long long all = s->kind == ASLEEP || s->kind == WAITING ? s->count : 0;

	(void)pinion_worker_look(s->rig.runtime, 0, &status); /* fills status */
	if (status.suspended >= all)
		return true;
	fprintf(
	    stderr, "growth: %s: only %llu are\n", s->label, (unsigned long long)status.suspended);
	return false;
}

static bool
start_side(struct side *s)
{
	const struct rig_app app = app_of(s);
	pinion_start_options options = { .arena_bytes = ARENA_BYTES, .drain_ns = NO_DRAIN_NS };
	bool ok;

	if (s->kind >= NONE_SUSPENDED)
		options.slots = SUSPENDED_SLOTS;
	ok = pinioni_rig_start(&s->rig, &kit, s->name, 1, options) &&
	    pinioni_rig_run(&s->rig, &app, 0, &s->to[0]) && find_deployments(s) && open_ports(s);
	if (ok && (s->kind == ASLEEP || s->kind == WAITING))
		ok = suspend(s) && check_suspended(s);
	if (!ok)
		fprintf(stderr, "growth: %s: cannot be had\n", s->label);
	return ok;
}

static void
stop_side(struct side *s)
{
	for (unsigned i = 1; i < PORTS_MAX && s->ports[i] != NULL; i++)
		pinion_port_close(s->ports[i]);
	pinioni_rig_stop(&s->rig);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static bool
call(void *arg, uint64_t i)
{
	struct side *s = arg;
	pinion_port *port = s->ports[s->port_next];
	pinion_handle to = s->to[s->to_next];

	if (++s->port_next == s->port_count)
		s->port_next = 0;
	if (++s->to_next == s->to_count)
		s->to_next = 0;
	return call_by(port, to, i);
}

static bool
turn(void *arg, struct turn *t)
{
	turn_drive(t, call, arg);
	return true;
}

static void
end(void *arg)
{
	const struct side *s = arg;

	pinioni_rig_sleep(&s->rig);
}

static bool
is_wanted(const struct side *s)
{
	return !kit.options.quick || s->kind < NONE_SUSPENDED || s->count <= SUSPENDED_QUICK;
}

static bool
measure(struct report *report)
{
	struct system systems[SIDES + 1] = { SYSTEM_FLOOR(&kit) };
	unsigned count = 1, smallest = 0;
	bool ok = true;

	for (unsigned i = 0; i < SIDES && ok; i++) {
		struct side *s = &sides[i];
		bool is_smallest = s->kind == ONE || s->kind == NONE_SUSPENDED;

		if (!is_wanted(s))
			continue;
		if (is_smallest)
			smallest = count;
		systems[count++] = (struct system){ .name = s->label,
			.case_name = s->name,
			.system = "pinion",
			.payload_bytes = 8,
			.against = is_smallest ? 0 : smallest,
			.bound = is_smallest ? 0 : 1.3,
			.turn = turn,
			.end = end,
			.arg = s };
		ok = start_side(s);
	}
	ok = ok && pinioni_suite_run(report, systems, count) && pinioni_report_print(report);
	for (unsigned i = 0; i < SIDES; i++)
		stop_side(&sides[i]);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(&kit, "growth",
	    "Calls when there is more: replicas, callers, deployments, suspended requests.", argc,
	    argv);
	bool ok;

	if (code != 0)
		return code;
	ok = measure(&report);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
