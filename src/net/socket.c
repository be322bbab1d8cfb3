#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { KEEPALIVE_S = 60, KEEPALIVE_INTERVAL_S = 15, USER_TIMEOUT_MS = 120000 };

void socket_set(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

struct address socket_own_address(int fd) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        return (struct address){0};
    }
    return address_from_sockaddr((const struct sockaddr *)&sa, len);
}

void socket_keep_alive(int fd) {
    socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
    socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
}
