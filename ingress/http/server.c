/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/server.c - the ingress thread: listens, sleeps in one epoll, starts and stops.
 *
 *             +---------------- the thread -----------------+
 *   stop ---->| eventfd                                     |
 *             |            epoll   ->  harvest: answer,     |
 *   workers ->| port's fd           resume connections      |
 *             |  hang-ups          ->  MHD_run: read, call, |
 *   clients ->| MHD's epoll             write               |
 *             +---------------------------------------------+
 *
 *   RUNNING -- stop --> STOPPING (no listener; what comes is refused) -- none under way --> over
 *
 * Why       One thread owns everything: the port, its slots, all connections. It never waits for a result;
 *           the connection of a call under way is suspended, and its harvest resumes it.
 * Threads   Start and stop: the caller's. They meet the thread at `started` and at its end.
 * Order     Harvest, then MHD_run, then arm, then sleep: what a harvest resumes, MHD_run writes, and what
 *           ends after the last harvest, arm sees or the port's eventfd tells.
 */
#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "ingress/http/hangup_priv.h"
#include "ingress/http/listener_priv.h"
#include "ingress/http/pinion_http.h"
#include "ingress/http/request_priv.h"

#define BODY_MAX_DEFAULT (INT64_C(1) << 20)
#define BODY_MAX (INT64_C(1) << 30) /* bytes: what a frame can count, with room for its head */
#define TIMEOUT_NS_DEFAULT (INT64_C(60) * 1000000000)
/* libmicrohttpd 0.9.75 counts milliseconds in 32 bits: 49 days. One second more is for resume() of request.c. */
#define TIMEOUT_S_MAX (INT64_C(0xffffffff) / 1000 - 1)

enum {
	PORT_DEFAULT = 8000,
	PORT_MAX = 65535,
	CONNECTIONS_MAX = 1000, /* each may hold 32 KiB of headers, and a descriptor */
	HARVEST_MAX = 64,       /* calls answered before the clients get a turn */
	EVENTS_MAX = 4          /* stop, port, MHD, hangups */
};

struct pinion_http {
	struct service service;
	struct listener listener;
	struct hangups hangups;
	struct MHD_Daemon *daemon;
	int epoll_fd, stop_fd, port_fd, daemon_fd;
	pthread_t thread;
	sem_t started;
	int start_error;   /* W thread before `started` */
	pinion_diag *diag; /* lent until `started`; nullable */
};

static int
complain(pinion_diag *diag, int err, const char *what)
{
	if (diag != NULL)
		(void)snprintf(diag->text, sizeof diag->text, "http: %s: %s", what,
		    strerror(-err)); /* cut short is fine */
	return err;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void
harvest(struct pinion_http *http)
{
	pinion_finished finished[HARVEST_MAX];
	unsigned count = pinion_harvest(http->service.port, finished, HARVEST_MAX);

	for (unsigned i = 0; i < count; i++)
		pinioni_http_on_finished(&finished[i]);
}

/* Milliseconds until MHD has something to do by itself, or a call is out of time; -1: no such time. */
static int
next_timeout(struct pinion_http *http)
{
	int calls = pinioni_http_calls_timeout(&http->service);
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(http->daemon, &ms) != MHD_YES)
		return calls;
	if (calls >= 0 && (unsigned)calls < ms)
		return calls;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* From here on nobody can connect; those who are connected get refusals. */
static void
stop_begin(struct pinion_http *http)
{
	http->service.is_stopping = true;
	(void)epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, http->stop_fd, NULL); /* it stays readable */
	(void)MHD_quiesce_daemon(http->daemon); /* the socket, which `listener` has */
	(void)close(http->listener.fd);
	http->listener.fd = -1;
	pinioni_http_calls_end_streams(&http->service);
}

static void
sleep_until_event(struct pinion_http *http, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t ends;
	int count = epoll_wait(http->epoll_fd, events, EVENTS_MAX, timeout_ms);

	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == http->port_fd)
			(void)!read(http->port_fd, &ends, sizeof ends); /* only to unset it */
		else if (events[i].data.fd == http->stop_fd)
			stop_begin(http);
		else if (events[i].data.fd == http->hangups.epoll_fd)
			pinioni_http_hangups_hear(&http->hangups);
	}
}

static void
serve(struct pinion_http *http)
{
	for (;;) {
		int timeout_ms;

		harvest(http);
		pinioni_http_calls_expire(&http->service);
		(void)MHD_run(http->daemon); /* fails only for a daemon that runs by itself */
		/* Here and not before: what MHD_run ended, nothing would wake us for. */
		if (http->service.is_stopping && http->service.under_way == 0)
			return;
		timeout_ms = pinioni_http_hangups_nudge(&http->hangups) ? 0 : next_timeout(http);
		if (timeout_ms == 0 || pinion_port_arm(http->service.port))
			timeout_ms = 0; /* still look at what else there is */
		sleep_until_event(http, timeout_ms);
	}
}

