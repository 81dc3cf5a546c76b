/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/directory.h - which replicas a deployment has and where they live, for everybody who calls.
 *
 *   version even, deployments and replicas as they are
 *      | directory_begin          version odd: being written
 *      | directory_put_...        one deployment after another, its replicas side by side
 *      | directory_end            version even again, two higher
 *
 * Why       A caller copies what it needs once and looks at one word a call to see that it still holds;
 *           it takes part in no grace period, so that any process may call.
 * Threads   One writer. Readers: any, with directory_read_begin and directory_read_same around their loads;
 *           what they copied is nothing unless the second says true.
 * Progress  Readers retry while a writer is at it; the writer waits for nobody.
 * Death     A writer killed in between leaves the version odd: readers keep their old copies.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   Q  version, entries   end -> read_begin   what the writer put is seen whole
 *                         put -> read_same    and what it began to put since then shows in the version
 */
#ifndef PINION_SHM_DIRECTORY_H
#define PINION_SHM_DIRECTORY_H

#include "shm/segment.h"

enum {
	DIRECTORY_DEPLOYMENTS = 4096,
	DIRECTORY_REPLICAS = 16384,
	DIRECTORY_CLIENTS = 256,
};

struct directory {
	struct segment segment;
	struct directory_head *head;
	struct directory_deployment *deployments;
	struct directory_replica *replicas;
	struct directory_client *clients;
};

int pinioni_directory_create(struct directory *d, const char *name)
    __attribute__((warn_unused_result));
/* Of another process, which is read. The descriptor stays the caller's. 0, or as pinioni_segment_attach. */
int pinioni_directory_attach(struct directory *d, int fd) __attribute__((warn_unused_result));
void pinioni_directory_destroy(struct directory *d);

/* Writer. */
static inline void
directory_begin(struct directory *d)
{
	/* relaxed twice: one writer; Q on each entry orders this store before it. */
	uint64_t version = atomic_load_explicit(&d->head->version, memory_order_relaxed);

	atomic_store_explicit(&d->head->version, version + 1, memory_order_relaxed);
}

static inline void
directory_put32(_Atomic uint32_t *where, uint32_t value)
{
	/* Q: a reader that sees this sees the odd version too. */
	atomic_store_explicit(where, value, memory_order_release);
}

static inline void
directory_put64(_Atomic uint64_t *where, uint64_t value)
{
	/* Q: as above. */
	atomic_store_explicit(where, value, memory_order_release);
}

static inline void
directory_end(struct directory *d)
{
	/* relaxed: one writer. */
	uint64_t version = atomic_load_explicit(&d->head->version, memory_order_relaxed);

	/* Q: everything was put. */
	atomic_store_explicit(&d->head->version, version + 1, memory_order_release);
}

/* Reader: the version that a copy made now would be of; odd: try again later. */
static inline uint64_t
directory_read_begin(const struct directory *d)
{
	/* Q */
	return atomic_load_explicit(&d->head->version, memory_order_acquire);
}

static inline uint32_t
directory_get32(const _Atomic uint32_t *where)
{
	/* Q: the version is loaded again after this. */
	return atomic_load_explicit(where, memory_order_acquire);
}

static inline uint64_t
directory_get64(const _Atomic uint64_t *where)
{
	/* Q: as above. */
	return atomic_load_explicit(where, memory_order_acquire);
}

/* Reader: true if the copy made since read_begin is whole. */
static inline bool
directory_read_same(const struct directory *d, uint64_t version)
{
	/* relaxed: Q on each entry orders this after them. */
	return (version & 1) == 0 &&
	    atomic_load_explicit(&d->head->version, memory_order_relaxed) == version;
}

/* Writer, and reader, of what is for people. */
static inline void
directory_say32(_Atomic uint32_t *where, uint32_t value)
{
	/* relaxed: a number for people. */
	atomic_store_explicit(where, value, memory_order_relaxed);
}

static inline uint32_t
directory_hear32(const _Atomic uint32_t *where)
{
	/* relaxed: as above. */
	return atomic_load_explicit(where, memory_order_relaxed);
}

/* Reader, once a call: does my copy still hold? */
static inline uint64_t
directory_version(const struct directory *d)
{
	/* relaxed: a stale answer means one call by the old route, which its worker forwards. */
	return atomic_load_explicit(&d->head->version, memory_order_relaxed);
}

#endif
