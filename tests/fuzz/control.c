/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Whatever comes through the socket at the door, or in a catalog from it: an answer, a refusal or an end, and nothing is left.
 * Method  libFuzzer. The first byte says which: a catalog, read into a runtime that was attached; or messages of a client, each of a
 *         length of its own, the fixed part made right where a bit says so, to a runtime that a turn drives.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/client.h"
#include "core/guest.h"
#include "tests/fuzz/fuzz.h"

enum {
	MESSAGES_MAX = 8,
	TURNS_MAX = 1000
};

static pinion_runtime *rt;

static int
number(void *state, pinion_request *req)
{
	(void)state;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment one = { .name = "One",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, number, .params = PINION_PARAMS(PINION_I64_OR("x", 1)),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("text", number, .params = PINION_PARAMS(PINION_STR_OR("x", "text")),
		.returns = PINION_RETURNS_STR)) };

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	(void)config;
	return pinion_bind(app, &one, PINION_ARGS());
}

static void
start(void)
{
	pinion_handle handle;

	if (rt != NULL)
		return;
	fuzz_check(pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .slots = 16, .lane_cells = 16,
		       .arena_bytes = 1 << 18) == 0 &&
		pinion_run(rt, build, &handle) == 0,
	    "a runtime starts", "");
}

/* ---- catalogs --------------------------------------------------------------------------------- */

static void
read_catalog(const uint8_t *data, size_t size)
{
	struct pinion_runtime *mine = pinioni_runtime_new();

	fuzz_check(mine != NULL, "memory", "");
	mine->key = 0x10101;
	for (int twice = 0; twice < 2; twice++)
		(void)!pinioni_catalog_parse(mine, data, size);
	for (uint32_t i = 0; i < mine->registry.deployment_count; i++)
		fuzz_check(
		    registry_deployment(&mine->registry, i) != NULL, "what was read is whole", "");
	pinioni_applications_free(mine);
	pinioni_catalogs_free(mine->catalogs);
	pinioni_runtime_free(mine);
}

/* ---- messages --------------------------------------------------------------------------------- */

static void
bury(pinion_port *port)
{
	struct burial *b = pinioni_guest_bury(port);
	unsigned turns = 0;

	fuzz_check(b != NULL, "memory", "");
	while (!(pinioni_burial_turn(b) && pinioni_burial_end(b)) && turns++ < TURNS_MAX)
		(void)pinion_work(rt);
	fuzz_check(turns < TURNS_MAX, "a port is buried", "");
	(void)pinion_work(rt);
}

static void
make_right(struct control_message *m, uint8_t how)
{
	if ((how & 1) != 0)
		m->magic = CONTROL_MAGIC;
	if ((how & 2) != 0)
		m->version = CONTROL_VERSION;
	if ((how & 4) != 0)
		m->layout_hash = pinioni_segment_layout_hash();
	if ((how & 8) != 0)
		m->kind = m->kind % CONTROL_END + 1; /* the last */
	if ((how & 16) != 0)
		m->port.arena_bytes = 1 << 18;
}

/* False: the input is used up. */
static bool
next_message(const uint8_t **data, size_t *size, struct control_message *m, size_t *length)
{
	uint8_t how;

	if (*size < 3)
		return false;
	how = (*data)[0];
	*length =
	    (how & 32) != 0 ? sizeof *m : ((*data)[1] | (size_t)(*data)[2] << 8) % (sizeof *m + 64);
	*data += 3;
	*size -= 3;
	memset(m, 0, sizeof *m);
	memcpy(m, *data, *size < sizeof *m ? *size : sizeof *m);
	make_right(m, how);
	*data += *size < sizeof *m ? *size : sizeof *m;
	*size -= *size < sizeof *m ? *size : sizeof *m;
	return true;
}

static void
say_all(struct client *c, int other, const uint8_t *data, size_t size)
{
	unsigned char room[sizeof(struct control_message) + 64];
	struct control_message m;
	size_t length;

	for (unsigned i = 0; i < MESSAGES_MAX && next_message(&data, &size, &m, &length); i++) {
		struct parcel p = { .bytes = room, .size = length };
		pinion_port *closed;
		int err;

		memset(room, 0, sizeof room);
		memcpy(room, &m, sizeof m);
		if (length == 0 || pinioni_channel_send(other, &p) != 0)
			return;
		err = pinioni_client_listen(c, rt, &closed);
		if (closed != NULL)
			bury(closed);
		if (err != 0)
			return;
		while ((p.size = sizeof room, pinioni_channel_receive(other, &p) == 0))
			pinioni_parcel_close(&p);
	}
}

static void
talk(const uint8_t *data, size_t size)
{
	struct client c = CLIENT_NONE;
	pinion_census census;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return;
	c.channel = ends[0];
	say_all(&c, ends[1], data, size);
	while (c.ports != NULL) {
		pinion_port *port = c.ports;

		c.ports = port->next;
		bury(port);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
	pinion_census_take(rt, &census);
	fuzz_check(census.ports == 0 && census.requests == 0, "nothing is left", "");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	if (size == 0)
		return 0;
	if ((data[0] & 1) == 0)
		read_catalog(data + 1, size - 1);
	else
		talk(data + 1, size - 1);
	return 0;
}
