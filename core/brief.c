/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/brief.c - see core/brief.h.
 */
#include "core/brief.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/application.h"
#include "core/packed.h"
#include "shm/segment.h"

#define BRIEF_MARK UINT64_C(0x01036e6f696e6970) /* "pinion", 3, 1 */

enum {
	BRIEF_MAX = 1 << 20 /* bytes that are read */
};

/* As core/deploy.c shares it out. */
static uint32_t
share_of(const struct replica *r)
{
	const struct deployment *d = r->deployment;
	uint32_t count = d->wanted;

	return d->rules.max_queued / count + (r->number < d->rules.max_queued % count);
}

/* Of what it takes and gives: another version of a module may have another of that name. FNV-1a. */
static uint64_t
shape_of(const struct method *m)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	uint64_t numbers[] = { m->param_count, m->returns.kind, m->items.kind, m->result_size,
		m->item_size };

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		hash = (hash ^ numbers[i]) * UINT64_C(1099511628211);
	for (uint8_t i = 0; i < m->param_count; i++)
		hash = (hash ^ ((uint64_t)m->params[i].kind << 32 | m->params[i].size)) *
		    UINT64_C(1099511628211);
	return hash;
}

int
pinioni_brief_write(const struct replica *r, int *fd)
{
	const struct deployment *d = r->deployment;
	const char *config = d->user_config;
	struct packer w = { .room = 4096 };
	int err;

	w.bytes = malloc(w.room);
	pinioni_pack_number(&w, BRIEF_MARK);
	pinioni_pack_number(&w, d->max_ongoing);
	pinioni_pack_number(&w, d->rules.max_queued);
	pinioni_pack_number(&w, (uint64_t)d->rules.queue_timeout_ns);
	pinioni_pack_number(&w, d->rules.routing);
	pinioni_pack_number(&w, share_of(r));
	pinioni_pack_number(&w, d->method_count);
	for (size_t i = 0; i < d->method_count; i++) {
		pinioni_pack_text(&w, d->methods[i].name, strlen(d->methods[i].name));
		pinioni_pack_number(&w, shape_of(&d->methods[i]));
		pinioni_pack_number(&w, d->batching[i].max_size);
		pinioni_pack_number(&w, d->batching[i].max_running);
		pinioni_pack_number(&w, (uint64_t)d->batching[i].wait_ns);
	}
	pinioni_pack_number(&w, d->record_length);
	pinioni_pack(&w, d->record, d->record_length);
	pinioni_pack_number(&w, config != NULL);
	pinioni_pack_text(&w, config == NULL ? "" : config, config == NULL ? 0 : strlen(config));
	err = w.bytes == NULL ? -ENOMEM : pinioni_pack_seal(&w, fd);
	free(w.bytes);
	return err;
}

static void
read_methods(struct unpacker *u, struct deployment *d)
{
	u->is_bad = u->is_bad || pinioni_unpack_number(u) != d->method_count;
	for (size_t i = 0; !u->is_bad && i < d->method_count; i++) {
		struct batching *b = &d->batching[i];

		u->is_bad = strcmp(pinioni_unpack_text(u), d->methods[i].name) != 0 ||
		    pinioni_unpack_number(u) != shape_of(&d->methods[i]);
		b->max_size = (uint32_t)pinioni_unpack_below(u, UINT32_MAX);
		b->max_running = (uint32_t)pinioni_unpack_below(u, UINT32_MAX);
		b->wait_ns = (int64_t)pinioni_unpack_below(u, INT64_MAX);
	}
}

/* Its own copies of the constructor's arguments and of the text. */
static int
read_texts(struct unpacker *u, struct deployment *d)
{
	size_t length = (size_t)pinioni_unpack_below(u, INIT_RECORD_MAX);
	size_t padded = segment_round_up(length, 8);
	bool has_config;
	pinion_str config;

	if (u->is_bad || padded > u->left)
		return -EBADMSG;
	free(d->record);
	d->record = malloc(length + 1);
	if (d->record == NULL)
		return -ENOMEM;
	memcpy(d->record, u->at, length);
	d->record_length = length;
	u->at += padded;
	u->left -= padded;
	has_config = pinioni_unpack_below(u, 1) != 0;
	config = pinioni_unpack_str(u);
	if (u->is_bad)
		return -EBADMSG;
	free(d->user_config);
	d->user_config = has_config ? strdup(config.data) : NULL;
	return has_config && d->user_config == NULL ? -ENOMEM : 0;
}

int
pinioni_brief_read(int fd, struct deployment *d, struct replica *r)
{
	const unsigned char *bytes;
	struct unpacker u;
	size_t size;
	int err = pinioni_unpack_open(fd, BRIEF_MAX, &bytes, &size);

	if (err != 0)
		return err;
	u = (struct unpacker){ .at = bytes, .left = size };
	u.is_bad = pinioni_unpack_number(&u) != BRIEF_MARK;
	d->max_ongoing = d->stacks = r->max_ongoing =
	    (uint32_t)pinioni_unpack_below(&u, UINT32_MAX);
	d->rules.max_queued = r->queue_max = (uint32_t)pinioni_unpack_below(&u, UINT32_MAX);
	d->rules.queue_timeout_ns = (int64_t)pinioni_unpack_below(&u, INT64_MAX);
	d->rules.routing = (enum routing)pinioni_unpack_below(&u, ROUTE_LOCAL);
	r->queue_share = (uint32_t)pinioni_unpack_below(&u, UINT32_MAX);
	read_methods(&u, d);
	err = u.is_bad ? -EBADMSG : read_texts(&u, d);
	pinioni_unpack_close(bytes, size);
	return err;
}