static int
watch(struct pinion_http *http, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* A port belongs to the thread that opens it. */
static int
port_open(struct pinion_http *http)
{
	int err = pinion_port_open(http->service.runtime, &http->service.port);

	if (err != 0)
		return complain(http->diag, err, "no port of the runtime");
	http->port_fd = pinion_port_fd(http->service.port);
	err = http->port_fd < 0 ? http->port_fd : watch(http, http->port_fd);
	if (err == 0)
		return 0;
	pinion_port_close(http->service.port);
	return complain(http->diag, err, "the port's eventfd");
}

/* Of the first application that could answer nobody, as its ingress has no PINION_CALL: a call, which is never
 * sent, says so, and which methods there are. */
static int
routes_check(struct pinion_http *http, const pinion_route *routes, unsigned count)
{
	pinion_params params;
	pinion_returns returns;
	pinion_response response;

	while (count > 0 && pinion_handle_describe(routes->handle, &params, &returns) != -EINVAL) {
		routes++;
		count--;
	}
	if (count == 0)
		return 0;
	response = pinion_call_on(http->service.port, routes->handle, PINION_ARGS());
	if (http->diag != NULL)
		(void)snprintf(http->diag->text, sizeof http->diag->text, "http: app '%s': %.*s",
		    routes->app,
		    PINION_STR_FMT(pinion_response_error(response).text)); /* cut short is fine */
	pinion_release_on(http->service.port, response);
	return -EINVAL;
}

static int
applications_check(struct pinion_http *http)
{
	unsigned room = pinion_route_list(http->service.runtime, NULL, 0), count;
	pinion_route *routes = calloc(room == 0 ? 1 : room, sizeof *routes);
	int err;

	if (routes == NULL)
		return complain(http->diag, -ENOMEM, "start");
	count = pinion_route_list(http->service.runtime, routes, room);
	err = routes_check(http, routes, count < room ? count : room);
	free(routes);
	return err;
}

static int
thread_open(struct pinion_http *http)
{
	int err = port_open(http);

	if (err != 0)
		return err;
	err = applications_check(http);
	if (err != 0)
		pinion_port_close(http->service.port);
	return err;
}

static void *
run(void *arg)
{
	struct pinion_http *http = arg;

	(void)pthread_setname_np(pthread_self(), "pinion-http"); /* for people */
	http->start_error = thread_open(http);
	(void)sem_post(&http->started);
	if (http->start_error != 0)
		return NULL;
	serve(http);
	MHD_stop_daemon(http->daemon); /* here, as requests end in it */
	pinion_port_close(http->service.port);
	return NULL;
}

/* ---- start and stop -------------------------------------------------------------------------- */

static int
options_read(const pinion_http_options *given, pinion_http_options *options)
{
	*options = (pinion_http_options){ 0 };
	if (given->size_ > sizeof *options)
		return -EINVAL; /* a newer program */
	memcpy(options, given, given->size_);
	if (options->http == NULL)
		return -EINVAL;
	if (options->host == NULL)
		options->host = "127.0.0.1";
	if (options->port == 0)
		options->port = PORT_DEFAULT;
	if (options->body_max == 0)
		options->body_max = BODY_MAX_DEFAULT;
	if (options->timeout_ns == 0)
		options->timeout_ns = TIMEOUT_NS_DEFAULT;
	return 0;
}

static int
options_check(const pinion_http_options *options)
{
	pinion_diag *diag = options->diag;

	if (options->port < -1 || options->port > PORT_MAX)
		return complain(diag, -EINVAL, ".port is neither -1 nor 1 to 65535");
	if (options->body_max < 0 || options->body_max > BODY_MAX)
		return complain(diag, -EINVAL, ".body_max is not 0 to 1 GiB");
	if (options->timeout_ns < 0)
		return complain(diag, -EINVAL, ".timeout_ns is negative");
	if (options->request_timeout_ns < 0)
		return complain(diag, -EINVAL, ".request_timeout_ns is negative");
	return 0;
}

static uint64_t
random_seed(const void *otherwise)
{
	uint64_t seed = (uintptr_t)otherwise;

	(void)!getrandom(
	    &seed, sizeof seed, GRND_NONBLOCK); /* ids need to differ, not to be secret */
	return seed;
}

static unsigned
seconds_of(int64_t timeout_ns)
{
	int64_t timeout_s = timeout_ns / 1000000000 + (timeout_ns % 1000000000 != 0);

	return (unsigned)(timeout_s > TIMEOUT_S_MAX ? TIMEOUT_S_MAX : timeout_s);
}

static int
daemon_start(struct pinion_http *http)
{
	const union MHD_DaemonInfo *info;

	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
	    pinioni_http_on_access, &http->service, MHD_OPTION_LISTEN_SOCKET, http->listener.fd,
	    MHD_OPTION_URI_LOG_CALLBACK, pinioni_http_on_uri, &http->service,
	    MHD_OPTION_NOTIFY_COMPLETED, pinioni_http_on_completed, &http->service,
	    MHD_OPTION_NOTIFY_CONNECTION, pinioni_http_on_connection, &http->hangups,
	    MHD_OPTION_CONNECTION_TIMEOUT, http->service.timeout_s, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)CONNECTIONS_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, /* the thread blocks all signals */
	    MHD_OPTION_END);
	if (http->daemon == NULL)
		return -ENOMEM;
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL) {
		MHD_stop_daemon(http->daemon);
		return -ENOSYS;
	}
	http->daemon_fd = info->epoll_fd;
	return 0;
}

