/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/rendezvous_linux.c - shm/rendezvous.h by Unix sockets.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shm/rendezvous.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shm/channel.h"

enum {
	LOCK_TRIES = 2000, /* a millisecond each */
	BACKLOG = 256,
	CONNECT_TRIES = 1000 /* a millisecond each, while the backlog is full */
};

static_assert(RENDEZVOUS_PATH == sizeof((struct sockaddr_un *)NULL)->sun_path, "a socket's path");

__attribute__((format(printf, 3, 4))) static int
refuse(struct rendezvous_error *why, int err, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(why->text, sizeof why->text, format, list); /* cut short: fine */
	va_end(list);
	return err;
}

bool
pinioni_rendezvous_is_name(const char *name)
{
	size_t length =
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return length != 0 && length < RENDEZVOUS_NAME && name[length] == '\0';
}

static int
check_name(const char *name, struct rendezvous_error *why)
{
	if (pinioni_rendezvous_is_name(name))
		return 0;
	return refuse(why, -EINVAL,
	    "\"%.64s\" is no name to be found by: 1 to %d letters, digits, - and _", name,
	    RENDEZVOUS_NAME - 1);
}

/* ---- the folder ----------------------------------------------------------------------------- */

struct folder {
	int fd; /* -1: there is none */
	char path[RENDEZVOUS_PATH];
};

