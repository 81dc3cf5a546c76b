/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/record.c - the layout of a record, and reading one.
 */
#include "core/record.h"

#include <stdio.h>
#include <string.h>

#include "core/layout.h"
#include "core/piped.h"
#include "core/runtime.h"
#include "core/value.h"

/* The record's bytes, checked against the port they lie in; NULL: they do not. */
static const unsigned char *
record_bytes(const struct pinion_runtime *rt, const struct message *m, uint32_t *length)
{
	struct record_outside outside;
	const pinion_port *port;

	*length = m->length;
	if (m->length <= MESSAGE_RECORD)
		return m->record;
	if (m->length != RECORD_OUTSIDE)
		return NULL;
	memcpy(&outside, m->record, sizeof outside);
	*length = outside.length;
	port = runtime_port(rt, outside.port);
	return port == NULL ? NULL : port_memory_at(&port->memory, outside.offset, outside.length);
}

/* Whether it names what whoever wrote it may name. What lies in another process's memory says anything at any time: it names
 * what is that process's, or nothing. What came in a message was looked at then: core/guard.h. */
static bool
ref_is_its_own(
    const struct pinion_runtime *rt, const struct message *m, const struct record_ref *ref)
{
	struct record_outside outside;
	const pinion_port *port;

	if (m->length <= MESSAGE_RECORD)
		return true;
	memcpy(&outside, m->record, sizeof outside);
	port = runtime_port(rt, outside.port);
	return port != NULL && (!port->is_guest || port->is_trusted || ref->port == outside.port);
}

static void
want_record(const struct pinion_request *r)
{
	uint32_t length;
	const unsigned char *record = record_bytes(r->worker->runtime, &r->message, &length);
	uint32_t want = record == NULL ? 0 : length < WANT_BYTES ? length : WANT_BYTES;

	for (uint32_t at = 0; at < want; at += CELL_SIZE)
		__builtin_prefetch(record + at);
}

/* A result as long as the last one was. */
static void
want_place(const struct pinion_request *r, uint32_t length)
{
	unsigned char *place = pinioni_request_place(r, length);

	for (uint32_t at = 0; place != NULL && at < length && at < WANT_BYTES; at += CELL_SIZE)
		line_want(place + at);
}

void
pinioni_record_want(const struct pinion_request *r)
{
	if (r->message.length == RECORD_OUTSIDE)
		want_record(r);
	if (r->replica->worker == r->worker &&
	    r->replica->answered != 0) /* else it only comes by */
		want_place(r, r->replica->answered);
}

/* Where a record begins to be read, and the kinds when it says them itself. */
static bool
cursor_start(
    struct layout *l, const struct method *method, const unsigned char *record, uint32_t length)
{
	*l = (struct layout){ .method = method, .count = method->param_count };
	if (!method->any_params)
		return true;
	if (length < sizeof l->kinds)
		return false;
	l->kinds = once_u64(record);
	l->end = sizeof l->kinds;
	l->count = layout_task_count(l->kinds);
	return true;
}

/* The next field of a record that is being read; false: it lies outside. */
static bool
cursor_next(struct layout *l, const struct message *m, const unsigned char *record, uint32_t length,
    struct field *f)
{
	uint32_t bytes = 0;
	bool last = l->next + 1 == l->count;

	*f = layout_field(l, (m->refs >> l->next & 1) != 0);
	if (f->variable && !last) {
		size_t at = segment_round_up(l->end, 4);

		if (at + 4 > length)
			return false;
		bytes = once_u32(record + at);
		l->end = at + 4;
		f->size = bytes;
	} else if (f->variable) {
		size_t at = segment_round_up(l->end, f->align);

		f->size = at <= length ? length - at : 0;
	}
	f->at = segment_round_up(l->end, f->align);
	l->end = f->at + f->size;
	l->next++;
	return f->size <= length && f->at <= length - f->size;
}

