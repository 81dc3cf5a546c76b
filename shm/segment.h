/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/segment.h - a sealed piece of memory that several processes may map.
 *
 *   create -> (bind to a node) -> commit the parts in use -> publish -> ... -> destroy
 *      \____________________ nothing of it is visible to others ____/
 *
 * Why       A memfd has no name, so nothing is left behind by a crash and nobody can remove it under us;
 *           sealed against shrinking, touching it cannot raise SIGBUS for a peer's ftruncate; what is
 *           committed before it is used cannot raise SIGBUS for a full machine.
 * Threads   One at a time.
 * Memory    The creator unmaps it and closes its descriptor; the kernel frees it with the last mapping. A forked child has
 *           no mapping of it.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   M  magic  publish -> attach   the rest of the header may be read
 */
#ifndef PINION_SHM_SEGMENT_H
#define PINION_SHM_SEGMENT_H

#include <stdbool.h>

#include "shm/format.h"

enum segment_pages {
	PAGES_SMALL,       /* the machine's smallest */
	PAGES_TRANSPARENT, /* huge, as the kernel saw fit */
	PAGES_HUGE,        /* huge, reserved */
};

struct segment {
	unsigned char *base;
	size_t size;
	int fd;
	enum segment_pages pages;
	int huge_refused; /* -errno: why there are no PAGES_HUGE where they were asked for */
};

struct segment_plan {
	const char *name; /* shown in /proc/PID/maps */
	enum segment_kind kind;
	size_t size; /* bytes; rounded up to whole pages */
	uint64_t counts[4];
	bool huge_pages; /* try; falls back, segment.pages says to what */
};

#define SEGMENT_UNUSED ((struct segment){ .fd = -1 })

/* Maps `plan.size` bytes of fresh zeroes, none of them taken from the machine yet. 0 or -errno:
 * -ENOMEM, -EMFILE, -ENFILE. */
int pinioni_segment_create(struct segment *s, const struct segment_plan *plan)
    __attribute__((warn_unused_result));

/* Takes the memory of [offset, offset + length) from the machine, so that touching it cannot fail.
 * 0, -ENOSPC or -ENOMEM. */
int pinioni_segment_commit(struct segment *s, size_t offset, size_t length)
    __attribute__((warn_unused_result));

/* Keeps [offset, offset + length) in memory and touches every page. 0, or -ENOMEM or -EPERM where the
 * limit on locked memory forbids it: then the pages are touched all the same. */
int pinioni_segment_prefault(struct segment *s, size_t offset, size_t length);

/* Which pages the kernel really uses; reads /proc. */
enum segment_pages pinioni_segment_pages(const struct segment *s);

/* Seals it and publishes the header. read_only: other processes can never map it for writing. */
int pinioni_segment_publish(struct segment *s, const struct segment_plan *plan, bool read_only)
    __attribute__((warn_unused_result));

/*
 * Maps what another process published; checks everything once. fd stays the caller's.
 * -EPROTO: another version or build. -EBADMSG: not a segment, not sealed, not that kind, cut short.
 * -EAGAIN: not published yet.
 */
int pinioni_segment_attach(struct segment *s, int fd, enum segment_kind kind, bool read_only)
    __attribute__((warn_unused_result));

/* The half of attach that looks at the header: each field is read once. The counts are the caller's to
 * check against what it maps. Errors as above. */
int pinioni_segment_check(const struct segment_header *shared, enum segment_kind kind, size_t size)
    __attribute__((warn_unused_result));

/* Also of SEGMENT_UNUSED. */
void pinioni_segment_destroy(struct segment *s);

/* Of sizes and offsets in shm/format.h. */
uint64_t pinioni_segment_layout_hash(void);

/* to: a power of two. A mask: the compiler cannot know, and a division costs as much as a message's copy. */
static inline size_t
segment_round_up(size_t bytes, size_t to)
{
	assert(to != 0 && (to & (to - 1)) == 0);
	return (bytes + to - 1) & ~(to - 1);
}

/* NULL unless [offset, offset + length) lies inside. Written as a subtraction: the sum could wrap. */
static inline unsigned char *
segment_at(const struct segment *s, uint64_t offset, uint64_t length)
{
	if (length > s->size || offset > s->size - length)
		return NULL;
	return s->base + offset;
}

#endif
