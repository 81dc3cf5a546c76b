/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/series.h - all that was measured of one system, with the placement each turn was labelled with.
 *
 * Why       A virtual machine's cpus are moved about, which changes every figure up to fivefold. What was
 *           measured under one placement is never compared with what was measured under another.
 * Ratio     Median over rounds of (this system's median block) / (the other's median block of the same
 *           round), of rounds in which both had the placement.
 * Tail      A p99.9 of all single calls is that of the worst few rounds: one round of 200 that the machine spoiled
 *           has them all. So beside it stands the median over blocks of each one's own p99.9; a block has
 *           SERIES_TAIL_SINGLES single calls or more: a turn, or of slower calls as many turns as have them together.
 */
#ifndef PINION_BENCH_KIT_SERIES_H
#define PINION_BENCH_KIT_SERIES_H

#include "bench/kit/turn.h"

/* By the raw ping-pong's round trip: what the kernel says of caches is not true in a guest. */
enum placement {
	PLACED_SIBLINGS, /* below 80 ns */
	PLACED_SAME_L3,  /* below 250 ns */
	PLACED_OTHER_L3,
	PLACED_MIXED, /* moved during the turn: not used */
	PLACEMENTS
};

enum {
	SERIES_TAIL_SINGLES = 1000 /* of fewer a p99.9 is but their slowest */
};

struct series {
	struct turn_size size;
	unsigned rounds;
	enum placement *placed; /* one a round */
	double *raw_ns;         /* one a round: the probe behind it */
	double *middle_ns;      /* one a round: its median block, a call */
	double *blocks_ns;      /* size.blocks a round, a call */
	double *singles_ns;     /* size.singles a round */
};

struct summary {
	size_t blocks, singles;
	double raw_ns;                     /* median probe */
	double middle_ns;                  /* median block, a call */
	double ratio;                      /* to the other; 0: no round in common */
	unsigned rounds;                   /* in common */
	double p50, p99, p999, p9999, max; /* of singles, or of blocks when there are none */
	double p999_block; /* median over blocks of singles; 0: there are too few for one */
};

const char *pinioni_placement_name(enum placement p);
enum placement pinioni_placement_of(double raw_ns);

/* False: no memory. */
bool pinioni_series_init(struct series *s, const struct turn_size *size, unsigned rounds_max)
    __attribute__((warn_unused_result));
void pinioni_series_deinit(struct series *s);
/* raw_ns: the probes before and after the turn, round trips. */
void pinioni_series_add(
    struct series *s, const struct turn *t, const double raw_ns[2], double ticks_per_ns);
/* The single calls of rounds that had the placement, ns, sorted, into `to`, which has room for all. How many. */
size_t pinioni_series_singles(const struct series *s, enum placement placed, double *to);
/* False: no memory. */
bool pinioni_series_summarise(const struct series *s, const struct series *other,
    enum placement placed, struct summary *out) __attribute__((warn_unused_result));

#endif
