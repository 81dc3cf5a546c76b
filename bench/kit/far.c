/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/kit/far.c - the far thread's loop.
 */
#include "bench/kit/far.h"

#include "bench/kit/cpus.h"

static void *
run(void *arg)
{
	struct far *f = arg;

	(void)pinioni_cpus_pin(f->cpu); /* else the probes tell */
	(void)pthread_mutex_lock(&f->lock);
	for (;;) {
		while (f->work == NULL && !f->leave)
			(void)pthread_cond_wait(&f->moved, &f->lock);
		if (f->work == NULL)
			break;
		(void)pthread_mutex_unlock(&f->lock);
		f->work(f->arg); /* written before the lock was given */
		(void)pthread_mutex_lock(&f->lock);
		f->work = NULL;
		(void)pthread_cond_broadcast(&f->moved);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

int
pinioni_far_start(struct far *f, int cpu)
{
	*f = (struct far){
		.cpu = cpu, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER
	};
	return -pthread_create(&f->thread, NULL, run, f);
}

void
pinioni_far_stop(struct far *f)
{
	(void)pthread_mutex_lock(&f->lock);
	f->leave = true;
	(void)pthread_cond_broadcast(&f->moved);
	(void)pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->thread, NULL);
}

void
pinioni_far_begin(struct far *f, far_work *work, void *arg)
{
	(void)pthread_mutex_lock(&f->lock);
	f->work = work;
	f->arg = arg;
	(void)pthread_cond_broadcast(&f->moved);
	(void)pthread_mutex_unlock(&f->lock);
}

void
pinioni_far_end(struct far *f)
{
	(void)pthread_mutex_lock(&f->lock);
	while (f->work != NULL)
		(void)pthread_cond_wait(&f->moved, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);
}
