/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/hangup_linux.c - see hangup_priv.h.
 */
#include "ingress/http/hangup_priv.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	HEAR_MAX = 64 /* at once; the rest is heard in the next turn */
};

struct hangup {
	struct MHD_Connection *connection;
	int fd;
	struct hangup *next, **at; /* at: what points here; NULL: not on the list */
};

int
pinioni_http_hangups_init(struct hangups *hangups)
{
	*hangups = (struct hangups){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
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

void
pinioni_http_hangups_hear(struct hangups *hangups)
{
	struct epoll_event events[HEAR_MAX];
	int count = epoll_wait(hangups->epoll_fd, events, HEAR_MAX, 0);

	for (int i = 0; i < count; i++)
		list_add(hangups, events[i].data.ptr); /* once: EPOLLONESHOT */
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
