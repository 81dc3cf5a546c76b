/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/value.c - conversions between scalars.
 */
#include "core/value.h"

#include <string.h>

const char *
pinioni_kind_name(pinion_kind kind)
{
	static const char *const names[16] = { [PINION_KIND_NONE] = "nothing",
		[PINION_KIND_BOOL] = "bool",
		[PINION_KIND_I64] = "i64",
		[PINION_KIND_U64] = "u64",
		[PINION_KIND_F64] = "f64",
		[PINION_KIND_STR] = "str",
		[PINION_KIND_BYTES] = "bytes",
		[PINION_KIND_STRUCT] = "struct",
		[PINION_KIND_HANDLE] = "handle",
		[PINION_KIND_RESPONSE] = "response",
		[PINION_KIND_STREAM] = "stream",
		[PINION_KIND_REF] = "reference",
		[PINION_KIND_NODE] = "node" };

	return (unsigned)kind < 16 && names[kind] != NULL ? names[kind] : "unknown kind";
}

/* Whole numbers of at most 53 bits, zeros at the end not counted, are exact in an f64. */
static bool
is_exact(pinion_kind from, uint64_t bits)
{
	uint64_t size = from == PINION_KIND_I64 && (int64_t)bits < 0 ? -bits : bits;

	return size == 0 || size >> __builtin_ctzll(size) < UINT64_C(1) << 53;
}

static int
to_f64(pinion_kind from, uint64_t bits, uint64_t *out)
{
	double x = from == PINION_KIND_I64 ? (double)(int64_t)bits : (double)bits;

	if (!is_exact(from, bits))
		return -ERANGE;
	memcpy(out, &x, sizeof x);
	return 0;
}

bool
pinioni_kind_may_convert(pinion_kind from, pinion_kind to)
{
	bool whole = from == PINION_KIND_I64 || from == PINION_KIND_U64;

	return from == to ||
	    (whole &&
		(to == PINION_KIND_I64 || to == PINION_KIND_U64 || to == PINION_KIND_F64 ||
		    to == PINION_KIND_BOOL));
}

int
pinioni_value_convert(pinion_kind from, uint64_t bits, pinion_kind to, uint64_t *out)
{
	*out = bits;
	if (from == to)
		return 0;
	if (!pinioni_kind_may_convert(from, to))
		return -EINVAL;
	if (to == PINION_KIND_F64)
		return to_f64(from, bits, out);
	if (to == PINION_KIND_BOOL)
		return bits <= 1 ? 0 : -ERANGE;
	return bits <= INT64_MAX ? 0 : -ERANGE; /* i64 and u64 share these */
}
