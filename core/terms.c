/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/terms.c - writing terms, inheriting them, reading them.
 */
#include "core/terms.h"

#include <errno.h>
#include <string.h>

#include "core/cancel.h"
#include "core/runtime.h"
#include "core/worker.h"

/* What a block of carried bytes consists of. */
struct carried {
	const char *id, *model, *values;
	uint32_t id_length, model_length, values_length;
};

/* Of a call of another process, which may write them at any time: ours, once they were looked at. */
struct terms_copy {
	struct call_terms terms;
	char carried[];
};

/* ---- reading -------------------------------------------------------------------------------- */

/* Names and values, each with its end. */
static bool
are_pairs(const char *at, uint32_t length)
{
	uint32_t ends = 0;

	for (uint32_t i = 0; i < length; i++)
		ends += at[i] == '\0';
	return length == 0 || (at[length - 1] == '\0' && ends % 2 == 0);
}

/* What terms_write makes. */
static bool
make_sense(const struct call_terms *t, const char *carried)
{
	uint32_t names = (uint32_t)t->id_length + t->model_length;

	return t->id_length <= PINION_NAME_MAX && t->model_length <= PINION_NAME_MAX &&
	    names <= t->length && are_pairs(carried + names, t->length - names);
}

/* NULL: no memory. What makes no sense carries nothing. */
__attribute__((noinline)) static const struct terms_copy *
copy_terms(struct pinion_request *r)
{
	const struct port_memory *m = &r->port->memory;
	struct call_terms terms = port_memory_terms(m, r->message.slot);
	const unsigned char *from =
	    port_memory_at(m, (uint64_t)terms.at * ARENA_GRANULE, terms.length);
	struct terms_copy *copy;

	if (from == NULL || terms.length > PINION_CARRIED_MAX)
		terms.length = 0;
	copy = pinion_alloc(r, sizeof *copy + terms.length);
	if (copy == NULL)
		return NULL;
	if (terms.length != 0)
		memcpy(copy->carried, from, terms.length);
	copy->terms = terms;
	if (!make_sense(&terms, copy->carried))
		copy->terms.length = 0;
	r->terms = copy;
	r->depth |= REQUEST_COPIED;
	return copy;
}

static const struct terms_copy *
copy_of(struct pinion_request *r)
{
	return (r->depth & REQUEST_COPIED) != 0 ? r->terms : copy_terms(r);
}

/* NULL, of one that has none or has answered: they are its caller's. */
static const struct call_terms *
terms_of(struct pinion_request *r)
{
	const struct terms_copy *copy;

	if (r == NULL || (r->depth & REQUEST_TERMS) == 0 || r->port == NULL ||
	    r->state >= REQUEST_ANSWERED)
		return NULL;
	if (!r->port->is_guest)
		return &r->port->memory.terms[r->message.slot];
	copy = copy_of(r);
	return copy == NULL ? NULL : &copy->terms;
}

/* Nothing, of one that has no terms. */
static struct carried
carried_of(struct pinion_request *r)
{
	const struct call_terms *terms = terms_of(r);
	struct carried c = { .id = "", .model = "", .values = "" };
	const char *at;

	if (terms == NULL || terms->length == 0)
		return c;
	at = r->port->is_guest ? r->terms->carried
			       : (const char *)port_memory_at(&r->port->memory,
				     (uint64_t)terms->at * ARENA_GRANULE, terms->length);
	if (at == NULL)
		return c;
	c.id_length = terms->id_length;
	c.model_length = terms->model_length;
	c.values_length = terms->length - c.id_length - c.model_length;
	c.id = at;
	c.model = at + c.id_length;
	c.values = c.model + c.model_length;
	return c;
}

