/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/endpoint.c - explicit ports: loans, tags, harvest, event loops.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/attach.h"
#include "core/runtime.h"
#include "core/thread.h"
#include "shm/bell.h"

static pinion_port *
outside(struct port_shell *shell)
{
	return (pinion_port *)(void *)shell; /* what the user holds is the shell */
}

int
pinion_port_open(pinion_runtime *rt, pinion_port **port)
{
	struct port_shell *shell;
	int err;

	*port = NULL;
	if (rt == NULL || thread_worker() != NULL)
		return -EINVAL;
	err = pinioni_shell_open(rt->key, false, &shell);
	if (err == 0)
		*port = outside(shell);
	return err;
}

void
pinion_port_close(pinion_port *port)
{
	if (port != NULL)
		pinioni_shell_close((struct port_shell *)(void *)port);
}

pinion_port *
pinion_port_mine(pinion_runtime *rt)
{
	struct port_shell *shell;
	int err;

	if (rt == NULL || thread_worker() != NULL || port_enter(rt->key, &shell, &err) == NULL)
		return NULL;
	port_leave(shell);
	return outside(shell);
}

static int
answer_nothing(pinion_request *req)
{
	return pinion_reply_value(req, (pinion_value){ .kind = PINION_KIND_BOOL });
}

/* A call to each worker, the task's replicas being one a worker: both sides have been everywhere then. */
static int
warm_paths(pinion_port *given, pinion_port *p)
{
	pinion_response r[WORKERS_MAX];
	unsigned count = p->runtime->worker_count;
	int err = 0;

	for (unsigned i = 0; i < count; i++)
		r[i] = pinioni_task_submit(p, answer_nothing, (pinion_args){ .count = 0 });
	for (unsigned i = 0; i < count; i++) {
		int one =
		    pinion_result_on_into(given, r[i], (pinion_into){ .kind = PINION_KIND_NONE });

		err = err != 0 ? err : one;
		pinion_release_on(given, r[i]);
	}
	return err;
}

int
pinion_port_warm(pinion_port *given)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);

	if (p == NULL)
		return err;
	err = 0; /* it was set for the case that there is no port */
	pinioni_port_renew_routes(p);
	/* Without the right to lock, the pages are touched all the same. */
	(void)pinioni_segment_prefault(&p->memory.segment, 0, p->memory.segment.size);
	(void)pinioni_segment_prefault(&p->lanes.segment, 0, p->lanes.segment.size);
	if (!p->is_granted) /* no task of ours runs over there */
		err = warm_paths(given, p);
	port_leave(shell);
	return err;
}

void *
pinion_loan(pinion_port *given, size_t size)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);
	void *block = NULL;
	uint32_t at;

	if (p == NULL)
		return NULL;
	if (pinioni_port_take_block(p, size, &at) == 0) {
		p->arena.next[at] = 1;
		pinioni_arena_loan(&p->arena, at);
		block = arena_at(&p->arena, at);
	}
	port_leave(shell);
	return block;
}

void
pinion_loan_end(pinion_port *given, void *loan)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);
	struct pin pin = { .kind = PIN_BLOCK };

	if (p == NULL)
		return;
	if (arena_find_loan(&p->arena, loan, 0, &pin.at) && pinioni_arena_unloan(&p->arena, pin.at))
		pinioni_port_unpin(p, &pin, 1);
	port_leave(shell);
}

unsigned
pinion_harvest(pinion_port *given, pinion_finished *finished, unsigned max)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);
	unsigned count;

	if (p == NULL)
		return 0;
	pinioni_port_order(p);
	epoch_awake(&p->memory.doors->epoch);
	(void)pinioni_port_lose(p);
	pinioni_port_drain_ready(p);
	count = p->harvest_count < max ? p->harvest_count : max;
	for (unsigned i = 0; i < count; i++) {
		struct slot_note *note = &p->notes[p->harvest[i].slot];

		note->marks &= (uint16_t)~MARK_HARVESTABLE;
		finished[i] = (pinion_finished){
			.response = { .generation = note->generation,
			    .port = port_word(p),
			    .slot = p->harvest[i].slot },
			.tag = note->tag,
		};
	}
	p->harvest_count -= count;
	memmove(p->harvest, p->harvest + count, p->harvest_count * sizeof *p->harvest);
	port_leave(shell);
	return count;
}

/* Of our own, or the end of a socket that the other process writes. */
static int
make_event(const pinion_port *p)
{
	int fd, err = 0;

	if (p->is_granted)
		err = pinioni_attached_event(p->runtime->attached, p->index, &fd);
	else if ((fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		err = -errno;
	return err != 0 ? err : fd;
}

/* It was readable, and is not. */
static void
drain_event(const pinion_port *p, int fd)
{
	uint64_t rung;

	if (!p->is_granted)
		(void)!read(fd, &rung, sizeof rung); /* empty is fine */
	else
		while (recv(fd, &rung, sizeof rung, MSG_DONTWAIT) > 0)
			continue; /* bounded by what its buffer holds */
}

int
pinion_port_fd(pinion_port *given)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);

	if (p == NULL)
		return err;
	/* relaxed: only this thread writes it. */
	err = atomic_load_explicit(&p->event_fd, memory_order_relaxed);
	if (err < 0) {
		err = make_event(p);
		/* F */
		atomic_store_explicit(&p->event_fd, err < 0 ? -1 : err, memory_order_release);
	}
	port_leave(shell);
	return err;
}

bool
pinion_port_arm(pinion_port *given)
{
	struct port_shell *shell;
	int err;
	pinion_port *p = port_enter_explicit(given, &shell, &err);
	struct port_doors *doors;
	bool something;
	int fd;

	if (p == NULL)
		return true;
	pinioni_port_order(p);
	doors = p->memory.doors;
	/* relaxed: only this thread writes it. */
	fd = atomic_load_explicit(&p->event_fd, memory_order_relaxed);
	if (fd >= 0)
		drain_event(p, fd);
	epoch_awake(&doors->epoch);
	epoch_announce(&doors->epoch, EPOCH_EVENT);
	something = pinioni_port_lose(p) || p->harvest_count != 0 ||
	    !ready_is_empty(p->memory.ready, p->memory.slot_count);
	if (something)
		epoch_awake(&doors->epoch);
	port_leave(shell);
	return something;
}
