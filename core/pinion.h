/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/pinion.h - compose deployments in shared memory.
 *
 *   pinion_start            a runtime: worker threads, joined by lanes in shared memory
 *   pinion_run(builder)     an application: deployments bound into a graph; gives its ingress handle
 *   pinion_call(handle)     a call, sent at once; its response is a future
 *   pinion_result(response) waits: a thread sleeps, a handler is suspended and its worker goes on
 *   pinion_release, pinion_stop
 *
 * Returns   0 or -errno, and must be checked. A call's failure travels in its response.
 * Values    Whole numbers become bool (0 and 1), i64, u64 and f64 where nothing is lost, else -ERANGE. No
 *           other kinds become one another.
 * Threads   Any thread may call; its port is opened on first use and closed at thread exit. A response
 *           is used only by the thread that made it; others use its reference.
 * Options   Designated initialisers behind the last fixed argument; 0 means the default, a negative
 *           number is refused.
 */
#ifndef PINION_PINION_H
#define PINION_PINION_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pinion_declare.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* ---- start and stop ---------------------------------------------------------------------------- */

/* A stray positional argument lands here and is a pointer mismatch, not a silent option. */
struct pinion_only_named;

/* now: nanoseconds, never going back. Read only when something asks for time. */
typedef struct pinion_clock {
	uint64_t (*now)(void *arg);
	void *arg;
} pinion_clock;
/* The kernel's steady clock; the default. */
pinion_clock pinion_clock_monotonic(void);
/* The time stamp counter in nanoseconds, without the kernel's page; where it is not steady, as above. */
pinion_clock pinion_clock_tsc(void);
/* What goes wrong where no caller can be told, and what start found out; called from any thread, also from
 * workers. */
typedef void pinion_log_fn(void *arg, const char *line);

typedef struct pinion_start_options {
	pinion_runtime **runtime;
	struct pinion_only_named *only_named_;
	size_t size_;
	const char *name; /* shown in thread names and segments; "pinion" */
	pinion_diag *diag;
	int32_t workers; /* threads, at most 64; a core each but one; PINION_CALLER_DRIVEN: none */
	/* How long who waits looks: "adaptive": 10 us, then it sleeps; but if workers and a caller outnumber
	 * the cpus, as "yield". "yield": 1 us, then it yields, and sleeps after 100 us. "spin": for ever. */
	const char *idle;
	/* What it does between two looks: "clock" (reads it), "2 clocks", "pause", "2 pauses", "4 pauses", "tight"
	 * (nothing). "auto": the quickest, tried at start with threads of its own and two cpus, else "clock". */
	const char *poll;
	int32_t slots;      /* calls outstanding per port; 1024, at most 65535 */
	int32_t lane_cells; /* messages per lane, a power of two; 1024 */
	int64_t
	    arena_bytes; /* payload per port, a power of two, 256 KiB or more; 16 MiB; taken as it is used */
	int64_t stack_size; /* of a handler, bytes; 64 KiB */
	int64_t drain_ns;   /* how long pinion_stop lets calls finish; 1 s */
	bool prefault;      /* touch and lock all memory at start */
	bool huge_pages;    /* try; the log says what it got */
	bool no_pin;        /* leave workers to the kernel */
	pinion_clock clock; /* for every time a user can see; pinion_clock_monotonic() */
	pinion_log_fn *log; /* NULL: silent */
	void *log_arg;
	/* Other processes may attach by this name: 1 to 47 letters, digits, - and _. NULL: none may. */
	const char *listen;
	const char *listen_group; /* a group whose members may, beside our own user; NULL: none */
	/* Replicas of isolated deployments that may run at once, each in a process of its own; takes .listen. Each port has
	 * a lane to each, and those of clients keep two descriptors here. */
	int32_t host_workers;
} pinion_start_options;

/* -EINVAL, -ENOMEM, -EAGAIN (no threads), -EMFILE; of .listen: -EADDRINUSE (the name is taken), -EACCES (the runtime folder
 * is not ours alone); diag names the culprit. */
int pinion_start_with(const pinion_start_options *options) PINION_MUST_CHECK;

