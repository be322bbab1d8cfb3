#include "server/bind.h"

#include "net/socket.h"
#include "server/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* The message for errno, which is what socket, bind or listen failed with. */
static int fail_listen(struct error *err, const char *address) {
    switch (errno) {
    case EADDRINUSE:
        return error_set(err,
                         "cannot listen on %s: another program (perhaps another Postern) "
                         "serves this address; stop it, or change `listen`",
                         address);
    case EACCES:
        return error_set(err,
                         "cannot listen on %s: no permission; ports below 1024 need root or "
                         "CAP_NET_BIND_SERVICE",
                         address);
    case EAFNOSUPPORT:
        return error_set(err,
                         "cannot listen on %s: this system does not have IPv6; use 0.0.0.0 "
                         "instead of [::]",
                         address);
    case EADDRNOTAVAIL:
        return error_set(err,
                         "cannot listen on %s: this system does not have that address; `ip "
                         "address` lists those it has",
                         address);
    default:
        return error_set(err, "cannot listen on %s: %s", address, strerror(errno));
    }
}

static int open_socket(const struct address *a, bool shared) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(a, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a->family == ADDRESS_IPV6) {
        socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (shared) {
        socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (bind(fd, (const struct sockaddr *)&sa, len) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static void note_address(struct bound *b, const struct address *own) {
    b->own = *own;
    address_print(own, b->address);
}

/* A socket without SO_REUSEPORT finds out whether the address is free: with it, a second Postern of
 * the same user would bind without an error and get half of the connections. */
static int bind_one(struct bound *b, const struct address *wanted, size_t workers,
                    struct error *err) {
    char text[ADDRESS_TEXT_SIZE];
    int fd = open_socket(wanted, false);
    if (fd < 0) {
        return fail_listen(err, address_print(wanted, text));
    }
    struct address a = socket_own_address(fd);
    if (a.family == ADDRESS_NONE) {
        close(fd);
        return fail_listen(err, address_print(wanted, text));
    }
    note_address(b, &a);
    if (workers == 1) {
        b->fds[b->fd_count++] = fd;
        return 0;
    }
    close(fd);
    while (b->fd_count < workers) {
        fd = open_socket(&a, true);
        if (fd < 0) {
            return fail_listen(err, b->address);
        }
        b->fds[b->fd_count++] = fd;
    }
    return 0;
}

/* A wanted link-local address without an interface matches that of any interface; port 0, one that
 * the system chose before. */
static bool is_wanted(const struct inherited_socket *s, const struct address *wanted) {
    struct address a = s->address;
    a.scope = wanted->scope != 0 ? a.scope : 0;
    a.port = wanted->port == 0 && s->port_chosen ? 0 : a.port;
    return s->fd >= 0 && address_is_equal(&a, wanted);
}

/* Takes out of `inherited` all sockets of one address that is wanted. There may be several such
 * addresses where the port is 0: the first is taken. */
static void take_inherited(struct inherited *inherited, const struct address *wanted,
                           struct bound *b) {
    for (size_t i = 0; i < inherited->count; i++) {
        struct inherited_socket *s = &inherited->all[i];
        if (!is_wanted(s, wanted) || (b->fd_count > 0 && !address_is_equal(&s->address, &b->own))) {
            continue;
        }
        note_address(b, &s->address);
        b->fds[b->fd_count++] = s->fd;
        b->of_unit = b->of_unit || s->from == INHERITED_UNIT;
        b->stored = b->stored || s->from == INHERITED_STORE;
        s->fd = -1;
    }
}

static int bind_listener(struct bound_set *set, const struct config *config, size_t index,
                         size_t workers, struct inherited *inherited, struct error *err) {
    const struct config_listener *l = &config->listeners[index];
    size_t most = workers > inherited->count ? workers : inherited->count;
    for (size_t i = 0; i < l->address_count; i++) {
        struct bound *b = &set->all[set->count];
        *b = (struct bound){.listener = index,
                            .fds = calloc(most, sizeof(int)),
                            .port_chosen = l->addresses[i].port == 0};
        if (b->fds == NULL) {
            return error_set(err, "out of memory");
        }
        set->count++;
        take_inherited(inherited, &l->addresses[i], b);
        if (b->fd_count == 0 && bind_one(b, &l->addresses[i], workers, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int bind_all(struct bound_set *set, const struct config *config, size_t workers,
             struct inherited *inherited, struct error *err) {
    size_t addresses = 0;
    for (size_t i = 0; i < config->listener_count; i++) {
        addresses += config->listeners[i].address_count;
    }
    *set = (struct bound_set){.all = calloc(addresses, sizeof *set->all)};
    if (set->all == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        if (bind_listener(set, config, i, workers, inherited, err) != 0) {
            bind_close(set);
            return -1;
        }
    }
    bind_set_options(set, config);
    return 0;
}

struct bound_share bound_share(const struct bound *bound, size_t index, size_t workers) {
    return (struct bound_share){.first = index % bound->fd_count, .step = workers};
}

size_t bind_watched(const struct bound_set *set, size_t workers) {
    size_t watched = 0;
    for (size_t i = 0; i < set->count; i++) {
        watched += set->all[i].fd_count > workers ? set->all[i].fd_count : workers;
    }
    return watched;
}

void bind_store(struct bound_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        struct bound *b = &set->all[i];
        if (!b->of_unit && !b->stored && !b->port_chosen) {
            b->stored = systemd_store_sockets(&b->own, b->fds, b->fd_count);
        }
    }
}

bool bind_is_kept(const struct bound_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->all[i].of_unit || set->all[i].stored) {
            return true;
        }
    }
    return false;
}

void bind_set_options(const struct bound_set *set, const struct config *config) {
    for (size_t i = 0; i < set->count; i++) {
        const struct bound *b = &set->all[i];
        const struct config_listener *l = &config->listeners[b->listener];
        for (size_t k = 0; k < b->fd_count; k++) {
            socket_set(b->fds[k], IPPROTO_TCP, TCP_NODELAY, 1);
            socket_keep_alive(b->fds[k], l->tcp_keepalive_ms, l->tcp_user_timeout_ms);
        }
    }
}

void bind_close(struct bound_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = 0; k < set->all[i].fd_count; k++) {
            close(set->all[i].fds[k]);
        }
        free(set->all[i].fds);
    }
    free(set->all);
    *set = (struct bound_set){0};
}
