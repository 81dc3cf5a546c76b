/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/bell.h - how a worker or a caller goes to sleep, and how those who have something for it wake it.
 *
 *   epoch (W sleeper)                         bell (W everybody who has something)
 *     4n      awake
 *     4n + 1  asleep on the bell's futex      counts up; the futex word
 *     4n + 3  asleep in its own event loop    counts up; an eventfd wakes the loop
 *
 *   sleeper                                   somebody
 *     read bell                                 make the thing visible (push, complete, ...)
 *     epoch := odd          --- S ---           order
 *     look at everything                        look at epoch: even? done
 *     futex wait while bell is as read          odd: bell + 1, wake
 *     epoch := even
 *
 * Why       Waiting on the epoch itself loses a wake-up, and so does letting one of several callers
 *           claim the duty to wake (tests/models/sleep.pml shows both). So nobody claims, the bell is a
 *           word of its own, and who rang remembers privately for which epoch.
 * Order     S is the one place with a store-then-load between two threads. Both sides order with a
 *           fence: an exchange on the pushed word costs a round trip a fifth more (the stall comes
 *           before the line can travel), a fence behind the plain store costs nothing measurable. TSan
 *           does not model fences, and no data hangs on this one: it decides only who looks again.
 * Death     A sleeper's limit bounds the harm of a ringer that died between epoch and bell.
 *
 * Edges     (both sides sequentially consistent)
 *   S  epoch, and whatever is looked at   announce -> look   either the sleeper sees the thing, or
 *                                         order -> look      the ringer sees the odd epoch
 */
#ifndef PINION_SHM_BELL_H
#define PINION_SHM_BELL_H

#include <stdbool.h>

#include "shm/format.h"
#include "shm/futex.h"

enum epoch_state {
	EPOCH_AWAKE = 0,
	EPOCH_FUTEX = 1,
	EPOCH_EVENT = 3,
	EPOCH_STATES = 4,
};

/* Ringer: what was stored before is ordered before what is loaded after. */
static inline void
bell_order(void)
{
	/* S */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Ringer. Call bell_order before, unless a lost wake-up is somebody else's to find. */
static inline uint64_t
epoch_look(const _Atomic uint64_t *epoch)
{
	/* S, by the fence of bell_order. */
	return atomic_load_explicit(epoch, memory_order_relaxed);
}

static inline bool
epoch_is_asleep(uint64_t epoch)
{
	return (epoch & 1) != 0;
}

/* Ringer. Returns true when the sleeper sits in its event loop and its eventfd must be written too. */
static inline bool
bell_ring(_Atomic uint32_t *bell, uint64_t epoch)
{
	/* relaxed: the sleeper looks at everything again whatever it reads here. */
	atomic_fetch_add_explicit(bell, 1, memory_order_relaxed);
	if (epoch % EPOCH_STATES == EPOCH_EVENT)
		return true;
	pinioni_futex_wake(bell);
	return false;
}

/* Sleeper, before it announces: the value to wait on. */
static inline uint32_t
bell_read(const _Atomic uint32_t *bell)
{
	/* relaxed: a later value only means one more look. */
	return atomic_load_explicit(bell, memory_order_relaxed);
}

/* Sleeper: from here on everybody rings. Look at everything once more after this. */
static inline void
epoch_announce(_Atomic uint64_t *epoch, enum epoch_state state)
{
	/* relaxed: the epoch has one writer, this thread. */
	uint64_t now = atomic_load_explicit(epoch, memory_order_relaxed);

	assert(now % EPOCH_STATES == EPOCH_AWAKE);
	/* relaxed: the fence below orders it. */
	atomic_store_explicit(epoch, now + (uint64_t)state, memory_order_relaxed);
	/* S: what is looked at from here on is ordered after the odd epoch. */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Sleeper: awake again. Harmless when it was awake. */
static inline void
epoch_awake(_Atomic uint64_t *epoch)
{
	/* relaxed: as above. */
	uint64_t now = atomic_load_explicit(epoch, memory_order_relaxed);

	if (now % EPOCH_STATES != EPOCH_AWAKE) {
		/* relaxed: a ringer that still sees the odd epoch rings once in vain. */
		atomic_store_explicit(
		    epoch, now - now % EPOCH_STATES + EPOCH_STATES, memory_order_relaxed);
	}
}

#endif
