/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/thread.c - the table of runtimes, and each thread's shells.
 */
#include "core/thread.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/grant.h"
#include "shm/futex.h"

_Thread_local struct thread_self pinioni_self __attribute__((tls_model("initial-exec")));

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pinion_runtime *table[RUNTIMES_MAX]; /* W under table_lock */
static uint16_t generations[RUNTIMES_MAX];         /* W under table_lock */
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

/* ---- runtimes ------------------------------------------------------------------------------- */

/* Once a process; refused by old kernels: see pinioni_shells_close. When the library is loaded, since the kernel
 * takes 20 ms for it as soon as there are other threads, and none while there is one. */
__attribute__((constructor)) static void
register_membarrier(void)
{
	(void)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

int
pinioni_runtimes_add(struct pinion_runtime *rt)
{
	int err = -ENOSPC;

	(void)pthread_mutex_lock(&table_lock);
	for (unsigned i = 0; i < RUNTIMES_MAX && err != 0; i++)
		if (table[i] == NULL) {
			/* Never 0, so that a zeroed handle names no runtime. */
			generations[i] = (uint16_t)(generations[i] + 1);
			if (generations[i] == 0)
				generations[i] = 1;
			table[i] = rt;
			rt->index = i;
			rt->key = (uint64_t)i << 16 | generations[i];
			err = 0;
		}
	(void)pthread_mutex_unlock(&table_lock);
	register_membarrier(); /* again: a forked child may not have it */
	return err;
}

void
pinioni_runtimes_remove(struct pinion_runtime *rt)
{
	(void)pthread_mutex_lock(&table_lock);
	table[rt->index] = NULL;
	(void)pthread_mutex_unlock(&table_lock);
}

struct pinion_runtime *
pinioni_runtimes_lock(uint64_t key)
{
	struct pinion_runtime *rt;

	(void)pthread_mutex_lock(&table_lock);
	rt = key >> 16 < RUNTIMES_MAX ? table[key >> 16] : NULL;
	if (rt != NULL && rt->key == key)
		return rt;
	(void)pthread_mutex_unlock(&table_lock);
	return NULL;
}

void
pinioni_runtimes_unlock(void)
{
	(void)pthread_mutex_unlock(&table_lock);
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

static int
publish_port(struct pinion_runtime *rt, pinion_port *port)
{
	int err = -ENOSPC;

	(void)pthread_mutex_lock(&rt->lock);
	for (unsigned i = 0; i < PORTS_MAX && err == -ENOSPC; i++)
		if (runtime_port(rt, i) == NULL) {
			port->index = (uint16_t)i;
			port->word = port_word_make(rt, i);
			err = pinioni_lanes_add(rt, port);
			if (err == 0) {
				rt->port_count++;
				/* O */
				atomic_store_explicit(&rt->ports[i], port, memory_order_release);
			}
		}
	(void)pthread_mutex_unlock(&rt->lock);
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
	err = shell == NULL ? -ENOMEM : pinioni_port_create(rt, NULL, &shell->port);
	if (err != 0)
		goto undo_shell;
	shell->is_default = is_default;
	err = publish_port(rt, shell->port);
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

pinion_port *
pinioni_port_enter(uint64_t key, struct port_shell **shell, int *err)
{
	struct port_shell *s = pinioni_self.last;

	if (s == NULL || s->runtime_key != key || !s->is_default) {
		for (s = pinioni_self.shells; s != NULL; s = s->next)
			if (s->runtime_key == key && s->is_default)
				break;
		if (s == NULL && (*err = pinioni_shell_open(key, true, &s)) != 0)
			return NULL;
		pinioni_self.last = s;
	}
	return port_enter_shell(s, shell, err);
}

static bool
shell_is(const struct port_shell *s, uint32_t word)
{
	return (uint32_t)(s->runtime_key >> 16) == word >> 24 &&
	    (s->runtime_key & 0xff) == (word >> 16 & 0xff) && s->index == (word & 0xffff);
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
	uint64_t key;

	*shell = NULL;
	*err = -ESTALE;
	if (w != NULL && port_word(w->port) >> 16 == word >> 16)
		return w->port;
	(void)pthread_mutex_lock(&table_lock);
	key = table[word >> 24] == NULL ? UINT64_MAX : table[word >> 24]->key;
	(void)pthread_mutex_unlock(&table_lock);
	if (key == UINT64_MAX || (key & 0xff) != (word >> 16 & 0xff))
		return NULL;
	return port_enter(key, shell, err);
}
