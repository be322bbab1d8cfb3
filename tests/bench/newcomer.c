#include "newcomer.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "common.h"
#include "service.h"

enum {
    RECORD_CHANGE_CIPHER = 20,
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    RECORD_DATA = 23,
    SERVER_HELLO = 2,
    SERVER_KEY_EXCHANGE = 12,
    SERVER_HELLO_DONE = 14,
    RECORD_HEAD = 5,
    MESSAGE_HEAD = 4,
    KEY = 16, /* AES-128 */
    SALT = 4,
    EXPLICIT = 8,
    TAG = 16,
    SHARE = 32, /* X25519 */
    RANDOM = 32,
    SECRET = 48,
    VERIFY = 12,
    INPUT = 20000,
};

struct newcomer_kit {
    EVP_CIPHER *cipher;
    EVP_MD *digest;
    EVP_KDF *prf;
    EVP_PKEY *share;
    uint8_t public_share[SHARE];
};

struct newcomer {
    struct newcomer_kit *kit;
    EVP_MD_CTX *transcript;
    EVP_CIPHER_CTX *seal, *open;
    EVP_KDF_CTX *prf;
    uint8_t randoms[2 * RANDOM]; /* client's, server's */
    uint8_t their_share[SHARE];
    uint8_t secret[SECRET];
    uint8_t our_salt[SALT], their_salt[SALT];
    uint64_t our_count, their_count; /* sealed records so far */
    bool theirs_sealed;
    uint8_t records[INPUT], messages[INPUT];
    size_t records_len, messages_len;
};

/* Grows by what is appended; the room is checked by the caller's arithmetic (NEWCOMER_OUT). */
struct out {
    uint8_t *bytes;
    size_t len;
};

static void must(int result, const char *what) {
    if (result <= 0) {
        fail("newcomer: %s", what);
    }
}

static void put(struct out *o, const void *bytes, size_t len) {
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

static void put_record_head(struct out *o, uint8_t type, size_t len) {
    const uint8_t head[RECORD_HEAD] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
    put(o, head, sizeof head);
}

struct newcomer_kit *newcomer_kit_new(void) {
    struct newcomer_kit *kit = allocate(1, sizeof *kit);
    size_t len = SHARE;
    kit->cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    kit->digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    kit->prf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    kit->share = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    if (kit->cipher == NULL || kit->digest == NULL || kit->prf == NULL || kit->share == NULL) {
        fail("newcomer: an algorithm is missing");
    }
    must(EVP_PKEY_get_raw_public_key(kit->share, kit->public_share, &len), "public share");
    return kit;
}

struct newcomer *newcomer_new(struct newcomer_kit *kit) {
    struct newcomer *s = allocate(1, sizeof *s);
    s->kit = kit;
    s->transcript = EVP_MD_CTX_new();
    s->seal = EVP_CIPHER_CTX_new();
    s->open = EVP_CIPHER_CTX_new();
    s->prf = EVP_KDF_CTX_new(kit->prf);
    if (s->transcript == NULL || s->seal == NULL || s->open == NULL || s->prf == NULL) {
        fail("out of memory");
    }
    return s;
}

size_t newcomer_begin(struct newcomer *s, uint8_t out[NEWCOMER_OUT]) {
    /* clang-format off */
    static const uint8_t rest[] = {
        0, /* no session to resume */
        /* ECDHE-ECDSA- and ECDHE-RSA-AES128-GCM-SHA256, RFC 5746's signal */
        0, 6, 0xc0, 0x2b, 0xc0, 0x2f, 0, 0xff,
        1, 0,                                /* no compression */
        0, 28,                               /* extensions: */
        0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17, /* supported_groups: x25519, P-256 for keys */
        0, 11, 0, 2, 1, 0,                   /* ec_point_formats: uncompressed */
        0, 13, 0, 8, 0, 6, 4, 1, 8, 4, 4, 3, /* signature_algorithms: SHA-256 by PKCS 1, PSS, ECDSA */
    };
    /* clang-format on */
    static const size_t body = 2 + RANDOM + sizeof rest;
    const uint8_t head[] = {1, 0, 0, (uint8_t)body, 3, 3};
    struct out o = {.bytes = out};
    s->records_len = s->messages_len = 0;
    s->our_count = s->their_count = 0;
    s->theirs_sealed = false;
    must(RAND_bytes(s->randoms, RANDOM), "random bytes");
    must(EVP_DigestInit_ex2(s->transcript, s->kit->digest, NULL), "transcript");
    put_record_head(&o, RECORD_HANDSHAKE, MESSAGE_HEAD + body);
    put(&o, head, sizeof head);
    put(&o, s->randoms, RANDOM);
    put(&o, rest, sizeof rest);
    must(EVP_DigestUpdate(s->transcript, out + RECORD_HEAD, o.len - RECORD_HEAD), "transcript");
    return o.len;
}

/* RFC 5246, section 5. */
static void prf(struct newcomer *s, const uint8_t *secret, size_t secret_len, const char *label,
                const uint8_t *seed, size_t seed_len, uint8_t *out, size_t len) {
    EVP_KDF_CTX_reset(s->prf);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)secret, secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)label, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)seed, seed_len),
        OSSL_PARAM_construct_end(),
    };
    must(EVP_KDF_derive(s->prf, out, len, parameters), "PRF");
}

