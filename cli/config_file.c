/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/config_file.c - a config from a YAML file, by libyaml's document: every node knows its line.
 *
 *   applications: [ { name, import_path, route_prefix, args: { key: value }, deployments: [ { name, OPTION: value } ] } ]
 *   http: { host, port, request_timeout }
 *   workers, idle, poll
 *
 * Which options a deployment has, pinion_run knows; all other keys are here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "config.h"

enum {
	PATH_SHOWN = 96 /* bytes of a file's path */
};

struct reader {
	struct config *config;
	yaml_document_t *document;
	const char *path, *folder; /* folder: with its slash; "" */
	pinion_diag *diag;
};

/* A key of a mapping, and how its value is read. */
struct field {
	const char *key;
	int (*read)(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into);
};

/* ---- places ----------------------------------------------------------------------------------- */

/* Of a long path the end: what is wrong is to fit behind it. */
static const char *
place_of(const struct reader *r, const yaml_node_t *node)
{
	size_t length = strlen(r->path);
	bool fits = length <= PATH_SHOWN;

	return pinioni_config_print(r->config, "%s%s:%zu", fits ? "" : "...",
	    fits ? r->path : r->path + length - PATH_SHOWN, node->start_mark.line + 1);
}

static const char *
text_of(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* The document goes before the config does. */
static const char *
copy_of(const struct reader *r, const yaml_node_t *node)
{
	return pinioni_config_print(r->config, "%s", text_of(node));
}

static PINION_PRINTF(3, 4) int refuse(
    const struct reader *r, const yaml_node_t *at, const char *format, ...)
{
	char text[sizeof r->diag->text];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(text, sizeof text, format, values); /* cut short is fine */
	va_end(values);
	return pinioni_config_refuse(r->diag, place_of(r, at), "%s", text);
}

static bool
is_null(const yaml_node_t *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

	for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
		if (node->type == YAML_SCALAR_NODE &&
		    node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    strcmp(text_of(node), nulls[i]) == 0)
			return true;
	return false;
}

static const char *
what_it_is(const yaml_node_t *node)
{
	return is_null(node)                   ? "nothing"
	    : node->type == YAML_MAPPING_NODE  ? "a mapping"
	    : node->type == YAML_SEQUENCE_NODE ? "a list"
					       : "a single value";
}

/* ---- nodes ------------------------------------------------------------------------------------ */

static yaml_node_t *
node_at(const struct reader *r, int index)
{
	return yaml_document_get_node(r->document, index);
}

static int
read_scalar(
    const struct reader *r, const yaml_node_t *key, const yaml_node_t *value, const char **text)
{
	if (value->type != YAML_SCALAR_NODE || is_null(value))
		return refuse(r, key, "%s: a single value is needed, and not %s", text_of(key),
		    what_it_is(value));
	if (strlen(text_of(value)) != value->data.scalar.length)
		return refuse(r, key, "%s: there is a zero byte in it", text_of(key));
	*text = copy_of(r, value);
	return 0;
}

/* of: what the node is the value of, or itself. */
static int
check_type(
    const struct reader *r, const yaml_node_t *of, const yaml_node_t *node, yaml_node_type_t type)
{
	const char *needed = type == YAML_MAPPING_NODE ? "mapping" : "list";

	if (node->type == type)
		return 0;
	if (of == node)
		return refuse(r, of, "a %s is needed, and not %s", needed, what_it_is(node));
	return refuse(
	    r, of, "%s: a %s is needed, and not %s", text_of(of), needed, what_it_is(node));
}

/* Keys are texts, and each is there once. */
static int
check_keys(const struct reader *r, const yaml_node_t *mapping)
{
	const yaml_node_pair_t *first = mapping->data.mapping.pairs.start;

	for (const yaml_node_pair_t *p = first; p < mapping->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = node_at(r, p->key);

		if (key->type != YAML_SCALAR_NODE ||
		    strlen(text_of(key)) != key->data.scalar.length)
			return refuse(r, key, "a key is needed, and not %s", what_it_is(key));
		for (const yaml_node_pair_t *q = first; q < p; q++)
			if (strcmp(text_of(node_at(r, q->key)), text_of(key)) == 0)
				return refuse(r, key, "%s is there twice", text_of(key));
	}
	return 0;
}

static int
refuse_key(const struct reader *r, const yaml_node_t *key, const struct field *fields, size_t count)
{
	char names[128] = "";
	size_t length = 0;

	for (size_t i = 0; i < count && length < sizeof names; i++)
		length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
		    i == 0 ? "" : ", ", fields[i].key);
	return refuse(r, key, "there is no key '%s' here; there are: %s", text_of(key), names);
}

