#include "proxy/listener.h"

#include "base/log.h"
#include "proxy/session.h"
#include "proxy/worker.h"

#include <fcntl.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_A_TURN = 32 };

static void take_connection(struct listener *l) {
    if (l->accepted_this_turn >= ACCEPTS_A_TURN) {
        l->paused = true;
        return;
    }
    if (!session_make_room(l->worker) || !session_accept(l)) {
        l->paused = l->starved = true;
        worker_retry(l->worker);
        return;
    }
    l->accepted_this_turn++;
}

static void on_connection(uv_stream_t *stream, int status) {
    struct listener *l = stream->data;
    if (status == 0) {
        take_connection(l);
        return;
    }
    uint64_t suppressed;
    if (worker_may_log(l->worker, REASON_NONE, &suppressed)) {
        log_message(LOG_LEVEL_ERROR, "accept failed", "%s", uv_strerror(status));
    }
}

int listener_open(struct listener *l, struct worker *w, size_t index, int fd) {
    *l = (struct listener){.worker = w, .index = index};
    int rc = uv_tcp_init(&w->loop, &l->socket);
    if (rc != 0) {
        return rc;
    }
    l->socket.data = l;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    rc = own >= 0 ? uv_tcp_open(&l->socket, own) : UV_EMFILE;
    if (rc != 0 && own >= 0) {
        close(own);
    }
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&l->socket, BACKLOG, on_connection);
    }
    if (rc != 0) {
        uv_close((uv_handle_t *)&l->socket, NULL);
    }
    return rc;
}

void listener_resume(struct listener *l) {
    l->accepted_this_turn = 0;
    if (!l->paused || uv_is_closing((uv_handle_t *)&l->socket)) {
        return;
    }
    l->paused = l->starved = false;
    take_connection(l); /* the one libuv holds; accepting it starts the polling again */
}

void listener_close(struct listener *l) {
    if (!uv_is_closing((uv_handle_t *)&l->socket)) {
        uv_close((uv_handle_t *)&l->socket, NULL);
    }
}
