/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/route.h - which replica a call goes to: the caller's choice, by what its port knows.
 *
 *   least_loaded   fewest of this port's own calls under way, ties in turn
 *   round_robin    in turn
 *   by_key         the same for the same key, most of them also when replicas are added; without a key: for the same
 *                  caller, so that what it sends stays in order, also along a chain (method_keeps_order)
 *   local          on the caller's own worker, else on its node, else the least loaded
 */
#ifndef PINION_CORE_ROUTE_H
#define PINION_CORE_ROUTE_H

#include "core/port.h"
#include "core/runtime.h"

struct call_how;

/* A replica of several, by their policy. route->count is not 0. */
uint32_t pinioni_route_choose(pinion_port *port, struct directory_copy *route,
    const struct deployment *d, const struct call_how *how);

/* Replicas that the deployment has now. */
static inline uint32_t
route_count(pinion_port *port, const struct deployment *d)
{
	if (directory_version(&port->runtime->directory) != port->directory_version)
		pinioni_port_renew_routes(port);
	return port->routes[d->index].count;
}

/* The target of a call of this port, and the worker it lives on. False: there is none. */
__attribute__((always_inline)) static inline bool
route_target(pinion_port *port, const struct method *method, const struct call_how *how,
    uint32_t *replica, unsigned *worker)
{
	struct directory_copy *route = &port->routes[method->deployment->index];

	if (directory_version(&port->runtime->directory) != port->directory_version)
		pinioni_port_renew_routes(port);
	if (route->count == 0)
		return false;
	*replica = route->count == 1 ? route->first
				     : pinioni_route_choose(port, route, method->deployment, how);
	*worker = port->replica_worker[*replica];
	return true;
}

#endif
