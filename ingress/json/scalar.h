/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/json/scalar.h - a number, true, false or nothing, as JSON.
 */
#ifndef PINION_INGRESS_JSON_SCALAR_H
#define PINION_INGRESS_JSON_SCALAR_H

#include <pinion/pinion.h>

enum {
	JSON_SCALAR_ROOM = 64 /* bytes: the longest, with its end */
};

/* The shortest text that is this value again. False: it has none, for its kind or as a number. */
bool pinioni_json_scalar_print(
    const pinion_value *value, char *text, size_t room) PINION_MUST_CHECK;

#endif
