/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pinion_declare.h - the values that calls are made of, and what a user declares: deployments, methods, parameters. Part of
 * pinion.h, which includes it.
 */
#ifndef PINION_PINION_DECLARE_H
#define PINION_PINION_DECLARE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PINION_ABI 1u
#define PINION_CALL "__call__" /* the method that a handle names until pinion_method_of */
#define PINION_VERSION "0.1.0"
#define PINION_MUST_CHECK __attribute__((warn_unused_result))
#define PINION_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#define PINION_EXPORT __attribute__((visibility("default")))

enum {
	PINION_ARGS_MAX = 16,             /* arguments of one call */
	PINION_UNRESOLVED_MAX = 8,        /* of these, responses, references and loans */
	PINION_RESULT_MAX_DEFAULT = 1024, /* bytes of a str or bytes result */
	PINION_WORKERS_MAX = 64,
	PINION_MAX_ONGOING_DEFAULT = 100, /* requests that one replica runs at once */
	PINION_BATCH_SIZE_DEFAULT = 10,
	PINION_BATCH_SIZE_MAX = 65536,
	PINION_NAME_MAX = 128,     /* bytes of a request's id, or a model's */
	PINION_CARRIED_MAX = 1024, /* bytes of both, and all values with their names */
	PINION_CALLER_DRIVEN =
	    0x7fffffff, /* workers: no thread; the caller drives with pinion_work */
};

typedef struct pinion_runtime pinion_runtime;
typedef struct pinion_port pinion_port;
typedef struct pinion_app pinion_app;
typedef struct pinion_node pinion_node;
typedef struct pinion_config pinion_config;
typedef struct pinion_init pinion_init;
typedef struct pinion_request pinion_request;

/* Small values, passed by value; distinct structs, so that _Generic tells them apart. */
typedef struct pinion_handle {
	uint64_t id;
} pinion_handle;
typedef struct pinion_response {
	uint64_t generation;
	uint32_t port, slot;
} pinion_response;
typedef struct pinion_ref {
	uint64_t generation;
	uint32_t port, slot;
} pinion_ref;
typedef struct pinion_stream { /* one call, many results */
	uint64_t generation;
	uint32_t port, slot;
} pinion_stream;
typedef struct pinion_token {
	uint64_t generation;
	uint32_t port, slot;
} pinion_token;
typedef struct pinion_str {
	const char *data;
	size_t len;
} pinion_str;
typedef struct pinion_bytes {
	const void *data;
	size_t len;
} pinion_bytes;

/* Where an error says what went wrong, naming the culprit. */
typedef struct pinion_diag {
	char text[256];
} pinion_diag;

/* At most 15 kinds: four bits each, so that the kinds of 16 arguments are one constant word. */
typedef enum pinion_kind {
	PINION_KIND_NONE,
	PINION_KIND_BOOL,
	PINION_KIND_I64,
	PINION_KIND_U64,
	PINION_KIND_F64,
	PINION_KIND_STR,
	PINION_KIND_BYTES,
	PINION_KIND_STRUCT,
	PINION_KIND_HANDLE,
	PINION_KIND_RESPONSE,
	PINION_KIND_STREAM,
	PINION_KIND_REF,
	PINION_KIND_NODE,
	PINION_KIND_LATE = 15 /* known at run time only: PINION_NAMED, PINION_STRUCT_OF */
} pinion_kind;

/* One argument or result. PINION_ARGS makes them; programs that know kinds only at run time fill them. */
typedef struct pinion_value {
	const char *name; /* NULL: positional */
	pinion_kind kind;
	uint32_t align; /* of a struct; 0: unknown */
	union {
		bool boolean;
		int64_t i64;
		uint64_t u64;
		double f64;
		pinion_str str;
		pinion_bytes bytes; /* bytes: also a struct's */
		pinion_handle handle;
		pinion_response response;
		pinion_stream stream;
		pinion_ref ref;
		pinion_node *node;
	} as;
} pinion_value;

