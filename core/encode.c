/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/encode.c - checking and writing arguments.
 */
#include "core/encode.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/layout.h"
#include "core/piped.h"
#include "core/record.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "core/value.h"

/* One argument, ready to be written. */
struct item {
	union {
		uint64_t bits;
		struct record_ref ref;
		pinion_ref carried;
	};
	const void *data; /* NULL: the union */
	size_t size;
	bool is_ref;
};

struct encoder {
	pinion_port *port; /* NULL: constructor arguments */
	const struct method *method;
	struct slot_note *note;
	struct pinion_request *forwards; /* NULL: none */
	struct complaint *c;
	struct item items[PINION_ARGS_MAX];
	uint64_t kinds; /* of a task */
	uint16_t refs;
	bool is_piped; /* one is a stream */
};

int
pinioni_complain(struct complaint *c, int code, const char *format, ...)
{
	va_list list;

	c->code = code;
	va_start(list, format);
	(void)vsnprintf(c->text, sizeof c->text, format, list); /* a text cut short is fine */
	va_end(list);
	return code;
}

/* The same, beginning with whose arguments they are: "Deployment.method: ". */
__attribute__((format(printf, 3, 4), cold)) static int
complain(struct encoder *e, int code, const char *format, ...)
{
	char text[FAULT_TEXT];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list); /* a text cut short is fine */
	va_end(list);
	return pinioni_complain(
	    e->c, code, "%s.%s: %s", e->method->deployment->name, e->method->name, text);
}

static int
complain_kind(struct encoder *e, const pinion_param *p, const pinion_value *v)
{
	if (p->kind == PINION_KIND_REF && v->kind == PINION_KIND_RESPONSE)
		return complain(e, -EINVAL,
		    "parameter \"%s\" wants a reference and got a response: pass "
		    "pinion_response_ref(response)",
		    p->name);
	if (p->kind == PINION_KIND_REF && v->kind == PINION_KIND_STREAM)
		return complain(e, -EINVAL,
		    "parameter \"%s\" wants a reference and got a stream, which has none "
		    "(pinion_response_ref is for responses): pass it to a PINION_STREAM parameter",
		    p->name);
	if (v->kind == PINION_KIND_STREAM)
		return complain(e, -EINVAL,
		    "parameter \"%s\" wants %s and got a stream: read it with pinion_next, or "
		    "pass it to a PINION_STREAM parameter",
		    p->name, pinioni_kind_name(p->kind));
	return complain(e, -EINVAL, "parameter \"%s\" wants %s and got %s", p->name,
	    pinioni_kind_name(p->kind), pinioni_kind_name(v->kind));
}

static int
pin(struct encoder *e, uint32_t at, uint32_t kind)
{
	if (e->note->pins >= PINS_MAX - 1)
		return complain(e, -E2BIG,
		    "more than %d arguments are responses, references or loans",
		    PINION_UNRESOLVED_MAX);
	if (kind == PIN_SLOT)
		e->port->notes[at].pinned++;
	else
		port_pin_block(e->port, at);
	e->note->pin[e->note->pins++] = (struct pin){ .at = at, .kind = kind };
	return 0;
}

/* ---- responses and references --------------------------------------------------------------- */

static int
item_result(struct encoder *e, struct item *it, uint32_t word, uint32_t slot, uint64_t generation)
{
	const pinion_port *own = e->port;

	if ((word ^ port_word(own)) >> 16 != 0)
		return complain(e, -ESTALE, "a result of another runtime");
	it->is_ref = true;
	it->ref = (struct record_ref){ .kind = REF_RESULT, .port = (uint16_t)word, .at = slot };
	it->ref.call = generation;
	return 0;
}

