/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_ref - a response outlives its call: hand it to a plain task, or put it inside a payload.
 *
 *   $ object_ref
 *   task got message: 'Hi from Pinion deployment'
 *   Hi from Pinion deployment
 */
#include <stdio.h>

#include <pinion/pinion.h>

static int
say_hi(void *replica, pinion_request *req)
{
	(void)replica;
	return pinion_reply_fmt(req, "Hi from Pinion deployment");
}

/* A task: a function, no deployment. At the top level of the arguments a reference arrives resolved. */
static int
say_hi_task(pinion_request *req)
{
	pinion_str message = pinion_arg_str(req, 0);

	return pinion_reply_fmt(req, "task got message: '%.*s'", PINION_STR_FMT(message));
}

/* Nested in a payload it arrives as it is, and the task resolves it when it likes. */
struct order {
	int64_t id;
	pinion_ref message;
};

static int
nested_task(pinion_request *req)
{
	const struct order *order = pinion_arg_struct(req, 0, struct order);
	pinion_str message;
	int err = pinion_ref_get(order->message, &message); /* suspends the task, not its worker */

	return err != 0 ? err : pinion_reply(req, message);
}

static int
ingress(void *replica, pinion_request *req)
{
	pinion_handle say_hi_handle = *(const pinion_handle *)replica;
	pinion_response hi = pinion_call(say_hi_handle, PINION_ARGS());
	pinion_response echoed =
	    pinion_task(req, say_hi_task, PINION_ARGS(pinion_response_ref(hi)));

	return pinion_reply_response(req, echoed);
}

/* The same by a reference inside a struct: hi belongs to this request, which ends when the task has answered. */
static int
ingress_nested(void *replica, pinion_request *req)
{
	pinion_response hi = pinion_call(*(const pinion_handle *)replica, PINION_ARGS());
	struct order order = { .id = 7, .message = pinion_response_ref(hi) };

	return pinion_reply_response(
	    req, pinion_task(req, nested_task, PINION_ARGS(PINION_STRUCT_OF(order))));
}

static int
ingress_init(void *replica, pinion_init *init)
{
	*(pinion_handle *)replica = pinion_init_handle(init, 0);
	return 0;
}

static const pinion_deployment say_hi_deployment = {
	.name = "SayHi",
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, say_hi, .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment ingress_deployment = {
	.name = "Ingress",
	.replica_size = sizeof(pinion_handle),
	.init = ingress_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("say_hi")),
	.methods =
	    PINION_METHODS(PINION_METHOD(PINION_CALL, ingress, .returns = PINION_RETURNS_STR),
		PINION_METHOD("nested", ingress_nested, .returns = PINION_RETURNS_STR)),
};

PINION_APP(app);

pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config;
	pinion_node *say_hi_node = pinion_bind(build, &say_hi_deployment, PINION_ARGS());

	return pinion_bind(build, &ingress_deployment, PINION_ARGS(say_hi_node));
}

static int
print_answer(pinion_handle handle)
{
	pinion_response response = pinion_call(handle, PINION_ARGS());
	pinion_str text;
	int err = pinion_result(response, &text);

	if (err == 0)
		printf("%.*s\n", PINION_STR_FMT(text)); /* a view: good until release */
	pinion_release(response);
	return err;
}

int
main(void)
{
	pinion_runtime *rt = NULL;
	pinion_diag diag;
	pinion_handle handle;

	if (pinion_start(&rt, .name = "object_ref", .diag = &diag) != 0 ||
	    pinion_run(rt, app, &handle, .diag = &diag) != 0) {
		fprintf(stderr, "%s\n", diag.text);
		pinion_stop(rt); /* NULL is fine */
		return 1;
	}
	int err = print_answer(handle);

	if (err == 0)
		err = print_answer(pinion_method_of(handle, "nested"));
	pinion_stop(rt);
	return err == 0 ? 0 : 1;
}
