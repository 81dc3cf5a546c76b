/* SPDX-License-Identifier: Apache-2.0 */
/*
 * size - what a port, a worker, a replica and a suspended request take of memory: the difference that many of
 * them make to this process, by how many they are.
 *
 *   look | make N of them | look      virtual     mapped
 *                                     committed   what the kernel has set aside: private pages that were touched,
 *                                                 and what segments hold, touched or not
 *                                     resident    of that, what is in this process's page tables (Pss)
 *
 * Suspended   In pinion_sleep, by a clock that stands until all were counted.
 * Freed       Memory goes back to the kernel at once, else it would hide what is taken next. Each thing has a
 *             runtime of its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/kit/report.h"
#include "bench/kit/rig.h"

enum {
	PORTS = 64,
	WORKERS = 16,
	REPLICAS = 200,
	STATE_BYTES = 64, /* of a replica */
	SUSPENDED_FEW = 64,
	SUSPENDED = 896,
	SUSPENDED_ALL = SUSPENDED_FEW + SUSPENDED,
	SUSPENDED_MAX_MS = 10000 /* until they are */
};

/* Read by jemalloc when the process begins. */
extern const char *malloc_conf;
const char *malloc_conf = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0";

static struct kit kit;

/* ---- what this process takes ------------------------------------------------------------------ */

enum figure {
	VIRTUAL,
	COMMITTED,
	RESIDENT,
	FIGURES
};

struct footprint {
	double bytes[FIGURES];
};

/* A line "key:   123 kB" of a file; 0: there is none. */
static double
read_kib(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	double bytes = 0;

	while (f != NULL && bytes == 0 && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			bytes = 1024 * strtod(line + strlen(key), NULL);
	if (f != NULL)
		(void)fclose(f); /* read only */
	return bytes;
}

/* What the segments of this process hold, by their descriptors. */
static double
read_segments(void)
{
	DIR *folder = opendir("/proc/self/fd");
	double bytes = 0;

	for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
		char target[64] = "";
		struct stat stat;

		if (readlinkat(dirfd(folder), e->d_name, target, sizeof target - 1) > 0 &&
		    strncmp(target, "/memfd:pinion-", 14) == 0 &&
		    fstatat(dirfd(folder), e->d_name, &stat, 0) == 0)
			bytes += 512 * (double)stat.st_blocks;
	}
	if (folder != NULL)
		(void)closedir(folder); /* read only */
	return bytes;
}

static struct footprint
look(void)
{
	struct footprint f;
	double shared = read_kib("/proc/self/smaps_rollup", "Pss_Shmem:");

	f.bytes[VIRTUAL] = read_kib("/proc/self/status", "VmSize:");
	f.bytes[RESIDENT] = read_kib("/proc/self/smaps_rollup", "Pss:");
	f.bytes[COMMITTED] = f.bytes[RESIDENT] - shared + read_segments();
	return f;
}

struct thing {
	const char *names[FIGURES], *cases[FIGURES];
	unsigned count;
};

#define THING(label, name, count_) \
	{ \
		{ label ": virtual", label ": committed", label ": resident" }, \
		    { name "-virtual", name "-committed", name "-resident" }, (count_) \
	}

static bool
add_rows(struct report *r, const struct thing *thing, const struct footprint *before)
{
	struct footprint after = look();
	bool ok = true;

	for (unsigned i = 0; i < FIGURES && ok; i++)
		ok = pinioni_report_add(r,
		    &(struct row){ .name = thing->names[i],
			.case_name = thing->cases[i],
			.system = "pinion",
			.samples = thing->count,
			.value = (after.bytes[i] - before->bytes[i]) / thing->count,
			.unit = "bytes" });
	return ok;
}

/* ---- deployments ------------------------------------------------------------------------------ */

static int
number(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0) + 1);
}

static int
nap(void *replica, pinion_request *req)
{
	uint64_t x = pinion_arg_u64(req, 0);
	int err = pinion_sleep(req, 1);

	(void)replica;
	return err != 0 ? err : pinion_reply(req, x + 1);
}

#define ONE_U64 .params = PINION_PARAMS(PINION_U64("x")), .returns = PINION_RETURNS_U64

static const pinion_deployment answer = {
	.name = "Answer",
	.replica_size = STATE_BYTES,
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, number, ONE_U64), PINION_METHOD("nap", nap, ONE_U64)),
};

static const struct rig_app one_app = RIG_APP(&answer, .max_ongoing_requests = SUSPENDED_ALL);
static const struct rig_app many_app = RIG_APP(&answer, .num_replicas = REPLICAS);

static bool
is_answered(pinion_port *port, pinion_response r, uint64_t wanted)
{
	uint64_t got = 0;
	int err = pinion_result_on(port, r, &got);

	pinion_release_on(port, r);
	return err == 0 && got == wanted;
}

/* ---- things --------------------------------------------------------------------------------- */

/* A runtime of one worker, and an application in it. */
struct side {
	pinion_runtime *rt;
	pinion_handle to;
	_Atomic uint64_t clock_ns; /* W this thread  R all */
};

