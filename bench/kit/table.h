/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/table.h - rows for people: a table for each program and placement.
 */
#ifndef PINION_BENCH_KIT_TABLE_H
#define PINION_BENCH_KIT_TABLE_H

#include "bench/kit/row.h"

/* To stdout; rows of one program lie together. */
void pinioni_table_print(const struct row *rows, unsigned count);

#endif
