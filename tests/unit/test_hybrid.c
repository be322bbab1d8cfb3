/* The group X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem). OpenSSL 3.0 does not have it, so this is a
 * client as far as it must go: it makes both shares, derives the keys of the handshake, and
 * decrypts what the server sends first. Our own build of the library. */
#include "hello_edit.h"
#include "run.h"
#include "tls/agreement.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/wc_mlkem.h>

enum { GROUP = 4588, PUBLIC = 1184, CIPHER = 1088, X = 32, SHARE = PUBLIC + X, SECRET = 32 };

static struct pki ecdsa;
static struct site site;

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ecdsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
}

static void finally(void) {
    pki_free(&ecdsa);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, pki_certs("ecdsa.pem", &ecdsa, NULL), pki_key("ecdsa.key", &ecdsa));
}

/* --- shared secrets that are computed ahead --- */

static bool ahead;
static int taken;

#ifdef POSTERN_AHEAD
bool __real_postern_x25519_take_secret(unsigned char out[X], const unsigned char private_key[X],
                                       const unsigned char peer[X]);
bool __wrap_postern_x25519_take_secret(unsigned char out[X], const unsigned char private_key[X],
                                       const unsigned char peer[X]);
bool __wrap_postern_x25519_take_secret(unsigned char out[X], const unsigned char private_key[X],
                                       const unsigned char peer[X]) {
    bool found = __real_postern_x25519_take_secret(out, private_key, peer);
    taken += found;
    return found;
}
#endif

/* Whether it was, and is to be taken. */
static bool compute_ahead(struct tls_context *ctx, const struct client_hello *hello) {
    struct agreement_step step = {.ctx = ctx, .hello = hello};
    if (!ahead || !agreement_is_due(&step)) {
        return false;
    }
    agreements_compute(&step, 1);
    return true;
}

/* --- the client --- */

struct client {
    struct pair p;
    WC_RNG rng;
    MlKemKey mlkem;
    EVP_PKEY *x25519;
    uint8_t share[SHARE]; /* the ML-KEM key, then X25519's */
    struct buf transcript;
};

static void make_shares(struct client *c) {
    size_t len = X;
    ck_assert_int_eq(wc_InitRng(&c->rng), 0);
    ck_assert_int_eq(wc_MlKemKey_Init(&c->mlkem, WC_ML_KEM_768, NULL, INVALID_DEVID), 0);
    ck_assert_int_eq(wc_MlKemKey_MakeKey(&c->mlkem, &c->rng), 0);
    ck_assert_int_eq(wc_MlKemKey_EncodePublicKey(&c->mlkem, c->share, PUBLIC), 0);
    c->x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    ck_assert(EVP_PKEY_get_raw_public_key(c->x25519, c->share + PUBLIC, &len));
}

/* OpenSSL's hello, with a share for X25519. */
static void client_begin(struct client *c) {
    SSL_CTX *ctx = client_new(TLS1_3_VERSION);
    memset(c, 0, sizeof *c);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
    pair_init(&c->p, ctx, "localhost", NULL);
    SSL_CTX_free(ctx);
    SSL_do_handshake(c->p.client);
    pair_collect(&c->p);
    make_shares(c);
}

static void client_add_group(struct client *c) {
    static const uint8_t group[] = {GROUP >> 8, GROUP & 0xff};
    hello_add_groups(&c->p.up, group, sizeof group);
}

