/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/arguments.c - a handler reads its arguments.
 *
 *   plain    the message's record is the bits of one scalar after the other; nothing was decoded
 *   others   a view each, made before the handler began: core/record.c
 */
#include <string.h>

#include "core/request.h"
#include "core/registry.h"

static pinion_kind
kind_of(const pinion_request *r, unsigned index)
{
	if (!r->is_plain)
		return index < r->arg_count ? (pinion_kind)r->args[index].kind : PINION_KIND_NONE;
	/* Beyond the last parameter the signature is 0: no kind. */
	return index < PINION_ARGS_MAX ? (pinion_kind)(r->method->signature >> 4 * index & 15)
				       : PINION_KIND_NONE;
}

/* Of a scalar. */
static uint64_t
word_of(const pinion_request *r, unsigned index)
{
	uint64_t word;

	if (!r->is_plain)
		return r->args[index].word;
	memcpy(&word, r->message.record + (size_t)index * 8, sizeof word);
	return word;
}

static const struct view *
view_of(const pinion_request *r, unsigned index, pinion_kind kind)
{
	static const struct view nothing = { .at = "" };

	return r->is_plain || kind_of(r, index) != kind ? &nothing : &r->args[index];
}

bool
pinion_arg_bool(pinion_request *r, unsigned index)
{
	return kind_of(r, index) == PINION_KIND_BOOL && word_of(r, index) != 0;
}

int64_t
pinion_arg_i64(pinion_request *r, unsigned index)
{
	return (int64_t)pinion_arg_u64(r, index);
}

uint64_t
pinion_arg_u64(pinion_request *r, unsigned index)
{
	pinion_kind kind = kind_of(r, index);

	return kind == PINION_KIND_I64 || kind == PINION_KIND_U64 ? word_of(r, index) : 0;
}

double
pinion_arg_f64(pinion_request *r, unsigned index)
{
	double x = 0;
	uint64_t word;

	if (kind_of(r, index) == PINION_KIND_F64) {
		word = word_of(r, index);
		memcpy(&x, &word, sizeof x);
	}
	return x;
}

pinion_handle
pinion_arg_handle(pinion_request *r, unsigned index)
{
	return (pinion_handle){ kind_of(r, index) == PINION_KIND_HANDLE ? word_of(r, index) : 0 };
}

pinion_str
pinion_arg_str(pinion_request *r, unsigned index)
{
	const struct view *v = view_of(r, index, PINION_KIND_STR);

	return (pinion_str){ v->at, v->length };
}

pinion_bytes
pinion_arg_bytes(pinion_request *r, unsigned index)
{
	const struct view *v = view_of(r, index, PINION_KIND_BYTES);

	return (pinion_bytes){ v->at, v->length };
}

pinion_ref
pinion_arg_ref(pinion_request *r, unsigned index)
{
	const struct view *v = view_of(r, index, PINION_KIND_REF);
	pinion_ref ref = { 0, UINT32_MAX, 0 };

	if (v->length == sizeof ref)
		memcpy(&ref, v->at, sizeof ref);
	return ref;
}

const void *
pinion_arg_struct_at(pinion_request *r, unsigned index, size_t size, size_t align)
{
	const struct view *v = view_of(r, index, PINION_KIND_STRUCT);

	return v->length == size && (uintptr_t)v->at % align == 0 ? v->at : NULL;
}
