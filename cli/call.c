/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/call.c - `pinion call`: runs an application, or attaches to one that runs; calls one of its methods, and prints what
 * comes.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinion/pinion.h>

#include "config.h"
#include "ingress/json/arguments.h"
#include "ingress/json/scalar.h"
#include "latency.h"
#include "start.h"
#include "verb.h"

enum {
	KEY_STREAM = 256,
	KEY_COUNT,
	KEY_RATE,
	KEY_APP,
	RATE_MAX = 10000000,
	NAMES_MAX = 64 /* that are shown */
};

struct call {
	struct config config;
	struct config_app command;
	char *file;       /* or the name of a runtime, with what is called there */
	const char *app;  /* of a runtime: which one; NULL: the only one, or "default" */
	bool is_running;  /* it is a name */
	char *method;     /* [DEPLOYMENT.]METHOD; NULL: the ingress's PINION_CALL */
	const char *json; /* NULL: no arguments */
	size_t count;     /* 0: the call itself, once */
	double rate;
	bool is_stream;
	pinion_handle handle;
	struct json_arguments arguments;
};

/* ---- the command ------------------------------------------------------------------------------ */

static bool
ends_in(const char *text, size_t length, const char *end)
{
	size_t size = strlen(end);

	return length > size && memcmp(text + length - size, end, size) == 0;
}

/* A file has a folder or an ending; all else names what runs. */
static bool
is_file(const char *text)
{
	size_t length = strcspn(text, ":");

	return memchr(text, '/', length) != NULL || ends_in(text, length, ".so") ||
	    ends_in(text, length, ".yaml") || ends_in(text, length, ".yml");
}

/* METHOD, JSON and key=value are told apart by what they look like. */
static void
argument_parse(struct argp_state *state, char *arg)
{
	struct call *call = state->input;
	bool is_json = arg[0] == '[' || arg[0] == '{';
	pinion_diag diag;

	if (call->file == NULL) {
		call->file = arg;
		call->is_running = !is_file(arg);
	} else if (!is_json && strchr(arg, '=') != NULL) {
		if (call->is_running)
			argp_failure(
			    state, EXIT_FAILURE, 0, "'%s': what runs has its options already", arg);
		if (pinioni_config_say(&call->config, &call->command, arg, &diag) != 0)
			argp_failure(state, EXIT_FAILURE, 0, "%s", diag.text);
	} else if (!is_json && call->method == NULL && call->json == NULL) {
		call->method = arg;
	} else if (call->json == NULL) {
		call->json = arg;
	} else {
		argp_failure(state, EXIT_FAILURE, 0, "'%s' is one argument too many", arg);
	}
}

static void
count_parse(struct argp_state *state, const char *text)
{
	struct call *call = state->input;
	double number = strspn(text, "0123456789") == strlen(text) ? strtod(text, NULL) : 0;

	if (!(number >= 1) || number > LATENCY_CALLS_MAX)
		argp_failure(state, EXIT_FAILURE, 0,
		    "--count: '%s' is not a whole number from 1 to %d", text, LATENCY_CALLS_MAX);
	call->count = (size_t)number;
}

