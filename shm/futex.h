/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/futex.h - waiting on a 32-bit word in shared memory. Never FUTEX_PRIVATE: the other side may be
 * another process. The errno of the calling thread is left as it was.
 */
#ifndef PINION_SHM_FUTEX_H
#define PINION_SHM_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word is `seen`, at most limit_ns. 0: woken, or the word had moved, or a signal came;
 * look again. -ETIMEDOUT: the limit ended it. */
int pinioni_futex_wait(const _Atomic uint32_t *word, uint32_t seen, uint64_t limit_ns);

/* Wakes all who sleep on word. */
void pinioni_futex_wake(const _Atomic uint32_t *word);

#endif