typedef struct pinion_attach_options {
	pinion_runtime **runtime;
	const char *name; /* that the other process listens by */
	struct pinion_only_named *only_named_;
	size_t size_;
	pinion_diag *diag;
	const char *idle; /* of who waits here, as of pinion_start; "adaptive" */
	int64_t
	    arena_bytes; /* payload per port, a power of two, 256 KiB up to what the other has; 1 MiB; taken at once */
	pinion_log_fn *log; /* NULL: silent */
	void *log_arg;
} pinion_attach_options;
/* A part in a runtime of another process: its applications can be called from here, by the threads of this process, as by
 * its own. Nothing runs here: pinion_run, pinion_scale, pinion_task refuse; references are read where they were made. When
 * the other process ends, calls end with -EOWNERDEAD, those under way too. pinion_stop leaves: what is under way is
 * canceled over there. Attached twice, it is left twice. -ENOENT: nobody listens by that name; -EACCES: not to us; -EPROTO:
 * another build; -EUSERS: 256 processes have attached; -EBADMSG: nonsense; -ETIMEDOUT: no answer; -EINVAL: this process
 * itself, or an option. A forked child has no part in it. */
int pinion_attach_with(const pinion_attach_options *options) PINION_MUST_CHECK;

typedef struct pinion_host_options {
	pinion_runtime **runtime;
	const char *name;        /* that the runtime listens by */
	pinion_builder *builder; /* of the application, or of one that has that deployment */
	struct pinion_only_named *only_named_;
	size_t size_;
	pinion_diag *diag;
	const char *app; /* "default" */
	const char
	    *deployment;     /* that it is to run, one that was bound with .isolation = "process" */
	const char *replica; /* its number; NULL: any that has no process yet */
	const pinion_config *config; /* given to the builder */
	const char *idle;            /* as of pinion_attach, for threads that call */
	int64_t arena_bytes;         /* the same; 1 MiB */
	int64_t stack_size;          /* as of pinion_start */
	int64_t drain_ns;            /* the same: for what runs when it is told to end */
	pinion_log_fn *log;
	void *log_arg;
} pinion_host_options;
/* This process runs a replica of another's runtime, on a worker of its own: returns when its init has run. Constructor
 * arguments and options are as that process bound them; of the builder's graph only the functions are used. Beside that it
 * is attached (pinion_attach). -ENOENT: no such deployment runs there, or it has all its processes; -EACCES, -EPROTO and so
 * on, as pinion_attach; or what init said. */
int pinion_host_with(const pinion_host_options *options) PINION_MUST_CHECK;
/* Until it is told to end: then its replica has had deinit, and pinion_stop is next. -EOWNERDEAD: the process that runs the
 * rest has ended, or cut us off. */
int pinion_host_wait(pinion_runtime *runtime) PINION_MUST_CHECK;

/* Lets outstanding calls finish for drain_ns, ends the rest with -ECANCELED, runs deinit, joins all
 * threads and unmaps everything. Waits for handlers that run, however long: none can be killed. Handles
 * and responses are -ESTALE from then on. NULL is fine. From a handler it does nothing, and says so. A forked child has no
 * part in its parent's runtime: -ESTALE is all that it gets, and this does nothing; it may attach. */
void pinion_stop(pinion_runtime *rt);

/* Caller-driven: one bounded turn on this thread. Returns the work done: 0 means nothing to do now, or
 * that another thread drives at this moment. -EINVAL: the runtime has threads of its own. */
int pinion_work(pinion_runtime *rt);

/* ---- applications ------------------------------------------------------------------------------ */

/* An option of a deployment as text: from a file, from a command. */
typedef struct pinion_override {
	const char *deployment, *option; /* named as in pinion_bind_options */
	const char *value;               /* times: ns, or "5us", "5ms", "5s"; 0 is refused */
	const char *where;               /* begins a refusal: "app.yaml:12"; NULL: nothing does */
} pinion_override;
typedef struct pinion_overrides {
	const pinion_override *list;
	size_t count;
} pinion_overrides;

/* What a builder made of a deployment, with all its options. The texts hold until the function returns. */
typedef struct pinion_option {
	const char *name, *value; /* value: as pinion_override takes it; NULL: none, no limit */
	bool is_default;          /* it would be so if nobody said it */
} pinion_option;
typedef struct pinion_planned {
	const char *deployment;
	const pinion_option *options;
	unsigned option_count;
	bool is_ingress;
} pinion_planned;
typedef void pinion_plan_fn(void *arg, const pinion_planned *planned);

typedef struct pinion_run_options {
	pinion_handle *handle;
	struct pinion_only_named *only_named_;
	size_t size_;
	const char *name;         /* of the application; "default" */
	const char *route_prefix; /* for HTTP, not below "/-/"; "/" for "default", else "/<name>" */
	pinion_diag *diag;
	const pinion_config *config; /* given to the builder */
	pinion_overrides
	    overrides; /* over what the builder's binds say; the later over the earlier */
	/* Builds only, and is told each deployment, those that others are bound to first: nothing starts, no init
	 * runs, and there is no handle. */
	pinion_plan_fn *plan;
	void *plan_arg;
	/* Starts the process of an isolated replica, which is to call pinion_host: the words of a command, with NULL at the end,
	 * behind which come the runtime's .listen, the application, the deployment, the replica's number. NULL: processes come
	 * by themselves, and until all of a deployment have, calls to it fail with -ENOENT. */
	const char *const *host_command;
} pinion_run_options;

