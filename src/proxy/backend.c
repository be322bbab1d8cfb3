#include "proxy/backend.h"

#include "base/log.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESOLVED_MS = 10000, PROBE_MS = 1000, PROBE_TICKS = 5 };
enum { KEEPALIVE_S = 60, USER_TIMEOUT_MS = 120000 };

struct backend {
    struct backend *next;
    char *text, *host, *path;
    uint16_t port;
    atomic_uint users;
    atomic_bool down;
    atomic_bool probed; /* some worker's probe looks after it */

    pthread_mutex_t mutex; /* guards what follows */
    struct sockaddr_in6 addresses[DIAL_ADDRESSES];
    size_t address_count;
    uint64_t resolved_until_ms; /* UINT64_MAX for a numeric address */
};

struct backend_table {
    pthread_mutex_t mutex;
    struct backend *first;
};

/* One getaddrinfo under way and the dials that wait for it. */
struct lookup {
    struct link link;
    uv_getaddrinfo_t request;
    struct backend *backend;
    struct link waiting;
};

struct probe {
    struct link link;
    struct dialer *dialer;
    struct backend *backend;
    uv_timer_t timer;
    union stream stream;
    struct dial dial;
    unsigned ticks; /* of the attempt under way */
    bool busy, ending;
    unsigned open_handles;
};

/* --- the process's table --- */

struct backend_table *backend_table_new(void) {
    struct backend_table *table = calloc(1, sizeof *table);
    if (table != NULL) {
        pthread_mutex_init(&table->mutex, NULL);
    }
    return table;
}

static void free_backend(struct backend *b) {
    pthread_mutex_destroy(&b->mutex);
    free(b->text);
    free(b->host);
    free(b->path);
    free(b);
}

void backend_table_free(struct backend_table *table) {
    if (table == NULL) {
        return;
    }
    while (table->first != NULL) {
        struct backend *b = table->first;
        table->first = b->next;
        free_backend(b);
    }
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

/* A numeric host needs no lookup, now or later. */
static void take_numeric_address(struct backend *b) {
    struct sockaddr_in v4;
    if (b->host == NULL) {
        return;
    }
    if (uv_ip4_addr(b->host, b->port, &v4) == 0) {
        memcpy(&b->addresses[0], &v4, sizeof v4);
    } else if (uv_ip6_addr(b->host, b->port, &b->addresses[0]) != 0) {
        return;
    }
    b->address_count = 1;
    b->resolved_until_ms = UINT64_MAX;
}

static struct backend *make_backend(const struct config_backend *config) {
    struct backend *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    pthread_mutex_init(&b->mutex, NULL);
    b->text = strdup(config->text);
    b->host = config->host != NULL ? strdup(config->host) : NULL;
    b->path = config->path != NULL ? strdup(config->path) : NULL;
    b->port = config->port;
    if (b->text == NULL || (b->host == NULL && b->path == NULL)) {
        free_backend(b);
        return NULL;
    }
    take_numeric_address(b);
    return b;
}

struct backend *backend_get(struct backend_table *table, const struct config_backend *config) {
    pthread_mutex_lock(&table->mutex);
    struct backend *b = table->first;
    while (b != NULL && strcmp(b->text, config->text) != 0) {
        b = b->next;
    }
    if (b == NULL && (b = make_backend(config)) != NULL) {
        b->next = table->first;
        table->first = b;
    }
    if (b != NULL) {
        atomic_fetch_add(&b->users, 1);
    }
    pthread_mutex_unlock(&table->mutex);
    return b;
}

void backend_put(struct backend *b) {
    if (b != NULL) {
        atomic_fetch_sub(&b->users, 1);
    }
}

const char *backend_text(const struct backend *b) {
    return b->text;
}

bool backends_all_down(struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!atomic_load_explicit(&backends[i]->down, memory_order_relaxed)) {
            return false;
        }
    }
    return true;
}

/* --- up and down --- */

static void probe_start(struct dialer *dialer, struct backend *b);

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
    if (!dialer->closing && !atomic_exchange(&b->probed, true)) {
        probe_start(dialer, b);
    }
}

static void mark_down(struct backend *b, struct dialer *dialer, int status) {
    if (!atomic_exchange(&b->down, true)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_WARNING, "backend down");
        log_str(&line, "backend", b->text);
        log_str(&line, "error", uv_strerror(status));
        log_end(&line);
    }
    look_after(b, dialer);
}

