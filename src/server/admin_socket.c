#include "server/admin_socket.h"

#include "net/socket.h"
#include "server/socket_folder.h"

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

/* False, with errno, for a path that does not fit. */
static bool make_address(const char *path, struct sockaddr_un *sa) {
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(sa->sun_path, sizeof sa->sun_path, "%s", path);
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
    if (!make_address(path, &sa)) {
        return false;
    }
    if (bind_at(s, &sa) == 0) {
        return true;
    }
    if (errno != EADDRINUSE) {
        return false;
    }
    if (!is_abandoned(&sa) || unlink(path) != 0) {
        errno = EADDRINUSE;
        return false;
    }
    return bind_at(s, &sa) == 0;
}

static bool note_file(struct admin_socket *s, const char *file) {
    struct stat st;
    if (lstat(file, &st) != 0) {
        return false;
    }
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return S_ISSOCK(st.st_mode);
}

/* On Linux the mode of the descriptor is that of the file to be made, less the umask, so that it is
 * never wider than wanted; then the group gets what the umask has taken. */
static bool open_unix(struct admin_socket *s, const char *path, gid_t group) {
    s->fd = make_socket(AF_UNIX);
    return s->fd >= 0 && fchmod(s->fd, SOCKET_MODE) == 0 && bind_free(s, path) &&
           listen(s->fd, BACKLOG) == 0 &&
           (group == getegid() || lchown(path, (uid_t)-1, group) == 0) &&
           chmod(path, SOCKET_MODE) == 0 && note_file(s, path);
}

/* Whether it is the socket whose file is at the path, by whatever name it was bound. */
static bool is_at(struct admin_socket *s, int fd, const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNSPEC};
    socklen_t len = sizeof sa - 1; /* ends with NUL */
    struct stat st;
    return getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && sa.sun_family == AF_UNIX &&
           sa.sun_path[0] != '\0' && lstat(sa.sun_path, &st) == 0 && note_file(s, path) &&
           st.st_dev == s->device && st.st_ino == s->inode;
}

/* --- TCP --- */

static bool open_tcp(struct admin_socket *s, const struct address *address) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(address, &sa);
    s->fd = make_socket(sa.ss_family);
    if (s->fd < 0) {
        return false;
    }
    socket_set(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    return bind(s->fd, (const struct sockaddr *)&sa, len) == 0 && listen(s->fd, BACKLOG) == 0;
}

/* --- both --- */

static bool is_wanted(struct admin_socket *s, int fd, const struct config_admin *config) {
    if (!socket_listens(fd, SOCK_STREAM)) {
        return false;
    }
    if (config->path != NULL) {
        return is_at(s, fd, config->path);
    }
    struct address own = socket_own_address(fd);
    return address_is_equal(&own, &config->address);
}

static bool open_own(struct admin_socket *s, const struct config_admin *config, gid_t group) {
    return config->path != NULL ? open_unix(s, config->path, group) : open_tcp(s, &config->address);
}

static bool describe(struct admin_socket *s, const struct config_admin *config) {
    if (config->path == NULL) {
        struct address own = socket_own_address(s->fd);
        address_print(&own, s->text);
        return true;
    }
    snprintf(s->text, sizeof s->text, "unix:%s", config->path);
    s->path = strdup(config->path);
    return s->path != NULL;
}

static int check_folder(const struct config_admin *config, struct error *err) {
    const struct socket_name name = {"admin", config->text, config->path};
    int fd = socket_folder_open(&name, err);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 ? 0 : -1;
}

int admin_socket_open(struct admin_socket *s, const struct config_admin *config, gid_t group,
                      int given, struct error *err) {
    *s = (struct admin_socket){.fd = -1};
    if (config->path != NULL && check_folder(config, err) != 0) {
        if (given >= 0) {
            close(given);
        }
        return -1;
    }
    bool is_given = given >= 0 && is_wanted(s, given, config);
    if (is_given) {
        s->fd = given;
    } else if (given >= 0) {
        close(given);
    }
    bool opened = (is_given || open_own(s, config, group)) && describe(s, config);
    return opened ? 0 : fail(s, config, err);
}

/* Where a process that took over, or one that was to be taken over, has the same socket, it still
 * listens. */
void admin_socket_close(struct admin_socket *s) {
    struct sockaddr_un sa;
    struct stat st;
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->path != NULL && lstat(s->path, &st) == 0 && st.st_dev == s->device &&
        st.st_ino == s->inode && make_address(s->path, &sa) && is_abandoned(&sa)) {
        unlink(s->path);
    }
    free(s->path);
    s->path = NULL;
}
