#include "server/status_page.h"

#include "server/page_text.h"
#include "session/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void print_time(char text[32], int64_t seconds) {
    time_t when = (time_t)seconds;
    struct tm utc;
    if (gmtime_r(&when, &utc) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, 32, "-");
    }
}

static void print_listener(struct page_text *l, const struct metrics_sources *from, size_t index) {
    uint64_t relaying = 0, accepted = 0, failed = 0;
    for (size_t i = 0; from->workers != NULL && i < from->workers->count; i++) {
        const struct metrics_listener *m = &workers_metrics(from->workers, i)->listeners[index];
        relaying += counter_get(&m->phases[PHASE_RELAYING]);
        accepted += counter_get(&m->accepted);
        for (size_t k = 0; k < REASON_COUNT; k++) {
            failed += counter_get(&m->failed[k]);
        }
    }
    page_print(l,
               "listener %s: %" PRIu64 " clients at a broker, %zu connections, %" PRIu64
               " accepted since the start, %" PRIu64 " handshakes failed\n",
               from->runtime->config->listeners[index].name, relaying,
               limits_connections(from->limits, index), accepted, failed);
}

static void print_backend(void *arg, const struct backend_counts *b) {
    page_print(arg, "backend %s: %s, %zu dials under way, %zu waiting\n", b->text,
               b->down ? "down" : "up", b->under_way, b->waiting);
}

static void print_reload(struct page_text *l, const struct reload_counts *r) {
    uint64_t done = counter_get(&r->done), refused = counter_get(&r->refused);
    char when[32];
    print_time(when, (int64_t)counter_get(&r->last_time));
    if (done + refused == 0) {
        page_print(l, "reload: none since the start\n");
    } else {
        page_print(l, "reload: the last one was %s at %s\n",
                   counter_get(&r->last_done) != 0 ? "done" : "refused (the log has the reason)",
                   when);
    }
}

bool status_page(const struct metrics_sources *from, const char *obstacle, struct buf *out) {
    struct page_text l = {.out = out};
    char since[32];
    print_time(since, from->process.started);
    page_print(&l, "%s%s\n",
               obstacle == NULL ? "ready" : "not ready: ", obstacle == NULL ? "" : obstacle);
    page_print(&l, "Postern %s since %s, %zu workers\n", POSTERN_VERSION, since,
               from->workers != NULL ? from->workers->count : 0);
    for (size_t i = 0; i < from->runtime->config->listener_count; i++) {
        print_listener(&l, from, i);
    }
    backend_table_each(from->backends, print_backend, &l);
    print_reload(&l, from->reloads);
    page_print(&l, "memory: %" PRIu64 " KB; open files: %" PRIu64 " of %" PRIu64 "\n",
               from->process.resident_bytes / 1024, from->process.descriptors,
               from->process.max_descriptors);
    return !l.failed;
}
