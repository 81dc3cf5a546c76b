/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/starved.c - the two lists of a worker's starved handlers: those that began to wait lately are looked at
 * often, those that have waited long, whose other end is slow, seldom.
 */
#include "core/starved.h"

#include <errno.h>

static struct starved_list *
list_of(struct worker *w, const struct starved *s)
{
	return s->looks < STARVED_FRESH ? &w->starved : &w->starved_long;
}

static void
list(struct worker *w, struct starved *s)
{
	struct starved_list *list = list_of(w, s);

	cds_list_add_tail(&s->link, &list->head);
	list->count++;
	w->listed++;
	s->listed = true;
}

static void
unlist(struct worker *w, struct starved *s)
{
	cds_list_del(&s->link);
	list_of(w, s)->count--;
	w->listed--;
	s->listed = false;
}

/* On the list, until somebody resumes it. */
static int
wait_in_turn(struct worker *w, struct starved *me)
{
	int err;

	if (!me->listed)
		list(w, me);
	err = pinioni_worker_suspend(w);
	return err != 0 ? err : pinioni_worker_interrupted(w);
}

/* The same, or until a timer does. */
static int
wait_until(struct worker *w, struct starved *me, uint64_t deadline)
{
	struct fiber *self = w->current_fiber;
	int err;

	if (clock_now(&w->runtime->clock) >= deadline)
		return -EAGAIN;
	err = pinioni_worker_wake_at(w, deadline);
	if (err == 0)
		err = wait_in_turn(w, me);
	pinioni_timers_drop(&w->timers, &self->timer);
	return err;
}

int
pinioni_starved_wait(struct worker *w, struct starved *me, uint64_t deadline)
{
	int err = 0;

	me->fiber = w->current_fiber;
	me->looks = 0;
	me->listed = false;
	while (err == 0 && !me->may_go_on(me))
		err = deadline == 0 ? wait_in_turn(w, me) : wait_until(w, me, deadline);
	if (me->listed)
		unlist(w, me);
	return err;
}

/* The first few; what may not go on is last then, and after many looks among those that have waited long. */
static void
look_at(struct worker *w, struct starved_list *from, uint32_t most)
{
	uint32_t looks = most < from->count ? most : from->count;

	for (; looks != 0; looks--) {
		struct starved *s = cds_list_first_entry(&from->head, struct starved, link);

		unlist(w, s);
		if (s->may_go_on(s)) {
			pinioni_worker_resume(w, s->fiber);
			continue;
		}
		s->looks += s->looks < STARVED_FRESH;
		list(w, s);
	}
}

void
pinioni_starved_look(struct worker *w)
{
	look_at(w, &w->starved, STARVED_LOOKS);
	look_at(w, &w->starved_long, STARVED_LONG_LOOKS);
}

void
pinioni_starved_look_at_all(struct worker *w)
{
	look_at(w, &w->starved, UINT32_MAX);
	look_at(w, &w->starved_long, UINT32_MAX);
}

static void
resume_list(struct worker *w, struct starved_list *from)
{
	while (from->count != 0) {
		struct starved *s = cds_list_first_entry(&from->head, struct starved, link);

		unlist(w, s);
		pinioni_worker_resume(w, s->fiber);
	}
}

void
pinioni_starved_resume_all(struct worker *w)
{
	resume_list(w, &w->starved);
	resume_list(w, &w->starved_long);
}