/* Only scalars are declared, and in the message. */
static bool
is_scalars(const struct message *m, const struct method *method)
{
	unsigned refs = m->refs, count = 0;

	for (; refs != 0; refs &= refs - 1)
		count++;
	return method->signature != UINT64_MAX && m->length <= MESSAGE_RECORD &&
	    m->refs >> method->param_count == 0 && m->length == 8 * (method->param_count + count);
}

/* The same, and just one of them is to come. */
static bool
is_lone(const struct message *m, const struct method *method)
{
	return m->refs != 0 && (m->refs & (m->refs - 1)) == 0 && method->signature != UINT64_MAX &&
	    m->length <= MESSAGE_RECORD && m->length == 8 * (method->param_count + 1) &&
	    m->refs >> method->param_count == 0;
}

/* Where it lies in the record. */
static unsigned
lone_at(const struct message *m)
{
	return 8 * (unsigned)__builtin_ctz(m->refs);
}

/* The same of scalars: what is no reference takes 8 bytes. */
static unsigned
scalar_refs(const struct message *m, struct record_ref refs[PINION_ARGS_MAX])
{
	unsigned count = 0, at = 0;

	for (unsigned left = m->refs; left != 0; left >>= 1) {
		if ((left & 1) == 0) {
			at += 8;
			continue;
		}
		memcpy(&refs[count++], m->record + at, sizeof refs[0]);
		at += sizeof refs[0];
	}
	return count;
}

unsigned
pinioni_record_refs(const struct pinion_runtime *rt, const struct message *m,
    const struct method *method, struct record_ref refs[PINION_ARGS_MAX])
{
	uint32_t length;
	const unsigned char *record;
	struct layout l;
	struct field f;
	unsigned count = 0;

	if (is_lone(m, method)) {
		memcpy(refs, m->record + lone_at(m), sizeof refs[0]);
		return 1;
	}
	if (is_scalars(m, method))
		return scalar_refs(m, refs);
	record = record_bytes(rt, m, &length);
	if (record == NULL || !cursor_start(&l, method, record, length))
		return 0;
	while (l.next < l.count) {
		if (!cursor_next(&l, m, record, length, &f))
			return count;
		if (!f.is_ref)
			continue;
		once_copy(&refs[count], record + f.at, sizeof refs[0]);
		count += ref_is_its_own(rt, m, &refs[count]);
	}
	return count;
}

/* ---- settling ------------------------------------------------------------------------------- */

/* The scalar a reference stands for, converted; false: not there, failed, or no scalar. */
static bool
scalar_of(struct worker *w, const struct record_ref *ref, pinion_kind want,
    const struct arrival *arrival, uint64_t *bits)
{
	const pinion_port *port;
	const struct slot *slot;
	uint64_t word;

	if (ref->kind != REF_RESULT || !kind_is_scalar(want))
		return false;
	if (arrival != NULL && arrival->port == ref->port && arrival->slot == ref->at &&
	    arrival->generation == ref->call >> 16)
		return pinioni_value_convert(arrival->kind, arrival->bits, want, bits) == 0;
	port = runtime_port(w->runtime, ref->port);
	if (port == NULL || ref->at >= port->memory.slot_count)
		return false;
	slot = &port->memory.slots[ref->at];
	if (slot_look(slot, ref->call >> 16) != SLOT_IS_DONE || slot_status(slot) != 0 ||
	    !slot_copy(slot, ref->call >> 16, bits, sizeof *bits))
		return false;
	/* relaxed: its state was looked at above. */
	word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	return pinioni_value_convert((pinion_kind)slot_word_kind(word), *bits, want, bits) == 0;
}

