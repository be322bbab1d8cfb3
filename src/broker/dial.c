#include "broker/dial.h"

#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller) {
    *dialer = (struct dialer){.loop = loop, .poller = poller};
    lookups_init(&dialer->lookups, loop);
}

void dialer_on_down(struct dialer *dialer, void (*on_down)(void *arg, struct backend *backend),
                    void *arg) {
    dialer->on_down = on_down;
    dialer->on_down_arg = arg;
}

void dialer_close(struct dialer *dialer) {
    lookups_close(&dialer->lookups);
}

/* --- connecting --- */

enum { CONNECTED = 1 };

/* A broker on another machine that has vanished is found within two to three minutes. */
enum { KEEPALIVE_MS = 60000, USER_TIMEOUT_MS = 120000 };

static void go_on(struct dial *d);

static void finish(struct dial *d, int status) {
    d->state = DIAL_IDLE;
    if (status == 0) {
        backend_mark_up(d->backends[d->backend]);
    }
    d->done(d, status);
}

static void on_writable(struct poll_handle *handle, unsigned events) {
    struct dial *d = container_of(handle, struct dial, handle);
    int error = 0;
    socklen_t len = sizeof error;
    if ((events & (POLLER_WRITABLE | POLLER_ERROR)) == 0) {
        return;
    }
    getsockopt(handle->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0) {
        finish(d, 0);
        return;
    }
    poll_handle_close(handle);
    d->status = uv_translate_sys_error(error);
    d->address++;
    go_on(d);
}

/* CONNECTED, or 0 if it is under way, or a libuv code. Linux completes a connect over loopback
 * within the call, but still returns EINPROGRESS; a second call returns the result and saves a turn
 * of the loop. */
static int connect_to(struct dial *d, const struct sockaddr *sa, socklen_t len, bool ask_again) {
    int rc = connect(d->handle.fd, sa, len);
    if (rc != 0 && errno == EINPROGRESS && ask_again) {
        rc = connect(d->handle.fd, sa, len);
    }
    if (rc == 0) {
        return CONNECTED;
    }
    if (errno != EINPROGRESS && errno != EALREADY) {
        return uv_translate_sys_error(errno);
    }
    d->handle.on_ready = on_writable;
    return poller_watch(d->dialer->poller, &d->handle, POLLER_READABLE | POLLER_WRITABLE);
}

/* Over loopback the kernel reports at once when the other end is closed, so that keepalive would
 * only cost a few system calls for each client. */
static int connect_tcp(struct dial *d, const struct address *address) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(address, &sa);
    bool loopback = address_is_loopback(address);
    socket_set(d->handle.fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!loopback) {
        socket_keep_alive(d->handle.fd, KEEPALIVE_MS, USER_TIMEOUT_MS);
    }
    return connect_to(d, (const struct sockaddr *)&sa, len, loopback);
}

static int connect_unix(struct dial *d, const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sa.sun_path) {
        return UV_ENAMETOOLONG;
    }
    memcpy(sa.sun_path, path, len + 1);
    return connect_to(d, (const struct sockaddr *)&sa, sizeof sa, false);
}

static int socket_family(const struct address *address) {
    return address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}

