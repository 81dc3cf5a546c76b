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

/* ---- whole numbers ---------------------------------------------------------------------------- */

/*
 * jansson has room for i64 only. A body with a whole number outside of it is read once more with all whole
 * numbers as reals, and what they are is then taken from the body itself, whose fields come in the order of
 * the object's (jansson 2.8 and later). Rounded, they would be other numbers.
 */
struct source {
	const char *at; /* in such a body, behind the field before; NULL: all is in the object */
	bool is_query;
};

static const char *
string_end(const char *quote)
{
	for (quote++; *quote != '"'; quote++)
		quote += *quote == '\\';
	return quote + 1;
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* The next field's value, as it was sent. jansson has read all of it, and the fields before were neither
 * arrays nor objects, which are refused: so every loop meets its end. */
static pinion_str
value_next(struct source *source)
{
	const char *begin = source->at, *end;

	while (*begin != '"')
		begin++;
	begin = string_end(begin);
	while (is_one_of(*begin, ": \t\r\n"))
		begin++;
	end = begin;
	if (*begin == '"')
		end = string_end(begin);
	else
		while (!is_one_of(*end, ",} \t\r\n"))
			end++;
	source->at = end;
	return (pinion_str){ begin, (size_t)(end - begin) };
}

static bool
number_is_whole(pinion_str number)
{
	for (size_t i = 0; i < number.len; i++)
		if (is_one_of(number.data[i], ".eE"))
			return false;
	return number.len != 0;
}

/* False: outside of i64 and u64. */
static bool
whole_read(pinion_str number, pinion_value *value)
{
	const uint64_t lowest = UINT64_C(1) << 63; /* without its sign */
	bool is_negative = number.data[0] == '-';
	uint64_t x = 0;

	for (size_t i = is_negative; i < number.len; i++)
		if (__builtin_mul_overflow(x, 10, &x) ||
		    __builtin_add_overflow(x, (uint64_t)(number.data[i] - '0'), &x))
			return false;
	if (is_negative && x > lowest)
		return false;
	*value = is_negative ? pinion_value_i64((int64_t)-x)
	    : x < lowest     ? pinion_value_i64((int64_t)x)
			     : pinion_value_u64(x);
	return true;
}

/* ---- values ----------------------------------------------------------------------------------- */

/* NULL: converted; else what it is instead. sent: its text where whole numbers are reals, else "". */
static const char *
value_of(const json_t *json, pinion_kind declared, pinion_str sent, pinion_value *value)
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
		return !number_is_whole(sent) || whole_read(sent, value)
		    ? NULL
		    : "a whole number of more than 64 bits";
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

/* A query has nothing but text: where a number or a flag is declared, it is read as JSON's. */
static const char *
value_of_query(const json_t *json, pinion_kind declared, pinion_value *value)
{
	static const pinion_str nothing = { "", 0 };
	static const char instead[] = "what is neither a number nor true or false";
	pinion_str text = { json_string_value(json), json_string_length(json) };
	const char *refused = instead;
	json_t *read;

	if (declared == PINION_KIND_NONE || declared > PINION_KIND_F64)
		return value_of(json, declared, nothing, value);
	if (strpbrk(text.data, " \t\r\n") != NULL)
		return instead; /* JSON may have some around a number */
	read = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	if (json_is_number(read) || json_is_boolean(read))
		refused = value_of(read, declared, text, value);
	json_decref(read);
	return refused;
}

static int
values_fill(
    struct arguments *arguments, pinion_params params, struct source *source, pinion_diag *diag)
{
	const char *name;
	json_t *json;

	if (json_object_size(arguments->object) > PINION_ARGS_MAX)
		return refuse(diag, "%zu fields are more than %d",
		    json_object_size(arguments->object), PINION_ARGS_MAX);
	json_object_foreach(arguments->object, name, json)
	{
		pinion_value *value = &arguments->values[arguments->count];
		pinion_kind declared = kind_declared(params, name);
		pinion_str sent = { "", 0 };
		const char *instead;

		if (source->at != NULL)
			sent = value_next(source);
		instead = source->is_query ? value_of_query(json, declared, value)
					   : value_of(json, declared, sent, value);
		if (instead != NULL)
			return refuse(diag, "parameter '%s': %s cannot be passed", name, instead);
		value->name = name;
		arguments->count++;
	}
	return 0;
}

/* ---- bodies ----------------------------------------------------------------------------------- */

/* Some of what jansson does not take is JSON all the same. */
static int
refuse_body(const json_error_t *error, pinion_diag *diag)
{
	const char *why = "the body is not JSON: ", *what = error->text;

	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		why = "";
		break;
	case json_error_numeric_overflow:
		why = "";
		what = "a number is larger than any f64";
		break;
	case json_error_null_byte_in_key:
		why = "";
		what = "a field's name has a zero byte";
		break;
	default:
		break;
	}
	return refuse(diag, "%sline %d, column %d: %s", why, error->line, error->column, what);
}

static json_t *
body_load(pinion_bytes body, struct source *source, json_error_t *error)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *json = json_loadb(body.data, body.len, flags, error);

	if (json != NULL || json_error_code(error) != json_error_numeric_overflow)
		return json;
	source->at = body.data;
	return json_loadb(body.data, body.len, flags | JSON_DECODE_INT_AS_REAL, error);
}

int
pinioni_http_arguments_of_body(
    struct arguments *arguments, pinion_params params, pinion_bytes body, pinion_diag *diag)
{
	struct source source = { .at = NULL };
	json_error_t error;
	int err;

	arguments->object = NULL;
	arguments->count = 0;
	if (body.len == 0)
		return 0;
	arguments->object = body_load(body, &source, &error);
	if (arguments->object == NULL)
		return refuse_body(&error, diag);
	if (!json_is_object(arguments->object))
		err = refuse(diag, "the body is JSON, but not an object");
	else
		err = values_fill(arguments, params, &source, diag);
	if (err != 0)
		pinioni_http_arguments_end(arguments);
	return err;
}

/* ---- queries ---------------------------------------------------------------------------------- */

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
	struct source source = { .is_query = true };
	int err;

	arguments->count = 0;
	arguments->object = json_object();
	if (arguments->object == NULL)
		return -ENOMEM;
	err = query_fill(arguments, target, diag);
	if (err == 0)
		err = values_fill(arguments, params, &source, diag);
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
