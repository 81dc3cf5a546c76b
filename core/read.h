/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/read.h - a result's bytes into what the caller has for them.
 */
#ifndef PINION_CORE_READ_H
#define PINION_CORE_READ_H

#include "core/pinion.h"

/* length bytes of that kind into `into`; str and bytes become views of them. 0, -EINVAL, -ERANGE. */
int pinioni_read(pinion_kind kind, const void *bytes, uint32_t length, const pinion_into *into)
    __attribute__((warn_unused_result));
/* The same as a value of its own kind. */
int pinioni_read_value(pinion_kind kind, const void *bytes, uint32_t length, pinion_value *value)
    __attribute__((warn_unused_result));

#endif
