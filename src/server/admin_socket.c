#include "server/admin_socket.h"

#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, SOCKET_MODE = 0660 };

static int fail(struct admin_socket *s, const struct config_admin *config, struct error *err) {
    int error = errno;
    admin_socket_close(s);
    if (error == EADDRINUSE) {
        return error_set(err,
                         "admin = %s: another program serves this address, perhaps another "
                         "Postern; stop it, or name another one",
                         config->text);
    }
    return error_set(err, "admin = %s: cannot listen: %s", config->text, strerror(error));
}

static int make_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* --- unix --- */

/* False, with errno, for a path that does not fit: with its suffix it may be too long. */
static bool make_address(const char *path, const char *suffix, struct sockaddr_un *sa) {
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(sa->sun_path, sizeof sa->sun_path, "%s%s", path, suffix);
    errno = ENAMETOOLONG;
    return (size_t)len < sizeof sa->sun_path;
}

/* Whether it is a socket that a program has left there. */
static bool is_abandoned(const struct sockaddr_un *sa) {
    struct stat st;
    int fd = make_socket(AF_UNIX);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof *sa) != 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return refused && lstat(sa->sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int bind_at(const struct admin_socket *s, const struct sockaddr_un *sa) {
    return bind(s->fd, (const struct sockaddr *)sa, sizeof *sa);
}

static bool bind_free(const struct admin_socket *s, const char *path) {
    struct sockaddr_un sa;
    if (!make_address(path, "", &sa)) {
        return false;
    }
    if (bind_at(s, &sa) == 0) {
        return true;
    }
    if (errno != EADDRINUSE || !is_abandoned(&sa) || unlink(path) != 0) {
        errno = EADDRINUSE;
        return false;
    }
    return bind_at(s, &sa) == 0;
}

/* Listens, and gives the group what the umask has taken. */
static bool make_ready(struct admin_socket *s, const char *file) {
    struct stat st;
    if (listen(s->fd, BACKLOG) != 0 || chmod(file, SOCKET_MODE) != 0 || lstat(file, &st) != 0) {
        return false;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return true;
}

/* Made beside it and renamed, so that somebody listens at the path at any moment. */
static bool open_in_place(struct admin_socket *s, const char *path) {
    struct sockaddr_un sa;
    if (!make_address(path, ".new", &sa)) {
        return false;
    }
    unlink(sa.sun_path);
    return bind_at(s, &sa) == 0 && make_ready(s, sa.sun_path) && rename(sa.sun_path, path) == 0;
}

/* On Linux the mode of the descriptor is that of the file to be made, less the umask, so that it is
 * never wider than wanted. */
static bool open_unix(struct admin_socket *s, const char *path, bool replaces) {
    s->fd = make_socket(AF_UNIX);
    s->path = strdup(path);
    snprintf(s->text, sizeof s->text, "unix:%s", path);
    if (s->fd < 0 || s->path == NULL || fchmod(s->fd, SOCKET_MODE) != 0) {
        return false;
    }
    return replaces ? open_in_place(s, path) : bind_free(s, path) && make_ready(s, path);
}

/* --- TCP --- */

/* SO_REUSEPORT after the bind lets a successor of the same user in that sets it before, and nobody
 * else. */
static bool open_tcp(struct admin_socket *s, const struct address *address, bool replaces) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(address, &sa);
    s->fd = make_socket(sa.ss_family);
    if (s->fd < 0) {
        return false;
    }
    socket_set(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, replaces);
    if (bind(s->fd, (const struct sockaddr *)&sa, len) != 0 || listen(s->fd, BACKLOG) != 0) {
        return false;
    }
    socket_set(s->fd, SOL_SOCKET, SO_REUSEPORT, 1);
    struct address own = socket_own_address(s->fd);
    address_print(&own, s->text);
    return true;
}

int admin_socket_open(struct admin_socket *s, const struct config_admin *config, bool replaces,
                      struct error *err) {
    *s = (struct admin_socket){.fd = -1};
    bool opened = config->path != NULL ? open_unix(s, config->path, replaces)
                                       : open_tcp(s, &config->address, replaces);
    return opened ? 0 : fail(s, config, err);
}

void admin_socket_close(struct admin_socket *s) {
    struct stat st;
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->path != NULL && lstat(s->path, &st) == 0 && st.st_dev == s->device &&
        st.st_ino == s->inode) {
        unlink(s->path);
    }
    free(s->path);
    s->path = NULL;
}
