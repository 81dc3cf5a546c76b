/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/start.h - a runtime with the applications of a config.
 */
#ifndef PINION_CLI_START_H
#define PINION_CLI_START_H

#include "config.h"

/* Loads the modules, then starts. -1, with what is wrong and where it was said; then nothing runs. log: NULL, silent. */
int pinioni_start(const struct config *config, pinion_log_fn *log, pinion_runtime **rt,
    pinion_diag *diag) PINION_MUST_CHECK;

#endif
