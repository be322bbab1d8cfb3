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
    address_print(&a, b->address);
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

static bool listens(int fd) {
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value != 0;
}

/* A wanted link-local address without an interface matches that of any interface. */
static bool is_wanted(struct address a, const struct address *wanted) {
    a.scope = wanted->scope != 0 ? a.scope : 0;
    return address_is_equal(&a, wanted);
}

/* The inherited socket with that address, taken out of `inherited`; -1 if there is none. */
static int take_inherited(int *inherited, size_t count, const struct address *wanted,
                          struct bound *b) {
    for (size_t i = 0; i < count; i++) {
        if (inherited[i] < 0 || !listens(inherited[i])) {
            continue;
        }
        struct address a = socket_own_address(inherited[i]);
        if (is_wanted(a, wanted)) {
            int fd = inherited[i];
            inherited[i] = -1;
            address_print(&a, b->address);
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
            return fd;
        }
    }
    return -1;
}

static int bind_listener(struct bound_set *set, const struct config *config, size_t index,
                         size_t workers, int *inherited, size_t inherited_count,
                         struct error *err) {
    const struct config_listener *l = &config->listeners[index];
    for (size_t i = 0; i < l->address_count; i++) {
        struct bound *b = &set->all[set->count];
        *b = (struct bound){.listener = index, .fds = calloc(workers, sizeof(int))};
        if (b->fds == NULL) {
            return error_set(err, "out of memory");
        }
        set->count++;
        int fd = take_inherited(inherited, inherited_count, &l->addresses[i], b);
        if (fd >= 0) {
            b->fds[b->fd_count++] = fd;
        } else if (bind_one(b, &l->addresses[i], workers, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int *list_inherited(size_t *count) {
    *count = systemd_inherited_sockets();
    int *fds = calloc(*count + 1, sizeof *fds);
    for (size_t i = 0; fds != NULL && i < *count; i++) {
        fds[i] = SYSTEMD_FIRST_SOCKET + (int)i;
    }
    return fds;
}

int bind_all(struct bound_set *set, const struct config *config, size_t workers,
             struct error *err) {
    size_t addresses = 0, inherited_count;
    for (size_t i = 0; i < config->listener_count; i++) {
        addresses += config->listeners[i].address_count;
    }
    *set = (struct bound_set){.all = calloc(addresses, sizeof *set->all)};
    int *inherited = list_inherited(&inherited_count);
    if (set->all == NULL || inherited == NULL) {
        free(inherited);
        bind_close(set);
        return error_set(err, "out of memory");
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config->listener_count; i++) {
        rc = bind_listener(set, config, i, workers, inherited, inherited_count, err);
    }
    for (size_t i = 0; i < inherited_count; i++) {
        set->unused_inherited += inherited[i] >= 0;
    }
    free(inherited);
    if (rc != 0) {
        bind_close(set);
        return rc;
    }
    bind_set_options(set, config);
    return 0;
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
