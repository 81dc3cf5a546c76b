/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    JSON and queries become arguments by name and by the declared kind; what cannot is refused, by name.
 * Method  A method with a parameter of each kind answers with what it got; raw HTTP over a socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pinion/pinion_http.h>

#include "tests/ingress/client.h"

static struct answered answered;
static pinion_runtime *rt;
static pinion_http *http;
static unsigned port;

/* ---- applications ---------------------------------------------------------------------------- */

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

static const pinion_deployment describer = {
	.name = "Describer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, describe,
	    .params =
		PINION_PARAMS(PINION_BOOL("flag"), PINION_I64("signed"), PINION_U64("unsigned"),
		    PINION_F64("real"), PINION_STR("text"), PINION_BYTES("data")),
	    .returns = PINION_RETURNS_STR)),
};

/* The same, with defaults; bytes have none. */
static const pinion_deployment defaulter = {
	.name = "Defaulter",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, describe,
	    .params = PINION_PARAMS(PINION_BOOL_OR("flag", false), PINION_I64_OR("signed", -9),
		PINION_U64_OR("unsigned", 5), PINION_F64_OR("real", 1.5), PINION_STR_OR("text", ""),
		{ .name = "data", .kind = PINION_KIND_BYTES, .align = 8, .optional = true }),
	    .returns = PINION_RETURNS_STR)),
};

static int
greet(void *replica, pinion_request *req)
{
	pinion_str name = pinion_arg_str(req, 0), language = pinion_arg_str(req, 1);

	(void)replica;
	return pinion_reply_fmt(req, "%.*s %.*s", pinion_str_is(language, "spanish") ? 4 : 5,
	    pinion_str_is(language, "spanish") ? "Hola" : "Hello", PINION_STR_FMT(name));
}

static const pinion_deployment greeter = {
	.name = "Greeter",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, greet,
	    .params = PINION_PARAMS(PINION_STR("name"), PINION_STR_OR("language", "english")),
	    .returns = PINION_RETURNS_STR)),
};

static int
echo(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0));
}

static const pinion_deployment echoer = {
	.name = "Echoer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, echo,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static const struct built {
	const char *name;
	const pinion_deployment *deployment;
} apps[] = {
	{ "describe", &describer },
	{ "otherwise", &defaulter },
	{ "greet", &greeter },
	{ "i64", &echoer },
};
enum {
	APPS = sizeof apps / sizeof *apps
};

static pinion_node *
build_one(pinion_app *build, const pinion_config *config)
{
	const char *name = pinion_config_get(config, "name", "");

	for (unsigned i = 0; i < APPS; i++)
		if (strcmp(apps[i].name, name) == 0)
			return pinion_bind(build, apps[i].deployment, PINION_ARGS());
	return pinion_build_fail(build, "no %s", name);
}

