/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/control.c - see core/control.h.
 */
#include "core/control.h"

#include <string.h>

#include "shm/channel.h"
#include "shm/segment.h"

struct control_message
pinioni_control_message(enum control_kind kind)
{
	return (struct control_message){ .magic = CONTROL_MAGIC,
		.version = CONTROL_VERSION,
		.layout_hash = pinioni_segment_layout_hash(),
		.kind = kind };
}

int
pinioni_control_send(int channel, struct control_message *m, const int *descriptors, unsigned count)
{
	struct parcel p = { .bytes = m, .size = sizeof *m, .descriptor_count = count };

	if (count != 0)
		memcpy(p.descriptors, descriptors, count * sizeof *descriptors);
	return pinioni_channel_send(channel, &p);
}
