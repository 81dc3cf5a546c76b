/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/packed.h - numbers and texts as bytes of a sealed file, for another process: it changes no more, and is read where it
 * lies.
 *
 *   numbers of 8 bytes; a text is its length with its end, then its bytes, to a multiple of 8
 *
 * Rules     Every length is checked against what is left. What is bad stays so: all that is read then is 0 and "".
 * Threads   One at a time.
 */
#ifndef PINION_CORE_PACKED_H
#define PINION_CORE_PACKED_H

#include "core/pinion.h"

struct packer {
	unsigned char *bytes; /* the caller's; NULL: no memory */
	size_t size, room;
};

struct unpacker {
	const unsigned char *at;
	size_t left;
	bool is_bad;
};

/* To a multiple of 8. */
void pinioni_pack(struct packer *w, const void *bytes, size_t size);
void pinioni_pack_number(struct packer *w, uint64_t x);
void pinioni_pack_text(struct packer *w, const char *text, size_t length);
/* A sealed file of these bytes; the caller's. 0 or -errno. */
int pinioni_pack_seal(const struct packer *w, int *fd) __attribute__((warn_unused_result));

uint64_t pinioni_unpack_number(struct unpacker *r);
/* At most `max`, or it is bad. */
uint64_t pinioni_unpack_below(struct unpacker *r, uint64_t max);
pinion_str pinioni_unpack_str(struct unpacker *r);
/* The same of one that ends where its first zero is. */
const char *pinioni_unpack_text(struct unpacker *r);
/* Of a file that is sealed; until closed. -EBADMSG: it is not, or longer than `most`. */
int pinioni_unpack_open(int fd, size_t most, const unsigned char **bytes, size_t *size)
    __attribute__((warn_unused_result));
void pinioni_unpack_close(const unsigned char *bytes, size_t size);

#endif