/* Each argument moves down or stays, so that `to` may be the message itself. */
static void
settle_scalars(struct worker *w, const struct message *m, struct message *to,
    const struct method *method, const struct arrival *arrival)
{
	unsigned refs = m->refs, left = refs, from = 0, at = 0;

	for (unsigned i = 0; i < method->param_count; i++) {
		struct record_ref ref;
		uint64_t bits;

		if ((refs >> i & 1) == 0) {
			memcpy(&bits, m->record + from, sizeof bits);
			from += sizeof bits;
		} else {
			memcpy(&ref, m->record + from, sizeof ref);
			from += sizeof ref;
			if (!scalar_of(w, &ref, method->params[i].kind, arrival, &bits)) {
				memcpy(to->record + at, &ref, sizeof ref);
				at += sizeof ref;
				continue;
			}
			left &= ~(1u << i);
		}
		memcpy(to->record + at, &bits, sizeof bits);
		at += sizeof bits;
	}
	to->refs = (uint16_t)left;
	to->length = (uint8_t)at;
}

bool
pinioni_record_settle_lone(
    struct message *m, const struct method *method, const struct arrival *arrival)
{
	unsigned at = lone_at(m);
	struct record_ref ref;

	if (!is_lone(m, method) || method->params[at / 8].kind != arrival->kind)
		return false;
	memcpy(&ref, m->record + at, sizeof ref);
	if (ref.kind != REF_RESULT || ref.port != arrival->port || ref.at != arrival->slot ||
	    ref.call >> 16 != arrival->generation)
		return false;
	memcpy(m->record + at, &arrival->bits, 8);
	for (at += 8; at + 8 < m->length; at += 8)
		memcpy(m->record + at, m->record + at + 8, 8);
	m->refs = 0;
	m->length = (uint8_t)(m->length - 8);
	return true;
}

bool
pinioni_record_settle_to(struct worker *w, const struct message *m, struct message *to,
    const struct method *method, const struct arrival *arrival)
{
	if (!is_scalars(m, method))
		return false;
	memcpy(to, m, offsetof(struct message, record));
	memcpy(to->record + RECORD_PLACE, m->record + RECORD_PLACE, sizeof(struct result_place));
	settle_scalars(w, m, to, method, arrival);
	return to->refs == 0;
}

void
pinioni_record_settle(
    struct worker *w, struct message *m, const struct method *method, const struct arrival *arrival)
{
	alignas(8) unsigned char fresh[MESSAGE_RECORD];
	struct message out = *m;
	struct layout from, to;
	struct field f;

	if (m->refs == 0 || m->length > MESSAGE_RECORD || method->any_params)
		return;
	if (method->signature != UINT64_MAX) {
		if (is_scalars(m, method))
			settle_scalars(w, m, m, method, arrival);
		return;
	}
	(void)cursor_start(&from, method, m->record, m->length); /* no task: cannot fail */
	to = from;
	while (from.next < from.count) {
		unsigned i = from.next;
		const void *data;
		uint64_t bits;

		if (!cursor_next(&from, m, m->record, m->length, &f))
			return;
		data = m->record + f.at;
		if (f.is_ref) {
			struct record_ref ref;

			memcpy(&ref, data, sizeof ref);
			if (scalar_of(w, &ref, method->params[i].kind, arrival, &bits)) {
				out.refs &= (uint16_t) ~(1u << i);
				data = &bits;
				f = layout_field(&to, false);
			}
		}
		if (layout_put(&to, &f, fresh, sizeof fresh, data) != 0)
			return;
	}
	memcpy(out.record, fresh, to.end);
	out.length = (uint8_t)to.end;
	*m = out;
}

/* ---- decoding ------------------------------------------------------------------------------- */

/* Upstream failed: its error becomes ours, with the name of where it arose. */
static int
fail_upstream(struct pinion_request *r, const pinion_port *port, int status, uint32_t at)
{
	struct fault fault;
	const char *said = port_memory_fault(&port->memory, at, &fault);
	char text[FAULT_TEXT];
	struct failing why = {
		.origin = PINION_ORIGIN_UPSTREAM,
		.deployment = fault.deployment,
		.method = fault.method,
		.text = text,
	};
	struct outcome o = { .status = status < 0 ? status : -EBADMSG, .why = &why };

	(void)snprintf(text, sizeof text, "%.*s", (int)fault.length, said);
	pinioni_request_complete(r, &o);
	return -EIO;
}

