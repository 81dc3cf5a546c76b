/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/report.c - tables for people, JSON for programs.
 */
#include "bench/report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <pinion/pinion.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void
read_cpu_model(char *text, size_t room)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	(void)snprintf(text, room, "unknown cpu");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *at = strchr(line, ':');

		if (at == NULL || strncmp(line, "model name", 10) != 0)
			continue;
		(void)snprintf(text, room, "%.*s", (int)strcspn(at + 2, "\n"), at + 2);
		break;
	}
	if (f != NULL)
		(void)fclose(f); /* read only */
}

static void
print_machine(const struct report *r)
{
	struct utsname kernel;
	char cpu[128];

	read_cpu_model(cpu, sizeof cpu);
	(void)uname(&kernel); /* cannot fail with this pointer */
	printf("%s, cpus %d and %d, %s %s, %s, pinion %s%s%s, idle \"%s\"\n", cpu, r->near_cpu,
	    r->far_cpu, kernel.sysname, kernel.release, COMPILER, pinion_version(),
	    r->commit == NULL ? "" : " ", r->commit == NULL ? "" : r->commit, r->idle);
	printf("clock: %.3f ticks a ns, steps by %.1f ns; timing adds %.1f ns to a single call\n",
	    r->ticks.per_ns, r->ticks.step_ns, r->ticks.empty_ns);
	printf("ns, F: median of blocks of %d back-to-back calls; p50 to max: single calls\n",
	    BLOCK_CALLS);
}

static void
print_row(const struct series *s, const struct summary *sum)
{
	printf("  %-26s %6zu %8.1f %6.2f", s->name, sum->blocks, sum->middle_ns, sum->ratio);
	if (sum->singles != 0)
		printf(" %6.0f %6.0f %7.0f %9.0f", sum->p50, sum->p99, sum->p999, sum->max);
	else
		printf(" %6s %6s %7s %9s", "-", "-", "-", "-");
	if (s->bound != 0)
		printf("   %.2f F %s", s->bound, sum->ratio <= s->bound ? "ok" : "over");
	printf("\n");
}

bool
pinioni_report_table(const struct report *r)
{
	struct summary sum;
	bool any = false;

	print_machine(r);
	for (enum placement p = 0; p < PLACED_MIXED; p++) {
		if (!pinioni_series_summarise(&r->series[0], &r->series[0], p, &sum))
			return false;
		if (sum.blocks == 0)
			continue;
		any = true;
		printf("\n%s: raw ping-pong %.0f ns%s\n", pinioni_placement_name(p), sum.raw_ns,
		    sum.blocks < 20 ? " (fewer than 20 blocks: no figures to go by)" : "");
		printf("  %-26s %6s %8s %6s %6s %6s %7s %9s   %s\n", "", "blocks", "ns", "F", "p50",
		    "p99", "p99.9", "max", "bound");
		for (unsigned i = 0; i < r->count; i++) {
			if (!pinioni_series_summarise(&r->series[i], &r->series[0], p, &sum))
				return false;
			if (sum.blocks != 0)
				print_row(&r->series[i], &sum);
		}
	}
	return any;
}

static json_t *
json_machine(const struct report *r)
{
	struct utsname kernel;
	char cpu[128];

	read_cpu_model(cpu, sizeof cpu);
	(void)uname(&kernel); /* cannot fail with this pointer */
	return json_pack("{s:s, s:[i,i], s:s, s:s, s:s, s:s, s:s?, s:{s:f, s:f, s:f}}", "cpu", cpu,
	    "cores", r->near_cpu, r->far_cpu, "kernel", kernel.release, "compiler", COMPILER,
	    "pinion", pinion_version(), "idle", r->idle, "commit", r->commit, "clock",
	    "ticks_per_ns", r->ticks.per_ns, "step_ns", r->ticks.step_ns, "empty_ns",
	    r->ticks.empty_ns);
}

static json_t *
json_row(
    const struct report *r, const struct series *s, const struct summary *sum, enum placement p)
{
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:f, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "bench",
	    r->bench, "case", s->kind, "system", s == r->series ? "floor" : "pinion", "placement",
	    pinioni_placement_name(p), "raw_ns", sum->raw_ns, "payload_bytes",
	    (int)s->payload_bytes, "samples", (json_int_t)sum->blocks, "block_ns", sum->middle_ns,
	    "p50_ns", sum->p50, "p99_ns", sum->p99, "p999_ns", sum->p999, "max_ns", sum->max,
	    "rate_per_s", sum->middle_ns > 0 ? 1e9 / sum->middle_ns : 0.0, "ratio", sum->ratio,
	    "bound", s->bound);
}

bool
pinioni_report_json(const struct report *r)
{
	json_t *results = json_array();
	json_t *all;
	bool ok = results != NULL;

	for (enum placement p = 0; p < PLACED_MIXED; p++)
		for (unsigned i = 0; i < r->count; i++) {
			struct summary sum;

			ok = ok && pinioni_series_summarise(&r->series[i], &r->series[0], p, &sum);
			if (ok && sum.blocks != 0)
				ok = json_array_append_new(
					 results, json_row(r, &r->series[i], &sum, p)) == 0;
		}
	ok = ok && json_array_size(results) != 0;
	all = json_pack("{s:o, s:o}", "machine", json_machine(r), "results", results);
	ok = ok && all != NULL && json_dumpf(all, stdout, JSON_INDENT(2)) == 0;
	printf("\n");
	json_decref(all);
	return ok;
}
