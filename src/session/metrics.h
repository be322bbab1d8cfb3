/* What one worker counts, for the metrics (docs/metrics.md).
 *
 * Each pool has one struct metrics, which its thread alone writes (core/counter.h), on cache lines
 * of its own; any thread may read it as long as the pool is there. Nothing here is kept for each
 * session. What limits need over all threads is in session/limits.h, what is known of brokers in
 * broker/backend.h. */
#ifndef POSTERN_SESSION_METRICS_H
#define POSTERN_SESSION_METRICS_H

#include "core/counter.h"
#include "core/reason.h"
#include "session/phase.h"
#include "tls/engine.h"
#include "tls/types.h"

#include <stdbool.h>
#include <stddef.h>

/* More than there are of each; what is not known has the last place. */
enum { METRICS_CIPHERS = 32, METRICS_GROUPS = 9, METRICS_VERSIONS = 2 };

/* Of one listener on one worker. The files of src/session/ write it; others read. */
struct metrics_listener {
    struct counter accepted;
    struct counter silent;                          /* ended without a byte of the client */
    struct counter phases[PHASE_COUNT];             /* sessions that are in each now */
    struct counter handshakes[METRICS_VERSIONS][2]; /* TLS 1.2, 1.3; full, resumed */
    struct counter groups[METRICS_GROUPS];          /* by metrics_group_name */
    struct counter ciphers[METRICS_CIPHERS];        /* by metrics_cipher_name */
    struct counter key_types[TLS_KEY_TYPES];        /* what proved the server, full handshakes */
    struct counter failed[REASON_COUNT];            /* handshake failed, but for the silent */
    struct counter ended[REASON_COUNT];             /* session end */
    struct counter up, down;                        /* plaintext bytes that were relayed */
    struct counter no_descriptors, no_dials;        /* refused by these limits */
};

struct metrics {
    struct histogram turn;        /* from a turn's first event to its end */
    struct histogram loop_delay;  /* from a wake by another thread to its turn */
    struct histogram queue_delay; /* from when a handshake step is due to its begin */
    struct counter suppressed;    /* log lines, by their limits */
    size_t listener_count;
    struct metrics_listener listeners[];
};

/* NULL without memory. */
struct metrics *metrics_new(size_t listeners) __attribute__((warn_unused_result));
void metrics_free(struct metrics *metrics); /* NULL is fine */

/* The engine's handshake is complete; `key` is what tls_context_key_type says of its client, which
 * counts unless that has a pre-shared key. */
void metrics_count_handshake(struct metrics_listener *m, const struct engine *e,
                             enum tls_key_type key);

/* The labels' values. Static; NULL: there is none with that number. */
const char *metrics_phase_name(size_t phase);
const char *metrics_cipher_name(size_t number);
const char *metrics_group_name(size_t number);
const char *metrics_key_type_name(size_t type);
const char *metrics_version_name(size_t number);

#endif
