#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { INTERVAL_MAX_S = 75 };

void socket_set(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

bool socket_listens(int fd, int type) {
    int listens = 0, own = 0;
    socklen_t listens_len = sizeof listens, own_len = sizeof own;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && listens != 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &own, &own_len) == 0 && own == type;
}

struct address socket_own_address(int fd) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        return (struct address){0};
    }
    return address_from_sockaddr((const struct sockaddr *)&sa, len);
}

static int seconds(uint64_t ms) {
    return ms < 1000 ? 1 : (int)(ms / 1000);
}

void socket_keep_alive(int fd, uint64_t keepalive_ms, uint64_t user_timeout_ms) {
    socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive_ms != UINT64_MAX);
    if (keepalive_ms != UINT64_MAX) {
        int interval_s = seconds(keepalive_ms / 4);
        socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keepalive_ms));
        socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL,
                   interval_s < INTERVAL_MAX_S ? interval_s : INTERVAL_MAX_S);
    }
    socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               user_timeout_ms != UINT64_MAX ? (int)user_timeout_ms : 0);
}
