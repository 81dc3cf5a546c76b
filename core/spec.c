/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/spec.c - see core/spec.h.
 */
#include "core/spec.h"

#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/memory.h"
#include "core/value.h"

static uint64_t
signature_of(const pinion_params *params)
{
	uint64_t signature = 0;

	for (size_t i = 0; i < params->count; i++) {
		if (!kind_is_scalar(params->list[i].kind))
			return UINT64_MAX; /* never what PINION_ARGS makes */
		signature |= (uint64_t)params->list[i].kind << 4 * i;
	}
	return signature;
}

static uint32_t
result_size(const pinion_method *m)
{
	if (kind_is_variable(m->returns.kind))
		return m->result_max == 0 ? PINION_RESULT_MAX_DEFAULT : m->result_max;
	return m->returns.kind == PINION_KIND_STRUCT ? m->returns.size : 16;
}

static void
free_words(char **words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		free(words[i]);
	free(words);
}

/* What was said at bind stands over what the method declares. */
static struct batching
batching_of(const pinion_method *m, const pinion_node *node)
{
	const struct batching *said = &node->batching;

	return (struct batching){ .max_size = said->max_size != 0 ? said->max_size
		    : m->max_batch_size != 0                      ? (uint32_t)m->max_batch_size
								  : PINION_BATCH_SIZE_DEFAULT,
		.max_running = said->max_running != 0 ? said->max_running
		    : m->max_concurrent_batches != 0  ? (uint32_t)m->max_concurrent_batches
						      : 1,
		.wait_ns = said->wait_ns != 0 ? said->wait_ns : m->batch_wait_ns };
}

/* NULL: there are none, or no memory. */
static char **
copy_words(const char *const *words)
{
	size_t count = 0;
	char **copy;

	if (words == NULL)
		return NULL;
	while (words[count] != NULL)
		count++;
	copy = calloc(count + 1, sizeof *copy);
	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = strdup(words[i]);
		if (copy[i] == NULL) {
			free_words(copy);
			return NULL;
		}
	}
	return copy;
}

struct deployment *
pinioni_spec_make(const pinion_node *node)
{
	const pinion_deployment *declared = node->declared;
	struct deployment *d = pinioni_lines_take(sizeof *d);

	if (d == NULL)
		return NULL;
	d->name = strdup(node->name);
	d->app = strdup(node->app->name);
	d->route = strdup(node->app->prefix);
	d->methods = pinioni_lines_take(declared->methods.count * sizeof *d->methods);
	d->batching = pinioni_lines_take(declared->methods.count * sizeof *d->batching);
	d->declared = declared;
	d->method_count = declared->methods.count;
	/* Whose handle came from anywhere would run functions by their numbers. */
	d->named_count = node->index == DEPLOYMENT_TASK ? 0 : d->method_count;
	d->max_ongoing = d->stacks = node->max_ongoing;
	d->wanted = node->num_replicas;
	d->rules = node->rules;
	d->index = node->index;
	d->record = malloc(node->record_length + 1);
	if (d->record != NULL)
		memcpy(d->record, node->record, node->record_length);
	d->record_length = node->record_length;
	d->user_config = node->user_config == NULL ? NULL : strdup(node->user_config);
	d->host_command = copy_words(node->host_command);
	for (size_t i = 0; d->methods != NULL && d->batching != NULL && i < d->method_count; i++) {
		const pinion_method *m = &declared->methods.list[i];

		d->methods[i] = (struct method){ .name = m->name,
			.handler = m->handler,
			.params = m->params.list,
			.deployment = d,
			.signature = signature_of(&m->params),
			.returns =
			    m->stream ? (pinion_returns){ .kind = PINION_KIND_NONE } : m->returns,
			.items =
			    m->stream ? m->returns : (pinion_returns){ .kind = PINION_KIND_NONE },
			.result_size = m->stream ? UINT32_MAX : result_size(m),
			.item_size = m->stream ? result_size(m) : 0,
			.param_count = (uint8_t)m->params.count,
			.index = (uint8_t)i,
			.is_idempotent = m->idempotent && !m->stream,
			.has_more = m->stream || result_size(m) > SLOT_BYTES || spec_has_rules(d) };
		if (m->batch != NULL)
			d->methods[i].handler = pinioni_batch_join;
		d->batching[i] = batching_of(m, node);
	}
	return d;
}

void
pinioni_spec_free(struct deployment *d)
{
	if (d == NULL)
		return;
	/* strdup'ed, const for everybody else. */
	free((char *)(uintptr_t)d->name);
	free((char *)(uintptr_t)d->app);
	free((char *)(uintptr_t)d->route);
	free(d->methods);
	free(d->batching);
	free(d->record);
	free(d->user_config);
	free_words(d->host_command);
	for (uint32_t i = 0; i < d->own_count; i++)
		free(d->own[i]);
	free(d->own);
	free(d);
}
