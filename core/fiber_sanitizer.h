/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/fiber_sanitizer.h - tells AddressSanitizer and ThreadSanitizer that the stack changes.
 *
 * Without them every function here is empty.
 */
#ifndef PINION_CORE_FIBER_SANITIZER_H
#define PINION_CORE_FIBER_SANITIZER_H

#include "core/fiber.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PINION_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define PINION_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PINION_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PINION_ASAN 1
#endif

#if defined(PINION_TSAN)
#include <sanitizer/tsan_interface.h>

static inline void
fiber_sanitizer_create(struct fiber *f)
{
	f->sanitizer = __tsan_create_fiber(0);
}

static inline void
fiber_sanitizer_adopt(struct fiber *f)
{
	f->sanitizer = __tsan_get_current_fiber();
}

static inline void
fiber_sanitizer_destroy(struct fiber *f)
{
	if (f->base != NULL)
		__tsan_destroy_fiber(f->sanitizer);
}

static inline void
fiber_sanitizer_leave(struct fiber *from, struct fiber *to)
{
	(void)from;
	__tsan_switch_to_fiber(to->sanitizer, 0);
}

static inline void
fiber_sanitizer_arrived(struct fiber *from, struct fiber *to)
{
	(void)from;
	(void)to;
}

#elif defined(PINION_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static inline void
fiber_sanitizer_create(struct fiber *f)
{
	f->sanitizer = NULL;
}

static inline void
fiber_sanitizer_adopt(struct fiber *f)
{
	f->sanitizer = NULL;
}

/* Frames that were left for good poisoned their stack; the next mapping there must start clean. */
static inline void
fiber_sanitizer_destroy(struct fiber *f)
{
	if (f->base != NULL)
		__asan_unpoison_memory_region(f->stack_bottom, f->stack_size);
}

static inline void
fiber_sanitizer_leave(struct fiber *from, struct fiber *to)
{
	__sanitizer_start_switch_fiber(&from->sanitizer, to->stack_bottom, to->stack_size);
}

/* A thread's own stack is learned when it is left for the first time. */
static inline void
fiber_sanitizer_arrived(struct fiber *from, struct fiber *to)
{
	__sanitizer_finish_switch_fiber(to->sanitizer, &from->stack_bottom, &from->stack_size);
}

#else

static inline void
fiber_sanitizer_create(struct fiber *f)
{
	(void)f;
}

static inline void
fiber_sanitizer_adopt(struct fiber *f)
{
	(void)f;
}

static inline void
fiber_sanitizer_destroy(struct fiber *f)
{
	(void)f;
}

static inline void
fiber_sanitizer_leave(struct fiber *from, struct fiber *to)
{
	(void)from;
	(void)to;
}

static inline void
fiber_sanitizer_arrived(struct fiber *from, struct fiber *to)
{
	(void)from;
	(void)to;
}

#endif
#endif
