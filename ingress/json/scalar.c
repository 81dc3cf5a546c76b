/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/json/scalar.c - see scalar.h.
 */
#include "ingress/json/scalar.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static bool
reads_back(const char *text, size_t length, double number)
{
	json_t *json = json_loadb(text, length, JSON_DECODE_ANY, NULL);
	bool same =
	    json != NULL && !(json_real_value(json) < number) && !(json_real_value(json) > number);

	json_decref(json);
	return same;
}

/* The shortest text that is this number again; by jansson, which knows no locale. */
static bool
number_print(double number, char *text, size_t room)
{
	json_t *json = json_real(number); /* NULL: JSON has no infinity, and no "not a number" */
	size_t length = 0;

	for (size_t digits = 15; json != NULL && digits <= 17; digits++) {
		length =
		    json_dumpb(json, text, room - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
		if (length >= room || reads_back(text, length, number))
			break;
	}
	json_decref(json);
	text[length < room ? length : 0] = '\0';
	return length != 0 && length < room;
}

bool
pinioni_json_scalar_print(const pinion_value *value, char *text, size_t room)
{
	switch (value->kind) {
	case PINION_KIND_NONE:
		return snprintf(text, room, "null") > 0;
	case PINION_KIND_BOOL:
		return snprintf(text, room, "%s", value->as.boolean ? "true" : "false") > 0;
	case PINION_KIND_I64:
		return snprintf(text, room, "%" PRId64, value->as.i64) > 0;
	case PINION_KIND_U64:
		return snprintf(text, room, "%" PRIu64, value->as.u64) > 0;
	case PINION_KIND_F64:
		return number_print(value->as.f64, text, room);
	default:
		return false;
	}
}
