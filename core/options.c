/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/options.c - see core/options.h.
 */
#include "core/options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
	OPTION_COUNT,  /* int32_t at bind, uint32_t in the node */
	OPTION_TIME,   /* int64_t ns in both */
	OPTION_CHOICE, /* a text of `choices` at bind, its number as uint32_t in the node */
	OPTION_TEXT,   /* a text in both; the node's is its own */
};

struct option {
	const char *name;
	size_t in_bind, in_node;
	enum option_kind kind;
	uint32_t otherwise; /* of a count */
	int64_t most;       /* of a count; 0: whatever fits */
	const char *const *choices;
	uint32_t choice_count;
};

static const char *const isolations[] = {
	[ISOLATION_NONE] = "none",
	[ISOLATION_PROCESS] = "process",
};

static const char *const routings[] = {
	[ROUTE_LEAST_LOADED] = "least_loaded",
	[ROUTE_ROUND_ROBIN] = "round_robin",
	[ROUTE_BY_KEY] = "by_key",
	[ROUTE_LOCAL] = "local",
};

#define NAMED(option, member) \
	.name = #option, .in_bind = offsetof(pinion_bind_options, option), \
	.in_node = offsetof(struct pinion_node, member)
#define ONE_OF(list) .choices = (list), .choice_count = sizeof(list) / sizeof(list)[0]

static const struct option table[] = {
	{ NAMED(num_replicas, num_replicas), OPTION_COUNT, .otherwise = 1 },
	{ NAMED(max_ongoing_requests, max_ongoing), OPTION_COUNT,
	    .otherwise = PINION_MAX_ONGOING_DEFAULT },
	{ NAMED(max_queued_requests, rules.max_queued), OPTION_COUNT },
	{ NAMED(queue_timeout_ns, rules.queue_timeout_ns), OPTION_TIME },
	{ NAMED(routing, rules.routing), OPTION_CHOICE, ONE_OF(routings) },
	{ NAMED(max_batch_size, batching.max_size), OPTION_COUNT, .most = PINION_BATCH_SIZE_MAX },
	{ NAMED(batch_wait_ns, batching.wait_ns), OPTION_TIME },
	{ NAMED(max_concurrent_batches, batching.max_running), OPTION_COUNT },
	{ NAMED(isolation, rules.isolation), OPTION_CHOICE, ONE_OF(isolations) },
	{ NAMED(user_config, user_config), OPTION_TEXT },
};

enum {
	OPTIONS = sizeof table / sizeof table[0]
};

static int64_t
most_of(const struct option *option)
{
	return option->most != 0 ? option->most : INT64_MAX;
}

static_assert(
    sizeof(enum routing) == sizeof(uint32_t) && sizeof(enum isolation) == sizeof(uint32_t),
    "choices are stored as numbers");

/* One of them, read. */
struct setting {
	const char *text;
	int64_t number; /* of a count, a time or a choice */
};

static const void *
bind_at(const pinion_bind_options *o, const struct option *option)
{
	return (const unsigned char *)o + option->in_bind;
}

static void *
node_at(pinion_node *node, const struct option *option)
{
	return (unsigned char *)node + option->in_node;
}

/* ---- into the node -------------------------------------------------------------------------- */

static int
store(pinion_node *node, const struct option *option, struct setting s)
{
	void *at = node_at(node, option);
	uint32_t number = (uint32_t)s.number;
	char *text;

	switch (option->kind) {
	case OPTION_COUNT:
	case OPTION_CHOICE:
		memcpy(at, &number, sizeof number);
		return 0;
	case OPTION_TIME:
		memcpy(at, &s.number, sizeof s.number);
		return 0;
	case OPTION_TEXT:
		break;
	}
	text = s.text == NULL ? NULL : strdup(s.text);
	if (text == NULL && s.text != NULL)
		return -ENOMEM;
	free(*(char **)at);
	*(char **)at = text;
	return 0;
}

void
pinioni_options_free(pinion_node *node)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (table[i].kind == OPTION_TEXT)
			free(*(char **)node_at(node, &table[i]));
}

/* A list of names for people, cut short where the room ends. */
struct names {
	char text[160];
	size_t length;
};

static void
names_add(struct names *names, const char *name)
{
	int more;

	if (names->length >= sizeof names->text)
		return;
	more = snprintf(names->text + names->length, sizeof names->text - names->length, "%s%s",
	    names->length == 0 ? "" : ", ", name);
	names->length += more > 0 ? (size_t)more : 0;
}

