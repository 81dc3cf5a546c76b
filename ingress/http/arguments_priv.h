/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/arguments_priv.h - a call's arguments, made from JSON or from a query, by name.
 *
 *   true, false   bool          "text"        bytes where bytes are declared, else str
 *   12            i64, or u64   1.5, 1e3      f64
 *   null, [], {}  refused
 *
 * A query's value is the same where a bool or a number is declared, and text elsewhere.
 *
 * The call itself checks names, kinds and what is missing, and converts what loses nothing; here is refused
 * only what has no kind at all.
 *
 * Memory   `values` point into `object`; pinioni_http_arguments_end frees both.
 */
#ifndef PINION_INGRESS_HTTP_ARGUMENTS_PRIV_H
#define PINION_INGRESS_HTTP_ARGUMENTS_PRIV_H

#include <jansson.h>
#include <pinion/pinion.h>

#include "ingress/http/target_priv.h"

struct arguments {
	json_t *object;
	pinion_value values[PINION_ARGS_MAX];
	uint32_t count;
};

/* 0; -EINVAL with what is wrong in diag, for the client; -ENOMEM. On failure there is nothing to end.
 * No body at all: no arguments. */
int pinioni_http_arguments_of_body(struct arguments *arguments, pinion_params params,
    pinion_bytes body, pinion_diag *diag) PINION_MUST_CHECK;
int pinioni_http_arguments_of_query(struct arguments *arguments, pinion_params params,
    const struct target *target, pinion_diag *diag) PINION_MUST_CHECK;
void pinioni_http_arguments_end(struct arguments *arguments);

/* For pinion_call; holds until pinioni_http_arguments_end. */
static inline pinion_args
arguments_view(const struct arguments *arguments)
{
	return (pinion_args){ arguments->values, PINION_KIND_LATE, arguments->count };
}

#endif
