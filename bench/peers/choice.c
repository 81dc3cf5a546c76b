/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/peers/choice.c - this program's own options, by argp.
 */
#include "bench/peers/choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

/* Once a name: a list has the same one for each payload. */
static void
list_peers(void)
{
	for (unsigned i = 0; pinioni_peers_built[i] != NULL; i++) {
		const char *last = "";

		for (const struct peer *p = pinioni_peers_built[i]; p->name != NULL; p++) {
			if (strcmp(p->name, last) != 0)
				printf("%s\n", p->name);
			last = p->name;
		}
	}
	for (const struct peer_absent *a = pinioni_peers_absent; a->name != NULL; a++)
		printf("%s (not built: wants %s)\n", a->name, a->wants);
}

static void
read_payloads(struct choice *c, const char *list, struct argp_state *state)
{
	for (const char *at = list; *at != '\0';) {
		char *end;
		unsigned long bytes = strtoul(at, &end, 10);

		if ((bytes != 64 && bytes != PEER_BYTES_MAX) || (*end != ',' && *end != '\0') ||
		    c->payload_count == CHOICE_PAYLOADS)
			argp_error(state, "payload: 64, 1024 or both by a comma");
		c->payloads[c->payload_count++] = (uint32_t)bytes;
		at = end + (*end == ',');
	}
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct choice *c = state->input;

	switch (key) {
	case 'o':
		c->only = arg;
		return 0;
	case 'p':
		read_payloads(c, arg, state);
		return 0;
	case 'l':
		list_peers();
		exit(EXIT_SUCCESS);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void
pinioni_choice_init(struct choice *c)
{
	static const struct argp_option options[] = {
		{ "only", 'o', "NAME,...", 0, "Peers whose names begin so (all)", 0 },
		{ "payload", 'p', "BYTES", 0, "Beside 8 bytes: 64, 1024, or 64,1024", 0 },
		{ "list", 'l', NULL, 0, "The peers that were built, and those that were not", 0 },
		{ 0 },
	};
	static const struct argp argp = { .options = options, .parser = parse };

	*c = (struct choice){ .payload_count = 1, .payloads = { 8 } };
	c->own = (struct options_own){ .parser = &argp, .input = c };
}

bool
pinioni_choice_has(const struct choice *c, const char *name)
{
	for (const char *at = c->only; at != NULL; at = strchr(at, ',')) {
		size_t length;

		at += *at == ',';
		length = strcspn(at, ",");
		if (length != 0 && strncasecmp(at, name, length) == 0)
			return true;
	}
	return c->only == NULL;
}
