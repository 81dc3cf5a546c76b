/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal    Bound memory lies where it was bound to, also when another thread or process touches it; what
 *         the kernel refuses is an error code and leaves the memory usable.
 * Method  Node 0, which every machine with NUMA in its kernel has; a node that none has; a filter of
 *         system calls as containers have it, in a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "affinity/bind.h"

enum {
	PAGES = 600, /* more than one batch of the census */
	NO_SUCH_NODE = 1000
};

static size_t page;
static unsigned char *memory;

static int
map(void **state)
{
	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	memory =
	    mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? -1 : 0;
}

static int
unmap(void **state)
{
	(void)state;
	return munmap(memory, PAGES * page);
}

/* A kernel without NUMA, or a container's filter. */
static void
skip_if_refused(int err)
{
	if (err == -ENOSYS || err == -EPERM)
		skip();
}

static void
bound_pages_lie_on_their_node(void **state)
{
	struct memory_census census;
	int err = pinioni_memory_bind(memory, PAGES * page, 0);

	(void)state;
	skip_if_refused(err);
	assert_int_equal(err, 0);
	memset(memory, 1, 500 * page);
	assert_int_equal(pinioni_memory_census(memory, PAGES * page, 0, &census), 0);
	assert_int_equal(census.here, 500);
	assert_int_equal(census.elsewhere, 0);
	assert_int_equal(census.untouched, 100);
	assert_int_equal(pinioni_memory_census(memory, PAGES * page, 1, &census), 0);
	assert_int_equal(census.here, 0);
	assert_int_equal(census.elsewhere, 500);
}

static void
part_of_a_page_is_the_page(void **state)
{
	struct memory_census census;
	int err = pinioni_memory_bind(memory + 5, page, 0);

	(void)state;
	skip_if_refused(err);
	assert_int_equal(err, 0);
	memory[5 + page] = 1;
	assert_int_equal(pinioni_memory_census(memory + 5, page, 0, &census), 0);
	assert_int_equal(census.here, 1);
	assert_int_equal(census.untouched, 1);
}

static void
a_shared_mapping_may_be_bound(void **state)
{
	struct memory_census census;
	int fd = memfd_create("pinion test", MFD_CLOEXEC);
	unsigned char *shared;
	int err;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4 * (off_t)page), 0);
	shared = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	err = pinioni_memory_bind(shared, 4 * page, 0);
	skip_if_refused(err);
	assert_int_equal(err, 0);
	memset(shared, 1, 4 * page);
	assert_int_equal(pinioni_memory_census(shared, 4 * page, 0, &census), 0);
	assert_int_equal(census.here, 4);
	assert_int_equal(munmap(shared, 4 * page), 0);
	assert_int_equal(close(fd), 0);
}

static void
no_node_means_nothing_is_done(void **state)
{
	(void)state;
	assert_int_equal(pinioni_memory_bind(memory, PAGES * page, -1), 0);
	assert_int_equal(pinioni_memory_bind(memory, 0, 0), 0);
}

static void
a_node_that_is_not_there_is_refused_and_harms_nothing(void **state)
{
	int err = pinioni_memory_bind(memory, PAGES * page, NO_SUCH_NODE);

	(void)state;
	skip_if_refused(err);
	assert_int_equal(err, -EINVAL);
	assert_int_equal(pinioni_memory_bind(memory, PAGES * page, 1 << 20), -EINVAL);
	memset(memory, 1, PAGES * page);
	assert_int_equal(memory[PAGES * page - 1], 1);
}

/* In a child: both calls are refused, and memory can be used all the same. */
static int
use_without_rights(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_move_pages, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof rules / sizeof rules[0], .filter = rules };
	struct memory_census census;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 77;
	if (pinioni_memory_bind(memory, PAGES * page, 0) != -EPERM)
		return 1;
	memset(memory, 1, PAGES * page);
	if (pinioni_memory_census(memory, PAGES * page, 0, &census) != -EPERM)
		return 2;
	return 0;
}

static void
without_the_right_it_says_so_and_harms_nothing(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(use_without_rights());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bound_pages_lie_on_their_node, map, unmap),
		cmocka_unit_test_setup_teardown(part_of_a_page_is_the_page, map, unmap),
		cmocka_unit_test_setup_teardown(a_shared_mapping_may_be_bound, map, unmap),
		cmocka_unit_test_setup_teardown(no_node_means_nothing_is_done, map, unmap),
		cmocka_unit_test_setup_teardown(
		    a_node_that_is_not_there_is_refused_and_harms_nothing, map, unmap),
		cmocka_unit_test_setup_teardown(
		    without_the_right_it_says_so_and_harms_nothing, map, unmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