typedef struct pinion_bind_options {
	pinion_args args;
	struct pinion_only_named *only_named_;
	size_t size_;
	const char *name;             /* the deployment's own; made unique with #2, #3 ... */
	int32_t num_replicas;         /* 1 */
	int32_t max_ongoing_requests; /* PINION_MAX_ONGOING_DEFAULT; strict */
	/* That wait for a start, of the whole deployment, shared out to its replicas: beyond, -ENOBUFS. 0: no limit.
	 * What a busy worker has not yet seen does not count. */
	int32_t max_queued_requests;
	int64_t queue_timeout_ns; /* what has not started by then ends with -ETIMEDOUT; 0: waits */
	/* "least_loaded"; "round_robin"; "local": on the caller's worker, else node; "by_key": the same replica for
	 * the same call option .key, or without one for the same caller. Only by_key keeps a caller's calls in order where some
	 * of them wait for an argument: they go by way of where the first is made, and start as these end there. */
	const char *routing;
	/* Of all methods with a batch handler, over what they declare; 0: as declared. Without such a method refused. */
	int32_t max_batch_size;
	int64_t batch_wait_ns;
	int32_t max_concurrent_batches;
	const char *user_config; /* a text that `reconfigure` reads; NULL: none */
	/* "none"; "process": each replica in a process of its own (pinion_host), one of the runtime's .host_workers. Calls to and
	 * from it cross as any other. While it runs, num_replicas alone can be changed. */
	const char *isolation;
} pinion_bind_options;

/* Builds the graph, starts its replicas, runs their init; all or nothing. */
int pinion_run_with(pinion_runtime *rt, pinion_builder *builder,
    const pinion_run_options *options) PINION_MUST_CHECK;
/* In a builder. A node of a deployment with these constructor arguments; a node given as an argument
 * arrives as a handle. NULL when refused: pinion_run then fails and says why. */
pinion_node *pinion_bind_with(
    pinion_app *build, const pinion_deployment *deployment, const pinion_bind_options *options);
/* In a builder: refuse, with a reason. Returns NULL, to be returned. */
pinion_node *pinion_build_fail(pinion_app *build, const char *format, ...) PINION_PRINTF(2, 3);

typedef struct pinion_change_options {
	const char *deployment;
	struct pinion_only_named *only_named_;
	size_t size_;
	const char *app; /* "default" */
	pinion_diag *diag;
	const char *user_config; /* NULL: as it is; here and below, 0 likewise */
	int32_t num_replicas;    /* as pinion_scale */
	int32_t max_ongoing_requests;
	int32_t max_queued_requests; /* of a deployment that was bound with some */
	int32_t max_batch_size;      /* of the next batch, where there is a batch handler, */
	int64_t batch_wait_ns;       /* and its first member */
	int32_t max_concurrent_batches;
	int64_t timeout_ns; /* for what runs: until it must end; .drain_ns of the runtime */
} pinion_change_options;
/* Changes a deployment that runs, replica by replica, while calls fly. What is queued stays queued. -EINVAL; -ENOENT; -ENOMEM
 * (stacks for max_ongoing_requests); -ETIMEDOUT: requests did not end in time for `reconfigure`; or what that said: then those before it
 * have the old text again, or "", and nothing else is changed. num_replicas comes last: as pinion_scale. */
int pinion_reconfigure_with(
    pinion_runtime *rt, const pinion_change_options *options) PINION_MUST_CHECK;
/* More replicas, which have had their init when the first call comes; or fewer: what the last have not begun goes to others, what
 * they run has .drain_ns to end, and as long when canceled. app NULL: "default". */
int pinion_scale(pinion_runtime *rt, const char *app, const char *deployment, int32_t replicas,
    pinion_diag *diag) PINION_MUST_CHECK;

/* key=value, for a builder or with a call. */
typedef struct pinion_pair {
	const char *key, *value;
} pinion_pair;
/* NULL config or a missing key: `otherwise`. */
struct pinion_config {
	const pinion_pair *pairs;
	size_t count;
};
const char *pinion_config_get(const pinion_config *config, const char *key, const char *otherwise);