static void
rate_parse(struct argp_state *state, const char *text)
{
	struct call *call = state->input;
	char *end;

	call->rate = strtod(text, &end);
	if (end == text || *end != '\0' || !(call->rate >= 1e-3) || call->rate > RATE_MAX)
		argp_failure(state, EXIT_FAILURE, 0,
		    "--rate: '%s' is not a number from 0.001 to %d", text, RATE_MAX);
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct call *call = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &call->config;
		return 0;
	case KEY_STREAM:
		call->is_stream = true;
		return 0;
	case KEY_COUNT:
		count_parse(state, arg);
		return 0;
	case KEY_RATE:
		rate_parse(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		argument_parse(state, arg);
		return 0;
	case KEY_APP:
		call->app = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_failure(
		    state, EXIT_FAILURE, 0, "which FILE.so, FILE.yaml, or NAME of what runs?");
		return 0;
	case ARGP_KEY_SUCCESS:
		if (call->app != NULL && !call->is_running)
			argp_failure(
			    state, EXIT_FAILURE, 0, "--app is of what runs, not of a file");
		if (call->is_stream && (call->count != 0 || call->rate > 0))
			argp_failure(state, EXIT_FAILURE, 0,
			    "--stream prints items, --count and --rate print none");
		if (call->rate > 0 && call->count == 0)
			call->count = call->rate < 1 ? 1 : (size_t)call->rate; /* a second of it */
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "stream", KEY_STREAM, NULL, 0, "Print a stream's items as they come, one a line", 0 },
	{ "count", KEY_COUNT, "NUMBER", 0, "Call so often, and print how long it takes", 0 },
	{ "rate", KEY_RATE, "NUMBER", 0,
	    "Call so often a second, whether or not others have ended; times count from when a call "
	    "was meant to begin. Without --count: for a second",
	    0 },
	{ "app", KEY_APP, "NAME", 0, "Of what runs: this application (the only one, or default)",
	    0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp_child children[] = { { &pinioni_settings_of_runtime, 0, NULL, 0 }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.children = children,
	.args_doc = "FILE.so[:symbol]|FILE.yaml [[DEPLOYMENT.]METHOD] [JSON] [key=value ...] "
		    "[DEPLOYMENT.OPTION=value ...]\nNAME[.DEPLOYMENT[.METHOD]] [JSON]",
	.doc =
	    "Runs the application, or attaches to the one that runs by NAME (pinion run --listen=NAME); "
	    "calls METHOD (" PINION_CALL ") of DEPLOYMENT (the ingress), and prints "
	    "its result. JSON is an array, arguments by position, or an object, by name.",
};

/* ---- whom to call ----------------------------------------------------------------------------- */

/* Names for people, cut short where the room ends. */
struct names {
	char text[160];
	size_t length;
};

static void
names_add(struct names *names, const char *name)
{
	if (names->length < sizeof names->text)
		names->length += (size_t)snprintf(names->text + names->length,
		    sizeof names->text - names->length, "%s%s", names->length == 0 ? "" : ", ",
		    name);
}

static struct names
deployments_of(pinion_runtime *rt, const char *app)
{
	const char *list[NAMES_MAX];
	unsigned count = pinion_deployment_list(rt, app, list, NAMES_MAX);
	struct names names = { .length = 0 };

	for (unsigned i = 0; i < count && i < NAMES_MAX; i++)
		names_add(&names, list[i]);
	return names;
}

/* deployment: NULL, the ingress. */
static int
check_method(pinion_runtime *rt, const char *app, pinion_handle handle, const char *deployment,
    const char *method, pinion_diag *diag)
{
	struct names names = { .length = 0 };
	pinion_methods methods = { NULL, 0 };

	if (pinion_handle_methods(handle, &methods) != 0)
		return pinioni_config_refuse(diag, NULL, "'%s' has stopped", app);
	for (size_t i = 0; i < methods.count; i++) {
		if (strcmp(methods.list[i].name, method) == 0)
			return 0;
		names_add(&names, methods.list[i].name);
	}
	if (deployment != NULL)
		return pinioni_config_refuse(diag, NULL, "%s has no method '%s'; it has: %s",
		    deployment, method, names.text);
	return pinioni_config_refuse(diag, NULL,
	    "the ingress of '%s' has no method '%s'; it has: %s; the deployments are: %s", app,
	    method, names.text, deployments_of(rt, app).text);
}

static int
find(struct call *call, pinion_runtime *rt, const char *app, pinion_diag *diag)
{
	const char *method = call->method == NULL ? PINION_CALL : call->method;
	char *dot = call->method == NULL ? NULL : strrchr(call->method, '.');
	const char *deployment = dot == NULL ? NULL : call->method;

	if (dot != NULL) {
		*dot = '\0';
		method = dot + 1;
	}
	if (pinion_handle_find(rt, app, deployment, &call->handle) != 0)
		return pinioni_config_refuse(diag, NULL,
		    "there is no deployment '%s' in '%s'; it has: %s", deployment, app,
		    deployments_of(rt, app).text);
	if (check_method(rt, app, call->handle, deployment, method, diag) != 0)
		return -1;
	call->handle = pinion_method_of(call->handle, method);
	if (pinion_handle_streams(call->handle) != call->is_stream)
		return pinioni_config_refuse(diag, NULL,
		    call->is_stream ? "%s is no stream: leave out --stream"
				    : "%s is a stream: it needs --stream, and has no table",
		    method);
	return 0;
}

static int
read_arguments(struct call *call, pinion_diag *diag)
{
	const char *json = call->json == NULL ? "" : call->json;
	const struct json_text text = {
		.bytes = { json, strlen(json) }, .whose = "the argument", .may_be_array = true
	};
	pinion_params params = { NULL, 0 };
	pinion_returns returns;

	if (call->json != NULL && json[0] == '\0')
		return pinioni_config_refuse(diag, NULL, "the argument is empty");
	if (pinion_handle_describe(call->handle, &params, &returns) != 0)
		return pinioni_config_refuse(diag, NULL, "the method is gone");
	return pinioni_json_arguments_read(&call->arguments, params, &text, diag) == 0 ? 0 : -1;
}

/* ---- calling ---------------------------------------------------------------------------------- */

/* Texts and bytes as they are, the rest as JSON. */
static int
print_value(const pinion_value *value, bool is_line, pinion_diag *diag)
{
	char text[JSON_SCALAR_ROOM];
	bool is_bytes = value->kind == PINION_KIND_BYTES;

	if (is_bytes)
		(void)fwrite(value->as.bytes.data, 1, value->as.bytes.len, stdout);
	else if (value->kind == PINION_KIND_STR)
		(void)fwrite(value->as.str.data, 1, value->as.str.len, stdout);
	else if (pinioni_json_scalar_print(value, text, sizeof text))
		(void)fputs(text, stdout);
	else
		return pinioni_config_refuse(diag, NULL,
		    "the result is a struct, a handle, a reference or no number: it has no text");
	if (is_line || !is_bytes)
		(void)putchar('\n');
	if (fflush(stdout) != 0)
		return pinioni_config_refuse(diag, NULL, "standard output: %s", strerror(errno));
	return 0;
}

/* code: what reading gave, where the error has none. */
static int
refuse_error(pinion_error error, int code, pinion_diag *diag)
{
	if (error.code == 0)
		error.code = code;
	pinioni_error_print(&error, diag->text, sizeof diag->text);
	return -1;
}

static int
call_once(const struct call *call, pinion_diag *diag)
{
	pinion_response response = pinion_call(call->handle, json_arguments_view(&call->arguments));
	pinion_value value;
	int err = pinion_result_value(response, &value);

	err = err != 0 ? refuse_error(pinion_response_error(response), err, diag)
		       : print_value(&value, false, diag);
	pinion_release(response);
	return err;
}

static int
call_stream(const struct call *call, pinion_diag *diag)
{
	pinion_stream stream =
	    pinion_call_stream(call->handle, json_arguments_view(&call->arguments));
	pinion_value value;
	int got, err = 0;

	while (err == 0 && (got = pinion_next_value(stream, -1, &value)) != 0)
		err = got < 0 ? refuse_error(pinion_stream_error(stream), got, diag)
			      : print_value(&value, true, diag);
	pinion_stream_close(stream);
	return err;
}

static int
call_often(const struct call *call, pinion_runtime *rt, pinion_diag *diag)
{
	struct latency latency;
	int err = pinioni_latency_measure(&latency, rt, call->handle,
	    json_arguments_view(&call->arguments), call->count, call->rate);

	if (err != 0) {
		err = pinioni_config_refuse(diag, NULL, "%s", strerror(-err));
	} else {
		pinioni_latency_print(&latency);
		if (latency.failed != 0)
			err = pinioni_config_refuse(diag, NULL,
			    "%zu of %zu calls failed; the first: %s", latency.failed, call->count,
			    latency.first_error);
	}
	pinioni_latency_end(&latency);
	return err;
}

static int
call_in(struct call *call, pinion_runtime *rt, const char *app, pinion_diag *diag)
{
	int err;

	if (find(call, rt, app, diag) != 0 || read_arguments(call, diag) != 0)
		return -1;
	err = call->is_stream  ? call_stream(call, diag)
	    : call->count != 0 ? call_often(call, rt, diag)
			       : call_once(call, diag);
	pinioni_json_arguments_end(&call->arguments);
	return err;
}

static int
call_file(struct call *call, pinion_diag *diag)
{
	pinion_runtime *rt;
	int err;

	if (pinioni_config_load(&call->config, call->file, &call->command, diag) != 0)
		return -1;
	if (call->config.app_count != 1)
		return pinioni_config_refuse(diag, NULL,
		    "the file has %zu applications, and one is called", call->config.app_count);
	if (pinioni_start(&call->config, NULL, &rt, diag) != 0)
		return -1;
	err = call_in(call, rt,
	    call->config.apps[0].name == NULL ? "default" : call->config.apps[0].name, diag);
	pinion_stop(rt);
	return err;
}

/* ---- what runs -------------------------------------------------------------------------------- */

/* The one that was named, the only one, or "default"; NULL: none of these. */
static const char *
choose_app(const struct call *call, pinion_runtime *rt, pinion_diag *diag)
{
	pinion_route routes[NAMES_MAX];
	unsigned count = pinion_route_list(rt, routes, NAMES_MAX);
	const char *want = call->app != NULL ? call->app : "default";
	struct names names = { .length = 0 };

	count = count < NAMES_MAX ? count : NAMES_MAX;
	if (count == 1 && call->app == NULL)
		return routes[0].app;
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(routes[i].app, want) == 0)
			return routes[i].app;
		names_add(&names, routes[i].app);
	}
	(void)!pinioni_config_refuse(diag, NULL, "there is no application '%s'; there is: %s", want,
	    count == 0 ? "none" : names.text);
	return NULL;
}

