/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/read.h - a result's bytes into what the caller has for them.
 */
#ifndef PINION_CORE_READ_H
#define PINION_CORE_READ_H

#include <string.h>

#include "core/value.h"

/* A scalar that is what the caller has. False: nothing was read. */
static inline bool
read_plain(pinion_kind kind, const void *bits, pinion_into into)
{
	if (into.kind != kind || !kind_is_scalar(kind) || into.size != sizeof(uint64_t))
		return false;
	memcpy(into.at, bits, sizeof(uint64_t));
	return true;
}

/* length bytes of that kind into `into`; str and bytes become views of them. 0, -EINVAL, -ERANGE. */
int pinioni_read(pinion_kind kind, const void *bytes, uint32_t length, const pinion_into *into)
    __attribute__((warn_unused_result));
/* The same as a value of its own kind. */
int pinioni_read_value(pinion_kind kind, const void *bytes, uint32_t length, pinion_value *value)
    __attribute__((warn_unused_result));

#endif
