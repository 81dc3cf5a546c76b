/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever comes through the socket, from either side, is answered with an error of its own and one sentence, or shown out;
 *         nothing is half attached, and nobody else notices.
 * Method  The raw protocol: a client that says what it should not, and a controller that answers so.
 */
#include "tests/attach/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "core/control.h"
#include "core/request.h"
#include "core/limits.h"
#include "shm/channel.h"
#include "shm/directory.h"
#include "shm/rendezvous.h"
#include "tests/core/graph.h"

static pinion_runtime *rt;
static pinion_handle worker;

static int
start(void **state)
{
	(void)state;
	return pinion_start(&rt, .workers = 2, .no_pin = true, .listen = "test", .slots = 64,
		   .lane_cells = 64) != 0 ||
	    pinion_run(rt, graph_build_workers, &worker) != 0;
}

static int
stop(void **state)
{
	(void)state;
	pinion_stop(rt);
	return 0;
}

/* ---- a client by hand ------------------------------------------------------------------------- */

static struct control_message
message_of(enum control_kind kind)
{
	return (struct control_message){ .magic = CONTROL_MAGIC,
		.version = CONTROL_VERSION,
		.layout_hash = pinioni_segment_layout_hash(),
		.kind = kind };
}

static int
connect_raw(void)
{
	struct rendezvous_error why;
	int channel;

	assert_int_equal(pinioni_rendezvous_connect("test", &channel, &why), 0);
	return channel;
}

static void
say(int channel, void *bytes, size_t size)
{
	const struct parcel p = { .bytes = bytes, .size = size };

	assert_int_equal(pinioni_channel_send(channel, &p), 0);
}

/* 0, or -EPIPE: shown out. */
static int
hear(int channel, struct control_message *m, struct parcel *p)
{
	struct pollfd on = { .fd = channel, .events = POLLIN };
	int err;

	*p = (struct parcel){ .bytes = m, .size = sizeof *m };
	do {
		assert_int_equal(poll(&on, 1, 10000), 1);
		err = pinioni_channel_receive(channel, p);
	} while (err == -EAGAIN);
	return err;
}

/* The answer's err; the descriptors that came are closed. */
static int
ask(int channel, struct control_message *m)
{
	struct parcel p;

	say(channel, m, sizeof *m);
	if (hear(channel, m, &p) != 0)
		return -EPIPE;
	pinioni_parcel_close(&p);
	return m->err;
}

static int
greeted(void)
{
	struct control_message m = message_of(CONTROL_HELLO);
	int channel = connect_raw();

	assert_int_equal(ask(channel, &m), 0);
	return channel;
}

static bool
is_shown_out(int channel)
{
	struct control_message m;
	struct parcel p;
	int err;

	while ((err = hear(channel, &m, &p)) == 0)
		pinioni_parcel_close(&p);
	(void)close(channel);
	return err == -EPIPE;
}

static void
assert_well(void)
{
	pinion_census c;

	assert_int_equal(graph_i64(pinion_call(worker, PINION_ARGS(1))), 2);
	do
		pinion_census_take(rt, &c);
	while (c.ports != 1 || pinion_client_look(rt, 0, NULL) != 0);
}

static void
another_build_is_told_so(void **state)
{
	struct control_message m = message_of(CONTROL_HELLO);
	int channel = connect_raw();

	(void)state;
	m.layout_hash ^= 1;
	assert_int_equal(ask(channel, &m), -EPROTO);
	assert_non_null(strstr(m.text, "another build"));
	m = message_of(CONTROL_HELLO);
	m.version++;
	assert_int_equal(ask(channel, &m), -EPROTO);
	/* Of a version whose messages are shorter: what stays the same is enough. */
	say(channel, &m, offsetof(struct control_message, kind) + 8);
	(void)close(channel);
	assert_well();
}

static void
nonsense_is_shown_out(void **state)
{
	unsigned char bytes[4096];
	uint64_t random = seed() | 1;

	(void)state;
	for (unsigned i = 0; i < scaled(400); i++) {
		int channel = i % 2 == 0 ? connect_raw() : greeted();
		size_t size = 1 + next_random(&random) % sizeof bytes;

		for (size_t k = 0; k < size; k++)
			bytes[k] = (unsigned char)next_random(&random);
		if (i % 3 == 0 && size >= 8)
			memcpy(bytes, &(uint64_t){ CONTROL_MAGIC }, 8);
		say(channel, bytes, size);
		assert_true(is_shown_out(channel));
	}
	assert_well();
}

