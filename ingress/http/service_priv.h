/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/service_priv.h - what all requests of one ingress share.
 *
 * Threads   The ingress thread's alone, from its start to its end.
 */
#ifndef PINION_INGRESS_HTTP_SERVICE_PRIV_H
#define PINION_INGRESS_HTTP_SERVICE_PRIV_H

#include <sys/queue.h>

#include <pinion/pinion.h>

struct request;

enum {
	REQUEST_ID_MAX = 128, /* bytes of a client's X-Request-ID */
	REQUEST_ID_ROOM = REQUEST_ID_MAX + 1
};

struct service {
	pinion_runtime *runtime;
	pinion_port *port;
	size_t body_max;
	uint64_t id_seed;
	unsigned timeout_s; /* of a silent connection; one second more when its answer begins */
	uint32_t under_way; /* requests received in full, and not yet answered to the last byte */
	TAILQ_HEAD(requests, request) calls; /* under way, the oldest first */
	struct requests
	    behind; /* streams whose time is over, and whose client has still to take some of it */
	int64_t request_timeout_ns; /* 0: none */
	bool is_stopping;
	pinion_log_fn *log;
	void *log_arg;
};

/* The client's id when it is short and plain, else one that looks like a random UUID. */
void pinioni_http_request_id(struct service *service, const char *given, char id[REQUEST_ID_ROOM]);
/* One line; whatever could end it or steer a terminal becomes "?". */
void pinioni_http_log(const struct service *service, const char *format, ...) PINION_PRINTF(2, 3);

#endif
