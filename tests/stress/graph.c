/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/graph.c - shapes, and what their nodes must answer.
 */
#include "graph.h"

#include <stdlib.h>

struct maker {
	struct graph *g;
	uint64_t state;
	bool by_handle;
};

/* ---- names ----------------------------------------------------------------------------------- */

const char *
graph_shape_name(enum shape shape)
{
	static const char *const names[SHAPE_COUNT] = { "chain", "fan", "diamond", "any", "bytes",
		"text", "loan", "read", "keep", "deep" };

	return names[shape];
}

const char *
graph_op_name(enum op op)
{
	static const char *const names[OP_COUNT] = { "step", "single", "nap", "later", "task",
		"wait", "fan", "forward", "late", "response", "diamond", "relay-task", "upper",
		"upper-response", "upper-forward", "fault", "deep", "join", "fill", "refill",
		"loan", "digest", "pass", "task-digest", "say", "parse", "keep", "read" };

	return names[op];
}

void
graph_print(const struct graph *g, FILE *to)
{
	(void)fprintf(to, "graph %s, seed 0x%llx:\n", graph_shape_name(g->shape),
	    (unsigned long long)g->seed);
	for (unsigned i = 0; i < g->count; i++) {
		const struct node *n = &g->nodes[i];

		(void)fprintf(to, "  %2u %s(", i, graph_op_name(n->op));
		for (unsigned k = 0; k < n->inputs; k++)
			(void)fprintf(to, "%s#%u", k == 0 ? "" : ", ", n->in[k]);
		(void)fprintf(to, " x=%lld k=%lld) -> %lld, error %d of %s\n", (long long)n->x,
		    (long long)n->k, (long long)n->value, n->code,
		    n->deployment == NULL ? "-" : n->deployment);
	}
}

/* ---- what must come -------------------------------------------------------------------------- */

static void
expect_fault(struct node *n, int code, pinion_origin origin, const char *deployment)
{
	n->code = code;
	n->origin = origin;
	n->deployment = deployment;
}

/* An odd k makes the inner call fail; how that looks depends on how its answer travels. */
static bool
expect_inner_fault(struct node *n)
{
	int code = -(FAULT_BASE + (int)(n->k & 7));

	if ((n->k & 1) == 0)
		return false;
	switch (n->op) {
	case OP_WAIT:
		expect_fault(n, code, PINION_ORIGIN_HANDLER, "Relay");
		return true;
	case OP_UPPER:
		expect_fault(n, code, PINION_ORIGIN_HANDLER, "Upper");
		return true;
	case OP_FORWARD:
		expect_fault(n, code, PINION_ORIGIN_HANDLER, "Stage");
		return true;
	case OP_LATE:
	case OP_RESPONSE:
	case OP_DIAMOND:
	case OP_RELAY_TASK:
	case OP_UPPER_RESPONSE:
	case OP_UPPER_FORWARD:
		expect_fault(n, code, PINION_ORIGIN_UPSTREAM, "Stage");
		return true;
	default:
		return false;
	}
}

static int64_t
fan_of(int64_t x, int64_t k)
{
	uint64_t sum = 0;

	for (int64_t i = 0; i <= (k & 7); i++)
		sum += (uint64_t)service_step(x, i);
	return (int64_t)sum;
}

static int64_t
pattern_of(int64_t x, int64_t k)
{
	size_t size = service_size(k);
	unsigned char *bytes = malloc(size);
	int64_t digest;

	if (bytes == NULL)
		give_up("no memory");
	service_pattern(bytes, size, x);
	digest = service_digest(bytes, size);
	free(bytes);
	return digest;
}

static int64_t
join_of(const struct graph *g, const struct node *n)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < INPUTS_MAX; i++)
		sum = service_step(sum, i < n->inputs ? g->nodes[n->in[i]].value : 0);
	return sum;
}

