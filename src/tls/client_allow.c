#include "tls/client_allow.h"

#include "core/hex.h"
#include "tls/identity.h"

#include <string.h>

enum { HEX_SIZE = 2 * ALLOW_HASH_SIZE + 1 };

/* The name that an entry gives its client, which may be put into `hex`; NULL: the client's own.
 * What a certificate says of itself counts only where a CA vouches for it. */
static const char *given_name(const struct tls_clients *clients,
                              const struct allow_entry_view *entry, char hex[HEX_SIZE]) {
    if (entry->identity != NULL || entry->hash == NULL || clients->ca_count > 0) {
        return entry->identity;
    }
    hex_print(entry->hash, ALLOW_HASH_SIZE, hex);
    return hex;
}

enum reason client_allow_check(const struct tls_clients *clients, const struct x509 *leaf,
                               struct client_cert *peer) {
    uint8_t cert[ALLOW_HASH_SIZE], key[ALLOW_HASH_SIZE];
    char hex[HEX_SIZE];
    struct allow_entry_view entry;
    peer->listed = peer->named = false;
    if (clients->allow == NULL) {
        return REASON_NONE;
    }
    if (!identity_hash(leaf->der, cert) || !identity_hash(leaf->key_info, key)) {
        return REASON_OUT_OF_MEMORY;
    }
    struct allow_subject subject = {.cert_hash = cert,
                                    .key_hash = key,
                                    .hash_size = ALLOW_HASH_SIZE,
                                    .name = peer->has_identity ? peer->text : NULL};
    if (!allow_list_find(clients->allow, &subject, &entry)) {
        return REASON_NOT_ALLOWED;
    }
    peer->listed = true;
    memcpy(peer->cert_hash, cert, sizeof peer->cert_hash);
    memcpy(peer->key_hash, key, sizeof peer->key_hash);
    const char *name = given_name(clients, &entry, hex);
    if (name != NULL) {
        peer->named = peer->has_identity = true;
        memcpy(peer->text, name, strlen(name) + 1); /* identity.h: it fits */
    }
    return REASON_NONE;
}

bool client_allow_still(const struct tls_clients *clients, const struct client_cert *peer) {
    char hex[HEX_SIZE];
    struct allow_entry_view entry;
    if (clients->allow == NULL) {
        return !peer->named;
    }
    struct allow_subject subject = {.cert_hash = peer->listed ? peer->cert_hash : NULL,
                                    .key_hash = peer->listed ? peer->key_hash : NULL,
                                    .hash_size = sizeof peer->cert_hash,
                                    .name = peer->has_identity && !peer->named ? peer->text : NULL};
    if (!allow_list_find(clients->allow, &subject, &entry)) {
        return false;
    }
    const char *name = given_name(clients, &entry, hex);
    return name != NULL ? peer->has_identity && strcmp(name, peer->text) == 0 : !peer->named;
}

void client_allow_append_hint(const struct x509 *leaf, struct client_cert *peer) {
    static const char label[] = " cert-sha256:";
    uint8_t hash[ALLOW_HASH_SIZE];
    char *end = peer->text + strlen(peer->text);
    if (peer->text + TLS_IDENTITY_MAX + 1 - end >= (ptrdiff_t)(sizeof label - 1 + HEX_SIZE) &&
        identity_hash(leaf->der, hash)) {
        memcpy(end, label, sizeof label - 1);
        hex_print(hash, sizeof hash, end + sizeof label - 1);
    }
}
