/* Options that our sockets have. Failing to set one is no reason not to serve. */
#ifndef POSTERN_NET_SOCKET_H
#define POSTERN_NET_SOCKET_H

#include "core/address.h"

void socket_set(int fd, int level, int name, int value);

/* A peer that vanished is found: by keepalive after 60 s of silence, and by data that
 * stays unacknowledged for 2 minutes. */
void socket_keep_alive(int fd);

/* The socket's own address, with the port that the system chose; ADDRESS_NONE for one that is not
 * of IPv4 or IPv6, or when the system refuses. */
struct address socket_own_address(int fd);

#endif
