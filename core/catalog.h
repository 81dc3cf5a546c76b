/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/catalog.h - what runs, as bytes: the declarations that a caller in another process checks its arguments against.
 *
 *   mark, version | deployments in all, in here, applications |
 *   deployment: number, routing, name, application, route, methods | method: name, flags, result, parameters | ...
 *   application: name, prefix, ingress, first deployment, how many | ...
 *   numbers of 8 bytes; a text is its length with its end, then its bytes, to a multiple of 8
 *
 * Why       A handle names a deployment and a method by number; what they take is declared in a program that the caller
 *           has not. It is copied once, when somebody attaches or asks for a name that he does not know yet.
 * Rules     Written to a sealed file that the reader copies; every length is checked against what is left.
 * Threads   Under the runtime's lock.
 */
#ifndef PINION_CORE_CATALOG_H
#define PINION_CORE_CATALOG_H

#include "core/runtime.h"

struct catalog; /* what the declarations that were read point to */

/* Deployments from `from` on, and all applications. The descriptor is the caller's. 0 or -errno. */
int pinioni_catalog_write(const struct pinion_runtime *rt, uint32_t from, int *fd)
    __attribute__((warn_unused_result));
/* Adds what is new. 0; -EBADMSG: it makes no sense; -ENOMEM: then nothing is added. */
int pinioni_catalog_read(struct pinion_runtime *rt, int fd) __attribute__((warn_unused_result));
/* The same of bytes in memory that others do not write. */
int pinioni_catalog_parse(struct pinion_runtime *rt, const unsigned char *bytes, size_t size)
    __attribute__((warn_unused_result));
/* After the deployments that were made of them. */
void pinioni_catalogs_free(struct catalog *list);

#endif