static void
questions_before_the_greeting_are_shown_out(void **state)
{
	const enum control_kind kinds[] = { CONTROL_CATALOG, CONTROL_PORT, CONTROL_EVENT,
		CONTROL_CLOSE, CONTROL_STOPPING, (enum control_kind)99 };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct control_message m = message_of(kinds[i]);
		int channel = connect_raw();

		say(channel, &m, sizeof m);
		assert_true(is_shown_out(channel));
	}
	assert_well();
}

static void
descriptors_are_not_taken(void **state)
{
	struct control_message m = message_of(CONTROL_CATALOG);
	int channel = greeted();
	struct parcel p = { .bytes = &m, .size = sizeof m, .descriptor_count = 1 };

	(void)state;
	p.descriptors[0] = channel;
	assert_int_equal(pinioni_channel_send(channel, &p), 0);
	assert_true(is_shown_out(channel));
	assert_well();
}

static void
what_is_not_its_own_cannot_be_closed_or_rung(void **state)
{
	struct control_message m = message_of(CONTROL_EVENT);
	int channel = greeted(), other = greeted();
	uint32_t own;

	(void)state;
	assert_int_equal(ask(channel, &m), -EBADMSG); /* a worker's port */
	m = message_of(CONTROL_PORT);
	m.port.arena_bytes = 1 << 20;
	assert_int_equal(ask(channel, &m), 0);
	own = m.port.index;
	m = message_of(CONTROL_EVENT);
	m.from = own;
	assert_int_equal(ask(channel, &m), 0);
	m = message_of(CONTROL_EVENT);
	m.from = own;
	assert_int_equal(ask(channel, &m), -EALREADY);
	m = message_of(CONTROL_CLOSE);
	m.from = own;
	say(other, &m, sizeof m);
	assert_true(is_shown_out(other));
	m = message_of(CONTROL_CLOSE);
	m.from = own;
	say(channel, &m, sizeof m);
	m = message_of(CONTROL_CLOSE);
	m.from = own;
	say(channel, &m, sizeof m); /* once is enough */
	assert_true(is_shown_out(channel));
	assert_well();
}

/* Only a host says such things, and none has what it takes to be one here. */
static void
who_is_no_host_and_speaks_as_one_is_shown_out(void **state)
{
	const enum control_kind kinds[] = { CONTROL_READY, CONTROL_BURIED, CONTROL_RING,
		CONTROL_REFUSED, CONTROL_COUNT, CONTROL_ENDED, CONTROL_GUEST, CONTROL_BURY,
		CONTROL_FORGET, CONTROL_DEPLOYED, CONTROL_CANCEL, CONTROL_END };
	struct control_message m;
	int channel;

	(void)state;
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		channel = greeted();
		m = message_of(kinds[i]);
		say(channel, &m, sizeof m);
		assert_true(is_shown_out(channel));
	}
	channel = greeted();
	m = message_of(CONTROL_PORT);
	m.port.arena_bytes = 1 << 18;
	m.port.flags = CONTROL_PORT_WORKER;
	say(channel, &m, sizeof m);
	assert_true(is_shown_out(channel));
	channel = greeted();
	m = message_of(CONTROL_HOST);
	memset(m.text, 'x', sizeof m.text); /* names without an end */
	m.host.request_size = sizeof(struct pinion_request);
	assert_true(ask(channel, &m) < 0);
	m = message_of(CONTROL_HOST);
	(void)memcpy(m.text, "default\0Nope", 13);
	m.host.number = UINT32_MAX;
	m.host.request_size = sizeof(struct pinion_request);
	assert_true(ask(channel, &m) < 0);
	(void)close(channel);
	assert_well();
}

static void
a_port_has_a_size_that_makes_sense(void **state)
{
	const uint64_t sizes[] = { 0, 1, 4096, (1 << 20) + 1, UINT64_C(1) << 40, UINT64_MAX };
	int channel = greeted();

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct control_message m = message_of(CONTROL_PORT);

		m.port.arena_bytes = sizes[i];
		assert_int_equal(ask(channel, &m), -EINVAL);
	}
	(void)close(channel);
	assert_well();
}

static void
one_process_has_so_many_ports_and_no_more(void **state)
{
	int channel = greeted();
	struct control_message m;

	(void)state;
	for (int i = 0; i < CLIENT_PORTS_MAX; i++) {
		m = message_of(CONTROL_PORT);
		m.port.arena_bytes = 1 << 18;
		assert_int_equal(ask(channel, &m), 0);
	}
	m = message_of(CONTROL_PORT);
	m.port.arena_bytes = 1 << 18;
	assert_int_equal(ask(channel, &m), -ENOSPC);
	assert_non_null(strstr(m.text, "128"));
	(void)close(channel);
	assert_well();
}