static int connect_socket(struct dial *d) {
    const char *path = backend_path(d->backends[d->backend]);
    const struct address *address = &d->addresses[d->address];
    int family = path != NULL ? AF_UNIX : socket_family(address);
    d->handle =
        (struct poll_handle){.fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (d->handle.fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int rc = path != NULL ? connect_unix(d, path) : connect_tcp(d, address);
    if (rc < 0) {
        poll_handle_close(&d->handle);
    }
    return rc;
}

/* --- the way through addresses and backends --- */

/* Whether a failure means that the broker is down. Our own shortages do not; a unix socket whose
 * queue is full (connect(2): EAGAIN) has a broker that listens; and a lookup is cancelled only when
 * this process stops. */
static bool means_down(int status) {
    return status != UV_EAGAIN && status != UV_EMFILE && status != UV_ENFILE &&
           status != UV_ENOMEM && status != UV_EAI_MEMORY && status != UV_ENOBUFS &&
           status != UV_EADDRNOTAVAIL && status != UV_EAI_CANCELED;
}

static void report_down(const struct dial *d, struct backend *b) {
    if (d->dialer->on_down != NULL) {
        d->dialer->on_down(d->dialer->on_down_arg, b);
    }
}

/* All addresses of the current backend failed. */
static void leave_backend(struct dial *d, int status) {
    struct backend *b = d->backends[d->backend];
    d->status = status;
    if (means_down(status)) {
        backend_forget_addresses(b);
        backend_mark_down(b, status);
        report_down(d, b);
    }
    d->backend++;
    d->address = d->address_count = 0;
}

static void on_resolved(struct lookup_waiter *waiter, int status, const struct address *addresses,
                        size_t count) {
    struct dial *d = container_of(waiter, struct dial, waiter);
    if (status == 0) {
        memcpy(d->addresses, addresses, count * sizeof *addresses);
        d->address_count = count;
    } else {
        leave_backend(d, status);
    }
    go_on(d);
}

/* Finds what to connect to at the current backend. 0, or a libuv code; with 0 and no address its
 * name is being resolved. */
static int find_addresses(struct dial *d) {
    struct backend *b = d->backends[d->backend];
    d->address = 0;
    if (backend_path(b) != NULL) {
        d->address_count = 1; /* the path */
        return 0;
    }
    d->address_count = backend_addresses(b, uv_now(d->dialer->loop), d->addresses);
    if (d->address_count > 0) {
        return 0;
    }
    d->state = DIAL_RESOLVING;
    return lookup_wait(&d->dialer->lookups, b, &d->waiter);
}

static void skip_backends_that_are_down(struct dial *d) {
    while (d->backend < d->backend_count && !d->even_if_down &&
           backend_is_down(d->backends[d->backend])) {
        report_down(d, d->backends[d->backend]);
        d->backend++;
    }
}

/* Continues from where the dial stands until it is connected, or has to wait, or nothing is left.
 * The dial may have been freed afterwards. */
static void go_on(struct dial *d) {
    for (;;) {
        int rc = 0;
        if (d->address_count == 0) {
            skip_backends_that_are_down(d);
            if (d->backend == d->backend_count) {
                finish(d, d->status);
                return;
            }
            rc = find_addresses(d);
            if (rc == 0 && d->address_count == 0) {
                return;
            }
        } else if (d->address == d->address_count) {
            rc = d->status;
        }
        if (rc != 0) {
            leave_backend(d, rc);
            continue;
        }
        d->state = DIAL_CONNECTING;
        rc = connect_socket(d);
        if (rc == CONNECTED) {
            finish(d, 0);
        }
        if (rc >= 0) {
            return;
        }
        d->status = rc;
        d->address++;
    }
}

void dial_start(struct dial *d, struct dialer *dialer, struct backend *const *backends,
                size_t count, void (*done)(struct dial *dial, int status)) {
    *d = (struct dial){
        .handle = {.fd = -1},
        .dialer = dialer,
        .done = done,
        .backends = backends,
        .backend_count = count,
        .status = UV_ECONNREFUSED,
        .even_if_down = backends_all_down(backends, count),
        .waiter = {.done = on_resolved},
    };
    list_init(&d->waiter.link);
    go_on(d);
}

size_t dial_backend(const struct dial *d) {
    return d->backend;
}

void dial_take(struct dial *d, struct poll_handle *into) {
    poll_handle_move(&d->handle, into);
}

void dial_expire(struct dial *d) {
    if (d->state == DIAL_CONNECTING) {
        poll_handle_close(&d->handle);
        d->status = UV_ETIMEDOUT;
        d->address++;
    } else if (d->state == DIAL_RESOLVING) {
        lookup_cancel(&d->waiter);
        leave_backend(d, UV_ETIMEDOUT);
    } else {
        return;
    }
    go_on(d);
}

void dial_cancel(struct dial *d) {
    if (d->state == DIAL_RESOLVING) {
        lookup_cancel(&d->waiter);
    } else if (d->state == DIAL_CONNECTING) {
        poll_handle_close(&d->handle);
    }
    d->state = DIAL_IDLE;
}

bool dial_is_under_way(const struct dial *d) {
    return d->state != DIAL_IDLE;
}
