#include "broker/ports.h"

#include "net/socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* ip(7): IP_LOCAL_PORT_RANGE, which older headers do not have, and its value, whose upper half is
 * the last port. A bound that is 0 or outside of the system's range has no effect. */
enum { LOCAL_PORT_RANGE = 51, WHOLE_RANGE = (int)0xffff0000u };

void ports_search_all(int fd) {
    socket_set(fd, IPPROTO_IP, LOCAL_PORT_RANGE, WHOLE_RANGE);
}

static int open_socket(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The port is chosen within the call, whatever becomes of the connection. */
static unsigned port_of_connection(int listening, int connecting) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    if (bind(listening, (struct sockaddr *)&sa, len) != 0 || listen(listening, 1) != 0 ||
        getsockname(listening, (struct sockaddr *)&sa, &len) != 0) {
        return 0;
    }
    (void)connect(connecting, (struct sockaddr *)&sa, len);
    return socket_own_address(connecting).port;
}

unsigned ports_first_parity(void) {
    int fds[] = {open_socket(), open_socket()};
    unsigned port = port_of_connection(fds[0], fds[1]);
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return port % 2;
}