/* signature: the kinds, 4 bits each; PINION_KIND_LATE in the lowest: look at each value. */
typedef struct pinion_args {
	const pinion_value *values;
	uint64_t signature;
	uint32_t count;
} pinion_args;
typedef struct pinion_into { /* 16 bytes: two registers, no copy on the stack */
	pinion_kind kind;
	uint32_t size;
	void *at;
} pinion_into;

typedef int pinion_handler(void *replica, pinion_request *req);
/* Several requests of one method, each to be answered on its own, as by a handler. What is left unanswered ends as when
 * a handler returns that. None ends before it returns. It belongs to no request: what it calls inherits nothing, and is
 * given back when it returns. Where it waits it is told -ECANCELED or -ETIMEDOUT when all that it has still to answer
 * are to end; a yield says so of its own member. */
typedef int pinion_batch_handler(void *replica, pinion_request *const *requests, unsigned count);
/* How much of max_batch_size a request takes up, 1 or more; 0: it is refused. Reads its arguments only. */
typedef uint32_t pinion_size_fn(void *replica, pinion_request *req);
/* 0 and *model, or -errno and maybe a pinion_fail of the request. It may wait. */
typedef int pinion_model_load_fn(void *replica, pinion_request *req, pinion_str id, void **model);
typedef void pinion_model_unload_fn(void *replica, void *model);
typedef int pinion_task_fn(pinion_request *req);
typedef int pinion_init_fn(void *replica, pinion_init *init);
typedef void pinion_deinit_fn(void *replica);
typedef pinion_node *pinion_builder(pinion_app *build, const pinion_config *config);

typedef struct pinion_param {
	const char *name;
	pinion_kind kind;
	uint32_t size, align; /* of a struct, bytes */
	bool optional;        /* then `otherwise` is its value when left out */
	union {
		bool boolean;
		int64_t i64;
		uint64_t u64;
		double f64;
		pinion_str str;
	} otherwise;
} pinion_param;
typedef struct pinion_params {
	const pinion_param *list;
	size_t count;
} pinion_params;
typedef struct pinion_returns {
	pinion_kind kind;
	uint32_t size, align;
} pinion_returns;

typedef struct pinion_method {
	const char *name;
	pinion_handler *handler;
	pinion_params params;
	pinion_returns returns; /* absent: nothing; then returning 0 is the answer */
	uint32_t result_max;    /* bytes of a str or bytes result; 0: PINION_RESULT_MAX_DEFAULT */
	/* May be run once more for the same call: when its process dies while it runs, another does, once. Not of a stream. */
	bool idempotent;
	bool
	    stream; /* yields any number of `returns`, each of at most result_max; returning 0 ends it */
	/* Instead of `handler`. Requests that gather count as ongoing: max_ongoing_requests is to be max_batch_size for
	 * each of the max_concurrent_batches, and more to gather meanwhile. */
	pinion_batch_handler *batch;
	int32_t max_batch_size;         /* requests, or what size_of says of them; 10 */
	int64_t batch_wait_ns;          /* for more, from the first on; 0: takes what is there */
	int32_t max_concurrent_batches; /* of a replica; 1 */
	pinion_size_fn *size_of;        /* NULL: each is 1 */
} pinion_method;
typedef struct pinion_methods {
	const pinion_method *list;
	size_t count;
} pinion_methods;

typedef struct pinion_deployment {
	const char *name;
	size_t replica_size, replica_align;
	pinion_init_fn *init;
	pinion_deinit_fn *deinit;
	pinion_params init_params;
	pinion_methods methods;
	/* Of what calls name by .terms.model: pinion_model has it loaded, once, and the least lately used unloaded. */
	pinion_model_load_fn *load_model;
	pinion_model_unload_fn *unload_model;
	int32_t max_models; /* loaded at once in one replica */
	/* Called with the .user_config of the deployment, after init and whenever it changes: nothing of the replica runs
	 * then. */
	pinion_init_fn *reconfigure;
	pinion_init_fn *warm_up; /* after both, before calls come */
} pinion_deployment;

#endif
