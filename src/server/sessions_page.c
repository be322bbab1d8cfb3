#include "server/sessions_page.h"

#include "core/utf8.h"
#include "server/page_text.h"
#include "server/worker.h"
#include "session/listing.h"
#include "session/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum { PATIENCE_MS = 2000, ROWS = 64 };

/* --- JSON --- */

/* As the log does it: a byte that is not of UTF-8 is \xHH, which JSON escapes once more. */
static void put_string(struct page_text *t, const char *value) {
    const uint8_t *s = (const uint8_t *)value;
    page_put(t, "\"", 1);
    for (size_t left = strlen(value), used; left > 0; s += used, left -= used) {
        uint32_t code = 0;
        used = utf8_decode(s, left, &code);
        if (used == 0) {
            used = 1;
            page_print(t, "\\\\x%02x", s[0]);
        } else if (code == '"' || code == '\\') {
            page_print(t, "\\%c", s[0]);
        } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            page_print(t, "\\u%04x", (unsigned)code);
        } else {
            page_put(t, (const char *)s, used);
        }
    }
    page_put(t, "\"", 1);
}

/* NULL and "" are null. */
static void put_pair(struct page_text *t, const char *key, const char *value) {
    page_print(t, ",\"%s\":", key);
    if (value == NULL || value[0] == '\0') {
        page_put(t, "null", 4);
    } else {
        put_string(t, value);
    }
}

/* --- one session --- */

static void print_time(char text[32], int64_t seconds) {
    struct tm utc;
    time_t when = (time_t)seconds;
    if (gmtime_r(&when, &utc) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, 32, "-");
    }
}

static void put_row(struct page_text *t, const struct config *config,
                    const struct listing_row *row) {
    char address[ADDRESS_TEXT_SIZE], since[32];
    print_time(since, row->accepted_s);
    page_put(t, "{\"listener\":", 12);
    put_string(t, config->listeners[row->listener].name);
    put_pair(t, "route", row->route);
    put_pair(t, "state", metrics_phase_name((size_t)row->phase));
    put_pair(t, "peer", address_print(&row->client, address));
    put_pair(t, "since", since);
    page_print(t, ",\"seconds\":%" PRIu64 ".%u", row->age_ms / 1000,
               (unsigned)(row->age_ms % 1000 / 100));
    put_pair(t, "identity", row->identity);
    put_pair(t, "sni", row->server_name);
    put_pair(t, "tls", row->version);
    put_pair(t, "cipher", row->cipher);
    put_pair(t, "group", row->group);
    page_print(t, ",\"resumed\":%s", row->resumed ? "true" : "false");
    put_pair(t, "backend", row->backend);
    page_print(t, ",\"up\":%" PRIu64 ",\"down\":%" PRIu64 "}", row->up, row->down);
}

/* --- the walk --- */

/* The place of a new listing: one that is over, or the one that stands still for longest. */
static size_t begin(struct sessions_walks *walks) {
    size_t oldest = 0;
    for (size_t i = 1; i < POOL_WALKS; i++) {
        if (walks->all[i].ticket < walks->all[oldest].ticket) {
            oldest = i;
        }
    }
    walks->all[oldest] = (struct sessions_walk){.begins = true};
    return oldest;
}

static enum sessions_result find(const struct sessions_walks *walks, const char *next,
                                 size_t *place) {
    char *end;
    uint64_t ticket = strtoull(next, &end, 10);
    if (*end != '\0' || ticket == 0 || next[0] < '0' || next[0] > '9') {
        return SESSIONS_BAD_NEXT;
    }
    for (size_t i = 0; i < POOL_WALKS; i++) {
        if (walks->all[i].ticket == ticket) {
            *place = i;
            return SESSIONS_OK;
        }
    }
    return SESSIONS_OVER;
}

struct page {
    struct page_text text;
    struct workers *workers;
    const struct config *config;
    struct sessions_walk *walk;
    size_t place, limit, count;
    uint64_t until_ns;
};

static void put_rows(struct page *p, const struct listing_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        page_print(&p->text, "%s\n", p->count > 0 ? "," : "");
        p->count++;
        put_row(&p->text, p->config, &rows[i]);
    }
}

/* A worker that has ended has no sessions; one that does not answer in time fails the page. */
static enum sessions_result ask(struct page *p, struct listing_row *rows) {
    size_t left = p->limit - p->count;
    struct worker_listing listing = {.walk = p->place,
                                     .begins = p->walk->begins,
                                     .rows = rows,
                                     .max = left < ROWS ? left : ROWS};
    uint64_t now_ns = uv_hrtime();
    if (now_ns >= p->until_ns) {
        return SESSIONS_NO_ANSWER;
    }
    if (!workers_list(p->workers, p->walk->worker, &listing, (p->until_ns - now_ns) / 1000000)) {
        return SESSIONS_NO_ANSWER;
    }
    put_rows(p, rows, listing.count);
    p->walk->begins = !listing.more;
    p->walk->worker += !listing.more;
    return SESSIONS_OK;
}

static enum sessions_result fill(struct page *p) {
    struct listing_row *rows = calloc(ROWS, sizeof *rows);
    enum sessions_result result = rows != NULL ? SESSIONS_OK : SESSIONS_NO_MEMORY;
    while (result == SESSIONS_OK && p->count < p->limit && p->walk->worker < p->workers->count) {
        result = ask(p, rows);
    }
    free(rows);
    return result;
}

enum sessions_result sessions_page(struct sessions_walks *walks, struct workers *workers,
                                   const struct config *config, const char *next, size_t limit,
                                   struct buf *out) {
    struct page p = {.text = {.out = out},
                     .workers = workers,
                     .config = config,
                     .limit = limit,
                     .until_ns = uv_hrtime() + PATIENCE_MS * 1000000ull};
    enum sessions_result result = SESSIONS_OK;
    if (next == NULL) {
        p.place = begin(walks);
    } else {
        result = find(walks, next, &p.place);
    }
    if (result != SESSIONS_OK) {
        return result;
    }
    p.walk = &walks->all[p.place];
    p.walk->ticket = ++walks->last_ticket;
    page_put(&p.text, "{\"sessions\":[", 13);
    result = fill(&p);
    if (result == SESSIONS_OK && p.walk->worker < workers->count) {
        page_print(&p.text, "\n],\"next\":\"%" PRIu64 "\"}\n", p.walk->ticket);
    } else {
        p.walk->ticket = 0;
        page_print(&p.text, "\n],\"next\":null}\n");
    }
    return result == SESSIONS_OK && p.text.failed ? SESSIONS_NO_MEMORY : result;
}
