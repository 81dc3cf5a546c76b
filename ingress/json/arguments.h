/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/json/arguments.h - a call's arguments, made from JSON: an object's fields by name, an array's by position.
 *
 *   true, false   bool          "text"        bytes where bytes are declared, else str
 *   12            i64, or u64   1.5, 1e3      f64
 *   null, [], {}  refused
 *
 * Of texts (a query's) the value is the same where a bool or a number is declared, and text elsewhere.
 *
 * The call itself checks names, kinds and what is missing, and converts what loses nothing; here is refused
 * only what has no kind at all.
 *
 * Memory   `values` point into `json`; pinioni_json_arguments_end frees both.
 */
#ifndef PINION_INGRESS_JSON_ARGUMENTS_H
#define PINION_INGRESS_JSON_ARGUMENTS_H

#include <jansson.h>
#include <pinion/pinion.h>

struct json_arguments {
	json_t *json;
	pinion_value values[PINION_ARGS_MAX];
	uint32_t count;
};

struct json_text {
	pinion_bytes bytes; /* none: no arguments */
	const char *whose;  /* begins what is said of it: "the body" */
	bool may_be_array;
};

/* 0; -EINVAL with what is wrong in diag, for who wrote it. On failure there is nothing to end. */
int pinioni_json_arguments_read(struct json_arguments *arguments, pinion_params params,
    const struct json_text *text, pinion_diag *diag) PINION_MUST_CHECK;
/* texts: an object of strings alone, given; also on failure it is ended with the arguments. */
int pinioni_json_arguments_of_texts(struct json_arguments *arguments, pinion_params params,
    json_t *texts, pinion_diag *diag) PINION_MUST_CHECK;
void pinioni_json_arguments_end(struct json_arguments *arguments);

/* For pinion_call; holds until pinioni_json_arguments_end. */
static inline pinion_args
json_arguments_view(const struct json_arguments *arguments)
{
	return (pinion_args){ arguments->values, PINION_KIND_LATE, arguments->count };
}

#endif
