/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/brief.h - what a host has to know of its replica beside the functions, which it has itself: constructor arguments, limits,
 * texts.
 *
 * Why       Its graph was built in another process, where handles are other numbers and options may not have been overridden:
 *           what the controller says stands.
 * Rules     As core/packed.h.
 */
#ifndef PINION_CORE_BRIEF_H
#define PINION_CORE_BRIEF_H

#include "core/registry.h"

/* The caller's. 0 or -errno. Under the runtime's lock. */
int pinioni_brief_write(const struct replica *r, int *fd) __attribute__((warn_unused_result));
/* Into a deployment made of a declaration of its own, and its replica. 0; -EBADMSG: it makes no sense, or has other methods;
 * -ENOMEM. */
int pinioni_brief_read(int fd, struct deployment *d, struct replica *r)
    __attribute__((warn_unused_result));

#endif
