#include "server/takeover_give.h"

#include "core/log.h"
#include "server/takeover_message.h"
#include "server/takeover_path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* From the request to "serving". The new process has read its files by then. */
enum { GIVE_MS = 30000 };

/* What follows the sockets. */
enum { REST_PATH, REST_TICKETS, REST_ADMIN, REST_END };

static void on_listening(uv_poll_t *poll, int status, int events);

/* --- the end of one --- */

static void on_peer_closed(uv_handle_t *handle) {
    struct takeover_give *g = handle->data;
    if (!g->stopped && !uv_is_closing((uv_handle_t *)&g->listening)) {
        uv_poll_start(&g->listening, UV_READABLE, on_listening);
    }
}

static void drop_peer(struct takeover_give *g) {
    uv_timer_stop(&g->deadline);
    uv_close((uv_handle_t *)&g->peer, on_peer_closed);
    close(g->peer_fd);
    g->peer_fd = -1;
}

/* The reason goes to both sides. */
static void refuse(struct takeover_give *g, const char *reason) {
    log_message(LOG_LEVEL_WARNING, "takeover refused",
                "process %d: %s; this process continues to serve", (int)g->peer_pid, reason);
    takeover_send(g->peer_fd, "refused %s", reason);
    drop_peer(g);
}

static void note_death(struct takeover_give *g) {
    if (g->step != GIVE_ASKED) {
        log_message(LOG_LEVEL_WARNING, "takeover refused",
                    "process %d ended before it served; this process continues to serve",
                    (int)g->peer_pid);
    }
    drop_peer(g);
}

/* --- the messages --- */

static bool give_sockets(struct takeover_give *g) {
    const struct bound *b = &g->parts.bound->all[g->address];
    size_t left = b->fd_count - g->socket;
    size_t now = left < PASSING_MAX ? left : PASSING_MAX;
    const int *fds = b->fds + g->socket;
    g->socket += now;
    if (g->socket == b->fd_count) {
        g->address++;
        g->socket = 0;
    }
    return takeover_send_sockets(g->peer_fd, b->port_chosen, fds, now);
}

static bool give_tickets(struct takeover_give *g) {
    uint8_t keys[TLS_TICKETS_EXPORT_MAX];
    size_t len = tls_tickets_export(g->parts.tickets, keys);
    bool sent = takeover_send_tickets(g->peer_fd, keys, len);
    explicit_bzero(keys, sizeof keys);
    return sent;
}

static bool give_next(struct takeover_give *g) {
    if (g->address < g->parts.bound->count) {
        return give_sockets(g);
    }
    switch (g->rest++) {
    case REST_PATH:
        return takeover_send_path(g->peer_fd, g->listen_fd);
    case REST_TICKETS:
        return give_tickets(g);
    case REST_ADMIN:
        if (g->parts.admin.fd >= 0) {
            return takeover_send_admin(g->peer_fd, &g->parts.admin);
        } /* fall through */
    default:
        g->step = GIVE_GIVEN;
        return takeover_send(g->peer_fd, "end");
    }
}

static void on_request(struct takeover_give *g, const struct takeover_message *m) {
    char reason[128];
    if (m->number != TAKEOVER_VERSION) {
        snprintf(reason, sizeof reason,
                 "the running Postern speaks version %d of the takeover, not %lu: restart it",
                 TAKEOVER_VERSION, m->number);
        refuse(g, reason);
        return;
    }
    g->step = GIVE_GIVING;
    if (!takeover_send(g->peer_fd, "welcome %d %d", TAKEOVER_VERSION, (int)getpid())) {
        note_death(g);
    }
}

static void on_serving(struct takeover_give *g) {
    pid_t by = g->peer_pid;
    takeover_send(g->peer_fd, "taken");
    drop_peer(g);
    g->parts.taken(g->parts.arg, by);
}

static void on_message(struct takeover_give *g, const struct takeover_message *m) {
    if (m->kind == TAKEOVER_NOTHING) {
        return;
    }
    if (m->kind == TAKEOVER_END_OF_FILE) {
        note_death(g);
    } else if (m->kind == TAKEOVER_REQUEST && g->step == GIVE_ASKED) {
        on_request(g, m);
    } else if (m->kind == TAKEOVER_NEXT && g->step == GIVE_GIVING) {
        if (!give_next(g)) {
            refuse(g, strerror(errno));
        }
    } else if (m->kind == TAKEOVER_SERVING && g->step == GIVE_GIVEN) {
        on_serving(g);
    } else {
        refuse(g, "a message that does not belong here");
    }
}

static void receive(struct takeover_give *g) {
    struct takeover_message m;
    takeover_receive(g->peer_fd, &m);
    on_message(g, &m);
    takeover_message_clear(&m);
}

static void on_peer(uv_poll_t *poll, int status, int events) {
    receive(poll->data);
}

/* What came just now counts. */
static void on_deadline(uv_timer_t *timer) {
    struct takeover_give *g = timer->data;
    receive(g);
    if (g->peer_fd >= 0) {
        refuse(g, "it did not serve in time");
    }
}

/* --- the beginning --- */

static void begin(struct takeover_give *g, int fd) {
    uid_t uid;
    bool trusted = takeover_path_trusts(fd, &uid, &g->peer_pid);
    if (!trusted || uv_poll_init(g->loop, &g->peer, fd) != 0) {
        char reason[64];
        snprintf(reason, sizeof reason, trusted ? "out of memory" : "it is of user %u",
                 (unsigned)uid);
        log_message(LOG_LEVEL_WARNING, "takeover refused", "process %d: %s", (int)g->peer_pid,
                    reason);
        takeover_send(fd, "refused %s", reason);
        close(fd);
        return;
    }
    g->peer.data = g;
    g->peer_fd = fd;
    g->step = GIVE_ASKED;
    g->address = g->socket = 0;
    g->rest = REST_PATH;
    uv_poll_stop(&g->listening);
    uv_poll_start(&g->peer, UV_READABLE, on_peer);
    uv_timer_start(&g->deadline, on_deadline, GIVE_MS, 0);
}

static void on_listening(uv_poll_t *poll, int status, int events) {
    struct takeover_give *g = poll->data;
    int fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        begin(g, fd);
    }
}

int takeover_give_start(struct takeover_give *g, uv_loop_t *loop, int listen_fd,
                        const struct takeover_give_parts *parts, struct error *err) {
    *g = (struct takeover_give){
        .parts = *parts, .loop = loop, .listen_fd = listen_fd, .peer_fd = -1};
    int rc = uv_poll_init(loop, &g->listening, listen_fd);
    if (rc != 0) {
        return error_set(err, "cannot watch the takeover socket: %s", uv_strerror(rc));
    }
    g->started = true;
    g->listening.data = g;
    uv_timer_init(loop, &g->deadline);
    g->deadline.data = g;
    uv_poll_start(&g->listening, UV_READABLE, on_listening);
    return 0;
}

void takeover_give_stop(struct takeover_give *g) {
    if (g->started && !g->stopped) {
        g->stopped = true;
        uv_poll_stop(&g->listening);
    }
}

bool takeover_give_is_under_way(const struct takeover_give *g) {
    return g->started && g->peer_fd >= 0;
}

void takeover_give_close(struct takeover_give *g) {
    if (takeover_give_is_under_way(g)) {
        close(g->peer_fd);
        g->peer_fd = -1;
    }
}
