/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/fiber.c - fibers on Boost.Context's C entry points.
 */
#include "core/fiber.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fiber_sanitizer.h"

struct transfer {
	void *context;
	void *data;
};

/* Of libboost_context, which has no C header. */
extern struct transfer jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*run)(struct transfer));

/* Lies on the stack that is left, and is read at once on the one that is entered. */
struct journey {
	struct fiber *from;
	struct fiber *to;
};

static struct fiber *
arrive(struct transfer t)
{
	struct journey *j = t.data;

	j->from->context = t.context;
	fiber_sanitizer_arrived(j->from, j->to);
	return j->to;
}

static void
enter(struct transfer t)
{
	struct fiber *self = arrive(t);

	self->run(self->arg);
	abort(); /* run returned: there is nowhere to return to */
}

int
pinioni_fiber_create(struct fiber *f, size_t stack_size, void (*run)(void *arg), void *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (stack_size + page - 1) / page * page + page;
	unsigned char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	if (mprotect(base, page, PROT_NONE) != 0) {
		(void)munmap(base, size); /* our own mapping: cannot fail */
		return -ENOMEM;
	}
	*f = (struct fiber){
		.base = base,
		.size = size,
		.run = run,
		.arg = arg,
		.context = make_fcontext(base + size, size - page, enter),
		.stack_bottom = base + page,
		.stack_size = size - page,
	};
	fiber_sanitizer_create(f);
	return 0;
}

void
pinioni_fiber_destroy(struct fiber *f)
{
	fiber_sanitizer_destroy(f);
	if (f->base != NULL)
		(void)munmap(f->base, f->size); /* our own mapping: cannot fail */
	f->base = NULL;
}

void
pinioni_fiber_adopt(struct fiber *f)
{
	*f = (struct fiber){ .base = NULL };
	fiber_sanitizer_adopt(f);
}

void
pinioni_fiber_switch(struct fiber *from, struct fiber *to)
{
	struct journey j = { .from = from, .to = to };

	assert(from != to);
	fiber_sanitizer_leave(from, to);
	(void)arrive(jump_fcontext(to->context, &j));
}