static void
names_add_choices(struct names *names, const struct option *option)
{
	for (uint32_t i = 0; i < option->choice_count; i++)
		names_add(names, option->choices[i]);
}

static bool
choice_find(const struct option *option, const char *text, int64_t *number)
{
	for (uint32_t i = 0; i < option->choice_count; i++)
		if (strcmp(option->choices[i], text) == 0) {
			*number = i;
			return true;
		}
	return false;
}

/* ---- what pinion_bind says ------------------------------------------------------------------ */

/* 0 means the default. */
static bool
bind_number(struct pinion_app *app, const pinion_node *node, const pinion_bind_options *o,
    const struct option *option, struct setting *s)
{
	int32_t count;

	if (option->kind == OPTION_TIME) {
		memcpy(&s->number, bind_at(o, option), sizeof s->number);
	} else {
		memcpy(&count, bind_at(o, option), sizeof count);
		s->number = count == 0 ? (int64_t)option->otherwise : count;
	}
	if (s->number < 0)
		pinioni_app_refuse(app, "%s: %s is %" PRId64 ", and may not be negative",
		    node->declared->name, option->name, s->number);
	else if (s->number > most_of(option))
		pinioni_app_refuse(app, "%s: %s is %" PRId64 ", and may be %" PRId64,
		    node->declared->name, option->name, s->number, most_of(option));
	return s->number >= 0 && s->number <= most_of(option);
}

static bool
bind_text(struct pinion_app *app, const pinion_node *node, const pinion_bind_options *o,
    const struct option *option, struct setting *s)
{
	struct names names = { .length = 0 };

	memcpy(&s->text, bind_at(o, option), sizeof s->text);
	if (option->kind == OPTION_TEXT || s->text == NULL ||
	    choice_find(option, s->text, &s->number))
		return true;
	names_add_choices(&names, option);
	pinioni_app_refuse(app, "%s: %s is \"%s\": it may be %s", node->declared->name,
	    option->name, s->text, names.text);
	return false;
}

int
pinioni_options_take(struct pinion_app *app, pinion_node *node, const pinion_bind_options *o)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option *option = &table[i];
		bool is_number = option->kind == OPTION_COUNT || option->kind == OPTION_TIME;
		struct setting s = { .text = NULL };

		if (is_number ? !bind_number(app, node, o, option, &s)
			      : !bind_text(app, node, o, option, &s))
			return -EINVAL;
		if (store(node, option, s) != 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- what a file or a command says ---------------------------------------------------------- */

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
	{ "s", 1000000000 },
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "ns", 1 },
};

/* Digits alone; what is behind them. NULL: none, or too large. */
static const char *
digits_read(const char *text, int64_t *number)
{
	const char *at = text;

	for (*number = 0; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, *at - '0', number))
			return NULL;
	return at == text ? NULL : at;
}

static bool
count_read(const char *text, int64_t *number)
{
	const char *end = digits_read(text, number);

	return end != NULL && *end == '\0' && *number > 0 && *number <= INT32_MAX;
}

static bool
time_read(const char *text, int64_t *number)
{
	const char *end = digits_read(text, number);

	if (end == NULL || *number == 0)
		return false;
	if (*end == '\0')
		return true;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(end, units[i].name) == 0)
			return !__builtin_mul_overflow(*number, units[i].ns, number);
	return false;
}

static void
add_numbers(struct names *names, const struct option *option)
{
	char text[64];

	if (option->most == 0)
		(void)snprintf(text, sizeof text, "a whole number of at least 1");
	else
		(void)snprintf(
		    text, sizeof text, "a whole number from 1 to %" PRId64, option->most);
	names_add(names, text);
}

/* Where it was said, as a beginning of what is wrong there. */
static struct names
place_of(const pinion_override *o)
{
	struct names place = { .length = 0 };

	if (o->where != NULL)
		(void)snprintf(
		    place.text, sizeof place.text, "%s: ", o->where); /* cut short: fine */
	return place;
}

