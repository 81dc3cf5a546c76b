/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/attachment.h - a connection to the process that was attached to: attached.c listens and asks, attach.c makes and ends it.
 */
#ifndef PINION_CORE_ATTACHMENT_H
#define PINION_CORE_ATTACHMENT_H

#include "core/attach.h"
#include "shm/channel.h"

struct attachment {
	struct pinion_runtime *runtime;
	int channel;
	struct channel_peer peer;
	pthread_t listener;
	bool has_listener;
	uint32_t users; /* W under the table's lock */
	size_t arena_bytes;
	struct clock_scale clock;
	pthread_mutex_t ask_lock; /* one asks at a time; before `lock` */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	uint64_t serial; /* W under ask_lock: of the last question */
	bool is_over;    /* W listener, under `lock`: nobody answers */
	bool is_asked;   /* under `lock`, as are: */
	struct control_message answer;
	struct parcel brought;
};

/* One message; text ends. -EAGAIN: there is none; -EBADMSG: it is none of ours, as is all that follows. */
int pinioni_attachment_receive(int channel, struct control_message *m, struct parcel *p)
    __attribute__((warn_unused_result));
/* The listener's thread. */
void *pinioni_attachment_listen(void *attachment);

#endif