static void client_add_share(struct client *c, size_t len) {
    uint8_t share[4 + SHARE] = {GROUP >> 8, GROUP & 0xff, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(share + 4, c->share, len);
    hello_add_key_shares(&c->p.up, share, 4 + len);
}

static enum engine_status client_answer(struct client *c, struct tls_context *ctx) {
    struct pair *p = &c->p;
    ck_assert(buf_append(&c->transcript, p->up.data + 5, p->up.len - 5, SIZE_MAX));
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    bool computed = compute_ahead(ctx, &p->hello);
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
    p->in = (struct engine_input){p->up.data, p->up.len};
    int before = taken;
    enum engine_status status = engine_handshake(p->engine, &p->in, &p->out, NULL);
    if (computed && status != ENGINE_FAILED) {
        ck_assert_int_eq(taken - before, 1);
    }
    return status;
}

static void client_end(struct client *c) {
    wc_MlKemKey_Free(&c->mlkem);
    wc_FreeRng(&c->rng);
    EVP_PKEY_free(c->x25519);
    buf_free(&c->transcript);
    pair_free(&c->p);
}

/* --- keys (RFC 8446 7.1) --- */

static void mac(const uint8_t key[SECRET], const uint8_t *data, size_t len, uint8_t out[SECRET]) {
    ck_assert_ptr_nonnull(HMAC(EVP_sha256(), key, SECRET, data, len, out, NULL));
}

static void expand(const uint8_t secret[SECRET], const char *label, const uint8_t *hash,
                   size_t hash_len, uint8_t out[SECRET], size_t len) {
    uint8_t info[128], full[SECRET];
    size_t label_len = strlen(label), at = 0;
    info[at++] = 0;
    info[at++] = (uint8_t)len;
    info[at++] = (uint8_t)(6 + label_len);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_len);
    at += 6 + label_len;
    info[at++] = (uint8_t)hash_len;
    if (hash_len > 0) {
        memcpy(info + at, hash, hash_len);
    }
    at += hash_len;
    info[at++] = 1;
    mac(secret, info, at, full);
    memcpy(out, full, len);
}

static void server_secret(const uint8_t *shared, size_t len, const struct buf *transcript,
                          uint8_t out[SECRET]) {
    static const uint8_t zeros[SECRET];
    uint8_t early[SECRET], derived[SECRET], handshake[SECRET], hash[SECRET];
    mac(zeros, zeros, sizeof zeros, early);
    SHA256(zeros, 0, hash);
    expand(early, "derived", hash, sizeof hash, derived, SECRET);
    mac(derived, shared, len, handshake);
    SHA256(transcript->data, transcript->len, hash);
    expand(handshake, "s hs traffic", hash, sizeof hash, out, SECRET);
}

/* The first byte of the record's content; 0 if it cannot be decrypted. */
static uint8_t open_record(const uint8_t secret[SECRET], const uint8_t *record, size_t len) {
    uint8_t key[SECRET], iv[SECRET], *plain = malloc(len);
    int n = 0, body = (int)len - 5 - 16;
    expand(secret, "key", NULL, 0, key, 16);
    expand(secret, "iv", NULL, 0, iv, 12);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool opened = EVP_DecryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv) == 1 &&
                  EVP_DecryptUpdate(ctx, NULL, &n, record, 5) == 1 &&
                  EVP_DecryptUpdate(ctx, plain, &n, record + 5, body) == 1 &&
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16,
                                      (void *)(uintptr_t)(record + 5 + body)) == 1 &&
                  EVP_DecryptFinal_ex(ctx, plain + n, &n) == 1;
    uint8_t first = opened ? plain[0] : 0;
    EVP_CIPHER_CTX_free(ctx);
    free(plain);
    return first;
}

/* --- the server's answer --- */

static size_t get16(const uint8_t *at) {
    return (size_t)at[0] << 8 | at[1];
}

/* The content of the key_share extension of the ServerHello that `out` begins with. */
static const uint8_t *server_share(const struct buf *out, unsigned *group, size_t *len) {
    ck_assert(out->len > 48 && out->data[0] == 22 && out->data[5] == 2);
    const uint8_t *at = out->data + 5 + 4 + 2 + 32;
    at += 1 + at[0] + 2 + 1; /* session ID, suite, compression */
    at += 2;
    while (get16(at) != 51) {
        at += 4 + get16(at + 2);
    }
    *group = (unsigned)get16(at + 4);
    *len = get16(at + 6);
    return at + 8;
}

static void agree(struct client *c, const uint8_t *share, uint8_t shared[2 * SECRET]) {
    size_t len = X;
    ck_assert_int_eq(wc_MlKemKey_Decapsulate(&c->mlkem, shared, share, CIPHER), 0);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share + CIPHER, X);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->x25519, NULL);
    ck_assert(EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
              EVP_PKEY_derive(ctx, shared + SECRET, &len) == 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
}

/* The first encrypted record after the ServerHello. */
static const uint8_t *encrypted_record(const struct buf *out, size_t *len) {
    const uint8_t *at = out->data;
    while (at[0] != 23) {
        at += 5 + get16(at + 3);
        ck_assert(at < out->data + out->len);
    }
    *len = 5 + get16(at + 3);
    return at;
}

