/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apps - what the tests give to `pinion run`: one that echoes its key=value pair, and some that are
 * wrong, each in its own way.
 *
 *   app         answers with the value of `greeting`
 *   numbered    two replicas, each answers with its own number
 *   talking     a method for each kind of result, a stream, and some that fail
 *   napping     takes one call at a time, and as long as it is told
 *   held        its handler says "entered" and answers when `fifo` is closed by its writer
 *   refused     its builder refuses
 *   failing     its replica's init fails
 *   hanging     its replica's init says "entered" and never returns
 *   uncallable  its ingress has methods, but not PINION_CALL
 *   unstamped   a builder without PINION_APP
 *   foreign     compiled for another ABI
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pinion/pinion.h>

struct echo {
	char text[128];
};

static int
echo_init(void *replica, pinion_init *init)
{
	struct echo *self = replica;
	pinion_str text = pinion_init_str(init, 0);

	if (text.len >= sizeof self->text)
		return pinion_init_fail(init, -EMSGSIZE, "%zu bytes are too many", text.len);
	memcpy(self->text, text.data, text.len);
	self->text[text.len] = '\0';
	return 0;
}

static int
echo(void *replica, pinion_request *req)
{
	const struct echo *self = replica;

	return pinion_reply(req, self->text);
}

static int
hold(void *replica, pinion_request *req)
{
	const struct echo *self = replica;
	FILE *fifo = fopen(self->text, "r");

	if (fifo == NULL)
		return -errno;
	(void)puts("entered");
	(void)fflush(stdout);
	while (fgetc(fifo) != EOF)
		;
	(void)fclose(fifo);
	return pinion_reply(req, "released");
}

static int
fail_init(void *replica, pinion_init *init)
{
	(void)replica;
	return pinion_init_fail(init, -ENOENT, "there is no model");
}

static int
hang_init(void *replica, pinion_init *init)
{
	(void)replica;
	(void)init;
	(void)puts("entered");
	(void)fflush(stdout);
	while (pause() != 0)
		;
	return 0;
}

static const pinion_deployment echoer = {
	.name = "Echoer",
	.replica_size = sizeof(struct echo),
	.init = echo_init,
	.init_params = PINION_PARAMS(PINION_STR("text")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment holder = {
	.name = "Holder",
	.replica_size = sizeof(struct echo),
	.init = echo_init,
	.init_params = PINION_PARAMS(PINION_STR("fifo")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, hold, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment faulter = {
	.name = "Faulter",
	.init = fail_init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment hanger = {
	.name = "Hanger",
	.init = hang_init,
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment other = {
	.name = "Other",
	.methods = PINION_METHODS(PINION_METHOD("one", echo, .returns = PINION_RETURNS_STR),
	    PINION_METHOD("two", echo, .returns = PINION_RETURNS_STR)),
};

static int
number_init(void *replica, pinion_init *init)
{
	*(int64_t *)replica = pinion_init_replica(init);
	return 0;
}

static int
number(void *replica, pinion_request *req)
{
	return pinion_reply(req, *(const int64_t *)replica);
}

static const pinion_deployment numberer = {
	.name = "Numberer",
	.replica_size = sizeof(int64_t),
	.init = number_init,
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, number, .returns = PINION_RETURNS_I64)),
};

static int
say(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_str(req, 0));
}

static int
add(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + pinion_arg_i64(req, 1));
}

static int
same_u64(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0));
}

static int
half(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_f64(req, 0) / 2);
}

static int
negate(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, (bool)!pinion_arg_bool(req, 0));
}

static int
nothing(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 0;
}

static int
bytes(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_bytes(req, 0));
}

struct pair {
	int64_t a, b;
};

static int
structure(void *replica, pinion_request *req)
{
	const struct pair pair = { 1, 2 };

	(void)replica;
	return pinion_reply_value(req, PINION_STRUCT_OF(pair));
}

static int
stumble(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_fail(req, -EDOM, "no answer to %d", (int)pinion_arg_i64(req, 0));
}

/* Items from 0 on; fails behind them when asked to. */
static int
count(void *replica, pinion_request *req)
{
	int64_t limit = pinion_arg_i64(req, 0);
	int err = 0;

	(void)replica;
	for (int64_t i = 0; i < limit && err == 0; i++)
		err = pinion_yield(req, i);
	return err == 0 && pinion_arg_bool(req, 1) ? pinion_fail(req, -EDOM, "out of numbers")
						   : err;
}

