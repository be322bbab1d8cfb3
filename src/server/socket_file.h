/* A unix socket that the process makes: its folder, which is checked (socket_folder.h) and opened
 * once, and its name there. All that follows is done in this folder, whatever becomes of the names
 * that led to it, and follows no link in it. */
#ifndef POSTERN_SERVER_SOCKET_FILE_H
#define POSTERN_SERVER_SOCKET_FILE_H

#include "core/error.h"
#include "server/socket_folder.h"

#include <stdbool.h>
#include <sys/types.h>

enum { SOCKET_FILE_BACKLOG = 64 }; /* for listen(2) */

/* Which file it is, as in stat(2), whatever its names. Zeroed: none. */
struct socket_identity {
    dev_t device;
    ino_t inode;
};

bool socket_file_is_same(const struct socket_identity *a, const struct socket_identity *b);

/* A listening socket that passes from one process to another, and its file if it has one. */
struct socket_given {
    int fd; /* -1: none */
    struct socket_identity file;
};

/* Embedded. Others read `folder` (O_PATH; -1: not open) and `own`. */
struct socket_file {
    int folder;
    char name[64 + 1];
    struct socket_identity own; /* the file that belongs to this process */
};

/* Before anything else here. */
void socket_file_init(struct socket_file *file);

/* Whether a file can have its name, as socket_file_open looks first. 0, or -1 with the reason. */
int socket_file_check_name(const struct socket_name *name, struct error *err)
    __attribute__((warn_unused_result));

/* Opens the folder and checks it. 0, or -1 with what is wrong with it. */
int socket_file_open(struct socket_file *file, const struct socket_name *name, struct error *err)
    __attribute__((warn_unused_result));
void socket_file_close(struct socket_file *file); /* the file stays; may be called twice */

/* A connection of this type, which does not block, to the process that listens there; -1 with
 * errno: ENOENT or ECONNREFUSED if none does, EAGAIN if it is busy, ENOTSOCK if what is there is
 * not a socket, or another user's than root and this process's: the folder is not, but what its
 * owner moved there may be. */
int socket_file_connect(const struct socket_file *file, int type)
    __attribute__((warn_unused_result));

/* A listening socket of this type, which does not block, in the place of one that nobody listens on
 * any more. The file, which is this process's then, has the mode and the group ((gid_t)-1:
 * whichever) from its first moment on. Changes the umask for a moment, so that no other thread may
 * make files meanwhile. -1 with errno: as for socket_file_connect, or EADDRINUSE if somebody
 * listens there. */
int socket_file_listen(struct socket_file *file, int type, mode_t mode, gid_t group)
    __attribute__((warn_unused_result));

/* Which file has the name now; zeroed: none. */
struct socket_identity socket_file_there(const struct socket_file *file);

/* The file that has the name now belongs to this process. */
void socket_file_adopt(struct socket_file *file);

/* The file belongs to another process from now on. */
void socket_file_give_away(struct socket_file *file);

/* Removes the file, if it is the one that belongs to this process. */
void socket_file_remove(struct socket_file *file);

#endif
