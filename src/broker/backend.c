#include "broker/backend.h"

#include "core/log.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { RESOLVED_MS = 10000 };

struct backend {
    struct backend *next;
    char *text, *host, *path; /* host or path is NULL */
    uint16_t port;
    atomic_uint users;
    atomic_bool down;
    atomic_bool probed; /* by some thread */

    pthread_mutex_t mutex; /* guards what follows */
    struct address addresses[BACKEND_ADDRESSES];
    size_t address_count;
    uint64_t resolved_until_ms; /* UINT64_MAX for a numeric address */
};

struct backend_table {
    pthread_mutex_t mutex;
    struct backend *first;
};

/* --- the table of the process --- */

struct backend_table *backend_table_new(void) {
    struct backend_table *table = calloc(1, sizeof *table);
    if (table != NULL) {
        pthread_mutex_init(&table->mutex, NULL);
    }
    return table;
}

static void free_backend(struct backend *b) {
    pthread_mutex_destroy(&b->mutex);
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

bool backends_all_down(struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!backend_is_down(backends[i])) {
            return false;
        }
    }
    return true;
}

void backend_mark_down(struct backend *b, int status) {
    if (!atomic_exchange(&b->down, true)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_WARNING, "backend down");
        log_str(&line, "backend", b->text);
        log_str(&line, "error", uv_strerror(status));
        log_end(&line);
    }
}

void backend_mark_up(struct backend *b) {
    if (backend_is_down(b) && atomic_exchange(&b->down, false)) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "backend up");
        log_str(&line, "backend", b->text);
        log_end(&line);
    }
}

void backend_forget_down(struct backend *b) {
    atomic_store(&b->down, false);
}

bool backend_claim_probe(struct backend *b) {
    return !atomic_exchange(&b->probed, true);
}

void backend_leave_probe(struct backend *b) {
    atomic_store(&b->probed, false);
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
