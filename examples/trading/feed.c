/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_PRICE = 1000000, /* 100.0000 */
	STEP = 250,            /* of a price, at most, and up or down */
	BURST = 16             /* ticks that come one right after the other */
};

/* ---- making --------------------------------------------------------------------------------- */

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* The lesser of two: low numbers come most often. */
static uint32_t
some_symbol(uint64_t *state, uint32_t symbols)
{
	uint32_t a = (uint32_t)(next_random(state) % symbols);
	uint32_t b = (uint32_t)(next_random(state) % symbols);

	return a < b ? a : b;
}

/* Half of all ticks come in bursts, and the others are as much rarer. */
static int64_t
some_gap(uint64_t *state, int64_t mean_ns, unsigned *burst)
{
	if (*burst != 0) {
		(*burst)--;
		return mean_ns / 16 + 1;
	}
	if (next_random(state) % BURST == 0)
		*burst = BURST;
	return 1 + (int64_t)(next_random(state) % (uint64_t)(4 * mean_ns));
}

int
feed_make(struct feed *feed, const struct feed_shape *shape)
{
	int64_t prices[SYMBOLS_MAX], at = 0, mean_ns = 1000000000 / shape->rate;
	uint64_t state = shape->seed;
	unsigned burst = 0;

	feed->count = shape->ticks;
	feed->ticks = calloc(shape->ticks, sizeof *feed->ticks);
	if (feed->ticks == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < SYMBOLS_MAX; i++)
		prices[i] = FIRST_PRICE;
	for (size_t i = 0; i < shape->ticks; i++) {
		uint32_t symbol = some_symbol(&state, shape->symbols);
		int64_t step = (int64_t)(next_random(&state) % (2 * STEP + 1)) - STEP;

		/* Back towards where it began, a little: it stays above 0. */
		prices[symbol] += step + (FIRST_PRICE - prices[symbol]) / 64;
		feed->ticks[i] = (struct tick){ .at_ns = at,
			.price = prices[symbol],
			.symbol = symbol,
			.size = 100 * (1 + (uint32_t)(next_random(&state) % 9)) };
		at += some_gap(&state, mean_ns, &burst);
	}
	return 0;
}

void
feed_free(struct feed *feed)
{
	free(feed->ticks);
	feed->ticks = NULL;
}

/* ---- files ---------------------------------------------------------------------------------- */

int
feed_write(const struct feed *feed, const char *path)
{
	FILE *f = fopen(path, "w");
	int err = 0;

	if (f == NULL)
		return -errno;
	fprintf(f, "# ns,symbol,price,size\n");
	for (size_t i = 0; i < feed->count; i++) {
		const struct tick *t = &feed->ticks[i];

		fprintf(f, "%" PRId64 ",%" PRIu32 ",%" PRId64 ",%" PRIu32 "\n", t->at_ns, t->symbol,
		    t->price, t->size);
	}
	if (ferror(f) != 0)
		err = -EIO;
	if (fclose(f) != 0 && err == 0)
		err = -errno;
	return err;
}

/* A whole number from 0 to most, and behind it this character. *at: behind that. */
static int
read_number(const char **at, char behind, int64_t most, int64_t *number)
{
	char *end;

	if (**at < '0' || **at > '9')
		return -EINVAL;
	errno = 0;
	*number = strtoll(*at, &end, 10);
	if (errno != 0 || *end != behind || *number > most)
		return -EINVAL;
	*at = end + 1;
	return 0;
}

/* NULL, or what is wrong with it. */
static const char *
read_tick(const char *line, int64_t after, struct tick *t)
{
	int64_t symbol, size;

	if (read_number(&line, ',', INT64_MAX / 2, &t->at_ns) != 0 || t->at_ns < after)
		return "the time is no number of ns, or before the last";
	if (read_number(&line, ',', SYMBOLS_MAX - 1, &symbol) != 0)
		return "the symbol is no number from 0 to 1023";
	if (read_number(&line, ',', INT32_MAX, &t->price) != 0 || t->price == 0)
		return "the price is no number from 1 to 2147483647";
	if (read_number(&line, '\0', INT32_MAX, &size) != 0)
		return "the size is no number up to 2147483647, or something is behind it";
	t->symbol = (uint32_t)symbol;
	t->size = (uint32_t)size;
	return NULL;
}

static int
append(struct feed *feed, size_t *room, const struct tick *t)
{
	if (feed->count == *room) {
		size_t more = *room == 0 ? 1024 : 2 * *room;
		struct tick *grown = realloc(feed->ticks, more * sizeof *grown);

		if (grown == NULL)
			return -ENOMEM;
		feed->ticks = grown;
		*room = more;
	}
	feed->ticks[feed->count++] = *t;
	return 0;
}

static int
read_lines(struct feed *feed, FILE *f, const char *path, char *why, size_t why_room)
{
	char *line = NULL;
	size_t line_room = 0, room = 0;
	int64_t after = 0;
	int err = 0;

	for (unsigned long n = 1; err == 0 && getline(&line, &line_room, f) >= 0; n++) {
		struct tick t;
		const char *wrong;

		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0'; /* the last may have none */
		wrong = read_tick(line, after, &t);
		if (wrong != NULL) {
			(void)snprintf(why, why_room, "%s:%lu: %s", path, n, wrong);
			err = -EINVAL;
			break;
		}
		after = t.at_ns;
		err = append(feed, &room, &t);
	}
	free(line);
	if (err == 0 && ferror(f) != 0)
		err = -EIO;
	if (err == 0 && feed->count == 0) {
		(void)snprintf(why, why_room, "%s: there is no tick in it", path);
		return -EINVAL;
	}
	return err;
}

int
feed_read(struct feed *feed, const char *path, char *why, size_t room)
{
	FILE *f = fopen(path, "r");
	int err = f == NULL ? -errno : 0;

	*feed = (struct feed){ NULL, 0 };
	why[0] = '\0';
	if (f != NULL) {
		err = read_lines(feed, f, path, why, room);
		(void)fclose(f); /* only read */
	}
	if (err != 0 && why[0] == '\0')
		(void)snprintf(why, room, "%s: %s", path, strerror(-err));
	if (err != 0)
		feed_free(feed);
	return err;
}
