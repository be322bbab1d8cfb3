/* The folder of a unix socket. A user who can write in it can put a socket of their own in the
 * place of the one that is there, and one who can write in a folder above it can do so with all of
 * it. So it and each folder above it must belong to root or to the user of this process, and nobody
 * else may write there; but a folder above it may be one for everybody's files (sticky, as /tmp),
 * where what is another's cannot be renamed. The same holds for links on the way and for where they
 * lead, and the owner of a link counts. sshd's StrictModes judges files of keys like that.
 *
 * With `user` set, this process is root's still when a socket is made. */
#ifndef POSTERN_SERVER_SOCKET_FOLDER_H
#define POSTERN_SERVER_SOCKET_FOLDER_H

#include "core/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* What a key of the configuration names; both strings are for messages. */
struct socket_name {
    const char *key, *value; /* "admin", "unix:/run/postern/admin.sock" */
    const char *file;        /* "/run/postern/admin.sock" */
};

/* Opens the folder and checks it. A descriptor (O_PATH), which is the caller's to close; or -1 with
 * what is wrong and what to do. */
int socket_folder_open(const struct socket_name *name, struct error *err)
    __attribute__((warn_unused_result));

/* The same for --check, without the descriptor: 0 or -1. What a start may find otherwise is only
 * logged: a folder directly in /run that is missing, as service managers make those, and with
 * `any_owner` one of another user, as in socket_folder_find_owner, who may be the one that starts
 * the service. */
int socket_folder_check(const struct socket_name *name, bool any_owner, struct error *err)
    __attribute__((warn_unused_result));

/* For a client of a socket that another user's process may have made: checks the folder, but that
 * one more user may own folders on the way, unless these are in a folder for everybody's files,
 * where anybody could have made them. 0 and that user, or (uid_t)-1 if there is none; or -1 with
 * the reason. */
int socket_folder_find_owner(const struct socket_name *name, uid_t *owner, struct error *err)
    __attribute__((warn_unused_result));

/* Root, or the user of this process. */
bool socket_folder_trusts(uid_t uid);

#endif
