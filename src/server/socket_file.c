#include "server/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* With a dot before it, and a dot and a number of ten digits after it. */
enum { TEMPORARY_SIZE = sizeof((struct socket_file *)0)->name + 12 };

void socket_file_init(struct socket_file *f) {
    *f = (struct socket_file){.folder = -1};
}

static const char *name_in(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash != NULL ? slash + 1 : file;
}

int socket_file_check_name(const struct socket_name *socket, struct error *err) {
    const char *name = name_in(socket->file);
    size_t len = strlen(name), room = sizeof((struct socket_file *)0)->name - 1;
    if (len == 0 || len > room || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return error_set(err, "%s = %s: the file's name must have 1 to %zu characters", socket->key,
                         socket->value, room);
    }
    return 0;
}

int socket_file_open(struct socket_file *f, const struct socket_name *socket, struct error *err) {
    if (socket_file_check_name(socket, err) != 0) {
        return -1;
    }
    snprintf(f->name, sizeof f->name, "%s", name_in(socket->file));
    f->folder = socket_folder_open(socket, err);
    return f->folder >= 0 ? 0 : -1;
}

void socket_file_close(struct socket_file *f) {
    if (f->folder >= 0) {
        close(f->folder);
    }
    socket_file_init(f);
}

/* unix(7) has no calls that start in a folder; a name in /proc leads to the one that is open. */
static struct sockaddr_un address_of(const struct socket_file *f, const char *name) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    _Static_assert(sizeof sa.sun_path >= sizeof "/proc/self/fd/2147483647/" - 1 + TEMPORARY_SIZE,
                   "each name fits");
    snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/%s", f->folder, name);
    return sa;
}

/* After a failure, with its errno. */
static int give_up(int fd) {
    int saved = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return -1;
}

static int make_socket(int type) {
    return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int socket_file_connect(const struct socket_file *f, int type) {
    struct sockaddr_un sa = address_of(f, f->name);
    struct stat st;
    if (fstatat(f->folder, f->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    if (!S_ISSOCK(st.st_mode) || !socket_folder_trusts(st.st_uid)) {
        errno = ENOTSOCK;
        return -1;
    }
    int fd = make_socket(type);
    bool connected = fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0;
    return connected ? fd : give_up(fd);
}

/* --- making it --- */

/* Whether the name is free, or a socket's that nobody listens on. */
static bool is_free(const struct socket_file *f, int type) {
    int fd = socket_file_connect(f, type);
    if (fd >= 0) {
        close(fd);
    }
    if (fd >= 0 || errno == EAGAIN) { /* who listens there is busy */
        errno = EADDRINUSE;
        return false;
    }
    return errno == ENOENT || errno == ECONNREFUSED;
}

/* The kernel makes the file with all rights that the umask leaves. */
static bool bind_with_mode(const struct socket_file *f, const char *name, int fd, mode_t mode) {
    struct sockaddr_un sa = address_of(f, name);
    mode_t before = umask(~mode & 0777);
    int rc = bind(fd, (const struct sockaddr *)&sa, sizeof sa);
    umask(before);
    return rc == 0;
}

static bool set_group(const struct socket_file *f, const char *name, gid_t group) {
    struct stat st;
    if (group == (gid_t)-1) {
        return true;
    }
    return fstatat(f->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (st.st_gid == group ||
            fchownat(f->folder, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) == 0);
}

static struct socket_identity identity_of(const struct socket_file *f, const char *name) {
    struct stat st;
    if (fstatat(f->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return (struct socket_identity){0};
    }
    return (struct socket_identity){st.st_dev, st.st_ino};
}

/* Under another name first: the file is complete when it appears, and replaces one that is left
 * over in one step. Another program may replace it as soon as it has the name, so that it is looked
 * at before. */
static bool make_file(struct socket_file *f, int fd, mode_t mode, gid_t group) {
    char temporary[TEMPORARY_SIZE];
    snprintf(temporary, sizeof temporary, ".%s.%d", f->name, (int)getpid());
    unlinkat(f->folder, temporary, 0); /* of a process of this number that was killed */
    if (!bind_with_mode(f, temporary, fd, mode)) {
        return false;
    }
    struct socket_identity made = identity_of(f, temporary);
    if (set_group(f, temporary, group) && listen(fd, SOCKET_FILE_BACKLOG) == 0 &&
        renameat(f->folder, temporary, f->folder, f->name) == 0) {
        f->own = made;
        return true;
    }
    int saved = errno;
    unlinkat(f->folder, temporary, 0);
    errno = saved;
    return false;
}

int socket_file_listen(struct socket_file *f, int type, mode_t mode, gid_t group) {
    int fd = is_free(f, type) ? make_socket(type) : -1;
    if (fd < 0 || !make_file(f, fd, mode, group)) {
        return give_up(fd);
    }
    return fd;
}

/* --- whose it is --- */

struct socket_identity socket_file_there(const struct socket_file *f) {
    return identity_of(f, f->name);
}

bool socket_file_is_same(const struct socket_identity *a, const struct socket_identity *b) {
    return a->device == b->device && a->inode == b->inode;
}

void socket_file_adopt(struct socket_file *f) {
    f->own = socket_file_there(f);
}

void socket_file_give_away(struct socket_file *f) {
    f->own = (struct socket_identity){0};
}

void socket_file_remove(struct socket_file *f) {
    struct socket_identity there = socket_file_there(f);
    if (f->own.inode != 0 && socket_file_is_same(&there, &f->own)) {
        unlinkat(f->folder, f->name, 0);
    }
    socket_file_give_away(f);
}
