/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/thread.c - the table of runtimes, and each thread's shells.
 */
#include "core/thread.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/attach.h"
#include "core/door.h"
#include "core/grant.h"
#include "core/host.h"
#include "shm/futex.h"

_Thread_local struct thread_self pinioni_self __attribute__((tls_model("initial-exec")));

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pinion_runtime *table[RUNTIMES_MAX]; /* W under table_lock, as */
static unsigned table_end;                         /* behind which there are none */
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

/* ---- runtimes ------------------------------------------------------------------------------- */

/* Refused by old kernels: see pinioni_shells_close. */
static void
register_membarrier(void)
{
	(void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

/* Under the lock. word: of responses and references, which have no room for the whole key. */
static struct pinion_runtime *
find_word(uint32_t word)
{
	for (unsigned i = 0; i < table_end; i++)
		if (table[i] != NULL && port_word_make(table[i]->key, 0) >> 16 == word >> 16)
			return table[i];
	return NULL;
}

/* Others may have a part of it, by this key: so it is drawn from many. Never 0, as of a zeroed handle. */
static uint64_t
draw_key(void)
{
	uint32_t x = (uint32_t)clock_ticks();

	(void)!getrandom(&x, sizeof x, GRND_NONBLOCK); /* else the ticks serve */
	return (x & 0xffffff) | 1;
}

/* Under the lock. */
static int
add_locked(struct pinion_runtime *rt, uint64_t key)
{
	unsigned at = 0;

	while (at < RUNTIMES_MAX && table[at] != NULL)
		at++;
	if (at == RUNTIMES_MAX)
		return -ENOSPC;
	rt->key = key != 0 ? key : draw_key();
	/* Ended after a few: 256 of 32,768 words are taken at most. */
	while (key == 0 && find_word(port_word_make(rt->key, 0)) != NULL)
		rt->key = draw_key();
	if (find_word(port_word_make(rt->key, 0)) != NULL)
		return -EEXIST;
	table[at] = rt;
	if (table_end < at + 1)
		table_end = at + 1;
	return 0;
}

int
pinioni_runtimes_add(struct pinion_runtime *rt, uint64_t key)
{
	int err;

	(void)pthread_mutex_lock(&table_lock);
	err = add_locked(rt, key);
	(void)pthread_mutex_unlock(&table_lock);
	register_membarrier(); /* again: a forked child may not have it */
	return err;
}

void
pinioni_runtimes_remove(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&table_lock);
	for (unsigned i = 0; i < table_end; i++)
		if (table[i] == rt)
			table[i] = NULL;
	(void)pthread_mutex_unlock(&table_lock);
}

struct pinion_runtime *
pinioni_runtimes_lock(uint64_t key)
{
	(void)pthread_mutex_lock(&table_lock);
	for (unsigned i = 0; i < table_end; i++)
		if (table[i] != NULL && table[i]->key == key)
			return table[i];
	(void)pthread_mutex_unlock(&table_lock);
	return NULL;
}

void
pinioni_runtimes_unlock(void)
{
	(void)pthread_mutex_unlock(&table_lock);
}

/* ---- forking -------------------------------------------------------------------------------- */

bool pinioni_is_forked;

static void
before_fork(void)
{
	(void)pthread_mutex_lock(&table_lock); /* so that the child's is whole */
}

static void
in_parent(void)
{
	(void)pthread_mutex_unlock(&table_lock);
}

/* The runtime is the parent's, threads and segments: what is left of it here says so to whoever asks, and keeps nothing of
 * the parent's open. */
static void
forget(struct pinion_runtime *rt)
{
	for (struct port_shell *s = rt->shells; s != NULL; s = s->runtime_next) {
		/* relaxed: there is no other thread. */
		atomic_store_explicit(&s->closed, 1, memory_order_relaxed);
	}
	rt->is_forked = true;
	rt->worker_count = rt->own_count = 0;
	/* relaxed: as above. */
	atomic_store_explicit(&rt->phase, RUNTIME_STOPPED, memory_order_relaxed);
	(void)pthread_mutex_init(&rt->lock, NULL); /* some thread of the parent's may have had it */
	(void)pthread_mutex_init(&rt->run_lock, NULL);
	pinioni_door_forked(rt->door);
	pinioni_attached_forked(rt->attached);
}

static void
in_child(void)
{
	for (unsigned i = 0; i < table_end; i++) {
		if (table[i] != NULL)
			forget(table[i]);
		pinioni_is_forked = pinioni_is_forked || table[i] != NULL;
		table[i] = NULL;
	}
	pinioni_self = (struct thread_self){ .worker = NULL };
	(void)pthread_mutex_unlock(&table_lock);
}

/* When the library is loaded, since the kernel takes 20 ms for membarrier as soon as there are other threads, and none
 * while there is one. */
__attribute__((constructor)) static void
prepare_process(void)
{
	register_membarrier();
	(void)pthread_atfork(
	    before_fork, in_parent, in_child); /* without memory a child is not told */
}

/* ---- shells --------------------------------------------------------------------------------- */

/* At thread exit: every port that is still open goes to housekeeping. */
static void
close_all(void *self)
{
	struct thread_self *me = self;

	while (me->shells != NULL)
		pinioni_shell_close(me->shells);
	free(me->copy);
	me->copy = NULL;
	me->copy_size = 0;
}

static void
make_key(void)
{
	(void)pthread_key_create(&exit_key, close_all); /* then ports close at stop */
}

/* A number that no port has; PORTS_MAX: there is none. Of one that another process granted: its own. */
static unsigned
free_number(const struct pinion_runtime *rt, const pinion_port *port)
{
	unsigned i = 0;

	if (port->is_granted || rt->attached != NULL)
		return runtime_port(rt, port->index) == NULL ? port->index : PORTS_MAX;
	while (i < PORTS_MAX && (runtime_port(rt, i) != NULL || runtime_buried(rt, i) != NULL))
		i++;
	return i;
}

int
pinioni_port_enter_runtime(struct pinion_runtime *rt, pinion_port *port)
{
	unsigned at;
	int err = -ENOSPC;

	(void)pthread_mutex_lock(&rt->lock);
	at = free_number(rt, port);
	if (at < PORTS_MAX) {
		port->index = (uint16_t)at;
		port->word = port_word_make(rt->key, at);
		for (unsigned i = 0; i < rt->worker_count; i++) {
			struct lane_rx *rx = &port->rx[i];

			rx->guarded = port->is_guest && !port->is_trusted ? at + 1 : 0;
			rx->careful = rx->guarded != 0 || rt->serving != NULL;
			rx->port = (uint16_t)at;
		}
		err = pinioni_lanes_add(rt, port);
	}
	if (err == 0) {
		pinioni_hosts_announce(rt, port);
		rt->port_count++;
		/* O */
		atomic_store_explicit(&rt->ports[at], port, memory_order_release);
	}
	(void)pthread_mutex_unlock(&rt->lock);
	return err;
}

/* Under the table's lock, but while the port is made: another process may be asked for it, and be stopped. */
static int
create_port(struct pinion_runtime *rt, pinion_port **port)
{
	int err;

	rt->opening++;
	(void)pthread_mutex_unlock(&table_lock);
	err = pinioni_port_create(rt, NULL, port);
	(void)pthread_mutex_lock(&table_lock);
	rt->opening--;
	return err;
}

int
pinioni_shell_open(uint64_t key, bool is_default, struct port_shell **out)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(key);
	struct port_shell *shell = NULL;
	int err;

	if (rt == NULL)
		return -ESTALE;
	if (runtime_phase(rt) != RUNTIME_RUNNING) {
		err = -ECANCELED;
		goto undo_lock;
	}
	shell = pinioni_lines_take(sizeof *shell);
	err = shell == NULL ? -ENOMEM : create_port(rt, &shell->port);
	if (err != 0)
		goto undo_shell;
	shell->is_default = is_default;
	err = pinioni_port_enter_runtime(rt, shell->port);
	if (err != 0) {
		pinioni_port_destroy(shell->port);
		goto undo_shell;
	}
	shell->runtime_key = key;
	shell->index = shell->port->index;
	shell->runtime_next = rt->shells;
	rt->shells = shell;
	pinioni_grant_policy(rt, "a caller");
	pinioni_runtimes_unlock();
	(void)pthread_once(&exit_once, make_key);           /* cannot fail */
	(void)pthread_setspecific(exit_key, &pinioni_self); /* then the port closes at stop */
	shell->next = pinioni_self.shells;
	pinioni_self.shells = shell;
	*out = shell;
	return 0;

undo_shell:
	free(shell);
undo_lock:
	pinioni_runtimes_unlock();
	return err;
}

