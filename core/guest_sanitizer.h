/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guest_sanitizer.h - tells ThreadSanitizer what another process did: what it calls comes after it has read what our workers
 * answered before, and has taken back what that lay in.
 *
 *   worker A   slot DONE --D--> (client: reads it, calls again) --P--> worker B   takes the message
 *
 *   thread     pushes a call --P--> (host: hands it on) --P--> worker B   writes the thread's slot
 *
 * Without it this is empty: what is in between orders it, and is not seen here.
 */
#ifndef PINION_CORE_GUEST_SANITIZER_H
#define PINION_CORE_GUEST_SANITIZER_H

#include "core/runtime.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PINION_GUESTS_ARE_UNSEEN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PINION_GUESTS_ARE_UNSEEN 1
#endif

#if defined(PINION_GUESTS_ARE_UNSEEN)
#include <sanitizer/tsan_interface.h>

/* Before a slot of it is DONE. */
static inline void
guest_sanitizer_answers(pinion_port *port)
{
	if (port->is_guest)
		__tsan_release(port);
}

/* A message of it was taken. */
static inline void
guest_sanitizer_called(pinion_port *port)
{
	__tsan_acquire(port);
}

/* A message is pushed from it. */
static inline void
guest_sanitizer_pushes(pinion_port *port)
{
	if (port->runtime->hosts != NULL)
		__tsan_release(port);
}

/* A call of it is here, whichever way it took. */
static inline void
guest_sanitizer_came(pinion_port *port)
{
	if (port->runtime->hosts != NULL)
		__tsan_acquire(port);
}
#else
static inline void
guest_sanitizer_answers(pinion_port *port)
{
	(void)port;
}

static inline void
guest_sanitizer_called(pinion_port *port)
{
	(void)port;
}

static inline void
guest_sanitizer_pushes(pinion_port *port)
{
	(void)port;
}

static inline void
guest_sanitizer_came(pinion_port *port)
{
	(void)port;
}
#endif

#endif