/* A result of somebody else's port may go away while it is read: it is copied, and checked after. */
static const void *
copy_result(struct pinion_request *r, const struct slot *slot, uint64_t generation,
    const void *data, uint32_t length)
{
	void *copy = pinion_alloc(r, length == 0 ? 1 : length);

	if (copy == NULL)
		return NULL;
	if (length <= SLOT_BYTES)
		return slot_copy(slot, generation, copy, length) ? copy : NULL;
	memcpy(copy, data, length);
	return slot_look(slot, generation) == SLOT_IS_DONE ? copy : NULL;
}

/* A result's kind, of what its slot says: what a handler is given for a stream is ours, and no result. */
static bool
is_of_result(unsigned kind)
{
	return kind <= PINION_KIND_HANDLE || kind == PINION_KIND_REF;
}

/* NULL: no memory. */
static const void *
copy_in(struct pinion_request *r, const void *data, uint32_t length)
{
	void *copy = pinion_alloc(r, length == 0 ? 1 : length);

	if (copy != NULL)
		memcpy(copy, data, length);
	return copy;
}

/* What a reference stands for becomes the view. */
static int
view_result(struct pinion_request *r, const struct record_ref *ref, struct view *v)
{
	const pinion_port *port = runtime_port(r->worker->runtime, ref->port);
	const struct slot *slot;
	uint64_t word;
	int status;

	if (port == NULL || ref->at >= port->memory.slot_count)
		return -ESTALE;
	slot = &port->memory.slots[ref->at];
	if (slot_look(slot, ref->call >> 16) != SLOT_IS_DONE)
		return -ESTALE;
	status = slot_status(slot);
	if (status != 0)
		return fail_upstream(r, port, status, ref->at);
	/* relaxed: its state was looked at above. */
	word = atomic_load_explicit(&slot->word, memory_order_relaxed);
	v->kind = slot_word_kind(word);
	v->length = slot_length(slot);
	if (!is_of_result(v->kind))
		return -EBADMSG;
	if (v->length <= SLOT_BYTES)
		v->at = slot->bytes;
	else
		v->at = port_memory_at(&port->memory,
		    (uint64_t)port_memory_place(&port->memory, ref->at).at * ARENA_GRANULE,
		    v->length);
	if ((ref->port != r->message.port || port->is_foreign) && v->at != NULL)
		v->at = copy_result(r, slot, ref->call >> 16, v->at, v->length);
	return v->at == NULL ? -ESTALE : 0;
}

static int
view_ref(struct pinion_request *r, const struct record_ref *ref, struct view *v)
{
	const pinion_port *port;

	if (ref->kind == REF_RESULT)
		return view_result(r, ref, v);
	if (ref->kind == REF_STREAM)
		return pinioni_piped_open(r, ref, v);
	port = runtime_port(r->worker->runtime, ref->port);
	if (port == NULL)
		return -ESTALE;
	v->length = (uint32_t)ref->call;
	v->at = port_memory_at(&port->memory, (uint64_t)ref->at * ARENA_GRANULE, v->length);
	if (v->at == NULL)
		return -EBADMSG;
	if (port->is_foreign)
		v->at = copy_in(r, v->at, v->length);
	return v->at == NULL ? -ENOMEM : 0;
}

/* A view of what came by reference is checked against what was declared. */
static int
check_view(struct view *v, const pinion_param *want)
{
	if (want == NULL) {
		if (!kind_is_scalar((pinion_kind)v->kind))
			return 0;
		if (v->length != sizeof v->word)
			return -EINVAL;
		v->word = once_u64(v->at);
		return 0;
	}
	if (kind_is_scalar(want->kind)) {
		if (!kind_is_scalar((pinion_kind)v->kind) || v->length != sizeof v->word)
			return -EINVAL;
		return pinioni_value_convert(
		    (pinion_kind)v->kind, once_u64(v->at), want->kind, &v->word);
	}
	if (v->kind != (uint32_t)want->kind)
		return -EINVAL;
	return want->kind == PINION_KIND_STRUCT && v->length != want->size ? -EINVAL : 0;
}

