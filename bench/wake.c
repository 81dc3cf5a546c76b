/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wake - what it costs to wake who sleeps, against the kernel's own cost; what a runtime without traffic uses.
 *
 *   near cpu   caller                far cpu   one worker, or a plain thread
 *
 *   a worker is woken   far sleeps  |  near: call, ring ---> far wakes, answers ---> near, which polls
 *                                      |<---------------- this long --------------->|
 *   a caller is woken   near sleeps |  far: answer, ring ---> near wakes, returns
 *                                      |<----- this long ---->|
 *
 * Asleep    A thread sleeps when the kernel says so, and of a worker pinion_worker_look as well; what wakes it
 *           comes SETTLE_NS later, when its cpu has nothing left to do.
 * Plain     A thread that waits on a private futex, or reads an eventfd, and writes one word: the kernel's own.
 * Idle      Processor time of the whole process while nobody calls, as a share of one cpu.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   K  bell, asked, answered   ring, ask, answer -> wait, poll   the number itself, the stamp
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/kit/rig.h"
#include "bench/kit/suite.h"

enum {
	SETTLE_NS = 20000,
	ASLEEP_MAX_MS = 10000, /* until it is given up: others may have the cpu */
	IDLE_MS = 2000,        /* that processor time is counted */
	IDLE_QUICK_MS = 200
};

static struct kit kit;
static struct rig rig;

/* ---- who sleeps ----------------------------------------------------------------------------- */

/* Threads as the kernel sees them: files of /proc. */
static int near_stat = -1, far_stat = -1, worker_stat = -1;

