#include "broker/backend.h"

#include "core/log.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { RESOLVED_MS = 10000, NO_PORTS_MS = 1000, LINE_MS = 10000 };

/* A line about this local address has been written. */
struct source_line {
    struct address source;
    uint64_t until_ms; /* no other one before that */
};

struct backend {
    struct backend *next;
    char *text, *host, *path; /* host or path is NULL */
    uint16_t port;
    unsigned first_parity;
    atomic_uint users;
    atomic_bool down;
    atomic_int down_status;
    atomic_uint_fast64_t down_since_ms;
    atomic_uint_fast64_t answered_ms; /* when it accepted a connection last */
    atomic_uint silent;               /* dials without an answer since then */
    atomic_bool probed;               /* by some thread */

    struct dial_limit limit;
    atomic_uint_fast64_t dials, failures[BACKEND_FAILURES];
    atomic_size_t source;
    atomic_size_t half_used; /* sources in a row whose first half of ports is in use */
    atomic_bool searches_all_ports;
    atomic_uint_fast64_t no_ports_until_ms, no_ports_line_at_ms;

    pthread_mutex_t mutex; /* guards what follows */
    struct source_line source_lines[BACKEND_BAD_SOURCES];
    struct address addresses[BACKEND_ADDRESSES];
    size_t address_count;
    uint64_t resolved_until_ms; /* UINT64_MAX for a numeric address */
};

struct backend_table {
    unsigned first_parity;
    pthread_mutex_t mutex; /* guards what follows */
    struct backend *first;
};

/* --- the table of the process --- */

struct backend_table *backend_table_new(unsigned first_parity) {
    struct backend_table *table = calloc(1, sizeof *table);
    if (table != NULL) {
        table->first_parity = first_parity;
        pthread_mutex_init(&table->mutex, NULL);
    }
    return table;
}

static void free_backend(struct backend *b) {
    pthread_mutex_destroy(&b->mutex);
    dial_limit_destroy(&b->limit);
    free(b->text);
    free(b->host);
    free(b->path);
    free(b);
}

void backend_table_free(struct backend_table *table) {
    if (table == NULL) {
        return;
    }
    while (table->first != NULL) {
        struct backend *b = table->first;
        table->first = b->next;
        free_backend(b);
    }
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

/* A numeric host needs no lookup, now or later. */
static void take_numeric_address(struct backend *b) {
    struct address *a = &b->addresses[0];
    if (b->host != NULL && address_parse_host(b->host, strlen(b->host), a) == ADDRESS_OK) {
        a->port = b->port;
        b->address_count = 1;
        b->resolved_until_ms = UINT64_MAX;
    }
}

static struct backend *make_backend(const struct config_backend *config) {
    struct backend *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    pthread_mutex_init(&b->mutex, NULL);
    dial_limit_init(&b->limit);
    b->text = strdup(config->text);
    b->host = config->host != NULL ? strdup(config->host) : NULL;
    b->path = config->path != NULL ? strdup(config->path) : NULL;
    b->port = config->port;
    if (b->text == NULL || (b->host == NULL && b->path == NULL)) {
        free_backend(b);
        return NULL;
    }
    take_numeric_address(b);
    return b;
}

struct backend *backend_get(struct backend_table *table, const struct config_backend *config) {
    pthread_mutex_lock(&table->mutex);
    struct backend *b = table->first;
    while (b != NULL && strcmp(b->text, config->text) != 0) {
        b = b->next;
    }
    if (b == NULL) {
        b = make_backend(config);
        if (b != NULL) {
            b->first_parity = table->first_parity;
            b->next = table->first;
            table->first = b;
        }
    }
    if (b != NULL) {
        atomic_fetch_add(&b->users, 1);
    }
    pthread_mutex_unlock(&table->mutex);
    return b;
}

void backend_put(struct backend *b) {
    if (b != NULL) {
        atomic_fetch_sub(&b->users, 1);
    }
}

const char *backend_text(const struct backend *b) {
    return b->text;
}

bool backend_is_used(const struct backend *b) {
    return atomic_load(&b->users) > 0;
}

const char *backend_path(const struct backend *b) {
    return b->path;
}

const char *backend_host(const struct backend *b) {
    return b->host;
}

uint16_t backend_port(const struct backend *b) {
    return b->port;
}

/* --- up and down --- */

bool backend_is_down(const struct backend *b) {
    return atomic_load_explicit(&b->down, memory_order_relaxed);
}

int backend_down_status(const struct backend *b) {
    return atomic_load(&b->down_status);
}

uint64_t backends_down_since(struct backend *const *backends, size_t count) {
    uint64_t since_ms = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t one_ms = atomic_load(&backends[i]->down_since_ms);
        if (!backend_is_down(backends[i])) {
            return UINT64_MAX;
        }
        since_ms = one_ms > since_ms ? one_ms : since_ms;
    }
    return since_ms;
}

