/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/service.c - see service_priv.h.
 */
#include "ingress/http/service_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* splitmix64: ids need to differ, not to be secret. */
static uint64_t
next_number(struct service *service)
{
	uint64_t z = service->id_seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool
id_is_plain(const char *id)
{
	size_t length = 0;

	for (; id[length] != '\0'; length++) {
		char c = id[length];
		bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z'); /* isalnum asks the locale */

		if (length == REQUEST_ID_MAX || (!is_alnum && strchr("-_.:+/=@", c) == NULL))
			return false;
	}
	return length != 0;
}

void
pinioni_http_request_id(struct service *service, const char *given, char id[REQUEST_ID_ROOM])
{
	uint64_t high, low;

	if (given != NULL && id_is_plain(given)) {
		(void)snprintf(id, REQUEST_ID_ROOM, "%s", given); /* it fits */
		return;
	}
	high = next_number(service);
	low = next_number(service);
	/* The two digits that say "version 4, random". */
	(void)snprintf(id, REQUEST_ID_ROOM, "%08x-%04x-4%03x-%x%03x-%012llx",
	    (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xfff),
	    (unsigned)(8 | (low >> 60 & 3)), (unsigned)(low >> 48 & 0xfff),
	    (unsigned long long)(low & UINT64_C(0xffffffffffff)));
}

void
pinioni_http_log(const struct service *service, const char *format, ...)
{
	char line[640]; /* bytes: an error's text, an id and the words between */
	va_list list;

	if (service->log == NULL)
		return;
	va_start(list, format);
	(void)vsnprintf(line, sizeof line, format, list); /* cut short is fine */
	va_end(list);
	for (char *at = line; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == '\x7f')
			*at = '?';
	service->log(service->log_arg, line);
}
