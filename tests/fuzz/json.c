/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/json.c - JSON and queries that become a call's arguments, and its result as JSON again.
 *
 *   input:  a letter, the application (apps.h) | a digit: object, object or array, query | the text
 *
 * Goal    What is refused says so in one line; a call fails only for what its caller did wrong; a result that is given as an
 *         argument again, by its own JSON, is the same again; nothing is kept.
 * Method  As HTTP and `pinion call` do it, in a runtime that this thread drives.
 */
#include <string.h>

#include <pinion/pinion.h>

#include "apps.h"
#include "fuzz.h"
#include "ingress/http/form_priv.h"
#include "ingress/http/query_priv.h"
#include "ingress/json/arguments.h"

enum {
	TEXT_MAX = 4096,    /* bytes: a result has room for its text */
	CENSUS_EVERY = 1024 /* inputs */
};

enum mode {
	MODE_OBJECT,
	MODE_ARRAY,
	MODE_QUERY,
	MODES
};

static pinion_runtime *rt;
static pinion_handle handles[FUZZ_APPS];

static void
stop(void)
{
	pinion_stop(rt);
}

static void
start(void)
{
	pinion_diag diag = { "" };
	int err = pinion_start(&rt, .workers = PINION_CALLER_DRIVEN, .diag = &diag);

	fuzz_check(err == 0, "it does not start", diag.text);
	fuzz_apps_run(rt, handles);
	(void)atexit(stop);
}

/* ---- arguments -------------------------------------------------------------------------------- */

static int
read_query(
    struct json_arguments *arguments, pinion_params params, pinion_bytes text, pinion_diag *diag)
{
	struct target target;
	char *uri;
	int err;

	if (asprintf(&uri, "/?%.*s", (int)text.len, (const char *)text.data) < 0)
		return -ENOMEM;
	err = pinioni_http_target_parse(uri, &target);
	free(uri);
	if (err != 0) {
		(void)snprintf(diag->text, sizeof diag->text, "no target");
		return err;
	}
	err = pinioni_http_query_read(arguments, params, &target, diag);
	pinioni_http_target_free(&target);
	return err;
}

static int
read_arguments(struct json_arguments *arguments, pinion_handle handle, enum mode mode,
    pinion_bytes text, pinion_diag *diag)
{
	const struct json_text json = {
		.bytes = text, .whose = "the text", .may_be_array = mode == MODE_ARRAY
	};
	pinion_params params;
	pinion_returns returns;
	int err = pinion_handle_describe(handle, &params, &returns);

	fuzz_check(err == 0, "a method is not described", "");
	return mode == MODE_QUERY ? read_query(arguments, params, text, diag)
				  : pinioni_json_arguments_read(arguments, params, &json, diag);
}

/* ---- results ---------------------------------------------------------------------------------- */

static bool
is_same(const pinion_value *a, const pinion_value *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case PINION_KIND_NONE:
		return true;
	case PINION_KIND_BOOL:
		return a->as.boolean == b->as.boolean;
	case PINION_KIND_STR:
		return a->as.str.len == b->as.str.len &&
		    memcmp(a->as.str.data, b->as.str.data, a->as.str.len) == 0;
	case PINION_KIND_BYTES:
		return a->as.bytes.len == b->as.bytes.len &&
		    memcmp(a->as.bytes.data, b->as.bytes.data, a->as.bytes.len) == 0;
	default:
		return a->as.u64 == b->as.u64; /* numbers, by their bits */
	}
}

static void
check_error(const pinion_error *error, int code)
{
	bool is_ours = error->origin == PINION_ORIGIN_HANDLER; /* "fail" only */

	fuzz_check(error->code == code, "the result and the error have two codes", "");
	fuzz_check(is_ours || error->origin == PINION_ORIGIN_CALLER, "it fails for another reason",
	    error->text.data);
	fuzz_check(is_ours || code == -EINVAL || code == -ERANGE || code == -EMSGSIZE,
	    "it fails with another code", error->text.data);
	fuzz_check(is_ours || error->text.len != 0, "it fails without a word", "");
}

/* Calls with what the value is as JSON: the same value. */
static void
check_again(pinion_handle handle, const pinion_value *value)
{
	struct buffer text = { NULL, 0, 0 };
	struct json_arguments arguments;
	pinion_diag diag = { "" };
	pinion_response response;
	pinion_value again;

	fuzz_check(pinioni_http_buffer_append(&text, "{\"x\":", 5) &&
		pinioni_http_form_item(FORM_LINES, value, &text) == 0 &&
		pinioni_http_buffer_append(&text, "}", 2),
	    "a result has no JSON", "");
	fuzz_check(read_arguments(&arguments, handle, MODE_OBJECT,
		       (pinion_bytes){ text.bytes, text.length - 1 }, &diag) == 0,
	    "a result's JSON is not read", (const char *)text.bytes);
	response = pinion_call(handle, json_arguments_view(&arguments));
	fuzz_check(pinion_result_value(response, &again) == 0, "a result's JSON is refused",
	    (const char *)text.bytes);
	fuzz_check(
	    is_same(value, &again), "a result's JSON is another value", (const char *)text.bytes);
	pinion_release(response);
	pinioni_json_arguments_end(&arguments);
	pinioni_http_buffer_free(&text);
}

/* Each form has it, as all that JSON can say is UTF-8. */
static void
check_forms(const pinion_value *value)
{
	for (enum form form = FORM_TEXT; form <= FORM_OCTETS; form++) {
		struct buffer text = { NULL, 0, 0 };

		fuzz_check(
		    pinioni_http_form_item(form, value, &text) == 0, "a form does not have it", "");
		pinioni_http_buffer_free(&text);
	}
}

static bool
echoes(pinion_handle handle)
{
	pinion_params params;
	pinion_returns returns;

	return pinion_handle_describe(handle, &params, &returns) == 0 && params.count == 1 &&
	    strcmp(params.list[0].name, "x") == 0;
}

static void
call(pinion_handle handle, const struct json_arguments *arguments)
{
	pinion_response response = pinion_call(handle, json_arguments_view(arguments));
	pinion_value value;
	int err = pinion_result_value(response, &value);

	if (err != 0) {
		pinion_error error = pinion_response_error(response);

		check_error(&error, err);
	} else if (echoes(handle)) {
		check_forms(&value);
		check_again(handle, &value);
	}
	pinion_release(response);
}

static void
check_census(void)
{
	pinion_census census;

	while (pinion_work(rt) > 0)
		continue;
	pinion_census_take(rt, &census);
	fuzz_check(census.slots == 0 && census.blocks == 0 && census.requests == 0 &&
		census.queued == 0 && census.custody == 0,
	    "something is not given back", "");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned count;
	struct json_arguments arguments;
	pinion_diag diag = { "" };
	pinion_handle handle;

	if (rt == NULL)
		start();
	if (size < 2 || size > TEXT_MAX)
		return 0;
	handle = handles[(uint8_t)(data[0] - 'a') % FUZZ_CALLS];
	if (read_arguments(&arguments, handle, (uint8_t)(data[1] - '0') % MODES,
		(pinion_bytes){ data + 2, size - 2 }, &diag) == 0) {
		call(handle, &arguments);
		pinioni_json_arguments_end(&arguments);
	} else {
		fuzz_check(diag.text[0] != '\0', "it was refused without a word", "");
	}
	if (++count % CENSUS_EVERY == 0)
		check_census();
	return 0;
}
