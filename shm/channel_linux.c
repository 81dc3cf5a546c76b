/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/channel_linux.c - shm/channel.h by a Unix socket of whole messages (SOCK_SEQPACKET).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shm/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum {
	GROUPS_MAX = 256 /* of a peer, looked through */
};

union control_room {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(CHANNEL_DESCRIPTORS * sizeof(int))];
};

int
pinioni_channel_send(int channel, const struct parcel *p)
{
	union control_room room;
	struct iovec part = { .iov_base = p->bytes, .iov_len = p->size };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	size_t bytes = p->descriptor_count * sizeof(int);

	memset(&room, 0, sizeof room);
	if (bytes != 0) {
		m.msg_control = &room;
		m.msg_controllen = CMSG_SPACE(bytes);
		room.head.cmsg_level = SOL_SOCKET;
		room.head.cmsg_type = SCM_RIGHTS;
		room.head.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&room.head), p->descriptors, bytes);
	}
	while (sendmsg(channel, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

void
pinioni_parcel_close(struct parcel *p)
{
	for (unsigned i = 0; i < p->descriptor_count; i++)
		(void)close(p->descriptors[i]); /* nothing could be done about it */
	p->descriptor_count = 0;
}

/* All that came are kept, so that none is left open. */
static void
take_descriptors(struct msghdr *m, struct parcel *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned i = 0; i < count && p->descriptor_count < CHANNEL_DESCRIPTORS; i++)
			memcpy(&p->descriptors[p->descriptor_count++],
			    CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
}

int
pinioni_channel_receive(int channel, struct parcel *p)
{
	union control_room room;
	struct iovec part = { .iov_base = p->bytes, .iov_len = p->size };
	struct msghdr m = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &room,
		.msg_controllen = sizeof room };
	int was_reset = 0;
	ssize_t got;

	p->descriptor_count = 0;
	/* A reset is told once, before what the other had sent: it may have said why. */
	do
		got = recvmsg(channel, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !was_reset++)));
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	take_descriptors(&m, p);
	if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		pinioni_parcel_close(p);
		return -EBADMSG;
	}
	p->size = (size_t)got;
	return got == 0 ? -EPIPE : 0;
}

int
pinioni_channel_peer(int channel, struct channel_peer *peer)
{
	struct ucred who;
	socklen_t length = sizeof who;

	if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0)
		return -errno;
	*peer = (struct channel_peer){ .uid = who.uid, .gid = who.gid, .pid = who.pid };
	length = sizeof peer->pidfd;
	if (getsockopt(channel, SOL_SOCKET, SO_PEERPIDFD, &peer->pidfd, &length) == 0)
		return 0;
	/* Its number may be another's by now: where the kernel does not tell, this is as near as one gets. */
	peer->pidfd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	return peer->pidfd < 0 ? -errno : 0;
}

bool
pinioni_channel_peer_is_in(int channel, const struct channel_peer *peer, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t length = sizeof groups;

	if (peer->gid == group)
		return true;
	if (getsockopt(channel, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0)
		return false;
	for (size_t i = 0; i < length / sizeof groups[0]; i++)
		if (groups[i] == group)
			return true;
	return false;
}