/* of: the key whose value it is, or itself. */
static int
read_mapping(struct reader *r, const yaml_node_t *of, const yaml_node_t *mapping,
    const struct field *fields, size_t count, void *into)
{
	if (check_type(r, of, mapping, YAML_MAPPING_NODE) != 0 || check_keys(r, mapping) != 0)
		return -1;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
	     p < mapping->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = node_at(r, p->key);
		size_t at = 0;

		while (at < count && strcmp(fields[at].key, text_of(key)) != 0)
			at++;
		if (at == count)
			return refuse_key(r, key, fields, count);
		if (fields[at].read(r, key, node_at(r, p->value), into) != 0)
			return -1;
	}
	return 0;
}

/* ---- deployments ------------------------------------------------------------------------------ */

/* NULL: it has none. */
static const yaml_node_pair_t *
find_pair(const struct reader *r, const yaml_node_t *mapping, const char *name)
{
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
	     p < mapping->data.mapping.pairs.top; p++)
		if (strcmp(text_of(node_at(r, p->key)), name) == 0)
			return p;
	return NULL;
}

/* Of one that has been read. */
static const char *
name_of(const struct reader *r, const yaml_node_t *deployment)
{
	return text_of(node_at(r, find_pair(r, deployment, "name")->value));
}

static int
read_deployment(struct reader *r, const yaml_node_t *deployment, struct config_app *app)
{
	pinion_override o = { .deployment = NULL };
	const yaml_node_pair_t *name;

	if (check_type(r, deployment, deployment, YAML_MAPPING_NODE) != 0 ||
	    check_keys(r, deployment) != 0)
		return -1;
	name = find_pair(r, deployment, "name");
	if (name == NULL)
		return refuse(r, deployment, "a deployment needs a name");
	if (read_scalar(r, node_at(r, name->key), node_at(r, name->value), &o.deployment) != 0)
		return -1;
	for (const yaml_node_pair_t *p = deployment->data.mapping.pairs.start;
	     p < deployment->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = node_at(r, p->key);

		if (strcmp(text_of(key), "name") == 0)
			continue;
		o.option = copy_of(r, key);
		o.where = place_of(r, key);
		if (read_scalar(r, key, node_at(r, p->value), &o.value) != 0)
			return -1;
		pinioni_config_add_override(r->config, app, &o);
	}
	return 0;
}

static int
read_deployments(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	const yaml_node_item_t *first = value->data.sequence.items.start;

	if (check_type(r, key, value, YAML_SEQUENCE_NODE) != 0)
		return -1;
	for (const yaml_node_item_t *i = first; i < value->data.sequence.items.top; i++) {
		const yaml_node_t *deployment = node_at(r, *i);
		const char *name;

		if (read_deployment(r, deployment, into) != 0)
			return -1;
		name = name_of(r, deployment);
		for (const yaml_node_item_t *k = first; k < i; k++)
			if (strcmp(name_of(r, node_at(r, *k)), name) == 0)
				return refuse(
				    r, deployment, "deployment '%s' is there twice", name);
	}
	return 0;
}

/* ---- applications ----------------------------------------------------------------------------- */

static int
read_name(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	struct config_app *app = into;

	app->name_where = place_of(r, key);
	return read_scalar(r, key, value, &app->name);
}

static int
read_import_path(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	struct config_app *app = into;
	const char *path;

	if (read_scalar(r, key, value, &path) != 0)
		return -1;
	app->import_where = place_of(r, key);
	app->import_path =
	    path[0] == '/' ? path : pinioni_config_print(r->config, "%s%s", r->folder, path);
	return 0;
}

static int
read_route_prefix(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	struct config_app *app = into;

	app->route_prefix_where = place_of(r, key);
	return read_scalar(r, key, value, &app->route_prefix);
}

static int
read_args(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	if (check_type(r, key, value, YAML_MAPPING_NODE) != 0 || check_keys(r, value) != 0)
		return -1;
	for (const yaml_node_pair_t *p = value->data.mapping.pairs.start;
	     p < value->data.mapping.pairs.top; p++) {
		const char *text;

		if (read_scalar(r, node_at(r, p->key), node_at(r, p->value), &text) != 0)
			return -1;
		pinioni_config_add_pair(r->config, into, copy_of(r, node_at(r, p->key)), text);
	}
	return 0;
}

static int
read_app(struct reader *r, const yaml_node_t *node, struct config_app *app)
{
	static const struct field fields[] = {
		{ "name", read_name },
		{ "import_path", read_import_path },
		{ "route_prefix", read_route_prefix },
		{ "args", read_args },
		{ "deployments", read_deployments },
	};

	app->where = place_of(r, node);
	if (read_mapping(r, node, node, fields, sizeof fields / sizeof fields[0], app) != 0)
		return -1;
	return app->import_path != NULL
	    ? 0
	    : refuse(r, node, "an application needs an import_path: FILE.so[:symbol]");
}

