/* The listening sockets of the process: bound once at start, or inherited, then handed to workers.
 *
 * Every worker gets its own socket for every address (SO_REUSEPORT), so that the kernel distributes
 * the connections. Inherited sockets are used as they come, all of one address: where there are
 * fewer than workers, some workers share one; where there are more, some workers have several. None
 * of them is closed for another number of workers, as what waits in its queue would be reset. The
 * options of accepted
 * connections (no delay, keepalive, TCP_USER_TIMEOUT) are set on the listening socket, from which
 * they inherit them in Linux. */
#ifndef POSTERN_SERVER_BIND_H
#define POSTERN_SERVER_BIND_H

#include "config/config.h"
#include "core/error.h"
#include "server/inherited.h"

#include <stdbool.h>
#include <stddef.h>

/* Filled here; others read it. */
struct bound {
    size_t listener; /* index in the configuration */
    size_t fd_count;
    int *fds;
    bool of_unit;                    /* a socket unit of the service manager has them open too */
    bool port_chosen;                /* by the system, as `listen` has port 0 */
    bool stored;                     /* with the service manager */
    struct address own;              /* with the real port */
    char address[ADDRESS_TEXT_SIZE]; /* with the real port: "[::]:8883" */
};

struct bound_set {
    struct bound *all;
    size_t count;
};

/* Which sockets of an address worker `index` of `workers` serves: `first`, and every `step`th after
 * it. Over all workers every socket is served, and no worker is without one. */
struct bound_share {
    size_t first, step;
};
struct bound_share bound_share(const struct bound *bound, size_t index, size_t workers);

/* Binds and listens on all addresses; takes those out of `inherited` that it has. 0; or -1 with
 * what is wrong and what to do, and nothing is left open. An address that another program already
 * serves is an error, also when that program is a Postern that would share it. */
int bind_all(struct bound_set *set, const struct config *config, size_t workers,
             struct inherited *inherited, struct error *err) __attribute__((warn_unused_result));
void bind_close(struct bound_set *set);

/* How many listening sockets the workers will watch, all together. */
size_t bind_watched(const struct bound_set *set, size_t workers);

/* Gives the service manager what it does not have yet, to keep over a restart. A port that the
 * system chose is not kept, as the next start asks for another. */
void bind_store(struct bound_set *set);

/* Whether the service manager keeps sockets of the set open when this process has ended: then no
 * client is refused meanwhile. */
bool bind_is_kept(const struct bound_set *set);

/* After a reload: what connections accepted from now on shall have. */
void bind_set_options(const struct bound_set *set, const struct config *config);

#endif
