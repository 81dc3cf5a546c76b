/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/target_priv.h - what a request line asks for: a path and a query.
 *
 *   /greet/D%C3%B6ra?language=span+ish&loud     path "/greet/Döra", pairs language="span ish", loud=""
 *
 * Why      Paths and values with a zero byte in them look shorter to C than they are: they are refused
 *          here, once, where the HTTP library would cut them.
 * Memory   One block, freed by pinioni_http_target_free; views into it.
 */
#ifndef PINION_INGRESS_HTTP_TARGET_PRIV_H
#define PINION_INGRESS_HTTP_TARGET_PRIV_H

#include <pinion/pinion.h>

struct target_pair {
	pinion_str key, value; /* decoded; both end with a zero byte */
};

struct target {
	char *memory;
	pinion_str path;  /* decoded, ends with a zero byte */
	pinion_str query; /* as sent */
	struct target_pair *pairs;
	uint32_t pair_count;
};

/* text: in origin form ("/path?query") or absolute form ("http://host/path?query"). A "%" without two
 * hexadecimal digits stands for itself. -EINVAL: another form, or a zero byte; -ENOMEM. */
int pinioni_http_target_parse(const char *text, struct target *target) PINION_MUST_CHECK;
void pinioni_http_target_free(struct target *target);

#endif
