/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/stress/service.h - the deployments that are called, and what they answer.
 *
 *   Upper --> Relay --> Stage, Single      Reader (waits for what others answer)
 *
 * Why       A handler waits only for a lower layer, so that a small max_ongoing_requests cannot make a
 *           deadlock that is the program's own.
 */
#ifndef PINION_STRESS_SERVICE_H
#define PINION_STRESS_SERVICE_H

#include "stress.h"

struct service {
	pinion_handle stage, single, relay, upper, reader;
};

enum {
	FAULT_BASE = 1000, /* an injected error's code is -(FAULT_BASE + k) */
	FILL_MAX = 1 << 20
};

extern struct service service;

pinion_builder service_build;
/* After pinion_run: finds the handles. */
void service_find(pinion_handle ingress);

/* What the methods compute. */
int64_t service_step(int64_t x, int64_t k);
int64_t service_later(int64_t x);
int64_t service_digest(const void *bytes, size_t size);
void service_pattern(void *bytes, size_t size, int64_t x);
size_t service_size(int64_t k);
int service_text(char text[160], int64_t x);
pinion_task_fn service_task_step, service_task_digest;

/* Deferred requests: answers one that is due. Returns ns until the next, UINT64_MAX: none is left. */
uint64_t service_answer(void);
void service_answers_forget(void);

#endif