/* The note of what was called by this port, and is good; NULL: it was complained of. what: "response". */
static struct slot_note *
own_note(struct encoder *e, pinion_response r, const char *what)
{
	struct slot_note *note = &e->port->notes[r.slot < e->port->memory.slot_count ? r.slot : 0];

	if (port_is_failed(r) && r.port == port_word(e->port)) {
		const struct failure *f = &e->port->failures[(r.generation >> 16) % FAILURES];

		if (f->serial == r.generation >> 16) {
			e->c->deployment = f->deployment;
			e->c->method = f->method;
		}
		(void)pinioni_complain(e->c, -(int)(r.generation & 0xffff), "%s",
		    f->serial == r.generation >> 16 ? f->text : "the call before failed");
	} else if (r.port != port_word(e->port)) {
		(void)complain(e, -ESTALE, "a %s is used only by the thread that made it", what);
	} else if (port_note_of(e->port, r) == NULL && port_note_held(e->port, r) != NULL) {
		e->c->deployment = note->method->deployment->name;
		e->c->method = note->method->name;
		(void)pinioni_complain(e->c, -ETIMEDOUT, "it was not answered in its time");
	} else if (r.slot >= e->port->memory.slot_count || note->state != NOTE_OPEN ||
	    note->generation != r.generation) {
		(void)complain(e, -ESTALE, "a %s that was released", what);
	} else {
		return note;
	}
	return NULL;
}

static int
item_response(struct encoder *e, struct item *it, const pinion_param *p, pinion_response r)
{
	const struct slot_note *note = own_note(e, r, "response");
	pinion_kind kind;

	if (note == NULL)
		return e->c->code;
	kind = note->method->returns.kind;
	if (p != NULL && !note->method->any_params && !pinioni_kind_may_convert(kind, p->kind))
		return complain(e, -EINVAL, "parameter \"%s\" wants %s and %s.%s returns %s",
		    p->name, pinioni_kind_name(p->kind), note->method->deployment->name,
		    note->method->name, pinioni_kind_name(kind));
	if (item_result(e, it, r.port, r.slot, r.generation << 16 | note->home) != 0)
		return e->c->code;
	return pin(e, r.slot, PIN_SLOT);
}

/* Of a request that is handed on: what its handler has not read. */
static int
item_handed_on(struct encoder *e, struct item *it, pinion_stream s)
{
	if (e->forwards == NULL)
		return complain(e, -EINVAL,
		    "a stream that is a handler's argument is read by it, or forwarded");
	if (!pinioni_piped_hand_on(e->forwards, s, &it->ref))
		return complain(e, -ESTALE, "a stream that this request has not, or no longer");
	it->is_ref = e->is_piped = true;
	return 0;
}

static int
item_stream(struct encoder *e, struct item *it, pinion_stream s)
{
	pinion_response r = { .generation = s.generation, .port = s.port, .slot = s.slot };
	struct slot_note *note;

	if (stream_is_piped(s))
		return item_handed_on(e, it, s);
	note = own_note(e, r, "stream");
	if (note == NULL)
		return e->c->code;
	if ((note->marks & (MARK_STREAM | MARK_PIPED | MARK_TAGGED)) != MARK_STREAM)
		return complain(e, -EINVAL, "%s.%s %s", note->method->deployment->name,
		    note->method->name,
		    (note->marks & MARK_STREAM) == 0 ? "was not called as a stream"
			: (note->marks & MARK_PIPED) != 0
			? "is another call's argument already"
			: "is a tagged stream, which is harvested");
	if (item_result(e, it, s.port, s.slot, s.generation << 16 | note->home) != 0 ||
	    pin(e, s.slot, PIN_SLOT) != 0)
		return e->c->code;
	it->ref.kind = REF_STREAM;
	pinioni_piped_start(e->port, note);
	e->is_piped = true;
	return 0;
}

static int
complain_untagged(struct encoder *e, const struct item *it)
{
	return complain(e, -EINVAL,
	    "argument %u is no reference: pinion_response_ref(response) makes one",
	    (unsigned)(it - e->items));
}