void
pinioni_shell_close(struct port_shell *shell)
{
	struct pinion_runtime *rt = pinioni_runtimes_lock(shell->runtime_key);
	struct port_shell **at;

	/* relaxed: written under the table's lock, which we hold. A closed shell's runtime is gone or going: its
	 * port is no longer ours. */
	if (rt != NULL && atomic_load_explicit(&shell->closed, memory_order_relaxed) == 0) {
		for (at = &rt->shells; *at != shell; at = &(*at)->runtime_next)
			continue;
		*at = shell->runtime_next;
		pinioni_keeper_take(rt, shell->port);
	}
	if (rt != NULL)
		pinioni_runtimes_unlock();
	for (at = &pinioni_self.shells; *at != NULL && *at != shell; at = &(*at)->next)
		continue;
	if (*at == shell)
		*at = shell->next;
	if (pinioni_self.last == shell)
		pinioni_self.last = NULL;
	free(shell);
}

void
pinioni_shells_close(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&table_lock);
	/* Ended by who makes a port, or by the other process's end; no other begins in this phase. */
	while (rt->opening != 0) {
		(void)pthread_mutex_unlock(&table_lock);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL); /* shorter: fine */
		(void)pthread_mutex_lock(&table_lock);
	}
	for (struct port_shell *s = rt->shells; s != NULL; s = s->runtime_next) {
		/* K */
		atomic_store_explicit(&s->closed, 1, memory_order_release);
	}
	/* Every thread's `inside` is visible now, and every later enter sees `closed`. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		(void)nanosleep(
		    &(struct timespec){ .tv_nsec = 1000000 }, NULL); /* long after it was */
	for (struct port_shell *s = rt->shells; s != NULL; s = s->runtime_next) {
		uint32_t inside;

		/* I; ended by the thread inside, whose calls have all ended. */
		while ((inside = atomic_load_explicit(&s->inside, memory_order_acquire)) != 0)
			(void)pinioni_futex_wait(&s->inside, inside, 1000000);
		pinioni_keeper_take(rt, s->port);
		s->port = NULL;
	}
	rt->shells = NULL;
	(void)pthread_mutex_unlock(&table_lock);
}

