/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed - ticks of prices: made from a seed, written to a file, read from one.
 *
 *   ns,symbol,price,size        a line a tick, in order of time; lines that begin with # are passed over
 *   118200,7,1000423,300        118.2 us after the first, symbol 7 at 100.0423 (prices are in 1/10,000)
 *
 * The same shape and seed make the same ticks on every machine: there are only whole numbers in it. Prices walk, a few
 * symbols have most ticks, and ticks come in bursts.
 */
#ifndef TRADING_FEED_H
#define TRADING_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	SYMBOLS_MAX = 1024
};

struct tick {
	int64_t at_ns; /* after the feed's beginning */
	int64_t price; /* in 1/10,000 */
	uint32_t symbol;
	uint32_t size;
};

struct feed {
	struct tick *ticks;
	size_t count;
};

struct feed_shape {
	uint64_t seed;
	size_t ticks;
	uint32_t symbols;
	uint32_t rate; /* ticks a second, on average */
};

/* 0 or -ENOMEM. */
int feed_make(struct feed *feed, const struct feed_shape *shape);
/* 0, -errno, or -EINVAL; `why` says what is wrong, and in which line. */
int feed_read(struct feed *feed, const char *path, char *why, size_t room);
/* 0 or -errno. */
int feed_write(const struct feed *feed, const char *path);
void feed_free(struct feed *feed);

#endif
