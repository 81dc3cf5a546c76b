/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/value.h - kinds of values, and the conversions that lose nothing.
 *
 * A scalar is carried as 8 bytes, whatever its kind: bool as 0 or 1, handle as its id.
 */
#ifndef PINION_CORE_VALUE_H
#define PINION_CORE_VALUE_H

#include "core/pinion.h"

/* "i64", "str", ... */
const char *pinioni_kind_name(pinion_kind kind);

static inline bool
kind_is_scalar(pinion_kind kind)
{
	const unsigned scalars = 1u << PINION_KIND_BOOL | 1u << PINION_KIND_I64 |
	    1u << PINION_KIND_U64 | 1u << PINION_KIND_F64 | 1u << PINION_KIND_HANDLE;

	return (unsigned)kind < 32 && (scalars >> kind & 1) != 0;
}

static inline bool
kind_is_variable(pinion_kind kind)
{
	return kind == PINION_KIND_STR || kind == PINION_KIND_BYTES;
}

/* The 8 bytes of a scalar value. All kinds but bool have them in place. */
static inline uint64_t
value_bits(const pinion_value *value)
{
	return value->kind == PINION_KIND_BOOL ? value->as.boolean : value->as.u64;
}

/* Bytes of a str, bytes or struct value. */
static inline pinion_bytes
value_bytes(const pinion_value *value)
{
	return value->kind == PINION_KIND_STR
	    ? (pinion_bytes){ value->as.str.data, value->as.str.len }
	    : value->as.bytes;
}

/* 0, -EINVAL: another kind, -ERANGE: the value does not fit. */
int pinioni_value_convert(pinion_kind from, uint64_t bits, pinion_kind to, uint64_t *out)
    __attribute__((warn_unused_result));

/* Could any value of kind `from` become one of kind `to`? */
bool pinioni_kind_may_convert(pinion_kind from, pinion_kind to);

#endif