static void mark_up(struct backend *b) {
    if (atomic_load_explicit(&b->down, memory_order_relaxed) && atomic_exchange(&b->down, false)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "backend up");
        log_str(&line, "backend", b->text);
        log_end(&line);
    }
}

void dialer_look_after(struct dialer *dialer, struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        look_after(backends[i], dialer);
    }
}

/* --- names --- */

static uint64_t now_ms(const struct dialer *dialer) {
    return uv_now(dialer->loop);
}

/* Copies what is known and fresh; false if a lookup is needed. */
static bool take_addresses(struct dial *d, struct backend *b) {
    pthread_mutex_lock(&b->mutex);
    bool fresh = b->address_count > 0 && now_ms(d->dialer) < b->resolved_until_ms;
    if (fresh) {
        memcpy(d->addresses, b->addresses, sizeof d->addresses);
        d->address_count = b->address_count;
    }
    pthread_mutex_unlock(&b->mutex);
    d->address = 0;
    return fresh;
}

static void store_addresses(struct backend *b, const struct addrinfo *list, uint64_t now) {
    pthread_mutex_lock(&b->mutex);
    b->address_count = 0;
    for (; list != NULL && b->address_count < DIAL_ADDRESSES; list = list->ai_next) {
        if (list->ai_addrlen <= sizeof b->addresses[0]) {
            memcpy(&b->addresses[b->address_count++], list->ai_addr, list->ai_addrlen);
        }
    }
    b->resolved_until_ms = now + RESOLVED_MS;
    pthread_mutex_unlock(&b->mutex);
}

static void forget_addresses(struct backend *b) {
    pthread_mutex_lock(&b->mutex);
    if (b->resolved_until_ms != UINT64_MAX) {
        b->address_count = 0;
    }
    pthread_mutex_unlock(&b->mutex);
}

static void connect_next_address(struct dial *d);
static void fail_backend(struct dial *d, int status);

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    struct lookup *lookup = container_of(request, struct lookup, request);
    struct backend *b = lookup->backend;
    if (status == 0) {
        store_addresses(b, list, uv_now(request->loop));
    }
    uv_freeaddrinfo(list);
    link_remove(&lookup->link);
    while (!link_is_empty(&lookup->waiting)) {
        struct dial *d = container_of(lookup->waiting.next, struct dial, waiting);
        link_remove(&d->waiting);
        if (status == 0 && take_addresses(d, b)) {
            connect_next_address(d);
        } else {
            fail_backend(d, status != 0 ? status : UV_EAI_NODATA);
        }
    }
    free(lookup);
}

static struct lookup *find_lookup(struct dialer *dialer, const struct backend *b) {
    for (struct link *l = dialer->lookups.next; l != &dialer->lookups; l = l->next) {
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
    snprintf(port, sizeof port, "%u", b->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    lookup->backend = b;
    link_init(&lookup->waiting);
    int rc = uv_getaddrinfo(dialer->loop, &lookup->request, on_resolved, b->host, port, &hints);
    if (rc != 0) {
        free(lookup);
        return rc;
    }
    link_append(&dialer->lookups, &lookup->link);
    *result = lookup;
    return 0;
}

/* --- dialling --- */

static void finish(struct dial *d, int status) {
    d->state = DIAL_IDLE;
    d->done(d, status);
}

static void try_backend(struct dial *d);

/* All addresses of the current backend failed. */
static void fail_backend(struct dial *d, int status) {
    struct backend *b = d->backends[d->backend];
    d->status = status;
    if (!is_no_sign_of_death(status)) {
        forget_addresses(b);
        mark_down(b, d->dialer, status);
    }
    d->backend++;
    try_backend(d);
}

static void on_retry_closed(uv_handle_t *handle) {
    struct dial *d = handle->data;
    if (d->on_closed != NULL) {
        d->state = DIAL_IDLE; /* a second dial_cancel must not wait for this again */
        d->on_closed(handle);
        return;
    }
    d->address++;
    connect_next_address(d);
}

static void close_and_retry(struct dial *d, int status) {
    d->status = status;
    d->state = DIAL_CLOSING;
    uv_close(&d->stream->handle, on_retry_closed);
}

static bool is_loopback(const struct sockaddr_in6 *address) {
    if (address->sin6_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->sin6_addr);
}

/* Over loopback the kernel knows at once when the other end is gone: nothing to probe for, and five
 * system calls less for each client. */
static void set_options(uv_tcp_t *tcp, const struct sockaddr_in6 *address) {
    int user_timeout_ms = USER_TIMEOUT_MS;
    uv_os_fd_t fd;
    uv_tcp_nodelay(tcp, 1);
    if (is_loopback(address)) {
        return;
    }
    uv_tcp_keepalive(tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)tcp, &fd) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    }
}

