/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/call.h - sending a call: slot, arguments, route, push.
 *
 * Where to  All arguments there: to the chosen replica's worker (core/route.h). One is not: to the worker that knows
 *           where it is (docs/design/home.md); the replica is chosen all the same, now.
 * Progress  wait-free; no system call but the wake of a sleeping worker.
 */
#ifndef PINION_CORE_CALL_H
#define PINION_CORE_CALL_H

#include "core/port.h"

struct call_how {
	uint64_t tag;
	bool tagged;
	bool is_post;
	uint16_t function;  /* of a task */
	uint32_t window;    /* items of the stream that is asked for; 0: none is */
	int64_t timeout_ns; /* 0: none but the caller's own */
	uint64_t key;
	bool has_key;
	uint32_t to; /* number of the replica, and one; 0: any */
	pinion_priority priority;
	const pinion_terms *terms; /* the rest of what travels; NULL: nothing */
};

#define RESPONSE_NOWHERE \
	0xffffffffu /* a failed call of a thread that has no port: generation is the code */

pinion_response pinioni_submit(pinion_port *port, const struct method *method,
    const pinion_args *args, const struct call_how *how);

/* The method a handle names; what it says of calls goes to `how`, unless that is said there. NULL: *failed says why. */
const struct method *pinioni_call_method(
    pinion_port *port, pinion_handle handle, struct call_how *how, pinion_response *failed);

/* NULL, when nothing but a priority is said there. */
const pinion_terms *pinioni_call_terms(const pinion_terms *terms);

/* What a call without a target is told. */
int pinioni_call_no_target(const pinion_port *port, const char **text);

/* Index of the first worker to see a message whose arguments may be unresolved. */
unsigned pinioni_call_first_stop(pinion_port *port, const struct message *m,
    const struct method *method, unsigned target_worker);

#endif
