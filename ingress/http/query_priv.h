/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/query_priv.h - a call's arguments from a query's values, by name.
 */
#ifndef PINION_INGRESS_HTTP_QUERY_PRIV_H
#define PINION_INGRESS_HTTP_QUERY_PRIV_H

#include "ingress/http/target_priv.h"
#include "ingress/json/arguments.h"

/* 0; -EINVAL with what is wrong in diag, for the client; -ENOMEM. On failure there is nothing to end. */
int pinioni_http_query_read(struct json_arguments *arguments, pinion_params params,
    const struct target *target, pinion_diag *diag) PINION_MUST_CHECK;

#endif
