/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/directory.c - making a directory.
 */
#include "shm/directory.h"

#include <errno.h>

/* Behind one another; each begins where its words are aligned. */
enum {
	HEAD_SIZE = sizeof(struct segment_header) + sizeof(struct directory_head),
	DEPLOYMENTS_SIZE = DIRECTORY_DEPLOYMENTS * sizeof(struct directory_deployment),
	REPLICAS_SIZE = DIRECTORY_REPLICAS * sizeof(struct directory_replica),
	CLIENTS_SIZE = DIRECTORY_CLIENTS * sizeof(struct directory_client),
	SIZE = HEAD_SIZE + DEPLOYMENTS_SIZE + REPLICAS_SIZE + CLIENTS_SIZE
};
static_assert(HEAD_SIZE % PINION_LINE == 0, "segment format");

static void
lay_out(struct directory *d)
{
	unsigned char *base = d->segment.base;

	d->head = (struct directory_head *)(base + sizeof(struct segment_header));
	d->deployments = (struct directory_deployment *)(base + HEAD_SIZE);
	d->replicas = (struct directory_replica *)(base + HEAD_SIZE + DEPLOYMENTS_SIZE);
	d->clients =
	    (struct directory_client *)(base + HEAD_SIZE + DEPLOYMENTS_SIZE + REPLICAS_SIZE);
}

int
pinioni_directory_create(struct directory *d, const char *name)
{
	struct segment_plan plan = {
		.name = name,
		.kind = SEGMENT_DIRECTORY,
		.size = SIZE,
		.counts = { DIRECTORY_DEPLOYMENTS, DIRECTORY_REPLICAS },
	};
	int err;

	*d = (struct directory){ .segment = SEGMENT_UNUSED };
	err = pinioni_segment_create(&d->segment, &plan);
	if (err != 0)
		return err;
	err = pinioni_segment_commit(&d->segment, 0, plan.size);
	if (err == 0)
		err = pinioni_segment_publish(&d->segment, &plan, true);
	if (err != 0) {
		pinioni_directory_destroy(d);
		return err;
	}
	lay_out(d);
	return 0;
}

int
pinioni_directory_attach(struct directory *d, int fd)
{
	int err = pinioni_segment_attach(&d->segment, fd, SEGMENT_DIRECTORY, true);

	if (err == 0 && d->segment.size < (size_t)SIZE) {
		pinioni_directory_destroy(d);
		err = -EBADMSG;
	}
	if (err == 0)
		lay_out(d);
	return err;
}

void
pinioni_directory_destroy(struct directory *d)
{
	pinioni_segment_destroy(&d->segment);
}
