/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report - what a session came to: how its ticks ended, how long each stage took, and a picture of that.
 *
 *   a stage   from the end of the one before it, waiting included; the first from when the tick was due
 *   in all    until the answer was harvested
 */
#ifndef TRADING_REPORT_H
#define TRADING_REPORT_H

#include "session.h"

/* 0 or -ENOMEM. */
int report_print(const struct session *s);
/* DIR/stages.dat, and with gnuplot stages.png and stages.svg. 0 or -errno; what was written is said. */
int report_plot(const struct session *s, const char *dir);
/* The same feed on one thread, in order: true if each tick ended as it does there; else it is said which did not. */
bool report_check(const struct session *s);

#endif
