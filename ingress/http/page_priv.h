/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/page_priv.h - what the ingress answers itself.
 *
 *   /-/healthz   "success" while it takes requests
 *   /-/routes    a JSON object: route prefix -> application
 */
#ifndef PINION_INGRESS_HTTP_PAGE_PRIV_H
#define PINION_INGRESS_HTTP_PAGE_PRIV_H

#include "ingress/http/answer_priv.h"

enum page {
	PAGE_NONE,
	PAGE_HEALTH,
	PAGE_ROUTES
};

enum page pinioni_http_page_find(pinion_str path);
/* *memory: what the answer's body lies in, for the caller to free. */
void pinioni_http_page_write(
    enum page page, pinion_runtime *rt, struct answer *answer, char **memory);

#endif
