#include "server/ctl_client.h"

#include "server/socket_folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A reload may read long lists. */
enum { PATIENCE_SECONDS = 120, ANSWER_MAX = 8 << 20, PIECE = 65536 };

static int connect_to(const struct config_admin *admin) {
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(struct sockaddr_un);
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    if (admin->path != NULL) {
        struct sockaddr_un *un = (struct sockaddr_un *)&sa;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, admin->path, strlen(admin->path) + 1);
    } else {
        len = address_to_sockaddr(&admin->address, &sa);
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&sa, len) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The server must be a user that may have made the socket's folder: root, the user that runs
 * Postern, who owns it, or the caller. Another one would see what is asked, and could answer
 * anything. */
static int check_server(const struct config_admin *admin, int fd, struct error *err) {
    const struct socket_name name = {"admin", admin->text, admin->path};
    struct ucred server;
    socklen_t len = sizeof server;
    uid_t owner;
    if (admin->path == NULL) {
        return 0;
    }
    if (socket_folder_find_owner(&name, &owner, err) != 0) {
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &len) != 0) {
        return error_set(err, "%s: cannot find out who answers: %s", admin->text, strerror(errno));
    }
    return socket_folder_trusts(server.uid) || server.uid == owner
               ? 0
               : error_set(err,
                           "%s: the process that listens there is of user %u, not of root, of this "
                           "user or of the owner of its folder; find it with ss -xlp, and name "
                           "the right socket with --admin",
                           admin->text, (unsigned)server.uid);
}

static bool send_request(int fd, const char *method, const char *path) {
    char text[256];
    int len = snprintf(text, sizeof text,
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                       "Content-Length: 0\r\n\r\n",
                       method, path);
    return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

/* To the end of the connection. */
static bool receive(int fd, struct buf *out) {
    ssize_t got;
    do {
        if (!buf_reserve(out, PIECE, ANSWER_MAX)) {
            errno = ENOMEM;
            return false;
        }
        got = recv(fd, out->data + out->len, PIECE, 0);
        out->len += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got == 0;
}

/* The status, where the body begins, and that it is whole. */
static bool parse(struct ctl_answer *a) {
    static const char length[] = "\r\nContent-Length: ";
    if (!buf_append(&a->bytes, "", 1, SIZE_MAX)) {
        return false;
    }
    char *text = (char *)a->bytes.data, *end = strstr(text, "\r\n\r\n");
    if (end == NULL || sscanf(text, "HTTP/1.%*1[01] %3u", &a->status) != 1) {
        return false;
    }
    a->head = (size_t)(end - text) + 4;
    const char *given = strcasestr(text, length);
    return given != NULL && given < end &&
           strtoul(given + sizeof length - 1, NULL, 10) == a->bytes.len - 1 - a->head;
}

int ctl_ask(const struct config_admin *admin, const char *method, const char *path,
            struct ctl_answer *answer, struct error *err) {
    *answer = (struct ctl_answer){0};
    int fd = connect_to(admin);
    if (fd < 0) {
        return error_set(err, "%s: cannot connect: %s%s", admin->text, strerror(errno),
                         errno == EACCES ? "; members of the socket's group may"
                                         : "; does Postern run, with this address in admin?");
    }
    if (check_server(admin, fd, err) != 0) {
        close(fd);
        return -1;
    }
    bool answered = send_request(fd, method, path) && receive(fd, &answer->bytes);
    int error = errno;
    close(fd);
    if (answered && parse(answer)) {
        return 0;
    }
    ctl_answer_free(answer);
    return answered ? error_set(err, "%s: what answers there is no Postern", admin->text)
                    : error_set(err, "%s: no answer: %s", admin->text,
                                error == EAGAIN ? "it takes too long" : strerror(error));
}

char *ctl_answer_body(const struct ctl_answer *answer) {
    return (char *)answer->bytes.data + answer->head;
}

void ctl_answer_free(struct ctl_answer *answer) {
    buf_free(&answer->bytes);
}
