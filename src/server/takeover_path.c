#include "server/takeover_path.h"

#include "server/socket_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8 };

void takeover_path_init(struct takeover_path *p) {
    *p = (struct takeover_path){.folder = -1};
}

int takeover_path_check_name(const char *file, struct error *err) {
    const char *slash = strrchr(file, '/');
    const char *name = slash != NULL ? slash + 1 : file;
    size_t len = strlen(name), room = sizeof((struct takeover_path *)0)->name - 1;
    if (len == 0 || len > room || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return error_set(err, "takeover = %s: the file's name must have 1 to %zu characters", file,
                         room);
    }
    return 0;
}

int takeover_path_open(struct takeover_path *p, const char *file, struct error *err) {
    const struct socket_name name = {"takeover", file, file};
    const char *slash = strrchr(file, '/');
    if (takeover_path_check_name(file, err) != 0) {
        return -1;
    }
    p->text = strdup(file);
    if (p->text == NULL) {
        return error_set(err, "out of memory");
    }
    snprintf(p->name, sizeof p->name, "%s", slash != NULL ? slash + 1 : file);
    p->folder = socket_folder_open(&name, err);
    return p->folder >= 0 ? 0 : -1;
}

void takeover_path_close(struct takeover_path *p) {
    if (p->folder >= 0) {
        close(p->folder);
    }
    free(p->text);
    takeover_path_init(p);
}

/* unix(7) has no calls that start in a folder; a name in /proc leads to the one that is open. */
static bool make_address(const struct takeover_path *p, const char *name, struct sockaddr_un *sa) {
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(sa->sun_path, sizeof sa->sun_path, "/proc/self/fd/%d/%s", p->folder, name);
    return len > 0 && (size_t)len < sizeof sa->sun_path;
}

static int packet_socket(void) {
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* -1 with errno: ENOENT or ECONNREFUSED if nobody listens there. The file must not be a link, and a
 * trusted user's: the folder is, but what its owner moved there may not be. */
static int connect_checked(const struct takeover_path *p) {
    struct sockaddr_un sa;
    struct stat st;
    if (fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    if (!S_ISSOCK(st.st_mode) || !socket_folder_trusts(st.st_uid)) {
        errno = EPERM;
        return -1;
    }
    int fd = packet_socket();
    if (fd < 0 || !make_address(p, p->name, &sa) ||
        connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0) {
        int saved = errno;
        if (fd >= 0) {
            close(fd);
        }
        errno = saved;
        return -1;
    }
    return fd;
}

static int fail(const struct takeover_path *p, struct error *err, const char *doing) {
    if (errno == EPERM) {
        return error_set(err,
                         "takeover = %s: what is there is not a socket of this user or root; "
                         "remove it",
                         p->text);
    }
    return error_set(err, "takeover = %s: cannot %s: %s", p->text, doing, strerror(errno));
}

int takeover_path_connect(const struct takeover_path *p, bool *nobody, struct error *err) {
    uid_t uid;
    pid_t pid;
    int fd = connect_checked(p);
    *nobody = fd < 0 && (errno == ENOENT || errno == ECONNREFUSED);
    if (fd < 0) {
        return fail(p, err, "connect to the running Postern");
    }
    if (!takeover_path_trusts(fd, &uid, &pid)) {
        close(fd);
        return error_set(err, "takeover = %s: the process that listens there is of user %u",
                         p->text, (unsigned)uid);
    }
    return fd;
}

bool takeover_path_trusts(int fd, uid_t *uid, pid_t *pid) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        peer = (struct ucred){.uid = (uid_t)-1};
    }
    *uid = peer.uid;
    *pid = peer.pid;
    return socket_folder_trusts(peer.uid);
}

/* Whether the name is free, or a socket's that nobody listens on. */
static int check_free(const struct takeover_path *p, struct error *err) {
    int fd = connect_checked(p);
    if (fd >= 0) {
        close(fd);
        return error_set(err, "takeover = %s: another Postern listens there; give each its own",
                         p->text);
    }
    return errno == ENOENT || errno == ECONNREFUSED ? 0 : fail(p, err, "look at it");
}

static void note_file(struct takeover_path *p) {
    struct stat st;
    if (fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        p->owned = true;
        p->device = st.st_dev;
        p->inode = st.st_ino;
    }
}

/* Under another name first: the file is complete when it appears, and replaces one that is left
 * over in one step. fchmod before bind decides the mode of the file. */
static int bind_file(const struct takeover_path *p, int fd) {
    struct sockaddr_un sa;
    char temporary[sizeof p->name + 16];
    snprintf(temporary, sizeof temporary, ".%s.%d", p->name, (int)getpid());
    if (!make_address(p, temporary, &sa)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    unlinkat(p->folder, temporary, 0); /* of a process of this number that was killed */
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&sa, sizeof sa) != 0) {
        return -1;
    }
    if (listen(fd, BACKLOG) != 0 || renameat(p->folder, temporary, p->folder, p->name) != 0) {
        int saved = errno;
        unlinkat(p->folder, temporary, 0);
        errno = saved;
        return -1;
    }
    return 0;
}

int takeover_path_listen(struct takeover_path *p, struct error *err) {
    if (check_free(p, err) != 0) {
        return -1;
    }
    int fd = packet_socket();
    if (fd < 0 || bind_file(p, fd) != 0) {
        (void)fail(p, err, "listen there");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    note_file(p);
    return fd;
}

/* listen notes the user and process that peers will see (unix_listen in Linux). */
void takeover_path_sign(int fd) {
    (void)listen(fd, BACKLOG);
}

void takeover_path_adopt(struct takeover_path *p) {
    note_file(p);
}

void takeover_path_give_away(struct takeover_path *p) {
    p->owned = false;
}

void takeover_path_remove(struct takeover_path *p) {
    struct stat st;
    if (p->owned && fstatat(p->folder, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == p->device && st.st_ino == p->inode) {
        unlinkat(p->folder, p->name, 0);
    }
    p->owned = false;
}