static const pinion_deployment talker = {
	.name = "Talker",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, say, .params = PINION_PARAMS(PINION_STR_OR("text", "well")),
		.returns = PINION_RETURNS_STR),
	    PINION_METHOD("add", add, .params = PINION_PARAMS(PINION_I64("a"), PINION_I64("b")),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("u64", same_u64, .params = PINION_PARAMS(PINION_U64("x")),
		.returns = PINION_RETURNS_U64),
	    PINION_METHOD("half", half, .params = PINION_PARAMS(PINION_F64("x")),
		.returns = PINION_RETURNS_F64),
	    PINION_METHOD("negate", negate, .params = PINION_PARAMS(PINION_BOOL("x")),
		.returns = PINION_RETURNS_BOOL),
	    PINION_METHOD("nothing", nothing),
	    PINION_METHOD("bytes", bytes, .params = PINION_PARAMS(PINION_BYTES("b")),
		.returns = PINION_RETURNS_BYTES),
	    PINION_METHOD("structure", structure, .returns = PINION_RETURNS_STRUCT(struct pair)),
	    PINION_METHOD("stumble", stumble, .params = PINION_PARAMS(PINION_I64_OR("x", 7)),
		.returns = PINION_RETURNS_I64),
	    PINION_METHOD("count", count,
		.params = PINION_PARAMS(PINION_I64("limit"), PINION_BOOL_OR("fails", false)),
		.returns = PINION_RETURNS_I64, .stream = true)),
};

static int
nap(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_sleep(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment napper = {
	.name = "Napper",
	.methods = PINION_METHODS(
	    PINION_METHOD(PINION_CALL, nap, .params = PINION_PARAMS(PINION_I64("ns")))),
};

static const pinion_deployment relay = {
	.name = "Relay",
	.init_params = PINION_PARAMS(PINION_HANDLE("talker")),
	.methods = PINION_METHODS(PINION_METHOD("pass", say,
	    .params = PINION_PARAMS(PINION_STR("text")), .returns = PINION_RETURNS_STR)),
};

PINION_APP(app);
PINION_APP(numbered);
PINION_APP(talking);
PINION_APP(napping);
PINION_APP(held);
PINION_APP(refused);
PINION_APP(failing);
PINION_APP(hanging);
PINION_APP(uncallable);

pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	const char *greeting = pinion_config_get(config, "greeting", "no greeting");

	return pinion_bind(build, &echoer, PINION_ARGS(greeting));
}

pinion_node *
numbered(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(
	    build, &numberer, PINION_ARGS(), .num_replicas = 2, .routing = "round_robin");
}

pinion_node *
talking(pinion_app *build, const pinion_config *config)
{
	(void)config;
	(void)pinion_bind(build, &relay, PINION_ARGS(pinion_bind(build, &talker, PINION_ARGS())));
	return pinion_bind(build, &talker, PINION_ARGS(), .max_queued_requests = 1000);
}

pinion_node *
napping(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &napper, PINION_ARGS(), .max_ongoing_requests = 1);
}

pinion_node *
held(pinion_app *build, const pinion_config *config)
{
	return pinion_bind(
	    build, &holder, PINION_ARGS(pinion_config_get(config, "fifo", "/dev/null")));
}

pinion_node *
refused(pinion_app *build, const pinion_config *config)
{
	return pinion_build_fail(
	    build, "weights=%s is no file", pinion_config_get(config, "weights", "?"));
}

pinion_node *
failing(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &faulter, PINION_ARGS());
}

pinion_node *
hanging(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &hanger, PINION_ARGS());
}

pinion_node *
uncallable(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &other, PINION_ARGS());
}

PINION_EXPORT pinion_builder unstamped;

pinion_node *
unstamped(pinion_app *build, const pinion_config *config)
{
	return app(build, config);
}

PINION_EXPORT pinion_builder foreign;
PINION_EXPORT extern const uint32_t foreign_pinion_abi;
const uint32_t foreign_pinion_abi = PINION_ABI + 1;

pinion_node *
foreign(pinion_app *build, const pinion_config *config)
{
	return app(build, config);
}