static int
stat_open(void)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)gettid());
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* "pid (name) S ..." */
static bool
stat_sleeps(int stat)
{
	char text[128] = "";
	const char *name_end =
	    pread(stat, text, sizeof text - 1, 0) > 0 ? strrchr(text, ')') : NULL;

	return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

/* worker: whose thread it is; NULL: a plain one. False: it does not sleep. */
static bool
await_sleep(int stat, pinion_runtime *worker)
{
	pinion_worker_status status = { .asleep = true };
	uint64_t start = ticks_monotonic_ns(), settle;

	do {
		if ((ticks_monotonic_ns() - start) / 1000000 > ASLEEP_MAX_MS)
			return false;
		if (worker != NULL)
			(void)pinion_worker_look(worker, 0, &status); /* fills status */
	} while (!status.asleep || !stat_sleeps(stat));
	for (settle = ticks_monotonic_ns(); ticks_monotonic_ns() - settle < SETTLE_NS;)
		continue;
	return true;
}

/* ---- a plain thread ------------------------------------------------------------------------- */

struct door {
	int fd;                /* an eventfd; -1: a futex */
	_Atomic uint32_t bell; /* its word; W who wakes  R who sleeps   edge K */
};

static void
door_ring(struct door *d)
{
	const uint64_t one = 1;

	if (d->fd >= 0) {
		(void)!write(d->fd, &one, sizeof one); /* rings do not add up to its limit */
		return;
	}
	/* K */
	(void)atomic_fetch_add_explicit(&d->bell, 1, memory_order_release);
	(void)syscall(SYS_futex, &d->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* seen: rings before this one. Ended by door_ring. */
static void
door_wait(struct door *d, uint32_t seen)
{
	uint64_t count;

	if (d->fd >= 0) {
		(void)!read(d->fd, &count, sizeof count); /* no signal interrupts it */
		return;
	}
	/* K */
	while (atomic_load_explicit(&d->bell, memory_order_acquire) == seen)
		(void)syscall(SYS_futex, &d->bell, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

/* A near and a far thread, one of which sleeps at its door. */
struct plain {
	struct door door;
	uint64_t count;            /* of this turn */
	_Atomic uint64_t asked;    /* W near  R far   edge K */
	_Atomic uint64_t answered; /* W far  R near   edge K */
	_Atomic uint64_t stamp;    /* ticks; W far before it rings  R near */
};

static struct plain futex_far = { .door.fd = -1 }, futex_near = { .door.fd = -1 }, eventfd_far,
		    eventfd_near;

/* Far: sleeps, answers. */
static void
answer_woken(void *arg)
{
	struct plain *p = arg;

	for (uint64_t n = 1; n <= p->count; n++) {
		door_wait(&p->door, (uint32_t)n - 1);
		/* K */
		atomic_store_explicit(&p->answered, n, memory_order_release);
	}
}

static bool
wake_far(void *arg, uint64_t i, uint64_t *ticks)
{
	struct plain *p = arg;
	bool slept = await_sleep(far_stat, NULL);
	uint64_t start = ticks_now();
	bool came;

	door_ring(&p->door);
	came = pingpong_poll(&kit.lines, &p->answered, i + 1);
	*ticks = ticks_now() - start;
	return slept && came;
}

/* Far: is asked, lets near fall asleep, wakes it. */
static void
wake_asker(void *arg)
{
	struct plain *p = arg;

	for (uint64_t n = 1; n <= p->count; n++) {
		bool asked = pingpong_poll(&kit.lines, &p->asked, n);
		bool slept = asked && await_sleep(near_stat, NULL);

		/* relaxed: near reads it when it was woken. */
		atomic_store_explicit(&p->stamp, slept ? ticks_now() : 0, memory_order_relaxed);
		door_ring(&p->door);
	}
}

static bool
sleep_near(void *arg, uint64_t i, uint64_t *ticks)
{
	struct plain *p = arg;
	uint64_t stamp;

	/* K */
	atomic_store_explicit(&p->asked, i + 1, memory_order_release);
	door_wait(&p->door, (uint32_t)i);
	/* relaxed: written before the ring. */
	stamp = atomic_load_explicit(&p->stamp, memory_order_relaxed);
	*ticks = ticks_now() - stamp;
	return stamp != 0;
}

static bool
turn_plain(struct plain *p, struct turn *t, far_work *work, turn_timed *call)
{
	pingpong_reset(&kit.lines, kit.polls.steps, false);
	p->count = turn_calls(&t->size);
	/* relaxed thrice: the far thread is started by a call made after this. */
	atomic_store_explicit(&p->door.bell, 0, memory_order_relaxed);
	atomic_store_explicit(&p->asked, 0, memory_order_relaxed);
	atomic_store_explicit(&p->answered, 0, memory_order_relaxed);
	pinioni_far_begin(&kit.far, work, p);
	turn_drive_timed(t, call, p);
	pinioni_far_end(&kit.far);
	return true;
}

static bool
turn_far(void *arg, struct turn *t)
{
	return turn_plain(arg, t, answer_woken, wake_far);
}

static bool
turn_near(void *arg, struct turn *t)
{
	return turn_plain(arg, t, wake_asker, sleep_near);
}

/* ---- a worker, its caller --------------------------------------------------------------------- */

/* Answers when its caller sleeps, with the time then; 0: it does not. */
static int
late(void *replica, pinion_request *req)
{
	bool slept = await_sleep(near_stat, NULL);

	(void)replica;
	return pinion_reply(req, slept ? ticks_now() : UINT64_C(0));
}

static int
open_stat(void *replica, pinion_request *req)
{
	(void)replica;
	worker_stat = stat_open();
	return pinion_reply(req, worker_stat >= 0);
}

static const pinion_deployment answer = {
	.name = "Answer",
	.methods =
	    PINION_METHODS(RIG_NUMBER, PINION_METHOD("late", late, .returns = PINION_RETURNS_U64),
		PINION_METHOD("open_stat", open_stat, .returns = PINION_RETURNS_BOOL), RIG_WHERE),
};

static const struct rig_app answer_app = RIG_APP(&answer, .num_replicas = 1);

static pinion_handle to;

/* The caller only polls: it is not to sleep itself while the worker wakes. */
static bool
call_polled(void *arg, uint64_t i, uint64_t *ticks)
{
	bool slept = await_sleep(worker_stat, rig.runtime);
	uint64_t start = ticks_now(), got = 0;
	pinion_response r = pinion_call_on(rig.port, to, PINION_ARGS(i));
	int err;

	(void)arg;
	do
		err = pinion_result_within(r, 0, &got);
	while (err == -EAGAIN);
	*ticks = ticks_now() - start;
	pinion_release_on(rig.port, r);
	return slept && err == 0 && got == i + 1;
}

/* As a user calls: the caller polls for a while, then sleeps too. */
static bool
call(void *arg, uint64_t i, uint64_t *ticks)
{
	bool slept = await_sleep(worker_stat, rig.runtime);
	uint64_t start = ticks_now(), got = 0;
	pinion_response r = pinion_call_on(rig.port, to, PINION_ARGS(i));
	int err = pinion_result_on(rig.port, r, &got);

	(void)arg;
	*ticks = ticks_now() - start;
	pinion_release_on(rig.port, r);
	return slept && err == 0 && got == i + 1;
}

static bool
call_late(void *arg, uint64_t i, uint64_t *ticks)
{
	pinion_response r = pinion_call_on(rig.port, pinion_method_of(to, "late"), PINION_ARGS());
	uint64_t stamp = 0;
	int err = pinion_result_on(rig.port, r, &stamp);

	(void)arg;
	(void)i;
	*ticks = ticks_now() - stamp;
	pinion_release_on(rig.port, r);
	return err == 0 && stamp != 0;
}

static bool
turn_polled(void *arg, struct turn *t)
{
	turn_drive_timed(t, call_polled, arg);
	return true;
}

static bool
turn_call_waits(void *arg, struct turn *t)
{
	turn_drive_timed(t, call, arg);
	return true;
}

static bool
turn_late(void *arg, struct turn *t)
{
	turn_drive_timed(t, call_late, arg);
	return true;
}

static void
end(void *arg)
{
	(void)arg;
	pinioni_rig_sleep(&rig);
}

/* ---- without traffic -------------------------------------------------------------------------- */

static double
used_ns(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail with this pointer */
	return 1e9 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    1e3 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* In percent of one cpu. */
static double
idle_share(void)
{
	unsigned ms = kit.options.quick ? IDLE_QUICK_MS : IDLE_MS;
	struct timespec nap = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	double start = (double)ticks_monotonic_ns(), used = used_ns();

	(void)nanosleep(&nap, NULL);
	return 100 * (used_ns() - used) / ((double)ticks_monotonic_ns() - start);
}

/* strategy: NULL: no runtime at all. */
static const struct idling {
	const char *strategy, *name, *case_name;
	double bound;
} idlings[] = {
	{ NULL, "no runtime", "idle-none", 0 },
	{ "adaptive", "no traffic, idle strategy adaptive", "idle-adaptive", 0.2 },
	{ "yield", "no traffic, idle strategy yield", "idle-yield", 0 },
	{ "spin", "no traffic, idle strategy spin", "idle-spin", 0 },
};

static bool
add_idle(struct report *r, const struct idling *i)
{
	struct row row = { .name = i->name,
		.case_name = i->case_name,
		.system = i->strategy == NULL ? "machine" : "pinion",
		.samples = 1,
		.unit = "%",
		.bound = i->bound,
		.bounds_value = true };
	const pinion_start_options options = { .idle = i->strategy };
	struct rig idle;
	bool ok = i->strategy == NULL || pinioni_rig_start(&idle, &kit, "idle", 1, options);

	/* What a worker does after its last call is not idling. One that spins never sleeps. */
	if (ok && i->strategy != NULL)
		pinioni_rig_sleep(&idle);
	if (ok)
		row.value = idle_share();
	if (i->strategy != NULL)
		pinioni_rig_stop(&idle);
	return ok && pinioni_report_add(r, &row);
}

static bool
measure_idle(struct report *r)
{
	bool ok = pinioni_cpus_free(kit.cpus);

	for (unsigned i = 0; i < sizeof idlings / sizeof idlings[0] && ok; i++)
		ok = add_idle(r, &idlings[i]);
	return ok;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void
open_far_stat(void *arg)
{
	(void)arg;
	far_stat = stat_open();
}

static bool
open_worker_stat(void)
{
	pinion_response r =
	    pinion_call_on(rig.port, pinion_method_of(to, "open_stat"), PINION_ARGS());
	bool opened = false;
	int err = pinion_result_on(rig.port, r, &opened);

	pinion_release_on(rig.port, r);
	return err == 0 && opened;
}

static bool
prepare(void)
{
	pinioni_far_begin(&kit.far, open_far_stat, NULL);
	pinioni_far_end(&kit.far);
	near_stat = stat_open();
	eventfd_far.door.fd = eventfd(0, EFD_CLOEXEC);
	eventfd_near.door.fd = eventfd(0, EFD_CLOEXEC);
	return near_stat >= 0 && far_stat >= 0 && eventfd_far.door.fd >= 0 &&
	    eventfd_near.door.fd >= 0 && pinioni_rig_run(&rig, &answer_app, 0, &to) &&
	    open_worker_stat();
}

enum {
	FUTEX_FAR = 1, /* systems that others are compared with */
	FUTEX_NEAR = 5
};

#define WOKEN(label, case_, system_, against_, turn_, ...) \
	{ \
		.name = (label), .case_name = (case_), .system = (system_), .pace = CALLS_SLOW, \
		.against = (against_), .turn = (turn_), __VA_ARGS__ \
	}

static bool
measure(struct report *report)
{
	const struct system systems[] = {
		SYSTEM_FLOOR(&kit),
		[FUTEX_FAR] = WOKEN("plain thread, woken by futex", "wake-worker", "futex",
		    FUTEX_FAR, turn_far, .arg = &futex_far),
		WOKEN("plain thread, woken by eventfd", "wake-worker", "eventfd", FUTEX_FAR,
		    turn_far, .arg = &eventfd_far),
		WOKEN("call to a sleeping worker", "wake-worker", "pinion", FUTEX_FAR, turn_polled,
		    .end = end),
		WOKEN("the same, caller sleeps after 10 us", "wake-both", "pinion", FUTEX_FAR,
		    turn_call_waits, .end = end),
		[FUTEX_NEAR] = WOKEN("plain caller, woken by futex", "wake-caller", "futex",
		    FUTEX_NEAR, turn_near, .arg = &futex_near),
		WOKEN("plain caller, woken by eventfd", "wake-caller", "eventfd", FUTEX_NEAR,
		    turn_near, .arg = &eventfd_near),
		WOKEN("sleeping caller, woken by its answer", "wake-caller", "pinion", FUTEX_NEAR,
		    turn_late, .end = end),
	};

	return prepare() &&
	    pinioni_suite_run(report, systems, sizeof systems / sizeof systems[0]) &&
	    measure_idle(report) && pinioni_report_print(report);
}

int
main(int argc, char **argv)
{
	struct report report = { .kit = &kit };
	int code = pinioni_kit_start(&kit, "wake",
	    "Waking a worker, waking a caller, and processor time without traffic.", argc, argv);
	bool ok;

	if (code != 0)
		return code;
	ok = pinioni_rig_start(
		 &rig, &kit, "wake", 1, (pinion_start_options){ .idle = "adaptive" }) &&
	    measure(&report);
	pinioni_report_free(&report);
	pinioni_rig_stop(&rig);
	pinioni_kit_stop(&kit);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
