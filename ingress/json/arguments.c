/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/json/arguments.c - see arguments.h.
 */
#include "ingress/json/arguments.h"

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

static pinion_kind
kind_at(pinion_params params, size_t index)
{
	return index < params.count ? params.list[index].kind : PINION_KIND_NONE;
}

/* ---- whole numbers ---------------------------------------------------------------------------- */

/*
 * jansson has room for i64 only. A text with a whole number outside of it is read once more with all whole
 * numbers as reals, and what they are is then taken from the text itself, whose fields come in the order of
 * the object's (jansson 2.8 and later). Rounded, they would be other numbers.
 */
struct source {
	const char *at; /* in such a text, behind the value before; NULL: all is in the json_t */
	bool is_texts;  /* each value is a string, to be read as what is declared */
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

/* To the next value of an object or an array. */
static const char *
value_begin(const char *at, bool has_name)
{
	if (!has_name) {
		while (is_one_of(*at, "[, \t\r\n"))
			at++;
		return at;
	}
	while (*at != '"')
		at++;
	at = string_end(at);
	while (is_one_of(*at, ": \t\r\n"))
		at++;
	return at;
}

/* The next value, as it was sent. jansson has read all of it, and the values before were neither arrays nor
 * objects, which are refused: so every loop meets its end. */
static pinion_str
value_next(struct source *source, bool has_name)
{
	const char *begin, *end;

	if (source->at == NULL)
		return (pinion_str){ "", 0 };
	begin = value_begin(source->at, has_name);
	end = begin;
	if (*begin == '"')
		end = string_end(begin);
	else
		while (!is_one_of(*end, ",}] \t\r\n"))
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

/* Where a number or a flag is declared, the text is read as JSON's. */
static const char *
value_of_text(const json_t *json, pinion_kind declared, pinion_value *value)
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

/* Under its name; NULL: by position. */
static int
value_add(struct json_arguments *arguments, const json_t *json, const char *name,
    pinion_kind declared, struct source *source, pinion_diag *diag)
{
	pinion_value *value = &arguments->values[arguments->count];
	pinion_str sent = value_next(source, name != NULL);
	const char *instead = source->is_texts ? value_of_text(json, declared, value)
					       : value_of(json, declared, sent, value);

	if (instead != NULL && name == NULL)
		return refuse(diag, "argument %u: %s cannot be passed", arguments->count, instead);
	if (instead != NULL)
		return refuse(diag, "parameter '%s': %s cannot be passed", name, instead);
	value->name = name;
	arguments->count++;
	return 0;
}

static int
values_fill(struct json_arguments *arguments, pinion_params params, struct source *source,
    pinion_diag *diag)
{
	bool is_array = json_is_array(arguments->json);
	size_t count =
	    is_array ? json_array_size(arguments->json) : json_object_size(arguments->json);
	const char *name;
	json_t *json;
	size_t i;
	int err = 0;

	if (count > PINION_ARGS_MAX)
		return refuse(diag, "%zu %s are more than %d", count,
		    is_array ? "arguments" : "fields", PINION_ARGS_MAX);
	json_array_foreach(arguments->json, i, json)
	{
		if (err == 0)
			err = value_add(arguments, json, NULL, kind_at(params, i), source, diag);
	}
	json_object_foreach(arguments->json, name, json)
	{
		if (err == 0)
			err = value_add(
			    arguments, json, name, kind_declared(params, name), source, diag);
	}
	return err;
}

/* ---- texts ------------------------------------------------------------------------------------ */

/* Some of what jansson does not take is JSON all the same. */
static int
refuse_text(const char *whose, const json_error_t *error, pinion_diag *diag)
{
	const char *what = error->text;

	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		break;
	case json_error_numeric_overflow:
		what = "a number is larger than any f64";
		break;
	case json_error_null_byte_in_key:
		what = "a field's name has a zero byte";
		break;
	default:
		return refuse(diag, "%s is not JSON: line %d, column %d: %s", whose, error->line,
		    error->column, what);
	}
	return refuse(diag, "line %d, column %d: %s", error->line, error->column, what);
}

static json_t *
text_load(pinion_bytes text, struct source *source, json_error_t *error)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *json = json_loadb(text.data, text.len, flags, error);

	if (json != NULL || json_error_code(error) != json_error_numeric_overflow)
		return json;
	source->at = text.data;
	return json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, error);
}

int
pinioni_json_arguments_read(struct json_arguments *arguments, pinion_params params,
    const struct json_text *text, pinion_diag *diag)
{
	struct source source = { .at = NULL };
	json_error_t error;
	int err;

	*arguments = (struct json_arguments){ .json = NULL };
	if (text->bytes.len == 0)
		return 0;
	arguments->json = text_load(text->bytes, &source, &error);
	if (arguments->json == NULL)
		return refuse_text(text->whose, &error, diag);
	if (!json_is_object(arguments->json) &&
	    !(text->may_be_array && json_is_array(arguments->json)))
		err = refuse(diag, "%s is JSON, but not an object%s", text->whose,
		    text->may_be_array ? " or array" : "");
	else
		err = values_fill(arguments, params, &source, diag);
	if (err != 0)
		pinioni_json_arguments_end(arguments);
	return err;
}

int
pinioni_json_arguments_of_texts(
    struct json_arguments *arguments, pinion_params params, json_t *texts, pinion_diag *diag)
{
	struct source source = { .is_texts = true };
	int err;

	*arguments = (struct json_arguments){ .json = texts };
	err = values_fill(arguments, params, &source, diag);
	if (err != 0)
		pinioni_json_arguments_end(arguments);
	return err;
}

void
pinioni_json_arguments_end(struct json_arguments *arguments)
{
	json_decref(arguments->json);
	*arguments = (struct json_arguments){ .json = NULL };
}