bool backends_all_down(struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!backend_is_down(backends[i])) {
            return false;
        }
    }
    return true;
}

void backend_mark_down(struct backend *b, int status, uint64_t now_ms) {
    if (backend_is_down(b)) {
        return;
    }
    atomic_store(&b->down_status, status);
    atomic_store(&b->down_since_ms, now_ms);
    if (!atomic_exchange(&b->down, true)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_WARNING, "backend down");
        log_str(&line, "backend", b->text);
        log_str(&line, "error", uv_strerror(status));
        log_end(&line);
    }
}

void backend_mark_up(struct backend *b, uint64_t now_ms) {
    atomic_store_explicit(&b->answered_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&b->silent, 0, memory_order_relaxed);
    if (!backend_is_down(b)) {
        return;
    }
    dial_limit_slow_down(&b->limit, now_ms);
    if (atomic_exchange(&b->down, false)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "backend up");
        log_str(&line, "backend", b->text);
        log_end(&line);
    }
}

void backend_note_silence(struct backend *b, int status, uint64_t began_ms, uint64_t now_ms,
                          unsigned patience) {
    if (atomic_load(&b->answered_ms) >= began_ms) {
        return;
    }
    if (atomic_fetch_add(&b->silent, 1) + 1 >= patience) {
        backend_mark_down(b, status, now_ms);
    }
}

void backend_forget_down(struct backend *b) {
    atomic_store(&b->down, false);
}

bool backend_claim_probe(struct backend *b) {
    return !atomic_exchange(&b->probed, true);
}

void backend_release_probe(struct backend *b) {
    atomic_store(&b->probed, false);
}

/* --- for the metrics --- */

static enum backend_failure failure_of(int status) {
    switch (status) {
    case UV_ECONNREFUSED:
        return BACKEND_REFUSED;
    case UV_ETIMEDOUT:
        return BACKEND_TIMEOUT;
    case UV_EAGAIN:
        return BACKEND_QUEUE_FULL;
    case UV_EADDRNOTAVAIL:
        return BACKEND_NO_PORT;
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
    case UV_EAI_NODATA:
    case UV_EAI_NONAME:
        return BACKEND_UNRESOLVED;
    default:
        return BACKEND_OTHER;
    }
}

void backend_count_dial(struct backend *b, int status) {
    atomic_fetch_add_explicit(&b->dials, 1, memory_order_relaxed);
    if (status != 0) {
        atomic_fetch_add_explicit(&b->failures[failure_of(status)], 1, memory_order_relaxed);
    }
}

uint64_t backend_dials(const struct backend *b) {
    return atomic_load_explicit(&b->dials, memory_order_relaxed);
}

const char *backend_failure_name(enum backend_failure failure) {
    static const char *const names[BACKEND_FAILURES] = {
        [BACKEND_REFUSED] = "refused",       [BACKEND_TIMEOUT] = "timeout",
        [BACKEND_UNRESOLVED] = "unresolved", [BACKEND_QUEUE_FULL] = "queue_full",
        [BACKEND_NO_PORT] = "no_port",       [BACKEND_OTHER] = "other",
    };
    return names[failure];
}

static struct backend_counts counts_of(struct backend *b) {
    struct backend_counts counts = {
        .text = b->text,
        .down = backend_is_down(b),
        .dials = atomic_load_explicit(&b->dials, memory_order_relaxed),
    };
    for (size_t i = 0; i < BACKEND_FAILURES; i++) {
        counts.failures[i] = atomic_load_explicit(&b->failures[i], memory_order_relaxed);
    }
    dial_limit_counts(&b->limit, &counts.under_way, &counts.waiting);
    return counts;
}

void backend_table_each(struct backend_table *table,
                        void (*visit)(void *arg, const struct backend_counts *counts), void *arg) {
    pthread_mutex_lock(&table->mutex);
    for (struct backend *b = table->first; b != NULL; b = b->next) {
        if (backend_is_used(b)) {
            struct backend_counts counts = counts_of(b);
            visit(arg, &counts);
        }
    }
    pthread_mutex_unlock(&table->mutex);
}