static void
so_many_processes_attach_and_no_more(void **state)
{
	static int channels[CLIENTS_MAX];
	struct control_message m;
	struct parcel p;
	int channel;

	(void)state;
	for (int i = 0; i < CLIENTS_MAX; i++)
		channels[i] = greeted();
	channel = connect_raw();
	assert_int_equal(hear(channel, &m, &p), 0);
	assert_int_equal(m.err, -EUSERS);
	(void)close(channel);
	for (int i = 0; i < CLIENTS_MAX; i++)
		(void)close(channels[i]);
	assert_well();
}

static void
who_does_not_read_is_shown_out(void **state)
{
	int channel = greeted();
	struct pollfd on = { .fd = channel, .events = POLLHUP };
	const struct timespec start = { 0 };

	(void)state;
	(void)start;
	for (int i = 0; i < 100000; i++) {
		struct control_message m = message_of(CONTROL_CATALOG);
		struct parcel p = { .bytes = &m, .size = sizeof m };
		int err = pinioni_channel_send(channel, &p);

		if (err == -EPIPE)
			break;
		assert_true(err == 0 || err == -EAGAIN);
		(void)poll(&on, 1, 0);
	}
	assert_int_equal(poll(&on, 1, 10000), 1);
	(void)close(channel);
	assert_well();
}

/* ---- a controller by hand --------------------------------------------------------------------- */

struct impostor {
	struct rendezvous at;
	struct control_message answer;
	size_t size;
	int descriptors[4];
	unsigned descriptor_count;
};

static void *
answer_once(void *arg)
{
	struct impostor *i = arg;
	struct pollfd on = { .fd = i->at.listener, .events = POLLIN };
	struct control_message m;
	struct parcel p = { .bytes = &i->answer, .size = i->size };
	int channel;

	(void)poll(&on, 1, 10000);
	channel = accept4(i->at.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	p.descriptor_count = i->descriptor_count;
	memcpy(p.descriptors, i->descriptors, sizeof p.descriptors);
	on.fd = channel;
	(void)poll(&on, 1, 10000);
	p.bytes = &m;
	p.size = sizeof m;
	p.descriptor_count = 0;
	(void)!pinioni_channel_receive(channel, &p);
	p.bytes = &i->answer;
	p.size = i->size;
	p.descriptor_count = i->descriptor_count;
	memcpy(p.descriptors, i->descriptors, sizeof p.descriptors);
	if (i->size != 0)
		(void)!pinioni_channel_send(channel, &p);
	(void)close(channel);
	return NULL;
}

/* In a child, since a process does not attach to itself. Its answer is as `i` says. */
static int
play_victim(const char *name)
{
	pinion_diag diag = { "" };
	pinion_runtime *mine = NULL;
	int err = pinion_attach(&mine, name, .diag = &diag);

	GUEST_WANT(mine == NULL);
	GUEST_WANT(diag.text[0] != '\0' || err == 0);
	return err < 0 ? -err : 0;
}

static int
attach_to(struct impostor *i)
{
	struct rendezvous_error why;
	pthread_t thread;
	int err;

	assert_int_equal(
	    pinioni_rendezvous_listen(&i->at, "impostor", (gid_t)RENDEZVOUS_NO_GROUP, &why), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_once, i), 0);
	err = guest_run("victim", "impostor");
	assert_int_equal(pthread_join(thread, NULL), 0);
	pinioni_rendezvous_leave(&i->at);
	return err;
}

static struct impostor
sound(void)
{
	struct impostor i = { .answer = message_of(CONTROL_HELLO), .size = sizeof i.answer };

	i.answer.terms =
	    (struct control_terms){ .key = 0x10101, .workers = 1, .slots = 64, .lane_cells = 64 };
	return i;
}

static void
an_answer_that_makes_no_sense_is_refused(void **state)
{
	struct impostor i = sound();

	(void)state;
	i.answer.version = 77;
	assert_int_equal(attach_to(&i), EPROTO);
	i = sound();
	i.answer.layout_hash++;
	assert_int_equal(attach_to(&i), EPROTO);
	i = sound();
	i.answer.magic++;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.size = 100;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.answer.terms.workers = 65;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.answer.terms.slots = 0;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.answer.terms.lane_cells = 65;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.answer.terms.mode = 9;
	assert_int_equal(attach_to(&i), EBADMSG);
	i = sound();
	i.size = 0; /* it closes instead */
	assert_int_equal(attach_to(&i), EPIPE);
}

