#include "server/takeover_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MODE = 0600 };

void takeover_path_init(struct takeover_path *p) {
    *p = (struct takeover_path){0};
    socket_file_init(&p->file);
}

int takeover_path_open(struct takeover_path *p, const char *file, struct error *err) {
    const struct socket_name name = {"takeover", file, file};
    p->text = strdup(file);
    return p->text != NULL ? socket_file_open(&p->file, &name, err)
                           : error_set(err, "out of memory");
}

void takeover_path_close(struct takeover_path *p) {
    socket_file_close(&p->file);
    free(p->text);
    p->text = NULL;
}

static int fail(const struct takeover_path *p, struct error *err, const char *doing) {
    switch (errno) {
    case ENOTSOCK:
        return error_set(err,
                         "takeover = %s: what is there is not a socket of this user or root; "
                         "remove it",
                         p->text);
    case EADDRINUSE:
        return error_set(err, "takeover = %s: another Postern listens there; give each its own",
                         p->text);
    default:
        return error_set(err, "takeover = %s: cannot %s: %s", p->text, doing, strerror(errno));
    }
}

int takeover_path_connect(const struct takeover_path *p, bool *nobody, struct error *err) {
    uid_t uid;
    pid_t pid;
    int fd = socket_file_connect(&p->file, SOCK_SEQPACKET);
    *nobody = fd < 0 && (errno == ENOENT || errno == ECONNREFUSED);
    if (fd < 0) {
        return fail(p, err, "connect to the running Postern");
    }
    if (!takeover_path_trusts(fd, &uid, &pid)) {
        close(fd);
        return error_set(err,
                         "takeover = %s: the process that listens there is of user %u, not of this "
                         "user or root; stop it, or name another path",
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

int takeover_path_listen(struct takeover_path *p, struct error *err) {
    int fd = socket_file_listen(&p->file, SOCK_SEQPACKET, MODE, (gid_t)-1);
    return fd >= 0 ? fd : fail(p, err, "listen there");
}

/* listen notes the user and process that peers will see (unix_listen in Linux). */
void takeover_path_sign(int fd) {
    (void)listen(fd, SOCKET_FILE_BACKLOG);
}
