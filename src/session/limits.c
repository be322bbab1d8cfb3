#include "session/limits.h"

#include "session/address_table.h"
#include "session/rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { AWAITED_PER_PLACE = 4, AWAITED_MIN = 16, ASK_AGAIN_MS = 50 };

/* A listener keeps its place over reloads. */
struct listener_counts {
    atomic_size_t connections;
    atomic_size_t newcomers;
    atomic_size_t handshakes;
    uint64_t ends_paid_until_us; /* session_log; both under ends_lock */
    uint64_t suppressed_ends;
};

struct limits {
    atomic_size_t sessions, most_sessions;
    atomic_flag making_room;
    atomic_uint_least64_t asked_ms; /* when a thread asked the others for room */
    size_t max_sessions;
    size_t threads;
    struct address_table *addresses;
    pthread_mutex_t ends_lock;
    struct listener_counts listeners[];
};

struct limits *limits_new(size_t listeners, size_t threads, size_t max_sessions) {
    struct limits *limits = calloc(1, sizeof *limits + listeners * sizeof(struct listener_counts));
    if (limits == NULL) {
        return NULL;
    }
    atomic_flag_clear(&limits->making_room);
    limits->threads = threads;
    limits->max_sessions = max_sessions;
    limits->addresses = address_table_new();
    if (limits->addresses == NULL) {
        free(limits);
        return NULL;
    }
    pthread_mutex_init(&limits->ends_lock, NULL);
    return limits;
}

void limits_free(struct limits *limits) {
    if (limits != NULL) {
        address_table_free(limits->addresses);
        pthread_mutex_destroy(&limits->ends_lock);
        free(limits);
    }
}

static void add(atomic_size_t *counter) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void subtract(atomic_size_t *counter) {
    atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

static size_t get(const atomic_size_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

bool limits_have_room(const struct limits *limits) {
    return get(&limits->sessions) < limits->max_sessions;
}

bool limits_begin_making_room(struct limits *limits) {
    return !atomic_flag_test_and_set_explicit(&limits->making_room, memory_order_acquire);
}

void limits_end_making_room(struct limits *limits) {
    atomic_flag_clear_explicit(&limits->making_room, memory_order_release);
}

bool limits_may_ask_for_room(struct limits *limits, uint64_t now_ms) {
    uint_least64_t asked_ms = atomic_load_explicit(&limits->asked_ms, memory_order_relaxed);
    return (asked_ms == 0 || now_ms >= asked_ms + ASK_AGAIN_MS) &&
           atomic_compare_exchange_strong(&limits->asked_ms, &asked_ms, now_ms);
}

/* Of two threads that begin one at the same time the later one counts both. */
static void note_most(struct limits *limits) {
    size_t now = get(&limits->sessions);
    if (now > get(&limits->most_sessions)) {
        atomic_store_explicit(&limits->most_sessions, now, memory_order_relaxed);
    }
}

void limits_session_begins(struct limits *limits, size_t listener) {
    add(&limits->sessions);
    note_most(limits);
    add(&limits->listeners[listener].connections);
    add(&limits->listeners[listener].newcomers);
}

void limits_session_ends(struct limits *limits, size_t listener) {
    subtract(&limits->listeners[listener].connections);
}

void limits_session_freed(struct limits *limits) {
    subtract(&limits->sessions);
}

void limits_newcomer_leaves(struct limits *limits, size_t listener) {
    subtract(&limits->listeners[listener].newcomers);
}

/* --- addresses --- */

enum reason limits_address_enters(struct limits *limits, const struct address *address,
                                  uint64_t now_ms, const struct config_listener *config) {
    switch (address_table_enter(limits->addresses, address, now_ms,
                                config->max_connections_per_address,
                                config->new_connections_per_address)) {
    case ADDRESS_HAS_TOO_MANY:
        return REASON_LIMIT_ADDRESS;
    case ADDRESS_IS_TOO_FAST:
        return REASON_LIMIT_RATE;
    case ADDRESS_ADMITTED:
        break;
    }
    return REASON_NONE;
}

void limits_address_leaves(struct limits *limits, const struct address *address) {
    address_table_leave(limits->addresses, address);
}

void limits_address_handshake_begins(struct limits *limits, const struct address *address) {
    address_table_handshake_begins(limits->addresses, address);
}

void limits_address_handshake_ends(struct limits *limits, const struct address *address) {
    address_table_handshake_ends(limits->addresses, address);
}

size_t limits_address_handshakes(const struct limits *limits, const struct address *address) {
    return address_table_handshakes(limits->addresses, address);
}

/* --- listeners --- */

bool limits_connections_exceeded(const struct limits *limits, size_t listener,
                                 size_t max_connections) {
    return max_connections > 0 && limits_connections(limits, listener) > max_connections;
}

bool limits_have_place(const struct limits *limits, size_t listener, size_t max_connections) {
    return max_connections == 0 || limits_connections(limits, listener) < max_connections;
}

void limits_handshake_waits(struct limits *limits, size_t listener) {
    add(&limits->listeners[listener].handshakes);
}

void limits_handshake_leaves(struct limits *limits, size_t listener) {
    subtract(&limits->listeners[listener].handshakes);
}

bool limits_handshakes_exceeded(const struct limits *limits, size_t listener,
                                size_t max_handshakes) {
    return atomic_load_explicit(&limits->listeners[listener].handshakes, memory_order_relaxed) >
           max_handshakes;
}

size_t limits_max_awaited(const struct limits *limits, size_t max_handshakes) {
    size_t share = max_handshakes * AWAITED_PER_PLACE / limits->threads;
    return share > AWAITED_MIN ? share : AWAITED_MIN;
}

/* --- session_log --- */

bool limits_end_may_be_logged(struct limits *limits, size_t listener, uint64_t now_ms,
                              struct config_rate rate, uint64_t *suppressed) {
    struct listener_counts *counts = &limits->listeners[listener];
    *suppressed = 0;
    if (rate.count == 0) {
        return true;
    }
    pthread_mutex_lock(&limits->ends_lock);
    bool allowed = rate_pay(&counts->ends_paid_until_us, now_ms, rate);
    if (allowed) {
        *suppressed = counts->suppressed_ends;
        counts->suppressed_ends = 0;
    } else {
        counts->suppressed_ends++;
    }
    pthread_mutex_unlock(&limits->ends_lock);
    return allowed;
}

uint64_t limits_take_suppressed_ends(struct limits *limits, size_t listener) {
    struct listener_counts *counts = &limits->listeners[listener];
    pthread_mutex_lock(&limits->ends_lock);
    uint64_t suppressed = counts->suppressed_ends;
    counts->suppressed_ends = 0;
    pthread_mutex_unlock(&limits->ends_lock);
    return suppressed;
}

/* --- for the metrics --- */

size_t limits_max_sessions(const struct limits *limits) {
    return limits->max_sessions;
}

size_t limits_sessions(const struct limits *limits) {
    return get(&limits->sessions);
}

size_t limits_most_sessions(const struct limits *limits) {
    return get(&limits->most_sessions);
}

void limits_forget_most(struct limits *limits) {
    atomic_store_explicit(&limits->most_sessions, get(&limits->sessions), memory_order_relaxed);
}

size_t limits_connections(const struct limits *limits, size_t listener) {
    return get(&limits->listeners[listener].connections);
}

size_t limits_newcomers(const struct limits *limits, size_t listener) {
    return get(&limits->listeners[listener].newcomers);
}

size_t limits_handshakes(const struct limits *limits, size_t listener) {
    return get(&limits->listeners[listener].handshakes);
}