/* What is behind the name's dot says what is called: a deployment, and maybe its method. */
static int
split_name(struct call *call, pinion_diag *diag)
{
	static char method[256];
	char *dot = strchr(call->file, '.');

	if (dot == NULL)
		return 0;
	if (call->method != NULL)
		return pinioni_config_refuse(
		    diag, NULL, "'%s' is one argument too many", call->method);
	*dot = '\0';
	if (snprintf(method, sizeof method, strchr(dot + 1, '.') == NULL ? "%s." PINION_CALL : "%s",
		dot + 1) >= (int)sizeof method)
		return pinioni_config_refuse(diag, NULL, "'%.32s...' is no method's name", dot + 1);
	call->method = method;
	return 0;
}

static int
call_running(struct call *call, pinion_diag *diag)
{
	pinion_runtime *rt;
	const char *app;
	int err = -1;

	if (split_name(call, diag) != 0 || pinion_attach(&rt, call->file, .diag = diag) != 0)
		return -1;
	app = choose_app(call, rt, diag);
	if (app != NULL)
		err = call_in(call, rt, app, diag);
	pinion_stop(rt);
	return err;
}

int
pinioni_verb_call(int argc, char **argv)
{
	struct call call = { .file = NULL };
	pinion_diag diag = { "" };
	int code = EXIT_SUCCESS;

	if (argp_parse(&argp, argc, argv, 0, NULL, &call) != 0 ||
	    (call.is_running ? call_running(&call, &diag) : call_file(&call, &diag)) != 0) {
		(void)fprintf(stderr, "pinion call: %s\n", diag.text);
		code = EXIT_FAILURE;
	}
	pinioni_config_free(&call.config);
	return code;
}
