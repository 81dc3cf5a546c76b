/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/target.c - see target_priv.h.
 *
 *   memory:  path, decoded | 0 | query, as sent | 0 | query, cut into pairs and decoded in place | 0
 */
#include "ingress/http/target_priv.h"

#include <stdlib.h>
#include <string.h>

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes in place, as the result is never longer. False: a zero byte. */
static bool
percent_decode(char *text, size_t *length, bool plus_is_space)
{
	size_t to = 0;

	for (size_t from = 0; from < *length; from++, to++) {
		char c = text[from];

		if (c == '%' && *length - from > 2 && hex_digit(text[from + 1]) >= 0 &&
		    hex_digit(text[from + 2]) >= 0) {
			c = (char)(hex_digit(text[from + 1]) << 4 | hex_digit(text[from + 2]));
			from += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			return false;
		text[to] = c;
	}
	text[to] = '\0';
	*length = to;
	return true;
}

/* Behind "http://host", which only proxies send. NULL: neither form. */
static const char *
path_begin(const char *text)
{
	const char *scheme_end = strstr(text, "://");

	if (text[0] == '/')
		return text;
	if (scheme_end == NULL || memchr(text, '/', (size_t)(scheme_end - text)) != NULL)
		return NULL;
	text = scheme_end + 3;
	return text + strcspn(text, "/?");
}

static uint32_t
pair_bound(const char *query)
{
	uint32_t count = 1;

	for (; *query != '\0'; query++)
		count += *query == '&';
	return count;
}

static bool
pair_parse(char *text, size_t length, struct target_pair *pair)
{
	char *equals = memchr(text, '=', length);
	size_t key_length = equals == NULL ? length : (size_t)(equals - text);
	char *value = equals == NULL ? text + length : equals + 1;
	size_t value_length = (size_t)(text + length - value);

	if (!percent_decode(text, &key_length, true) || !percent_decode(value, &value_length, true))
		return false;
	pair->key = (pinion_str){ text, key_length };
	pair->value = (pinion_str){ value, value_length };
	return true;
}

static int
pairs_parse(char *text, struct target *target)
{
	if (*text == '\0')
		return 0;
	target->pairs = calloc(pair_bound(text), sizeof *target->pairs);
	if (target->pairs == NULL)
		return -ENOMEM;
	for (char *end; text != NULL; text = end) {
		size_t length = strcspn(text, "&");

		end = text[length] == '&' ? text + length + 1 : NULL;
		text[length] = '\0';
		if (length == 0)
			continue;
		if (!pair_parse(text, length, &target->pairs[target->pair_count]))
			return -EINVAL;
		target->pair_count++;
	}
	return 0;
}

static int
target_fill(const char *begin, struct target *target)
{
	size_t path_length = strcspn(begin, "?");
	const char *query = begin[path_length] == '?' ? begin + path_length + 1 : "";
	size_t query_length = strlen(query);
	char *at = malloc(path_length + 2 + 2 * (query_length + 1)); /* 2: "/" and its end */

	if (at == NULL)
		return -ENOMEM;
	target->memory = at;
	memcpy(at, begin, path_length);
	if (path_length == 0)
		at[path_length++] = '/'; /* "http://host" */
	target->path.data = at;
	target->path.len = path_length;
	if (!percent_decode(at, &target->path.len, false))
		return -EINVAL;
	at += path_length + 1;
	target->query = (pinion_str){ memcpy(at, query, query_length + 1), query_length };
	at += query_length + 1;
	return pairs_parse(memcpy(at, query, query_length + 1), target);
}

int
pinioni_http_target_parse(const char *text, struct target *target)
{
	const char *begin = path_begin(text);
	int err;

	*target = (struct target){ 0 };
	if (begin == NULL)
		return -EINVAL;
	err = target_fill(begin, target);
	if (err != 0)
		pinioni_http_target_free(target);
	return err;
}

void
pinioni_http_target_free(struct target *target)
{
	free(target->pairs);
	free(target->memory);
	*target = (struct target){ 0 };
}