/* In init: constructor arguments by position, as declared; the replica's number; a reason to fail. */
bool pinion_init_bool(pinion_init *init, unsigned index);
int64_t pinion_init_i64(pinion_init *init, unsigned index);
uint64_t pinion_init_u64(pinion_init *init, unsigned index);
double pinion_init_f64(pinion_init *init, unsigned index);
pinion_str pinion_init_str(pinion_init *init, unsigned index); /* valid until init returns */
pinion_bytes pinion_init_bytes(pinion_init *init, unsigned index);
const void *pinion_init_struct_at(pinion_init *init, unsigned index, size_t size, size_t align);
pinion_handle pinion_init_handle(pinion_init *init, unsigned index);
unsigned pinion_init_replica(pinion_init *init);
/* The deployment's, "": none. Valid until the function returns. */
pinion_str pinion_init_user_config(pinion_init *init);
pinion_runtime *pinion_init_runtime(pinion_init *init);
int pinion_init_fail(pinion_init *init, int error, const char *format, ...)
    PINION_PRINTF(3, 4) PINION_MUST_CHECK;

/* By name, also of another application: its deployment's PINION_CALL; deployment NULL: its ingress. From any thread,
 * handlers and init too. -ENOENT: none of that name runs. */
int pinion_handle_find(pinion_runtime *rt, const char *app, const char *deployment,
    pinion_handle *handle) PINION_MUST_CHECK;

/* Of two requests that wait for the same worker or replica, one of high priority starts first; of ten in a row one is
 * another, whatever comes. */
typedef enum pinion_priority {
	PINION_PRIORITY_NORMAL,
	PINION_PRIORITY_HIGH
} pinion_priority;
/* The same deployment, another method. An unknown name is an error of the calls made with it. */
pinion_handle pinion_method_of(pinion_handle handle, const char *method);
typedef struct pinion_handle_options {
	pinion_handle *handle;
	struct pinion_only_named *only_named_;
	size_t size_;
	int64_t
	    timeout_ns; /* of each call and stream that says none itself; 0: the handle's, if any */
	pinion_priority priority; /* the same; NORMAL: the handle's */
	pinion_diag *diag;
} pinion_handle_options;
/* Another handle of the same method, with options over those that the handle has; pinion_method_of keeps them. -EINVAL,
 * -ESTALE, -ENOSPC (1,024 are told apart). */
int pinion_handle_with_options(
    pinion_handle handle, const pinion_handle_options *options) PINION_MUST_CHECK;
/* Whether it names a method that is a stream. */
bool pinion_handle_streams(pinion_handle handle);
/* What a handle's method was declared as, for programs that make arguments at run time; of a stream, what its items
 * are. -ESTALE; -EINVAL: its deployment has no such method. */
int pinion_handle_describe(
    pinion_handle handle, pinion_params *params, pinion_returns *returns) PINION_MUST_CHECK;

/* All methods of its deployment, as declared. -ESTALE. */
int pinion_handle_methods(pinion_handle handle, pinion_methods *methods) PINION_MUST_CHECK;

/* ---- calls ------------------------------------------------------------------------------------- */

/* What is in a pinion_args, in registers: the struct would go over the stack. */
pinion_response pinion_call_values(pinion_handle handle, const pinion_value *values,
    uint64_t signature, uint32_t count) PINION_MUST_CHECK;
/* Sends at once and never waits; every failure is in the response. */
PINION_MUST_CHECK static inline pinion_response
pinion_call(pinion_handle handle, pinion_args args)
{
	return pinion_call_values(handle, args.values, args.signature, args.count);
}
/* What travels with a call, and with whatever its handler calls: read there by pinion_request_context and
 * pinion_request_value. Copied. */
typedef struct pinion_terms {
	pinion_priority priority;  /* NORMAL: the calling handler's */
	const char *request_id;    /* at most PINION_NAME_MAX bytes; NULL: the calling handler's */
	const char *model;         /* of a multiplexed deployment; not handed down */
	const pinion_pair *values; /* small ones; beside the calling handler's, and before them */
	size_t value_count;
} pinion_terms;
typedef struct pinion_call_options {
	pinion_args args;
	struct pinion_only_named *only_named_;
	size_t size_;
	pinion_port *port; /* of this thread; NULL: the one that pinion_call uses */
	int64_t
	    timeout_ns; /* from now on, or what is left to the calling handler if that is less; 0: that */
	uint64_t tag; /* with .tagged and .port: as pinion_call_tagged */
	bool tagged;
	bool has_key; /* .key counts: whom it goes to where routing is "by_key" */
	uint64_t key;
	pinion_terms terms;
} pinion_call_options;
/* The same with options. When its time is over the call ends with -ETIMEDOUT, and what it called: before it starts, it
 * never does; a handler is told by -ETIMEDOUT where it waits, yields or calls, and by pinion_cancelled; who waits for
 * the result is not kept waiting by a handler that is not told. */
