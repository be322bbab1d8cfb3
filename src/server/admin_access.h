/* Which requests the admin socket answers. It has no passwords: a client that reaches the address
 * may read the metrics; one on this machine may also list sessions. Only a unix socket takes
 * changes, and the mode of its file decides who connects: a loopback address is open to every user,
 * and in a container to whatever shares its network, as the broker may.
 *
 * A web page in a browser on this machine is not such a client, but the browser can connect to
 * loopback addresses. So a request is refused that has an Origin header, which browsers send
 * with what a page of another site posts; and one whose Host is a name that somebody may have made
 * to resolve to this machine (DNS rebinding): Host must be an address, localhost, or a name without
 * a dot, which nobody can register. Over a unix socket neither matters. */
#ifndef POSTERN_SERVER_ADMIN_ACCESS_H
#define POSTERN_SERVER_ADMIN_ACCESS_H

#include <stdbool.h>

/* A Host header, with or without its port; NULL, as old clients have none, is allowed. */
bool admin_access_allows_host(const char *host);

/* To whom a path is answered. */
enum admin_reach {
    ADMIN_REACH_ALL,
    ADMIN_REACH_MACHINE, /* over a unix socket, or from a loopback address */
    ADMIN_REACH_UNIX     /* over a unix socket */
};

struct admin_client {
    bool over_unix, is_local;
    const char *host, *origin; /* headers, or NULL */
};

/* NULL: the request may be answered; else why not, in words for the client. */
const char *admin_access_obstacle(const struct admin_client *client, enum admin_reach reach);

#endif
