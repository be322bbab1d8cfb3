/* What is known of a client by its certificate, or by its pre-shared key, as bytes that travel in
 * tickets and wait in the session cache. The first byte is a format number; 0 stands for neither,
 * and nothing follows. */
#include "tls/internal.h"

#include <assert.h>
#include <string.h>

enum {
    NO_CERTIFICATE = 0,
    HAS_IDENTITY = 1,
    LISTED = 2,
    NAMED = 4,
    PRESENT = 8,
    HAS_ISSUERS = 16,
    PSK = 32
};

/* --- the issuers, after the identity --- */

static size_t identity_size(const struct client_cert *peer) {
    return peer->has_identity ? strlen(peer->text) + 1 : 0;
}

const struct cert_id *client_cert_issuers(const struct client_cert *peer) {
    return (const struct cert_id *)(peer->text + identity_size(peer)); /* bytes: aligned anywhere */
}

size_t client_cert_size(const struct client_cert *peer) {
    return offsetof(struct client_cert, text) + identity_size(peer) +
           peer->issuer_count * sizeof(struct cert_id);
}

void client_cert_add_issuer(struct client_cert *peer, const struct cert_id *id) {
    assert(peer->issuer_count < TLS_ISSUERS_MAX);
    memcpy((uint8_t *)peer + client_cert_size(peer), id, sizeof *id);
    peer->issuer_count++;
}

/* --- as bytes --- */

static void put(uint8_t **at, const void *data, size_t len) {
    memcpy(*at, data, len);
    *at += len;
}

static void put_id(uint8_t **at, const struct cert_id *id) {
    put(at, id->issuer_hash, sizeof id->issuer_hash);
    put(at, &id->serial_len, 1);
    put(at, id->serial, id->serial_len);
}

/* Its mark, and the identity, which every key has. */
static size_t pack_psk(const struct client_cert *peer, uint8_t *out) {
    uint8_t *at = out + 1;
    out[0] = PSK | HAS_IDENTITY;
    put(&at, peer->key_hash, TLS_ALLOW_HASH_SIZE);
    put(&at, peer->text, identity_size(peer));
    return (size_t)(at - out);
}

size_t client_cert_pack(const struct client_cert *peer, uint8_t out[CLIENT_CERT_PACKED_MAX]) {
    uint8_t *at = out + 1;
    if (peer->psk) {
        return pack_psk(peer, out);
    }
    if (peer->id.serial_len == 0) {
        out[0] = NO_CERTIFICATE;
        return 1;
    }
    out[0] = PRESENT;
    uint64_t not_after = peer->not_after < UINT32_MAX ? (uint64_t)peer->not_after : UINT32_MAX;
    for (unsigned i = 0; i < 4; i++) {
        *at++ = (uint8_t)(not_after >> (8 * i));
    }
    put_id(&at, &peer->id);
    if (peer->listed) {
        out[0] |= peer->named ? LISTED | NAMED : LISTED;
        put(&at, peer->cert_hash, TLS_ALLOW_HASH_SIZE);
        put(&at, peer->key_hash, TLS_ALLOW_HASH_SIZE);
    }
    if (peer->has_identity) {
        out[0] |= HAS_IDENTITY;
        put(&at, peer->text, identity_size(peer));
    }
    if (peer->issuer_count > 0) {
        const struct cert_id *issuers = client_cert_issuers(peer);
        out[0] |= HAS_ISSUERS;
        *at++ = peer->issuer_count;
        for (size_t i = 0; i < peer->issuer_count; i++) {
            put_id(&at, &issuers[i]);
        }
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

static bool get_id(const uint8_t **at, const uint8_t *end, struct cert_id *id) {
    memset(id, 0, sizeof *id);
    return get(at, end, id->issuer_hash, sizeof id->issuer_hash) &&
           get(at, end, &id->serial_len, 1) && id->serial_len > 0 &&
           id->serial_len <= sizeof id->serial && get(at, end, id->serial, id->serial_len);
}

static bool get_issuers(const uint8_t **at, const uint8_t *end, struct client_cert *peer) {
    struct cert_id id;
    uint8_t count;
    if (!get(at, end, &count, 1) || count == 0 || count > TLS_ISSUERS_MAX) {
        return false;
    }
    while (peer->issuer_count < count) {
        if (!get_id(at, end, &id)) {
            return false;
        }
        client_cert_add_issuer(peer, &id);
    }
    return true;
}

/* The end of validity and the certificate's issuer and serial number. */
static bool get_certificate(const uint8_t **at, const uint8_t *end, struct client_cert *peer) {
    uint8_t not_after[4];
    if (!get(at, end, not_after, sizeof not_after) || !get_id(at, end, &peer->id)) {
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

void client_cert_clear(struct client_cert *peer) {
    memset(&peer->id, 0, sizeof peer->id);
    peer->has_identity = peer->presented = peer->listed = peer->named = peer->psk = false;
    peer->issuer_count = 0;
    peer->not_after = 0;
    peer->text[0] = '\0';
}

static bool unpack_psk(struct client_cert *peer, const uint8_t **at, const uint8_t *end) {
    peer->psk = get(at, end, peer->key_hash, TLS_ALLOW_HASH_SIZE);
    peer->has_identity = peer->psk && get_text(at, end, peer->text);
    return peer->has_identity && *at == end;
}

bool client_cert_unpack(struct client_cert *peer, const uint8_t *data, size_t len) {
    const uint8_t *at = data, *end = data + len;
    uint8_t flags;
    if (!get(&at, end, &flags, 1)) {
        return false;
    }
    client_cert_clear(peer);
    if (flags == NO_CERTIFICATE) {
        return at == end;
    }
    if (flags == (PSK | HAS_IDENTITY)) {
        return unpack_psk(peer, &at, end);
    }
    if ((flags & ~(HAS_IDENTITY | LISTED | NAMED | HAS_ISSUERS)) != PRESENT ||
        !get_certificate(&at, end, peer) || !get_listed(&at, end, flags, peer)) {
        return false;
    }
    peer->has_identity = (flags & HAS_IDENTITY) != 0 && get_text(&at, end, peer->text);
    return peer->has_identity == ((flags & HAS_IDENTITY) != 0) &&
           ((flags & HAS_ISSUERS) == 0 || get_issuers(&at, end, peer)) && at == end;
}