pinion_response pinion_call_with_options(
    pinion_handle handle, const pinion_call_options *options) PINION_MUST_CHECK;
/* The same call to every replica, each with a response of its own. Returns how many replicas there are; only `max` are
 * called. -errno: none could be. */
int pinion_broadcast(pinion_handle handle, pinion_args args, pinion_response *responses,
    unsigned max) PINION_MUST_CHECK;
/* Nobody waits for an answer. 0, or why it could not be sent. */
int pinion_post(pinion_handle handle, pinion_args args) PINION_MUST_CHECK;
/* A plain function on the task workers; functions are told apart by address. It must reply. */
pinion_response pinion_task_on(
    pinion_runtime *rt, pinion_task_fn *fn, pinion_args args) PINION_MUST_CHECK;
pinion_response pinion_task_of(
    pinion_request *req, pinion_task_fn *fn, pinion_args args) PINION_MUST_CHECK;

/* Waits and reads; repeatable. Views (str, bytes) hold until release. 0, the call's error, -ESTALE
 * (released, another thread's, or a stopped runtime's), -EINVAL (another kind), -ERANGE (does not fit),
 * -EDEADLK (waiting too deep). `into.kind` PINION_KIND_NONE only waits. */
int pinion_result_into(pinion_response response, pinion_into into) PINION_MUST_CHECK;
/* The same within timeout_ns, by the runtime's clock: -EAGAIN, and the response stays good. 0: only looks;
 * negative: no limit. A clock that the program moves itself has to be moved by another thread; a driver whose
 * clock stands, and who has nothing to do, gets -EAGAIN at once. */
int pinion_result_within_into(
    pinion_response response, int64_t timeout_ns, pinion_into into) PINION_MUST_CHECK;
/* The result as its own kind. str and bytes are views until release. */
int pinion_result_value(pinion_response response, pinion_value *value) PINION_MUST_CHECK;
/* Waits until one of them is there; its index, -EAGAIN, or -EINVAL. timeout_ns negative: no limit. */
int pinion_wait_any(
    const pinion_response *responses, unsigned count, int64_t timeout_ns) PINION_MUST_CHECK;
/* Gives the slot back. A pending call still runs. */
void pinion_release(pinion_response response);
/* Asks that the call should not go on, nor what it called. One that has not started never does; one that runs is
 * told by -ECANCELED where it waits, calls or yields, and by pinion_cancelled. Never waits: the response says how it
 * ended, -ECANCELED or as if nothing had been asked. Of a call that has ended: nothing. */
void pinion_cancel(pinion_response response);

/* What went wrong: the code alone cannot tell a handler's -ETIMEDOUT from ours. */
typedef enum pinion_origin {
	PINION_ORIGIN_CALLER,
	PINION_ORIGIN_RUNTIME,
	PINION_ORIGIN_HANDLER,
	PINION_ORIGIN_UPSTREAM
} pinion_origin;
typedef struct pinion_error {
	int code; /* 0: no error, or not there yet */
	pinion_origin origin;
	pinion_str deployment, method, text; /* until release */
} pinion_error;
pinion_error pinion_response_error(pinion_response response);

/* A reference may travel in payloads and be read by any thread of the process while its response is not
 * released; kept, it outlives the request that made it, until pinion_ref_release. */
pinion_ref pinion_response_ref(pinion_response response);
int pinion_response_keep(pinion_response response) PINION_MUST_CHECK;
void pinion_ref_release(pinion_ref ref);
/* Waits and reads. A str or bytes view is good until the calling request ends, or, outside of one,
 * until this thread's next pinion_ref_get. -EACCES: of another process's call; -ESTALE (released, given back), -EINVAL (another kind, or not made
 * by pinion_response_ref) or the call's error. */
int pinion_ref_get_into(pinion_ref ref, pinion_into into) PINION_MUST_CHECK;

/* ---- streams ----------------------------------------------------------------------------------- */

typedef struct pinion_stream_options {
	pinion_args args;
	struct pinion_only_named *only_named_;
	size_t size_;
	pinion_port *port; /* of this thread; NULL: the one that pinion_call uses */
	int32_t
	    window; /* items that the producer may be ahead, at most 65536, made a power of two; 32 */
	int64_t timeout_ns; /* of the whole stream, as of a call; 0: the calling handler's */
	uint64_t
	    tag; /* with .tagged and .port: pinion_harvest reports it when there is something to
			     * read, and again each time after a pinion_next_within(0) that said -EAGAIN */
	bool tagged;
	bool has_key; /* as of a call */
	uint64_t key;
	pinion_terms terms;
} pinion_stream_options;

