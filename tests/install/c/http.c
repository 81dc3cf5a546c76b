/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    A C program that knows only the installed tree answers HTTP.
 * Method  Asks itself for the health page, over a socket.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pinion/pinion_http.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The status; 0: no answer. */
static int
ask(unsigned port)
{
	static const char request[] =
	    "GET /-/healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
	char answer[256] = "";

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	    write(fd, request, strlen(request)) == (ssize_t)strlen(request) &&
	    read(fd, answer, sizeof answer - 1) > 0)
		(void)sscanf(answer, "HTTP/1.1 %d", &status);
	(void)close(fd);
	return status;
}

int
main(void)
{
	pinion_runtime *rt = NULL;
	pinion_http *http = NULL;
	pinion_diag diag = { "" };
	int status;

	if (pinion_start(&rt, .workers = 1, .diag = &diag) != 0 ||
	    pinion_http_start(rt, &http, .port = -1, .diag = &diag) != 0) {
		fprintf(stderr, "%s\n", diag.text);
		return 1;
	}
	status = ask(pinion_http_port(http));
	pinion_http_stop(http);
	pinion_stop(rt);
	printf("HTTP %d\n", status);
	return 0;
}