static void make_keys(struct newcomer *s) {
    uint8_t shared[SHARE], keys[2 * KEY + 2 * SALT], seed[2 * RANDOM];
    size_t len = sizeof shared;
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, s->their_share, SHARE);
    EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new(s->kit->share, NULL);
    if (theirs == NULL || exchange == NULL) {
        fail("newcomer: the server's share");
    }
    must(EVP_PKEY_derive_init(exchange), "key exchange");
    must(EVP_PKEY_derive_set_peer(exchange, theirs), "key exchange");
    must(EVP_PKEY_derive(exchange, shared, &len), "key exchange");
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(theirs);
    prf(s, shared, len, "master secret", s->randoms, sizeof s->randoms, s->secret, SECRET);
    memcpy(seed, s->randoms + RANDOM, RANDOM);
    memcpy(seed + RANDOM, s->randoms, RANDOM);
    prf(s, s->secret, SECRET, "key expansion", seed, sizeof seed, keys, sizeof keys);
    must(EVP_EncryptInit_ex2(s->seal, s->kit->cipher, keys, NULL, NULL), "key");
    must(EVP_DecryptInit_ex2(s->open, s->kit->cipher, keys + KEY, NULL, NULL), "key");
    memcpy(s->our_salt, keys + 2 * KEY, SALT);
    memcpy(s->their_salt, keys + 2 * KEY + SALT, SALT);
}

