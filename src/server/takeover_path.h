/* The file of the takeover socket, `takeover` in postern.conf(5): made, found, and removed so that
 * nobody but root and the user of the process can take part (socket_file.h). It has mode 0600. */
#ifndef POSTERN_SERVER_TAKEOVER_PATH_H
#define POSTERN_SERVER_TAKEOVER_PATH_H

#include "core/error.h"
#include "server/socket_file.h"

#include <stdbool.h>
#include <sys/types.h>

/* Embedded. Others read the text, and `file.folder`. */
struct takeover_path {
    struct socket_file file;
    char *text; /* for messages; NULL: not open */
};

/* Before anything else here. */
void takeover_path_init(struct takeover_path *path);

/* Opens the folder of `file` and checks it. 0, or -1 with what is wrong with it. */
int takeover_path_open(struct takeover_path *path, const char *file, struct error *err)
    __attribute__((warn_unused_result));
void takeover_path_close(struct takeover_path *path); /* the file stays; may be called twice */

/* A listening socket, which does not block, at the path; a socket that nobody listens on any more
 * makes room for it. -1 with the reason: what is there belongs to somebody else, is not a socket,
 * or is the takeover socket of a Postern that runs. */
int takeover_path_listen(struct takeover_path *path, struct error *err)
    __attribute__((warn_unused_result));

/* For a listening socket that another process has made: from now on others see this process and its
 * user behind it (SO_PEERCRED). Root does so before it becomes another user, as the next one that
 * root starts trusts root alone. */
void takeover_path_sign(int fd);

/* Connects to the Postern that listens there. Its descriptor; -1 with *nobody set if no Postern
 * does, or with the reason. */
int takeover_path_connect(const struct takeover_path *path, bool *nobody, struct error *err)
    __attribute__((warn_unused_result));

/* Whether the process at the other end is root's or of this process's user. */
bool takeover_path_trusts(int fd, uid_t *uid, pid_t *pid);

#endif