static int
item_ref(struct encoder *e, struct item *it, pinion_ref r)
{
	uint64_t generation = ref_generation(r);

	if (!ref_is_tagged(r))
		return complain_untagged(e, it);
	if (item_result(e, it, r.port, r.slot, generation << 16 | ref_home(r)) != 0)
		return e->c->code;
	if (r.port != port_word(e->port))
		return 0; /* its owner keeps it */
	if (r.slot >= e->port->memory.slot_count ||
	    e->port->notes[r.slot].generation != generation ||
	    e->port->notes[r.slot].state == NOTE_FREE)
		return complain(e, -ESTALE, "a reference to a released response");
	return pin(e, r.slot, PIN_SLOT);
}

/* ---- plain values --------------------------------------------------------------------------- */

static int
complain_null(struct encoder *e, unsigned i, size_t length)
{
	if (e->method->any_params)
		return complain(e, -EINVAL, "argument %u is NULL with a length of %zu", i, length);
	return complain(e, -EINVAL, "parameter \"%s\" is NULL with a length of %zu",
	    e->method->params[i].name, length);
}

static int
item_bytes(struct encoder *e, unsigned i, const pinion_value *v)
{
	struct item *it = &e->items[i];
	pinion_bytes b = value_bytes(v);
	uint32_t at;

	if (b.data == NULL && b.len != 0)
		return complain_null(e, i, b.len);
	if (e->port != NULL && b.len > MESSAGE_RECORD &&
	    arena_find_loan(&e->port->arena, b.data, b.len, &at)) {
		it->is_ref = true;
		it->ref = (struct record_ref){
			.kind = REF_BLOCK, .port = e->port->index, .at = at, .call = b.len
		};
		return pin(e, at, PIN_BLOCK);
	}
	it->data = b.data;
	it->size = b.len;
	return 0;
}

static int
item_scalar(struct encoder *e, struct item *it, const pinion_param *p, const pinion_value *v)
{
	int err = pinioni_value_convert(v->kind, value_bits(v), p->kind, &it->bits);

	if (p->kind == PINION_KIND_HANDLE && handle_method(v->as.handle) == METHOD_LATE &&
	    ((e->port != NULL && e->port->is_granted) ||
		deployment_is_isolated(e->method->deployment)))
		return complain(e, -EINVAL,
		    "parameter \"%s\": a handle with options, or of an unknown method, means nothing in "
		    "another process",
		    p->name);
	if (err == -ERANGE && v->kind == PINION_KIND_U64)
		return complain(e, -ERANGE, "parameter \"%s\" wants %s: %llu does not fit", p->name,
		    pinioni_kind_name(p->kind), (unsigned long long)v->as.u64);
	if (err == -ERANGE)
		return complain(e, -ERANGE, "parameter \"%s\" wants %s: %lld does not fit", p->name,
		    pinioni_kind_name(p->kind), (long long)v->as.i64);
	return err != 0 ? complain_kind(e, p, v) : 0;
}

static int
item_of(struct encoder *e, unsigned i, const pinion_value *v)
{
	const pinion_param *p = e->method->any_params ? NULL : &e->method->params[i];
	struct item *it = &e->items[i];

	it->data = NULL;
	it->is_ref = false;
	if (e->port != NULL && v->kind == PINION_KIND_RESPONSE &&
	    (p == NULL || p->kind != PINION_KIND_REF))
		return item_response(e, it, p, v->as.response);
	if (e->port != NULL && v->kind == PINION_KIND_REF &&
	    (p == NULL || p->kind != PINION_KIND_REF))
		return item_ref(e, it, v->as.ref);
	if (e->port != NULL && v->kind == PINION_KIND_STREAM &&
	    (p == NULL || p->kind == PINION_KIND_STREAM))
		return item_stream(e, it, v->as.stream);
	if (p != NULL && kind_is_scalar(p->kind))
		return item_scalar(e, it, p, v);
	if (p != NULL && p->kind != v->kind)
		return complain_kind(e, p, v);
	if (v->kind == PINION_KIND_REF) {
		if (!ref_is_tagged(v->as.ref))
			return complain_untagged(e, it);
		it->carried = v->as.ref;
		return 0;
	}
	if (p == NULL && kind_is_scalar(v->kind)) {
		it->bits = value_bits(v);
		return 0;
	}
	if (v->kind == PINION_KIND_STRUCT && p != NULL && v->as.bytes.len != p->size)
		return complain(e, -EINVAL,
		    "parameter \"%s\" wants a struct of %u bytes and got one of %zu", p->name,
		    p->size, v->as.bytes.len);
	if (kind_is_variable(v->kind) || v->kind == PINION_KIND_STRUCT)
		return item_bytes(e, i, v);
	return complain(
	    e, -EINVAL, "argument %u: a %s cannot be passed", i, pinioni_kind_name(v->kind));
}

