/* What is known of a client certificate, as bytes that travel in tickets and wait in the session
 * cache. The first byte is a format number; 0 stands for "no certificate" and nothing follows. */
#include "tls/internal.h"

#include <string.h>

enum { NO_CERTIFICATE = 0, HAS_IDENTITY = 1, LISTED = 2, NAMED = 4, PRESENT = 8 };

static void put(uint8_t **at, const void *data, size_t len) {
    memcpy(*at, data, len);
    *at += len;
}

size_t client_cert_pack(const struct client_cert *peer, uint8_t out[CLIENT_CERT_PACKED_MAX]) {
    uint8_t *at = out + 1;
    if (peer->id.serial_len == 0) {
        out[0] = NO_CERTIFICATE;
        return 1;
    }
    out[0] = PRESENT;
    uint64_t not_after = peer->not_after < UINT32_MAX ? (uint64_t)peer->not_after : UINT32_MAX;
    for (unsigned i = 0; i < 4; i++) {
        *at++ = (uint8_t)(not_after >> (8 * i));
    }
    put(&at, peer->id.issuer_hash, TLS_ISSUER_HASH_SIZE);
    *at++ = peer->id.serial_len;
    put(&at, peer->id.serial, peer->id.serial_len);
    if (peer->listed) {
        out[0] |= peer->named ? LISTED | NAMED : LISTED;
        put(&at, peer->cert_hash, TLS_ALLOW_HASH_SIZE);
        put(&at, peer->key_hash, TLS_ALLOW_HASH_SIZE);
    }
    if (peer->has_identity) {
        out[0] |= HAS_IDENTITY;
        put(&at, peer->text, strlen(peer->text) + 1);
    }
    return (size_t)(at - out);
}

static bool get(const uint8_t **at, const uint8_t *end, void *out, size_t len) {
    if ((size_t)(end - *at) < len) {
        return false;
    }
    memcpy(out, *at, len);
    *at += len;
    return true;
}

static bool get_text(const uint8_t **at, const uint8_t *end, char *out) {
    const uint8_t *nul = memchr(*at, 0, (size_t)(end - *at));
    if (nul == NULL || nul - *at > TLS_IDENTITY_MAX) {
        return false;
    }
    return get(at, end, out, (size_t)(nul - *at) + 1);
}

/* The end of validity and the certificate's issuer and serial number. */
static bool get_certificate(const uint8_t **at, const uint8_t *end, struct client_cert *peer) {
    uint8_t not_after[4];
    if (!get(at, end, not_after, sizeof not_after) ||
        !get(at, end, peer->id.issuer_hash, TLS_ISSUER_HASH_SIZE) ||
        !get(at, end, &peer->id.serial_len, 1) || peer->id.serial_len == 0 ||
        peer->id.serial_len > sizeof peer->id.serial ||
        !get(at, end, peer->id.serial, peer->id.serial_len)) {
        return false;
    }
    uint32_t seconds = 0;
    for (unsigned i = 0; i < 4; i++) {
        seconds |= (uint32_t)not_after[i] << (8 * i);
    }
    peer->not_after = seconds;
    return true;
}

/* What the flags say of client_allow: an entry's identity needs both. */
static bool get_listed(const uint8_t **at, const uint8_t *end, uint8_t flags,
                       struct client_cert *peer) {
    peer->listed = (flags & LISTED) != 0;
    peer->named = (flags & NAMED) != 0;
    if (peer->named && (flags & (LISTED | HAS_IDENTITY)) != (LISTED | HAS_IDENTITY)) {
        return false;
    }
    return !peer->listed || (get(at, end, peer->cert_hash, TLS_ALLOW_HASH_SIZE) &&
                             get(at, end, peer->key_hash, TLS_ALLOW_HASH_SIZE));
}

static void clear(struct client_cert *peer) {
    memset(&peer->id, 0, sizeof peer->id);
    peer->has_identity = peer->presented = peer->listed = peer->named = false;
    peer->not_after = 0;
    peer->text[0] = '\0';
}

bool client_cert_unpack(struct client_cert *peer, const uint8_t *data, size_t len) {
    const uint8_t *at = data, *end = data + len;
    uint8_t flags;
    if (!get(&at, end, &flags, 1)) {
        return false;
    }
    clear(peer);
    if (flags == NO_CERTIFICATE) {
        return at == end;
    }
    if ((flags & ~(HAS_IDENTITY | LISTED | NAMED)) != PRESENT || !get_certificate(&at, end, peer) ||
        !get_listed(&at, end, flags, peer)) {
        return false;
    }
    peer->has_identity = (flags & HAS_IDENTITY) != 0 && get_text(&at, end, peer->text);
    return peer->has_identity == ((flags & HAS_IDENTITY) != 0) && at == end;
}
