/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/thread.h - what a thread knows of runtimes: the worker it is, and the ports it has opened.
 *
 *   thread --> shell --> shell ...      a shell survives its port and its runtime, so that a late call
 *                |         |            finds "gone" instead of freed memory
 *              port       (gone)
 *
 * Why       pinion_call finds this thread's port in one thread-local read and two compares.
 * Threads   A shell is its thread's; pinion_stop closes it from outside: it sets `closed`, makes every
 *           thread's stores visible (membarrier), and waits while `inside` is set. So the thread itself
 *           pays two plain stores a call and no fence.
 *
 * Edges     (release -> acquire: what becomes safe)
 *   I  inside  leave -> close   what the call did with the port is over
 *   K  closed  close -> enter   nothing but the flag itself
 */
#ifndef PINION_CORE_THREAD_H
#define PINION_CORE_THREAD_H

#include <errno.h>
#include <stdatomic.h>

#include "core/runtime.h"

struct port_shell {
	_Atomic uint32_t inside; /* W thread   R stopper   calls, one in the other */
	_Atomic uint32_t closed; /* W stopper  R thread */
	uint64_t runtime_key;
	pinion_port *port;               /* not looked into before `closed` */
	uint16_t index;                  /* of the port */
	bool is_default;                 /* what pinion_call uses */
	struct port_shell *next;         /* of this thread */
	struct port_shell *runtime_next; /* of the runtime: W under the table's lock */
};

struct thread_self {
	struct worker *worker; /* whose handler runs on this thread now */
	struct port_shell *last;
	struct port_shell *shells;
	void *copy; /* of the last pinion_ref_get outside of a request */
	size_t copy_size;
};

extern _Thread_local struct thread_self pinioni_self __attribute__((tls_model("initial-exec")));

/* The running worker. Not kept across a suspension: a fiber may go on on another thread that drives. */
static inline struct worker *
thread_worker(void)
{
	return pinioni_self.worker;
}

/* Table of runtimes. */
/* key: 0, one of its own. -ENOSPC; -EEXIST: it is there. */
int pinioni_runtimes_add(struct pinion_runtime *rt, uint64_t key)
    __attribute__((warn_unused_result));
void pinioni_runtimes_remove(struct pinion_runtime *rt);
/* Holds the table's lock until pinioni_runtimes_unlock; NULL: stopped, then nothing is held. */
struct pinion_runtime *pinioni_runtimes_lock(uint64_t key);
void pinioni_runtimes_unlock(void);

/* W a forked child, while it has one thread: it had runtimes, which are its parent's. */
extern bool pinioni_is_forked;

/* A thread that is no worker of that runtime: see port_enter, port_enter_response. */
pinion_port *pinioni_port_enter(uint64_t runtime_key, struct port_shell **shell, int *err);
pinion_port *pinioni_port_enter_response(uint32_t port_word, struct port_shell **shell, int *err);
/* The thread's port for the runtime that a token names. */
pinion_port *pinioni_port_enter_token(uint32_t port_word, struct port_shell **shell, int *err);
/* It has a number, by which workers find it, and they look at its lanes. 0, -ENOSPC or -ENOMEM. */
int pinioni_port_enter_runtime(struct pinion_runtime *rt, pinion_port *port)
    __attribute__((warn_unused_result));
/* Opens one for this thread. */
int pinioni_shell_open(uint64_t runtime_key, bool is_default, struct port_shell **out)
    __attribute__((warn_unused_result));
void pinioni_shell_close(struct port_shell *shell);
/* pinion_stop: no thread is inside a port of this runtime any more. */
void pinioni_shells_close(struct pinion_runtime *rt);

static inline uint32_t
port_word_make(uint64_t runtime_key, unsigned index)
{
	return (uint32_t)(runtime_key >> 16) << 24 | (uint32_t)(runtime_key & 0xff) << 16 | index;
}

/* A response's or reference's port word. */
static inline uint32_t
port_word(const pinion_port *port)
{
	return port->word;
}

/*
 * This thread's port for calls to that runtime; opened when it has none. NULL with *err set. Every
 * successful enter is followed by a leave. On a worker: its port, and no shell.
 */
static inline pinion_port *
port_enter(uint64_t runtime_key, struct port_shell **shell, int *err)
{
	struct worker *w = thread_worker();

	*shell = NULL;
	return w != NULL && w->runtime->key == runtime_key
	    ? w->port
	    : pinioni_port_enter(runtime_key, shell, err);
}

/* The port a response names, when this thread owns it. */
static inline pinion_port *
port_enter_response(uint32_t word, struct port_shell **shell, int *err)
{
	struct worker *w = thread_worker();

	*shell = NULL;
	return w != NULL && port_word(w->port) == word
	    ? w->port
	    : pinioni_port_enter_response(word, shell, err);
}

static inline void
port_leave(struct port_shell *shell)
{
	if (shell != NULL) {
		/* I; relaxed: one writer. */
		atomic_store_explicit(&shell->inside,
		    atomic_load_explicit(&shell->inside, memory_order_relaxed) - 1,
		    memory_order_release);
	}
}

static inline pinion_port *
port_enter_shell(struct port_shell *shell, struct port_shell **out, int *err)
{
	/* relaxed twice: one writer; membarrier on the other side orders it before the look at `closed`. */
	atomic_store_explicit(&shell->inside,
	    atomic_load_explicit(&shell->inside, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/* K */
	if (atomic_load_explicit(&shell->closed, memory_order_acquire) != 0) {
		port_leave(shell);
		*err = -ESTALE;
		return NULL;
	}
	*out = shell;
	return shell->port;
}

static inline pinion_port *
port_enter_explicit(pinion_port *given, struct port_shell **shell, int *err)
{
	/* What the user holds is the shell, which outlives the port. */
	return port_enter_shell((struct port_shell *)(void *)given, shell, err);
}

#endif