static int64_t
value_of(const struct graph *g, const struct node *n)
{
	int64_t x = n->inputs != 0 ? g->nodes[n->in[0]].value : n->x;
	int64_t t = service_step(x, n->k);

	switch (n->op) {
	case OP_LATER:
		return service_later(x);
	case OP_WAIT:
		return (int64_t)((uint64_t)t + 1);
	case OP_UPPER:
		return (int64_t)((uint64_t)t + 2);
	case OP_FAN:
		return fan_of(x, n->k);
	case OP_LATE:
	case OP_UPPER_FORWARD:
		return service_step(t, n->k);
	case OP_DIAMOND: {
		int64_t sum = service_step(service_step(0, service_step(t, 1)), service_step(t, 2));

		for (unsigned i = 2; i < INPUTS_MAX; i++)
			sum = service_step(sum, 0);
		return sum;
	}
	case OP_RELAY_TASK:
		return service_step(t, 5);
	case OP_DEEP:
		return service_step((int64_t)((uint64_t)x + (uint64_t)(n->k & 7)), 7);
	case OP_JOIN:
		return join_of(g, n);
	case OP_FILL:
	case OP_REFILL:
	case OP_LOAN:
		return pattern_of(x, n->k);
	case OP_DIGEST:
	case OP_PASS:
	case OP_TASK_DIGEST:
	case OP_SAY:
	case OP_PARSE:
		return x;
	default:
		return t;
	}
}

