/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/hangup_linux.c - see hangup_priv.h.
 */
#include "ingress/http/hangup_priv.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAR_MAX = 64, /* at once; the rest is heard in the next turn */
	HALF_CLOSE_MS =
	    100 /* behind its request, by a client that has only said all it had to say */
};

struct hangup {
	struct MHD_Connection *connection;
	int fd;
	struct request *request;   /* whose call is under way; NULL: none */
	uint64_t watched_ms;       /* since when */
	struct hangup *next, **at; /* at: what points here; NULL: not on the list */
};

int
pinioni_http_hangups_init(struct hangups *hangups)
{
	hangups->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return hangups->epoll_fd < 0 ? -errno : 0;
}

void
pinioni_http_hangups_deinit(struct hangups *hangups)
{
	(void)close(hangups->epoll_fd);
}

static void
list_add(struct hangups *hangups, struct hangup *hangup)
{
	hangup->next = hangups->list;
	hangup->at = &hangups->list;
	if (hangup->next != NULL)
		hangup->next->at = &hangup->next;
	hangups->list = hangup;
}

static void
list_remove(struct hangup *hangup)
{
	if (hangup->at == NULL)
		return;
	*hangup->at = hangup->next;
	if (hangup->next != NULL)
		hangup->next->at = hangup->at;
	hangup->at = NULL;
}

static struct hangup *
opened(const struct hangups *hangups, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct hangup *hangup = calloc(1, sizeof *hangup);
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = hangup };

	if (hangup == NULL || info == NULL)
		goto undo_hangup;
	hangup->connection = connection;
	hangup->fd = info->connect_fd;
	if (epoll_ctl(hangups->epoll_fd, EPOLL_CTL_ADD, hangup->fd, &event) == 0)
		return hangup;
undo_hangup:
	free(hangup);
	return NULL;
}

static void
closed(const struct hangups *hangups, struct hangup *hangup)
{
	if (hangup == NULL)
		return;
	list_remove(hangup);
	(void)epoll_ctl(hangups->epoll_fd, EPOLL_CTL_DEL, hangup->fd, NULL); /* MHD has it open */
	free(hangup);
}

void
pinioni_http_on_connection(void *hangups, struct MHD_Connection *connection, void **record,
    enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*record = opened(hangups, connection);
	else
		closed(hangups, *record);
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A reset says so. An end of what it sends need not, if it comes with its request. */
static bool
is_gone(const struct hangup *hangup, uint32_t events)
{
	return (events & (EPOLLHUP | EPOLLERR)) != 0 ||
	    now_ms() - hangup->watched_ms >= HALF_CLOSE_MS;
}

static void
hear(const struct hangups *hangups, struct hangup *hangup, uint32_t events)
{
	struct epoll_event resets = { .events = EPOLLONESHOT, .data.ptr = hangup };

	if (hangup->request != NULL && is_gone(hangup, events))
		hangups->on_gone(hangup->request);
	if ((events & (EPOLLHUP | EPOLLERR)) == 0)
		(void)epoll_ctl(
		    hangups->epoll_fd, EPOLL_CTL_MOD, hangup->fd, &resets); /* it is in */
}

void
pinioni_http_hangups_hear(struct hangups *hangups)
{
	struct epoll_event events[HEAR_MAX];
	int count = epoll_wait(hangups->epoll_fd, events, HEAR_MAX, 0);

	for (int i = 0; i < count; i++) {
		struct hangup *hangup = events[i].data.ptr;

		if (hangup->at == NULL)
			list_add(hangups, hangup);
		hear(hangups, hangup, events[i].events); /* once: EPOLLONESHOT */
	}
}

void
pinioni_http_hangup_watch(struct MHD_Connection *connection, struct request *request)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct hangup *hangup = info == NULL ? NULL : info->socket_context;

	if (hangup == NULL)
		return;
	hangup->request = request;
	hangup->watched_ms = request == NULL ? 0 : now_ms();
}

/* While a call is under way the end can wait: its connection is asked about anew when it is resumed. */
static bool
may_be_nudged(const struct hangup *hangup)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(hangup->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
	int unread = 0;

	return info != NULL && info->suspended == MHD_NO &&
	    (ioctl(hangup->fd, FIONREAD, &unread) != 0 || unread == 0);
}

bool
pinioni_http_hangups_nudge(struct hangups *hangups)
{
	bool nudged = false;

	for (struct hangup *hangup = hangups->list, *next; hangup != NULL; hangup = next) {
		next = hangup->next;
		if (!may_be_nudged(hangup))
			continue;
		list_remove(hangup);
		MHD_suspend_connection(hangup->connection);
		MHD_resume_connection(hangup->connection);
		nudged = true;
	}
	return nudged;
}
