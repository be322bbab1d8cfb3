#include "server/admin_socket.h"

#include "net/socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, SOCKET_MODE = 0660 };

static int fail(const struct config_admin *config, struct error *err) {
    switch (errno) {
    case EADDRINUSE:
        return error_set(err,
                         "admin = %s: another program serves this address, perhaps another "
                         "Postern; stop it, or name another one",
                         config->text);
    case ENOTSOCK:
        return error_set(err,
                         "admin = %s: what is there is not a socket of this user or root; "
                         "remove it",
                         config->text);
    default:
        return error_set(err, "admin = %s: cannot listen: %s", config->text, strerror(errno));
    }
}

/* --- TCP --- */

static bool open_tcp(struct admin_socket *s, const struct address *address) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(address, &sa);
    s->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return false;
    }
    socket_set(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return bind(s->fd, (const struct sockaddr *)&sa, len) == 0 && listen(s->fd, BACKLOG) == 0;
}

/* --- both --- */

/* Whether it listens at the address, a unix socket by whatever name. */
static bool is_wanted(const struct admin_socket *s, const struct socket_given *given,
                      const struct config_admin *config) {
    if (given->fd < 0 || !socket_listens(given->fd, SOCK_STREAM)) {
        return false;
    }
    if (config->path != NULL) {
        struct socket_identity there = socket_file_there(&s->file);
        return there.inode != 0 && socket_file_is_same(&there, &given->file);
    }
    struct address own = socket_own_address(given->fd);
    return address_is_equal(&own, &config->address);
}

static bool open_own(struct admin_socket *s, const struct config_admin *config, gid_t group) {
    if (config->path == NULL) {
        return open_tcp(s, &config->address);
    }
    s->fd = socket_file_listen(&s->file, SOCK_STREAM, SOCKET_MODE, group);
    return s->fd >= 0;
}

static bool open_or_take(struct admin_socket *s, const struct config_admin *config, gid_t group,
                         struct socket_given *given) {
    if (!is_wanted(s, given, config)) {
        return open_own(s, config, group);
    }
    s->fd = given->fd;
    given->fd = -1;
    s->file.own = given->file;
    return true;
}

static void describe(struct admin_socket *s, const struct config_admin *config) {
    if (config->path != NULL) {
        snprintf(s->text, sizeof s->text, "unix:%s", config->path);
    } else {
        struct address own = socket_own_address(s->fd);
        address_print(&own, s->text);
    }
}

static int open_socket(struct admin_socket *s, const struct config_admin *config, gid_t group,
                       struct socket_given *given, struct error *err) {
    const struct socket_name name = {"admin", config->text, config->path};
    if (config->path != NULL && socket_file_open(&s->file, &name, err) != 0) {
        return -1;
    }
    if (!open_or_take(s, config, group, given)) {
        return fail(config, err);
    }
    describe(s, config);
    return 0;
}

int admin_socket_open(struct admin_socket *s, const struct config_admin *config, gid_t group,
                      struct socket_given given, struct error *err) {
    *s = (struct admin_socket){.fd = -1};
    socket_file_init(&s->file);
    int result = open_socket(s, config, group, &given, err);
    if (given.fd >= 0) {
        close(given.fd);
    }
    if (result != 0) {
        admin_socket_close(s);
    }
    return result;
}

/* Where a process that took over, or one that was to be taken over, has the same socket, it still
 * listens. */
static bool is_served(const struct socket_file *file) {
    int fd = socket_file_connect(file, SOCK_STREAM);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 || errno != ECONNREFUSED;
}

void admin_socket_close(struct admin_socket *s) {
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->file.folder >= 0 && !is_served(&s->file)) {
        socket_file_remove(&s->file);
    }
    socket_file_close(&s->file);
}