static void on_connected(struct dial *d) {
    if (d->stream->handle.type == UV_TCP) {
        set_options(&d->stream->tcp, &d->addresses[d->address]);
    }
    mark_up(d->backends[d->backend]);
    finish(d, 0);
}

static void on_connect(uv_connect_t *request, int status) {
    struct dial *d = container_of(request, struct dial, request);
    if (d->state != DIAL_CONNECTING) {
        return; /* expired or cancelled: the handle is closing */
    }
    if (status != 0) {
        close_and_retry(d, status);
        return;
    }
    on_connected(d);
}

/* A connect over loopback is complete as soon as it was asked for, only told late: asking again
 * tells. That spares the loop's turn and four system calls for each client. Returns 1 with the
 * stream connected, a libuv code if the broker refuses, or 0 to go the usual way. */
static int connect_at_once(struct dial *d, const struct sockaddr_in6 *address) {
    const struct sockaddr *sa = (const struct sockaddr *)address;
    socklen_t len = address->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof *address;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return uv_translate_sys_error(errno);
    }
    int rc = connect(fd, sa, len);
    if (rc != 0 && errno == EINPROGRESS) {
        rc = connect(fd, sa, len);
    }
    if (rc == 0 && uv_tcp_open(&d->stream->tcp, fd) == 0) {
        return 1;
    }
    int error = rc == 0 ? ENOMEM : errno;
    close(fd);
    return error == EALREADY ? 0 : uv_translate_sys_error(error);
}

static void connect_tcp(struct dial *d) {
    const struct sockaddr_in6 *address = &d->addresses[d->address];
    int rc = is_loopback(address) ? connect_at_once(d, address) : 0;
    if (rc == 0) {
        rc = uv_tcp_connect(&d->request, &d->stream->tcp, (const struct sockaddr *)address,
                            on_connect);
    } else if (rc == 1) {
        on_connected(d);
        return;
    }
    if (rc != 0) {
        close_and_retry(d, rc);
    }
}

static void connect_next_address(struct dial *d) {
    if (d->address == d->address_count) {
        fail_backend(d, d->status);
        return;
    }
    struct backend *b = d->backends[d->backend];
    bool is_pipe = b->path != NULL;
    int rc = is_pipe ? uv_pipe_init(d->dialer->loop, &d->stream->pipe, 0)
                     : uv_tcp_init(d->dialer->loop, &d->stream->tcp);
    if (rc != 0) {
        fail_backend(d, rc);
        return;
    }
    d->stream->handle.data = d;
    d->state = DIAL_CONNECTING;
    if (is_pipe) {
        uv_pipe_connect(&d->request, &d->stream->pipe, b->path, on_connect);
        return;
    }
    connect_tcp(d);
}

static void resolve(struct dial *d, struct backend *b) {
    struct lookup *lookup = find_lookup(d->dialer, b);
    if (lookup == NULL) {
        int rc = start_lookup(d->dialer, b, &lookup);
        if (rc != 0) {
            fail_backend(d, rc);
            return;
        }
    }
    d->state = DIAL_RESOLVING;
    link_append(&lookup->waiting, &d->waiting);
}

static void try_backend(struct dial *d) {
    while (d->backend < d->backend_count && !d->even_if_down &&
           atomic_load_explicit(&d->backends[d->backend]->down, memory_order_relaxed)) {
        look_after(d->backends[d->backend], d->dialer);
        d->backend++;
    }
    if (d->backend == d->backend_count) {
        finish(d, d->status);
        return;
    }
    struct backend *b = d->backends[d->backend];
    if (b->path != NULL) {
        d->address = 0;
        d->address_count = 1;
        connect_next_address(d);
    } else if (take_addresses(d, b)) {
        connect_next_address(d);
    } else {
        resolve(d, b);
    }
}

