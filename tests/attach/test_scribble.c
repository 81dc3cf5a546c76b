/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A client that writes anything anywhere into what it has, at full speed, harms nobody but itself.
 * Method  For a minute (a twentieth under sanitizers): one process scribbles over its port and lanes, and makes calls meanwhile so that
 *         its messages are taken; shown out, it comes again. Beside it a process and a thread call, chain and read streams, and
 *         check every answer; their slowest call is printed.
 */
#include "tests/attach/serve.h"

#include <poll.h>
#include <sys/mman.h>
#include <time.h>

#include "core/control.h"
#include "shm/channel.h"
#include "shm/lane_memory.h"
#include "shm/port_memory.h"
#include "shm/rendezvous.h"
#include "tests/core/graph.h"

enum {
	VISIT = 400000 /* words it writes before it goes and comes again by itself */
};

static pinion_runtime *rt;
static pinion_handle worker;

static double
now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the scribbler ---------------------------------------------------------------------------- */

struct victim {
	int channel;
	struct control_terms terms;
	struct control_port port;
	struct port_memory memory;
	struct lane_memory lanes;
	uint64_t tail[64];
};

static bool
ask(int channel, struct control_message *m, struct parcel *p)
{
	struct pollfd on = { .fd = channel, .events = POLLIN };
	struct parcel out = { .bytes = m, .size = sizeof *m };

	m->magic = CONTROL_MAGIC;
	m->version = CONTROL_VERSION;
	m->layout_hash = pinioni_segment_layout_hash();
	if (pinioni_channel_send(channel, &out) != 0 || poll(&on, 1, 10000) != 1)
		return false;
	*p = (struct parcel){ .bytes = m, .size = sizeof *m };
	return pinioni_channel_receive(channel, p) == 0 && m->err == 0;
}

static bool
come_in(struct victim *v, const char *name)
{
	struct control_message m = { .kind = CONTROL_HELLO };
	struct rendezvous_error why;
	struct parcel p;
	bool ok;

	if (pinioni_rendezvous_connect(name, &v->channel, &why) != 0)
		return false;
	ok = ask(v->channel, &m, &p);
	v->terms = m.terms;
	if (ok)
		pinioni_parcel_close(&p);
	m = (struct control_message){ .kind = CONTROL_PORT, .port.arena_bytes = 1 << 18 };
	ok = ok && ask(v->channel, &m, &p);
	v->port = m.port;
	ok = ok && p.descriptor_count == 2 &&
	    pinioni_port_memory_attach(
		&v->memory, p.descriptors[0], v->terms.slots, (size_t)m.port.arena_bytes) == 0 &&
	    pinioni_lane_memory_attach(
		&v->lanes, p.descriptors[1], v->terms.workers, v->terms.lane_cells) == 0;
	if (ok)
		pinioni_parcel_close(&p);
	for (unsigned i = 0; i < 64; i++)
		v->tail[i] = v->port.first;
	return ok;
}

static void
go_out(struct victim *v)
{
	(void)close(v->channel);
	port_memory_unmap(&v->memory);
	lane_memory_unmap(&v->lanes);
}

/* A message that may make sense, or nearly. */
static void
push(struct victim *v, uint64_t *random)
{
	uint64_t x = next_random(random);
	unsigned w = (unsigned)(x % v->terms.workers);
	struct cell *cell =
	    &lane_memory_cells(&v->lanes, w)[v->tail[w] & (v->terms.lane_cells - 1)];
	uint64_t taken =
	    atomic_load_explicit(&lane_memory_head(&v->lanes, w)->taken, memory_order_acquire);
	struct message m = { .call = (v->port.generation + 1 + (x >> 8) % 4) << 16,
		.slot = (uint16_t)((x >> 16) % 64),
		.port = (uint16_t)v->port.index,
		.target = (uint16_t)((x >> 24) % 8),
		.method = (uint8_t)((x >> 32) % 16),
		.kind = (uint8_t)(1 + (x >> 40) % 2 * 2),
		.length = (uint8_t)((x >> 44) % 5 * 8),
		.refs = (uint16_t)((x >> 48) % 8 == 0) };

	if (v->tail[w] - taken >= v->terms.lane_cells)
		return; /* as a lane is used, so that what it says is taken */
	if ((x >> 60) == 0)
		for (size_t i = 0; i < sizeof m; i += 8) {
			uint64_t any = next_random(random);

			memcpy((char *)&m + i, &any, 8);
		}
	if ((x >> 56) % 4 == 0)
		m.length = RECORD_OUTSIDE;
	for (size_t i = 0; i < sizeof m.record; i += 8) {
		uint64_t any = next_random(random) >> next_random(random) % 64;

		memcpy(m.record + i, &any, 8);
	}
	cell->message = m;
	atomic_store_explicit(&cell->sequence, ++v->tail[w], memory_order_release);
}

