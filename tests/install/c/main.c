/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A C program that knows only the installed tree starts a runtime and calls a deployment.
 * Method  Everything through the macros of pinion_face.h.
 */
#include <pinion/pinion.h>
#include <stdio.h>

static int
increment(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply(req, pinion_arg_i64(req, 0) + 1);
}

static const pinion_deployment incrementer = {
	.name = "Incrementer",
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, increment,
	    .params = PINION_PARAMS(PINION_I64("x")), .returns = PINION_RETURNS_I64)),
};

static pinion_node *
build_app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	return pinion_bind(build, &incrementer, PINION_ARGS());
}

int
main(void)
{
	pinion_runtime *rt = NULL;
	pinion_diag diag = { "" };
	pinion_handle handle;
	int64_t value = 0;

	if (pinion_start(&rt, .workers = 1, .diag = &diag) != 0 ||
	    pinion_run(rt, build_app, &handle, .diag = &diag) != 0) {
		fprintf(stderr, "%s\n", diag.text);
		return 1;
	}
	pinion_response response = pinion_call(handle, PINION_ARGS(41));
	int err = pinion_result(response, &value);

	pinion_release(response);
	pinion_stop(rt);
	printf("C %lld\n", (long long)value);
	return err == 0 ? 0 : 1;
}