START_TEST(the_hybrid_share_comes_first_and_agrees) {
    ahead = _i == 1;
    struct tls_context *ctx = site_load(&site, NULL);
    for (int i = 0; i < 20; i++) {
        struct client c;
        unsigned group;
        size_t len;
        uint8_t shared[2 * SECRET], secret[SECRET];
        client_begin(&c);
        client_add_group(&c);
        client_add_share(&c, SHARE);
        ck_assert_int_eq(client_answer(&c, ctx), ENGINE_MORE);
        const uint8_t *share = server_share(&c.p.out, &group, &len);
        ck_assert_uint_eq(group, GROUP);
        ck_assert_uint_eq(len, CIPHER + X);
        agree(&c, share, shared);
        ck_assert(buf_append(&c.transcript, c.p.out.data + 5, get16(c.p.out.data + 3), SIZE_MAX));
        server_secret(shared, sizeof shared, &c.transcript, secret);
        const uint8_t *record = encrypted_record(&c.p.out, &len);
        ck_assert_uint_eq(open_record(secret, record, len), 8); /* EncryptedExtensions */
        client_end(&c);
    }
    tls_context_unref(ctx);
}
END_TEST

static void check_group(struct client *c, const char *groups, unsigned wanted) {
    unsigned group;
    size_t len;
    site.listener.groups = (char *)groups;
    struct tls_context *ctx = site_load(&site, NULL);
    ck_assert_int_eq(client_answer(c, ctx), ENGINE_MORE);
    (void)server_share(&c->p.out, &group, &len);
    ck_assert_uint_eq(group, wanted);
    ck_assert_uint_gt(len, 2); /* a share: no HelloRetryRequest, which names a group only */
    client_end(c);
    tls_context_unref(ctx);
}

/* Another round trip would cost more than it is worth. */
START_TEST(a_client_that_only_lists_it_is_not_asked_for_it) {
    struct client c;
    client_begin(&c);
    client_add_group(&c);
    check_group(&c, NULL, 29);
}
END_TEST

START_TEST(groups_decide_whether_it_is_used) {
    struct client c;
    client_begin(&c);
    client_add_group(&c);
    client_add_share(&c, SHARE);
    check_group(&c, "X25519, P-256", 29);
    client_begin(&c);
    client_add_group(&c);
    client_add_share(&c, SHARE);
    check_group(&c, "X25519, X25519MLKEM768", 29);
    client_begin(&c);
    client_add_group(&c);
    client_add_share(&c, SHARE);
    check_group(&c, "X25519MLKEM768", GROUP);
}
END_TEST

/* 0: a coefficient that is not reduced (FIPS 203 7.2); 1: X25519's point of low order; 2: too
 * short; 3: as long as ML-KEM's alone; with what is computed ahead, and without. */
START_TEST(a_bad_share_gets_an_alert_and_no_server_hello) {
    int kind = _i / 2;
    ahead = _i % 2 == 1;
    struct tls_context *ctx = site_load(&site, NULL);
    struct client c;
    client_begin(&c);
    client_add_group(&c);
    if (kind == 0) {
        memset(c.share, 0xff, 3);
    } else if (kind == 1) {
        memset(c.share + PUBLIC, 0, X);
    }
    static const size_t lens[] = {SHARE, SHARE, 31, PUBLIC};
    client_add_share(&c, lens[kind]);
    ck_assert_int_eq(client_answer(&c, ctx), ENGINE_FAILED);
    ck_assert_uint_eq(engine_alert(c.p.engine), 47);
    ck_assert_uint_eq(c.p.out.len, 7);
    ck_assert_int_eq(engine_failure(c.p.engine), REASON_PROTOCOL_ERROR);
    client_end(&c);
    tls_context_unref(ctx);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("hybrid");
    TCase *tc = tcase_create("hybrid");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, the_hybrid_share_comes_first_and_agrees, 0, 2);
    tcase_add_test(tc, a_client_that_only_lists_it_is_not_asked_for_it);
    tcase_add_test(tc, groups_decide_whether_it_is_used);
    tcase_add_loop_test(tc, a_bad_share_gets_an_alert_and_no_server_hello, 0, 8);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