/* --- dials: how many, and from where --- */

struct dial_limit *backend_limit(struct backend *b) {
    return &b->limit;
}

size_t backend_source(const struct backend *b) {
    return atomic_load_explicit(&b->source, memory_order_relaxed);
}

void backend_use_source(struct backend *b, size_t source) {
    atomic_store_explicit(&b->source, source, memory_order_relaxed);
}

/* Another thread may have gone on to another source meanwhile: then this port says nothing. */
void backend_note_port(struct backend *b, size_t source, size_t count, uint16_t port) {
    size_t known = backend_source(b);
    if (known % count != source) {
        return;
    }
    if (port % 2 == b->first_parity) {
        atomic_store_explicit(&b->half_used, 0, memory_order_relaxed);
    } else if (atomic_compare_exchange_strong(&b->source, &known, (source + 1) % count) &&
               atomic_fetch_add(&b->half_used, 1) + 1 >= count) {
        atomic_store_explicit(&b->searches_all_ports, true, memory_order_relaxed);
    }
}

bool backend_searches_all_ports(const struct backend *b) {
    return atomic_load_explicit(&b->searches_all_ports, memory_order_relaxed);
}

static bool may_log_no_ports(struct backend *b, uint64_t now_ms) {
    uint64_t at_ms = atomic_load(&b->no_ports_line_at_ms);
    return now_ms >= at_ms &&
           atomic_compare_exchange_strong(&b->no_ports_line_at_ms, &at_ms, now_ms + LINE_MS);
}

void backend_note_no_ports(struct backend *b, uint64_t now_ms) {
    atomic_store(&b->no_ports_until_ms, now_ms + NO_PORTS_MS);
    if (may_log_no_ports(b, now_ms)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_ERROR, "backend ports used up");
        log_str(&line, "backend", b->text);
        log_str(&line, "message",
                "every local port is in use for this broker: name more addresses of this machine "
                "in backend_source, or widen net.ipv4.ip_local_port_range");
        log_end(&line);
    }
}

bool backend_has_ports(const struct backend *b, uint64_t now_ms) {
    return now_ms >= atomic_load_explicit(&b->no_ports_until_ms, memory_order_relaxed);
}

/* With the mutex locked. */
static bool take_source_line(struct backend *b, const struct address *source, uint64_t now_ms) {
    struct source_line *unused = NULL;
    for (size_t i = 0; i < BACKEND_BAD_SOURCES; i++) {
        struct source_line *line = &b->source_lines[i];
        if (now_ms >= line->until_ms) {
            unused = line;
        } else if (address_is_equal(&line->source, source)) {
            return false;
        }
    }
    if (unused != NULL) {
        *unused = (struct source_line){.source = *source, .until_ms = now_ms + LINE_MS};
    }
    return unused != NULL;
}

void backend_note_bad_source(struct backend *b, const struct address *source, int status,
                             uint64_t now_ms) {
    char text[ADDRESS_TEXT_SIZE];
    pthread_mutex_lock(&b->mutex);
    bool may_log = take_source_line(b, source, now_ms);
    pthread_mutex_unlock(&b->mutex);
    if (may_log) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_ERROR, "backend source unusable");
        log_str(&line, "backend", b->text);
        log_str(&line, "source", address_print_host(source, text));
        log_str(&line, "error", uv_strerror(status));
        log_end(&line);
    }
}

/* --- addresses --- */

size_t backend_addresses(struct backend *b, uint64_t now_ms,
                         struct address out[BACKEND_ADDRESSES]) {
    size_t count = 0;
    pthread_mutex_lock(&b->mutex);
    if (now_ms < b->resolved_until_ms) {
        count = b->address_count;
        memcpy(out, b->addresses, count * sizeof *out);
    }
    pthread_mutex_unlock(&b->mutex);
    return count;
}

void backend_store_addresses(struct backend *b, uint64_t now_ms, const struct address *addresses,
                             size_t count) {
    assert(count <= BACKEND_ADDRESSES);
    pthread_mutex_lock(&b->mutex);
    b->address_count = count;
    memcpy(b->addresses, addresses, count * sizeof *addresses);
    b->resolved_until_ms = now_ms + RESOLVED_MS;
    pthread_mutex_unlock(&b->mutex);
}

void backend_forget_addresses(struct backend *b) {
    pthread_mutex_lock(&b->mutex);
    if (b->resolved_until_ms != UINT64_MAX) {
        b->address_count = 0;
    }
    pthread_mutex_unlock(&b->mutex);
}