/* ---- matching arguments to parameters ------------------------------------------------------- */

static int
param_index(const struct method *m, const char *name)
{
	for (unsigned i = 0; i < m->param_count; i++)
		if (strcmp(m->params[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int
check_count(struct encoder *e, pinion_args args)
{
	if (args.count <= PINION_ARGS_MAX)
		return 0;
	return complain(e, -E2BIG, "more than %d arguments", PINION_ARGS_MAX);
}

static int
complain_name(struct encoder *e, const char *name)
{
	return complain(e, -EINVAL, "there is no parameter \"%s\"", name);
}

/* More arguments than parameters: a name that is unknown says more than their number. */
static int
complain_count(struct encoder *e, pinion_args args)
{
	for (unsigned i = 0; i < args.count; i++)
		if (args.values[i].name != NULL && param_index(e->method, args.values[i].name) < 0)
			return complain_name(e, args.values[i].name);
	return complain(
	    e, -EINVAL, "takes %u arguments and got %u", e->method->param_count, args.count);
}

static int
item_otherwise(struct encoder *e, unsigned i)
{
	const pinion_param *p = &e->method->params[i];
	pinion_value v = { .kind = p->kind };

	if (!p->optional)
		return complain(e, -EINVAL, "parameter \"%s\" (%s) is missing", p->name,
		    pinioni_kind_name(p->kind));
	if (p->kind == PINION_KIND_STR)
		v.as.str = p->otherwise.str;
	else if (p->kind == PINION_KIND_BOOL)
		v.as.boolean = p->otherwise.boolean;
	else
		v.as.u64 = p->otherwise.u64;
	return item_of(e, i, &v);
}

static int
match(struct encoder *e, pinion_args args)
{
	const struct method *m = e->method;
	uint32_t given = 0;
	int err = 0;

	if (args.count > m->param_count)
		return complain_count(e, args);
	for (unsigned k = 0; k < args.count && err == 0; k++) {
		const pinion_value *v = &args.values[k];
		int i = v->name == NULL ? (int)k : param_index(m, v->name);

		if (i < 0)
			return complain_name(e, v->name);
		if ((given >> i & 1) != 0)
			return complain(
			    e, -EINVAL, "parameter \"%s\" is given twice", m->params[i].name);
		given |= UINT32_C(1) << i;
		err = item_of(e, (unsigned)i, v);
		if (e->items[i].is_ref)
			e->refs |= (uint16_t)(1u << i);
	}
	for (unsigned i = 0; i < m->param_count && err == 0; i++)
		if ((given >> i & 1) == 0)
			err = item_otherwise(e, i);
	return err;
}

static int
match_task(struct encoder *e, pinion_args args)
{
	int err = 0;

	for (unsigned i = 0; i < args.count && err == 0; i++) {
		err = item_of(e, i, &args.values[i]);
		e->kinds |= (uint64_t)args.values[i].kind << 4 * i;
		if (e->items[i].is_ref)
			e->refs |= (uint16_t)(1u << i);
	}
	return err;
}

/* ---- writing -------------------------------------------------------------------------------- */

static struct layout
layout_start(const struct encoder *e, unsigned count, unsigned char *to)
{
	struct layout l = { .method = e->method, .kinds = e->kinds, .count = count };

	if (e->method->any_params) {
		l.end = sizeof e->kinds;
		if (to != NULL)
			memcpy(to, &e->kinds, sizeof e->kinds);
	}
	return l;
}

/* Returns the bytes the record needs; writes it when `to` is given. align: the widest field's. */
static size_t
write_items(const struct encoder *e, unsigned count, unsigned char *to, uint32_t *align)
{
	struct layout l = layout_start(e, count, to);

	*align = 8;
	for (unsigned i = 0; i < count; i++) {
		const struct item *it = &e->items[i];
		struct field f = layout_field(&l, it->is_ref);

		if (f.variable)
			f.size = it->size;
		if (f.align > *align)
			*align = f.align;
		(void)layout_put(&l, &f, to, SIZE_MAX, it->data != NULL ? it->data : &it->bits);
	}
	return l.end;
}

/* A record of that size in a block of the port's arena: where it is to be written. */
static int
take_outside(struct encoder *e, size_t size, struct message *m, void **to)
{
	struct record_outside outside = { .length = (uint32_t)size, .port = e->port->index };
	uint32_t at = 0;
	int err = size > UINT32_MAX ? -EMSGSIZE : pinioni_port_take_block(e->port, size, &at);

	if (err == -EMSGSIZE)
		return complain(e, err, "the arguments need %zu bytes and the port's arena has %zu",
		    size, e->port->memory.arena_size);
	if (err != 0)
		return complain(
		    e, err, "no room for %zu bytes of arguments in the port's arena now", size);
	e->port->arena.next[at] = 1;
	e->note->pin[e->note->pins++] = (struct pin){ .at = at, .kind = PIN_BLOCK };
	*to = arena_at(&e->port->arena, at);
	outside.offset = (uint64_t)at * ARENA_GRANULE;
	memset(m->record, 0, sizeof m->record);
	memcpy(m->record, &outside, sizeof outside);
	m->length = RECORD_OUTSIDE;
	m->function |= MESSAGE_AHEAD;
	return 0;
}

static int
write_outside(struct encoder *e, unsigned count, size_t size, struct message *m)
{
	uint32_t align;
	void *to;
	int err = take_outside(e, size, m, &to);

	if (err == 0)
		(void)write_items(e, count, to, &align);
	return err;
}

static int
encode_items(struct encoder *e, pinion_args args, struct message *m)
{
	unsigned count = e->method->any_params ? args.count : e->method->param_count;
	uint32_t align;
	size_t size;
	int err = check_count(e, args);

	if (err == 0)
		err = e->method->any_params ? match_task(e, args) : match(e, args);
	if (err != 0)
		return err;
	m->refs = e->refs;
	if (e->is_piped)
		m->function |= MESSAGE_PIPED;
	size = write_items(e, count, NULL, &align);
	if (size > MESSAGE_RECORD || align > 8)
		return write_outside(e, count, size, m);
	(void)write_items(e, count, m->record, &align);
	m->length = (uint8_t)size;
	return 0;
}

/* ---- scalars and responses that will be scalars --------------------------------------------- */

/* The note of a call of this port that will answer what is declared; NULL: it is none. */
static inline const struct slot_note *
scalar_to_come(const pinion_port *port, const pinion_param *p, const pinion_value *v)
{
	const struct slot_note *note =
	    v->kind == PINION_KIND_RESPONSE ? port_note_of(port, v->as.response) : NULL;

	return note != NULL && note->method->returns.kind == p->kind ? note : NULL;
}

bool
pinioni_args_are_scalars(
    const pinion_port *port, const struct method *method, const pinion_args *args, int *home)
{
	unsigned bytes = 8 * args->count;

	*home = HOME_NONE;
	if (method->signature == UINT64_MAX || args->count != method->param_count)
		return false;
	for (unsigned i = 0; i < args->count; i++) {
		const pinion_value *v = &args->values[i];
		const struct slot_note *note = scalar_to_come(port, &method->params[i], v);

		if (v->name != NULL || (note == NULL && v->kind != method->params[i].kind))
			return false;
		if (note == NULL)
			continue;
		bytes += sizeof(struct record_ref) - 8;
		if (*home == HOME_NONE &&
		    (method_keeps_order(method) ||
			!slot_poll(&port->memory.slots[v->as.response.slot], note->generation)))
			*home = note->home;
	}
	return bytes <= MESSAGE_RECORD;
}

void
pinioni_encode_scalars(
    pinion_port *port, const pinion_args *args, struct message *m, struct slot_note *note)
{
	unsigned at = 0, refs = 0;

	for (unsigned i = 0; i < args->count; i++) {
		const pinion_value *v = &args->values[i];
		struct record_ref ref = { .kind = REF_RESULT, .port = port->index };
		uint64_t bits;

		if (v->kind != PINION_KIND_RESPONSE) {
			bits = value_bits(v);
			memcpy(m->record + at, &bits, sizeof bits);
			at += sizeof bits;
			continue;
		}
		ref.at = v->as.response.slot;
		ref.call = v->as.response.generation << 16 | port->notes[ref.at].home;
		memcpy(m->record + at, &ref, sizeof ref);
		at += sizeof ref;
		refs |= 1u << i;
		port->notes[ref.at].pinned++;
		note->pin[note->pins++] = (struct pin){ .at = ref.at, .kind = PIN_SLOT };
	}
	m->length = (uint8_t)at;
	m->refs = (uint16_t)refs;
}

/* ---- one str or bytes ----------------------------------------------------------------------- */

/* The only argument of its method, and not lent: its bytes are the record. */
static bool
is_lone(const pinion_port *port, const struct method *method, const pinion_args *args)
{
	const pinion_value *v = args->values;
	uint32_t at;

	return args->count == 1 && method->param_count == 1 && v->name == NULL &&
	    kind_is_variable(v->kind) && v->kind == method->params[0].kind &&
	    value_bytes(v).data != NULL &&
	    !arena_find_loan(&port->arena, value_bytes(v).data, value_bytes(v).len, &at);
}

static int
encode_lone(struct encoder *e, pinion_bytes bytes, struct message *m)
{
	void *to = m->record;
	int err = 0;

	m->refs = 0;
	if (bytes.len > MESSAGE_RECORD)
		err = take_outside(e, bytes.len, m, &to);
	else
		m->length = (uint8_t)bytes.len;
	if (err == 0)
		memcpy(to, bytes.data, bytes.len);
	return err;
}

/* The items are left as they are, each is set when it is matched: clearing 16 costs more than one needs. */
static void
encoder_start(struct encoder *e, const struct method *method, struct complaint *c)
{
	e->port = NULL;
	e->method = method;
	e->note = NULL;
	e->forwards = NULL;
	e->is_piped = false;
	e->c = c;
	e->kinds = 0;
	e->refs = 0;
}

int
pinioni_encode(pinion_port *port, pinion_args args, struct message *m, struct slot_note *note,
    struct pinion_request *forwards, struct complaint *c)
{
	const struct method *method = note->method;
	struct encoder e;
	int home;

	if (args_are_plain(method, &args)) {
		encode_plain_bits(&args, m);
		return 0;
	}
	if (pinioni_args_are_scalars(port, method, &args, &home)) {
		pinioni_encode_scalars(port, &args, m, note);
		return 0;
	}
	encoder_start(&e, method, c);
	e.port = port;
	e.note = note;
	e.forwards = forwards;
	return is_lone(port, method, &args) ? encode_lone(&e, value_bytes(args.values), m)
					    : encode_items(&e, args, m);
}

int
pinioni_encode_plain(const struct method *method, pinion_args args, unsigned char *record,
    size_t room, size_t *length, struct complaint *c)
{
	struct encoder e;
	uint32_t align;
	int err;

	encoder_start(&e, method, c);
	err = check_count(&e, args);
	if (err == 0)
		err = match(&e, args);
	if (err != 0)
		return err;
	*length = write_items(&e, method->param_count, NULL, &align);
	if (*length > room)
		return complain(&e, -EMSGSIZE,
		    "constructor arguments need %zu bytes and may have %zu", *length, room);
	(void)write_items(&e, method->param_count, record, &align);
	return 0;
}