/* ---- entering ------------------------------------------------------------------------------- */

static bool
is_closed(const struct port_shell *s)
{
	/* relaxed: when it matters it is looked at again, with K. */
	return atomic_load_explicit(&s->closed, memory_order_relaxed) != 0;
}

/* A runtime of another process that is left and attached to again has the key that it had: the shell of then goes. */
static struct port_shell *
find_default(uint64_t key)
{
	struct port_shell *s = pinioni_self.shells;

	while (s != NULL && !(s->runtime_key == key && s->is_default && !is_closed(s))) {
		struct port_shell *next = s->next;

		if (s->runtime_key == key && s->is_default)
			pinioni_shell_close(s);
		s = next;
	}
	return s;
}

/* It has none, or that of a runtime that was left. */
__attribute__((noinline, cold)) static pinion_port *
enter_anew(uint64_t key, struct port_shell **shell, int *err)
{
	struct port_shell *s = find_default(key);

	if (s == NULL && (*err = pinioni_shell_open(key, true, &s)) != 0)
		return NULL;
	pinioni_self.last = s;
	return port_enter_shell(s, shell, err);
}

pinion_port *
pinioni_port_enter(uint64_t key, struct port_shell **shell, int *err)
{
	struct port_shell *s = pinioni_self.last;
	pinion_port *port = s == NULL || s->runtime_key != key || !s->is_default
	    ? NULL
	    : port_enter_shell(s, shell, err);

	return port != NULL ? port : enter_anew(key, shell, err);
}

static bool
shell_is(const struct port_shell *s, uint32_t word)
{
	return port_word_make(s->runtime_key, s->index) == word;
}

pinion_port *
pinioni_port_enter_response(uint32_t word, struct port_shell **shell, int *err)
{
	struct port_shell *s = pinioni_self.last;

	*err = -ESTALE;
	if (s == NULL || !shell_is(s, word)) {
		for (s = pinioni_self.shells; s != NULL && !shell_is(s, word);)
			s = s->next;
		if (s == NULL)
			return NULL;
		if (s->is_default)
			pinioni_self.last = s;
	}
	return port_enter_shell(s, shell, err);
}

pinion_port *
pinioni_port_enter_token(uint32_t word, struct port_shell **shell, int *err)
{
	struct worker *w = thread_worker();
	const struct pinion_runtime *rt;
	uint64_t key;

	*shell = NULL;
	*err = -ESTALE;
	if (w != NULL && port_word(w->port) >> 16 == word >> 16)
		return w->port;
	(void)pthread_mutex_lock(&table_lock);
	rt = find_word(word);
	key = rt == NULL ? 0 : rt->key;
	(void)pthread_mutex_unlock(&table_lock);
	if (key == 0)
		return NULL;
	return port_enter(key, shell, err);
}