/* Calls a method that is declared .stream. Sends at once and never waits; a failure is what pinion_next says. */
pinion_stream pinion_call_stream_with(
    pinion_handle handle, const pinion_stream_options *options) PINION_MUST_CHECK;
/* 1: an item, 0: the end, however often it is asked; -errno: why it ended, after its items, or -ESTALE, -EINVAL
 * (another kind; the item stays), -ERANGE (it does not fit, and stays). A str or bytes item is a view until the
 * stream's next item is asked for, or it is closed. */
int pinion_next_into(pinion_stream stream, pinion_into into) PINION_MUST_CHECK;
/* The same within timeout_ns, as pinion_result_within: -EAGAIN, and the stream stays good. 0: only looks. */
int pinion_next_within_into(
    pinion_stream stream, int64_t timeout_ns, pinion_into into) PINION_MUST_CHECK;
/* The same as its own kind; timeout_ns negative: no limit. */
int pinion_next_value(
    pinion_stream stream, int64_t timeout_ns, pinion_value *value) PINION_MUST_CHECK;
/* A stream may be an argument, of a task too, once: then it is read there, from where its caller had come to, and
 * pinion_next says -EINVAL here. The call does not wait for it. Closing it here ends nothing. */
/* As pinion_cancel: pinion_next says -ECANCELED after the items that are there. */
void pinion_stream_cancel(pinion_stream stream);
/* Gives it back. What is still yielded is dropped, and the producer canceled. */
void pinion_stream_close(pinion_stream stream);
/* Why it ended; texts hold until pinion_stream_close. */
pinion_error pinion_stream_error(pinion_stream stream);

/* ---- ports: for those who do not want a thread-local read, or have an event loop ---------------- */

/* The calling thread's own, until closed. -ENOSPC: 512 are open, workers' included; -EMFILE: a port takes two descriptors. */
int pinion_port_open(pinion_runtime *rt, pinion_port **port) PINION_MUST_CHECK;
void pinion_port_close(pinion_port *port);
/* The port that pinion_call uses on this thread; NULL when none can be opened. */
pinion_port *pinion_port_mine(pinion_runtime *rt);
/* Touches every page and makes a call to each worker, so that the first call of the port costs what the
 * next one does. 0, -ESTALE, or why a worker could not be called (-ENOBUFS, -ECANCELED). */
int pinion_port_warm(pinion_port *port) PINION_MUST_CHECK;
pinion_response pinion_call_on_values(pinion_port *port, pinion_handle handle,
    const pinion_value *values, uint64_t signature, uint32_t count) PINION_MUST_CHECK;
PINION_MUST_CHECK static inline pinion_response
pinion_call_on(pinion_port *port, pinion_handle handle, pinion_args args)
{
	return pinion_call_on_values(port, handle, args.values, args.signature, args.count);
}
int pinion_post_on(pinion_port *port, pinion_handle handle, pinion_args args) PINION_MUST_CHECK;
int pinion_result_on_into(
    pinion_port *port, pinion_response response, pinion_into into) PINION_MUST_CHECK;
void pinion_release_on(pinion_port *port, pinion_response response);

/* Memory of the port's arena, 64-byte aligned: an argument built here is read where it lies. It is the
 * caller's until pinion_loan_end; calls that use it keep it until they are done. NULL: -ENOBUFS. */
void *pinion_loan(pinion_port *port, size_t size);
void pinion_loan_end(pinion_port *port, void *loan);

pinion_response pinion_call_tagged_values(pinion_port *port, pinion_handle handle,
    const pinion_value *values, uint64_t signature, uint32_t count, uint64_t tag) PINION_MUST_CHECK;
/* Calls whose end is reported by pinion_harvest, with the caller's tag. */
PINION_MUST_CHECK static inline pinion_response
pinion_call_tagged(pinion_port *port, pinion_handle handle, pinion_args args, uint64_t tag)
{
	return pinion_call_tagged_values(
	    port, handle, args.values, args.signature, args.count, tag);
}
typedef struct pinion_finished {
	pinion_response response;
	uint64_t tag;
} pinion_finished;
/* Finished tagged calls, at most `max`, in order of completion; never waits. Each is still to be read
 * and released; one that was released before is left out. Of a tagged stream: it can be read. */
