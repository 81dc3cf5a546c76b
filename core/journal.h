/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/journal.h - memory of a host's worker that its controller reads when the host has died: the worker itself, its requests,
 * its outboxes.
 *
 *   header: where the host has it mapped, where in it the worker is | taken from front to end, never given back
 *
 * Why       What a dead process had under way is told by the very structures that it worked with: writing them down elsewhere
 *           as well would cost each call something, for what happens once. What a process has stored before it died is there:
 *           so they have to be right after every instruction, as far as core/inherit.c reads them.
 * Rules     Both processes are of one build (the greeting compares sizes). Pointers are the host's: they are translated, with
 *           bounds, and nothing that they lead to is trusted further.
 * Threads   Taken from by the worker's own, and before it runs. Read when the process is dead.
 */
#ifndef PINION_CORE_JOURNAL_H
#define PINION_CORE_JOURNAL_H

#include "core/worker.h"

struct journal {
	struct segment segment;
	size_t used;
};

/* The controller's. 0 or -errno. */
int pinioni_journal_create(struct journal *j) __attribute__((warn_unused_result));
/* The host's, of a descriptor that stays the caller's. 0 or -errno. */
int pinioni_journal_attach(struct journal *j, int fd) __attribute__((warn_unused_result));
void pinioni_journal_destroy(struct journal *j);
/* Zeroed, on lines of its own. NULL: there is no more. */
void *pinioni_journal_take(struct journal *j, size_t size);
/* Which of what was taken is the worker. */
void pinioni_journal_set_worker(struct journal *j, const struct worker *w);

/* Of a dead host: what its pointer led to; NULL: nothing that it took. */
const void *pinioni_journal_at(const struct journal *j, const void *pointer, size_t size);
/* NULL: it had none yet. */
const struct worker *pinioni_journal_worker(const struct journal *j);

#endif
