/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/admission.h - requests that a replica has no room for are refused, or wait only so long.
 *
 *   for a replica with rules (replica->direct is NULL):
 *
 *     comes --> queued < its share + what it could start now? --> queued --> starts
 *                   no: to an idle sibling, or -ENOBUFS               '--> queue_timeout_ns: -ETIMEDOUT
 *
 * Why       A queue without a bound only turns an overload into lateness. A refusal is an answer, and quick.
 * Share     The deployment's max_queued_requests is divided among its replicas, so that no word is shared. What moves to
 *           an idle sibling is not refused there: for a moment there may be one more for each replica.
 * Cost      None for replicas without rules: one compare asks both "is it here" and "has it rules".
 */
#ifndef PINION_CORE_ADMISSION_H
#define PINION_CORE_ADMISSION_H

#include "core/request.h"

/* It is in custody, and would be queued now. False: it went to a sibling, or has failed. */
bool pinioni_admission_ask(struct pinion_request *r);
/* It was admitted, and starts or ends. */
void pinioni_admission_leave(struct pinion_request *r);
/* Whether it may be given to a sibling. */
bool pinioni_admission_may_move(const struct pinion_request *r);

#endif