unsigned pinion_harvest(pinion_port *port, pinion_finished *finished, unsigned max);
/* A descriptor that becomes readable when a tagged call of an armed port ends. Made at first use. */
int pinion_port_fd(pinion_port *port) PINION_MUST_CHECK;
/* Before sleeping in an event loop. True: something is there already, harvest first. A wait disarms. */
bool pinion_port_arm(pinion_port *port) PINION_MUST_CHECK;

/* ---- in a handler ------------------------------------------------------------------------------ */

/* Arguments by position, as declared. Views hold until the request is answered or handed on. One that is not
 * there or is of another kind reads as 0 or nothing, and the call fails with -EINVAL. */
bool pinion_arg_bool(pinion_request *req, unsigned index);
int64_t pinion_arg_i64(pinion_request *req, unsigned index);
uint64_t pinion_arg_u64(pinion_request *req, unsigned index);
double pinion_arg_f64(pinion_request *req, unsigned index);
pinion_str pinion_arg_str(pinion_request *req, unsigned index);
pinion_bytes pinion_arg_bytes(pinion_request *req, unsigned index);
pinion_handle pinion_arg_handle(pinion_request *req, unsigned index);
pinion_ref pinion_arg_ref(
    pinion_request *req, unsigned index); /* a declared PINION_REF parameter */
/* A declared PINION_STREAM parameter: read here with pinion_next, items as they come. What is not read to the end when
 * the request has ended is canceled. It may be forwarded once, with what was not read. */
pinion_stream pinion_arg_stream(pinion_request *req, unsigned index);
const void *pinion_arg_struct_at(pinion_request *req, unsigned index, size_t size, size_t align);

/* Answers; a second answer is -EALREADY and is logged, the first stands. -EMSGSIZE: larger than the
 * method's result_max. */
int pinion_reply_value(pinion_request *req, pinion_value value) PINION_MUST_CHECK;
/* The same of a value that lies somewhere. */
int pinion_reply_from(pinion_request *req, const pinion_value *value) PINION_MUST_CHECK;
/* Of a method that returns nothing, or a stream: it ends here, as by returning 0. */
int pinion_reply_nothing(pinion_request *req) PINION_MUST_CHECK;
int pinion_reply_fmt(pinion_request *req, const char *format, ...)
    PINION_PRINTF(2, 3) PINION_MUST_CHECK;
/* An item of a stream. While its reader keeps up, its worker runs nothing else, and it hears of a cancel only by
 * pinion_cancelled. Waits for room when the reader is a window behind: this request only, its worker goes on.
 * -ECANCELED: nobody listens any more, or the runtime stops; -EINVAL, -EMSGSIZE: not what is declared, and the
 * stream has ended with that error. */
int pinion_yield_from(pinion_request *req, const pinion_value *value) PINION_MUST_CHECK;
/* Memory where the result will be read; pinion_reply_buffer then answers without a copy. NULL: larger
 * than result_max, or answered. */
void *pinion_result_buffer(pinion_request *req, size_t size);
int pinion_reply_buffer(pinion_request *req, size_t size) PINION_MUST_CHECK;
/* Answers with a call that this request made, when it is there. No fiber waits. */
int pinion_reply_response(pinion_request *req, pinion_response response) PINION_MUST_CHECK;
/* A tail call: `handle` answers our caller. */
int pinion_forward(pinion_request *req, pinion_handle handle, pinion_args args) PINION_MUST_CHECK;
/* Ends the handler with an error and its text. Returns `error`, made negative, to be returned. */
int pinion_fail(pinion_request *req, int error, const char *format, ...)
    PINION_PRINTF(3, 4) PINION_MUST_CHECK;
/* Answered later, with the token, from any thread of the process. -EALREADY. -ENOMEM: not sent, the token stays
 * good. */
int pinion_defer(pinion_request *req, pinion_token *token) PINION_MUST_CHECK;
int pinion_token_reply_value(pinion_token token, pinion_value value) PINION_MUST_CHECK;
int pinion_token_fail(pinion_token token, int error, const char *format, ...)
    PINION_PRINTF(3, 4) PINION_MUST_CHECK;
/* Whether nobody wants its answer any more; for handlers that compute long. Takes what has come for this worker
 * meanwhile: some 50 ns. */
bool pinion_cancelled(pinion_request *req);
/* ns until the request's deadline, by the runtime's clock; 0: it is past; INT64_MAX: it has none. */
int64_t pinion_time_left(pinion_request *req);
/* The model that the call named by .terms.model, loaded if it was not: another that loads it, or a place for it, is
 * waited for. Good until the request has ended. -EINVAL: it names none, or the deployment has none; or what load_model
 * said. */
