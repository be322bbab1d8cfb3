/* The listening socket of `admin`. */
#ifndef POSTERN_SERVER_ADMIN_SOCKET_H
#define POSTERN_SERVER_ADMIN_SOCKET_H

#include "config/types.h"
#include "core/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Zeroed but for `fd` -1 is none. Others read the text and take the descriptor. */
struct admin_socket {
    int fd;
    char *path; /* of a unix socket */
    dev_t device;
    ino_t inode;
    char text[128]; /* with the real port: "127.0.0.1:9883", "unix:/run/postern/admin.sock" */
};

/* Binds and listens. A unix socket is made in a folder that socket_folder.h finds good, gets mode
 * 0660 and `group`, and takes the place of one that nobody serves any more. `given` is a descriptor
 * of another process or -1: if it listens at that address it is the one, and until the other
 * process closes its own, connections come to either; otherwise it is closed. 0, or -1 with the
 * reason, and nothing is left. */
int admin_socket_open(struct admin_socket *s, const struct config_admin *config, gid_t group,
                      int given, struct error *err) __attribute__((warn_unused_result));

/* Closes the descriptor if it is still here, and removes the unix socket unless another program
 * listens there, with the same socket or its own. */
void admin_socket_close(struct admin_socket *s);

#endif
