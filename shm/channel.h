/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/channel.h - a connection between two processes: whole messages, and descriptors with them.
 *
 *   one                                              the other
 *     channel_send(bytes, descriptors)  -- socket -->  channel_receive
 *     channel_peer: whose is it? user, process, pidfd
 *
 * Why       Segments have no names: whoever may use one is handed its descriptor. Who asks for it is told by
 *           the kernel, and so is when that process has ended.
 * Threads   Each end one at a time.
 * Progress  Nothing here waits: what the other side does not read is -EAGAIN here.
 * Death     The kernel closes a dead process's end, unless a forked child of it has it as well: that it has
 *           ended is what its pidfd says.
 */
#ifndef PINION_SHM_CHANNEL_H
#define PINION_SHM_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	CHANNEL_DESCRIPTORS = 4 /* with one message */
};

/* One message. Descriptors that are received are the receiver's. */
struct parcel {
	void *bytes;
	size_t size; /* received: how many there is room for, and then how many came */
	int descriptors[CHANNEL_DESCRIPTORS];
	unsigned descriptor_count;
};

struct channel_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int pidfd; /* the caller's; readable when the process has ended */
};

/* Whole or not at all; the descriptors stay the caller's. 0, -EAGAIN (the other does not read), -EPIPE (it has gone),
 * -EMFILE or -ETOOMANYREFS (too many are under way), -EMSGSIZE. */
int pinioni_channel_send(int channel, const struct parcel *parcel)
    __attribute__((warn_unused_result));
/* 0; -EAGAIN: nothing has come; -EPIPE: nothing will; -EBADMSG: longer than there is room for, or more descriptors:
 * then nothing is kept. */
int pinioni_channel_receive(int channel, struct parcel *parcel) __attribute__((warn_unused_result));
/* Who made the other end. 0 or -errno: -ESRCH, it has gone. */
int pinioni_channel_peer(int channel, struct channel_peer *peer)
    __attribute__((warn_unused_result));
/* Whether the process that made the other end is in that group. */
bool pinioni_channel_peer_is_in(int channel, const struct channel_peer *peer, gid_t group);
/* Closes what a parcel brought. */
void pinioni_parcel_close(struct parcel *parcel);

#endif