static int
read_apps(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	struct config *config = into;
	const yaml_node_item_t *first = value->data.sequence.items.start;
	size_t count;

	if (check_type(r, key, value, YAML_SEQUENCE_NODE) != 0)
		return -1;
	count = (size_t)(value->data.sequence.items.top - first);
	config->apps = pinioni_config_take(config, count * sizeof *config->apps);
	for (size_t i = 0; i < count; i++)
		if (read_app(r, node_at(r, first[i]), &config->apps[i]) != 0)
			return -1;
	config->app_count = count;
	return 0;
}

/* ---- settings --------------------------------------------------------------------------------- */

static int
read_setting(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	enum config_setting setting = SETTING_HOST;
	const char *text;

	if (read_scalar(r, key, value, &text) != 0)
		return -1;
	while (strcmp(pinioni_config_setting_name(setting), text_of(key)) != 0)
		setting++; /* the key is one of them */
	return pinioni_config_set(into, setting, text, place_of(r, key), r->diag);
}

static int
read_http(struct reader *r, const yaml_node_t *key, const yaml_node_t *value, void *into)
{
	static const struct field fields[] = {
		{ "host", read_setting },
		{ "port", read_setting },
		{ "request_timeout", read_setting },
	};

	return read_mapping(r, key, value, fields, sizeof fields / sizeof fields[0], into);
}

/* ---- documents -------------------------------------------------------------------------------- */

static int
read_root(struct reader *r, const yaml_node_t *root)
{
	static const struct field fields[] = {
		{ "applications", read_apps },
		{ "http", read_http },
		{ "workers", read_setting },
		{ "idle", read_setting },
		{ "poll", read_setting },
		{ "listen", read_setting },
		{ "listen_group", read_setting },
	};

	if (root == NULL)
		return pinioni_config_refuse(r->diag, r->path, "it is empty");
	if (read_mapping(r, root, root, fields, sizeof fields / sizeof fields[0], r->config) != 0)
		return -1;
	return r->config->app_count != 0 ? 0 : refuse(r, root, "it has no applications");
}

static int
refuse_yaml(const struct reader *r, const yaml_parser_t *parser)
{
	const char *problem = parser->problem == NULL ? "no memory" : parser->problem;

	if (parser->error == YAML_READER_ERROR || parser->error == YAML_MEMORY_ERROR)
		return pinioni_config_refuse(
		    r->diag, r->path, "byte %zu: %s", parser->problem_offset, problem);
	return pinioni_config_refuse(r->diag,
	    pinioni_config_print(r->config, "%s:%zu", r->path, parser->problem_mark.line + 1), "%s",
	    problem);
}

static int
read_next(struct reader *r, yaml_parser_t *parser, bool is_first)
{
	yaml_document_t document;
	const yaml_node_t *root;
	int err = 0;

	if (!yaml_parser_load(parser, &document))
		return refuse_yaml(r, parser);
	r->document = &document;
	root = yaml_document_get_root_node(&document);
	if (is_first)
		err = read_root(r, root);
	else if (root != NULL)
		err = refuse(r, root, "there is a second document");
	yaml_document_delete(&document);
	return err;
}

static int
read_all(struct config *config, const char *path, yaml_parser_t *parser, pinion_diag *diag)
{
	const char *slash = strrchr(path, '/');
	struct reader r = { .config = config,
		.path = path,
		.folder = slash == NULL
		    ? ""
		    : pinioni_config_print(config, "%.*s", (int)(slash + 1 - path), path),
		.diag = diag };
	int err = read_next(&r, parser, true);

	return err != 0 ? err : read_next(&r, parser, false);
}

int
pinioni_config_read_text(
    struct config *config, const char *called, pinion_str text, pinion_diag *diag)
{
	yaml_parser_t parser;
	int err;

	if (!yaml_parser_initialize(&parser))
		return pinioni_config_refuse(diag, called, "no memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	err = read_all(config, called, &parser, diag);
	yaml_parser_delete(&parser);
	return err;
}

int
pinioni_config_read_file(struct config *config, const char *path, pinion_diag *diag)
{
	yaml_parser_t parser;
	FILE *file = fopen(path, "re");
	int err;

	if (file == NULL)
		return pinioni_config_refuse(diag, path, "%s", strerror(errno));
	if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_file(&parser, file);
		err = read_all(config, path, &parser, diag);
		yaml_parser_delete(&parser);
	} else {
		err = pinioni_config_refuse(diag, path, "no memory");
	}
	(void)fclose(file);
	return err;
}