/* Anything, anywhere; often where the host looks. */
static void
scribble(struct victim *v, uint64_t *random)
{
	uint64_t x = next_random(random), value = next_random(random) >> next_random(random) % 64;
	/* Rarely the lanes: after that they are read no more, as a rule. */
	const struct segment *s = x % 65536 == 0 ? &v->lanes.segment : &v->memory.segment;
	size_t size = s == &v->memory.segment && x % 8 < 6 ? v->memory.arena_base : s->size;

	memcpy(s->base + (x >> 8) % (size - 8), &value, 1 + (x >> 4) % 8);
}

/* Until it is killed, or has no parent any more. */
static int
play_scribbler(const char *name)
{
	uint64_t random = (uint64_t)getpid() * 2654435761u | 1;

	while (getppid() != 1) {
		struct victim v = { .channel = -1 };
		struct pollfd on = { .events = POLLIN };

		if (!come_in(&v, name)) {
			if (v.channel >= 0)
				(void)close(v.channel);
			continue;
		}
		on.fd = v.channel;
		for (unsigned i = 0; i < VISIT && (i % 4096 != 0 || poll(&on, 1, 0) == 0); i++) {
			scribble(&v, &random);
			if (i % 8 == 0)
				push(&v, &random);
		}
		go_out(&v);
	}
	return 0;
}

/* ---- who is honest ---------------------------------------------------------------------------- */

static int
be_honest(pinion_handle to, double until, double *slowest)
{
	for (int64_t i = 0; now_s() < until; i++) {
		double start = now_s();
		pinion_response a = pinion_call(to, PINION_ARGS(i));
		pinion_response b = pinion_call(pinion_method_of(to, "sum"), PINION_ARGS(a, i));
		pinion_response c = pinion_call(pinion_method_of(to, "fill"), PINION_ARGS(300));
		pinion_bytes bytes;
		int64_t x;

		GUEST_WANT(pinion_result(b, &x) == 0);
		GUEST_WANT(x == 2 * i + 1);
		GUEST_WANT(pinion_result(c, &bytes) == 0);
		GUEST_WANT(bytes.len == 300 && ((const unsigned char *)bytes.data)[299] == 7);
		pinion_release(a);
		pinion_release(b);
		pinion_release(c);
		if (now_s() - start > *slowest)
			*slowest = now_s() - start;
	}
	return 0;
}

static int
play_honest(const char *name)
{
	const char *seconds = getenv("PINION_TEST_SECONDS");
	pinion_runtime *mine;
	pinion_handle to;
	double slowest = 0;
	int err;

	GUEST_WANT(seconds != NULL && pinion_attach(&mine, name) == 0);
	GUEST_WANT(pinion_handle_find(mine, "default", NULL, &to) == 0);
	err = be_honest(to, now_s() + atof(seconds), &slowest);
	(void)fprintf(stderr, "another process: slowest of all %.1f ms\n", slowest * 1e3);
	pinion_stop(mine);
	return err;
}

static const struct role roles[] = { { "scribbler", play_scribbler }, { "honest", play_honest },
	{ NULL, NULL } };

static _Atomic unsigned visits; /* W the door  R the test */

static void
count_visits(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "is shown out") != NULL)
		atomic_fetch_add(&visits, 1);
}

static void
who_scribbles_harms_nobody_else(void **state)
{
	const char *told = getenv("PINION_TEST_SECONDS");
	double seconds = told != NULL ? atof(told) : (double)scaled(60), slowest = 0;
	char text[32];
	pid_t scribbler, honest;
	pinion_census c;

	(void)state;
	(void)snprintf(text, sizeof text, "%g", seconds);
	assert_int_equal(setenv("PINION_TEST_SECONDS", text, 1), 0);
	scribbler = guest_start("scribbler", "test");
	honest = guest_start("honest", "test");
	assert_int_equal(be_honest(worker, now_s() + seconds, &slowest), 0);
	print_message("a thread: slowest of all %.1f ms; shown out %u times\n", slowest * 1e3,
	    atomic_load(&visits));
	assert_int_equal(guest_wait(honest), 0);
	assert_int_equal(kill(scribbler, SIGKILL), 0);
	assert_int_equal(guest_wait(scribbler), -SIGKILL);
	assert_true(atomic_load(&visits) > 0);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 1 || c.requests != 0);
	graph_assert_clean(rt, 1);
}

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test", .slots = 64,
		   .lane_cells = 64, .log = count_visits) != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* Of its own slots and blocks it asks two workers to write the same at once: ThreadSanitizer is right to object. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WRITES_AT_ONCE_ARE_TOLD 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(WRITES_AT_ONCE_ARE_TOLD)
enum {
	IS_SKIPPED = 77
};
#else
enum {
	IS_SKIPPED = 0
};
#endif

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_scribbles_harms_nobody_else, start, stop),
	};
	int played = guest_main(argc, argv, roles);

	if (IS_SKIPPED != 0)
		return IS_SKIPPED;
	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