static void put_number(uint8_t *out, uint64_t number) {
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

/* RFC 5288: the nonce's explicit part is the record's number; that number, type, version and
 * length are authenticated. */
static void nonce_and_head(const uint8_t *salt, uint64_t count, uint8_t type, size_t len,
                           uint8_t nonce[SALT + EXPLICIT], uint8_t head[13]) {
    memcpy(nonce, salt, SALT);
    put_number(nonce + SALT, count);
    put_number(head, count);
    const uint8_t rest[] = {type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(head + 8, rest, sizeof rest);
}

static void put_sealed(struct newcomer *s, struct out *o, uint8_t type, const void *data,
                       size_t len) {
    uint8_t nonce[SALT + EXPLICIT], head[13];
    int n = 0;
    nonce_and_head(s->our_salt, s->our_count++, type, len, nonce, head);
    put_record_head(o, type, EXPLICIT + len + TAG);
    put(o, nonce + SALT, EXPLICIT);
    must(EVP_EncryptInit_ex2(s->seal, NULL, NULL, nonce, NULL), "sealing");
    must(EVP_EncryptUpdate(s->seal, NULL, &n, head, sizeof head), "sealing");
    must(EVP_EncryptUpdate(s->seal, o->bytes + o->len, &n, data, (int)len), "sealing");
    o->len += len;
    must(EVP_EncryptFinal_ex(s->seal, o->bytes + o->len, &n), "sealing");
    must(EVP_CIPHER_CTX_ctrl(s->seal, EVP_CTRL_AEAD_GET_TAG, TAG, o->bytes + o->len), "sealing");
    o->len += TAG;
}

/* A record's content; returns its length. */
static size_t unseal(struct newcomer *s, uint8_t type, uint8_t *body, size_t body_len,
                     uint8_t *plain) {
    uint8_t nonce[SALT + EXPLICIT], head[13];
    int n = 0;
    if (body_len < EXPLICIT + TAG) {
        fail("newcomer: a sealed record of %zu bytes", body_len);
    }
    size_t len = body_len - EXPLICIT - TAG;
    nonce_and_head(s->their_salt, s->their_count++, type, len, nonce, head);
    memcpy(nonce + SALT, body, EXPLICIT); /* the server's choice */
    must(EVP_DecryptInit_ex2(s->open, NULL, NULL, nonce, NULL), "decrypting");
    must(EVP_DecryptUpdate(s->open, NULL, &n, head, sizeof head), "decrypting");
    must(EVP_DecryptUpdate(s->open, plain, &n, body + EXPLICIT, (int)len), "decrypting");
    must(EVP_CIPHER_CTX_ctrl(s->open, EVP_CTRL_AEAD_SET_TAG, TAG, body + EXPLICIT + len),
         "decrypting");
    must(EVP_DecryptFinal_ex(s->open, plain + n, &n), "a record that is not genuine");
    return len;
}

/* ClientKeyExchange, ChangeCipherSpec, Finished. */
static void put_second_flight(struct newcomer *s, struct out *o) {
    const uint8_t exchange[] = {16, 0, 0, 1 + SHARE, SHARE};
    uint8_t finished[MESSAGE_HEAD + VERIFY] = {20, 0, 0, VERIFY};
    uint8_t hash[32];
    make_keys(s);
    put_record_head(o, RECORD_HANDSHAKE, sizeof exchange + SHARE);
    put(o, exchange, sizeof exchange);
    put(o, s->kit->public_share, SHARE);
    must(EVP_DigestUpdate(s->transcript, exchange, sizeof exchange), "transcript");
    must(EVP_DigestUpdate(s->transcript, s->kit->public_share, SHARE), "transcript");
    must(EVP_DigestFinal_ex(s->transcript, hash, NULL), "transcript");
    put_record_head(o, RECORD_CHANGE_CIPHER, 1);
    put(o, "\1", 1);
    prf(s, s->secret, SECRET, "client finished", hash, sizeof hash, finished + MESSAGE_HEAD,
        VERIFY);
    put_sealed(s, o, RECORD_HANDSHAKE, finished, sizeof finished);
}

static void take_message(struct newcomer *s, uint8_t type, const uint8_t *body, size_t len,
                         struct out *o) {
    if (type == SERVER_HELLO) {
        if (len < 2 + RANDOM) {
            fail("newcomer: a ServerHello of %zu bytes", len);
        }
        memcpy(s->randoms + RANDOM, body + 2, RANDOM);
    } else if (type == SERVER_KEY_EXCHANGE) {
        static const uint8_t x25519[] = {3, 0, 0x1d, SHARE};
        if (len < sizeof x25519 + SHARE || memcmp(body, x25519, sizeof x25519) != 0) {
            fail("newcomer: the server chose another key exchange");
        }
        memcpy(s->their_share, body + sizeof x25519, SHARE);
    } else if (type == SERVER_HELLO_DONE) {
        put_second_flight(s, o);
    }
}

/* Handshake messages need not begin where records do. */
static void take_plain_handshake(struct newcomer *s, const uint8_t *data, size_t len,
                                 struct out *o) {
    if (len > sizeof s->messages - s->messages_len) {
        fail("newcomer: the server says too much");
    }
    memcpy(s->messages + s->messages_len, data, len);
    s->messages_len += len;
    uint8_t *at = s->messages;
    for (;;) {
        size_t left = s->messages_len - (size_t)(at - s->messages);
        size_t body =
            left < MESSAGE_HEAD ? 0 : ((size_t)at[1] << 16) + ((size_t)at[2] << 8) + at[3];
        if (left < MESSAGE_HEAD + body) {
            break;
        }
        must(EVP_DigestUpdate(s->transcript, at, MESSAGE_HEAD + body), "transcript");
        take_message(s, at[0], at + MESSAGE_HEAD, body, o);
        at += MESSAGE_HEAD + body;
    }
    s->messages_len -= (size_t)(at - s->messages);
    memmove(s->messages, at, s->messages_len);
}

/* True when the echoed byte is there. */
static bool take_record(struct newcomer *s, uint8_t type, uint8_t *body, size_t len,
                        struct out *o) {
    static const uint8_t ping = SERVICE_PING, close_notify[] = {1, 0};
    uint8_t plain[INPUT];
    if (type == RECORD_ALERT) {
        fail("newcomer: the server sent an alert%s", s->theirs_sealed ? "" : " in its handshake");
    }
    if (type == RECORD_CHANGE_CIPHER) {
        s->theirs_sealed = true;
    } else if (!s->theirs_sealed) {
        take_plain_handshake(s, body, len, o);
    } else if (type == RECORD_HANDSHAKE) {
        unseal(s, type, body, len, plain);
        put_sealed(s, o, RECORD_DATA, &ping, 1);
    } else {
        size_t n = unseal(s, type, body, len, plain);
        if (n != 1 || plain[0] != ping) {
            fail("newcomer: %zu bytes came where one byte %u was due", n, ping);
        }
        put_sealed(s, o, RECORD_ALERT, close_notify, sizeof close_notify);
        return true;
    }
    return false;
}

bool newcomer_take(struct newcomer *s, const uint8_t *data, size_t len, uint8_t out[NEWCOMER_OUT],
                   size_t *out_len) {
    struct out o = {.bytes = out};
    bool done = false;
    if (len > sizeof s->records - s->records_len) {
        fail("newcomer: the server says too much");
    }
    memcpy(s->records + s->records_len, data, len);
    s->records_len += len;
    uint8_t *at = s->records;
    while (!done) {
        size_t left = s->records_len - (size_t)(at - s->records);
        size_t body = left < RECORD_HEAD ? 0 : ((size_t)at[3] << 8) + at[4];
        if (left < RECORD_HEAD + body) {
            break;
        }
        done = take_record(s, at[0], at + RECORD_HEAD, body, &o);
        at += RECORD_HEAD + body;
    }
    s->records_len -= (size_t)(at - s->records);
    memmove(s->records, at, s->records_len);
    *out_len = o.len;
    return done;
}
