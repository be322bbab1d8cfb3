/* The first TLS message, read by us before any TLS object exists.
 *
 * A pure function over the bytes that a client has sent so far: it finds out whether they are TLS,
 * whether the ClientHello is whole, and what the choice of a certificate needs. RFC 8446 4.1.2,
 * RFC 5246 7.4.1.2, RFC 6066 3 and 4, RFC 7301 3.1. The message may be cut into any number of
 * records (RFC 8446 5.1); records without content are refused. What this parser accepts and the TLS
 * library then refuses is the library's to report. */
#ifndef POSTERN_WIRE_CLIENT_HELLO_H
#define POSTERN_WIRE_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than any client needs (post-quantum key shares included); a longer one is refused. */
enum { CLIENT_HELLO_MAX = 16384 };

/* Of a client's list of protocols, the names that fit in so many bytes count: more than 20 times
 * what clients send. */
enum { CLIENT_HELLO_PROTOCOLS_MAX = 512 };

/* A public key of X25519 that came in key_share (RFC 8446 4.2.8, draft-ietf-tls-ecdhe-mlkem). */
enum { HELLO_SHARE_SIZE = 32 };
struct hello_share {
    bool given;
    uint8_t key[HELLO_SHARE_SIZE];
};

enum client_hello_status {
    CLIENT_HELLO_OK,
    CLIENT_HELLO_MORE,    /* right so far: call again with more bytes, from the first one */
    CLIENT_HELLO_NOT_TLS, /* plaintext MQTT, HTTP, SSLv2, noise: known by the first wrong byte */
    CLIENT_HELLO_BAD      /* TLS, but malformed or over CLIENT_HELLO_MAX; `alert` says how */
};

/* Bits for the groups that matter here (IANA's "TLS Supported Groups"). */
enum hello_group {
    HELLO_X25519 = 1,
    HELLO_P256 = 2,
    HELLO_P384 = 4,
    HELLO_X25519MLKEM768 = 8 /* draft-ietf-tls-ecdhe-mlkem */
};

struct client_hello {
    /* server_name's host name, lower case, without a trailing dot; empty if absent or not a
     * plausible host name (letters, digits, - . _). NUL-terminated. */
    char server_name[256];
    bool offers_tls12; /* legacy_version >= 0x0303 without supported_versions, or listed there */
    bool offers_tls13; /* listed in supported_versions */
    /* Whether the client can verify a server certificate with that key: for TLS 1.3 by
     * signature_algorithms alone (ecdsa_secp256r1_sha256 or ecdsa_secp384r1_sha384;
     * rsa_pss_rsae_*), for TLS 1.2 by its suites (ECDHE_ECDSA_* / ECDHE_RSA_*), by
     * signature_algorithms (absent means yes) and, for ECDSA, by supported_groups (absent means
     * yes) holding P-256. */
    bool ecdsa_tls12, ecdsa_tls13;
    bool rsa_tls12, rsa_tls13;
    bool ecdsa_p384;   /* secp384r1 keys too */
    bool groups_given; /* by supported_groups */
    uint8_t groups;    /* enum hello_group: those of them that we know */
    /* Public keys of X25519 in key_share: alone, and in X25519MLKEM768. Of several the last counts.
     */
    struct hello_share x25519, hybrid;
    uint16_t max_fragment; /* RFC 6066 4: 512, 1024, 2048, 4096; 0: not asked for */
    bool has_session_id;   /* a session to resume is named */
    bool has_ticket;       /* session_ticket with content, or pre_shared_key */
    /* The names that application_layer_protocol_negotiation lists, each with its length in a byte
     * before it: whole names, in the client's order. No bytes: the extension is absent. */
    uint16_t protocols_len;
    uint8_t protocols[CLIENT_HELLO_PROTOCOLS_MAX];
    uint8_t alert; /* enum alert; with CLIENT_HELLO_BAD what the client is to be sent */
};

/* `len` bytes from the very first one. `out` is filled for CLIENT_HELLO_OK, its `alert` for
 * CLIENT_HELLO_BAD; it may be written to with any result. No allocation; time linear in `len`. */
enum client_hello_status client_hello_parse(const uint8_t *data, size_t len,
                                            struct client_hello *out);

/* The same of a whole message without its header: CLIENT_HELLO_OK or CLIENT_HELLO_BAD. */
enum client_hello_status client_hello_parse_body(const uint8_t *body, size_t len,
                                                 struct client_hello *out);

/* Whether the client's list of protocols has that one, which has `len` bytes. */
bool client_hello_offers(const struct client_hello *hello, const void *protocol, size_t len);

#endif
