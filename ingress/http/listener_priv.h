/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/listener_priv.h - a listening TCP socket.
 *
 * Why   MHD could open it, but says only that it could not: here the error names address and port.
 */
#ifndef PINION_INGRESS_HTTP_LISTENER_PRIV_H
#define PINION_INGRESS_HTTP_LISTENER_PRIV_H

#include <pinion/pinion.h>

struct listener {
	int fd; /* the caller's to close */
	unsigned port;
};

/* port 0: any free one. diag: nullable. -EINVAL: no such host; what socket, bind and listen say. */
int pinioni_http_listener_open(struct listener *listener, const char *host, unsigned port,
    pinion_diag *diag) PINION_MUST_CHECK;

#endif
