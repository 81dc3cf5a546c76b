/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/packed.c - see core/packed.h.
 */
#include "core/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/segment.h"

enum {
	TEXT_MAX = 65536
};

/* ---- writing -------------------------------------------------------------------------------- */

void
pinioni_pack(struct packer *w, const void *bytes, size_t size)
{
	size_t padded = segment_round_up(size, 8);

	if (w->bytes != NULL && w->size + padded > w->room) {
		size_t room = 2 * (w->room + padded);
		unsigned char *more = realloc(w->bytes, room);

		if (more == NULL)
			free(w->bytes);
		w->bytes = more;
		w->room = room;
	}
	if (w->bytes == NULL)
		return;
	memset(w->bytes + w->size, 0, padded);
	memcpy(w->bytes + w->size, bytes, size);
	w->size += padded;
}

void
pinioni_pack_number(struct packer *w, uint64_t x)
{
	pinioni_pack(w, &x, sizeof x);
}

void
pinioni_pack_text(struct packer *w, const char *text, size_t length)
{
	char end = '\0';

	pinioni_pack_number(w, length + 1);
	if (length % 8 != 0) {
		char last[8] = { 0 };

		pinioni_pack(w, text, length / 8 * 8);
		memcpy(last, text + length / 8 * 8, length % 8);
		pinioni_pack(w, last, sizeof last);
	} else {
		pinioni_pack(w, text, length);
		pinioni_pack(w, &end, 1);
	}
}

/* A sealed file of these bytes. */
int
pinioni_pack_seal(const struct packer *w, int *fd)
{
	size_t done = 0;
	int err = 0;

	*fd = memfd_create("pinion-packed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	while (done < w->size && err == 0) {
		ssize_t n = write(*fd, w->bytes + done, w->size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			err = n == 0 ? -ENOSPC : -errno;
	}
	if (err == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		err = -errno;
	if (err != 0) {
		(void)close(*fd); /* nothing could be done about it */
		*fd = -1;
	}
	return err;
}

/* ---- reading -------------------------------------------------------------------------------- */

uint64_t
pinioni_unpack_number(struct unpacker *r)
{
	uint64_t x = 0;

	r->is_bad = r->is_bad || r->left < sizeof x;
	if (r->is_bad)
		return 0;
	memcpy(&x, r->at, sizeof x);
	r->at += sizeof x;
	r->left -= sizeof x;
	return x;
}

/* At most `max`, or it is bad. */
uint64_t
pinioni_unpack_below(struct unpacker *r, uint64_t max)
{
	uint64_t x = pinioni_unpack_number(r);

	r->is_bad = r->is_bad || x > max;
	return r->is_bad ? 0 : x;
}

pinion_str
pinioni_unpack_str(struct unpacker *r)
{
	size_t size = (size_t)pinioni_unpack_below(r, TEXT_MAX);
	size_t padded = segment_round_up(size, 8);
	const char *text = (const char *)r->at;

	r->is_bad = r->is_bad || size == 0 || padded > r->left;
	if (r->is_bad || text[size - 1] != '\0') {
		r->is_bad = true;
		return (pinion_str){ "", 0 };
	}
	r->at += padded;
	r->left -= padded;
	return (pinion_str){ text, size - 1 };
}

/* The same of one that ends where its first zero is. */
const char *
pinioni_unpack_text(struct unpacker *r)
{
	pinion_str s = pinioni_unpack_str(r);

	r->is_bad = r->is_bad || strlen(s.data) != s.len;
	return s.data;
}

int
pinioni_unpack_open(int fd, size_t most, const unsigned char **bytes, size_t *size)
{
	int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || (seals & wanted) != wanted || fstat(fd, &st) != 0 || st.st_size <= 0 ||
	    (size_t)st.st_size > most)
		return -EBADMSG;
	/* What is sealed does not change: it is read where it lies. */
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*bytes = at;
	*size = (size_t)st.st_size;
	return 0;
}

void
pinioni_unpack_close(const unsigned char *bytes, size_t size)
{
	(void)munmap((void *)(uintptr_t)bytes, size); /* our own mapping: cannot fail */
}
