/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/journal.c - see core/journal.h.
 */
#include "core/journal.h"

#include <errno.h>
#include <fcntl.h>

enum {
	JOURNAL_SIZE = 256 << 20 /* of which only what was taken is memory */
};

struct journal_head {
	struct segment_header header;
	uint64_t base;   /* where the host has it */
	uint64_t worker; /* bytes behind that; 0: there is none yet */
};

static struct journal_head *
head_of(const struct journal *j)
{
	return (struct journal_head *)j->segment.base;
}

int
pinioni_journal_create(struct journal *j)
{
	struct segment_plan plan = {
		.name = "pinion-journal", .kind = SEGMENT_JOURNAL, .size = JOURNAL_SIZE
	};
	int err = pinioni_segment_create(&j->segment, &plan);

	if (err != 0)
		return err;
	err = pinioni_segment_commit(&j->segment, 0, sizeof(struct journal_head));
	if (err == 0)
		err = pinioni_segment_publish(&j->segment, &plan, false);
	if (err != 0)
		pinioni_segment_destroy(&j->segment);
	return err;
}

int
pinioni_journal_attach(struct journal *j, int fd)
{
	int err = pinioni_segment_attach(&j->segment, fd, SEGMENT_JOURNAL, false);

	if (err != 0)
		return err;
	j->segment.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* to take more memory by */
	if (j->segment.fd < 0) {
		err = -errno;
		pinioni_segment_destroy(&j->segment);
		return err;
	}
	j->used = segment_round_up(sizeof(struct journal_head), PINION_LINE);
	head_of(j)->base = (uintptr_t)j->segment.base;
	return 0;
}

void
pinioni_journal_destroy(struct journal *j)
{
	pinioni_segment_destroy(&j->segment);
}

void *
pinioni_journal_take(struct journal *j, size_t size)
{
	size_t at = j->used, room = segment_round_up(size, PINION_LINE);

	if (room > j->segment.size - at || pinioni_segment_commit(&j->segment, at, room) != 0)
		return NULL;
	j->used += room;
	return j->segment.base + at;
}

void
pinioni_journal_set_worker(struct journal *j, const struct worker *w)
{
	head_of(j)->worker = (uint64_t)((const unsigned char *)w - j->segment.base);
}

const void *
pinioni_journal_at(const struct journal *j, const void *pointer, size_t size)
{
	uint64_t at = (uint64_t)(uintptr_t)pointer - head_of(j)->base;

	return pointer == NULL ? NULL : segment_at(&j->segment, at, size);
}

const struct worker *
pinioni_journal_worker(const struct journal *j)
{
	uint64_t at = head_of(j)->worker;

	if (at == 0 || at % PINION_LINE != 0)
		return NULL;
	return (const struct worker *)segment_at(&j->segment, at, sizeof(struct worker));
}
