/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/directory.c - making a directory.
 */
#include "shm/directory.h"

int
pinioni_directory_create(struct directory *d, const char *name)
{
	size_t head = segment_round_up(
	    sizeof(struct segment_header) + sizeof(struct directory_head), PINION_LINE);
	size_t deployments = DIRECTORY_DEPLOYMENTS * sizeof(struct directory_deployment);
	size_t replicas = DIRECTORY_REPLICAS * sizeof(struct directory_replica);
	struct segment_plan plan = {
		.name = name,
		.kind = SEGMENT_DIRECTORY,
		.size = head + deployments + replicas,
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
	d->head = (struct directory_head *)(d->segment.base + sizeof(struct segment_header));
	d->deployments = (struct directory_deployment *)(d->segment.base + head);
	d->replicas = (struct directory_replica *)(d->segment.base + head + deployments);
	return 0;
}

void
pinioni_directory_destroy(struct directory *d)
{
	pinioni_segment_destroy(&d->segment);
}
