/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/graph.h - a random graph of calls, with the answer that each of them must give.
 *
 *   make (seed) --> nodes, each with its inputs before it --> expected value, or the error that arrives
 *
 * Why       What is right is computed here, from the seed alone, before anything is called.
 */
#ifndef PINION_STRESS_GRAPH_H
#define PINION_STRESS_GRAPH_H

#include <stdio.h>

#include "service.h"

enum {
	NODES_MAX = 24,
	INPUTS_MAX = 8
};

enum op {
	OP_STEP,
	OP_SINGLE,
	OP_NAP,
	OP_LATER,
	OP_TASK,
	OP_WAIT,
	OP_FAN,
	OP_FORWARD,
	OP_LATE,
	OP_RESPONSE,
	OP_DIAMOND,
	OP_RELAY_TASK,
	OP_UPPER,
	OP_UPPER_RESPONSE,
	OP_UPPER_FORWARD,
	OP_XK, /* all before: (x, k) -> i64 */
	OP_FAULT = OP_XK,
	OP_DEEP,
	OP_JOIN,
	OP_FILL,
	OP_REFILL,
	OP_LOAN,
	OP_DIGEST,
	OP_PASS,
	OP_TASK_DIGEST,
	OP_SAY,
	OP_PARSE,
	OP_KEEP,
	OP_READ,
	OP_COUNT
};

enum shape {
	SHAPE_CHAIN,
	SHAPE_FAN,
	SHAPE_DIAMOND,
	SHAPE_ANY,
	SHAPE_BYTES,
	SHAPE_TEXT,
	SHAPE_LOAN,
	SHAPE_READ,
	SHAPE_KEEP,
	SHAPE_DEEP,
	SHAPE_COUNT
};

struct node {
	enum op op;
	unsigned inputs;
	unsigned char in[INPUTS_MAX];
	int64_t x, k;
	/* What must come. */
	int64_t value;
	int code;
	pinion_origin origin;
	const char *deployment;
	bool waits_for_reader; /* READ may not wait for it: the reader's own place may be taken */
};

struct graph {
	uint64_t seed;
	enum shape shape;
	unsigned count;
	struct node nodes[NODES_MAX];
};

/* by_handle: only calls that name no runtime, which may be gone. */
void graph_make(struct graph *g, uint64_t seed, bool by_handle, bool may_keep);
const char *graph_shape_name(enum shape shape);
const char *graph_op_name(enum op op);
void graph_print(const struct graph *g, FILE *to);

#endif
