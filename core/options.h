/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/options.h - a deployment's options: as pinion_bind says them, and as texts from a file or a command.
 *
 *   pinion_bind(.num_replicas = 3)  ---> checked --> node
 *   { "Greeter", "num_replicas", "5", "app.yaml:12" } --> read --> checked --> node, over it
 *   node ---> texts, for pinion_run's .plan
 *
 * Why       One table has every option, so that code, files and refusals cannot know different ones. Another option is
 *           a row of it, a member of pinion_bind_options and one of the node.
 * Threads   Those of pinion_run, one at a time.
 */
#ifndef PINION_CORE_OPTIONS_H
#define PINION_CORE_OPTIONS_H

#include "core/application.h"

/* What pinion_bind says. -EINVAL: app->failed names the option; -ENOMEM. */
int pinioni_options_take(struct pinion_app *app, pinion_node *node, const pinion_bind_options *o)
    __attribute__((warn_unused_result));
/* Over what the builder said, the later over the earlier. -EINVAL: app->failed says what there is; -ENOMEM. */
int pinioni_options_override(struct pinion_app *app, const pinion_overrides *overrides)
    __attribute__((warn_unused_result));
/* Tells of each node; nothing is made live. */
void pinioni_options_plan(
    const struct pinion_app *app, const pinion_node *ingress, const pinion_run_options *o);
/* What the node's texts take. */
void pinioni_options_free(pinion_node *node);

#endif
