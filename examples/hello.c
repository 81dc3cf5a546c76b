/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello - pick a deployment by the request's language, answer with its greeting.
 *
 *   $ pinion run hello.so:app
 *   $ curl -s localhost:8000 --json '{"language": "spanish", "name": "Dora"}'
 *   Hola Dora
 *
 * The JSON object's fields become the ingress method's parameters by name.
 */
#include <pinion/pinion.h>

static int
hola(void *replica, pinion_request *req)
{
	pinion_str name = pinion_arg_str(req, 0);

	(void)replica;
	return pinion_reply_fmt(req, "Hola %.*s", PINION_STR_FMT(name));
}

static int
bonjour(void *replica, pinion_request *req)
{
	pinion_str name = pinion_arg_str(req, 0);

	(void)replica;
	return pinion_reply_fmt(req, "Bonjour %.*s", PINION_STR_FMT(name));
}

static const pinion_deployment spanish_responder = {
	.name = "SpanishResponder",
	.methods = PINION_METHODS(PINION_METHOD("say_hello", hola,
	    .params = PINION_PARAMS(PINION_STR("name")), .returns = PINION_RETURNS_STR)),
};

static const pinion_deployment french_responder = {
	.name = "FrenchResponder",
	.methods = PINION_METHODS(PINION_METHOD("say_hello", bonjour,
	    .params = PINION_PARAMS(PINION_STR("name")), .returns = PINION_RETURNS_STR)),
};

struct classifier {
	pinion_handle spanish, french;
};

static int
classifier_init(void *replica, pinion_init *init)
{
	struct classifier *self = replica;

	self->spanish = pinion_method_of(pinion_init_handle(init, 0), "say_hello");
	self->french = pinion_method_of(pinion_init_handle(init, 1), "say_hello");
	return 0;
}

static int
classify(void *replica, pinion_request *req)
{
	const struct classifier *self = replica;
	pinion_str language = pinion_arg_str(req, 0);
	pinion_str name = pinion_arg_str(req, 1);

	/* A tail call: the responder answers our caller itself. */
	if (pinion_str_is(language, "spanish"))
		return pinion_forward(req, self->spanish, PINION_ARGS(name));
	if (pinion_str_is(language, "french"))
		return pinion_forward(req, self->french, PINION_ARGS(name));
	return pinion_reply_fmt(req, "Please try again.");
}

static const pinion_deployment language_classifier = {
	.name = "LanguageClassifier",
	.replica_size = sizeof(struct classifier),
	.init = classifier_init,
	.init_params = PINION_PARAMS(PINION_HANDLE("spanish"), PINION_HANDLE("french")),
	.methods = PINION_METHODS(PINION_METHOD(PINION_CALL, classify,
	    .params = PINION_PARAMS(PINION_STR("language"), PINION_STR("name")),
	    .returns = PINION_RETURNS_STR)),
};

/* What `pinion run` looks for: builds the graph, returns its ingress. */
PINION_APP(app);

pinion_node *
app(pinion_app *build, const pinion_config *config)
{
	(void)config; /* key=value pairs from the command line or the file */
	pinion_node *spanish =
	    pinion_bind(build, &spanish_responder, PINION_ARGS(), .num_replicas = 3);
	pinion_node *french = pinion_bind(build, &french_responder, PINION_ARGS());

	return pinion_bind(build, &language_classifier, PINION_ARGS(spanish, french));
}
