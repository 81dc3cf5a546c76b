/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/module.h - a shared object with an application in it: FILE.so[:symbol].
 *
 * Memory   A module stays loaded until the process ends: replicas and tasks run its code.
 */
#ifndef PINION_CLI_MODULE_H
#define PINION_CLI_MODULE_H

#include <pinion/pinion.h>

/* The builder that PINION_APP(symbol) declared; symbol is "app" when not given. 0, or -1 with `diag`. */
int pinioni_module_open(
    const char *spec, pinion_builder **builder, pinion_diag *diag) PINION_MUST_CHECK;

/* Of FILE.so in it; behind it is ":symbol", or nothing. */
size_t pinioni_module_path_length(const char *spec);

#endif