static void
descriptors_that_are_no_sealed_segments_are_refused(void **state)
{
	struct impostor i = sound();
	int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int empty = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct segment_plan plan = {
		.name = "cut short", .kind = SEGMENT_BOARD, .size = 4096, .counts = { 1 }
	};
	struct segment board;
	struct directory directory;

	(void)state;
	assert_int_equal(attach_to(&i), EBADMSG); /* none at all */
	assert_int_equal(ftruncate(plain, 8192), 0);
	assert_int_equal(fcntl(empty, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	for (int k = 0; k < 2; k++) {
		i.descriptor_count = 3;
		i.descriptors[0] = i.descriptors[1] = i.descriptors[2] = k == 0 ? plain : empty;
		assert_int_equal(attach_to(&i), EBADMSG);
	}
	/* The right kind, and shorter than it says to be. */
	assert_int_equal(pinioni_segment_create(&board, &plan), 0);
	assert_int_equal(pinioni_segment_publish(&board, &plan, true), 0);
	assert_int_equal(pinioni_directory_create(&directory, "whole"), 0);
	i.answer.terms.workers = 64;
	i.descriptors[0] = board.fd;
	i.descriptors[1] = board.fd;
	i.descriptors[2] = directory.segment.fd;
	assert_int_equal(attach_to(&i), EBADMSG);
	pinioni_directory_destroy(&directory);
	pinioni_segment_destroy(&board);
	(void)close(plain);
	(void)close(empty);
}

/* ---- who may ---------------------------------------------------------------------------------- */

static int
play_stranger(const char *name)
{
	return setuid(65534) != 0 ? 97 : play_victim(name);
}

static void
another_user_is_turned_away(void **state)
{
	char path[128];

	(void)state;
	if (getuid() != 0)
		skip();
	/* The folder is ours alone: it does not even come to the socket. */
	assert_int_equal(guest_run("stranger", "test"), EACCES);
	/* Somebody has opened it: then the door looks. */
	(void)snprintf(path, sizeof path, "%s/test", served_folder);
	assert_int_equal(chmod(served_folder, 0755), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(guest_run("stranger", "test"), EACCES);
	assert_int_equal(chmod(served_folder, 0700), 0);
	assert_well();
}

static void
a_folder_that_others_may_write_is_refused(void **state)
{
	pinion_runtime *mine;
	pinion_diag diag;

	(void)state;
	assert_int_equal(chmod(served_folder, 0777), 0);
	assert_int_equal(
	    pinion_start(&mine, .workers = 1, .no_pin = true, .listen = "other", .diag = &diag),
	    -EACCES);
	assert_non_null(strstr(diag.text, "0700"));
	assert_int_equal(pinion_attach(&mine, "test", .diag = &diag), -EACCES);
	assert_int_equal(chmod(served_folder, 0700), 0);
}

static void
a_process_does_not_attach_to_itself(void **state)
{
	pinion_runtime *mine;
	pinion_diag diag;

	(void)state;
	assert_int_equal(pinion_attach(&mine, "test", .diag = &diag), -EINVAL);
	assert_non_null(strstr(diag.text, "this process"));
	assert_well();
}

static const struct role roles[] = { { "victim", play_victim }, { "stranger", play_stranger },
	{ NULL, NULL } };

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_build_is_told_so, start, stop),
		cmocka_unit_test_setup_teardown(nonsense_is_shown_out, start, stop),
		cmocka_unit_test_setup_teardown(
		    questions_before_the_greeting_are_shown_out, start, stop),
		cmocka_unit_test_setup_teardown(descriptors_are_not_taken, start, stop),
		cmocka_unit_test_setup_teardown(
		    what_is_not_its_own_cannot_be_closed_or_rung, start, stop),
		cmocka_unit_test_setup_teardown(a_port_has_a_size_that_makes_sense, start, stop),
		cmocka_unit_test_setup_teardown(
		    one_process_has_so_many_ports_and_no_more, start, stop),
		cmocka_unit_test_setup_teardown(so_many_processes_attach_and_no_more, start, stop),
		cmocka_unit_test_setup_teardown(
		    who_is_no_host_and_speaks_as_one_is_shown_out, start, stop),
		cmocka_unit_test_setup_teardown(who_does_not_read_is_shown_out, start, stop),
		cmocka_unit_test(an_answer_that_makes_no_sense_is_refused),
		cmocka_unit_test(descriptors_that_are_no_sealed_segments_are_refused),
		cmocka_unit_test_setup_teardown(another_user_is_turned_away, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_folder_that_others_may_write_is_refused, start, stop),
		cmocka_unit_test_setup_teardown(a_process_does_not_attach_to_itself, start, stop),
	};
	int played = guest_main(argc, argv, roles);

	return played >= 0
	    ? played
	    : cmocka_run_group_tests(tests, served_folder_make, served_folder_remove);
}
