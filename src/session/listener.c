#include "session/listener.h"

#include "core/address.h"
#include "core/log.h"
#include "session/session.h"
#include "session/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void on_connections(struct poll_handle *polled, uint32_t events) {
    struct listener *l = container_of(polled, struct listener, polled);
    l->more = !l->starved;
}

int listener_open(struct listener *l, struct worker *w, size_t index, int fd) {
    *l = (struct listener){.worker = w, .index = index};
    l->polled.on_ready = on_connections;
    l->polled.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->polled.fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int rc = poller_watch(&w->poller, &l->polled, EPOLLIN | EPOLLET);
    if (rc != 0) {
        listener_close(l);
    }
    return rc;
}

static void starve(struct listener *l) {
    l->more = false;
    l->starved = true;
    worker_retry(l->worker);
}

/* True if this client alone is lost, and the next may be fine (accept(2)). */
static bool is_the_clients_fault(int error) {
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENONET;
}

static void cannot_accept(struct listener *l, int error) {
    if (error == EAGAIN) {
        l->more = false;
        return;
    }
    if (is_the_clients_fault(error)) {
        return;
    }
    uint64_t suppressed;
    if (worker_may_log(l->worker, REASON_NONE, &suppressed)) {
        log_message(LOG_LEVEL_ERROR, "accept failed", "%s",
                    uv_strerror(uv_translate_sys_error(error)));
    }
    starve(l);
}

bool listener_accept(struct listener *l) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (!l->more) {
        return false;
    }
    if (!session_make_room(l->worker)) {
        starve(l);
        return false;
    }
    int fd = accept4(l->polled.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        cannot_accept(l, errno);
        return l->more;
    }
    struct address peer = address_from_sockaddr((const struct sockaddr *)&sa, len);
    if (!session_begin(l->worker, l->index, fd, &peer)) {
        cannot_accept(l, ENOMEM);
        return false;
    }
    return true;
}

void listener_retry(struct listener *l) {
    l->more = l->more || l->starved;
    l->starved = false;
}

void listener_close(struct listener *l) {
    poll_handle_close(&l->polled);
    l->more = l->starved = false;
}
