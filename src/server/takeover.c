#include "server/takeover.h"

#include "core/log.h"

#include <unistd.h>

void takeover_init(struct takeover *t) {
    *t = (struct takeover){.listen_fd = -1};
    takeover_path_init(&t->path);
    takeover_take_init(&t->take);
}

int takeover_ask(struct takeover *t, const char *file, struct inherited *sockets,
                 struct tls_tickets *tickets, struct error *err) {
    if (takeover_path_open(&t->path, file, err) != 0 ||
        takeover_take_ask(&t->take, &t->path, sockets, tickets, err) != 0) {
        return -1;
    }
    t->listen_fd = takeover_take_listening(&t->take);
    return 0;
}

int takeover_listen(struct takeover *t, const char *file, struct error *err) {
    if (t->listen_fd >= 0) {
        takeover_path_sign(t->listen_fd);
        if (!takeover_take_is_under_way(&t->take)) {
            socket_file_adopt(&t->path.file); /* the old process has ended */
        }
        return 0;
    }
    if (file == NULL) {
        return 0;
    }
    if (t->path.text == NULL && takeover_path_open(&t->path, file, err) != 0) {
        return -1;
    }
    t->listen_fd = takeover_path_listen(&t->path, err);
    return t->listen_fd >= 0 ? 0 : -1;
}

/* --- to be taken over --- */

static void on_taken(void *arg, pid_t by) {
    struct takeover *t = arg;
    socket_file_give_away(&t->path.file);
    t->events.taken(t->events.arg, by);
}

static int accept_takeovers(struct takeover *t, struct error *err) {
    struct takeover_give_parts parts = {
        .bound = t->bound, .tickets = t->tickets, .admin = t->admin, .arg = t, .taken = on_taken};
    return t->listen_fd < 0 ? 0 : takeover_give_start(&t->give, t->loop, t->listen_fd, &parts, err);
}

/* --- taking over --- */

static void on_answered(void *arg, enum takeover_answer answer) {
    struct takeover *t = arg;
    struct error err;
    if (answer == TAKEOVER_IS_THEIRS) {
        t->events.refused(t->events.arg);
        return;
    }
    socket_file_adopt(&t->path.file);
    if (accept_takeovers(t, &err) != 0) {
        log_message(LOG_LEVEL_ERROR, "takeover", "%s; this process cannot be taken over", err.text);
    }
}

int takeover_serve(struct takeover *t, uv_loop_t *loop, const struct bound_set *bound,
                   struct tls_tickets *tickets, struct socket_given admin,
                   struct takeover_events events, struct error *err) {
    t->loop = loop;
    t->bound = bound;
    t->tickets = tickets;
    t->admin = admin;
    t->events = events;
    return takeover_take_is_under_way(&t->take)
               ? takeover_take_serving(&t->take, loop, on_answered, t, err)
               : accept_takeovers(t, err);
}

static void close_listening(struct takeover *t) {
    if (t->listen_fd >= 0) {
        close(t->listen_fd);
        t->listen_fd = -1;
    }
}

/* A takeover that is under way may end well: the other process gets the file then. */
void takeover_stop(struct takeover *t) {
    takeover_give_stop(&t->give);
    if (!takeover_give_is_under_way(&t->give)) {
        socket_file_remove(&t->path.file);
        close_listening(t);
    }
}

bool takeover_is_under_way(const struct takeover *t) {
    return takeover_give_is_under_way(&t->give);
}

/* If one is still under way, the other process sees this one end, and serves. */
void takeover_close(struct takeover *t) {
    if (takeover_give_is_under_way(&t->give)) {
        socket_file_give_away(&t->path.file);
    }
    takeover_give_close(&t->give);
    takeover_stop(t);
    takeover_take_close(&t->take);
    takeover_path_close(&t->path);
}
