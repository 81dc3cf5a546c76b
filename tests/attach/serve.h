/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/attach/serve.h - a runtime that other processes attach to, and this program once more as such a process.
 *
 *   test program                                the same program, started with a role's name
 *     served_start: a runtime by a fresh name
 *     guest_start("role", name)      ------->     main sees the name of a role: runs it, and exits with what it returns
 *     guest_wait: 0, or what went wrong
 */
#ifndef PINION_TESTS_ATTACH_SERVE_H
#define PINION_TESTS_ATTACH_SERVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pinion.h"
#include "tests/scale.h"

extern char **environ;

struct role {
	const char *name;
	int (*play)(const char *runtime_name);
};

static char served_folder[64];

/* What guests say to the test, through a pipe that they inherit. */
static int served_ready[2] = { -1, -1 };

/* A runtime folder of this program's own, which its children inherit. */
static inline int
served_folder_make(void **state)
{
	char fd[16];

	(void)state;
	(void)snprintf(served_folder, sizeof served_folder, "/tmp/pinion-test-XXXXXX");
	if (mkdtemp(served_folder) == NULL || pipe(served_ready) != 0)
		return 1;
	(void)snprintf(fd, sizeof fd, "%d", served_ready[1]);
	return setenv("PINION_RUNTIME_DIR", served_folder, 1) != 0 ||
	    setenv("PINION_TEST_READY", fd, 1) != 0;
}

static inline int
served_folder_remove(void **state)
{
	(void)state;
	return rmdir(served_folder); /* empty: no test leaves a name behind */
}

static inline void
guest_hear(void *bytes, size_t size)
{
	assert_int_equal(read(served_ready[0], bytes, size), size);
}

static inline void
guests_await_ready(int count)
{
	char byte;

	for (int i = 0; i < count; i++)
		guest_hear(&byte, 1);
}

static inline void
guest_say(const void *bytes, size_t size)
{
	const char *fd = getenv("PINION_TEST_READY");

	if (fd == NULL || write(atoi(fd), bytes, size) != (ssize_t)size)
		_exit(98);
}

static inline void
guest_say_ready(void)
{
	guest_say("r", 1);
}

static inline pid_t
guest_start(const char *role, const char *name)
{
	char *const arguments[] = { (char[]){ "guest" }, (char *)(uintptr_t)role,
		(char *)(uintptr_t)name, NULL };
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
	return pid;
}

/* Its exit code; negative: the signal that ended it. */
static inline int
guest_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int
guest_run(const char *role, const char *name)
{
	return guest_wait(guest_start(role, name));
}

/* In main, first: plays the role that the arguments name, if they do; the last has no name. -1: they do not. */
static inline int
guest_main(int argc, char **argv, const struct role *roles)
{
	if (argc != 3)
		return -1;
	for (; roles->name != NULL; roles++)
		if (strcmp(roles->name, argv[1]) == 0)
			return roles->play(argv[2]);
	return 99;
}

/* Of a role: where it went wrong, as its exit code. */
#define GUEST_WANT(condition) \
	do { \
		if (!(condition)) { \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			return 1; \
		} \
	} while (0)

#endif
