/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/reclaim.c - call_rcu where workers have threads, a list where the caller drives.
 */
#include "core/reclaim.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/runtime.h"

/*
 * Before 0.14, call_rcu_data_free left its thread behind, ended and unjoined, with the mapping of its stack.
 * The polling interface came with the version that joins, and tells them apart at run time.
 */
extern const char polling_interface __asm__("urcu_qsbr_start_poll_synchronize_rcu")
    __attribute__((weak));

static bool
liburcu_joins(void)
{
	return &polling_interface != NULL;
}

static void
on_grace(struct rcu_head *head)
{
	struct retired *r = caa_container_of(head, struct retired, head);

	/* E */
	(void)atomic_load_explicit(&r->sent, memory_order_acquire);
	for (unsigned i = 0; i < r->runtime->own_count; i++)
		rcu_settled(&runtime_own(r->runtime, i)->quiet);
	r->free(r->runtime, r);
}

int
pinioni_reclaim_start(struct reclaimer *c)
{
	/* Without URCU_CALL_RCU_RT, with which it polls a hundred times a second: docs/design/memory.md. */
	c->thread = create_call_rcu_data(0, -1);
	return c->thread == NULL ? -ENOMEM : 0;
}

void
pinioni_reclaim_stop(struct reclaimer *c)
{
	pinioni_reclaim_turn(c);
	if (c->thread == NULL)
		return;
	pthread_t thread = get_call_rcu_thread(c->thread);

	rcu_barrier();
	call_rcu_data_free(c->thread);
	if (!liburcu_joins())
		(void)pthread_join(thread, NULL); /* joined once */
	c->thread = NULL;
}

void
pinioni_retire(struct reclaimer *c, struct retired *r)
{
	struct call_rcu_data *before;

	if (c->thread == NULL) {
		/* relaxed: tried again when it moved. */
		r->next = atomic_load_explicit(&c->retired, memory_order_relaxed);
		/* E; relaxed on failure: r->next is what was read. */
		while (!atomic_compare_exchange_weak_explicit(
		    &c->retired, &r->next, r, memory_order_release, memory_order_relaxed))
			continue;
		return;
	}
	/* E */
	atomic_store_explicit(&r->sent, 1, memory_order_release);
	before = get_thread_call_rcu_data();
	set_thread_call_rcu_data(c->thread);
	call_rcu(&r->head, on_grace);
	set_thread_call_rcu_data(before);
}

void
pinioni_reclaim_turn(struct reclaimer *c)
{
	struct retired *list;

	/* relaxed: only a reason to take. */
	if (atomic_load_explicit(&c->retired, memory_order_relaxed) == NULL)
		return;
	/* E */
	list = atomic_exchange_explicit(&c->retired, NULL, memory_order_acquire);
	for (struct retired *next; list != NULL; list = next) {
		next = list->next;
		list->free(list->runtime, list);
	}
}
