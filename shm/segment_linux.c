/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/segment_linux.c - shm/segment.h by memfd and seals.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HUGE_PAGE = 2 << 20
};

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A forked child does not have it: it would write as if it were us. NULL, and errno. */
static unsigned char *
map(int fd, size_t size, int rights)
{
	void *base = mmap(NULL, size, rights, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return NULL;
	(void)madvise(base, size, MADV_DONTFORK); /* cannot fail on a mapping of our own */
	return base;
}

static int
map_fresh(struct segment *s, const char *name, size_t size, unsigned flags)
{
	int err;

	s->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (s->fd < 0)
		return -errno;
	if (ftruncate(s->fd, (off_t)size) != 0)
		goto undo_fd;
	s->base = map(s->fd, size, PROT_READ | PROT_WRITE);
	if (s->base == NULL)
		goto undo_fd;
	s->size = size;
	return 0;
undo_fd:
	err = -errno;
	(void)close(s->fd);
	*s = SEGMENT_UNUSED;
	return err;
}

int
pinioni_segment_create(struct segment *s, const struct segment_plan *plan)
{
	size_t size = segment_round_up(plan->size, page_size());
	int err, refused = 0;

	*s = SEGMENT_UNUSED;
	if (plan->huge_pages) {
		size = segment_round_up(size, HUGE_PAGE);
		refused = map_fresh(s, plan->name, size, MFD_HUGETLB);
		if (refused == 0) {
			s->pages = PAGES_HUGE;
			return 0;
		}
	}
	err = map_fresh(s, plan->name, size, 0);
	s->huge_refused = refused;
	if (err == 0 && plan->huge_pages && madvise(s->base, size, MADV_HUGEPAGE) == 0)
		s->pages =
		    PAGES_TRANSPARENT; /* asked for; pinioni_segment_pages tells what came of it */
	return err;
}

int
pinioni_segment_commit(struct segment *s, size_t offset, size_t length)
{
	size_t unit = s->pages == PAGES_HUGE ? (size_t)HUGE_PAGE : page_size();
	size_t first = offset / unit * unit;
	size_t end = segment_round_up(offset + length, unit);

	assert(end <= s->size);
	while (fallocate(s->fd, 0, (off_t)first, (off_t)(end - first)) != 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int
pinioni_segment_prefault(struct segment *s, size_t offset, size_t length)
{
	size_t page = page_size();
	int err = mlock(s->base + offset, length) == 0 ? 0 : -errno;

	for (size_t at = offset; at < offset + length; at += page) {
		_Atomic unsigned char *byte = (_Atomic unsigned char *)(s->base + at);

		/* relaxed: adds nothing, but the page has to be there for it. */
		atomic_fetch_or_explicit(byte, 0, memory_order_relaxed);
	}
	return err;
}

enum segment_pages
pinioni_segment_pages(const struct segment *s)
{
	FILE *maps;
	char line[256];
	bool inside = false;
	enum segment_pages found = PAGES_SMALL;

	if (s->pages == PAGES_HUGE)
		return PAGES_HUGE;
	maps = fopen("/proc/self/smaps", "re");
	if (maps == NULL)
		return PAGES_SMALL;
	while (fgets(line, sizeof line, maps) != NULL) {
		unsigned long from, to, kilobytes;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (uintptr_t)s->base && (uintptr_t)s->base < to;
		else if (inside && sscanf(line, "ShmemPmdMapped: %lu", &kilobytes) == 1 &&
		    kilobytes != 0)
			found = PAGES_TRANSPARENT;
	}
	(void)fclose(maps);
	return found;
}

int
pinioni_segment_publish(struct segment *s, const struct segment_plan *plan, bool read_only)
{
	struct segment_header *h = (struct segment_header *)s->base;
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;

	h->version = SEGMENT_VERSION;
	h->kind = (uint32_t)plan->kind;
	h->layout_hash = pinioni_segment_layout_hash();
	h->size = s->size;
	memcpy(h->counts, plan->counts, sizeof h->counts);
	h->page_size = (uint32_t)page_size();
	/* Without the seal a peer could open our descriptor again for writing; without the mode it could
	 * even as another user. */
	if (read_only &&
	    (fcntl(s->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0 || fchmod(s->fd, 0400) != 0))
		return -errno;
	if (fcntl(s->fd, F_ADD_SEALS, seals | F_SEAL_SEAL) != 0)
		return -errno;
	/* M: the header is complete. */
	atomic_store_explicit(&h->magic, SEGMENT_MAGIC, memory_order_release);
	return 0;
}

int
pinioni_segment_check(const struct segment_header *shared, enum segment_kind kind, size_t size)
{
	/* M */
	uint64_t magic = atomic_load_explicit(&shared->magic, memory_order_acquire);
	uint64_t hash, said;
	uint32_t version, found;

	if (magic == 0)
		return -EAGAIN; /* the rest may be half written */
	version = shared->version;
	found = shared->kind;
	hash = shared->layout_hash;
	said = shared->size;
	if (magic != SEGMENT_MAGIC || found != (uint32_t)kind || said != size)
		return -EBADMSG;
	if (version != SEGMENT_VERSION || hash != pinioni_segment_layout_hash())
		return -EPROTO;
	return 0;
}

int
pinioni_segment_attach(struct segment *s, int fd, enum segment_kind kind, bool read_only)
{
	int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	int err;

	*s = SEGMENT_UNUSED;
	if (seals < 0 || (seals & wanted) != wanted)
		return -EBADMSG;
	if (fstat(fd, &st) != 0)
		return -errno;
	if ((size_t)st.st_size < sizeof(struct segment_header))
		return -EBADMSG;
	s->size = (size_t)st.st_size;
	s->base = map(fd, s->size, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
	if (s->base == NULL) {
		err = -errno;
		*s = SEGMENT_UNUSED;
		return err;
	}
	err = pinioni_segment_check((const struct segment_header *)s->base, kind, s->size);
	if (err != 0)
		pinioni_segment_destroy(s);
	return err;
}

void
pinioni_segment_destroy(struct segment *s)
{
	if (s->base != NULL)
		(void)munmap(s->base, s->size); /* our own mapping: cannot fail */
	if (s->fd >= 0)
		(void)close(s->fd);
	*s = SEGMENT_UNUSED;
}

/* FNV-1a. */
static uint64_t
mix(uint64_t hash, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		hash = (hash ^ (number & 0xff)) * UINT64_C(1099511628211);
	return hash;
}

uint64_t
pinioni_segment_layout_hash(void)
{
	static const uint64_t numbers[] = {
		SEGMENT_VERSION,
		PINION_LINE,
		sizeof(struct segment_header),
		offsetof(struct segment_header, counts),
		sizeof(struct message),
		offsetof(struct message, slot),
		offsetof(struct message, target),
		offsetof(struct message, kind),
		offsetof(struct message, refs),
		offsetof(struct message, record),
		sizeof(struct cell),
		sizeof(struct lane_head),
		sizeof(struct record_outside),
		sizeof(struct record_ref),
		sizeof(struct slot),
		offsetof(struct slot, stamp),
		offsetof(struct slot, status),
		offsetof(struct slot, length),
		offsetof(struct slot, bytes),
		sizeof(struct result_place),
		sizeof(struct ring),
		offsetof(struct ring, starved),
		sizeof(struct ring_item),
		sizeof(struct fault),
		offsetof(struct fault, text),
		sizeof(struct port_doors),
		sizeof(struct board_worker),
		sizeof(struct worker_doors),
		offsetof(struct board_worker, counters),
		sizeof(struct directory_head),
		sizeof(struct directory_deployment),
		sizeof(struct directory_replica),
		sizeof(struct directory_client),
		sizeof(struct histogram),
		offsetof(struct histogram, counts),
	};
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		hash = mix(hash, numbers[i]);
	return hash;
}