static pinion_node *
node_of(struct pinion_app *app, const pinion_override *o)
{
	struct names names = { .length = 0 };

	for (uint32_t i = 0; i < app->count; i++) {
		if (strcmp(app->nodes[i]->name, o->deployment) == 0)
			return app->nodes[i];
		names_add(&names, app->nodes[i]->name);
	}
	pinioni_app_refuse(app, "%sthere is no deployment \"%s\" in \"%s\"; it has: %s",
	    place_of(o).text, o->deployment, app->name, names.text);
	return NULL;
}

static const struct option *
option_of(struct pinion_app *app, const pinion_override *o)
{
	struct names names = { .length = 0 };

	for (size_t i = 0; i < OPTIONS; i++) {
		if (strcmp(table[i].name, o->option) == 0)
			return &table[i];
		names_add(&names, table[i].name);
	}
	pinioni_app_refuse(app, "%s%s: there is no option \"%s\"; there are: %s", place_of(o).text,
	    o->deployment, o->option, names.text);
	return NULL;
}

static bool
value_read(struct pinion_app *app, const pinion_override *o, const struct option *option,
    struct setting *s)
{
	struct names may = { .length = 0 };
	bool is_right = true;

	s->text = o->value;
	switch (option->kind) {
	case OPTION_COUNT:
		is_right = count_read(o->value, &s->number) && s->number <= most_of(option);
		add_numbers(&may, option);
		break;
	case OPTION_TIME:
		is_right = time_read(o->value, &s->number);
		names_add(&may, "a time above 0, in ns or as 5us, 5ms, 5s");
		break;
	case OPTION_CHOICE:
		is_right = choice_find(option, o->value, &s->number);
		names_add_choices(&may, option);
		break;
	case OPTION_TEXT:
		break;
	}
	if (!is_right)
		pinioni_app_refuse(app, "%s%s: %s is \"%s\": it may be %s", place_of(o).text,
		    o->deployment, option->name, o->value, may.text);
	return is_right;
}

int
pinioni_options_override(struct pinion_app *app, const pinion_overrides *overrides)
{
	for (size_t i = 0; i < overrides->count; i++) {
		const pinion_override *o = &overrides->list[i];
		struct setting s = { .text = NULL };
		const struct option *option;
		pinion_node *node;

		if (o->deployment == NULL || o->option == NULL || o->value == NULL) {
			pinioni_app_refuse(
			    app, "override %zu lacks its deployment, option or value", i);
			return -EINVAL;
		}
		node = node_of(app, o);
		option = node == NULL ? NULL : option_of(app, o);
		if (option == NULL || !value_read(app, o, option, &s))
			return -EINVAL;
		if (store(node, option, s) != 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- what is planned ------------------------------------------------------------------------ */

/* As value_read reads it again, NULL for none; true: it is what it would be if nobody said it. */
static bool
tell(pinion_node *node, const struct option *option, char *room, size_t size, const char **text)
{
	const void *at = node_at(node, option);
	uint32_t number;
	int64_t ns;

	*text = room;
	switch (option->kind) {
	case OPTION_COUNT:
		memcpy(&number, at, sizeof number);
		(void)snprintf(room, size, "%" PRIu32, number); /* fits */
		if (number == 0)
			*text = NULL;
		return number == option->otherwise;
	case OPTION_TIME:
		memcpy(&ns, at, sizeof ns);
		if (ns == 0)
			*text = NULL;
		for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
			if (ns % units[i].ns == 0) {
				(void)snprintf(
				    room, size, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
				break;
			}
		return ns == 0;
	case OPTION_CHOICE:
		memcpy(&number, at, sizeof number);
		*text = option->choices[number];
		return number == 0;
	case OPTION_TEXT:
		break;
	}
	memcpy(text, at, sizeof *text);
	return *text == NULL;
}

void
pinioni_options_plan(
    const struct pinion_app *app, const pinion_node *ingress, const pinion_run_options *o)
{
	for (uint32_t i = 0; i < app->count; i++) {
		pinion_option options[OPTIONS];
		char rooms[OPTIONS][32];

		for (size_t k = 0; k < OPTIONS; k++) {
			options[k].name = table[k].name;
			options[k].is_default = tell(
			    app->nodes[i], &table[k], rooms[k], sizeof rooms[k], &options[k].value);
		}
		o->plan(o->plan_arg,
		    &(const pinion_planned){ .deployment = app->nodes[i]->name,
			.options = options,
			.option_count = OPTIONS,
			.is_ingress = app->nodes[i] == ingress });
	}
}
