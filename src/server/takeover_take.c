#include "server/takeover_take.h"

#include "core/log.h"
#include "net/socket.h"
#include "server/descriptors.h"
#include "server/takeover_message.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_MS = 10000,
    SOCKETS_MAX = 16384, /* 256 workers on 64 addresses */
    MESSAGES_MAX = SOCKETS_MAX
};

void takeover_take_init(struct takeover_take *t) {
    *t = (struct takeover_take){.fd = -1, .listen_fd = -1, .admin.fd = -1};
}

bool takeover_take_is_under_way(const struct takeover_take *t) {
    return t->fd >= 0;
}

static void hang_up(struct takeover_take *t) {
    close(t->fd);
    t->fd = -1;
}

/* --- asking --- */

static void wait_for(int fd, struct takeover_message *m) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&wait, 1, ANSWER_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready > 0) {
        takeover_receive(fd, m);
    } else {
        *m = (struct takeover_message){.kind = TAKEOVER_NOTHING};
    }
}

/* Anything but what was to come. */
static int fail(const struct takeover_message *m, struct error *err) {
    switch (m->kind) {
    case TAKEOVER_REFUSED:
        return error_set(err, "the running Postern refuses the takeover: %.300s", m->data);
    case TAKEOVER_NOTHING:
        return error_set(err,
                         "the running Postern did not answer for %d seconds, and continues to "
                         "serve",
                         ANSWER_MS / 1000);
    default:
        return error_set(err, "the running Postern sent something that is not a takeover's");
    }
}

static int add_sockets(struct takeover_take *t, struct takeover_message *m,
                       struct inherited *sockets, struct error *err) {
    for (size_t i = 0; i < m->fd_count; i++) {
        int fd = m->fds[i];
        m->fds[i] = -1;
        if (inherited_add(sockets, fd, INHERITED_TAKEN, m->chosen, err) != 0) {
            return -1;
        }
    }
    t->sockets += m->fd_count;
    return t->sockets <= SOCKETS_MAX ? 0
                                     : error_set(err, "the running Postern has too many sockets");
}

static int take_message(struct takeover_take *t, struct takeover_message *m,
                        struct inherited *sockets, struct tls_tickets *tickets, struct error *err) {
    switch (m->kind) {
    case TAKEOVER_SOCKETS:
        return add_sockets(t, m, sockets, err);
    case TAKEOVER_PATH:
        /* Another kind of descriptor, which is always readable, would keep the loop busy. */
        if (t->listen_fd >= 0 || !socket_listens(m->fds[0], SOCK_SEQPACKET)) {
            m->kind = TAKEOVER_BAD;
            return fail(m, err);
        }
        t->listen_fd = m->fds[0];
        m->fds[0] = -1;
        return 0;
    case TAKEOVER_ADMIN:
        if (t->admin.fd >= 0) {
            return fail(m, err);
        }
        t->admin = (struct socket_given){m->fds[0], m->file};
        m->fds[0] = -1;
        return 0;
    case TAKEOVER_TICKETS:
        if (m->len > 0 && !tls_tickets_import(tickets, m->data, m->len)) {
            return error_set(err, "the running Postern's ticket keys cannot be read");
        }
        return 0;
    default:
        return fail(m, err);
    }
}

/* The answer to one message: 0 and its kind, or -1. TAKEOVER_END_OF_FILE is not a failure. */
static int exchange(struct takeover_take *t, const char *say, struct takeover_message *m) {
    takeover_send(t->fd, "%s", say); /* what cannot be sent has its reason in what comes */
    wait_for(t->fd, m);
    return m->kind == TAKEOVER_END_OF_FILE ? -1 : 0;
}

static int greet(struct takeover_take *t, struct takeover_message *m, struct error *err) {
    char request[64];
    snprintf(request, sizeof request, "postern-takeover %d", TAKEOVER_VERSION);
    if (exchange(t, request, m) != 0) {
        return 0;
    }
    if (m->kind != TAKEOVER_WELCOME) {
        return fail(m, err);
    }
    if (m->number != TAKEOVER_VERSION) {
        return error_set(err, "the running Postern speaks version %lu of the takeover, not %d",
                         m->number, TAKEOVER_VERSION);
    }
    t->old = m->pid;
    return 0;
}

