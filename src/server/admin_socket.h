/* The listening socket of `admin`. */
#ifndef POSTERN_SERVER_ADMIN_SOCKET_H
#define POSTERN_SERVER_ADMIN_SOCKET_H

#include "config/types.h"
#include "core/error.h"
#include "server/socket_file.h"

/* Others read the text and `file`, and take the descriptor. */
struct admin_socket {
    int fd;                  /* -1: none */
    struct socket_file file; /* of a unix socket */
    char text[128]; /* with the real port: "127.0.0.1:9883", "unix:/run/postern/admin.sock" */
};

/* Binds and listens. A unix socket (socket_file.h) gets mode 0660 and `group`, and takes the place
 * of one that nobody serves any more. `given` is of another process: if it listens at that address
 * it is the one, and until the other process closes its own, connections come to either; otherwise
 * it is closed. 0, or -1 with the reason, and nothing is left. */
int admin_socket_open(struct admin_socket *s, const struct config_admin *config, gid_t group,
                      struct socket_given given, struct error *err)
    __attribute__((warn_unused_result));

/* Closes the descriptor if it is still here, and removes the unix socket unless another program
 * listens there, with the same socket or its own. */
void admin_socket_close(struct admin_socket *s);

#endif
