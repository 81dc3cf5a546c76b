/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain - (5 + 1) * 2 through three deployments; nobody waits in the middle.
 *
 * The multiplier is called with the adder's *response*. The worker that finishes the
 * addition sends the multiplication on itself; inside the multiplier the argument
 * is a plain integer.
 */
#include <inttypes.h>
#include <stdio.h>

#include <pinion/pinion.h>

static int
number_init(void *replica, pinion_init *init)
{
	*(int64_t *)replica = pinion_init_i64(init, 0);
	return 0;
}

static int
add(void *replica, pinion_request *req)
{
	return pinion_reply(req, pinion_arg_i64(req, 0) + *(const int64_t *)replica);
}

static int
multiply(void *replica, pinion_request *req)
{
	return pinion_reply(req, pinion_arg_i64(req, 0) * *(const int64_t *)replica);
}

static const pinion_deployment adder = {
	.name = "Adder",
	.replica_size = sizeof(int64_t),
	.init = number_init,
	.init_params = PINION_PARAMS(PINION_I64("increment")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, add,
	    .params = PINION_PARAMS(PINION_I64("val")), .returns = PINION_RETURNS_I64)),
};

static const pinion_deployment multiplier = {
	.name = "Multiplier",
	.replica_size = sizeof(int64_t),
	.init = number_init,
	.init_params = PINION_PARAMS(PINION_I64("multiple")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, multiply,
	    .params = PINION_PARAMS(PINION_I64("val")), .returns = PINION_RETURNS_I64)),
};

struct ingress {
	pinion_handle adder, multiplier;
};

static int
ingress_init(void *replica, pinion_init *init)
{
	struct ingress *self = replica;

	self->adder = pinion_init_handle(init, 0);
	self->multiplier = pinion_init_handle(init, 1);
	return 0;
}

static int
compute(void *replica, pinion_request *req)
{
	const struct ingress *self = replica;
	pinion_response sum = pinion_call(self->adder, PINION_ARGS(pinion_arg_i64(req, 0)));
	pinion_response product = pinion_call(self->multiplier, PINION_ARGS(sum));

	/* Both responses belong to this request and go with it. */
	return pinion_reply_response(req, product);
}

static const pinion_deployment ingress = {
	.name = "Ingress",
	.replica_size = sizeof(struct ingress),
	.init = ingress_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("adder"), PINION_HANDLE("multiplier")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, compute,
	    .params = PINION_PARAMS(PINION_I64("input")), .returns = PINION_RETURNS_I64)),
};

/* What `pinion run` looks for: builds the graph, returns its ingress. */
PINION_APP(app);

pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config; /* key=value pairs from the command line or the file */
	pinion_node *plus_one =
	    pinion_bind(build, &adder, PINION_ARGS(PINION_NAMED("increment", 1)));
	pinion_node *times_two =
	    pinion_bind(build, &multiplier, PINION_ARGS(PINION_NAMED("multiple", 2)));

	return pinion_bind(build, &ingress, PINION_ARGS(plus_one, times_two));
}

int
main(void)
{
	pinion_runtime *rt = NULL;
	pinion_diag diag;
	pinion_handle handle;
	int64_t value = 0;

	if (pinion_start(&rt, .name = "chain", .diag = &diag) != 0 ||
	    pinion_run(rt, app, &handle, .diag = &diag) != 0) {
		fprintf(stderr, "%s\n", diag.text);
		pinion_stop(rt); /* NULL is fine */
		return 1;
	}
	pinion_response response = pinion_call(handle, PINION_ARGS(5));
	int err = pinion_result(response, &value);

	pinion_release(response);
	pinion_stop(rt);
	printf("%" PRId64 "\n", value);
	return err == 0 && value == 12 ? 0 : 1;
}
