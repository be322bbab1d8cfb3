/* TLS 1.3 key updates that OpenSSL would not send: records are sealed here, with the client's keys.
 */
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

enum { HANDSHAKE = 22, DATA = 23, TAG = 16, SECRET = 32 };

static struct pki server;
static struct site site;
static struct tls_context *ctx;
static uint8_t secret[SECRET]; /* of the client's records, as its key log has it */

/* The client's traffic keys (RFC 8446 7.3), from its secret. */
struct keys {
    uint8_t key[16], iv[12];
    uint64_t sequence;
};

static void expand(const char *label, uint8_t *out, size_t len) {
    uint8_t info[64];
    size_t label_len = strlen(label), n = 0;
    info[n++] = 0;
    info[n++] = (uint8_t)len;
    info[n++] = (uint8_t)(6 + label_len);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_len);
    n += 6 + label_len;
    info[n++] = 0;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *kctx = EVP_KDF_CTX_new(kdf);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, sizeof secret),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n),
        OSSL_PARAM_construct_end()};
    ck_assert_int_eq(EVP_KDF_derive(kctx, out, len, params), 1);
    EVP_KDF_CTX_free(kctx);
    EVP_KDF_free(kdf);
}

static struct keys make_keys(void) {
    struct keys k = {.sequence = 0};
    expand("key", k.key, sizeof k.key);
    expand("iv", k.iv, sizeof k.iv);
    return k;
}

/* What a KeyUpdate changes (RFC 8446 7.2). */
static void next_keys(struct keys *k) {
    uint8_t next[SECRET];
    expand("traffic upd", next, sizeof next);
    memcpy(secret, next, sizeof next);
    *k = make_keys();
}

/* Appends one record with that content to `up`. */
static void seal(struct keys *k, struct buf *up, const uint8_t *content, size_t len, uint8_t type) {
    uint8_t *inner = malloc(len + 1), *sealed = malloc(len + 1 + TAG), nonce[12];
    size_t size = len + 1 + TAG;
    uint8_t header[5] = {DATA, 3, 3, (uint8_t)(size >> 8), (uint8_t)size};
    int n;
    memcpy(inner, content, len);
    inner[len] = type;
    memcpy(nonce, k->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++) {
        nonce[4 + i] ^= (uint8_t)(k->sequence >> (56 - 8 * i));
    }
    k->sequence++;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    ck_assert(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, k->key, nonce));
    ck_assert(EVP_EncryptUpdate(c, NULL, &n, header, sizeof header));
    ck_assert(EVP_EncryptUpdate(c, sealed, &n, inner, (int)len + 1));
    ck_assert(EVP_EncryptFinal_ex(c, sealed + n, &n));
    ck_assert(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, sealed + len + 1));
    EVP_CIPHER_CTX_free(c);
    ck_assert(buf_append(up, header, sizeof header, SIZE_MAX));
    ck_assert(buf_append(up, sealed, size, SIZE_MAX));
    free(inner);
    free(sealed);
}

static void on_key_log(const SSL *ssl, const char *line) {
    static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
    const char *hex = strrchr(line, ' ') + 1;
    if (strncmp(line, label, sizeof label - 1) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof secret; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        secret[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

static struct keys connect_pair(struct pair *p) {
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    ck_assert(SSL_CTX_set_ciphersuites(client, "TLS_AES_128_GCM_SHA256"));
    SSL_CTX_set_keylog_callback(client, on_key_log);
    pair_init(p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(p, ctx), ENGINE_OK);
    SSL_CTX_free(client);
    return make_keys();
}

static enum engine_status read_up(struct pair *p, size_t *got) {
    uint8_t plain[256];
    p->in = (struct engine_input){p->up.data, p->up.len};
    enum engine_status status = engine_read(p->engine, &p->in, plain, sizeof plain, got, &p->out);
    p->up.len = 0;
    return status;
}

static void setup(void) {
    server = pki_make((struct pki_spec){.cn = "localhost"}, NULL);
    site_init(&site, pki_certs("server.pem", &server, NULL), pki_key("server.key", &server));
    ctx = site_load(&site, NULL);
}

static void teardown(void) {
    tls_context_unref(ctx);
    pki_free(&server);
    pki_clean();
}

static const uint8_t update[] = {24, 0, 0, 1, 0};

START_TEST(records_that_are_sealed_here_are_read) {
    struct pair p;
    size_t got;
    struct keys k = connect_pair(&p);
    seal(&k, &p.up, (const uint8_t *)"hello", 5, DATA);
    seal(&k, &p.up, update, sizeof update, HANDSHAKE);
    ck_assert_int_eq(read_up(&p, &got), ENGINE_MORE);
    ck_assert_uint_eq(got, 5);
    pair_free(&p);
}
END_TEST

#ifdef POSTERN_OWN_WOLFSSL /* key-update-boundary.diff */
START_TEST(two_key_updates_in_one_record_are_refused) {
    struct pair p;
    size_t got;
    struct keys k = connect_pair(&p);
    const uint8_t twice[] = {24, 0, 0, 1, 0, 24, 0, 0, 1, 0};
    seal(&k, &p.up, twice, sizeof twice, HANDSHAKE);
    ck_assert_int_eq(read_up(&p, &got), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_TLS_ERROR);
    ck_assert_uint_eq(engine_alert(p.engine), 10); /* unexpected_message */
    pair_free(&p);
}
END_TEST
#endif

static void seal_updates(struct keys *k, struct pair *p, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        seal(k, &p->up, update, sizeof update, HANDSHAKE);
        next_keys(k);
    }
}

/* None of them asks for an answer. */
START_TEST(key_updates_are_bounded_per_record_of_data) {
    struct pair p;
    size_t got;
    struct keys k = connect_pair(&p);
    for (unsigned round = 0; round < 3; round++) {
        seal_updates(&k, &p, 60);
        seal(&k, &p.up, (const uint8_t *)"x", 1, DATA);
        ck_assert_int_eq(read_up(&p, &got), ENGINE_MORE);
        ck_assert_uint_eq(got, 1);
    }
    seal_updates(&k, &p, 40);
    ck_assert_int_eq(read_up(&p, &got), ENGINE_MORE);
    seal_updates(&k, &p, 40);
    ck_assert_int_eq(read_up(&p, &got), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_TLS_ERROR);
    pair_free(&p);
}
END_TEST

START_TEST(empty_records_are_bounded_per_record_of_data) {
    struct pair p;
    size_t got;
    struct keys k = connect_pair(&p);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 20; i++) {
            seal(&k, &p.up, update, 0, DATA);
        }
        seal(&k, &p.up, (const uint8_t *)"x", 1, DATA);
        ck_assert_int_eq(read_up(&p, &got), ENGINE_MORE);
        ck_assert_uint_eq(got, 1);
    }
    for (unsigned i = 0; i < 70; i++) {
        seal(&k, &p.up, update, 0, DATA);
    }
    ck_assert_int_eq(read_up(&p, &got), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_TLS_ERROR);
    pair_free(&p);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("key_updates");
    TCase *test = tcase_create("key_updates");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, records_that_are_sealed_here_are_read);
#ifdef POSTERN_OWN_WOLFSSL
    tcase_add_test(test, two_key_updates_in_one_record_are_refused);
#endif
    tcase_add_test(test, key_updates_are_bounded_per_record_of_data);
    tcase_add_test(test, empty_records_are_bounded_per_record_of_data);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
