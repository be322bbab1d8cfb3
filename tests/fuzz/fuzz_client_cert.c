/* What is known of a client by its certificate or its pre-shared key, packed: it unpacks as it was,
 * no part of it is taken for the whole, and whatever is accepted is consistent. */
#include "tls/internal.h"

#include "fuzz.h"

static bool unpack(struct client_cert *cert, const uint8_t *data, size_t size) {
    uint8_t *copy = fuzz_copy(data, size);
    memset(cert, 0xaa, sizeof *cert); /* the content of an earlier use */
    const bool good = client_cert_unpack(cert, copy, size);
    free(copy);
    return good;
}

static void check_text(const struct client_cert *cert) {
    CHECK(strnlen(cert->text, sizeof cert->text) <= TLS_IDENTITY_MAX);
}

static void check_same(const struct client_cert *a, const struct client_cert *b) {
    CHECK(a->id.serial_len == b->id.serial_len);
    CHECK(memcmp(a->id.serial, b->id.serial, a->id.serial_len) == 0);
    CHECK(a->has_identity == b->has_identity && a->psk == b->psk);
    CHECK(!a->psk || memcmp(a->key_hash, b->key_hash, TLS_ALLOW_HASH_SIZE) == 0);
    if (a->id.serial_len > 0) {
        CHECK(memcmp(a->id.issuer_hash, b->id.issuer_hash, TLS_ISSUER_HASH_SIZE) == 0);
        CHECK(a->not_after == b->not_after);
        CHECK(a->listed == b->listed && a->named == b->named);
    }
    if (a->id.serial_len > 0 && a->listed) {
        CHECK(memcmp(a->cert_hash, b->cert_hash, TLS_ALLOW_HASH_SIZE) == 0);
        CHECK(memcmp(a->key_hash, b->key_hash, TLS_ALLOW_HASH_SIZE) == 0);
    }
    CHECK(!a->has_identity || strcmp(a->text, b->text) == 0);
    CHECK(a->issuer_count == b->issuer_count);
    CHECK(memcmp(client_cert_issuers(a), client_cert_issuers(b),
                 a->issuer_count * sizeof(struct cert_id)) == 0);
}

static void try_hostile(const uint8_t *data, size_t size) {
    struct client_cert cert, again;
    uint8_t packed[CLIENT_CERT_PACKED_MAX];
    if (!unpack(&cert, data, size)) {
        return;
    }
    CHECK(size <= CLIENT_CERT_PACKED_MAX);
    CHECK(cert.id.serial_len <= sizeof cert.id.serial && !cert.presented);
    CHECK(!cert.named || (cert.listed && cert.has_identity));
    CHECK(client_cert_size(&cert) <= offsetof(struct client_cert, text) + sizeof cert.text);
    CHECK(!cert.psk || (cert.has_identity && cert.id.serial_len == 0 && !cert.listed));
    if (cert.has_identity) {
        check_text(&cert);
    }
    const size_t packed_size = client_cert_pack(&cert, packed);
    CHECK(packed_size <= size);
    CHECK(unpack(&again, packed, packed_size));
    check_same(&cert, &again);
}

/* The next `len` bytes of the input as text: no NUL in it. */
static size_t take_text(const uint8_t **data, size_t *size, size_t len, char *out) {
    size_t used = 0;
    for (; *size > 0 && used < len; (*data)++, (*size)--) {
        if (**data != 0) {
            out[used++] = (char)**data;
        }
    }
    out[used] = '\0';
    return used;
}

static struct cert_id make_id(struct fuzz_dice *dice) {
    struct cert_id id = {.serial_len = (uint8_t)(1 + fuzz_roll(dice, sizeof id.serial))};
    for (size_t i = 0; i < id.serial_len; i++) {
        id.serial[i] = (uint8_t)fuzz_roll(dice, 256);
    }
    for (size_t i = 0; i < TLS_ISSUER_HASH_SIZE; i++) {
        id.issuer_hash[i] = (uint8_t)fuzz_roll(dice, 256);
    }
    return id;
}

/* A certificate as a handshake would leave it, made of the input. */
static struct client_cert make(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    struct client_cert cert = {.has_identity = fuzz_roll(dice, 4) > 0};
    cert.not_after = (int64_t)fuzz_roll(dice, UINT32_MAX);
    cert.id = make_id(dice);
    cert.listed = fuzz_roll(dice, 2) > 0;
    cert.named = cert.listed && cert.has_identity && fuzz_roll(dice, 2) > 0;
    for (size_t i = 0; i < TLS_ALLOW_HASH_SIZE; i++) {
        cert.cert_hash[i] = (uint8_t)fuzz_roll(dice, 256);
        cert.key_hash[i] = (uint8_t)fuzz_roll(dice, 256);
    }
    if (cert.has_identity) {
        (void)take_text(&data, &size, fuzz_roll(dice, TLS_IDENTITY_MAX + 1), cert.text);
    }
    if (cert.has_identity && fuzz_roll(dice, 4) == 0) {
        cert.psk = true;
        cert.listed = cert.named = false;
        memset(&cert.id, 0, sizeof cert.id);
        return cert;
    }
    for (size_t left = fuzz_roll(dice, TLS_ISSUERS_MAX + 1); left > 0; left--) {
        const struct cert_id id = make_id(dice);
        client_cert_add_issuer(&cert, &id);
    }
    return cert;
}

static void try_round_trip(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    const struct client_cert cert = make(data, size, dice);
    struct client_cert again;
    uint8_t packed[CLIENT_CERT_PACKED_MAX + 1];
    const size_t packed_size = client_cert_pack(&cert, packed);
    CHECK(packed_size > 1 && packed_size <= CLIENT_CERT_PACKED_MAX);
    CHECK(unpack(&again, packed, packed_size));
    check_same(&cert, &again);
    CHECK(!unpack(&again, packed, fuzz_roll(dice, packed_size)));
    packed[packed_size] = (uint8_t)fuzz_roll(dice, 256);
    CHECK(!unpack(&again, packed, packed_size + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_dice dice = fuzz_dice_from(data, size);
    try_hostile(data, size);
    try_round_trip(data, size, &dice);
    return 0;
}
