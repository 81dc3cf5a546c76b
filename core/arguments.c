/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/arguments.c - a handler reads its arguments.
 *
 *   plain    the message's record is the bits of one scalar after the other; nothing was decoded
 *   others   a view each, made before the handler began: core/record.c
 */
#include <errno.h>
#include <string.h>

#include "core/piped.h"
#include "core/runtime.h"
#include "core/value.h"

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

/* A handler reads what is not there. It may hold other arguments: the call fails when it answers. */
__attribute__((noinline, cold)) static void
misread(pinion_request *r, unsigned index, pinion_kind wanted)
{
	if (r->state != REQUEST_RUNNING) {
		pinioni_runtime_log(r->worker->runtime, "argument %u of %s.%s is misread", index,
		    r->method->deployment->name, r->method->name);
		return;
	}
	r->state = REQUEST_MISREAD;
	r->misread_at = (uint8_t)(index < UINT8_MAX ? index : UINT8_MAX);
	r->misread_as = (uint8_t)wanted;
}

int
pinioni_request_fail_misread(pinion_request *r)
{
	pinion_kind is = kind_of(r, r->misread_at);

	pinioni_request_fail(r, -EINVAL, PINION_ORIGIN_HANDLER,
	    "argument %u of %s.%s is %s and was read as %s", r->misread_at,
	    r->method->deployment->name, r->method->name,
	    is == PINION_KIND_NONE ? "not there" : pinioni_kind_name(is),
	    pinioni_kind_name((pinion_kind)r->misread_as));
	return -EINVAL;
}

/* The bits of a scalar of that kind; else 0. */
static uint64_t
scalar_of(pinion_request *r, unsigned index, pinion_kind kind)
{
	if (kind_of(r, index) == kind)
		return word_of(r, index);
	misread(r, index, kind);
	return 0;
}

static const struct view *
view_of(pinion_request *r, unsigned index, pinion_kind kind)
{
	static const struct view nothing = { .at = "" };

	if (!r->is_plain && kind_of(r, index) == kind)
		return &r->args[index];
	misread(r, index, kind);
	return &nothing;
}

/* A whole number: who declares one of them and reads the other means its bits. */
static uint64_t
whole_of(pinion_request *r, unsigned index, pinion_kind kind)
{
	pinion_kind is = kind_of(r, index);

	return scalar_of(r, index, is == PINION_KIND_I64 || is == PINION_KIND_U64 ? is : kind);
}

bool
pinion_arg_bool(pinion_request *r, unsigned index)
{
	return scalar_of(r, index, PINION_KIND_BOOL) != 0;
}

int64_t
pinion_arg_i64(pinion_request *r, unsigned index)
{
	return (int64_t)whole_of(r, index, PINION_KIND_I64);
}

uint64_t
pinion_arg_u64(pinion_request *r, unsigned index)
{
	return whole_of(r, index, PINION_KIND_U64);
}

double
pinion_arg_f64(pinion_request *r, unsigned index)
{
	uint64_t word = scalar_of(r, index, PINION_KIND_F64);
	double x;

	memcpy(&x, &word, sizeof x); /* 0 is 0.0 */
	return x;
}

pinion_handle
pinion_arg_handle(pinion_request *r, unsigned index)
{
	return (pinion_handle){ scalar_of(r, index, PINION_KIND_HANDLE) };
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

pinion_stream
pinion_arg_stream(pinion_request *r, unsigned index)
{
	return pinioni_piped_stream(r, index, view_of(r, index, PINION_KIND_STREAM));
}

const void *
pinion_arg_struct_at(pinion_request *r, unsigned index, size_t size, size_t align)
{
	const struct view *v = view_of(r, index, PINION_KIND_STRUCT);

	return v->length == size && (uintptr_t)v->at % align == 0 ? v->at : NULL;
}
