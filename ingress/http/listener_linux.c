/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/listener_linux.c - see listener_priv.h.
 */
#include "ingress/http/listener_priv.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
complain(pinion_diag *diag, const char *host, unsigned port, const char *why)
{
	bool is_v6 = strchr(host, ':') != NULL;

	if (diag != NULL)
		(void)snprintf(diag->text, sizeof diag->text, "http: %s%s%s:%u: %s",
		    is_v6 ? "[" : "", host, is_v6 ? "]" : "", port, why); /* cut short is fine */
}

/* The socket or -errno. */
static int
socket_listen(const struct addrinfo *address)
{
	const int on = 1;
	int err, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	/* Not while another listens, but while connections of one before us are still dying. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	err = -errno;
	(void)close(fd); /* nothing was sent through it */
	return err;
}

static unsigned
port_of(int fd)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	socklen_t length = sizeof storage;

	if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0)
		return 0;
	memcpy(&v4, &storage, sizeof v4);
	memcpy(&v6, &storage, sizeof v6);
	return ntohs(storage.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

int
pinioni_http_listener_open(
    struct listener *listener, const char *host, unsigned port, pinion_diag *diag)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *addresses;
	char service[16];
	int fd = -EADDRNOTAVAIL, err;

	(void)snprintf(service, sizeof service, "%u", port); /* it fits */
	err = getaddrinfo(host, service, &hints, &addresses);
	if (err != 0) {
		complain(diag, host, port, gai_strerror(err));
		return err == EAI_MEMORY ? -ENOMEM : -EINVAL;
	}
	for (const struct addrinfo *at = addresses; at != NULL && fd < 0; at = at->ai_next)
		fd = socket_listen(at);
	freeaddrinfo(addresses);
	if (fd < 0) {
		complain(diag, host, port, strerror(-fd));
		return fd;
	}
	*listener = (struct listener){ fd, port_of(fd) };
	return 0;
}