static int
fail_argument(struct pinion_request *r, unsigned i, int err)
{
	const struct method *m = r->method;

	if (err == -EIO)
		return err; /* failed already */
	pinioni_request_fail(r, err, PINION_ORIGIN_RUNTIME,
	    "argument %u (\"%s\") of %s: the result given for it %s", i,
	    m->any_params ? "" : m->params[i].name, m->deployment->name,
	    err == -ESTALE ? "is gone" : "has another type or does not fit");
	return err;
}

static int
decode_field(struct pinion_request *r, const struct field *f, unsigned i)
{
	const pinion_param *want = r->method->any_params ? NULL : &r->method->params[i];
	struct view *v = &r->args[i];
	struct record_ref ref;
	int err;

	if (!f->is_ref && f->kind == PINION_KIND_STREAM)
		return -EBADMSG;
	if (!f->is_ref) {
		v->kind = (uint32_t)f->kind;
		v->length = (uint32_t)f->size;
		if (kind_is_scalar(f->kind))
			memcpy(&v->word, r->record + f->at, sizeof v->word);
		else
			v->at = r->record + f->at;
		/* Nobody of ours puts such a struct into a message, where it does not lie well. */
		return f->align > 8 && (uintptr_t)v->at % f->align != 0 ? -EBADMSG : 0;
	}
	once_copy(&ref, r->record + f->at, sizeof ref);
	if (!ref_is_its_own(r->worker->runtime, &r->message, &ref))
		return -EBADMSG;
	v->kind = want != NULL ? (uint32_t)want->kind : (uint32_t)f->kind;
	if ((v->kind == PINION_KIND_STREAM) != (ref.kind == REF_STREAM))
		return -EBADMSG;
	err = view_ref(r, &ref, v);
	return err != 0 ? err : check_view(v, want);
}

int
pinioni_record_decode_at(struct pinion_request *r, const unsigned char *record, uint32_t length)
{
	struct layout l;
	struct field f;

	r->record = record;
	if (record == NULL || !cursor_start(&l, r->method, record, length)) {
		pinioni_request_fail(r, -EBADMSG, PINION_ORIGIN_RUNTIME, "arguments out of bounds");
		return -EBADMSG;
	}
	for (unsigned i = 0; i < l.count; i++) {
		int err = cursor_next(&l, &r->message, record, length, &f) ? decode_field(r, &f, i)
									   : -EBADMSG;

		if (err != 0)
			return fail_argument(r, i, err);
	}
	r->arg_count = (uint8_t)l.count;
	return 0;
}

/* Of arguments that are in an arena: another user may write there, also while they are read. */
static bool
lies_with_others(const struct pinion_request *r)
{
	struct record_outside outside;
	const pinion_port *port;

	memcpy(&outside, r->message.record, sizeof outside);
	port = runtime_port(r->worker->runtime, outside.port);
	return port != NULL && port->is_foreign;
}

int
pinioni_record_decode(struct pinion_request *r)
{
	const unsigned char *record;
	uint32_t length;

	record = record_bytes(r->worker->runtime, &r->message, &length);
	if (r->message.length == RECORD_OUTSIDE && record != NULL && lies_with_others(r)) {
		record = copy_in(r, record, length);
		if (record == NULL) {
			pinioni_request_fail(r, -ENOMEM, PINION_ORIGIN_RUNTIME,
			    "no memory for a copy of its arguments");
			return -ENOMEM;
		}
	}
	return pinioni_record_decode_at(r, record, length);
}
