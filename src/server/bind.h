/* The listening sockets of the process: bound once at start, or inherited, then handed to workers.
 *
 * Every worker gets its own socket for every address (SO_REUSEPORT), so that the kernel distributes
 * the connections; an inherited socket is shared by all workers. The options of accepted
 * connections (no delay, keepalive, TCP_USER_TIMEOUT) are set on the listening socket, from which
 * they inherit them in Linux. */
#ifndef POSTERN_SERVER_BIND_H
#define POSTERN_SERVER_BIND_H

#include "config/config.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Filled here; others read it. */
struct bound {
    size_t listener; /* index in the configuration */
    size_t fd_count; /* one for each worker, or 1: shared by all */
    int *fds;
    char address[ADDRESS_TEXT_SIZE]; /* with the real port: "[::]:8883" */
};

struct bound_set {
    struct bound *all;
    size_t count;
    size_t unused_inherited; /* sockets whose address no `listen` names */
};

/* Binds and listens on all addresses. 0; or -1 with what is wrong and what to do, and nothing is
 * left open. An address that another program already serves is an error, also when that program is
 * a Postern that would share it. */
int bind_all(struct bound_set *set, const struct config *config, size_t workers, struct error *err)
    __attribute__((warn_unused_result));
void bind_close(struct bound_set *set);

/* After a reload: what connections accepted from now on shall have. */
void bind_set_options(const struct bound_set *set, const struct config *config);

#endif
