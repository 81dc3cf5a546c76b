/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shm/rendezvous.h - a name by which other processes find this one.
 *
 *   folder, ours alone (0700)             listen: lock the folder, is somebody there? no: bind, listen, unlock
 *     name1   a socket, listened on        connect: somebody there?
 *     name2   a socket of a dead process   -- ECONNREFUSED: nobody; the next to listen takes the name over
 *
 * Why       All else has no name. Whether a name is in use is asked of the kernel, by connecting: nothing that
 *           a dead process left behind can say so. The folder itself is locked (flock, which ends with its
 *           process), so that of two who take a name one wins, and no file is there only to be locked.
 * Folder    $PINION_RUNTIME_DIR, else $XDG_RUNTIME_DIR/pinion, else /tmp/pinion-UID.
 * Death     of who listens: its socket's name stays, of no bytes, until somebody listens, looks for it or lists names.
 */
#ifndef PINION_SHM_RENDEZVOUS_H
#define PINION_SHM_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	RENDEZVOUS_NAME = 48,  /* bytes of a name, with its end */
	RENDEZVOUS_PATH = 108, /* as the kernel has it */
	RENDEZVOUS_NO_GROUP = -1
};

struct rendezvous {
	int listener; /* -1: none */
	char path[RENDEZVOUS_PATH];
};

/* What was asked, and why it is not so. */
struct rendezvous_error {
	char text[256];
};

/* Letters, digits, - and _, of which there are 1 to 47. */
bool pinioni_rendezvous_is_name(const char *name);
/* group: who may connect beside our own user; RENDEZVOUS_NO_GROUP: nobody. 0; -EINVAL; -EADDRINUSE: another listens;
 * -EACCES: the folder is not ours alone; -EBUSY: others keep it locked; or -errno. */
int pinioni_rendezvous_listen(struct rendezvous *r, const char *name, gid_t group,
    struct rendezvous_error *why) __attribute__((warn_unused_result));
/* Nobody finds it any more. Also of one that does not listen. */
void pinioni_rendezvous_leave(struct rendezvous *r);
/* A connection, which is the caller's. -EINVAL; -ENOENT: nobody listens; or -errno. */
int pinioni_rendezvous_connect(const char *name, int *channel, struct rendezvous_error *why)
    __attribute__((warn_unused_result));
/* Each name that somebody listens to. Names of the dead are taken away. 0 or -errno. */
int pinioni_rendezvous_list(void (*visit)(void *arg, const char *name), void *arg,
    struct rendezvous_error *why) __attribute__((warn_unused_result));

#endif
