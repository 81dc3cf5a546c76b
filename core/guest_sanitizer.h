/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guest_sanitizer.h - tells ThreadSanitizer what another process did: a call of a slot comes after that process has read the
 * result of the slot's call before, which a worker of ours wrote.
 *
 *   worker A   slot DONE --D--> (client: reads it, calls again) --P--> worker B   takes the message
 *
 * Without it this is empty: what is in between orders it, and is not seen here.
 */
#ifndef PINION_CORE_GUEST_SANITIZER_H
#define PINION_CORE_GUEST_SANITIZER_H

#include "shm/slot.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PINION_GUESTS_ARE_UNSEEN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PINION_GUESTS_ARE_UNSEEN 1
#endif

static inline void
guest_sanitizer_called(const struct slot *slot)
{
#if defined(PINION_GUESTS_ARE_UNSEEN)
	/* D: by the same word. */
	(void)atomic_load_explicit(&slot->word, memory_order_acquire);
#else
	(void)slot;
#endif
}

#endif
