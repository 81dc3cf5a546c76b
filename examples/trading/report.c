/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
	ROWS = STAGES + 1, /* and all of them */
	CURVE = 60         /* points */
};

/* Sorted times of one row, ns. */
struct row {
	int64_t *ns;
	size_t count;
};

static const char *
row_name(int row)
{
	return row < STAGES ? stage_names[row] : "in all";
}

static bool
went_through(const struct trade *t)
{
	return t->ending == ENDED_ORDER || t->ending == ENDED_HOLD || t->ending == ENDED_REJECTED;
}

static int64_t
time_of(const struct trade *t, int row)
{
	if (row == STAGES)
		return t->done_ns - t->due_ns;
	return t->quote.done_ns[row] - (row == 0 ? t->due_ns : t->quote.done_ns[row - 1]);
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int
row_make(struct row *row, const struct session *s, int which)
{
	*row = (struct row){ .ns = malloc(s->feed->count * sizeof *row->ns) };
	if (row->ns == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->feed->count; i++)
		if (went_through(&s->trades[i]))
			row->ns[row->count++] = time_of(&s->trades[i], which);
	qsort(row->ns, row->count, sizeof *row->ns, compare);
	return 0;
}

/* The one that so many of 1 are not above. */
static int64_t
quantile(const struct row *row, double part)
{
	size_t at = (size_t)(part * (double)row->count);

	return row->count == 0 ? 0 : row->ns[at < row->count ? at : row->count - 1];
}

/* What was done for ticks that did not come to tell of it. */
static void
print_unheard(const struct session *s, size_t orders, size_t lost)
{
	if (lost != 0)
		printf(
		    "%zu did not go through: %lld of these were ordered, %lld moved a position without an order\n",
		    lost, (long long)s->orders - (long long)orders,
		    (long long)(s->moves - s->orders));
}

int
report_print(const struct session *s)
{
	size_t count[ENDINGS] = { 0 }, through;

	for (size_t i = 0; i < s->feed->count; i++)
		count[s->trades[i].ending]++;
	through = count[ENDED_ORDER] + count[ENDED_HOLD] + count[ENDED_REJECTED];
	printf("%zu ticks:", s->feed->count);
	for (int i = 1; i < ENDINGS; i++)
		printf(" %zu %s%s", count[i], ending_names[i], i + 1 < ENDINGS ? "," : "\n");
	if (count[ENDED_REFUSED] != 0)
		printf("refused, the first of them: %s\n", s->why);
	print_unheard(s, count[ENDED_ORDER], s->feed->count - through);
	printf("\n%-12s %10s %10s %10s %10s  us, of the %zu that went through\n", "", "p50", "p99",
	    "p99.9", "max", through);
	for (int i = 0; i < ROWS; i++) {
		struct row row;
		int err = row_make(&row, s, i);

		if (err != 0)
			return err;
		printf("%-12s %10.1f %10.1f %10.1f %10.1f\n", row_name(i),
		    (double)quantile(&row, 0.5) / 1e3, (double)quantile(&row, 0.99) / 1e3,
		    (double)quantile(&row, 0.999) / 1e3, (double)quantile(&row, 1) / 1e3);
		free(row.ns);
	}
	return 0;
}

/* ---- the picture ---------------------------------------------------------------------------- */

static FILE *
open_in(const char *dir, const char *name, char *path, size_t room)
{
	(void)snprintf(path, room, "%s/%s", dir, name);
	return fopen(path, "w");
}

/* x: how many lie above, as a power of 10: 0 is all, 3 one of 1,000. */
static void
write_curve(FILE *f, const struct row *row, int which)
{
	double above = 1;

	fprintf(f, "\"%s\"\n", row_name(which));
	for (int i = 0; i <= CURVE && above * (double)row->count >= 1; i++) {
		fprintf(f, "%g %g\n", 1 / above, (double)quantile(row, 1 - above) / 1e3);
		above *= 0.83;
	}
	fprintf(f, "\n\n");
}

static int
write_curves(const struct session *s, FILE *f)
{
	int err = 0;

	for (int i = 0; i < ROWS && err == 0; i++) {
		struct row row;

		err = row_make(&row, s, i);
		if (err == 0)
			write_curve(f, &row, i);
		free(row.ns);
	}
	return err != 0 ? err : ferror(f) != 0 ? -EIO : 0;
}

static const char script[] =
    "set logscale xy\n"
    "set xtics ('0' 1, '90' 10, '99' 100, '99.9' 1000, '99.99' 10000, '99.999' 100000)\n"
    "set xlabel 'percentile'\nset ylabel 'us'\nset grid\nset key outside right\n"
    "set title 'A tick through the desk, from when it was due'\n"
    "set terminal %s size %s\nset output '%s/stages.%s'\n"
    "plot for [i=0:%d] '%s/stages.dat' index i using 1:2 with lines lw 2 title columnheader(1)\n";

/* True: it is there, and drew. */
static bool
draw(const char *dir, const char *terminal, const char *size, const char *suffix)
{
	FILE *plot = popen("gnuplot 2>/dev/null", "w");
	int status;

	if (plot == NULL)
		return false;
	(void)signal(SIGPIPE, SIG_IGN); /* where there is no gnuplot, nobody reads */
	fprintf(plot, script, terminal, size, dir, suffix, ROWS - 1, dir);
	status = pclose(plot);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int
report_plot(const struct session *s, const char *dir)
{
	char path[4096];
	FILE *f = open_in(dir, "stages.dat", path, sizeof path);
	int err = f == NULL ? -errno : write_curves(s, f);

	if (f != NULL && fclose(f) != 0 && err == 0)
		err = -errno;
	if (err != 0)
		return err;
	if (draw(dir, "pngcairo", "900,600", "png") && draw(dir, "svg", "900,600", "svg"))
		printf("\ncurves: %s/stages.png and stages.svg\n", dir);
	else
		printf("\ncurves: %s (no gnuplot to draw them with)\n", path);
	return 0;
}

/* ---- checking ------------------------------------------------------------------------------- */

bool
report_check(const struct session *s)
{
	struct plain_desk *desk = calloc(1, sizeof *desk);
	size_t wrong = 0;

	if (s->orders != s->moves) {
		fprintf(stderr, "%lld orders, and %lld positions moved\n", (long long)s->orders,
		    (long long)s->moves);
		wrong++;
	}
	for (size_t i = 0; i < s->feed->count && desk != NULL; i++) {
		const struct trade *t = &s->trades[i];
		struct quote q;

		desk_plain(desk, &s->feed->ticks[i], &q);
		if (went_through(t) && t->quote.verdict == q.verdict &&
		    t->quote.quantity == q.quantity && t->quote.price == q.price)
			continue;
		if (wrong++ == 0)
			fprintf(stderr, "tick %zu: %s, which is not what one thread decides\n", i,
			    ending_names[t->ending]);
	}
	if (desk != NULL && wrong == 0)
		printf("\nchecked: each tick ended as on one thread\n");
	free(desk);
	return desk != NULL && wrong == 0;
}
