/* Which route of a listener a client gets, by its ClientHello alone. A pure function.
 *
 * A route is for a client if one of its server names is the one that the client asks for (RFC 6066
 * 3), and if the client offers one of its protocols (ALPN, RFC 7301); what it does not name does
 * not matter. Of several, the most specific one:
 *
 *   1. the server name itself, then a wildcard that covers it, then routes for any name;
 *   2. among these, routes for certain protocols, then those for any;
 *   3. among these, the first in the file (a client may offer the protocols of several).
 *
 * A wildcard covers one label (RFC 9525 6.3). No route's name can be an address, which RFC 6066
 * does not allow either: a client that asks for one gets a route for any name, and so does one that
 * asks for what cannot be a host name (wire/client_hello.h). Letters' case and a dot at the end do
 * not matter. Of Encrypted Client Hello (RFC 9849) the outer name counts. */
#ifndef POSTERN_SESSION_ROUTE_H
#define POSTERN_SESSION_ROUTE_H

#include "config/types.h"
#include "wire/client_hello.h"

#include <stddef.h>

/* 0: none of its routes, so the listener's own settings; else the route's number, from 1. */
size_t route_find(const struct config_listener *listener, const struct client_hello *hello);

#endif