static int
events_open(struct pinion_http *http)
{
	int err;

	http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (http->epoll_fd < 0)
		return -errno;
	http->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (http->stop_fd < 0) {
		err = -errno;
		goto undo_epoll;
	}
	err = watch(http, http->stop_fd);
	if (err == 0)
		err = watch(http, http->daemon_fd);
	if (err == 0)
		err = watch(http, http->hangups.epoll_fd);
	if (err == 0)
		return 0;
	(void)close(http->stop_fd);
undo_epoll:
	(void)close(http->epoll_fd);
	return err;
}

static void
events_close(struct pinion_http *http)
{
	(void)close(http->stop_fd);
	(void)close(http->epoll_fd);
}

/* Without signals: they are for the program's own threads. */
static int
thread_create(struct pinion_http *http)
{
	sigset_t all, before;
	int err;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&http->thread, NULL, run, http);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int
thread_start(struct pinion_http *http)
{
	int err;

	(void)sem_init(&http->started, 0, 0);
	err = thread_create(http);
	if (err != 0) {
		(void)complain(http->diag, err, "no thread");
		goto undo_started;
	}
	while (sem_wait(&http->started) != 0)
		continue; /* a signal; `run` ends it */
	err = http->start_error;
	if (err != 0)
		(void)pthread_join(http->thread, NULL);
	http->diag = NULL;
undo_started:
	(void)sem_destroy(&http->started);
	return err;
}

static int
http_start(struct pinion_http *http, const pinion_http_options *options)
{
	unsigned port = options->port < 0 ? 0 : (unsigned)options->port;
	int err = pinioni_http_listener_open(&http->listener, options->host, port, options->diag);

	if (err != 0)
		return err;
	err = pinioni_http_hangups_init(&http->hangups);
	if (err != 0) {
		(void)complain(options->diag, err, "epoll");
		goto undo_listener;
	}
	err = daemon_start(http);
	if (err != 0) {
		(void)complain(options->diag, err, "libmicrohttpd does not start");
		goto undo_hangups;
	}
	err = events_open(http);
	if (err != 0) {
		(void)complain(options->diag, err, "epoll");
		goto undo_daemon;
	}
	err = thread_start(http);
	if (err == 0)
		return 0;
	events_close(http);
undo_daemon:
	(void)MHD_quiesce_daemon(http->daemon); /* the socket stays ours */
	MHD_stop_daemon(http->daemon);
undo_hangups:
	pinioni_http_hangups_deinit(&http->hangups);
undo_listener:
	(void)close(http->listener.fd);
	return err;
}

int
pinion_http_start_with(pinion_runtime *rt, const pinion_http_options *given)
{
	pinion_http_options options;
	struct pinion_http *http;
	int err = options_read(given, &options);

	if (err == 0)
		err = options_check(&options);
	if (err != 0)
		return err;
	http = calloc(1, sizeof *http);
	if (http == NULL)
		return complain(options.diag, -ENOMEM, "start");
	http->service = (struct service){ .runtime = rt,
		.body_max = (size_t)options.body_max,
		.id_seed = random_seed(http),
		.timeout_s = seconds_of(options.timeout_ns),
		.request_timeout_ns = options.request_timeout_ns,
		.log = options.log,
		.log_arg = options.log_arg };
	TAILQ_INIT(&http->service.calls);
	TAILQ_INIT(&http->service.behind);
	http->hangups.on_gone = pinioni_http_on_gone;
	http->diag = options.diag;
	err = http_start(http, &options);
	if (err != 0)
		free(http);
	else
		*options.http = http;
	return err;
}

void
pinion_http_stop(pinion_http *http)
{
	const uint64_t one = 1;

	if (http == NULL)
		return;
	(void)!write(http->stop_fd, &one, sizeof one); /* an eventfd at 0 has room */
	(void)pthread_join(http->thread, NULL);
	events_close(http);
	pinioni_http_hangups_deinit(&http->hangups);
	free(http);
}

unsigned
pinion_http_port(const pinion_http *http)
{
	return http->listener.port;
}