static void
expect(const struct graph *g, struct node *n)
{
	for (unsigned i = 0; i < n->inputs; i++) {
		const struct node *from = &g->nodes[n->in[i]];

		n->waits_for_reader |= from->waits_for_reader;
		if (from->code == 0 || n->code != 0)
			continue;
		if (n->op == OP_READ)
			expect_fault(n, from->code, PINION_ORIGIN_HANDLER, "Reader");
		else
			expect_fault(n, from->code, PINION_ORIGIN_UPSTREAM, from->deployment);
	}
	n->waits_for_reader |= n->op == OP_READ;
	if (n->code != 0 || expect_inner_fault(n))
		return;
	if (n->op == OP_FAULT || (n->op == OP_LATER && (n->k & 256) != 0))
		expect_fault(n, -(FAULT_BASE + (int)(n->k & 7)), PINION_ORIGIN_HANDLER, "Stage");
	else
		n->value = value_of(g, n);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* in: a node before it, or -1: a plain value. Returns its index. */
static int
add(struct maker *m, enum op op, int in)
{
	struct graph *g = m->g;
	struct node *n = &g->nodes[g->count];
	int64_t k = (int64_t)(draw(&m->state) & 511);

	*n = (struct node){ .op = op, .x = (int64_t)(draw(&m->state) >> 40), .k = k };
	if (in >= 0)
		n->in[n->inputs++] = (unsigned char)in;
	if (op >= OP_WAIT && op < OP_XK && op != OP_FAN && (k & 1) != 0 && !one_in(&m->state, 8))
		n->k &= ~INT64_C(1);
	if (op == OP_LATER && (k & 256) != 0 && !one_in(&m->state, 8))
		n->k &= 255;
	if (op == OP_KEEP)
		n->k &= ~INT64_C(1);
	expect(g, n);
	return (int)g->count++;
}

static int
add_join(struct maker *m, const int *in, unsigned count)
{
	struct graph *g = m->g;
	struct node *n = &g->nodes[g->count];

	*n = (struct node){ .op = OP_JOIN, .inputs = count };
	for (unsigned i = 0; i < count && i < INPUTS_MAX; i++)
		n->in[i] = (unsigned char)in[i];
	expect(g, n);
	return (int)g->count++;
}

static enum op
any_op(struct maker *m)
{
	enum op op = (enum op)below(&m->state, OP_XK);

	if (one_in(&m->state, 3))
		op = OP_STEP;
	if (one_in(&m->state, 24))
		op = OP_FAULT;
	return op == OP_TASK && m->by_handle ? OP_STEP : op;
}

static int
make_chain(struct maker *m, int from, unsigned stages)
{
	for (unsigned i = 0; i < stages; i++)
		from = add(m, any_op(m), from);
	return from;
}

static void
make_fan(struct maker *m)
{
	int top = make_chain(m, -1, 1), in[INPUTS_MAX];
	unsigned width = 1 + below(&m->state, INPUTS_MAX);

	for (unsigned i = 0; i < width; i++)
		in[i] = add(m, any_op(m), one_in(&m->state, 4) ? -1 : top);
	(void)make_chain(m, add_join(m, in, width), below(&m->state, 3));
}

static void
make_diamond(struct maker *m)
{
	int top = make_chain(m, -1, 1 + below(&m->state, 2)), in[2];

	in[0] = make_chain(m, top, 1 + below(&m->state, 3));
	in[1] = make_chain(m, top, 1 + below(&m->state, 3));
	(void)make_chain(m, add_join(m, in, 2), below(&m->state, 3));
}

static void
make_any(struct maker *m)
{
	unsigned count = 2 + below(&m->state, 14);

	while (m->g->count < count) {
		int in[INPUTS_MAX];
		unsigned width = 1 + below(&m->state, INPUTS_MAX);

		for (unsigned i = 0; i < width; i++)
			in[i] = m->g->count == 0 ? 0 : (int)below(&m->state, m->g->count);
		if (m->g->count == 0 || one_in(&m->state, 6))
			(void)add(m, any_op(m), -1);
		else if (one_in(&m->state, 3))
			(void)add_join(m, in, width);
		else
			(void)add(m, any_op(m), in[0]);
	}
}

static void
make_bytes(struct maker *m)
{
	static const enum op readers[] = { OP_DIGEST, OP_PASS, OP_TASK_DIGEST };
	int from = one_in(&m->state, 2) ? make_chain(m, -1, 1) : -1, in[3];
	unsigned width = 1 + below(&m->state, 3);
	int fill = add(m, one_in(&m->state, 2) ? OP_FILL : OP_REFILL, from);

	for (unsigned i = 0; i < width; i++)
		in[i] = add(m, readers[below(&m->state, m->by_handle ? 2 : 3)], fill);
	(void)add_join(m, in, width);
}

static void
make_loan(struct maker *m)
{
	int in[2];
	unsigned width = 1 + below(&m->state, 2);

	for (unsigned i = 0; i < width; i++)
		in[i] = add(m, OP_LOAN, -1);
	(void)make_chain(m, add_join(m, in, width), 1);
}

static void
make_read(struct maker *m)
{
	int from = make_chain(m, -1, 1 + below(&m->state, 4));

	(void)make_chain(m, add(m, OP_READ, from), below(&m->state, 3));
}

void
graph_make(struct graph *g, uint64_t seed, bool by_handle, bool may_keep)
{
	struct maker m = { .g = g, .state = seed, .by_handle = by_handle };

	g->seed = seed;
	g->count = 0;
	g->shape = (enum shape)below(&m.state, SHAPE_COUNT);
	/* A loan is memory that a stop takes away while it is written. */
	if ((g->shape == SHAPE_KEEP && !may_keep) || (g->shape == SHAPE_LOAN && by_handle))
		g->shape = SHAPE_CHAIN;
	if (g->shape == SHAPE_CHAIN)
		(void)make_chain(&m, -1, 1 + below(&m.state, 12));
	else if (g->shape == SHAPE_FAN)
		make_fan(&m);
	else if (g->shape == SHAPE_DIAMOND)
		make_diamond(&m);
	else if (g->shape == SHAPE_ANY)
		make_any(&m);
	else if (g->shape == SHAPE_BYTES)
		make_bytes(&m);
	else if (g->shape == SHAPE_TEXT)
		(void)make_chain(&m, add(&m, OP_PARSE, add(&m, OP_SAY, -1)), 1);
	else if (g->shape == SHAPE_LOAN)
		make_loan(&m);
	else if (g->shape == SHAPE_READ)
		make_read(&m);
	else if (g->shape == SHAPE_KEEP)
		(void)add(&m, OP_KEEP, make_chain(&m, -1, 1));
	else
		(void)make_chain(&m, add(&m, OP_DEEP, make_chain(&m, -1, 1)), 1);
}
