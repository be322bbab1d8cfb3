/* The values that the parts of src/tls/ and their callers hand to each other. Anybody may read
 * their fields. */
#ifndef POSTERN_TLS_TYPES_H
#define POSTERN_TLS_TYPES_H

#include "config/types.h"

#include <stddef.h>
#include <stdint.h>

struct tls_tickets;
struct tls_session_cache;

/* What outlives every reload and is shared by all contexts; both may be NULL (then there is no
 * resumption of that kind). The caller keeps them alive longer than any context. */
struct tls_shared {
    struct tls_tickets *tickets;
    struct tls_session_cache *sessions;
};

/* What --check and the log print about a certificate that is served. */
struct tls_certificate_info {
    const char *section; /* [certificate NAME] */
    const char *file;
    const char *subject; /* "CN=mqtt.example.org" */
    /* "mqtt.example.org, *.example.org, 192.0.2.1"; of other bytes than printable ASCII, \xHH. */
    const char *names;
    const char *key_type;          /* "ECDSA P-256", "RSA 2048" */
    const char *serial;            /* upper-case hex */
    int64_t not_before, not_after; /* seconds since 1970 */
    bool key_unlocked; /* its key is in memory that could not be locked (core/secret.h) */
};

/* Something that expires: a certificate that is sent, a CA in client_ca, a list in client_crl (at
 * its nextUpdate). */
enum tls_expiry_kind { TLS_EXPIRY_CERTIFICATE, TLS_EXPIRY_CA, TLS_EXPIRY_CRL };
struct tls_expiry {
    enum tls_expiry_kind kind;
    const char *file;
    const char *subject;           /* of a list its issuer; printable ASCII */
    int64_t not_before, not_after; /* seconds since 1970 */
};

/* What kind of key the server proves itself with: its certificate's, or the client's pre-shared
 * one.
 */
enum tls_key_type { TLS_KEY_OTHER, TLS_KEY_RSA, TLS_KEY_ECDSA, TLS_KEY_PSK, TLS_KEY_TYPES };

/* How many entries of each kind client_allow has. */
struct tls_allow_counts {
    size_t names, certificates, keys;
};

/* How much of a SHA-256 is kept of an issuer. */
enum { TLS_ISSUER_HASH_SIZE = 16 };

/* What names a client's certificate in revocation lists. */
struct cert_id {
    uint8_t issuer_hash[TLS_ISSUER_HASH_SIZE]; /* of its name and key */
    uint8_t serial[20];
    uint8_t serial_len; /* 0: there was no client certificate */
};

/* Ciphertext of the peer; a call of an engine consumes it from its front. engine_read overwrites
 * what it consumes: records are decrypted where they are. */
struct engine_input {
    uint8_t *data;
    size_t len;
};

#endif
