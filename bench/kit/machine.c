/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/machine.c - cpu, kernel, compiler, clock.
 */
#include "bench/kit/machine.h"

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

json_t *
pinioni_machine_json(const struct kit *k)
{
	struct utsname kernel;
	char cpu[128];

	read_cpu_model(cpu, sizeof cpu);
	(void)uname(&kernel); /* cannot fail with this pointer */
	return json_pack("{s:s, s:[i,i], s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:{s:f, s:f, s:f}}",
	    "cpu", cpu, "cores", k->cpus[CPU_NEAR], k->cpus[CPU_FAR], "kernel", kernel.release,
	    "compiler", COMPILER, "flags", BENCH_FLAGS, "pinion", pinion_version(), "idle",
	    k->options.idle, "poll", k->polls.name, "commit", k->options.commit, "clock",
	    "ticks_per_ns", k->ticks.per_ns, "step_ns", k->ticks.step_ns, "empty_ns",
	    k->ticks.empty_ns);
}

bool
pinioni_machine_print(json_t *machine)
{
	const char *commit = json_string_value(json_object_get(machine, "commit")); /* or null */
	const char *cpu, *kernel, *compiler, *flags, *pinion, *idle, *poll;
	double per_ns, step_ns, empty_ns;
	int near, far;

	if (json_unpack(machine, "{s:s, s:[i,i], s:s, s:s, s:s, s:s, s:s, s:s, s:{s:F, s:F, s:F}}",
		"cpu", &cpu, "cores", &near, &far, "kernel", &kernel, "compiler", &compiler,
		"flags", &flags, "pinion", &pinion, "idle", &idle, "poll", &poll, "clock",
		"ticks_per_ns", &per_ns, "step_ns", &step_ns, "empty_ns", &empty_ns) != 0)
		return false;
	printf("%s, cpus %d and %d, Linux %s, %s%s, pinion %s%s%s, idle \"%s\", polls \"%s\"\n",
	    cpu, near, far, kernel, compiler, flags, pinion, commit == NULL ? "" : " ",
	    commit == NULL ? "" : commit, idle, poll);
	printf("clock: %.3f ticks a ns, steps by %.1f ns; timing adds %.1f ns to a single call\n",
	    per_ns, step_ns, empty_ns);
	return true;
}
