/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/page.c - see page_priv.h.
 */
#include "ingress/http/page_priv.h"

#include <jansson.h>
#include <stdlib.h>

enum page
pinioni_http_page_find(pinion_str path)
{
	if (pinion_str_is(path, "/-/healthz"))
		return PAGE_HEALTH;
	if (pinion_str_is(path, "/-/routes"))
		return PAGE_ROUTES;
	return PAGE_NONE;
}

/* NULL: no memory. */
static char *
routes_print(pinion_runtime *rt)
{
	unsigned room = pinion_route_list(rt, NULL, 0);
	pinion_route *routes = calloc(room == 0 ? 1 : room, sizeof *routes);
	json_t *object = json_object();
	char *text = NULL;

	if (routes != NULL && object != NULL) {
		unsigned count = pinion_route_list(rt, routes, room);

		/* Those that came since the first look are left out. */
		for (unsigned i = 0; i < count && i < room; i++)
			if (json_object_set_new(
				object, routes[i].prefix, json_string(routes[i].app)) != 0)
				goto undo_object;
		text = json_dumps(object, JSON_COMPACT);
	}
undo_object:
	json_decref(object);
	free(routes);
	return text;
}

void
pinioni_http_page_write(enum page page, pinion_runtime *rt, struct answer *answer, char **memory)
{
	*memory = NULL;
	if (page == PAGE_HEALTH) {
		pinioni_http_answer_text(answer, MHD_HTTP_OK, "success");
		return;
	}
	*memory = routes_print(rt);
	if (*memory != NULL)
		pinioni_http_answer_json(answer, *memory);
	else
		pinioni_http_answer_status(answer, MHD_HTTP_SERVICE_UNAVAILABLE);
}
