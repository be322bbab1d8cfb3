#include "session/metrics.h"

#include "tls/ciphers.h"
#include "tls/groups.h"

#include <stdlib.h>
#include <string.h>

/* Two lines of most processors, which are fetched in pairs. */
enum { CACHE_LINES = 128 };

struct metrics *metrics_new(size_t listeners) {
    size_t size = sizeof(struct metrics) + listeners * sizeof(struct metrics_listener);
    size_t whole = (size + CACHE_LINES - 1) / CACHE_LINES * CACHE_LINES;
    struct metrics *m = aligned_alloc(CACHE_LINES, whole);
    if (m != NULL) {
        memset(m, 0, whole);
        m->listener_count = listeners;
    }
    return m;
}

void metrics_free(struct metrics *m) {
    free(m);
}

/* --- handshakes --- */

static size_t number_of(const char *name, const char *(*name_of)(size_t number), size_t last) {
    size_t i = 0;
    while (i < last && (name_of(i) == NULL || strcmp(name_of(i), name) != 0)) {
        i++;
    }
    return i;
}

void metrics_count_handshake(struct metrics_listener *m, const struct engine *e,
                             enum tls_key_type key) {
    const char *group = engine_group(e);
    bool resumed = engine_is_resumed(e), tls13 = strcmp(engine_version(e), "1.3") == 0;
    size_t cipher = number_of(engine_cipher(e), metrics_cipher_name, METRICS_CIPHERS - 1);
    counter_add(&m->handshakes[tls13][resumed], 1);
    counter_add(&m->ciphers[cipher], 1);
    if (group != NULL) {
        counter_add(&m->groups[number_of(group, metrics_group_name, METRICS_GROUPS - 1)], 1);
    }
    if (!resumed) {
        counter_add(&m->key_types[engine_has_psk(e) ? TLS_KEY_PSK : key], 1);
    }
}

/* --- labels --- */

const char *metrics_phase_name(size_t phase) {
    static const char *const names[PHASE_COUNT] = {
        [PHASE_HELLO] = "hello",           [PHASE_HANDSHAKE] = "handshake",
        [PHASE_FIRST_BYTE] = "first_byte", [PHASE_CONNECT_PACKET] = "connect_packet",
        [PHASE_DIALLING] = "dialling",     [PHASE_RELAYING] = "relaying",
        [PHASE_CLOSING] = "closing",
    };
    return phase < PHASE_COUNT ? names[phase] : NULL;
}

const char *metrics_cipher_name(size_t number) {
    return number == METRICS_CIPHERS - 1 ? "other" : ciphers_at(number);
}

const char *metrics_group_name(size_t number) {
    return number == METRICS_GROUPS - 1 ? "other" : groups_name((uint8_t)(number + 1));
}

const char *metrics_key_type_name(size_t type) {
    static const char *const names[TLS_KEY_TYPES] = {[TLS_KEY_OTHER] = "other",
                                                     [TLS_KEY_RSA] = "rsa",
                                                     [TLS_KEY_ECDSA] = "ecdsa",
                                                     [TLS_KEY_PSK] = "psk"};
    return type < TLS_KEY_TYPES ? names[type] : NULL;
}

const char *metrics_version_name(size_t number) {
    static const char *const names[METRICS_VERSIONS] = {"1.2", "1.3"};
    return number < METRICS_VERSIONS ? names[number] : NULL;
}
