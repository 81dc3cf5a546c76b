/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/futex_linux.c - shm/futex.h by Linux's system call.
 */
#include "shm/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
pinioni_futex_wait(const _Atomic uint32_t *word, uint32_t seen, uint64_t limit_ns)
{
	struct timespec limit = { .tv_sec = (time_t)(limit_ns / 1000000000),
		.tv_nsec = (long)(limit_ns % 1000000000) };
	int keep = errno;
	int ret = 0;

	if (syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0) != 0 && errno == ETIMEDOUT)
		ret = -ETIMEDOUT;
	errno = keep;
	return ret;
}

void
pinioni_futex_wake(const _Atomic uint32_t *word)
{
	int keep = errno;

	(void)syscall(
	    SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); /* cannot fail on our own word */
	errno = keep;
}
