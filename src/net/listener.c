#include "net/listener.h"

#include "core/list.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

static void on_connections(struct poll_handle *handle, unsigned events) {
    struct listener *l = container_of(handle, struct listener, handle);
    l->more = !l->starved;
}

int listener_open(struct listener *l, struct poller *poller, int fd) {
    *l = (struct listener){.handle.on_ready = on_connections, .poller = poller};
    l->handle.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->handle.fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int rc = poller_watch(poller, &l->handle, POLLER_READABLE);
    if (rc != 0) {
        listener_close(l);
    }
    return rc;
}

bool listener_has_more(const struct listener *l) {
    return l->more;
}

bool listener_is_waited_at(struct listener *l) {
    struct pollfd queue = {.fd = l->handle.fd, .events = POLLIN};
    l->more = l->more && poll(&queue, 1, 0) > 0;
    return l->more;
}

void listener_starve(struct listener *l) {
    l->more = false;
    l->starved = true;
}

/* True if this client alone is lost, and the next may be fine (accept(2)). */
static bool is_lost_client(int error) {
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENONET;
}

int listener_accept(struct listener *l, struct address *peer) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (!l->more) {
        return UV_EAGAIN;
    }
    int fd = accept4(l->handle.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        *peer = address_from_sockaddr((const struct sockaddr *)&sa, len);
        return fd;
    }
    if (errno == EAGAIN) {
        l->more = false;
        return UV_EAGAIN;
    }
    if (is_lost_client(errno)) {
        return UV_ECONNABORTED;
    }
    int status = uv_translate_sys_error(errno);
    listener_starve(l);
    return status;
}

void listener_retry(struct listener *l) {
    l->more = l->more || l->starved;
    l->starved = false;
}

void listener_close(struct listener *l) {
    poller_unwatch(l->poller, &l->handle);
    poll_handle_close(&l->handle);
    l->more = l->starved = false;
}
