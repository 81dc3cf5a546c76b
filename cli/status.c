/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/status.c - `pinion status`: what runs, and how it does.
 *
 * It reads what the other process shows and disturbs nobody: nothing is sent to a worker.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <pinion/pinion.h>

#include "verb.h"

enum {
	KEY_JSON = 256,
	LIST_MAX = 64
};

struct status {
	const char *name; /* NULL: all */
	bool is_json;
	unsigned found;
	json_t *list; /* of all, with is_json */
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct status *status = state->input;

	switch (key) {
	case KEY_JSON:
		status->is_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (status->name != NULL)
			argp_failure(state, EXIT_FAILURE, 0, "'%s' is one argument too many", arg);
		status->name = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "Print an object of JSON for each, as an array", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[NAME]",
	.doc =
	    "Shows what runs by NAME (pinion run --listen=NAME), or by any name: applications, deployments and "
	    "their replicas, workers, and the processes that have attached.",
};

/* ---- for people ------------------------------------------------------------------------------- */

static unsigned
list_apps(pinion_runtime *rt, pinion_route routes[LIST_MAX])
{
	unsigned count = pinion_route_list(rt, routes, LIST_MAX);

	return count < LIST_MAX ? count : LIST_MAX;
}

static unsigned
list_deployments(pinion_runtime *rt, const char *app, const char *names[LIST_MAX])
{
	unsigned count = pinion_deployment_list(rt, app, names, LIST_MAX);

	return count < LIST_MAX ? count : LIST_MAX;
}

static unsigned
replicas_of(pinion_runtime *rt, const char *app, const char *deployment)
{
	pinion_handle handle;

	return pinion_handle_find(rt, app, deployment, &handle) == 0 ? pinion_replica_count(handle)
								     : 0;
}

static void
print_apps(pinion_runtime *rt)
{
	pinion_route routes[LIST_MAX];
	unsigned count = list_apps(rt, routes);

	for (unsigned i = 0; i < count; i++) {
		const char *names[LIST_MAX];
		unsigned deployments = list_deployments(rt, routes[i].app, names);

		printf("  app %s at %s\n", routes[i].app, routes[i].prefix);
		for (unsigned k = 0; k < deployments; k++) {
			unsigned replicas = replicas_of(rt, routes[i].app, names[k]);

			printf("    %-24s %u replica%s\n", names[k], replicas,
			    replicas == 1 ? "" : "s");
		}
	}
}

static void
print_workers(pinion_runtime *rt)
{
	pinion_worker_status s;
	unsigned count = pinion_worker_look(rt, 0, NULL);

	printf("  %-8s %4s %-6s %5s %12s %10s %10s\n", "worker", "cpu", "", "depth", "started",
	    "failed", "refused");
	for (unsigned i = 0; i < count; i++) {
		char cpu[16] = "-";

		(void)pinion_worker_look(rt, i, &s);
		if (s.cpu >= 0)
			(void)snprintf(cpu, sizeof cpu, "%d", s.cpu);
		printf("  %-8u %4s %-6s %5u %12llu %10llu %10llu\n", i, cpu,
		    s.asleep ? "asleep" : "awake", s.depth, (unsigned long long)s.started,
		    (unsigned long long)s.failed, (unsigned long long)s.refused);
	}
}

static void
print_clients(pinion_runtime *rt)
{
	pinion_client_status s;
	unsigned count = pinion_client_look(rt, 0, NULL);

	for (unsigned i = 0; i < count; i++) {
		if (pinion_client_look(rt, i, &s) <= i)
			break; /* one has gone meanwhile */
		if (s.pid == getpid())
			continue;
		printf("  client process %lld (user %u): %u port%s, %u violation%s\n",
		    (long long)s.pid, s.uid, s.ports, s.ports == 1 ? "" : "s", s.violations,
		    s.violations == 1 ? "" : "s");
	}
}

static void
print_one(pinion_runtime *rt)
{
	printf("%s\n", pinion_placement(rt));
	print_apps(rt);
	print_workers(rt);
	print_clients(rt);
}

/* ---- as JSON ---------------------------------------------------------------------------------- */

static json_t *
json_of_apps(pinion_runtime *rt)
{
	json_t *apps = json_array();
	pinion_route routes[LIST_MAX];
	unsigned count = list_apps(rt, routes);

	for (unsigned i = 0; i < count; i++) {
		json_t *deployments = json_array();
		const char *names[LIST_MAX];
		unsigned all = list_deployments(rt, routes[i].app, names);

		for (unsigned k = 0; k < all; k++)
			(void)json_array_append_new(deployments,
			    json_pack("{s:s, s:i}", "name", names[k], "replicas",
				(int)replicas_of(rt, routes[i].app, names[k])));
		(void)json_array_append_new(apps,
		    json_pack("{s:s, s:s, s:o}", "name", routes[i].app, "route_prefix",
			routes[i].prefix, "deployments", deployments));
	}
	return apps;
}

static json_t *
json_of_workers(pinion_runtime *rt)
{
	json_t *workers = json_array();
	unsigned count = pinion_worker_look(rt, 0, NULL);

	for (unsigned i = 0; i < count; i++) {
		pinion_worker_status s;

		(void)pinion_worker_look(rt, i, &s);
		(void)json_array_append_new(workers,
		    json_pack("{s:i, s:i, s:b, s:i, s:I, s:I, s:I}", "cpu", s.cpu, "node", s.node,
			"asleep", s.asleep, "depth", (int)s.depth, "started", (json_int_t)s.started,
			"failed", (json_int_t)s.failed, "refused", (json_int_t)s.refused));
	}
	return workers;
}

static json_t *
json_of_clients(pinion_runtime *rt)
{
	json_t *clients = json_array();
	pinion_client_status s;

	for (unsigned i = 0; pinion_client_look(rt, i, &s) > i; i++)
		if (s.pid != getpid())
			(void)json_array_append_new(clients,
			    json_pack("{s:I, s:i, s:i, s:i}", "pid", (json_int_t)s.pid, "uid",
				(int)s.uid, "ports", (int)s.ports, "violations",
				(int)s.violations));
	return clients;
}

static json_t *
json_of(pinion_runtime *rt, const char *name)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "name", name, "applications", json_of_apps(rt),
	    "workers", json_of_workers(rt), "clients", json_of_clients(rt));
}

