/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/arguments.c - see arguments_priv.h.
 */
#include "ingress/http/arguments_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PINION_PRINTF(2, 3)
static int
refuse(pinion_diag *diag, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(diag->text, sizeof diag->text, format, list); /* cut short is fine */
	va_end(list);
	return -EINVAL;
}

static pinion_kind
kind_declared(pinion_params params, const char *name)
{
	for (size_t i = 0; i < params.count; i++)
		if (strcmp(params.list[i].name, name) == 0)
			return params.list[i].kind;
	return PINION_KIND_NONE; /* the call will refuse it, and say so better */
}

/* NULL: converted; else what it is instead. */
static const char *
value_of(const json_t *json, pinion_kind declared, pinion_value *value)
{
	pinion_str text = { json_string_value(json), json_string_length(json) };

	switch (json_typeof(json)) {
	case JSON_TRUE:
	case JSON_FALSE:
		*value = pinion_value_bool(json_is_true(json));
		return NULL;
	case JSON_INTEGER:
		*value = pinion_value_i64(json_integer_value(json));
		return NULL;
	case JSON_REAL:
		*value = pinion_value_f64(json_real_value(json));
		return NULL;
	case JSON_STRING:
		*value = declared == PINION_KIND_BYTES
		    ? pinion_value_bytes((pinion_bytes){ text.data, text.len })
		    : pinion_value_str(text);
		return NULL;
	case JSON_NULL:
		return "null";
	case JSON_ARRAY:
		return "an array";
	default:
		return "an object";
	}
}

static int
values_fill(struct arguments *arguments, pinion_params params, pinion_diag *diag)
{
	const char *name;
	json_t *json;

	if (json_object_size(arguments->object) > PINION_ARGS_MAX)
		return refuse(diag, "%zu fields are more than %d",
		    json_object_size(arguments->object), PINION_ARGS_MAX);
	json_object_foreach(arguments->object, name, json)
	{
		pinion_value *value = &arguments->values[arguments->count];
		const char *instead = value_of(json, kind_declared(params, name), value);

		if (instead != NULL)
			return refuse(diag, "parameter '%s': %s cannot be passed", name, instead);
		value->name = name;
		arguments->count++;
	}
	return 0;
}

int
pinioni_http_arguments_of_body(
    struct arguments *arguments, pinion_params params, pinion_bytes body, pinion_diag *diag)
{
	json_error_t error;
	int err;

	arguments->object = NULL;
	arguments->count = 0;
	if (body.len == 0)
		return 0;
	arguments->object =
	    json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (arguments->object == NULL)
		return refuse(diag, "the body is not JSON: line %d, column %d: %s", error.line,
		    error.column, error.text);
	if (!json_is_object(arguments->object))
		err = refuse(diag, "the body is JSON, but not an object");
	else
		err = values_fill(arguments, params, diag);
	if (err != 0)
		pinioni_http_arguments_end(arguments);
	return err;
}

static int
query_fill(struct arguments *arguments, const struct target *target, pinion_diag *diag)
{
	for (uint32_t i = 0; i < target->pair_count; i++) {
		const struct target_pair *pair = &target->pairs[i];
		json_t *text = json_stringn(pair->value.data, pair->value.len);

		if (json_object_get(arguments->object, pair->key.data) != NULL) {
			json_decref(text);
			return refuse(diag, "parameter '%s' is given twice", pair->key.data);
		}
		if (json_object_set_new(arguments->object, pair->key.data, text) != 0)
			return refuse(diag, "parameter '%s' is not UTF-8", pair->key.data);
	}
	return 0;
}

int
pinioni_http_arguments_of_query(struct arguments *arguments, pinion_params params,
    const struct target *target, pinion_diag *diag)
{
	int err;

	arguments->count = 0;
	arguments->object = json_object();
	if (arguments->object == NULL)
		return -ENOMEM;
	err = query_fill(arguments, target, diag);
	if (err == 0)
		err = values_fill(arguments, params, diag);
	if (err != 0)
		pinioni_http_arguments_end(arguments);
	return err;
}

void
pinioni_http_arguments_end(struct arguments *arguments)
{
	json_decref(arguments->object);
	arguments->object = NULL;
	arguments->count = 0;
}
