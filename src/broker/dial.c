#include "broker/dial.h"

#include "net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A backend that is down is probed so often; an address that is silent for so many ticks is given
 * up. */
enum { PROBE_MS = 1000, PROBE_TICKS = 5 };

/* One getaddrinfo under way and the dials that wait for it. */
struct lookup {
    struct list link;
    uv_getaddrinfo_t request;
    struct backend *backend;
    struct list waiting;
};

struct probe {
    struct list link;
    struct dialer *dialer;
    struct backend *backend;
    uv_timer_t timer;
    struct dial dial;
    unsigned ticks; /* of the attempt under way */
};

static void probe_start(struct dialer *dialer, struct backend *b);
static void dial_on(struct dial *d);

/* --- up and down --- */

/* Our own shortages say nothing about the broker, and a unix socket whose queue is full says that
 * it has one (connect(2): EAGAIN). */
static bool is_no_sign_of_death(int status) {
    return status == UV_EAGAIN || status == UV_EMFILE || status == UV_ENFILE ||
           status == UV_ENOMEM || status == UV_EAI_MEMORY || status == UV_ENOBUFS ||
           status == UV_EADDRNOTAVAIL;
}

/* Each worker that meets a backend that is down sees to its probe: one may have found no memory, or
 * have ended while another worker found the backend down again. */
static void look_after(struct backend *b, struct dialer *dialer) {
    if (!dialer->closing && backend_claim_probe(b)) {
        probe_start(dialer, b);
    }
}

void dialer_look_after(struct dialer *dialer, struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        look_after(backends[i], dialer);
    }
}

/* All addresses of the current backend failed: on to the next one. */
static void leave_backend(struct dial *d, int status) {
    struct backend *b = d->backends[d->backend];
    d->status = status;
    if (!is_no_sign_of_death(status)) {
        backend_forget_addresses(b);
        backend_mark_down(b, status);
        look_after(b, d->dialer);
    }
    d->backend++;
    d->address = d->address_count = 0;
}

static void finish(struct dial *d, int status) {
    d->state = DIAL_IDLE;
    if (status == 0) {
        backend_mark_up(d->backends[d->backend]);
    }
    d->done(d, status);
}

/* --- names --- */

static size_t take_addresses(struct dial *d) {
    d->address = 0;
    d->address_count =
        backend_addresses(d->backends[d->backend], uv_now(d->dialer->loop), d->addresses);
    return d->address_count;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    struct lookup *lookup = container_of(request, struct lookup, request);
    if (status == 0) {
        backend_store_addresses(lookup->backend, uv_now(request->loop), list);
    }
    uv_freeaddrinfo(list);
    list_remove(&lookup->link);
    while (!list_is_empty(&lookup->waiting)) {
        struct dial *d = container_of(lookup->waiting.next, struct dial, waiting);
        list_remove(&d->waiting);
        if (status != 0 || take_addresses(d) == 0) {
            leave_backend(d, status != 0 ? status : UV_EAI_NODATA);
        }
        dial_on(d);
    }
    free(lookup);
}

static struct lookup *find_lookup(struct dialer *dialer, const struct backend *b) {
    for (struct list *l = dialer->lookups.next; l != &dialer->lookups; l = l->next) {
        struct lookup *lookup = container_of(l, struct lookup, link);
        if (lookup->backend == b) {
            return lookup;
        }
    }
    return NULL;
}

static int start_lookup(struct dialer *dialer, struct backend *b, struct lookup **result) {
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return UV_ENOMEM;
    }
    char port[8];
    snprintf(port, sizeof port, "%u", backend_port(b));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    lookup->backend = b;
    list_init(&lookup->waiting);
    int rc =
        uv_getaddrinfo(dialer->loop, &lookup->request, on_resolved, backend_host(b), port, &hints);
    if (rc != 0) {
        free(lookup);
        return rc;
    }
    list_append(&dialer->lookups, &lookup->link);
    *result = lookup;
    return 0;
}

/* 0 if the lookup is under way. */
static int resolve(struct dial *d) {
    struct backend *b = d->backends[d->backend];
    struct lookup *lookup = find_lookup(d->dialer, b);
    int rc = lookup != NULL ? 0 : start_lookup(d->dialer, b, &lookup);
    if (rc == 0) {
        d->state = DIAL_RESOLVING;
        list_append(&lookup->waiting, &d->waiting);
    }
    return rc;
}

/* --- connecting --- */

enum { CONNECTED = 1 };

/* Over loopback the kernel knows at once when the other end is gone: nothing to probe for, and a
 * few system calls less for each client. */
static void set_options(int fd, const struct address *address) {
    socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!address_is_loopback(address)) {
        socket_keep_alive(fd);
    }
}

static void on_writable(struct poll_handle *polled, uint32_t events) {
    struct dial *d = container_of(polled, struct dial, polled);
    int error = 0;
    socklen_t len = sizeof error;
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) {
        return;
    }
    getsockopt(polled->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0) {
        finish(d, 0);
        return;
    }
    poll_handle_close(polled);
    d->status = uv_translate_sys_error(error);
    d->address++;
    dial_on(d);
}

/* CONNECTED, or 0 if it is under way, or a libuv code. A connect over loopback is complete as soon
 * as it was asked for, only told late: asking again tells, and spares a turn of the loop. */