/* The value of that name; NULL: there is none. */
static const char *
find_value(const struct carried *c, const char *name)
{
	const char *end = c->values + c->values_length;

	for (const char *at = c->values; at < end;) {
		const char *value = at + strlen(at) + 1;

		if (value >= end)
			return NULL;
		if (strcmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

pinion_str
pinioni_terms_model(struct pinion_request *r)
{
	struct carried c = carried_of(r);

	return (pinion_str){ c.model, c.model_length };
}

pinion_str
pinion_request_value(pinion_request *r, const char *name)
{
	struct carried c = carried_of(r);
	const char *value = find_value(&c, name);

	return value == NULL ? (pinion_str){ "", 0 } : (pinion_str){ value, strlen(value) };
}

void
pinion_request_context(pinion_request *r, pinion_context *context)
{
	const struct call_terms *terms = terms_of(r);
	const struct deployment *d = r->method->deployment, *door = NULL;
	struct carried c = carried_of(r);

	if (terms != NULL)
		door = registry_deployment(&r->worker->runtime->registry, terms->door);
	if (door == NULL)
		door = d;
	*context = (pinion_context){ .request_id = { c.id, c.id_length },
		.model = { c.model, c.model_length },
		.application = door->app,
		.route = door->route,
		.deployment = d->name,
		.method = r->method->name,
		.replica = r->replica->number,
		.priority = (r->depth & REQUEST_URGENT) != 0 ? PINION_PRIORITY_HIGH
							     : PINION_PRIORITY_NORMAL };
}

void
pinioni_terms_read(struct pinion_request *r)
{
	struct call_terms terms;

	if (r->port == NULL)
		return;
	terms = port_memory_terms(&r->port->memory, r->message.slot);
	if (terms.door != FAULT_NOWHERE)
		r->depth |= REQUEST_TERMS;
	if (terms.priority != PINION_PRIORITY_NORMAL)
		r->depth |= REQUEST_URGENT;
	if (terms.deadline != 0)
		pinioni_cancel_bind(r, terms.deadline);
}

/* ---- writing -------------------------------------------------------------------------------- */

uint64_t
pinioni_terms_deadline(const pinion_port *port, const struct call_how *how, uint64_t *now)
{
	const struct pinion_request *r = port_caller(port);
	uint64_t deadline =
	    r != NULL && (r->depth & REQUEST_BOUND) != 0 && !how->is_post ? r->deadline.at : 0;

	if (deadline == 0 && how->timeout_ns == 0)
		return 0;
	*now = clock_now(&port->runtime->clock);
	if (how->timeout_ns == 0 || (deadline != 0 && deadline < *now + (uint64_t)how->timeout_ns))
		return deadline;
	return *now + (uint64_t)how->timeout_ns;
}

bool
pinioni_terms_are_inherited(const pinion_port *port)
{
	return terms_of(port_caller(port)) != NULL;
}

static int
check_values(const pinion_terms *t, struct complaint *c)
{
	for (size_t i = 0; i < t->value_count; i++)
		if (t->values[i].key == NULL || t->values[i].key[0] == '\0' ||
		    t->values[i].value == NULL)
			return pinioni_complain(
			    c, -EINVAL, ".terms.values[%zu] has no name or no value", i);
	return 0;
}

static int
check(const pinion_terms *t, struct complaint *c)
{
	if (t->request_id != NULL && strlen(t->request_id) > PINION_NAME_MAX)
		return pinioni_complain(c, -EMSGSIZE, ".terms.request_id has %zu bytes, of %d",
		    strlen(t->request_id), PINION_NAME_MAX);
	if (t->model != NULL && strlen(t->model) > PINION_NAME_MAX)
		return pinioni_complain(c, -EMSGSIZE, ".terms.model has %zu bytes, of %d",
		    strlen(t->model), PINION_NAME_MAX);
	return check_values(t, c);
}

static bool
is_said(const pinion_terms *t, const char *name)
{
	for (size_t i = 0; i < t->value_count; i++)
		if (strcmp(t->values[i].key, name) == 0)
			return true;
	return false;
}

/* Name and value, each with its end. to: NULL, or where. Bytes. */
static uint32_t
put_pair(char *to, const char *name, const char *value)
{
	size_t n = strlen(name) + 1, v = strlen(value) + 1;

	if (to != NULL) {
		memcpy(to, name, n);
		memcpy(to + n, value, v);
	}
	return (uint32_t)(n + v);
}

/* What is said, then what is inherited and not said anew. */
static uint32_t
put_values(char *to, const pinion_terms *t, const struct carried *above)
{
	const char *at = above->values, *end = above->values + above->values_length;
	uint32_t length = 0;

	for (size_t i = 0; i < t->value_count; i++)
		length +=
		    put_pair(to == NULL ? NULL : to + length, t->values[i].key, t->values[i].value);
	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (!is_said(t, at))
			length += put_pair(to == NULL ? NULL : to + length, at, value);
		at = value + strlen(value) + 1;
	}
	return length;
}

/* In a block of its own, which goes back with the slot. */
static int
carry(pinion_port *port, struct slot_note *note, const pinion_terms *t, struct call_terms *terms,
    struct complaint *c)
{
	struct carried above = carried_of(port_caller(port));
	const char *id = t->request_id != NULL ? t->request_id : above.id;
	uint32_t id_length = t->request_id != NULL ? (uint32_t)strlen(id) : above.id_length;
	uint32_t model_length = t->model == NULL ? 0 : (uint32_t)strlen(t->model);
	uint32_t length = id_length + model_length + put_values(NULL, t, &above);
	char *to;

	if (length == 0)
		return 0;
	if (length > PINION_CARRIED_MAX)
		return pinioni_complain(c, -EMSGSIZE,
		    ".terms are %u bytes with those inherited, and may be %d", length,
		    PINION_CARRIED_MAX);
	if (pinioni_port_take_block(port, length, &terms->at) != 0)
		return pinioni_complain(
		    c, -ENOBUFS, "the port's arena has no room for %u bytes of terms", length);
	note->marks |= MARK_CARRIED;
	to = arena_at(&port->arena, terms->at);
	memcpy(to, id, id_length);
	if (model_length != 0)
		memcpy(to + id_length, t->model, model_length);
	(void)put_values(to + id_length + model_length, t, &above);
	terms->length = (uint16_t)length;
	terms->id_length = (uint8_t)id_length;
	terms->model_length = (uint8_t)model_length;
	return 0;
}

int
pinioni_terms_write(pinion_port *port, struct slot_note *note, const struct call_how *how,
    uint64_t deadline, struct complaint *c)
{
	static const pinion_terms nothing = { .request_id = NULL };
	const pinion_terms *t = how->terms != NULL ? how->terms : &nothing;
	const struct call_terms *above = terms_of(port_caller(port));
	struct call_terms terms = { .deadline = deadline, .door = FAULT_NOWHERE };
	bool has_more =
	    how->terms != NULL || how->priority != PINION_PRIORITY_NORMAL || above != NULL;
	int err = 0;

	if (deadline == 0 && !has_more)
		return 0;
	if (has_more) {
		terms.door = above != NULL ? above->door : note->method->deployment->index;
		terms.priority = above != NULL ? above->priority : PINION_PRIORITY_NORMAL;
		if (how->priority != PINION_PRIORITY_NORMAL)
			terms.priority = (uint8_t)how->priority;
		err = check(t, c);
		if (err == 0)
			err = carry(port, note, t, &terms, c);
	}
	if (err != 0)
		return err;
	port->memory.terms[port_slot_of(port, note)] = terms;
	note->marks |= deadline != 0 ? MARK_TERMS | MARK_BOUND : MARK_TERMS;
	return 0;
}
