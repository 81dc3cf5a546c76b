/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/hangup_priv.h - clients that send nothing more, for libmicrohttpd, which may miss it.
 *
 *   opened -- epoll: peer has shut down --> on the list -- all read, not suspended --> nudged
 *      '-------------------- closed, at any point --> forgotten
 *
 * Why       libmicrohttpd 0.9.75 waits edge-triggered and takes a short read for "nothing there": an end
 *           of the stream that came with the last bytes is seen only at .timeout_ns. A connection that is
 *           suspended and resumed is asked about anew, and then reads the end.
 * Threads   The ingress thread's alone.
 * Memory    A record a connection, freed when MHD says that it is closed. Without memory for one, the time
 *           limit closes it.
 */
#ifndef PINION_INGRESS_HTTP_HANGUP_PRIV_H
#define PINION_INGRESS_HTTP_HANGUP_PRIV_H

#include <microhttpd.h>

#include <pinion/pinion.h>

struct hangup;
struct request;

struct hangups {
	int epoll_fd; /* readable: there is something to hear */
	void (*on_gone)(struct request *request);
	struct hangup *list; /* shut down by the peer, and not nudged yet */
};

/* 0 or -errno. */
int pinioni_http_hangups_init(struct hangups *hangups) PINION_MUST_CHECK;
/* A call is under way for it: if its client goes, `on_gone` is told. Not of one that only says that it has said all,
 * with its request or at most a tenth of a second behind it: it waits for its answer. NULL: no more. */
void pinioni_http_hangup_watch(struct MHD_Connection *connection, struct request *request);
/* When no connection is left. */
void pinioni_http_hangups_deinit(struct hangups *hangups);
/* MHD's callback; hangups: struct hangups. */
void pinioni_http_on_connection(void *hangups, struct MHD_Connection *connection, void **record,
    enum MHD_ConnectionNotificationCode what);
/* Takes in who has shut down. */
void pinioni_http_hangups_hear(struct hangups *hangups);
/* After MHD_run, when no connection is half closed. True: MHD_run once more before sleeping. */
bool pinioni_http_hangups_nudge(struct hangups *hangups) PINION_MUST_CHECK;

#endif