/* Ports that this thread has open. */
static bool
measure_ports(struct report *r, struct side *s)
{
	static const struct thing opened = THING("port, opened", "port", PORTS);
	static const struct thing used = THING("port, one call made", "port-used", PORTS);
	struct footprint before = look();
	pinion_port *ports[PORTS];
	unsigned count = 0;
	bool ok = true;

	while (count < PORTS && ok) {
		ok = pinion_port_open(s->rt, &ports[count]) == 0;
		count += ok;
	}
	ok = ok && add_rows(r, &opened, &before);
	for (unsigned i = 0; i < count && ok; i++)
		ok = is_answered(
		    ports[i], pinion_call_on(ports[i], s->to, PINION_ARGS(UINT64_C(1))), 2);
	ok = ok && add_rows(r, &used, &before);
	while (count > 0)
		pinion_port_close(ports[--count]);
	return ok;
}

static bool
measure_replicas(struct report *r, struct side *s)
{
	static const struct thing thing = THING("replica of 64 bytes", "replica", REPLICAS);
	struct footprint before = look();
	pinion_handle to;

	return pinion_run(s->rt, pinioni_rig_build, &to, .name = "many",
		   .config = &many_app.config) == 0 &&
	    add_rows(r, &thing, &before);
}

static bool
await_suspended(pinion_runtime *rt, uint64_t count)
{
	uint64_t start = ticks_monotonic_ns();
	pinion_census census;

	do {
		if ((ticks_monotonic_ns() - start) / 1000000 > SUSPENDED_MAX_MS)
			return false;
		pinion_census_take(rt, &census);
	} while (census.fibers < count);
	return true;
}

/* The first ones take what many share. */
static bool
measure_suspended(struct report *r, struct side *s)
{
	static const struct thing thing = THING("suspended request", "suspended", SUSPENDED);
	static pinion_response calls[SUSPENDED_ALL];
	pinion_port *port = pinion_port_mine(s->rt);
	pinion_handle to = pinion_method_of(s->to, "nap");
	struct footprint before;
	uint64_t i = 0;
	bool ok;

	for (; i < SUSPENDED_FEW; i++)
		calls[i] = pinion_call_on(port, to, PINION_ARGS(i));
	ok = await_suspended(s->rt, i);
	before = look();
	for (; i < SUSPENDED_ALL; i++)
		calls[i] = pinion_call_on(port, to, PINION_ARGS(i));
	ok = ok && await_suspended(s->rt, i) && add_rows(r, &thing, &before);
	/* relaxed: the number is all there is. */
	atomic_store_explicit(&s->clock_ns, 1000, memory_order_relaxed);
	while (i > 0) {
		i--;
		ok = is_answered(port, calls[i], i + 1) && ok;
	}
	return ok;
}

static bool
start(pinion_runtime **rt, int workers, pinion_clock clock)
{
	pinion_diag diag = { "" };
	int err = pinion_start(rt, .workers = workers, .idle = "adaptive", .poll = kit.polls.name,
	    .clock = clock, .diag = &diag);

	if (err != 0)
		fprintf(stderr, "size: %s: %s\n", strerror(-err), diag.text);
	return err == 0;
}

static uint64_t
read_clock(void *word)
{
	const _Atomic uint64_t *ns = word;

	/* relaxed: the number is all there is. */
	return atomic_load_explicit(ns, memory_order_relaxed);
}

static bool
measure_in_one(struct report *r, bool (*measure)(struct report *r, struct side *s))
{
	struct side s = { .clock_ns = 1 };
	bool ok = start(&s.rt, 1, (pinion_clock){ read_clock, &s.clock_ns }) &&
	    pinion_run(s.rt, pinioni_rig_build, &s.to, .config = &one_app.config) == 0 &&
	    measure(r, &s);

	pinion_stop(s.rt);
	return ok;
}

/* Beside as many others: each has a lane to each. */
static bool
measure_workers(struct report *r)
{
	static const struct thing thing = THING("worker, of 17", "worker", WORKERS);
	struct footprint before = look(), one;
	pinion_runtime *rt = NULL;
	bool ok = start(&rt, 1, pinion_clock_monotonic());

	one = look();
	pinion_stop(rt);
	for (unsigned i = 0; i < FIGURES; i++)
		one.bytes[i] -= before.bytes[i];
	before = look();
	for (unsigned i = 0; i < FIGURES; i++)
		before.bytes[i] += one.bytes[i]; /* a runtime with one */
	rt = NULL;
	ok =
	    ok && start(&rt, 1 + WORKERS, pinion_clock_monotonic()) && add_rows(r, &thing, &before);
	pinion_stop(rt);
	return ok;
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(&kit, "size",
	    "Memory of a port, a worker, a replica, a suspended request.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = measure_in_one(&report, measure_ports) && measure_in_one(&report, measure_replicas) &&
	    measure_in_one(&report, measure_suspended) && measure_workers(&report);
	if (!ok)
		fprintf(stderr, "size: something did not work\n");
	ok = ok && pinioni_report_print(&report);
	pinioni_report_free(&report);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