int pinion_model(pinion_request *req, void **model) PINION_MUST_CHECK;
/* Suspends this request; its worker goes on with others. */
int pinion_sleep(pinion_request *req, int64_t ns) PINION_MUST_CHECK;
/* Memory on this worker's node until the request has ended. NULL: none left. */
void *pinion_alloc(pinion_request *req, size_t size);
/* Where a request is, and what it came with. Strings hold until it is answered or handed on; those of application,
 * route, deployment and method until pinion_stop. */
typedef struct pinion_context {
	pinion_str request_id, model; /* "": none */
	const char *application,
	    *route; /* that was called first, if its call had terms; else its own */
	const char *deployment, *method;
	unsigned replica; /* its number: 0 and up, dense */
	pinion_priority priority;
} pinion_context;
void pinion_request_context(pinion_request *req, pinion_context *context);
/* Of a replica in its init, reconfigure or warm_up: which application, deployment and replica it is. */
void pinion_init_context(pinion_init *init, pinion_context *context);
/* What a call before it said of that name; "": nothing. Holds until it is answered or handed on. */
pinion_str pinion_request_value(pinion_request *req, const char *name);
pinion_runtime *pinion_request_runtime(pinion_request *req);
unsigned pinion_request_worker(pinion_request *req);
bool pinion_str_is(pinion_str str, const char *text);

/* ---- looking at a runtime ---------------------------------------------------------------------- */

typedef struct pinion_route {
	const char *prefix, *app;
	pinion_handle handle;
} pinion_route;
/* The application that answers this path: the longest prefix. False: none. */
bool pinion_route_find(pinion_runtime *rt, const char *path, pinion_route *route);
/* At most `max` routes; returns how many there are. Strings hold until pinion_stop. */
unsigned pinion_route_list(pinion_runtime *rt, pinion_route *routes, unsigned max);

/* At most `max` names of an application's deployments, as they were bound; returns how many there are, 0: no such
 * application. They hold until pinion_stop. */
unsigned pinion_deployment_list(
    pinion_runtime *rt, const char *app, const char **names, unsigned max);

/* Replicas that calls with this handle go to now; 0: none, or the handle is of nothing. */
unsigned pinion_replica_count(pinion_handle handle);

/* Names that pinion_attach finds now. 0 or -errno. */
typedef void pinion_name_fn(void *arg, const char *name);
int pinion_attach_list(pinion_name_fn *visit, void *arg, pinion_diag *diag) PINION_MUST_CHECK;
/* A process that has attached to the runtime. */
typedef struct pinion_client_status {
	int64_t pid;
	uint32_t uid;
	uint32_t ports;
	uint32_t violations; /* messages that made no sense; at 16 it is shown out */
} pinion_client_status;
/* Of the client of that number, if it is below what is returned: how many there are. */
unsigned pinion_client_look(pinion_runtime *rt, unsigned client, pinion_client_status *status);

/* What is taken and not given back; all zero when nothing runs and nothing is held. */
typedef struct pinion_census {
	uint64_t slots, blocks, fibers, custody, borrowed, ports, maps;
	uint64_t requests; /* that workers have, also such as wait, or have ended where they wait */
	uint64_t queued;   /* that count for max_queued_requests or queue_timeout_ns */
} pinion_census;
void pinion_census_take(pinion_runtime *rt, pinion_census *census);

typedef struct pinion_worker_status {
	int cpu; /* -1: not pinned */
	int node;
	bool asleep;
	uint32_t
	    depth; /* requests queued or running, when a handler was last started by the worker */
	uint64_t started, local, failed, forwarded, chained, surplus, sent, taken, refused,
	    suspended, sleeps, rescued, rings, yielded;
} pinion_worker_status;
typedef struct pinion_port_status {
	uint32_t slots;
	uint32_t slots_taken; /* by calls that are not released, or still run */
	uint64_t arena_bytes;
	uint32_t blocks;  /* of the arena, taken */
	uint64_t sleeps;  /* times its thread slept */
	uint64_t rescued; /* of these, ended only by their time limit */
} pinion_port_status;
/* The calling thread's own. All zero when it is closed. */
void pinion_port_look(pinion_port *port, pinion_port_status *status);
/* Returns the number of workers; `status` may be NULL. */
unsigned pinion_worker_look(pinion_runtime *rt, unsigned worker, pinion_worker_status *status);
/* The library's own, for programs that were compiled against another. */
const char *pinion_version(void);
uint32_t pinion_abi(void);
unsigned pinion_deployment_count(pinion_runtime *rt);
/* How workers were placed, for people. */
const char *pinion_placement(pinion_runtime *rt);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#else
#include "pinion_face.h"
#endif

#endif