static int connect_to(struct dial *d, const struct sockaddr *sa, socklen_t len, bool ask_again) {
    int rc = connect(d->polled.fd, sa, len);
    if (rc != 0 && errno == EINPROGRESS && ask_again) {
        rc = connect(d->polled.fd, sa, len);
    }
    if (rc == 0) {
        return CONNECTED;
    }
    if (errno != EINPROGRESS && errno != EALREADY) {
        return uv_translate_sys_error(errno);
    }
    d->polled.on_ready = on_writable;
    return poller_watch(d->dialer->poller, &d->polled, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static int connect_tcp(struct dial *d, const struct address *address) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(address, &sa);
    set_options(d->polled.fd, address);
    return connect_to(d, (const struct sockaddr *)&sa, len, address_is_loopback(address));
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

static int connect_socket(struct dial *d) {
    const char *path = backend_path(d->backends[d->backend]);
    int family = path != NULL                                      ? AF_UNIX
                 : d->addresses[d->address].family == ADDRESS_IPV4 ? AF_INET
                                                                   : AF_INET6;
    d->polled =
        (struct poll_handle){.fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (d->polled.fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int rc = path != NULL ? connect_unix(d, path) : connect_tcp(d, &d->addresses[d->address]);
    if (rc < 0) {
        poll_handle_close(&d->polled);
    }
    return rc;
}

/* --- the way through addresses and backends --- */

/* Finds what to connect to at the current backend. 0, or a libuv code; with 0 and no address its
 * name is being resolved. */
static int find_addresses(struct dial *d) {
    if (backend_path(d->backends[d->backend]) != NULL) {
        d->address_count = 1;
        return 0;
    }
    return take_addresses(d) > 0 ? 0 : resolve(d);
}

static void pass_over_the_down(struct dial *d) {
    while (d->backend < d->backend_count && !d->even_if_down &&
           backend_is_down(d->backends[d->backend])) {
        look_after(d->backends[d->backend], d->dialer);
        d->backend++;
    }
}

/* Goes on from where the dial stands until it is connected, or has to wait, or nothing is left. */
static void dial_on(struct dial *d) {
    for (;;) {
        int rc = 0;
        if (d->address_count == 0) {
            pass_over_the_down(d);
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

static void dial_begin(struct dial *d, struct dialer *dialer, struct backend *const *backends,
                       size_t count, bool even_if_down,
                       void (*done)(struct dial *dial, int status)) {
    *d = (struct dial){
        .polled = {.fd = -1},
        .dialer = dialer,
        .done = done,
        .backends = backends,
        .backend_count = count,
        .status = UV_ECONNREFUSED,
        .even_if_down = even_if_down,
    };
    list_init(&d->waiting);
    dial_on(d);
}

void dial_start(struct dial *d, struct dialer *dialer, struct backend *const *backends,
                size_t count, void (*done)(struct dial *dial, int status)) {
    dial_begin(d, dialer, backends, count, backends_all_down(backends, count), done);
}

void dial_take(struct dial *d, struct poll_handle *into) {
    into->fd = d->polled.fd;
    into->asked = d->polled.asked;
    d->polled.fd = -1;
}

void dial_expire(struct dial *d) {
    if (d->state == DIAL_CONNECTING) {
        poll_handle_close(&d->polled);
        d->status = UV_ETIMEDOUT;
        d->address++;
    } else if (d->state == DIAL_RESOLVING) {
        list_remove(&d->waiting);
        leave_backend(d, UV_ETIMEDOUT);
    } else {
        return;
    }
    dial_on(d);
}

void dial_cancel(struct dial *d) {
    if (d->state == DIAL_RESOLVING) {
        list_remove(&d->waiting);
    } else if (d->state == DIAL_CONNECTING) {
        poll_handle_close(&d->polled);
    }
    d->state = DIAL_IDLE;
}

/* --- probes --- */

static void on_probe_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void probe_end(struct probe *p) {
    list_remove(&p->link);
    backend_leave_probe(p->backend);
    dial_cancel(&p->dial);
    uv_close((uv_handle_t *)&p->timer, on_probe_closed);
}

static void on_probe_done(struct dial *d, int status) {
    if (status == 0) {
        poll_handle_close(&d->polled);
        probe_end(container_of(d, struct probe, dial));
    }
}

static void on_probe_tick(uv_timer_t *timer) {
    struct probe *p = timer->data;
    if (!backend_is_named(p->backend)) {
        backend_forget_down(p->backend);
        probe_end(p);
    } else if (p->dial.state == DIAL_IDLE) {
        p->ticks = 0;
        dial_begin(&p->dial, p->dialer, &p->backend, 1, true, on_probe_done);
    } else if (++p->ticks >= PROBE_TICKS) {
        p->ticks = 0;
        dial_expire(&p->dial);
    }
}

static void probe_start(struct dialer *dialer, struct backend *b) {
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL || uv_timer_init(dialer->loop, &p->timer) != 0) {
        free(p);
        backend_leave_probe(b);
        return;
    }
    p->dialer = dialer;
    p->backend = b;
    p->timer.data = p;
    list_append(&dialer->probes, &p->link);
    uv_timer_start(&p->timer, on_probe_tick, PROBE_MS, PROBE_MS);
}

void dialer_init(struct dialer *dialer, uv_loop_t *loop, struct poller *poller) {
    *dialer = (struct dialer){.loop = loop, .poller = poller};
    list_init(&dialer->lookups);
    list_init(&dialer->probes);
}

void dialer_close(struct dialer *dialer) {
    dialer->closing = true;
    while (!list_is_empty(&dialer->probes)) {
        probe_end(container_of(dialer->probes.next, struct probe, link));
    }
    for (struct list *l = dialer->lookups.next; l != &dialer->lookups; l = l->next) {
        uv_cancel((uv_req_t *)&container_of(l, struct lookup, link)->request);
    }
}