static int
folder_path(char path[RENDEZVOUS_PATH], struct rendezvous_error *why)
{
	const char *named = getenv("PINION_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int length;

	if (named != NULL && named[0] != '\0')
		length = snprintf(path, RENDEZVOUS_PATH, "%s", named);
	else if (xdg != NULL && xdg[0] != '\0')
		length = snprintf(path, RENDEZVOUS_PATH, "%s/pinion", xdg);
	else
		length = snprintf(path, RENDEZVOUS_PATH, "/tmp/pinion-%u", (unsigned)getuid());
	if (length < 0 || length + 1 + RENDEZVOUS_NAME > RENDEZVOUS_PATH)
		return refuse(why, -ENAMETOOLONG,
		    "the runtime folder's path has more than %d bytes; PINION_RUNTIME_DIR names another",
		    RENDEZVOUS_PATH - RENDEZVOUS_NAME - 2);
	return 0;
}

/* Others must not be able to put a socket of theirs there. One that is somebody else's may be named on purpose. */
static int
check_folder(const struct folder *f, struct rendezvous_error *why)
{
	const char *named = getenv("PINION_RUNTIME_DIR");
	bool is_given = named != NULL && named[0] != '\0';
	struct stat st;

	if (fstat(f->fd, &st) != 0)
		return refuse(why, -errno, "%s: %s", f->path, strerror(errno));
	if (st.st_uid != getuid() && st.st_uid != 0 && !is_given)
		return refuse(why, -EACCES,
		    "%s is user %u's, not ours; PINION_RUNTIME_DIR names another", f->path,
		    (unsigned)st.st_uid);
	if ((st.st_mode & 022) != 0)
		return refuse(why, -EACCES,
		    "%s may be written by others (mode %o): it has to be ours alone, 0700", f->path,
		    (unsigned)st.st_mode & 07777);
	return 0;
}

/* makes: it is made when it is not there. -ENOENT: it is not. */
static int
folder_open(struct folder *f, bool makes, bool reads, struct rendezvous_error *why)
{
	int err = folder_path(f->path, why);

	f->fd = -1;
	if (err != 0)
		return err;
	if (makes && mkdir(f->path, 0700) != 0 && errno != EEXIST)
		return refuse(why, -errno, "the runtime folder %s: %s", f->path, strerror(errno));
	/* Only who locks or lists it has to read it; a group may not. */
	f->fd = open(f->path, (reads ? O_RDONLY : O_PATH) | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0)
		return refuse(why, -errno, "the runtime folder %s: %s", f->path, strerror(errno));
	err = check_folder(f, why);
	if (err != 0) {
		(void)close(f->fd); /* nothing could be done about it */
		f->fd = -1;
	}
	return err;
}

static void
folder_close(struct folder *f)
{
	if (f->fd >= 0)
		(void)close(f->fd); /* and with it goes the lock */
	f->fd = -1;
}

/* Bounded: who has it may be stopped. */
static int
folder_lock(const struct folder *f, struct rendezvous_error *why)
{
	for (int i = 0; flock(f->fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return refuse(why, -errno, "%s: %s", f->path, strerror(errno));
		if (i == LOCK_TRIES)
			return refuse(why, -EBUSY,
			    "%s is locked by another process that starts or stops, and does not go on",
			    f->path);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* shorter: fine */
	}
	return 0;
}

/* ---- sockets -------------------------------------------------------------------------------- */

static struct sockaddr_un
address_of(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path); /* its length was checked */
	return a;
}

static int
new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* -ENOENT: nobody listens there. -EAGAIN: somebody does, and is busy. */
static int
connect_to(const char *path, int *channel)
{
	struct sockaddr_un a = address_of(path);
	int fd = new_socket();

	if (fd < 0)
		return fd;
	while (connect(fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0) {
		int err = errno == ECONNREFUSED || errno == ENOTDIR ? -ENOENT : -errno;

		if (errno == EINTR)
			continue;
		(void)close(fd); /* nothing could be done about it */
		return err;
	}
	*channel = fd;
	return 0;
}

/* Under the folder's lock: the name is nobody's, or was a dead process's. */
static int
take_over(const char *path, const char *name, struct rendezvous_error *why)
{
	struct channel_peer peer = { .pid = 0, .pidfd = -1 };
	struct stat st;
	int channel, err = connect_to(path, &channel);

	if (err == 0) {
		bool is_known = pinioni_channel_peer(channel, &peer) == 0;

		if (is_known)
			(void)close(peer.pidfd);
		(void)close(channel); /* nothing could be done about either */
		return refuse(why, -EADDRINUSE,
		    "another process is named \"%s\": process %ld; choose another name, or stop it",
		    name, (long)peer.pid);
	}
	if (err == -EAGAIN)
		return refuse(why, -EADDRINUSE, "another process is named \"%s\"", name);
	if (err != -ENOENT)
		return refuse(why, err, "%s: %s", path, strerror(-err));
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return refuse(why, -EEXIST, "%s is in the way: it is no socket", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return refuse(why, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* The folder may be entered, and the socket written, by that group. */
static int
admit_group(const struct folder *f, const char *path, gid_t group)
{
	if (group == (gid_t)RENDEZVOUS_NO_GROUP)
		return chmod(path, 0600) == 0 ? 0 : -errno;
	if (fchown(f->fd, (uid_t)-1, group) != 0 || fchmod(f->fd, 0710) != 0 ||
	    chown(path, (uid_t)-1, group) != 0 || chmod(path, 0660) != 0)
		return -errno;
	return 0;
}

static int
bind_in(const struct folder *f, struct rendezvous *r, gid_t group, struct rendezvous_error *why)
{
	struct sockaddr_un a = address_of(r->path);
	int err = 0;

	r->listener = new_socket();
	if (r->listener < 0)
		return refuse(why, r->listener, "no socket: %s", strerror(-r->listener));
	if (bind(r->listener, (const struct sockaddr *)(const void *)&a, sizeof a) != 0)
		err = -errno;
	else if ((err = admit_group(f, r->path, group)) == 0 && listen(r->listener, BACKLOG) != 0)
		err = -errno;
	if (err == 0)
		return 0;
	(void)unlink(r->path);
	(void)close(r->listener); /* nothing could be done about either */
	r->listener = -1;
	return refuse(why, err, "%s: %s", r->path, strerror(-err));
}

int
pinioni_rendezvous_listen(
    struct rendezvous *r, const char *name, gid_t group, struct rendezvous_error *why)
{
	struct folder f;
	int err = check_name(name, why);

	r->listener = -1;
	if (err != 0)
		return err;
	err = folder_open(&f, true, true, why);
	if (err != 0)
		return err;
	(void)snprintf(r->path, sizeof r->path, "%.*s/%s", RENDEZVOUS_PATH - RENDEZVOUS_NAME - 1,
	    f.path, name);
	err = folder_lock(&f, why);
	if (err == 0)
		err = take_over(r->path, name, why);
	if (err == 0)
		err = bind_in(&f, r, group, why);
	folder_close(&f);
	return err;
}

void
pinioni_rendezvous_leave(struct rendezvous *r)
{
	if (r->listener < 0)
		return;
	/* While it still listens the name is ours: nobody takes it over. */
	(void)unlink(r->path);
	(void)close(r->listener); /* nothing could be done about either */
	r->listener = -1;
}

int
pinioni_rendezvous_connect(const char *name, int *channel, struct rendezvous_error *why)
{
	char path[RENDEZVOUS_PATH];
	struct folder f;
	int err = check_name(name, why);

	if (err != 0)
		return err;
	err = folder_open(&f, false, false, why);
	if (err == -ENOENT)
		return refuse(why, err, "nothing runs by the name \"%s\": there is no folder %s",
		    name, f.path);
	if (err != 0)
		return err;
	folder_close(&f);
	(void)snprintf(
	    path, sizeof path, "%.*s/%s", RENDEZVOUS_PATH - RENDEZVOUS_NAME - 1, f.path, name);
	err = connect_to(path, channel);
	if (err == -ENOENT)
		return refuse(why, err, "nothing runs by the name \"%s\" (in %s)", name, f.path);
	return err == 0 ? 0 : refuse(why, err, "%s: %s", path, strerror(-err));
}

/* ---- listing -------------------------------------------------------------------------------- */

/* Somebody listens; else its name is taken away, if nobody else does so or takes it over just now. */
static bool
is_alive(const struct folder *f, const char *path)
{
	int channel, err = connect_to(path, &channel);
	bool is_dead = err == -ENOENT;

	if (err == 0)
		(void)close(channel); /* nothing could be done about it */
	if (is_dead && flock(f->fd, LOCK_EX | LOCK_NB) == 0) {
		err = connect_to(path, &channel);
		if (err == -ENOENT)
			(void)unlink(path); /* the next to look tries again */
		else if (err == 0)
			(void)close(channel); /* as above */
		(void)flock(f->fd, LOCK_UN);  /* or with the descriptor */
	}
	return !is_dead;
}

int
pinioni_rendezvous_list(
    void (*visit)(void *arg, const char *name), void *arg, struct rendezvous_error *why)
{
	char path[RENDEZVOUS_PATH];
	const struct dirent *entry;
	struct folder f;
	int err = folder_open(&f, false, true, why);
	DIR *dir;

	if (err != 0)
		return err == -ENOENT ? 0 : err;
	dir = opendir(f.path);
	if (dir == NULL) {
		err = -errno;
		folder_close(&f);
		return refuse(why, err, "%s: %s", f.path, strerror(-err));
	}
	while ((entry = readdir(dir)) != NULL) {
		if (!pinioni_rendezvous_is_name(entry->d_name))
			continue;
		(void)snprintf(path, sizeof path, "%.*s/%.*s",
		    RENDEZVOUS_PATH - RENDEZVOUS_NAME - 1, f.path, RENDEZVOUS_NAME - 1,
		    entry->d_name);
		if (is_alive(&f, path))
			visit(arg, entry->d_name);
	}
	(void)closedir(dir);
	folder_close(&f);
	return 0;
}
