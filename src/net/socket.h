/* Options that our sockets have. A failure to set one is not an error. */
#ifndef POSTERN_NET_SOCKET_H
#define POSTERN_NET_SOCKET_H

#include "core/address.h"

#include <stdbool.h>
#include <stdint.h>

void socket_set(int fd, int level, int name, int value);

/* How a peer that has vanished is found. After `keepalive_ms` of silence the kernel probes it, and
 * again after each quarter of that time (1 s at least, 75 s at most); probes or data that stay
 * unacknowledged for `user_timeout_ms` end the connection (tcp(7): TCP_KEEPIDLE, TCP_USER_TIMEOUT).
 * UINT64_MAX for either: never. Without a user timeout nine probes without an answer end it, or
 * what the system has for data (tcp_retries2). */
void socket_keep_alive(int fd, uint64_t keepalive_ms, uint64_t user_timeout_ms);

/* Whether it is a listening socket of that type (SOCK_STREAM and so on). */
bool socket_listens(int fd, int type);

/* The socket's own address, with the port that the system chose; ADDRESS_NONE for one that is not
 * of IPv4 or IPv6, or when the system refuses. */
struct address socket_own_address(int fd);

#endif
