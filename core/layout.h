/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/layout.h - where the next argument lies in a record: one rule, for writing and reading.
 *
 * Picture   in core/record.h.
 */
#ifndef PINION_CORE_LAYOUT_H
#define PINION_CORE_LAYOUT_H

#include <string.h>

#include "core/registry.h"
#include "core/value.h"
#include "shm/segment.h"

struct layout {
	const struct method *method;
	uint64_t kinds; /* of a task's arguments */
	size_t end;
	unsigned next;
	unsigned count;
};

struct field {
	size_t at;
	size_t size;
	uint32_t align;
	pinion_kind kind;
	bool variable;
	bool is_ref;
};

static inline unsigned
layout_task_count(uint64_t kinds)
{
	return kinds == 0 ? 0 : (67u - (unsigned)__builtin_clzll(kinds)) / 4;
}

/* The next parameter's rule; at and a variable size are still to be found. */
static inline struct field
layout_field(const struct layout *l, bool is_ref)
{
	const pinion_param *p = l->method->any_params ? NULL : &l->method->params[l->next];
	pinion_kind kind = p != NULL ? p->kind : (pinion_kind)(l->kinds >> 4 * l->next & 15);
	struct field f = { .kind = kind, .is_ref = is_ref, .align = 8, .size = 8 };

	if (is_ref || kind == PINION_KIND_REF || kind == PINION_KIND_STREAM) {
		f.size = 16;
	} else if (kind_is_variable(kind) || (p == NULL && kind == PINION_KIND_STRUCT)) {
		f.variable = true;
		f.align = kind == PINION_KIND_STR ? 1 : 8;
		f.size = 0;
	} else if (kind == PINION_KIND_STRUCT) {
		f.size = p->size;
		f.align = p->align == 0 ? 1 : p->align > 64 ? 64 : p->align;
	}
	return f;
}

/* Writes the next field; f->size bytes of data. -EMSGSIZE: no room; l->end says how much is needed
 * so far. to: NULL only measures. */
static inline int
layout_put(
    struct layout *l, const struct field *f, unsigned char *to, size_t room, const void *data)
{
	uint32_t bytes = (uint32_t)f->size;
	size_t prefix = 0;
	size_t at = l->end;
	bool has_prefix = f->variable && l->next + 1 != l->count;

	if (has_prefix) {
		prefix = segment_round_up(at, 4);
		at = prefix + 4;
	}
	at = segment_round_up(at, f->align);
	l->end = at + f->size;
	l->next++;
	if (to == NULL)
		return 0;
	if (l->end > room)
		return -EMSGSIZE;
	if (has_prefix)
		memcpy(to + prefix, &bytes, 4);
	if (f->size != 0)
		memcpy(to + at, data, f->size);
	return 0;
}

#endif
