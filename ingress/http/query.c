/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingress/http/query.c - see query_priv.h.
 */
#include "ingress/http/query_priv.h"

#include <stdio.h>

static int
texts_fill(json_t *texts, const struct target *target, pinion_diag *diag)
{
	for (uint32_t i = 0; i < target->pair_count; i++) {
		const struct target_pair *pair = &target->pairs[i];
		json_t *text = json_stringn(pair->value.data, pair->value.len);
		const char *wrong = json_object_get(texts, pair->key.data) != NULL
		    ? "is given twice"
		    : text == NULL ? "is not UTF-8"
				   : NULL;

		if (wrong == NULL && json_object_set(texts, pair->key.data, text) != 0)
			wrong = "is not UTF-8";
		json_decref(text);
		if (wrong == NULL)
			continue;
		(void)snprintf(diag->text, sizeof diag->text, "parameter '%s' %s", pair->key.data,
		    wrong); /* cut short is fine */
		return -EINVAL;
	}
	return 0;
}

int
pinioni_http_query_read(struct json_arguments *arguments, pinion_params params,
    const struct target *target, pinion_diag *diag)
{
	json_t *texts = json_object();
	int err = texts == NULL ? -ENOMEM : texts_fill(texts, target, diag);

	if (err == 0)
		return pinioni_json_arguments_of_texts(arguments, params, texts, diag);
	json_decref(texts);
	return err;
}