static void dial_begin(struct dial *d, struct dialer *dialer, union stream *stream,
                       struct backend *const *backends, size_t count, bool even_if_down,
                       void (*done)(struct dial *dial, int status)) {
    *d = (struct dial){
        .dialer = dialer,
        .stream = stream,
        .done = done,
        .backends = backends,
        .backend_count = count,
        .status = UV_ECONNREFUSED,
        .even_if_down = even_if_down,
    };
    link_init(&d->waiting);
    try_backend(d);
}

void dial_start(struct dial *d, struct dialer *dialer, union stream *stream,
                struct backend *const *backends, size_t count,
                void (*done)(struct dial *dial, int status)) {
    dial_begin(d, dialer, stream, backends, count, backends_all_down(backends, count), done);
}

void dial_expire(struct dial *d) {
    if (d->state == DIAL_CONNECTING) {
        close_and_retry(d, UV_ETIMEDOUT);
    } else if (d->state == DIAL_RESOLVING) {
        link_remove(&d->waiting);
        fail_backend(d, UV_ETIMEDOUT);
    }
}

bool dial_cancel(struct dial *d, uv_close_cb on_closed) {
    switch (d->state) {
    case DIAL_IDLE:
        return false;
    case DIAL_RESOLVING:
        link_remove(&d->waiting);
        d->state = DIAL_IDLE;
        return false;
    case DIAL_CONNECTING:
        d->state = DIAL_CLOSING;
        d->on_closed = on_closed;
        uv_close(&d->stream->handle, on_retry_closed);
        return true;
    case DIAL_CLOSING:
        d->on_closed = on_closed;
        return true;
    }
    return false;
}

/* --- probes --- */

static void on_probe_handle_closed(uv_handle_t *handle) {
    struct probe *p = handle->type == UV_TIMER
                          ? handle->data
                          : container_of((union stream *)(void *)handle, struct probe, stream);
    if (--p->open_handles == 0) {
        free(p);
    }
}

static void probe_end(struct probe *p) {
    if (p->ending) {
        return;
    }
    p->ending = true;
    link_remove(&p->link);
    atomic_store(&p->backend->probed, false);
    if (p->busy && dial_cancel(&p->dial, on_probe_handle_closed)) {
        p->open_handles++;
    }
    uv_close((uv_handle_t *)&p->timer, on_probe_handle_closed);
}

static void on_probe_done(struct dial *d, int status) {
    struct probe *p = container_of(d, struct probe, dial);
    p->busy = false;
    if (status == 0) {
        p->open_handles++;
        uv_close(&p->stream.handle, on_probe_handle_closed);
        probe_end(p);
    }
}

static void on_probe_tick(uv_timer_t *timer) {
    struct probe *p = timer->data;
    if (atomic_load(&p->backend->users) == 0) {
        atomic_store(&p->backend->down, false);
        probe_end(p);
    } else if (!p->busy) {
        p->busy = true;
        p->ticks = 0;
        dial_begin(&p->dial, p->dialer, &p->stream, &p->backend, 1, true, on_probe_done);
    } else if (++p->ticks >= PROBE_TICKS) {
        p->ticks = 0;
        dial_expire(&p->dial);
    }
}

static void probe_start(struct dialer *dialer, struct backend *b) {
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL || uv_timer_init(dialer->loop, &p->timer) != 0) {
        free(p);
        atomic_store(&b->probed, false);
        return;
    }
    p->dialer = dialer;
    p->backend = b;
    p->timer.data = p;
    p->open_handles = 1;
    link_append(&dialer->probes, &p->link);
    uv_timer_start(&p->timer, on_probe_tick, PROBE_MS, PROBE_MS);
}

void dialer_init(struct dialer *dialer, uv_loop_t *loop) {
    *dialer = (struct dialer){.loop = loop};
    link_init(&dialer->lookups);
    link_init(&dialer->probes);
}

void dialer_close(struct dialer *dialer) {
    dialer->closing = true;
    while (!link_is_empty(&dialer->probes)) {
        probe_end(container_of(dialer->probes.next, struct probe, link));
    }
    for (struct link *l = dialer->lookups.next; l != &dialer->lookups; l = l->next) {
        uv_cancel((uv_req_t *)&container_of(l, struct lookup, link)->request);
    }
}
