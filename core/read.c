/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/read.c - conversions on the way out.
 */
#include "core/read.h"

#include <errno.h>
#include <string.h>

#include "core/value.h"

static int
store_scalar(uint64_t bits, const pinion_into *into)
{
	int32_t small = (int32_t)bits;
	bool truth = bits != 0;

	if (into->kind == PINION_KIND_BOOL) {
		memcpy(into->at, &truth, sizeof truth);
		return 0;
	}
	if (into->size == sizeof bits) {
		memcpy(into->at, &bits, sizeof bits);
		return 0;
	}
	if (into->size != sizeof small)
		return -EINVAL;
	if (into->kind == PINION_KIND_I64 ? (int64_t)bits != small : bits > UINT32_MAX)
		return -ERANGE;
	memcpy(into->at, &small, sizeof small);
	return 0;
}

static int
read_scalar(pinion_kind kind, const void *bytes, const pinion_into *into)
{
	uint64_t bits;
	int err;

	memcpy(&bits, bytes, sizeof bits);
	err = pinioni_value_convert(kind, bits, into->kind, &bits);
	return err != 0 ? err : store_scalar(bits, into);
}

int
pinioni_read(pinion_kind kind, const void *bytes, uint32_t length, const pinion_into *into)
{
	pinion_str str = { bytes, length };
	pinion_bytes view = { bytes, length };

	if (into->kind == PINION_KIND_NONE)
		return 0;
	if (kind_is_scalar(into->kind))
		return kind_is_scalar(kind) && length == sizeof(uint64_t)
		    ? read_scalar(kind, bytes, into)
		    : -EINVAL;
	if (into->kind != kind)
		return -EINVAL;
	if (kind == PINION_KIND_STR)
		memcpy(into->at, &str, sizeof str);
	else if (kind == PINION_KIND_BYTES)
		memcpy(into->at, &view, sizeof view);
	else if (length == into->size)
		memcpy(into->at, bytes, length);
	else
		return -EINVAL;
	return 0;
}

int
pinioni_read_value(pinion_kind kind, const void *bytes, uint32_t length, pinion_value *value)
{
	*value = (pinion_value){ .kind = kind };
	if (kind_is_scalar(kind))
		memcpy(&value->as.u64, bytes, sizeof value->as.u64);
	else if (kind == PINION_KIND_STR)
		value->as.str = (pinion_str){ bytes, length };
	else if (kind == PINION_KIND_REF && length == sizeof value->as.ref)
		memcpy(&value->as.ref, bytes, length);
	else
		value->as.bytes = (pinion_bytes){ bytes, length };
	if (kind == PINION_KIND_BOOL)
		value->as.boolean = value->as.u64 != 0;
	return 0;
}
