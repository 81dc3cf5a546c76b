/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/ingress/client.h - an HTTP client that sends exactly what it is told, and waits as long as it takes.
 *
 * Threads   The test's own: it asserts.
 */
#ifndef PINION_TESTS_INGRESS_CLIENT_H
#define PINION_TESTS_INGRESS_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	CLIENT_ROOM = 1 << 17
};

struct client {
	int fd;
	size_t length; /* received and not yet read */
	char data[CLIENT_ROOM + 1];
};

struct answered {
	int status;
	char head[4096];
	size_t length;
	char body[CLIENT_ROOM + 1];
};

static inline int
connect_to(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	assert_true(fd >= 0);
	/* Head and body go out as they are sent, or each request waits for the acknowledgement of its head. */
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static inline struct client *
client_open(unsigned port)
{
	struct client *client = calloc(1, sizeof *client);

	assert_non_null(client);
	client->fd = connect_to(port);
	assert_true(client->fd >= 0);
	return client;
}

static inline void
client_close(struct client *client)
{
	(void)close(client->fd);
	free(client);
}

static inline void
client_send_bytes(struct client *client, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(client->fd, bytes, length, MSG_NOSIGNAL);

		assert_true(sent > 0);
		bytes += sent;
		length -= (size_t)sent;
	}
}

static inline void
client_send(struct client *client, const char *text)
{
	client_send_bytes(client, text, strlen(text));
}

/* False: the server has closed. */
static inline bool
client_receive(struct client *client)
{
	ssize_t n;

	assert_true(client->length < CLIENT_ROOM);
	n = recv(client->fd, client->data + client->length, CLIENT_ROOM - client->length, 0);
	if (n <= 0)
		return false;
	client->length += (size_t)n;
	client->data[client->length] = '\0';
	return true;
}

/* A header's value, up to its line's end; NULL: none. */
static inline const char *
header_in(const char *head, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1 + strspn(line + length + 1, " ");
	}
	return NULL;
}

static inline bool
header_is(const struct answered *answered, const char *name, const char *value)
{
	const char *found = header_in(answered->head, name);
	size_t length = strlen(value);

	return found != NULL && strncmp(found, value, length) == 0 &&
	    strncmp(found + length, "\r\n", 2) == 0;
}

/* The next answer. is_head: to HEAD, whose answer has no body. False: the server closed instead. */
static inline bool
client_read_to(struct client *client, bool is_head, struct answered *answered)
{
	char *end;
	const char *length;
	size_t head, body;

	while ((end = strstr(client->data, "\r\n\r\n")) == NULL)
		if (!client_receive(client))
			return false;
	head = (size_t)(end - client->data) + 4;
	assert_true(head < sizeof answered->head);
	memcpy(answered->head, client->data, head);
	answered->head[head] = '\0';
	assert_int_equal(sscanf(answered->head, "HTTP/1.1 %d ", &answered->status), 1);
	length = header_in(answered->head, "Content-Length");
	body = length == NULL || is_head ? 0 : strtoul(length, NULL, 10);
	assert_true(head + body <= CLIENT_ROOM);
	while (client->length < head + body)
		if (!client_receive(client))
			return false;
	memcpy(answered->body, client->data + head, body);
	answered->body[body] = '\0';
	answered->length = body;
	client->length -= head + body;
	memmove(client->data, client->data + head + body, client->length + 1);
	return true;
}

static inline void
client_read(struct client *client, struct answered *answered)
{
	assert_true(client_read_to(client, false, answered));
}

/* One request over a connection of its own. */
static inline void
exchange(unsigned port, const char *request, struct answered *answered)
{
	struct client *client = client_open(port);

	client_send(client, request);
	assert_true(client_read_to(client, strncmp(request, "HEAD ", 5) == 0, answered));
	client_close(client);
}

static inline void
get(unsigned port, const char *target, struct answered *answered)
{
	char request[1024];

	(void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target);
	exchange(port, request, answered);
}

static inline void
client_post(struct client *client, const char *verb, const char *target, const char *body)
{
	char head[1024];

	(void)snprintf(head, sizeof head,
	    "%s %s HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n", verb, target,
	    strlen(body));
	client_send(client, head);
	client_send(client, body);
}

static inline void
post(unsigned port, const char *target, const char *body, struct answered *answered)
{
	struct client *client = client_open(port);

	client_post(client, "POST", target, body);
	client_read(client, answered);
	client_close(client);
}

#endif
