/* The folder of a unix socket that the process makes. A user who can write in it can put a socket
 * of their own in the place of ours, which clients of ours then take for it: so the folder must
 * belong to root or to the user of this process, and nobody else may write in it. With `user` set
 * that is root still when the socket is made. */
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
 * `any_owner` one of another user, who may be the one that starts the service. */
int socket_folder_check(const struct socket_name *name, bool any_owner, struct error *err)
    __attribute__((warn_unused_result));

/* The folder of a file: "/run/postern" of "/run/postern/admin.sock", "." of "admin.sock". The
 * caller frees it. NULL without memory. */
char *socket_folder_of(const char *file) __attribute__((warn_unused_result));

/* Root, or the user of this process. */
bool socket_folder_trusts(uid_t uid);

#endif
