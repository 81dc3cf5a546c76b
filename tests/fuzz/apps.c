/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/apps.c - see apps.h.
 */
#include "apps.h"

#include <string.h>

#include "fuzz.h"

enum {
	ITEMS_MAX = 40, /* of a stream: more than its window */
	ERRORS = 133    /* that Linux names */
};

/* ---- calls ------------------------------------------------------------------------------------ */

static int
describe(void *replica, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 4);
	pinion_bytes bytes = pinion_arg_bytes(req, 5);

	(void)replica;
	return pinion_reply_fmt(req, "%d %lld %llu %g '%.*s' %zu", pinion_arg_bool(req, 0),
	    (long long)pinion_arg_i64(req, 1), (unsigned long long)pinion_arg_u64(req, 2),
	    pinion_arg_f64(req, 3), PINION_STR_FMT(text), bytes.len);
}

static int
echo_bool(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_bool(req, 0));
}

static int
echo_i64(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static int
echo_u64(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_u64(req, 0));
}

static int
echo_f64(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_f64(req, 0));
}

static int
echo_str(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_str(req, 0));
}

static int
echo_bytes(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_bytes(req, 0));
}

static int
fail(void *replica, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 1);

	(void)replica;
	return pinion_fail(
	    req, -(int)(1 + pinion_arg_u64(req, 0) % ERRORS), "%.*s", PINION_STR_FMT(text));
}

/* JSON has none of its parameters. */
static int
never(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	fuzz_check(false, "a method was called with what JSON cannot say", "");
	return 0;
}

static int
nothing(void *replica, pinion_request *req)
{
	(void)replica;
	(void)req;
	return 0;
}

struct pair {
	int64_t a, b;
};

#define OF_ALL \
	PINION_PARAMS(PINION_BOOL("flag"), PINION_I64("signed"), PINION_U64("unsigned"), \
	    PINION_F64("real"), PINION_STR("text"), PINION_BYTES("data"))
#define OR_ALL \
	PINION_PARAMS(PINION_BOOL_OR("flag", false), PINION_I64_OR("signed", -9), \
	    PINION_U64_OR("unsigned", 5), PINION_F64_OR("real", 1.5), PINION_STR_OR("text", ""), \
	    { .name = "data", .kind = PINION_KIND_BYTES, .align = 8, .optional = true })
#define OF_OTHERS \
	PINION_PARAMS(PINION_STRUCT("pair", struct pair), PINION_HANDLE("handle"), \
	    PINION_REF("ref"), PINION_STREAM("stream"))

#define CALL(app, ...) \
	{ \
		.name = (app), \
		.methods = PINION_METHODS( \
		    PINION_METHOD(PINION_CALL, __VA_ARGS__, .result_max = FUZZ_RESULT_MAX)) \
	}

/* ---- streams ---------------------------------------------------------------------------------- */

static int
count(void *replica, pinion_request *req)
{
	uint64_t items = pinion_arg_u64(req, 0) % (ITEMS_MAX + 1);
	int err = 0;

	(void)replica;
	for (uint64_t i = 0; err == 0 && i < items; i++)
		err = pinion_yield(req, (int64_t)i);
	return err;
}

/* Letter by letter. */
static int
spell(void *replica, pinion_request *req)
{
	pinion_str text = pinion_arg_str(req, 0);
	int err = 0;

	(void)replica;
	for (size_t i = 0; err == 0 && i < text.len && i < ITEMS_MAX; i++) {
		const pinion_str letter = { text.data + i, 1 };

		err = pinion_yield(req, letter);
	}
	return err;
}

/* The bytes, and then an error. */
static int
snap(void *replica, pinion_request *req)
{
	int err = pinion_yield(req, pinion_arg_bytes(req, 0));

	(void)replica;
	return err != 0 ? err : pinion_fail(req, -EIO, "it broke");
}

static const pinion_deployment deployments[FUZZ_APPS] = {
	CALL("describe", describe, .params = OF_ALL, .returns = PINION_RETURNS_STR),
	CALL("otherwise", describe, .params = OR_ALL, .returns = PINION_RETURNS_STR),
	CALL("bool", echo_bool, .params = PINION_PARAMS(PINION_BOOL("x")),
	    .returns = PINION_RETURNS_BOOL),
	CALL("i64", echo_i64, .params = PINION_PARAMS(PINION_I64("x")),
	    .returns = PINION_RETURNS_I64),
	CALL("u64", echo_u64, .params = PINION_PARAMS(PINION_U64("x")),
	    .returns = PINION_RETURNS_U64),
	CALL("f64", echo_f64, .params = PINION_PARAMS(PINION_F64("x")),
	    .returns = PINION_RETURNS_F64),
	CALL("str", echo_str, .params = PINION_PARAMS(PINION_STR("x")),
	    .returns = PINION_RETURNS_STR),
	CALL("bytes", echo_bytes, .params = PINION_PARAMS(PINION_BYTES("x")),
	    .returns = PINION_RETURNS_BYTES),
	CALL("fail", fail, .params = PINION_PARAMS(PINION_U64("code"), PINION_STR("text"))),
	CALL("never", never, .params = OF_OTHERS),
	CALL("nothing", nothing),
	CALL("count", count, .params = PINION_PARAMS(PINION_U64("items")),
	    .returns = PINION_RETURNS_I64, .stream = true),
	CALL("spell", spell, .params = PINION_PARAMS(PINION_STR("text")),
	    .returns = PINION_RETURNS_STR, .stream = true),
	CALL("snap", snap, .params = PINION_PARAMS(PINION_BYTES("data")),
	    .returns = PINION_RETURNS_BYTES, .stream = true),
};

/* ---- applications ----------------------------------------------------------------------------- */

static pinion_node *
build(pinion_app *app, const pinion_config *config)
{
	const char *name = pinion_config_get(config, "name", "");

	for (unsigned i = 0; i < FUZZ_APPS; i++)
		if (strcmp(deployments[i].name, name) == 0)
			return pinion_bind(app, &deployments[i], PINION_ARGS());
	return pinion_build_fail(app, "no %s", name);
}

void
fuzz_apps_run(pinion_runtime *rt, pinion_handle handles[FUZZ_APPS])
{
	for (unsigned i = 0; i < FUZZ_APPS; i++) {
		const pinion_pair pair = { "name", deployments[i].name };
		const pinion_config config = { &pair, 1 };
		pinion_diag diag = { "" };
		int err = pinion_run(
		    rt, build, &handles[i], .name = pair.value, .config = &config, .diag = &diag);

		fuzz_check(err == 0, "an application does not run", diag.text);
	}
}
