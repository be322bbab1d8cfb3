#include "session/listing.h"

#include "session/state.h"

#include <stdio.h>

/* A row takes about 0.2 us, more where memory is cold. */
enum { ROWS_A_TURN = 64 };

static void copy_text(char out[LISTING_TEXT], const char *text) {
    snprintf(out, LISTING_TEXT, "%s", text != NULL ? text : "");
}

static void fill(struct listing_row *row, const struct session *s) {
    const struct runtime_listener *l = session_listener(s);
    bool dialled = s->backend < l->config->backend_count && conn_is_open(&s->broker);
    *row = (struct listing_row){
        .listener = s->listener,
        .phase = (enum phase_id)s->phase,
        .client = s->client_addr,
        .age_ms = pool_now_ms(s->pool) - s->accepted_ms,
        .accepted_s = s->accepted_s,
        .up = s->up,
        .down = s->down,
        .backend = dialled ? backend_text(l->backends[s->backend]) : NULL,
    };
    copy_text(row->route, l->config->route);
    copy_text(row->server_name, s->server_name);
    if (s->established) {
        row->version = engine_version(s->engine);
        row->cipher = engine_cipher(s->engine);
        row->group = engine_group(s->engine);
        row->resumed = engine_is_resumed(s->engine);
        copy_text(row->identity, engine_identity(s->engine));
    }
}

void listing_begin(struct pool *pool, size_t walk) {
    pool->walks[walk] = (struct pool_walk){pool->live.next, pool_now_ms(pool)};
}

size_t listing_take(struct pool *pool, size_t walk, struct listing_row *rows, size_t max,
                    bool *more) {
    struct pool_walk *w = &pool->walks[walk];
    size_t count = 0;
    for (size_t seen = 0; seen < ROWS_A_TURN && count < max && w->next != NULL; seen++) {
        if (w->next == &pool->live) {
            w->next = NULL;
            break;
        }
        const struct session *s = session_of(container_of(w->next, struct pool_member, link));
        w->next = w->next->next;
        if (s->accepted_ms <= w->began_ms) {
            fill(&rows[count++], s);
        }
    }
    *more = w->next != NULL;
    return count;
}