/* ---- all -------------------------------------------------------------------------------------- */

static int
show(struct status *status, const char *name, pinion_diag *diag)
{
	pinion_runtime *rt;

	if (pinion_attach(&rt, name, .diag = diag) != 0)
		return -1;
	status->found++;
	if (status->is_json)
		(void)json_array_append_new(status->list, json_of(rt, name));
	else
		print_one(rt);
	pinion_stop(rt);
	return 0;
}

/* One that ends meanwhile is said to; the others are shown. */
static void
show_listed(void *arg, const char *name)
{
	pinion_diag diag = { "" };

	if (show(arg, name, &diag) != 0)
		(void)fprintf(stderr, "pinion status: %s\n", diag.text);
}

static int
show_all(struct status *status, pinion_diag *diag)
{
	if (pinion_attach_list(show_listed, status, diag) != 0)
		return -1;
	if (status->found == 0 && !status->is_json)
		(void)fputs(
		    "nothing runs that can be attached to (pinion run --listen=NAME)\n", stdout);
	return 0;
}

int
pinioni_verb_status(int argc, char **argv)
{
	struct status status = { .name = NULL };
	pinion_diag diag = { "" };
	int err = argp_parse(&argp, argc, argv, 0, NULL, &status);

	if (err != 0)
		return EXIT_FAILURE;
	if (status.is_json)
		status.list = json_array();
	err = status.name != NULL ? show(&status, status.name, &diag) : show_all(&status, &diag);
	if (err != 0)
		(void)fprintf(stderr, "pinion status: %s\n", diag.text);
	else if (status.is_json && json_dumpf(status.list, stdout, JSON_INDENT(2)) == 0)
		(void)putchar('\n');
	json_decref(status.list);
	return err == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