static int
set_up(void **state)
{
	pinion_handle handle;

	(void)state;
	assert_int_equal(pinion_start(&rt, .workers = 1, .no_pin = true), 0);
	for (unsigned i = 0; i < APPS; i++) {
		const pinion_pair pair = { "name", apps[i].name };
		const pinion_config config = { &pair, 1 };

		assert_int_equal(
		    pinion_run(rt, build_one, &handle, .name = apps[i].name, .config = &config), 0);
	}
	assert_int_equal(pinion_http_start(rt, &http, .port = -1), 0);
	port = pinion_http_port(http);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	pinion_http_stop(http);
	pinion_stop(rt);
	return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define TEXT "text/plain; charset=utf-8"

static void
expect(int status, const char *type, const char *body)
{
	assert_string_equal(answered.body, body);
	assert_int_equal(answered.status, status);
	assert_true(header_is(&answered, "Content-Type", type));
}

static void
assert_refused(const char *part)
{
	assert_int_equal(answered.status, 400);
	assert_true(header_is(&answered, "Content-Type", TEXT));
	if (strstr(answered.body, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", answered.body, part);
}

static void
json_fields_become_arguments_by_name(void **state)
{
	(void)state;
	post(port, "/describe",
	    "{\"text\": \"D\\u00f6ra\", \"unsigned\": 7, \"signed\": -3, \"real\": 1.5, "
	    "\"flag\": true, \"data\": \"abc\"}",
	    &answered);
	expect(200, TEXT, "1 -3 7 1.5 'D\xc3\xb6ra' 3");
	post(port, "/greet", "{\"name\": \"Dora\", \"language\": \"spanish\"}", &answered);
	expect(200, TEXT, "Hola Dora");
	post(port, "/greet", " { \"name\" : \"\" } ", &answered);
	expect(200, TEXT, "Hello ");
}

static void
whole_numbers_are_good_for_reals_and_zero_and_one_for_flags(void **state)
{
	(void)state;
	post(port, "/describe",
	    "{\"text\": \"\", \"unsigned\": 0, \"signed\": 9223372036854775807, \"real\": 3, "
	    "\"flag\": 1, \"data\": \"\"}",
	    &answered);
	expect(200, TEXT, "1 9223372036854775807 0 3 '' 0");
}

/* Each alone and behind fields that the numbers are not to be taken from. */
static void
whole_numbers_arrive_as_they_were_sent(void **state)
{
	static const struct {
		const char *fields, *body;
	} cases[] = {
		{ "\"unsigned\": 18446744073709551615", "-9 18446744073709551615 1.5 '' 0" },
		{ "\"unsigned\" : 9223372036854775808 ", "-9 9223372036854775808 1.5 '' 0" },
		{ "\"text\": \"\\\\\\\",1:{\", \"data\":\"}\",\"unsigned\"\n:\t18446744073709551614",
		    "-9 18446744073709551614 1.5 '\\\",1:{' 1" },
		{ "\"flag\":true,\"unsigned\":18446744073709551615,\"signed\":-9223372036854775808",
		    "-9223372036854775808 18446744073709551615 1.5 '' 0" },
		{ "\"unsigned\":18446744073709551615,\"signed\":9007199254740993,\"real\":25e-1",
		    "9007199254740993 18446744073709551615 2.5 '' 0" },
	};
	char body[256], expected[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		(void)snprintf(body, sizeof body, "{%s}", cases[i].fields);
		(void)snprintf(expected, sizeof expected, "%d %s", strstr(body, "flag") != NULL,
		    cases[i].body);
		post(port, "/otherwise", body, &answered);
		expect(200, TEXT, expected);
	}
}

static void
a_text_may_have_zero_bytes(void **state)
{
	(void)state;
	post(port, "/otherwise", "{\"data\": \"a\\u0000b\", \"text\": \"c\\u0000d\"}", &answered);
	expect(200, TEXT, "0 -9 5 1.5 'c' 3");
}

static void
a_querys_values_are_read_by_the_declared_kind(void **state)
{
	static const struct {
		const char *query, *body;
	} cases[] = {
		{ "flag=true", "1 -9 5 1.5 '' 0" },
		{ "flag=1", "1 -9 5 1.5 '' 0" },
		{ "flag=false&text=false&data=12", "0 -9 5 1.5 'false' 2" },
		{ "signed=-9223372036854775808", "0 -9223372036854775808 5 1.5 '' 0" },
		{ "signed=9223372036854775807", "0 9223372036854775807 5 1.5 '' 0" },
		{ "unsigned=18446744073709551615&text=7", "0 -9 18446744073709551615 1.5 '7' 0" },
		{ "real=3", "0 -9 5 3 '' 0" },
		{ "real=-2.5e-1", "0 -9 5 -0.25 '' 0" },
	};
	char target[128];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		(void)snprintf(target, sizeof target, "/otherwise?%s", cases[i].query);
		get(port, target, &answered);
		expect(200, TEXT, cases[i].body);
	}
}

static void
a_querys_value_that_is_not_of_the_kind_is_refused_by_name(void **state)
{
	static const struct {
		const char *query, *part;
	} cases[] = {
		{ "signed=", "'signed'" },
		{ "signed=five", "'signed'" },
		{ "signed=1.5", "\"signed\" wants i64 and got f64" },
		{ "signed=%205", "'signed'" },
		{ "signed=5+", "'signed'" },
		{ "signed=0x5", "'signed'" },
		{ "signed=05", "'signed'" },
		{ "signed=%2B5", "'signed'" },
		{ "signed=%225%22", "'signed'" },
		{ "signed=null", "'signed'" },
		{ "signed=[5]", "'signed'" },
		{ "signed=true", "\"signed\" wants i64 and got bool" },
		{ "signed=9223372036854775808", "\"signed\" wants i64: 9223372036854775808" },
		{ "unsigned=-1", "\"unsigned\" wants u64: -1" },
		{ "unsigned=18446744073709551616", "'unsigned'" },
		{ "flag=True", "'flag'" },
		{ "flag=yes", "'flag'" },
		{ "flag=2", "\"flag\"" },
		{ "real=nan", "'real'" },
		{ "real=1e999", "'real'" },
		{ "real=1,5", "'real'" },
	};
	char target[128];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		(void)snprintf(target, sizeof target, "/otherwise?%s", cases[i].query);
		get(port, target, &answered);
		assert_refused(cases[i].part);
	}
}

static void
a_query_becomes_arguments_by_name(void **state)
{
	(void)state;
	get(port, "/greet?name=D%C3%B6ra+%26%20Co%2&language=spanish", &answered);
	expect(200, TEXT, "Hola D\xc3\xb6ra & Co%2");
	get(port, "/greet?&name=&", &answered);
	expect(200, TEXT, "Hello ");
	get(port, "http://host.test/greet?name=x", &answered);
	expect(200, TEXT, "Hello x");
}

static void
wrong_arguments_are_refused_by_name(void **state)
{
	static const struct {
		const char *target, *body, *part;
	} cases[] = {
		{ "/greet", "", "name" },
		{ "/greet", "{}", "name" },
		{ "/greet", "{\"name\": 5}", "name" },
		{ "/greet", "{\"name\": null}", "'name': null" },
		{ "/greet", "{\"name\": [1]}", "'name': an array" },
		{ "/greet", "{\"name\": {}}", "'name': an object" },
		{ "/greet", "{\"name\": \"x\", \"other\": 1}", "other" },
		{ "/greet", "{\"name\": \"x\", \"other\": []}", "'other': an array" },
		{ "/i64", "{\"x\": 1.5}", "x" },
		{ "/i64", "{\"x\": \"1\"}", "x" },
		{ "/greet", "{\"name\": \"x\", \"name\": \"y\"}", "name" },
		{ "/greet", "{\"name\": ", "not JSON" },
		{ "/greet", "{\"name\": \"x\"} {}", "not JSON" },
		{ "/greet", "{\"na\\u0000me\": \"x\"}", "a field's name has a zero byte" },
		{ "/greet", "{\"name\": 99999999999999999999}",
		    "'name': a whole number of more than 64 bits" },
		{ "/i64", "{\"x\": -9223372036854775809}",
		    "'x': a whole number of more than 64 bits" },
		{ "/i64", "{\"x\": 18446744073709551616}",
		    "'x': a whole number of more than 64 bits" },
		{ "/i64", "{\"x\": 1e999}", "a number is larger than any f64" },
		{ "/i64", "{\"x\": 9223372036854775808}",
		    "parameter \"x\" wants i64: 9223372036854775808 does not fit" },
		{ "/i64", "{\"y\": [18446744073709551615], \"x\": 1}", "'y': an array" },
		{ "/i64", "{\"x\": 1, \"y\": 2}", "no parameter \"y\"" },
		{ "/i64", "{\"x\": \"1\"}", "Echoer.__call__: parameter \"x\" wants i64" },
		{ "/i64", "{}", "Echoer.__call__: parameter \"x\" (i64) is missing" },
		{ "/greet", "[\"Dora\"]", "not an object" },
		{ "/greet", "\"Dora\"", "not an object" },
		{ "/greet",
		    "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
		    "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}",
		    "17 fields" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		post(port, cases[i].target, cases[i].body, &answered);
		assert_refused(cases[i].part);
	}
}

static void
wrong_queries_are_refused_by_name(void **state)
{
	(void)state;
	get(port, "/greet", &answered);
	assert_refused("name");
	get(port, "/greet?name=x&name=y", &answered);
	assert_refused("'name' is given twice");
	get(port, "/greet?name=%ff", &answered);
	assert_refused("'name' is not UTF-8");
	get(port, "/greet?name=x&other=y", &answered);
	assert_refused("other");
	get(port, "/greet?name=%00", &answered);
	assert_int_equal(answered.status, 400);
	get(port, "/greet%00?name=x", &answered);
	assert_int_equal(answered.status, 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_fields_become_arguments_by_name),
		cmocka_unit_test(whole_numbers_are_good_for_reals_and_zero_and_one_for_flags),
		cmocka_unit_test(whole_numbers_arrive_as_they_were_sent),
		cmocka_unit_test(a_text_may_have_zero_bytes),
		cmocka_unit_test(a_querys_values_are_read_by_the_declared_kind),
		cmocka_unit_test(a_querys_value_that_is_not_of_the_kind_is_refused_by_name),
		cmocka_unit_test(a_query_becomes_arguments_by_name),
		cmocka_unit_test(wrong_arguments_are_refused_by_name),
		cmocka_unit_test(wrong_queries_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