/* Until "end", or the end of the other process. */
static int collect(struct takeover_take *t, struct takeover_message *m, struct inherited *sockets,
                   struct tls_tickets *tickets, struct error *err) {
    int result = greet(t, m, err);
    for (size_t i = 0; result == 0 && m->kind != TAKEOVER_END_OF_FILE; i++) {
        takeover_message_clear(m);
        if (i == MESSAGES_MAX) {
            return error_set(err, "the running Postern does not come to an end");
        }
        if (exchange(t, "next", m) != 0 || m->kind == TAKEOVER_END) {
            break;
        }
        result = take_message(t, m, sockets, tickets, err);
    }
    return result;
}

int takeover_take_ask(struct takeover_take *t, const struct takeover_path *path,
                      struct inherited *sockets, struct tls_tickets *tickets, struct error *err) {
    bool nobody;
    struct takeover_message m = {0};
    t->fd = takeover_path_connect(path, &nobody, err);
    if (nobody) {
        log_message(LOG_LEVEL_WARNING, "takeover",
                    "no Postern listens at %s: this is an ordinary start", path->text);
        return 0;
    }
    if (t->fd < 0) {
        return -1;
    }
    descriptors_raise();
    int result = collect(t, &m, sockets, tickets, err);
    bool ended = m.kind == TAKEOVER_END_OF_FILE;
    takeover_message_clear(&m);
    if (result != 0 || ended) {
        hang_up(t);
    }
    if (result == 0 && ended) {
        log_message(LOG_LEVEL_WARNING, "takeover",
                    "the running Postern ended before it had given everything (%zu sockets): an "
                    "ordinary start with what has come",
                    t->sockets);
    }
    return result;
}

/* --- serving --- */

static void on_answer(uv_poll_t *poll, int status, int events) {
    struct takeover_take *t = poll->data;
    struct takeover_message m;
    takeover_receive(t->fd, &m);
    if (m.kind == TAKEOVER_NOTHING) {
        return;
    }
    uv_poll_stop(poll);
    hang_up(t);
    enum takeover_answer answer = TAKEOVER_IS_OURS;
    struct error err;
    if (m.kind == TAKEOVER_TAKEN) {
        log_message(LOG_LEVEL_INFO, "takeover",
                    "%zu sockets of process %d taken over; that process disconnects its clients",
                    t->sockets, (int)t->old);
    } else if (m.kind == TAKEOVER_END_OF_FILE) {
        log_message(LOG_LEVEL_WARNING, "takeover",
                    "%zu sockets of process %d taken over, which has ended", t->sockets,
                    (int)t->old);
    } else {
        (void)fail(&m, &err);
        log_message(LOG_LEVEL_ERROR, "cannot start", "%s", err.text);
        answer = TAKEOVER_IS_THEIRS;
    }
    takeover_message_clear(&m);
    t->answered(t->arg, answer);
}

int takeover_take_serving(struct takeover_take *t, uv_loop_t *loop,
                          void (*answered)(void *arg, enum takeover_answer answer), void *arg,
                          struct error *err) {
    t->answered = answered;
    t->arg = arg;
    int rc = uv_poll_init(loop, &t->answer, t->fd);
    if (rc != 0) {
        return error_set(err, "cannot watch the takeover: %s", uv_strerror(rc));
    }
    t->answer.data = t;
    uv_poll_start(&t->answer, UV_READABLE, on_answer);
    takeover_send(t->fd, "serving"); /* a failure is reported by what comes */
    return 0;
}

int takeover_take_listening(struct takeover_take *t) {
    int fd = t->listen_fd;
    t->listen_fd = -1;
    return fd;
}

struct socket_given takeover_take_admin(struct takeover_take *t) {
    struct socket_given admin = t->admin;
    t->admin.fd = -1;
    return admin;
}

void takeover_take_close(struct takeover_take *t) {
    if (t->fd >= 0) {
        hang_up(t);
    }
    if (t->listen_fd >= 0) {
        close(t->listen_fd);
        t->listen_fd = -1;
    }
    if (t->admin.fd >= 0) {
        close(t->admin.fd);
        t->admin.fd = -1;
    }
}
